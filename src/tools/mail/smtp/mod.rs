//! Delivery to an SMTP server (RFC 5321).

mod connection;
mod idle;
mod line_stream;
mod probe;
mod refusal;

use std::fmt;
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use tokio::time::timeout;

use self::connection::{MailServer, Steps};
use self::idle::Idle;
use self::refusal::{Stage, failure};
use crate::tools::certificates::Trust;
use crate::tools::mail::transport::SendError;
use crate::tools::mail::url::SmtpUrl;

/// Connect timeout.
const CONNECT: Duration = Duration::from_secs(10);
/// Timeout of one delivery. A server that scans the message before it accepts it needs some seconds; giving up on it
/// would send the mail twice.
const DELIVERY: Duration = Duration::from_secs(30);

/// Error for a server without SMTPUTF8 (RFC 6531).
const NO_SMTPUTF8: &str = "the mail server takes only ASCII letters before the @ of an address (no SMTPUTF8)";

/// Error for a server without 8BITMIME (RFC 6152).
const NO_8BITMIME: &str = "the mail server lacks 8BITMIME, which this message needs";

pub use self::probe::{ProbeReport, probe};

/// Delivery to an SMTP server, over connections that are kept open between messages.
pub struct Smtp {
    server: MailServer,
    idle: Idle,
    limit: Duration,
}

impl Smtp {
    pub(super) fn new(url: &SmtpUrl, trust: &Trust) -> Self {
        let server = MailServer { url: url.clone(), trust: trust.clone() };
        Self { server, idle: Idle::default(), limit: DELIVERY }
    }

    /// Delivers one message. Delivery continues if the caller stops waiting, so that a message that the server is about
    /// to accept is not interrupted. A connection is kept only after a complete conversation: otherwise the next
    /// message would read the reply to this one.
    pub(super) async fn send(&self, message: Message) -> Result<(), SendError> {
        let (server, idle) = (self.server.clone(), self.idle.clone());
        let delivery = tokio::spawn(timeout(self.limit, async move { deliver(&server, &idle, &message).await }));
        match delivery.await {
            Ok(Ok(delivered)) => delivered,
            Ok(Err(_)) => Err(SendError::temporary("the mail server timed out")),
            Err(_) => Err(SendError::temporary("the delivery was interrupted")),
        }
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Smtp({})", self.server.url)
    }
}

async fn deliver(server: &MailServer, idle: &Idle, message: &Message) -> Result<(), SendError> {
    let mut connection = match idle.take().await {
        Some(connection) => connection,
        None => connection::open(server, &mut Steps::new()).await?,
    };
    let Err(error) = hand_over(&mut connection, message).await else {
        idle.keep(connection);
        return Ok(());
    };
    // The server may be slow to close the connection.
    tokio::spawn(async move { timeout(CONNECT, connection.abort()).await });
    Err(error)
}

async fn hand_over(connection: &mut AsyncSmtpConnection, message: &Message) -> Result<(), SendError> {
    let (envelope, content) = (message.envelope(), message.formatted());
    let mut parameters = Vec::new();
    let addresses = envelope.to().iter().chain(envelope.from());
    if !addresses.map(AsRef::<str>::as_ref).all(str::is_ascii) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(SendError::temporary(NO_SMTPUTF8));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !content.is_ascii() {
        if !connection.server_info().supports_feature(Extension::EightBitMime) {
            return Err(SendError::temporary(NO_8BITMIME));
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let failed = |stage| move |error: Error| failure(stage, &error);
    let sender = Mail::new(envelope.from().cloned(), parameters);
    connection.command(sender).await.map_err(failed(Stage::Settings))?;
    for recipient in envelope.to() {
        connection.command(Rcpt::new(recipient.clone(), Vec::new())).await.map_err(failed(Stage::Recipient))?;
    }
    connection.command(Data).await.map_err(failed(Stage::Recipient))?;
    connection.message(&content).await.map_err(failed(Stage::Content))?;
    Ok(())
}

#[cfg(test)]
mod tests;
