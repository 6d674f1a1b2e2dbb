//! HTTP hardening: connection limits and timeouts, ambiguous requests, and other origins.

use std::process::Command;
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use vestibule::entity::mail;

use crate::metrics::Watcher;
use crate::process::{Serving, command};
use crate::socket::Socket;
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::{Answer, Client};
use crate::test_database::Place;

/// Timeout of expected events, which normally take much less.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Short timeout that a test waits for.
const SOON: Duration = Duration::from_millis(700);

/// Timeout of closed connections of HTTP/2, below the interval of its pings, which these clients do not answer.
const BEFORE_PINGS: Duration = Duration::from_secs(15);

const RESET: &str = "mutation { requestReset(input: { email: \"ada@example.com\" }) { success } }";

/// A raw connection.
struct Raw(TcpStream);

impl Raw {
    async fn open(url: &str) -> Self {
        Self(TcpStream::connect(address(url)).await.unwrap())
    }

    /// Opens a connection from this local address.
    async fn open_from(ip: &str, url: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{ip}:0").parse().unwrap()).unwrap();
        Self(socket.connect(address(url).parse().unwrap()).await.unwrap())
    }

    async fn say(&mut self, text: impl AsRef<[u8]>) -> bool {
        self.0.write_all(text.as_ref()).await.is_ok()
    }

    /// Reads until the service closes the connection, which it must.
    async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // If unread bytes were pending, the service resets the connection.
        let _ = tokio::time::timeout(TIMEOUT, self.0.read_to_end(&mut bytes)).await.expect("the connection is closed");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends one byte at a time until the service closes the connection, and returns the response.
    async fn trickle(mut self) -> String {
        let (mut reader, mut writer) = self.0.split();
        let mut bytes = Vec::new();
        let drip = async {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ended = async {
            tokio::select! {
                _ = reader.read_to_end(&mut bytes) => {}
                () = drip => {}
            }
        };
        tokio::time::timeout(TIMEOUT, ended).await.expect("the connection is closed");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a liveness request; returns false if the service closes the connection instead.
    async fn is_served(&mut self) -> bool {
        self.say("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut seen = Vec::new();
        let mut buffer = [0; 1024];
        while !seen.ends_with(b"\r\n\r\nok\n") {
            match tokio::time::timeout(TIMEOUT, self.0.read(&mut buffer)).await.expect("the service reacts") {
                Ok(0) | Err(_) => return false,
                Ok(read) => seen.extend_from_slice(&buffer[..read]),
            }
        }
        true
    }
}

fn address(url: &str) -> &str {
    url.trim_start_matches("http://")
}

#[both_databases]
async fn silent_and_slow_connections_are_closed(place: Place) {
    let app = TestApp::start_with(&place, |config| config.wire.header_timeout = SOON).await;
    for half in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM", "GET / HT", "GET /healthz HTTP/1.1\r\nhost: x\r\n"] {
        let mut silent = Raw::open(&app.url).await;
        silent.say(half).await;
        assert!(!silent.rest().await.contains("200 OK"), "{half}");
    }
    for begun in ["GET /healthz HTTP/1.1\r\nhost: x\r\na: ", "GET /"] {
        let mut slow = Raw::open(&app.url).await;
        slow.say(begun).await;
        assert!(!slow.trickle().await.contains("200 OK"), "{begun}");
    }
    // After a request, the header timeout applies to the next one, regardless of the idle timeout.
    let mut later = Raw::open(&app.url).await;
    assert!(later.is_served().await);
    later.say("GET /healthz HTTP/1.1\r\na: ").await;
    assert!(!later.trickle().await.contains("200 OK"));
}

#[both_databases]
async fn a_body_that_trickles_is_not_waited_for(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.wire.body_timeout = SOON;
        config.wire.upload_timeout = SOON;
        config.wire.idle_timeout = SOON;
    })
    .await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let bearer = format!("authorization: Bearer {}", ada.access.unwrap());
    let multipart = "content-type: multipart/form-data; boundary=x\r\ngraphql-require-preflight: 1";
    for (path, headers) in [
        ("/graphql", "content-type: application/json".to_owned()),
        ("/graphql", format!("{multipart}\r\n{bearer}")),
        ("/graphql", multipart.to_owned()),
        ("/account/sign-in", "content-type: application/x-www-form-urlencoded".to_owned()),
    ] {
        for length in ["content-length: 100000", "transfer-encoding: chunked"] {
            let mut slow = Raw::open(&app.url).await;
            slow.say(format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n{length}\r\n\r\n")).await;
            if length.starts_with("transfer") {
                slow.say("5000\r\n").await;
            }
            let answer = slow.trickle().await;
            assert!(answer.starts_with("HTTP/1.1 408 ") || answer.is_empty(), "{headers}: {answer}");
        }
    }
    // The service does not wait for an unread body.
    let mut unread = Raw::open(&app.url).await;
    unread.say("GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc").await;
    assert!(unread.rest().await.starts_with("HTTP/1.1 200 "));
}

#[both_databases]
async fn a_body_refused_for_its_length_is_answered_after_all_of_it_is_sent(place: Place) {
    let app = TestApp::start(&place).await;
    // Proxies send the whole request before they read the response.
    let length = 12 * 1024 * 1024;
    for headers in [
        "content-type: application/json",
        "content-type: multipart/form-data; boundary=x\r\ngraphql-require-preflight: 1",
        "content-type: text/plain",
    ] {
        let mut client = Raw::open(&app.url).await;
        client.say(format!("POST /graphql HTTP/1.1\r\nhost: x\r\n{headers}\r\ncontent-length: {length}\r\n\r\n")).await;
        let sent = tokio::time::timeout(TIMEOUT, client.say(vec![b'x'; length])).await;
        assert_eq!(sent, Ok(true), "{headers}");
        client.say("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let answers = client.rest().await;
        let refused = if headers.contains("plain") { "HTTP/1.1 415 " } else { "HTTP/1.1 413 " };
        assert!(answers.starts_with(refused), "{headers}: {answers}");
        assert!(answers.ends_with("ok\n"), "and the connection goes on: {answers}");
    }
    // It is limited.
    let mut endless = Raw::open(&app.url).await;
    endless
        .say(
            "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999999999\r\n\r\n",
        )
        .await;
    assert!(endless.trickle().await.starts_with("HTTP/1.1 413 "));
}

#[both_databases]
async fn a_connection_is_kept_for_the_next_request_and_no_longer(place: Place) {
    let app = TestApp::start(&place).await;
    let mut kept = Raw::open(&app.url).await;
    assert!(kept.is_served().await && kept.is_served().await);
    let hasty = app.start_second_with(&place, |config| config.wire.idle_timeout = SOON).await;
    let mut idle = Raw::open(&hasty.url).await;
    assert!(idle.is_served().await);
    assert_eq!(idle.rest().await, "");
    // A request in progress keeps its connection, however long it takes.
    let mut listening = Socket::open(&hasty.url).await;
    tokio::time::sleep(SOON * 2).await;
    listening.say(json!({ "type": "ping" })).await;
    assert_eq!(listening.hear().await["type"], "pong");
}

#[both_databases]
async fn connections_that_read_no_response_are_closed(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.wire.send_timeout = SOON;
        config.wire.idle_timeout = SOON;
    })
    .await;
    let mut greedy = Raw::open(&app.url).await;
    let all = "GET /account/style.css HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10_000);
    let asked = async { while greedy.say(&all).await {} };
    tokio::time::timeout(TIMEOUT, asked).await.expect("the connection is closed");
}

#[both_databases]
async fn connections_are_counted_in_all_and_by_client(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.wire.connections = 3;
        config.wire.connections_per_client = 2;
    })
    .await;
    let mut own = vec![Raw::open(&app.url).await, Raw::open(&app.url).await];
    for connection in &mut own {
        assert!(connection.is_served().await);
    }
    assert!(!Raw::open(&app.url).await.is_served().await, "a third of one client");
    let mut other = Raw::open_from("127.0.0.2", &app.url).await;
    assert!(other.is_served().await, "one of another client");
    assert!(!Raw::open_from("127.0.0.3", &app.url).await.is_served().await, "a fourth in all");
    drop(own);
    let mut tries = 0;
    while !Raw::open(&app.url).await.is_served().await {
        tries += 1;
        assert!(tries < 3000, "places become free when connections end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(other.is_served().await);
}

#[both_databases]
async fn behind_a_trusted_proxy_connections_are_not_counted_by_client(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.wire.connections_per_client = 1;
        config.trusted_proxies = vec!["127.0.0.2/32".parse().unwrap()];
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut connection = Raw::open_from("127.0.0.2", &app.url).await;
        assert!(connection.is_served().await);
        open.push(connection);
    }
}

#[both_databases]
async fn running_out_of_files_does_not_end_the_service(place: Place) {
    let mut narrow = Command::new("sh");
    narrow.args(["-c", "ulimit -n 100 && exec \"$0\"", env!("CARGO_BIN_EXE_vestibule")]);
    let usual = command(&place);
    narrow.env_clear().current_dir(&place.folder).stdin(std::process::Stdio::piped());
    narrow.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    narrow.env("VESTIBULE_ADMIN_PASSWORD", ADMIN.1).env("PATH", "/bin:/usr/bin");
    narrow.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let serving = Serving::start(narrow);
    let mut open = Vec::new();
    for _ in 0..150 {
        open.push(Raw::open(&serving.url).await);
    }
    // The first connections are still served; the last one is, once others are closed.
    assert!(open[0].is_served().await);
    let mut last = open.pop().unwrap();
    drop(open);
    assert!(last.is_served().await);
    Client::new(&serving.url).sign_in("admin", ADMIN.1).await;
}

#[both_databases]
async fn requests_that_could_be_read_in_two_ways_have_no_effect(place: Place) {
    let app = TestApp::start(&place).await;
    let body = json!({ "query": RESET }).to_string();
    let length = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let many: String = (0..120).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("host: x\r\nx: {}\r\n", "y".repeat(64 * 1024));
    let uri = format!("/graphql?{}", "y".repeat(70_000));
    for (target, headers) in [
        ("/graphql", ""),
        ("/graphql", "host: x\r\nhost: x\r\n"),
        ("/graphql", "host: x\r\nhost: y\r\n"),
        ("/graphql", "host: x@y\r\n"),
        ("/graphql", "host: x/y\r\n"),
        ("/graphql", "host: x y\r\n"),
        ("/graphql", "host : x\r\n"),
        ("/graphql", "host: x\r\nno colon\r\n"),
        ("/graphql", "host: x\r\nfolded: a\r\n b\r\n"),
        ("/graphql", "host: x\r\nnul: \0\r\n"),
        ("/graphql", "host: x\r\n: nameless\r\n"),
        ("/graphql\u{1}", "host: x\r\n"),
        ("/graphql", &format!("host: x\r\n{many}")),
        ("/graphql", &long),
        (&uri, "host: x\r\n"),
    ] {
        let mut raw = Raw::open(&app.url).await;
        raw.say(format!("POST {target} HTTP/1.1\r\n{headers}{length}connection: close\r\n\r\n{body}")).await;
        let answer = raw.rest().await;
        let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or_default();
        // A reset may overtake earlier bytes.
        assert!(["400", "414", "431", ""].contains(&status), "{target:.60} {headers:.60}: {answer:.200}");
    }
    assert_eq!(mail::Entity::find().count(app.db()).await.unwrap(), 0);
    // The same without duplicates is accepted, also as HTTP/1.0 and with an absolute URL.
    for start in ["POST /graphql HTTP/1.0\r\n".to_owned(), format!("POST {}/graphql HTTP/1.1\r\nhost: x\r\n", app.url)]
    {
        let mut raw = Raw::open(&app.url).await;
        raw.say(format!("{start}{length}connection: close\r\n\r\n{body}")).await;
        assert!(raw.rest().await.contains("200 OK"), "{start}");
    }
    assert_eq!(mail::Entity::find().count(app.db()).await.unwrap(), 2);
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Header block of `GET /`, all from HPACK's static table except the host.
const GET: &[u8] = b"\x82\x86\x84\x41\x01x";

/// Kinds and payloads of the complete frames in these bytes, in order.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while bytes.len() >= 9 {
        let length = usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let Some((frame, rest)) = bytes.split_at_checked(9 + length) else { break };
        frames.push((frame[3], frame[9..].to_vec()));
        bytes = rest;
    }
    frames
}

#[both_databases]
async fn http_2_is_kept_within_bounds(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.wire.idle_timeout = SOON;
        config.wire.header_timeout = SOON;
    })
    .await;
    let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &[])].concat();
    let talk = async |said: Vec<u8>| {
        let mut raw = Raw::open(&app.url).await;
        let mut bytes = Vec::new();
        let (mut reader, mut writer) = raw.0.split();
        let talk = async { tokio::join!(writer.write_all(&said), reader.read_to_end(&mut bytes)) };
        let _ = tokio::time::timeout(TIMEOUT, talk).await.expect("the connection is closed");
        frames(&bytes)
    };
    let calm =
        |frames: &[(u8, Vec<u8>)]| frames.iter().any(|(kind, payload)| *kind == 7 && payload[4..8] == [0, 0, 0, 11]);

    // A client with one request gets its response and the stream limit, and a graceful close when idle.
    let fine = talk([hello.clone(), frame(1, 5, 1, GET)].concat()).await;
    let settings = &fine.iter().find(|(kind, payload)| *kind == 4 && !payload.is_empty()).unwrap().1;
    let setting = |id: u8| {
        let found = settings.chunks(6).find(|setting| setting[..2] == [0, id]).unwrap();
        u32::from_be_bytes(found[2..6].try_into().unwrap())
    };
    assert_eq!((setting(3), setting(6)), (100, 32 * 1024), "streams at once, and the length of headers");
    assert!(fine.iter().any(|(kind, _)| *kind == 1) && fine.iter().any(|(kind, _)| *kind == 7) && !calm(&fine));
    assert!(!calm(&talk(hello.clone()).await), "one that asks for nothing is let go as well");

    // Requests cancelled as soon as they are sent (CVE-2023-44487).
    let resets = (0..2000).flat_map(|n| [frame(1, 5, 2 * n + 1, GET), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat());
    let flood = talk(hello.iter().copied().chain(resets).collect()).await;
    assert!(flood.is_empty() || calm(&flood), "{flood:?}");

    // Endless headers (CVE-2024-27316).
    let endless = (0..4000).flat_map(|_| frame(9, 0, 1, &[b"\x00\x01x\x7f\x81\x7f".as_slice(), &[b'y'; 256]].concat()));
    let begun = frame(1, 1, 1, GET);
    let flood = talk(hello.iter().copied().chain(begun).chain(endless).collect()).await;
    assert!(flood.iter().all(|(kind, _)| *kind != 1), "{flood:?}");
    assert!(Raw::open(&app.url).await.is_served().await);
}

/// Path of GraphiQL's libraries, which have more than a megabyte.
async fn script(app: &TestApp) -> String {
    let page = app.anyone().get("/graphiql").await.body;
    let mut paths = page.as_str().unwrap().split('"');
    paths
        .find(|part| part.contains("/libraries-") && part.rsplit('.').next() == Some("js"))
        .expect("a script")
        .to_owned()
}

/// A text of HPACK, without Huffman coding (RFC 7541, section 5.2).
fn hpack(text: &str) -> Vec<u8> {
    let mut block = Vec::new();
    match text.len().checked_sub(127) {
        None => block.push(u8::try_from(text.len()).unwrap()),
        Some(mut rest) => {
            block.push(127);
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
    }
    block.extend_from_slice(text.as_bytes());
    block
}

/// Header block of `GET` for this path, with this bearer token.
fn get_with(path: &str, token: Option<&str>) -> Vec<u8> {
    let token = token.map(|token| [vec![0x57], hpack(&format!("Bearer {token}"))].concat());
    [b"\x82\x86\x44".to_vec(), hpack(path), b"\x41\x01x".to_vec(), token.unwrap_or_default()].concat()
}

/// Opens an HTTP/2 connection from this local address that accepts this number of bytes of each response, and sends this
/// request a number of times.
async fn ask_over_http_2(app: &TestApp, ip: &str, window: u8, headers: &[u8], requests: u32) -> Raw {
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, window]);
    let asked = (0..requests).flat_map(|number| frame(1, 5, 2 * number + 1, headers));
    let mut raw = Raw::open_from(ip, &app.url).await;
    let said = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings].concat();
    assert!(raw.say(said.into_iter().chain(asked).collect::<Vec<u8>>()).await);
    raw
}

/// Opens an HTTP/2 connection that accepts nothing of a response, and requests this path a number of times.
async fn ask_and_read_nothing(app: &TestApp, path: &str, requests: u32) -> Raw {
    ask_over_http_2(app, "127.0.0.1", 0, &get_with(path, None), requests).await
}

/// Reads until this number of responses has begun. Returns the numbers of those with and without the status 200.
async fn statuses(raw: &mut Raw, requests: usize) -> (usize, usize) {
    let mut bytes = Vec::new();
    loop {
        assert!(raw.0.read_buf(&mut bytes).await.unwrap() > 0);
        let headers: Vec<_> =
            frames(&bytes).into_iter().filter(|(kind, _)| *kind == 1).map(|(_, block)| block).collect();
        if headers.len() == requests {
            // HPACK's static table has 200 at index 8 (RFC 7541, appendix A).
            let served = headers.iter().filter(|block| block.first() == Some(&0x88)).count();
            return (served, requests - served);
        }
    }
}

#[both_databases]
async fn responses_that_nobody_reads_take_a_limited_memory(place: Place) {
    let app = TestApp::start(&place).await;
    let script = script(&app).await;
    let mut greedy = ask_and_read_nothing(&app, &script, 100).await;
    let (served, refused) = statuses(&mut greedy, 100).await;
    assert!((16..=32).contains(&served), "{served} times one or two MiB are at most 32 MiB");
    let counted = Watcher::of(&app).await.look().await.get("vestibule_responses_refused_total{reason=\"client\"}");
    assert_eq!(counted, Some(f64::from(u32::try_from(refused).unwrap())));

    assert_eq!(app.anyone().get("/healthz").await.status, 200, "short responses are not counted");
    assert_eq!(app.anyone().get(&script).await.status, 503, "nothing long goes to this client");
    let mut other = Raw::open_from("127.0.0.2", &app.url).await;
    other.say(format!("GET {script} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    assert!(other.rest().await.starts_with("HTTP/1.1 200 "), "others are served");
    drop(greedy);
    let released = async { while app.anyone().get(&script).await.status != 200 {} };
    tokio::time::timeout(TIMEOUT, released).await.expect("the memory is released");
}

#[both_databases]
async fn exports_that_nobody_reads_take_a_limited_memory(place: Place) {
    let app = TestApp::start(&place).await;
    let token = app.admin().await.access.unwrap();
    let export = get_with("/export/users.csv", Some(&token));
    let mut greedy = ask_over_http_2(&app, "127.0.0.1", 0, &export, 20).await;
    assert_eq!(statuses(&mut greedy, 20).await, (16, 4), "two MiB each are at most 32 MiB");
    let admin = app.anyone().with_token(token);
    drop(greedy);
    let released = async { while admin.get("/export/users.csv").await.status != 200 {} };
    tokio::time::timeout(TIMEOUT, released).await.expect("the memory is released");
}

#[both_databases]
async fn short_responses_that_nobody_reads_are_counted(place: Place) {
    let app = TestApp::start(&place).await;
    let health = get_with("/healthz", None);
    // A window of one byte: the response is handed over, but not written.
    let mut greedy = Vec::new();
    for _ in 0..20 {
        let mut raw = ask_over_http_2(&app, "127.0.0.1", 1, &health, 100).await;
        assert_eq!(statuses(&mut raw, 100).await, (100, 0));
        greedy.push(raw);
    }
    let mut last = ask_over_http_2(&app, "127.0.0.1", 1, &health, 100).await;
    assert_eq!(statuses(&mut last, 100).await, (48, 52), "2048 to one client");
    assert_eq!(app.anyone().get("/healthz").await.status, 200, "HTTP/1.1 is limited by connections");
    let mut other = ask_over_http_2(&app, "127.0.0.2", 1, &health, 100).await;
    assert_eq!(statuses(&mut other, 100).await, (100, 0), "others are served");
    drop((greedy, last));
    let released =
        async { while statuses(&mut ask_over_http_2(&app, "127.0.0.1", 1, &health, 1).await, 1).await.0 == 0 {} };
    tokio::time::timeout(TIMEOUT, released).await.expect("the responses are forgotten");
}

#[both_databases]
async fn an_export_that_nobody_reads_ends_whatever_else_its_connection_does(place: Place) {
    let app = TestApp::start_with(&place, |config| config.wire.send_timeout = SOON).await;
    let token = app.admin().await.access.unwrap();
    let export = get_with("/export/users.csv", Some(&token));
    let mut greedy = ask_over_http_2(&app, "127.0.0.1", 8, &export, 1).await;
    let (mut reader, mut writer) = greedy.0.split();
    let busy = async {
        for number in 1.. {
            // Its response fits into the window.
            if writer.write_all(&frame(1, 5, 2 * number + 1, &get_with("/healthz", None))).await.is_err() {
                break;
            }
            tokio::time::sleep(SOON / 10).await;
        }
    };
    let mut bytes = Vec::new();
    let ended = async {
        tokio::select! {
            _ = reader.read_to_end(&mut bytes) => {}
            () = busy => {}
        }
    };
    tokio::time::timeout(BEFORE_PINGS, ended).await.expect("the connection is closed");
}

#[both_databases]
async fn a_request_in_progress_does_not_keep_a_response_that_nobody_reads(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.wire.send_timeout = SOON;
        config.wire.body_timeout = Duration::from_secs(3600);
    })
    .await;
    let mut greedy = ask_and_read_nothing(&app, &script(&app).await, 1).await;
    // The headers of a POST whose body never arrives.
    assert!(greedy.say(frame(1, 4, 3, b"\x83\x86\x44\x08/graphql\x41\x01x\x5f\x10application/json")).await);
    let mut bytes = Vec::new();
    let closed = tokio::time::timeout(BEFORE_PINGS, greedy.0.read_to_end(&mut bytes)).await;
    assert!(closed.is_ok(), "the connection is closed");
}

const LISTED: &str = "https://app.example";

#[both_databases]
async fn only_listed_origins_may_call(place: Place) {
    let closed = TestApp::start(&place).await;
    let open = closed.start_second_with(&place, |config| config.allowed_origins = vec![LISTED.parse().unwrap()]).await;
    let preflight = async |app: &TestApp, path: &str, origin: &str| {
        let request = app.anyone().request("OPTIONS", path).header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        app.anyone().finish(request.header("access-control-request-headers", "content-type,authorization")).await
    };
    let allowed = preflight(&open, "/graphql", LISTED).await;
    assert_eq!(allowed.header("access-control-allow-origin"), LISTED);
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    assert_eq!(allowed.header("access-control-allow-methods"), "GET,POST");
    assert!(allowed.header("access-control-allow-headers").contains("graphql-require-preflight"));
    assert_eq!(allowed.header("access-control-max-age"), "3600");
    let answer = open.anyone().with_header("origin", LISTED).send("{ __typename }", json!({})).await;
    assert_eq!(answer.header("access-control-allow-origin"), LISTED);
    for app in ["capacitor://localhost", "chrome-extension://abcdefghijklmnop"] {
        let listed =
            closed.start_second_with(&place, |config| config.allowed_origins = vec![app.parse().unwrap()]).await;
        assert_eq!(preflight(&listed, "/graphql", app).await.header("access-control-allow-origin"), app);
        let page = listed.anyone().with_header("origin", app).with_header("sec-fetch-site", "cross-site");
        let login = "mutation($i: String!, $p: String!) {
            login(input: { identifier: $i, password: $p, refreshTokenIn: BODY }) { tokens { refreshToken } errors { code } }
        }";
        let answer = page.send(login, json!({ "i": ADMIN.0, "p": ADMIN.1 })).await;
        assert!(answer.body["data"]["login"]["tokens"]["refreshToken"].is_string(), "{}", answer.body);
    }
    assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
    let vary: Vec<_> = answer.headers.get_all("vary").iter().filter_map(|value| value.to_str().ok()).collect();
    assert!(vary.join(",").contains("origin"), "{vary:?}");

    for origin in [
        "null",
        "*",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://sub.app.example",
        "https://APP.example",
        "https://app.example/",
        "https://app.example, https://evil.example",
    ] {
        for path in ["/graphql", "/export/users.csv", "/account/sign-in", "/nowhere"] {
            let refused = preflight(&open, path, origin).await;
            assert_eq!(refused.header("access-control-allow-origin"), "", "{origin} {path}");
        }
        let answer = open.anyone().with_header("origin", origin).send("{ __typename }", json!({})).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
    for app in [&closed, &open] {
        assert_eq!(preflight(app, "/graphql", "https://evil.example").await.header("access-control-allow-origin"), "");
    }
    assert_eq!(preflight(&closed, "/graphql", LISTED).await.header("access-control-allow-origin"), "");
}

#[both_databases]
async fn pages_of_others_make_nobody_act(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let cookie = format!("refresh_token={}", ada.refresh);
    let logout = json!({ "query": "mutation { logout { success } }" }).to_string();
    let form = format!("query={}", url::form_urlencoded::byte_serialize(logout.as_bytes()).collect::<String>());
    let parts = "--x\r\ncontent-disposition: form-data; name=\"operations\"\r\n\r\n{}\r\n--x--\r\n";
    // Requests that a form or script of another site can send without a preflight.
    for (content_type, body) in [
        ("text/plain", logout.as_str()),
        ("text/plain; charset=utf-8", &logout),
        ("application/x-www-form-urlencoded", &form),
        ("multipart/form-data; boundary=x", parts),
        ("", &logout),
    ] {
        let mut request = app.anyone().request("POST", "/graphql").header("cookie", &cookie).body(body.to_owned());
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let refused = app.anyone().finish(request).await;
        assert!([400, 415].contains(&refused.status), "{content_type}: {}", refused.body);
        assert_eq!(refused.header("set-cookie"), "", "{content_type}");
    }
    let browser = app.anyone().with_header("cookie", &cookie);
    assert_eq!(browser.get("/graphql?query=mutation%7Blogout%7Bsuccess%7D%7D").await.status, 405);
    // Requests it could send if a browser allowed them: the cookie is ignored.
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let page = app.anyone().with_header("cookie", &cookie).with_header(name, value);
        let refresh = page.refusals("mutation { refresh { errors { code } } }", json!({})).await;
        assert_eq!(refresh, ["INVALID_TOKEN"], "{name}: {value}");
        assert_eq!(page.code("mutation { logout { success } }", json!({})).await, "UNAUTHENTICATED MISSING");
    }
    // It can neither open a WebSocket nor submit one of our forms.
    let opened = Socket::open_with(
        &app.url,
        &[("sec-websocket-protocol", "graphql-transport-ws"), ("origin", "https://evil.example")],
    );
    assert_eq!(opened.await.err(), Some((403, "FORBIDDEN".to_owned())));
    let request = app.anyone().request("POST", "/account/sign-in").header("origin", "https://evil.example");
    let request = request.header("content-type", "application/x-www-form-urlencoded").header("cookie", "csrf=x");
    assert_eq!(app.anyone().finish(request.body("csrf=x&identifier=ada&password=x")).await.status, 403);
    ada.data("{ me { id } }", json!({})).await;
}

/// Asserts the security headers of every response, and that it is not cached unless `kept` is its cache directive.
fn assert_guarded(answer: &Answer, kept: Option<&str>, what: &str) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(answer.header("x-frame-options"), "DENY", "{what}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{what}");
    assert!(["same-origin", "cross-origin"].contains(&answer.header("cross-origin-resource-policy")), "{what}");
    assert_eq!(answer.header("cache-control"), kept.unwrap_or("no-store"), "{what}");
    assert!(!answer.header("x-request-id").is_empty(), "{what}");
    assert_eq!(answer.header("server"), "", "{what}");
}

#[both_databases]
async fn every_answer_says_how_it_is_to_be_handled(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_mail_address = "1/1h".parse().unwrap()).await;
    let admin = app.admin().await;
    let ask = async |method: &str, path: &str, headers: &[(&'static str, &str)], body: &str| {
        let mut request = app.anyone().request(method, path).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.anyone().finish(request).await
    };
    let json = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let socket = [("upgrade", "websocket"), ("connection", "upgrade")];
    let huge = "x".repeat(200_000);
    for (method, path, headers, body, status) in [
        ("GET", "/", vec![], "", 303),
        ("GET", "/graphiql", vec![], "", 200),
        ("GET", "/graphql?query=%7B__typename%7D", vec![], "", 200),
        ("HEAD", "/graphql?query=%7B__typename%7D", vec![], "", 200),
        (
            "OPTIONS",
            "/graphql",
            vec![("origin", "https://x.example"), ("access-control-request-method", "POST")],
            "",
            200,
        ),
        ("GET", "/graphql", vec![("accept", "text/html")], "", 303),
        ("GET", "/graphql", vec![("accept", "image/png")], "", 406),
        ("GET", "/graphql", socket.to_vec(), "", 400),
        ("GET", "/graphql", [&socket[..], &[("origin", "https://evil.example")]].concat(), "", 403),
        ("POST", "/graphql", vec![json], "{", 400),
        ("POST", "/graphql", vec![json], &huge, 413),
        ("POST", "/graphql", vec![], "{}", 415),
        ("POST", "/graphql", vec![("content-type", "multipart/form-data; boundary=x")], "", 400),
        ("DELETE", "/graphql", vec![], "", 405),
        ("GET", "/account/sign-in", vec![], "", 200),
        ("GET", "/account/register", vec![], "", 200),
        ("GET", "/account/reset?uid=x&token=x", vec![], "", 422),
        ("POST", "/account/sign-in", vec![form], "identifier=x", 403),
        ("POST", "/account/sign-in", vec![form], &huge, 413),
        ("POST", "/account/sign-in", vec![json], "{}", 415),
        ("PUT", "/account/sign-in", vec![], "", 405),
        ("GET", "/export/users.csv", vec![], "", 401),
        ("GET", "/export/users.xlsx", vec![("authorization", "Bearer x")], "", 401),
        ("GET", "/import/users.xlsx", vec![], "", 200),
        ("GET", "/media/avatars/none.webp", vec![], "", 404),
        ("GET", "/media/avatars/%2e%2e%2fx", vec![], "", 404),
        ("GET", "/healthz", vec![], "", 200),
        ("GET", "/readyz", vec![], "", 200),
        ("GET", "/nowhere", vec![], "", 404),
        ("GET", "/dev/mail", vec![], "", 200),
    ] {
        let answer = ask(method, path, &headers, body).await;
        let what = format!("{method} {path} {headers:?}");
        // The test keeps mails in memory instead of the folder for developers.
        assert!(answer.status == status || path == "/dev/mail", "{what}: {}", answer.status);
        assert_guarded(&answer, None, &what);
        assert_eq!(answer.header("strict-transport-security"), "", "{what}: it came by http");
    }
    let avatar = ask("GET", "/.well-known/jwks.json", &[], "").await;
    assert_guarded(&avatar, Some("public, max-age=300"), "keys");
    assert_guarded(&ask("GET", "/account/style.css", &[], "").await, Some("public, max-age=3600"), "the style sheet");

    let login = json!({ "input": { "identifier": ADMIN.0, "password": ADMIN.1 } });
    let document = "mutation($input: LoginInput!) { login(input: $input) { tokens { accessToken } } }";
    assert_guarded(&app.anyone().send(document, login).await, None, "a sign-in");
    assert_guarded(&admin.get("/export/users.csv").await, None, "an export");
    assert_guarded(&admin.get("/export/users.xlsx").await, None, "a workbook");
    app.anyone().send(RESET, json!({})).await;
    let limited = app.anyone().send(RESET, json!({})).await;
    assert_eq!(limited.code(), "RATE_LIMITED");
    assert_guarded(&limited, None, "a limit");

    let secure = app.start_second_with(&place, |config| {
        config.public_url = Some("https://accounts.example".parse().unwrap());
    });
    let answer = secure.await.anyone().get("/nowhere").await;
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
}

/// Compressing a response with a secret beside text of an attacker reveals the secret by its length (BREACH,
/// CVE-2013-3587). Only the files of GraphiQL are compressed, because they are the same for everybody.
#[both_databases]
async fn nothing_is_compressed_that_could_hold_a_secret(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let packed = ("accept-encoding", "gzip, deflate, br, zstd");
    let admin = app.admin().await.with_header(packed.0, packed.1);
    let login = json!({ "input": { "identifier": ada.email, "password": PASSWORD } });
    let document = "mutation($input: LoginInput!) { login(input: $input) { tokens { accessToken refreshToken } } }";
    let mut answers: Vec<(String, Answer)> = vec![
        ("login".to_owned(), app.anyone().with_header(packed.0, packed.1).send(document, login).await),
        ("users".to_owned(), admin.send("{ users { nodes { id email } } }", json!({})).await),
        ("echo".to_owned(), admin.send(&format!("{{ {} }}", "x".repeat(5000)), json!({})).await),
    ];
    for path in [
        "/export/users.csv",
        "/export/users.xlsx",
        "/import/users.xlsx",
        "/account/sign-in",
        "/account/forgot",
        "/account/reset?uid=x&token=x",
        "/account/style.css",
        "/.well-known/jwks.json",
        "/nowhere",
        "/healthz",
    ] {
        answers.push((path.to_owned(), admin.get(path).await));
    }
    for (what, answer) in answers {
        assert_eq!(answer.header("content-encoding"), "", "{what}");
        assert_eq!(answer.header("transfer-encoding").replace("chunked", ""), "", "{what}");
    }
    // GraphiQL's page contains nothing of the request: it is the same for everybody.
    let page = async |client: Client, path: &str| match client.get(path).await.body {
        Value::String(text) => text,
        other => panic!("{other}"),
    };
    let mine = page(app.admin().await, "/graphiql?query=mine").await;
    assert_eq!(mine, page(app.anyone(), "/graphiql?query=theirs").await);
}
