//! Large exports whose clients stop reading or disconnect: memory, permits and database connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use vestibule::entity::user;

use crate::test_app::TestApp;
use crate::test_database::Place;

/// Timeout of expected events, which normally take much less.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Timeout of a client that reads nothing: short, because a test waits for it.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);

/// Number of users in a page of an export.
const PAGE: usize = 500;

/// Statements for a page: a check of the caller's rights, and the rows.
const PER_PAGE: usize = 2;

const CSV: &str = "/export/users.csv";

/// Creates users for this number of pages, each of two megabytes. The system buffers at most two of them.
async fn fill(app: &TestApp, pages: usize) {
    let one = user::Entity::find().one(app.db()).await.unwrap().unwrap();
    for batch in 0..pages {
        let rows = (0..PAGE).map(|number| {
            let name = format!("user{batch}x{number}");
            let email = format!("{name}@example.com");
            user::ActiveModel {
                id: Set(app.app.clock.now().id()),
                username: Set(name.clone()),
                username_key: Set(name),
                email: Set(email.clone()),
                email_key: Set(email),
                bio: Set("x".repeat(4000)),
                ..one.clone().into()
            }
        });
        user::Entity::insert_many(rows).exec_without_returning(app.db()).await.unwrap();
    }
}

/// Opens a connection from this local address that buffers little.
async fn connect(app: &TestApp, ip: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(format!("{ip}:0").parse().unwrap()).unwrap();
    socket.connect(app.url.trim_start_matches("http://").parse().unwrap()).await.unwrap()
}

/// Requests a path, and reads the status of the response.
async fn ask(stream: &mut TcpStream, path: &str, token: &str) -> std::io::Result<[u8; 12]> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status)
}

/// The body of a chunked response (RFC 9112, section 7.1).
fn whole_of(response: &[u8]) -> Vec<u8> {
    let after = |bytes: &[u8], end: &[u8]| bytes.windows(end.len()).position(|part| part == end).unwrap() + end.len();
    let mut rest = &response[after(response, b"\r\n\r\n")..];
    let mut body = Vec::new();
    loop {
        let start = after(rest, b"\r\n");
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..start - 2]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[start..start + length]);
        rest = &rest[start + length + 2..];
    }
}

/// True if the service accepts this number of connections from a local address.
async fn accepts(app: &TestApp, ip: &str, count: usize) -> bool {
    let mut open = Vec::new();
    for _ in 0..count {
        let mut stream = connect(app, ip).await;
        if ask(&mut stream, "/healthz", "").await.is_err() {
            return false;
        }
        open.push(stream);
    }
    true
}

/// Polls until a condition is true.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, waiting).await.unwrap_or_else(|_| panic!("{what} within {TIMEOUT:?}"));
}

/// True if all database connections are idle, and so in no transaction.
fn is_idle(app: &TestApp) -> bool {
    app.app.db.pools().iter().all(|pool| pool.idle == usize::try_from(pool.open).unwrap())
}

#[both_databases]
async fn an_export_is_read_as_its_client_takes_it_and_ends_where_it_takes_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    fill(&app, 5).await;
    let token = app.admin().await.access.unwrap();
    let counter = Arc::new(AtomicUsize::new(0));
    let service = app.start_second_counting_with(&place, Arc::clone(&counter), |config| {
        config.wire.send_timeout = SEND_TIMEOUT;
        config.wire.connections_per_client = 1;
    });
    let service = service.await;
    let statements = || counter.load(Ordering::SeqCst);

    let before = statements();
    let mut reader = connect(&service, "127.0.0.7").await;
    assert_eq!(&ask(&mut reader, CSV, &token).await.unwrap(), b"HTTP/1.1 200");
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n0\r\n\r\n") {
        assert!(reader.read_buf(&mut text).await.unwrap() > 0, "the export is complete");
    }
    assert_eq!(String::from_utf8(whole_of(&text)).unwrap().matches("@example.com").count(), 5 * PAGE);
    let whole = statements() - before;
    assert!(whole > 5 * PER_PAGE, "{whole}");

    let before = statements();
    let mut stalled = connect(&service, "127.0.0.8").await;
    assert_eq!(&ask(&mut stalled, CSV, &token).await.unwrap(), b"HTTP/1.1 200");
    until("no database connection is occupied by a client that reads nothing", async || is_idle(&service)).await;
    assert!(!accepts(&service, "127.0.0.8", 1).await, "it is still connected");
    until("the connection is closed", async || accepts(&service, "127.0.0.8", 1).await).await;
    let taken = statements() - before;
    assert!(taken + 2 * PER_PAGE <= whole, "{taken} of {whole} statements for a client that read nothing");
    assert!(is_idle(&service));
}

#[both_databases]
async fn clients_that_leave_a_download_free_everything(place: Place) {
    let app = TestApp::start(&place).await;
    fill(&app, 2).await;
    let token = app.admin().await.access.unwrap();
    let counter = Arc::new(AtomicUsize::new(0));
    let many = 4;
    let service = app.start_second_counting_with(&place, Arc::clone(&counter), |config| {
        config.wire.connections_per_client = u32::try_from(many).unwrap();
    });
    let service = service.await;
    for path in [CSV, "/export/users.xlsx"] {
        // More workbooks than are written at a time.
        let before = counter.load(Ordering::SeqCst);
        let mut leaving = Vec::new();
        for _ in 0..many {
            let mut stream = connect(&service, "127.0.0.9").await;
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            leaving.push(stream);
        }
        until("the exports have begun", async || counter.load(Ordering::SeqCst) >= before + many).await;
        drop(leaving);
        until("their permits are free", async || accepts(&service, "127.0.0.9", many).await).await;
        until("their database connections are free", async || is_idle(&service)).await;
        let whole = async {
            let mut stream = connect(&service, "127.0.0.7").await;
            ask(&mut stream, path, &token).await.unwrap()
        };
        let status = tokio::time::timeout(TIMEOUT, whole).await.expect("the next export begins");
        assert_eq!(&status, b"HTTP/1.1 200", "{path}");
    }
}
