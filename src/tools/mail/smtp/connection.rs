//! Opening a connection to an SMTP server, up to the point where it can send a mail.

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;

use super::CONNECT;
use crate::tools::certificates::Trust;
use crate::tools::mail::url::{Mode, SmtpUrl};

/// The steps of a conversation.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    /// The steps that the server accepted, in their order.
    pub(super) done: Vec<&'static str>,
    /// The current step.
    pub(super) now: &'static str,
}

impl Steps {
    pub(super) fn new() -> Self {
        Self { done: Vec::new(), now: "connect" }
    }

    /// Proceeds to a step; the current one was accepted.
    pub(super) fn next(&mut self, step: &'static str) {
        self.done.push(self.now);
        self.now = step;
    }
}

/// Connects, encrypts and signs in according to the URL.
pub(super) async fn open((url, trust): (&SmtpUrl, &Trust), steps: &mut Steps) -> Result<AsyncSmtpConnection, Error> {
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
    let connected = AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &hello, wrapped, None).await;
    // A reply means that the connection was established: it is the server's greeting, or the reply to EHLO.
    if connected.as_ref().is_err_and(|error| error.status().is_some()) {
        steps.next("EHLO");
    }
    let mut connection = connected?;
    steps.next("EHLO");
    if mode == Mode::Required || mode == Mode::Opportunistic && connection.can_starttls() {
        steps.next("STARTTLS");
        connection.starttls(tls_parameters(&host, trust)?, &hello).await?;
    }
    if let Some(password) = url.password() {
        steps.next("AUTH");
        let text = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        connection.auth(DEFAULT_MECHANISMS, &Credentials::new(text(url.username()), text(password))).await?;
    }
    Ok(connection)
}

/// Verification of the server's certificate: by built-in authorities, the system's, and the operator's own.
fn tls_parameters(host: &str, trust: &Trust) -> Result<TlsParameters, Error> {
    let mut builder = TlsParameters::builder(host.to_owned());
    for certificate in trust.all() {
        builder = builder.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
    }
    builder.build()
}
