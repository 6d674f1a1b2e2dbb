//! A conversation with an SMTP server as before a mail, that ends before one is sent.

use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::commands::{Mail, Rset};
use tokio::time::timeout;

use super::connection::{self, Steps};
use super::refusal::{Stage, failure};
use crate::tools::certificates::Trust;
use crate::tools::mail::message::Sender;
use crate::tools::mail::transport::SendError;
use crate::tools::mail::url::SmtpUrl;

/// How long the whole conversation may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How far a conversation came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeReport {
    /// The steps that the server accepted, in their order.
    pub done: Vec<&'static str>,
    /// Whether it was encrypted in the end.
    pub encrypted: bool,
    /// The step at which it failed, and why.
    pub failed: Option<(&'static str, SendError)>,
}

/// Connects, encrypts and signs in as for a mail from this sender, has the sender accepted, and leaves. Nobody is mailed.
pub async fn probe(url: &SmtpUrl, trust: &Trust, from: &Sender) -> ProbeReport {
    let (mut steps, mut encrypted) = (Steps::new(), false);
    let outcome = timeout(TIMEOUT, converse((url, trust), from, &mut steps, &mut encrypted)).await;
    let failed = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some((steps.now, failure(Stage::Settings, &error))),
        Err(_) => Some((steps.now, SendError::temporary("the mail server took too long to answer"))),
    };
    ProbeReport { done: steps.done, encrypted, failed }
}

async fn converse(
    server: (&SmtpUrl, &Trust),
    from: &Sender,
    steps: &mut Steps,
    encrypted: &mut bool,
) -> Result<(), Error> {
    let mut connection = connection::open(server, steps).await?;
    *encrypted = connection.is_encrypted();
    steps.next("MAIL FROM");
    connection.command(Mail::new(Some(from.0.email.clone()), Vec::new())).await?;
    steps.next("RSET");
    connection.command(Rset).await?;
    connection.quit().await?;
    Ok(())
}
