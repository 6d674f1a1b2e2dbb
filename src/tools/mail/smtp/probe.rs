//! A conversation with an SMTP server as before a mail, that ends before one is sent.

use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Mail, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use super::{CONNECT, failure, tls_parameters};
use crate::tools::certificates::Trust;
use crate::tools::mail::message::Sender;
use crate::tools::mail::transport::SendError;
use crate::tools::mail::url::{Mode, SmtpUrl};

/// How long the whole conversation may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How far a conversation came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Talk {
    /// The steps that the server accepted, in their order.
    pub done: Vec<&'static str>,
    /// Whether it was encrypted in the end.
    pub encrypted: bool,
    /// The step at which it failed, and why.
    pub failed: Option<(&'static str, SendError)>,
}

/// Connects, encrypts and signs in as for a mail from this sender, has the sender accepted, and leaves. Nobody is mailed.
pub async fn probe(url: &SmtpUrl, trust: &Trust, from: &Sender) -> Talk {
    let mut talk = Talk::default();
    let mut step = "connect";
    let outcome = timeout(PATIENCE, converse((url, trust), from, &mut talk, &mut step)).await;
    talk.failed = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some((step, failure(&error))),
        Err(_) => Some((step, SendError::temporary("the mail server took too long to answer"))),
    };
    talk
}

async fn converse(
    (url, trust): (&SmtpUrl, &Trust),
    from: &Sender,
    talk: &mut Talk,
    step: &mut &'static str,
) -> Result<(), Error> {
    let (host, mode) = (url.host(), url.mode());
    let url = url.parse();
    let (wrapped, port) = match mode {
        Mode::Wrapped => (Some(tls_parameters(&host, trust)?), SUBMISSIONS_PORT),
        Mode::Required | Mode::Opportunistic => (None, SUBMISSION_PORT),
        Mode::Plain => (None, SMTP_PORT),
    };
    let name = url.path().trim_matches('/');
    let hello = if name.is_empty() { ClientId::default() } else { ClientId::Domain(name.to_owned()) };
    let server = (host.clone(), url.port().unwrap_or(port));
    let mut connection = AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &hello, wrapped, None).await?;
    talk.done.extend(["connect", "EHLO"]);
    if mode == Mode::Required || mode == Mode::Opportunistic && connection.can_starttls() {
        *step = "STARTTLS";
        connection.starttls(tls_parameters(&host, trust)?, &hello).await?;
        talk.done.push(step);
    }
    talk.encrypted = connection.is_encrypted();
    if let Some(password) = url.password() {
        *step = "AUTH";
        let text = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        connection.auth(DEFAULT_MECHANISMS, &Credentials::new(text(url.username()), text(password))).await?;
        talk.done.push(step);
    }
    *step = "MAIL FROM";
    connection.command(Mail::new(Some(from.0.email.clone()), Vec::new())).await?;
    talk.done.push(step);
    *step = "RSET";
    connection.command(Rset).await?;
    *step = "QUIT";
    connection.quit().await?;
    Ok(())
}
