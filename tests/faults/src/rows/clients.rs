//! Slow, idle, or very many clients.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::client::Client;
use crate::database::Kind;
use crate::load::create;
use crate::outcome::{Findings, Outcome, because, in_time, p95, wait_until, within};
use crate::rows::Lab;
use crate::service::{PASSWORD, Service};

const HALF_HEADERS: &str = "POST /graphql HTTP/1.1\r\nhost: x\r\nx-slow: ";
const HALF_BODY: &str =
    "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
const HALF_FORM: &str = "POST /account/sign-in HTTP/1.1\r\nhost: x\r\n\
    content-type: application/x-www-form-urlencoded\r\ncontent-length: 1000\r\n\r\na";

/// Latencies of this number of `me` queries.
async fn ask_me(client: &Client, times: usize) -> Outcome<Duration> {
    let mut took = Vec::new();
    for _ in 0..times {
        let answer = client.me().await?;
        answer.must_succeed()?;
        took.push(answer.took);
    }
    Ok(p95(took))
}

/// Opens connections that send one byte per second or nothing, and waits until the service closes them.
pub(super) async fn slow(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let place = lab.place(kind).await?;
    let service = Service::start(&place, &[]).await?;
    let admin = service.admin().await?;
    let quiet = ask_me(&admin, 100).await?;
    let beginnings = [(HALF_HEADERS, 500), (HALF_BODY, 400), (HALF_FORM, 100), ("", 100), ("PRI", 100)];
    let mut slow = Vec::new();
    for (beginning, count) in beginnings {
        for _ in 0..count {
            let mut stream = TcpStream::connect(&service.address).await?;
            stream.write_all(beginning.as_bytes()).await?;
            slow.push(tokio::spawn(drip(stream, !matches!(beginning, "" | "PRI"))));
        }
    }
    let begun = Instant::now();
    let meanwhile = ask_me(&admin, 200).await?;
    in_time(meanwhile, quiet * 2 + Duration::from_millis(100), || "`me`".to_owned());
    let closed = within(Duration::from_secs(25), join_all(slow)).await;
    closed.map_err(|error| format!("the end of all connections: {error}"))?;
    service.check_log()?;
    Ok(Findings { acknowledged: 200, recovery: Some(begun.elapsed()), ..Findings::default() })
}

/// Sends one byte per second until the service closes the connection.
async fn drip(mut stream: TcpStream, sends: bool) {
    let mut answer = [0; 1024];
    loop {
        match timeout(Duration::from_secs(1), stream.read(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) => {}
            Err(_) => {
                if sends && stream.write_all(b"x").await.is_err() {
                    return;
                }
            }
        }
    }
}

/// An authenticated graphql-transport-ws socket.
pub(super) async fn connect(address: &str, client: &Client) -> Outcome<WebSocketStream<TcpStream>> {
    let mut request = format!("ws://{address}/graphql").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse()?);
    let (mut socket, _) = client_async(request, TcpStream::connect(address).await?).await?;
    let init = json!({ "type": "connection_init", "payload": { "Authorization": client.authorization() } });
    socket.send(Message::text(init.to_string())).await?;
    let answer = within(Duration::from_secs(20), socket.next()).await?.ok_or("the socket was closed")??;
    because(answer.to_text()?.contains("connection_ack"), || format!("{answer:?}"))?;
    Ok(socket)
}

/// Keeps a thousand idle connections open.
pub(super) async fn idle_sockets(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let place = lab.place(kind).await?;
    let most = [("VESTIBULE_SOCKETS_PER_CLIENT", "1000"), ("VESTIBULE_CONNECTIONS_PER_CLIENT", "1100")];
    let service = Service::start(&place, &most).await?;
    let admin = service.admin().await?;
    let (quiet, memory) = (ask_me(&admin, 100).await?, service.memory()?);
    let mut sockets = JoinSet::new();
    for _ in 0..20 {
        let opened = join_all((0..50).map(|_| connect(&service.address, &admin))).await;
        for mut socket in opened.into_iter().collect::<Outcome<Vec<_>>>()? {
            // Reading responds to pings.
            sockets.spawn(async move { while socket.next().await.is_some_and(|received| received.is_ok()) {} });
        }
    }
    because(connect(&service.address, &admin).await.is_err(), || {
        "a connection beyond the limit was accepted".to_owned()
    })?;
    let meanwhile = ask_me(&admin, 200).await?;
    in_time(meanwhile, quiet * 2 + Duration::from_millis(100), || "`me`".to_owned());
    let more = service.memory()?.saturating_sub(memory);
    because(more < 150, || format!("they take {more} MiB"))?;
    let lost = sockets.len();
    while sockets.try_join_next().is_some() {}
    let lost = lost - sockets.len();
    sockets.shutdown().await;
    let gone = Instant::now();
    wait_until(Duration::from_secs(10), async || Ok(connect(&service.address, &admin).await.is_ok())).await?;
    service.check_log()?;
    Ok(Findings { acknowledged: 1000, lost, recovery: Some(gone.elapsed()), ..Findings::default() })
}

/// Runs two hundred simultaneous sign-ins with default hashes, and another client's queries meanwhile.
pub(super) async fn argon2(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let place = lab.place(kind).await?;
    let service = Service::start(&place, &[("VESTIBULE_ARGON2", "m=19456,t=2,p=1")]).await?;
    let admin = service.admin().await?;
    let memory = service.memory()?;
    let client = service.client();
    // A different account, because a user has at most fifty sessions and the prober's would end.
    create(&admin, json!({ "email": "many@example.com", "password": PASSWORD })).await?;
    let sign_ins =
        tokio::spawn(async move { join_all((0..200).map(|_| client.login("many@example.com", PASSWORD))).await });
    let mut took = Vec::new();
    while !sign_ins.is_finished() {
        let answer = admin.me().await?;
        answer.must_succeed()?;
        took.push(answer.took);
    }
    let (mut done, mut turned_away) = (0, 0);
    for answer in sign_ins.await? {
        let answer = answer?;
        in_time(answer.took, Duration::from_secs(20), || "a sign-in".to_owned());
        match answer.code() {
            None => done += 1,
            Some(_) => {
                answer.must_be("SERVICE_UNAVAILABLE")?;
                turned_away += 1;
            }
        }
    }
    because(done > 0 && turned_away > 0, || format!("{done} signed in, {turned_away} refused"))?;
    in_time(p95(took), Duration::from_millis(500), || "`me`".to_owned());
    let cores = u64::try_from(std::thread::available_parallelism()?.get())?;
    let (more, bound) = (service.memory()?.saturating_sub(memory), 64 + 20 * cores);
    because(more < bound, || format!("{more} MiB more than before, the limit is {bound}"))?;
    let after = Instant::now();
    client_again(&service).await?;
    service.check_log()?;
    Ok(Findings { acknowledged: done, recovery: Some(after.elapsed()), ..Findings::default() })
}

async fn client_again(service: &Service) -> Outcome<()> {
    service.admin().await?.me().await?.must_succeed()
}
