//! Delivery to an SMTP server (RFC 5321).

mod probe;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::time::timeout;

use crate::tools::mail::transport::SendError;
use crate::tools::mail::url::SmtpUrl;

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one delivery may take in all. A server that examines the message before it accepts it needs some seconds, and
/// giving up on it then would send the mail twice.
const DELIVERY: Duration = Duration::from_secs(30);

/// Why a message was not handed over to a server without SMTPUTF8 (RFC 6531).
const NO_SMTPUTF8: &str = "the mail server takes only ASCII letters before the @ of an address (no SMTPUTF8)";

pub use self::probe::{Talk, probe};

type Pool = AsyncSmtpTransport<Tokio1Executor>;

/// Connections to an SMTP server, kept open between messages.
pub struct Smtp {
    url: SmtpUrl,
    pool: Mutex<Pool>,
    limit: Duration,
}

impl Smtp {
    pub(super) fn new(url: &SmtpUrl) -> Self {
        Self { url: url.clone(), pool: Mutex::new(connections(url)), limit: DELIVERY }
    }

    /// Delivers one message. It goes on where the caller stops waiting: the connection would otherwise return to the pool
    /// amid a conversation, and the next message would take the answer to this one for its own.
    pub(super) async fn send(&self, message: Message) -> Result<(), SendError> {
        let has_ascii_addresses =
            message.envelope().to().iter().all(|address| AsRef::<str>::as_ref(address).is_ascii());
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sending = pool.clone();
        let mut delivery = tokio::spawn(async move { sending.send(message).await });
        match timeout(self.limit, &mut delivery).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err(error))) if error.is_client() && !has_ascii_addresses => Err(SendError::temporary(NO_SMTPUTF8)),
            Ok(Ok(Err(error))) => Err(failure(&error)),
            Ok(Err(_)) => Err(SendError::temporary("the delivery was interrupted")),
            Err(_) => {
                self.renew();
                let limit = self.limit;
                // Once the pool is shut, the connection is closed instead of kept.
                tokio::spawn(async move {
                    let _ = timeout(limit, pool.shutdown()).await;
                    delivery.abort();
                });
                Err(SendError::temporary("the mail server took too long to answer"))
            }
        }
    }

    fn renew(&self) {
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = connections(&self.url);
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Smtp({})", self.url)
    }
}

fn connections(url: &SmtpUrl) -> Pool {
    url.builder().timeout(Some(CONNECT)).build()
}

fn failure(error: &Error) -> SendError {
    let Some(code) = error.status() else {
        return SendError::temporary(&unanswered(error));
    };
    let code = u16::from(code);
    // Answers to how we sign in (RFC 4954, section 6): about a setting, not about the message, and may quote the password.
    if matches!(code, 432 | 454 | 530 | 534 | 535 | 538) {
        return SendError::temporary(&format!("{code} the mail server does not accept how we sign in"));
    }
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    let summary = format!("{code} {text}");
    if error.is_permanent() { SendError::permanent(&summary) } else { SendError::temporary(&summary) }
}

/// Why there was no answer, in words of our own: an error's own text may hold anything.
fn unanswered(error: &Error) -> String {
    if error.is_tls() {
        return "no secure connection to the mail server: TLS failed".to_owned();
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return format!("no connection to the mail server: {}", cause.kind());
        }
        source = cause.source();
    }
    if error.is_client() {
        return "the mail server lacks what this message or our settings need".to_owned();
    }
    "no sensible answer from the mail server".to_owned()
}

#[cfg(test)]
mod tests;
