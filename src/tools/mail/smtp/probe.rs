//! A check of an SMTP server: the conversation before a mail, without sending one.

use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::commands::{Mail, Rset};
use tokio::time::timeout;

use super::connection::{self, MailServer, Steps};
use super::refusal::{Stage, failure};
use crate::tools::certificates::Trust;
use crate::tools::mail::message::Sender;
use crate::tools::mail::transport::SendError;
use crate::tools::mail::url::SmtpUrl;

/// Timeout of the whole conversation.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeReport {
    /// The steps that the server accepted, in their order.
    pub done: Vec<&'static str>,
    /// True if the connection was encrypted.
    pub encrypted: bool,
    /// The step that failed, and its error.
    pub failed: Option<(&'static str, SendError)>,
}

/// Connects, encrypts, signs in and names this sender, as for a mail, then disconnects. Sends no mail.
pub async fn probe(url: &SmtpUrl, trust: &Trust, from: &Sender) -> ProbeReport {
    let (mut steps, mut encrypted) = (Steps::new(), false);
    let server = MailServer { url: url.clone(), trust: trust.clone() };
    let outcome = timeout(TIMEOUT, converse(&server, from, &mut steps, &mut encrypted)).await;
    let failed = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some((steps.now, error)),
        Err(_) => Some((steps.now, SendError::temporary("the mail server timed out"))),
    };
    ProbeReport { done: steps.done, encrypted, failed }
}

async fn converse(
    server: &MailServer,
    from: &Sender,
    steps: &mut Steps,
    encrypted: &mut bool,
) -> Result<(), SendError> {
    let failed = |error: Error| failure(Stage::Settings, &error);
    let mut connection = connection::open(server, steps).await?;
    *encrypted = connection.is_encrypted();
    steps.next("MAIL FROM");
    connection.command(Mail::new(Some(from.0.email.clone()), Vec::new())).await.map_err(failed)?;
    steps.next("RSET");
    connection.command(Rset).await.map_err(failed)?;
    connection.quit().await.map_err(failed)?;
    Ok(())
}
