//! Graceful shutdown, and panics in resolvers.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::database::Kind;
use crate::inside::PANIC;
use crate::load::create;
use crate::outcome::{Findings, Outcome, because, wait_until, within};
use crate::rows::{Lab, clients};
use crate::service::{PASSWORD, Service};
use crate::sink::{Sink, TARPIT};

/// Sends SIGTERM during sign-ins, with open sockets, a half-sent request, and emails to a server that does not respond.
pub(super) async fn terminate(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, sink) = (lab.place(kind).await?, Sink::start().await?);
    let mail_url = sink.url();
    // A slow hash, so that requests are in progress.
    let settings = [("VESTIBULE_MAIL_URL", mail_url.as_str()), ("VESTIBULE_ARGON2", "m=65536,t=4,p=1")];
    let mut service = Service::start(&place, &settings).await?;
    let admin = service.admin().await?;
    for number in 0..30 {
        create(&admin, json!({ "email": format!("{TARPIT}-{number}@example.com") })).await?;
    }
    let sockets = join_all((0..20).map(|_| clients::connect(&service.address, &admin))).await;
    let sockets = sockets.into_iter().collect::<Outcome<Vec<_>>>()?;
    let mut half = TcpStream::connect(&service.address).await?;
    half.write_all(b"POST /graphql HTTP/1.1\r\nhost: x\r\n").await?;
    let client = service.client();
    let sign_ins =
        tokio::spawn(async move { join_all((0..4).map(|_| client.login("admin@localhost", PASSWORD))).await });
    let leased = "SELECT recipient FROM mails WHERE leased_until IS NOT NULL";
    wait_until(Duration::from_secs(10), async || Ok(!place.texts(leased).await?.is_empty())).await?;
    sleep(Duration::from_millis(100)).await;

    let told = Instant::now();
    service.signal(Signal::TERM)?;
    let mut sockets_lost = 0;
    for mut socket in sockets {
        let last = within(Duration::from_secs(15), socket.next()).await?;
        let going_away = matches!(&last, Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 1001);
        sockets_lost += usize::from(!going_away);
        // Responds to the close frame.
        let _ = timeout(Duration::from_secs(5), socket.next()).await;
    }
    because(sockets_lost == 0, || format!("{sockets_lost} sockets were not closed with 1001"))?;
    let answers = sign_ins.await?;
    let acknowledged = answers.len();
    let lost = answers.iter().filter(|answer| !answer.as_ref().is_ok_and(|answer| answer.code().is_none())).count();
    because(service.ended(Duration::from_secs(15)).await?, || "the service did not exit cleanly".to_owned())?;
    let recovery = Some(told.elapsed());
    service.check_log()?;
    let mails = place.texts("SELECT recipient FROM mails WHERE status = 'QUEUED'").await?.len();
    because(mails == 30, || format!("{mails} of 30 emails are waiting"))?;
    Ok(Findings { acknowledged, lost, recovery, ..Findings::default() })
}

const CREATE: &str = "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } errors { code } } }";

/// Makes resolvers panic, outside and inside transactions, more often than there are database connections.
pub(super) async fn panic(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let place = lab.place(kind).await?;
    let mut service = Service::start_faulty(&place, PANIC).await?;
    let admin = service.admin().await?;
    let mut socket = clients::connect(&service.address, &admin).await?;
    for round in 0..15 {
        let in_query = service.client().login(PANIC, PASSWORD).await?;
        let input = json!({ "input": { "email": format!("{PANIC}-{round}@example.com") } });
        let in_transaction = admin.ask(CREATE, &input).await?;
        for answer in [in_query, in_transaction] {
            answer.must_be("INTERNAL_SERVER_ERROR")?;
            let text = answer.body.to_string();
            because(!text.contains("panic") && !text.contains("src/"), || {
                format!("the response reveals too much: {text}")
            })?;
        }
    }
    let began = Instant::now();
    create(&admin, json!({ "email": "afterwards@example.com", "password": PASSWORD })).await?;
    join_all((0..20).map(|_| admin.me())).await.into_iter().try_for_each(|answer| answer?.must_succeed())?;
    let recovery = Some(began.elapsed());
    because(service.lives()?, || "the process ended".to_owned())?;
    let left = place.texts(&format!("SELECT email FROM users WHERE email LIKE '{PANIC}%'")).await?;
    because(left.is_empty(), || format!("a panicked transaction was committed: {left:?}"))?;
    let closed = timeout(Duration::from_millis(100), socket.next()).await;
    because(closed.is_err(), || "another socket was closed".to_owned())?;
    let data = admin.data("{ me { id } }", &Value::Null).await?;
    because(data["me"]["id"].is_string(), || data.to_string())?;
    Ok(Findings { acknowledged: 1, recovery, ..Findings::default() })
}
