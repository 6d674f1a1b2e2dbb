//! A mail server that accepts or rejects emails.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::outcome::Outcome;

/// Behaviour of the server.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Manner {
    Accepting,
    /// Accepts each email after a delay.
    Slow,
    /// Responds with 451 to every recipient.
    Later,
    /// Responds with 550 to every recipient.
    Never,
}

/// Recipients to which the server never responds, in any mode.
pub(crate) const TARPIT: &str = "tarpit";

/// Delay of a slow server per email.
const SLOW: Duration = Duration::from_millis(500);

/// The server; on drop it stops and frees its port.
pub(crate) struct Sink {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    _work: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    manner: AtomicU8,
    taken: Mutex<Vec<Taken>>,
}

/// An email that the server has accepted.
#[derive(Clone)]
pub(crate) struct Taken {
    pub(crate) recipient: String,
    pub(crate) text: String,
}

impl Taken {
    /// A parameter of the link in the email.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let text = self.text.replace("=\r\n", "").replace("=3D", "=");
        let (_, rest) = text.split_once(&format!("{name}="))?;
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    }
}

impl Sink {
    /// Starts a server on a free port.
    pub(crate) async fn start() -> Outcome<Self> {
        Self::start_at(0).await
    }

    /// Starts a server on this port.
    pub(crate) async fn start_at(port: u16) -> Outcome<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let mut work = JoinSet::new();
        let for_all = Arc::clone(&shared);
        work.spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&for_all);
                // A client that disconnects ends only its own connection.
                talks.spawn(async move { drop(talk(stream, &shared).await) });
            }
        });
        Ok(Self { port, shared, _work: work })
    }

    /// Mail URL of the server.
    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, manner: Manner) {
        self.shared.manner.store(manner as u8, Ordering::SeqCst);
    }

    /// Emails accepted so far.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Number of accepted emails to matching addresses, and number of these addresses.
    pub(crate) fn count(&self, prefix: &str) -> (usize, usize) {
        let taken = self.taken();
        let mut recipients: Vec<&str> = taken.iter().map(|mail| mail.recipient.as_str()).collect();
        recipients.retain(|recipient| recipient.starts_with(prefix));
        let all = recipients.len();
        recipients.sort_unstable();
        recipients.dedup();
        (all, recipients.len())
    }
}

async fn talk(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await?;
    let mut recipient = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let manner = shared.manner.load(Ordering::SeqCst);
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer: &[u8] = match verb.as_str() {
            "EHLO" => b"250-sink\r\n250 8BITMIME\r\n",
            "QUIT" => return stream.write_all(b"221 bye\r\n").await,
            "RCPT" if line.contains(TARPIT) => {
                std::future::pending::<()>().await;
                b""
            }
            "RCPT" if manner == Manner::Later as u8 => b"451 later\r\n",
            "RCPT" if manner == Manner::Never as u8 => b"550 never\r\n",
            "RCPT" => {
                recipient = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                b"250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut text).await? == 0 {
                        return Ok(());
                    }
                }
                if manner == Manner::Slow as u8 {
                    tokio::time::sleep(SLOW).await;
                }
                // From here on the email is accepted, even if the client dies before the response.
                let taken = Taken { recipient: recipient.clone(), text };
                shared.taken.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
                b"250 taken\r\n"
            }
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
    }
}
