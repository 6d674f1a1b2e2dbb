//! A mail server that takes mails, or does not.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::outcome::Outcome;

/// How the server deals with mails.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Manner {
    Accepting,
    /// Takes each after a while.
    Slow,
    /// Answers 451 to every recipient.
    Later,
    /// Answers 550 to every recipient.
    Never,
}

/// Addresses of which the server says nothing any more, whatever its manner.
pub(crate) const TARPIT: &str = "tarpit";

/// How long a slow server takes for a mail.
const SLOW: Duration = Duration::from_millis(500);

/// The server; dropped, it is down, and its port is free.
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

/// A mail that the server said it had taken.
#[derive(Clone)]
pub(crate) struct Taken {
    pub(crate) recipient: String,
    pub(crate) text: String,
}

impl Taken {
    /// A parameter of the link in it.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let text = self.text.replace("=\r\n", "").replace("=3D", "=");
        let (_, rest) = text.split_once(&format!("{name}="))?;
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    }
}

impl Sink {
    /// A server on a free port.
    pub(crate) async fn start() -> Outcome<Self> {
        Self::start_at(0).await
    }

    /// A server on this port.
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
                // A client that goes away ends its talk, and nothing else.
                talks.spawn(async move { drop(talk(stream, &shared).await) });
            }
        });
        Ok(Self { port, shared, _work: work })
    }

    /// The setting that leads mails here.
    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, manner: Manner) {
        self.shared.manner.store(manner as u8, Ordering::SeqCst);
    }

    /// What it took so far.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of what it took were for such addresses, and how many addresses those are.
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
                // From here on it is taken, whether or not the client lives to hear it.
                let taken = Taken { recipient: recipient.clone(), text };
                shared.taken.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
                b"250 taken\r\n"
            }
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
    }
}
