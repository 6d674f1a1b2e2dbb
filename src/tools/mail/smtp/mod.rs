//! Delivery to an SMTP server (RFC 5321).

mod probe;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::time::timeout;

use crate::tools::certificates::{self, Trust};
use crate::tools::mail::transport::SendError;
use crate::tools::mail::url::{Mode, SmtpUrl};

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one delivery may take in all. A server that examines the message before it accepts it needs some seconds, and
/// giving up on it then would send the mail twice.
const DELIVERY: Duration = Duration::from_secs(30);

pub use self::probe::{Talk, probe};

const TLS_FAILED: &str = "no secure connection to the mail server: TLS failed";

type Pool = AsyncSmtpTransport<Tokio1Executor>;

/// Connections to an SMTP server, kept open between messages.
pub struct Smtp {
    url: SmtpUrl,
    trust: Trust,
    pool: Mutex<Pool>,
    limit: Duration,
}

impl Smtp {
    pub(super) fn new(url: &SmtpUrl, trust: &Trust) -> Self {
        Self { url: url.clone(), trust: trust.clone(), pool: Mutex::new(connections(url, trust)), limit: DELIVERY }
    }

    /// Delivers one message. It goes on where the caller stops waiting: the connection would otherwise return to the pool
    /// amid a conversation, and the next message would take the answer to this one for its own.
    pub(super) async fn send(&self, message: Message) -> Result<(), SendError> {
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sending = pool.clone();
        let mut delivery = tokio::spawn(async move { sending.send(message).await });
        match timeout(self.limit, &mut delivery).await {
            Ok(Ok(Ok(_))) => Ok(()),
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
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = connections(&self.url, &self.trust);
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Smtp({})", self.url)
    }
}

fn connections(url: &SmtpUrl, trust: &Trust) -> Pool {
    let builder = url.builder().timeout(Some(CONNECT));
    let tls = match url.mode() {
        Mode::Plain => return builder.build(),
        // Without a usable name there is no certificate to compare, and connecting fails as before.
        mode => tls_parameters(&url.host(), trust).map(|parameters| match mode {
            Mode::Wrapped => Tls::Wrapper(parameters),
            Mode::Required => Tls::Required(parameters),
            Mode::Plain | Mode::Opportunistic => Tls::Opportunistic(parameters),
        }),
    };
    match tls {
        Ok(tls) => builder.tls(tls).build(),
        Err(_) => builder.build(),
    }
}

/// How the server's certificate is verified: by authorities that are built in, the system's, and the operator's own.
fn tls_parameters(host: &str, trust: &Trust) -> Result<TlsParameters, Error> {
    let mut builder = TlsParameters::builder(host.to_owned());
    for certificate in trust.all() {
        builder = builder.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
    }
    builder.build()
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
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            let of_tls = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            return match of_tls {
                Some(error) => certificates::explain(error),
                None if error.is_tls() => TLS_FAILED.to_owned(),
                None => format!("no connection to the mail server: {}", cause.kind()),
            };
        }
        source = cause.source();
    }
    if error.is_tls() {
        return TLS_FAILED.to_owned();
    }
    if error.is_client() {
        return "the mail server lacks what this message or our settings need".to_owned();
    }
    "no sensible answer from the mail server".to_owned()
}

#[cfg(test)]
mod tests;
