//! Opening a connection to an SMTP server, up to the point where it can send a mail.

use std::io;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::CONNECT;
use super::line_stream::LineStream;
use super::refusal::{Stage, failure, no_connection};
use crate::tools::certificates::Trust;
use crate::tools::mail::transport::SendError;
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

/// A server with its settings.
#[derive(Clone)]
pub(super) struct MailServer {
    pub(super) url: SmtpUrl,
    /// Authorities that verify its certificate, besides the usual ones.
    pub(super) trust: Trust,
}

/// Connects, encrypts and signs in according to the URL.
pub(super) async fn open(server: &MailServer, steps: &mut Steps) -> Result<AsyncSmtpConnection, SendError> {
    let MailServer { url, trust } = server;
    let (host, mode) = (url.host(), url.mode());
    let failed = |stage| move |error: Error| failure(stage, &error);
    let tls = || tls_parameters(&host, trust).map_err(failed(Stage::Encryption));
    let url = url.parse();
    let name = url.path().trim_matches('/');
    let hello = if name.is_empty() { ClientId::default() } else { ClientId::Domain(name.to_owned()) };
    let connected = match mode {
        Mode::Wrapped => {
            let server = (host.as_str(), url.port().unwrap_or(SUBMISSIONS_PORT));
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &hello, Some(tls()?), None).await
        }
        Mode::Required | Mode::Opportunistic | Mode::Plain => {
            let port = if mode == Mode::Plain { SMTP_PORT } else { SUBMISSION_PORT };
            let stream =
                connect((host.as_str(), url.port().unwrap_or(port))).await.map_err(|error| no_connection(&error))?;
            AsyncSmtpConnection::connect_with_transport(Box::new(LineStream(stream)), &hello).await
        }
    };
    // A reply means that the connection was established: it is the server's greeting, or the reply to EHLO.
    if connected.as_ref().is_err_and(|error| error.status().is_some()) {
        steps.next("EHLO");
    }
    let mut connection = connected.map_err(failed(Stage::Settings))?;
    steps.next("EHLO");
    if mode == Mode::Required || mode == Mode::Opportunistic && connection.can_starttls() {
        steps.next("STARTTLS");
        connection.starttls(tls()?, &hello).await.map_err(failed(Stage::Encryption))?;
    }
    if let Some(password) = url.password() {
        steps.next("AUTH");
        let text = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = Credentials::new(text(url.username()), text(password));
        connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(failed(Stage::Settings))?;
    }
    Ok(connection)
}

/// Connects to the first of the server's addresses that responds.
async fn connect(server: (&str, u16)) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in lookup_host(server).await? {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Verification of the server's certificate: by built-in authorities, the system's, and the operator's own.
fn tls_parameters(host: &str, trust: &Trust) -> Result<TlsParameters, Error> {
    let mut builder = TlsParameters::builder(host.to_owned());
    for certificate in trust.all() {
        builder = builder.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
    }
    builder.build()
}
