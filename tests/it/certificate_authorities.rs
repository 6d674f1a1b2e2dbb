//! Servers with certificates of a private authority.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use test_macros::both_databases;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::process::{Serving, command, run};
use crate::test_client::Client;
use crate::test_database::Place;

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/certificates/authority.pem");

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// Settings of a local server with these certificates of the tests.
pub(crate) fn server_tls(chain: &[u8]) -> Arc<ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("certificates/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// A local server with an untrusted certificate. It passes on each connection before and after TLS.
fn serve(
    mut greet: impl FnMut(&mut TcpStream) + Send + 'static,
    mut talk: impl FnMut(Tls) -> std::io::Result<()> + Send + 'static,
) -> u16 {
    let config = server_tls(include_bytes!("certificates/server.pem"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            greet(&mut stream);
            // A client that does not trust it disconnects.
            let _ = talk(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream));
        }
    });
    port
}

#[both_databases]
async fn a_mail_server_is_trusted_by_the_authorities_of_a_file(place: Place) {
    assert!(run(command(&place), &["migrate"], "").0);
    let talk = |mut tls: Tls| {
        tls.write_all(b"220 ready\r\n")?;
        let mut lines = BufReader::new(tls);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            lines.get_mut().write_all(b"250 well\r\n")?;
            line.clear();
        }
        Ok(())
    };
    let port = serve(|_| {}, talk);
    let doctor = |authority: Option<&str>| {
        let mut command = command(&place);
        command.env("VESTIBULE_MAIL_URL", format!("smtps://localhost:{port}"));
        command.envs(authority.map(|file| ("VESTIBULE_CA_FILE", file)));
        let (_, printed, _) = run(command, &["doctor", "--time", "2ms"], "");
        printed
    };
    let printed = doctor(None);
    assert!(
        printed.contains("connect failed: certificate not trusted: unknown issuer. Set VESTIBULE_CA_FILE"),
        "{printed}"
    );
    let printed = doctor(Some(AUTHORITY));
    assert!(printed.contains("accepts connect, EHLO, MAIL FROM (encrypted)"), "{printed}");
}

#[both_databases]
async fn a_range_api_is_trusted_by_the_authorities_of_a_file(place: Place) {
    let talk = |tls: Tls| {
        let mut lines = BufReader::new(tls);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 2 {
            line.clear();
        }
        lines.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    };
    let port = serve(|_| {}, talk);
    let doctor = |authority: Option<&str>| {
        let mut command = command(&place);
        command.env("VESTIBULE_BREACHED_PASSWORDS_API", format!("https://localhost:{port}/range/"));
        command.envs(authority.map(|file| ("VESTIBULE_CA_FILE", file)));
        let (_, printed, _) = run(command, &["doctor", "--time", "2ms"], "");
        printed
    };
    let printed = doctor(None);
    assert!(printed.contains("FAIL  breached ") && printed.contains("UnknownIssuer"), "{printed}");
    let printed = doctor(Some(AUTHORITY));
    assert!(printed.contains("/range returns ranges of hashes"), "{printed}");
}

#[both_databases]
async fn a_database_server_is_trusted_by_the_authorities_of_a_file(place: Place) {
    // Start of PostgreSQL's protocol: a client requests TLS with eight bytes, and the response is one byte.
    let greet = |stream: &mut TcpStream| {
        let mut asked = [0; 8];
        stream.read_exact(&mut asked).unwrap();
        stream.write_all(b"S").unwrap();
    };
    let (said, heard) = channel();
    let port = serve(greet, move |mut tls| {
        let mut length = [0; 4];
        tls.read_exact(&mut length)?;
        let _ = said.send(());
        Ok(())
    });
    let refused = |address: &str, authority: Option<&str>| {
        let mut command = command(&place);
        command.env("VESTIBULE_DATABASE_URL", format!("postgres://u:geheim@localhost:{port}/d?{address}"));
        command.envs(authority.map(|file| ("VESTIBULE_CA_FILE", file)));
        let (success, _, errors) = run(command, &["users", "list"], "");
        assert!(!success && !errors.contains("geheim"), "{errors}");
        errors
    };
    let errors = refused("sslmode=verify-full", None);
    assert!(
        errors.contains("VESTIBULE_DATABASE_URL: certificate not trusted: unknown issuer. Set VESTIBULE_CA_FILE"),
        "{errors}"
    );
    assert!(heard.try_recv().is_err());
    // It is trusted, and then disconnects.
    for (address, authority) in [
        ("sslmode=verify-full", Some(AUTHORITY)),
        (&*format!("sslmode=verify-full&sslrootcert={AUTHORITY}"), None),
        ("sslmode=verify-ca", Some(AUTHORITY)),
    ] {
        let errors = refused(address, authority);
        assert!(errors.contains("the connection was closed by the other side"), "{errors}");
        heard.try_recv().unwrap();
    }
}

/// A collector of traces, which returns the first lines of each request.
fn collector() -> (u16, Receiver<String>) {
    let (said, heard) = channel();
    let port = serve(
        |_| {},
        move |tls| {
            let mut lines = BufReader::new(tls);
            let mut first = String::new();
            lines.read_line(&mut first)?;
            lines.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
            let _ = said.send(first);
            Ok(())
        },
    );
    (port, heard)
}

#[both_databases]
async fn a_collector_is_trusted_by_the_authorities_of_a_file(place: Place) {
    for (authority, is_trusted) in [(None, false), (Some(AUTHORITY), true)] {
        let (port, heard) = collector();
        let mut command = command(&place);
        command.env("VESTIBULE_OTLP_ENDPOINT", format!("https://localhost:{port}"));
        command.envs(authority.map(|file| ("VESTIBULE_CA_FILE", file)));
        let serving = Serving::start(command);
        Client::new(&serving.url).data("{ __typename }", json!({})).await;
        // Pending traces are sent at shutdown.
        serving.stop();
        let sent = heard.try_iter().next();
        assert_eq!(sent.as_deref().map(str::trim_end), is_trusted.then_some("POST /v1/traces HTTP/1.1"));
    }
}

#[both_databases]
async fn a_file_without_certificates_is_reported(place: Place) {
    let file = place.folder.join("authorities.pem");
    for (text, says) in [
        (None, "No such file or directory"),
        (Some("nothing of the kind"), "the file must contain PEM certificates"),
        (
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "the file must contain PEM certificates",
        ),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        for arguments in [["serve"], ["migrate"]] {
            let mut command = command(&place);
            command.env("VESTIBULE_CA_FILE", &file);
            let (success, _, errors) = run(command, &arguments, "");
            let expected = format!("vestibule: VESTIBULE_CA_FILE: {}: {says}", file.display());
            assert!(!success && errors.starts_with(&expected), "{errors}");
        }
    }
}
