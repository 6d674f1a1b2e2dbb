//! A connection to an SMTP server, up to the point where a mail can be sent over it.

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;
use url::Host;

use super::CONNECT;
use crate::tools::mail::url::SmtpUrl;

/// The steps of a conversation.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    /// The steps that the server accepted, in their order.
    pub(super) done: Vec<&'static str>,
    /// The step under way.
    pub(super) now: &'static str,
}

impl Steps {
    pub(super) fn new() -> Self {
        Self { done: Vec::new(), now: "connect" }
    }

    /// Goes on to a step; the one under way was accepted.
    pub(super) fn next(&mut self, step: &'static str) {
        self.done.push(self.now);
        self.now = step;
    }
}

/// Connects, encrypts and signs in as the address says.
pub(super) async fn open(url: &SmtpUrl, steps: &mut Steps) -> Result<AsyncSmtpConnection, Error> {
    let url = url.parse();
    // An IPv6 address has brackets in the address only.
    let host = match url.host() {
        Some(Host::Ipv6(ip)) => ip.to_string(),
        _ => url.host_str().unwrap_or_default().to_owned(),
    };
    let mode = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, mode)| mode.into_owned());
    let (wrapped, port) = match (url.scheme(), &mode) {
        ("smtps", _) => (Some(TlsParameters::new(host.clone())?), SUBMISSIONS_PORT),
        (_, Some(_)) => (None, SUBMISSION_PORT),
        _ => (None, SMTP_PORT),
    };
    let name = url.path().trim_matches('/');
    let hello = if name.is_empty() { ClientId::default() } else { ClientId::Domain(name.to_owned()) };
    let server = (host.clone(), url.port().unwrap_or(port));
    let connected = AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &hello, wrapped, None).await;
    // An answer comes only once there is a connection: the server's greeting, or what it says to our name.
    if connected.as_ref().is_err_and(|error| error.status().is_some()) {
        steps.next("EHLO");
    }
    let mut connection = connected?;
    steps.next("EHLO");
    if mode.as_deref() == Some("required") || mode.is_some() && connection.can_starttls() {
        steps.next("STARTTLS");
        connection.starttls(TlsParameters::new(host)?, &hello).await?;
    }
    if let Some(password) = url.password() {
        steps.next("AUTH");
        let text = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        connection.auth(DEFAULT_MECHANISMS, &Credentials::new(text(url.username()), text(password))).await?;
    }
    Ok(connection)
}
