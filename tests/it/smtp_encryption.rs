//! Encryption of connections to a mail server: the modes of `VESTIBULE_MAIL_URL`, bad certificates, and attempts to
//! prevent the encryption.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;
use test_macros::both_databases;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use uuid::Uuid;
use vestibule::tools::certificates::Trust;
use vestibule::tools::clock::Timestamp;
use vestibule::tools::mail::{MailUrl, Message, SendError, Transport};

use crate::certificate_authorities::server_tls;
use crate::process::{Serving, command, run};
use crate::test_app::START;
use crate::test_client::Client;
use crate::test_database::Place;

/// Timeout of a single read by the server; a working client takes much less.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A certificate of the server for `localhost` and 127.0.0.1, unless its name says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certificate {
    Good,
    Expired,
    /// For `mail.example.com`.
    Elsewhere,
}

/// A mail server, or somebody between it and the client.
#[derive(Clone, Copy, Debug)]
struct Script {
    certificate: Certificate,
    /// TLS from the start.
    is_wrapped: bool,
    /// STARTTLS is offered.
    offers: bool,
    /// Text sent in reply to STARTTLS.
    reply: &'static str,
}

const SUBMISSION: Script =
    Script { certificate: Certificate::Good, is_wrapped: false, offers: true, reply: "220 go on\r\n" };

const WRAPPED: Script = Script { is_wrapped: true, ..SUBMISSION };

/// A line from a client, and whether it was encrypted.
type Line = (bool, String);

/// Starts the server. It reports every line from its clients, messages as `.`.
fn serve(script: Script) -> (u16, Receiver<Line>) {
    let chain: &[u8] = match script.certificate {
        Certificate::Good => include_bytes!("certificates/server.pem"),
        Certificate::Expired => include_bytes!("certificates/expired.pem"),
        Certificate::Elsewhere => include_bytes!("certificates/elsewhere.pem"),
    };
    let config = server_tls(chain);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (said, heard) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (config, said) = (Arc::clone(&config), said.clone());
            // A client that does not trust the server disconnects.
            thread::spawn(move || drop(attend(stream.unwrap(), script, &config, &said)));
        }
    });
    (port, heard)
}

/// One connection.
fn attend(
    mut stream: TcpStream,
    script: Script,
    config: &Arc<ServerConfig>,
    said: &Sender<Line>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    if !script.is_wrapped {
        stream.write_all(b"220 ready\r\n")?;
        if !talk(&mut stream, script, false, said)? {
            return Ok(());
        }
    }
    let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream);
    if script.is_wrapped {
        tls.write_all(b"220 ready\r\n")?;
    }
    talk(&mut tls, script, true, said).map(drop)
}

/// A conversation until the client leaves, or TLS begins: then true.
fn talk(
    stream: &mut (impl Read + Write),
    script: Script,
    is_encrypted: bool,
    said: &Sender<Line>,
) -> std::io::Result<bool> {
    loop {
        let line = read_line(stream)?;
        let command = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let _ = said.send((is_encrypted, line));
        let offer = if script.offers && !is_encrypted { "250-STARTTLS\r\n" } else { "" };
        let reply = match command.as_str() {
            "EHLO" => format!("250-fake\r\n{offer}250 AUTH PLAIN\r\n"),
            "AUTH" => "235 in\r\n".to_owned(),
            "DATA" => "354 go on\r\n".to_owned(),
            "QUIT" => "221 bye\r\n".to_owned(),
            "STARTTLS" => script.reply.to_owned(),
            _ => "250 ok\r\n".to_owned(),
        };
        stream.write_all(reply.as_bytes())?;
        match command.as_str() {
            "STARTTLS" if reply.starts_with("220") => return Ok(true),
            "QUIT" => return Ok(false),
            "DATA" => {
                while read_line(stream)? != "." {}
                let _ = said.send((is_encrypted, ".".to_owned()));
                stream.write_all(b"250 kept\r\n")?;
            }
            _ => {}
        }
    }
}

/// Reads a line byte by byte, because TLS may begin after it.
fn read_line(stream: &mut impl Read) -> std::io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\n") {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/certificates")).join(name)
}

/// Trust in the authorities of all certificates.
fn trust() -> Trust {
    let both = ["authority.pem", "other-authority.pem"].map(|name| std::fs::read(file(name)).unwrap()).concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authorities.pem");
    std::fs::write(&path, both).unwrap();
    Trust::read(Some(&path)).unwrap()
}

/// Delivers mails over one transport, and returns the results with all lines that the server received.
async fn deliver(url: &str, script: Script, trust: &Trust, mails: u128) -> (Vec<Result<(), SendError>>, Vec<Line>) {
    let (port, heard) = serve(script);
    let url: MailUrl = url.replace("PORT", &port.to_string()).parse().unwrap();
    let transport = Transport::new(&url, trust);
    let from = "Vestibule <noreply@localhost>".parse().unwrap();
    let mut results = Vec::new();
    for number in 1..=mails {
        let message = Message {
            to: "admin@localhost".into(),
            to_name: String::new(),
            subject: "Hello".into(),
            text: "https://id.example.org/account/reset?token=geheim".into(),
            html: "<p>geheim</p>".into(),
            id: Uuid::from_u128(number),
        };
        results.push(transport.send(&from, Timestamp::parse(START).unwrap(), &message).await);
    }
    // The connection is closed behind an error; by then, the server has received everything.
    drop(transport);
    (results, heard.try_iter().collect())
}

/// Commands on the wire, with those under TLS in parentheses.
fn commands(lines: &[Line]) -> String {
    let one = |(is_encrypted, line): &Line| {
        let command = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        if *is_encrypted { format!("({command})") } else { command }
    };
    lines.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn each_mode_encrypts_as_its_url_says() {
    const ENCRYPTED: &str = "(AUTH) (MAIL) (RCPT) (DATA) (.)";
    const PLAIN: &str = "EHLO AUTH MAIL RCPT DATA .";
    let stripped = Script { offers: false, ..SUBMISSION };
    let upgraded = format!("EHLO STARTTLS (EHLO) {ENCRYPTED}");
    for (url, script, expected) in [
        ("smtps://me:geheim@localhost:PORT", WRAPPED, format!("(EHLO) {ENCRYPTED}")),
        ("smtps://me:geheim@127.0.0.1:PORT", WRAPPED, format!("(EHLO) {ENCRYPTED}")),
        ("smtp://me:geheim@localhost:PORT?tls=required", SUBMISSION, upgraded.clone()),
        ("smtp://me:geheim@127.0.0.1:PORT?tls=required", SUBMISSION, upgraded.clone()),
        ("smtp://me:geheim@localhost:PORT?tls=opportunistic", SUBMISSION, upgraded),
        // These are documented: the operator chooses them for a server nearby.
        ("smtp://me:geheim@localhost:PORT?tls=opportunistic", stripped, PLAIN.to_owned()),
        ("smtp://me:geheim@localhost:PORT", SUBMISSION, PLAIN.to_owned()),
    ] {
        let (results, lines) = deliver(url, script, &trust(), 1).await;
        assert_eq!((results, commands(&lines)), (vec![Ok(())], expected), "{url}");
    }
}

#[tokio::test]
async fn a_kept_connection_stays_encrypted() {
    let (results, lines) = deliver("smtp://localhost:PORT?tls=required", SUBMISSION, &trust(), 3).await;
    let one = "(MAIL) (RCPT) (DATA) (.)";
    let expected = format!("EHLO STARTTLS (EHLO) {one} (NOOP) {one} (NOOP) {one}");
    assert_eq!((results, commands(&lines)), (vec![Ok(()); 3], expected));
}

#[tokio::test]
async fn a_bad_certificate_is_refused_in_every_mode() {
    let unknown = "certificate not trusted: unknown issuer. Set VESTIBULE_CA_FILE to the certificate of its authority";
    let expired = "certificate not trusted: certificate expired";
    let name = "certificate not trusted: certificate not valid for name";
    for (certificate, trust, expected) in [
        (Certificate::Good, Trust::default(), unknown),
        (Certificate::Elsewhere, Trust::default(), unknown),
        (Certificate::Expired, trust(), expired),
        (Certificate::Elsewhere, trust(), name),
    ] {
        for (url, script) in [
            ("smtps://me:geheim@localhost:PORT", WRAPPED),
            ("smtps://me:geheim@127.0.0.1:PORT", WRAPPED),
            ("smtp://me:geheim@localhost:PORT?tls=required", SUBMISSION),
            // Whoever prevents the handshake must not get the mail instead.
            ("smtp://me:geheim@localhost:PORT?tls=opportunistic", SUBMISSION),
        ] {
            let (results, lines) = deliver(url, Script { certificate, ..script }, &trust, 1).await;
            let error = results[0].clone().unwrap_err();
            assert!(!error.permanent && error.summary.starts_with(expected), "{url} {certificate:?}: {error}");
            let commands = commands(&lines);
            let said_before = if script.is_wrapped { "" } else { "EHLO STARTTLS" };
            assert_eq!(commands, said_before, "{url} {certificate:?}");
        }
    }
}

#[tokio::test]
async fn a_downgrade_sends_nothing() {
    let required = "smtp://me:geheim@localhost:PORT?tls=required";
    let opportunistic = "smtp://me:geheim@localhost:PORT?tls=opportunistic";
    let missing = "the mail server lacks an extension that this message or our settings need";
    let refused = "454 4.7.0 TLS not available";
    let failed = "encrypted connection failed: ";
    let injected = "220 go on\r\n250-fake\r\n250 AUTH PLAIN\r\n";
    let script = |offers, reply| Script { offers, reply, ..SUBMISSION };
    for (url, script, expected) in [
        // Somebody removes the offer, refuses STARTTLS, or appends the reply to the next command to its reply.
        (required, script(false, ""), missing),
        (required, script(true, "454 4.7.0 TLS not available\r\n"), refused),
        (opportunistic, script(true, "454 4.7.0 TLS not available\r\n"), refused),
        (required, script(true, injected), failed),
        (opportunistic, script(true, injected), failed),
        // A server without TLS.
        ("smtps://me:geheim@localhost:PORT", SUBMISSION, failed),
    ] {
        let (results, lines) = deliver(url, script, &trust(), 1).await;
        let error = results[0].clone().unwrap_err();
        assert!(!error.permanent && error.summary.starts_with(expected), "{url} {script:?}: {error}");
        let commands = commands(&lines);
        assert!(!commands.contains("AUTH") && !commands.contains("MAIL"), "{url} {script:?}: {commands}");
    }
}

/// A service that sends its mails to this server.
fn serving(place: &Place, port: u16) -> Serving {
    let mut command = command(place);
    command.env("VESTIBULE_MAIL_URL", format!("smtp://me:geheim@localhost:{port}?tls=required"));
    command.env("VESTIBULE_CA_FILE", file("authority.pem"));
    Serving::start(command)
}

#[both_databases]
async fn a_service_sends_its_mails_encrypted_or_not_at_all(place: Place) {
    let request = "mutation { requestReset(input: { email: \"admin@localhost\" }) { success } }";
    let (port, heard) = serve(Script { offers: false, ..SUBMISSION });
    let mut service = serving(&place, port);
    Client::new(&service.url).data(request, json!({})).await;
    let logged = service.log_until("delivery attempt failed");
    assert!(logged.contains("the mail server lacks an extension"), "{logged}");
    service.stop();
    let plain: Vec<Line> = heard.try_iter().collect();
    assert!(commands(&plain).split(' ').all(|command| ["EHLO", "QUIT"].contains(&command)), "{plain:?}");
    let (_, listed, _) = run(command(&place), &["mail", "list", "--waiting"], "");
    assert!(listed.contains("RESET_PASSWORD") && listed.contains("lacks an extension"), "{listed}");

    let (port, heard) = serve(SUBMISSION);
    let service = serving(&place, port);
    assert!(run(command(&place), &["mail", "retry", "--all"], "").0);
    let mut lines = Vec::new();
    while !commands(&lines).ends_with("(.)") {
        lines.push(heard.recv_timeout(TIMEOUT).unwrap());
    }
    assert!(commands(&lines).starts_with("EHLO STARTTLS (EHLO) (AUTH) (MAIL) (RCPT) (DATA)"), "{lines:?}");
    service.stop();
}
