//! State shared by two instances behind nginx: sessions, limits, presence, and revocations.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::database::Kind;
use crate::load::create;
use crate::outcome::{Findings, Outcome, because, within};
use crate::proxy::Proxy;
use crate::rows::balanced::{addresses, start};
use crate::rows::{Lab, clients};
use crate::service::{PASSWORD, Service};

const LOGOUT: &str = "mutation { logout { success errors { code } } }";

/// Time limit of a notification.
const HEARING: Duration = Duration::from_secs(10);

/// Number of subscribers behind nginx.
const LISTENERS: usize = 20;

/// Settings with rate limits on, per account and per client.
const LIMITS: &[(&str, &str)] = &[("VESTIBULE_LIMITS", "on")];

type Socket = WebSocketStream<TcpStream>;

/// Checks the shared state, at two instances and through nginx.
pub(super) async fn between_two(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, addresses) = (lab.place(kind).await?, addresses()?);
    let (one, mut two) = tokio::try_join!(start(&place, &addresses[0], LIMITS), start(&place, &addresses[1], LIMITS))?;
    let proxy = Proxy::start([&addresses[0], &addresses[1]]).await?;
    let admin = one.admin().await?.at(&proxy.address);
    for name in ["ada", "bob", "cy", "dora", "eve", "fay"] {
        let is_staff = name == "dora";
        let input = json!({ "email": format!("{name}@example.com"), "username": name, "password": PASSWORD, "isStaff": is_staff });
        create(&admin, input).await?;
    }
    let mut held = sessions(&one, &two).await?;

    wrong_passwords(&one, &two).await?;
    two.signal(Signal::TERM)?;
    because(two.ended(Duration::from_secs(15)).await?, || "it did not end well".to_owned())?;
    two = start(&place, &addresses[1], LIMITS).await?;
    for client in [two.client(), one.client(), admin.clone()] {
        client.login("bob", PASSWORD).await?.must_be("RATE_LIMITED")?;
    }
    // Another client address, forwarded by nginx, is not limited.
    let elsewhere = admin.clone().coming_from("127.0.0.9".parse()?).sign_in("bob", PASSWORD).await?;
    let data = elsewhere.data("{ sessions { ip } }", &Value::Null).await?;
    because(data["sessions"][0]["ip"] == "127.0.0.9", || format!("the client's address is {}", data["sessions"]))?;
    held += 4;

    let mut socket = listen(&one.address, &admin).await?;
    come(&two.client(), "cy").await?;
    hear(&mut socket, "cy@").await?;
    let dora = one.client().sign_in("dora", PASSWORD).await?;
    let mut socket = listen(&one.address, &dora).await?;
    dora.at(&two.address).data(LOGOUT, &Value::Null).await?;
    let code = closed(&mut socket).await?;
    because(code == 4403, || format!("after a sign-out at the other instance, the socket was closed with {code}"))?;
    held += 2;

    let sockets = join_all((0..LISTENERS).map(|_| listen(&proxy.address, &admin))).await;
    let mut sockets = sockets.into_iter().collect::<Outcome<Vec<_>>>()?;
    let died = Instant::now();
    one.kill().await?;
    let mut reconnected = 0;
    for socket in &mut sockets {
        // Subscribers at the other instance get no message, or one about a user.
        while let Ok(received) = timeout(Duration::from_millis(500), socket.next()).await {
            if matches!(received, None | Some(Err(_))) {
                *socket = listen(&proxy.address, &admin).await?;
                reconnected += 1;
                break;
            }
        }
    }
    because((1..LISTENERS).contains(&reconnected), || {
        format!("{reconnected} of {LISTENERS} subscribers were at the killed instance")
    })?;
    come(&admin, "eve").await?;
    join_all(sockets.iter_mut().map(|socket| hear(socket, "eve@"))).await.into_iter().collect::<Outcome<()>>()?;
    let recovery = Some(died.elapsed());
    crate::say(&format!(
        "{reconnected} of {LISTENERS} subscribers were at the killed instance, reconnected through nginx, and get messages again"
    ));
    held += LISTENERS;

    // The restarted instance also notifies subscribers of the other one.
    let back = start(&place, &addresses[0], LIMITS).await?;
    come(&back.client(), "fay").await?;
    join_all(sockets.iter_mut().map(|socket| hear(socket, "fay@"))).await.into_iter().collect::<Outcome<()>>()?;
    back.check_log()?;
    two.check_log()?;
    Ok(Findings { acknowledged: held + LISTENERS, recovery, ..Findings::default() })
}

/// Opens, uses and ends sessions at alternating instances. Returns the number of successful checks.
async fn sessions(one: &Service, two: &Service) -> Outcome<usize> {
    let (at_one, at_two) = (&one.address, &two.address);
    let mut client = one.client().sign_in("ada", PASSWORD).await?;
    for address in [at_two, at_one, at_two, at_one] {
        client = client.at(address).refreshed().await?;
        client.me().await?.must_succeed()?;
        // Simultaneous refreshes at both return the same successor.
        let asked = [at_one, at_two, at_one, at_two].map(|address| client.at(address));
        let answers = join_all(asked.iter().map(|client| client.refresh_with(&client.refresh))).await;
        let mut successors = HashSet::new();
        for answer in answers {
            let answer = answer?;
            answer.must_succeed()?;
            successors.insert(answer.body["data"]["refresh"]["tokens"]["refreshToken"].to_string());
        }
        because(successors.len() == 1, || format!("{} successors of one refresh token", successors.len()))?;
    }
    // A token older than the last two counts as stolen at any instance.
    let first = one.client().sign_in("ada", PASSWORD).await?;
    let second = first.at(at_two).refreshed().await?;
    let third = second.at(at_one).refreshed().await?;
    third.at(at_two).me().await?.must_succeed()?;
    first.at(at_two).refresh_with(&first.refresh).await?.must_be("INVALID_TOKEN")?;
    for address in [at_one, at_two] {
        third.at(address).me().await?.must_be("UNAUTHENTICATED")?;
        third.at(address).refresh_with(&third.refresh).await?.must_be("INVALID_TOKEN")?;
    }
    // A sign-out at one instance takes effect immediately at the other.
    for (here, there) in [(at_one, at_two), (at_two, at_one)] {
        let client = one.client().at(here).sign_in("ada", PASSWORD).await?;
        client.at(there).me().await?.must_succeed()?;
        client.data(LOGOUT, &Value::Null).await?;
        client.at(there).me().await?.must_be("UNAUTHENTICATED")?;
        client.at(there).refresh_with(&client.refresh).await?.must_be("INVALID_TOKEN")?;
    }
    Ok(4 + 1 + 2)
}

/// Wrong passwords at alternating instances share one limit.
async fn wrong_passwords(one: &Service, two: &Service) -> Outcome<()> {
    for round in 0..10 {
        let client = if round % 2 == 0 { one.client() } else { two.client() };
        client.login("bob", "a wrong password").await?.must_be("INVALID_CREDENTIALS")?;
    }
    for client in [one.client(), two.client()] {
        client.login("bob", "a wrong password").await?.must_be("RATE_LIMITED")?;
    }
    Ok(())
}

/// Signs a user in and sends a query, so that the user is online.
async fn come(anyone: &Client, name: &str) -> Outcome<()> {
    anyone.clone().sign_in(name, PASSWORD).await?.me().await?.must_succeed()
}

/// A socket with a subscription to online users.
async fn listen(address: &str, client: &Client) -> Outcome<Socket> {
    let mut socket = clients::connect(address, client).await?;
    let query = json!({ "query": "subscription { onlineUsers { email } }" });
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": query });
    socket.send(Message::text(subscribe.to_string())).await?;
    hear(&mut socket, "@").await?;
    Ok(socket)
}

/// Waits until a user appears in the list of online users.
async fn hear(socket: &mut Socket, who: &str) -> Outcome<()> {
    let heard = async {
        while let Some(received) = socket.next().await {
            if received?.to_text().is_ok_and(|text| text.contains("\"next\"") && text.contains(who)) {
                return Ok(());
            }
        }
        Err::<(), Box<dyn std::error::Error + Send + Sync>>("the socket was closed".into())
    };
    within(HEARING, heard).await.map_err(|error| format!("a message about {who}: {error}"))?
}

/// Waits until the service closes the socket, and returns the close code.
async fn closed(socket: &mut Socket) -> Outcome<u16> {
    let code = async {
        while let Some(received) = socket.next().await {
            if let Message::Close(frame) = received? {
                return Ok(frame.map_or(0, |frame| frame.code.into()));
            }
        }
        Err::<u16, Box<dyn std::error::Error + Send + Sync>>("the socket ended without a close frame".into())
    };
    within(HEARING, code).await.map_err(|error| format!("the end of the socket: {error}"))?
}
