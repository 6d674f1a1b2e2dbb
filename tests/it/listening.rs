//! Listen addresses, SIGHUP, and output to pipes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use test_macros::both_databases;

use serde_json::json;

use crate::process::{Serving, command, run};
use crate::test_client::Client;
use crate::test_database::Place;

const REQUEST: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

fn answer(mut stream: impl std::io::Read + std::io::Write) -> String {
    stream.write_all(REQUEST.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[both_databases]
async fn a_socket_file_is_served_and_goes_away_with_the_process(place: Place) {
    let path = place.folder.join("vestibule.sock");
    let listen = format!("unix:{}", path.display());
    let command = || {
        let mut command = command(&place);
        command.env("VESTIBULE_LISTEN", &listen).env("VESTIBULE_PUBLIC_URL", "https://id.example.com");
        command
    };
    let serving = Serving::start(command());
    assert_eq!(serving.url, listen);
    assert!(answer(UnixStream::connect(&path).unwrap()).starts_with("HTTP/1.1 200 OK"));
    let (success, _, errors) = run(command(), &[], "");
    assert!(!success && errors.contains(&format!("VESTIBULE_LISTEN: {listen}: address in use")), "{errors}");
    assert!(answer(UnixStream::connect(&path).unwrap()).starts_with("HTTP/1.1 200 OK"), "the first goes on");
    serving.stop();
    assert!(!path.exists());

    let serving = Serving::start(command());
    serving.signal("-KILL");
    while UnixStream::connect(&path).is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(path.exists(), "nothing could clear it away");
    drop(serving);
    let serving = Serving::start(command());
    assert!(answer(UnixStream::connect(&path).unwrap()).starts_with("HTTP/1.1 200 OK"));
    serving.stop();

    let mut without_url = command();
    let (success, _, errors) =
        run(std::mem::replace(without_url.env_remove("VESTIBULE_PUBLIC_URL"), Command::new("true")), &[], "");
    assert!(!success && errors.contains("VESTIBULE_PUBLIC_URL is required"), "{errors}");
}

#[both_databases]
async fn a_name_is_served_at_its_addresses(place: Place) {
    let mut command = command(&place);
    command.env("VESTIBULE_LISTEN", "localhost:0").env("VESTIBULE_ADMIN_PASSWORD", "a rather long phrase of mine");
    let serving = Serving::start(command);
    let port = serving.url.strip_prefix("http://localhost:").expect("the URL has the host name").to_owned();
    assert!(answer(TcpStream::connect(format!("127.0.0.1:{port}")).unwrap()).starts_with("HTTP/1.1 200 OK"));
    let client = Client::new(&serving.url).sign_in("admin", "a rather long phrase of mine").await;
    client.data("{ me { id } }", json!({})).await;
    serving.stop();
}

#[both_databases]
async fn a_socket_that_systemd_passes_is_served(place: Place) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let settings = command(&place);
    // Like systemd: the first socket is file descriptor 3.
    let mut activated = Command::new("sh");
    activated.args([
        "-c",
        "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\"",
        env!("CARGO_BIN_EXE_vestibule"),
    ]);
    activated.env_clear().current_dir(&place.folder);
    activated.envs(settings.get_envs().filter_map(|(name, value)| Some((name, value?))));
    activated.env("VESTIBULE_LISTEN", "127.0.0.1:1");
    activated
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let serving = Serving::start(activated);
    assert_eq!(serving.url, format!("http://{address}"));
    assert!(answer(TcpStream::connect(address).unwrap()).starts_with("HTTP/1.1 200 OK"));
    serving.stop();
    assert!(TcpStream::connect(address).is_ok(), "systemd goes on listening, and would start it again");
}

fn with_file(place: &Place, settings: &str) -> Command {
    let file = place.folder.join("settings.toml");
    std::fs::write(&file, settings).unwrap();
    let mut command = command(place);
    command.env("VESTIBULE_CONFIG", file);
    command
}

#[both_databases]
async fn at_a_hangup_settings_are_read_again_and_no_request_is_lost(place: Place) {
    let mut serving = Serving::start(with_file(&place, "log = 'info'\nsite_name = 'One'"));
    let address = serving.url.trim_start_matches("http://").to_owned();
    let mut under_way = TcpStream::connect(&address).unwrap();
    under_way.write_all(&REQUEST.as_bytes()[..20]).unwrap();
    with_file(&place, "log = 'debug'\nsite_name = 'Other'");
    serving.signal("-HUP");
    let line = serving.log_until("settings reloaded");
    assert!(line.contains("applied=\"log\"") || line.contains("applied=log"), "{line}");
    let line = serving.log_until("take effect after a restart");
    assert!(line.contains("site_name") && !line.contains("public_url"), "{line}");
    under_way.write_all(&REQUEST.as_bytes()[20..]).unwrap();
    let mut answered = String::new();
    under_way.read_to_string(&mut answered).unwrap();
    assert!(answered.starts_with("HTTP/1.1 200 OK"), "{answered}");
    serving.log_until("request complete");
    serving.signal("-HUP");
    serving.log_until("settings reloaded");
    assert!(answer(TcpStream::connect(&address).unwrap()).starts_with("HTTP/1.1 200 OK"));
    serving.stop();
}

#[both_databases]
async fn wrong_settings_are_reported_at_a_hangup_and_not_used(place: Place) {
    let mut serving = Serving::start(with_file(&place, "log = 'info'"));
    with_file(&place, "log = 'debug'\naccess_ttl = 'soon'");
    serving.signal("-HUP");
    let line = serving.log_until("keeping the current ones");
    assert!(line.contains("VESTIBULE_ACCESS_TTL: 'soon' is not a duration"), "{line}");
    let address = serving.url.trim_start_matches("http://").to_owned();
    assert!(answer(TcpStream::connect(&address).unwrap()).starts_with("HTTP/1.1 200 OK"));
    serving.stop();
}

#[both_databases]
async fn a_reader_who_goes_away_ends_no_command(place: Place) {
    for arguments in [
        &["schema"][..],
        &["--help"],
        &["completions", "bash"],
        &["man"],
        &["config", "show"],
        &["doctor"],
        &["create-superuser", "--email", "a@example.com"],
        &["users", "list"],
        &["audit", "list", "--json"],
    ] {
        let mut command = command(&place);
        command.args(arguments).env("VESTIBULE_DATA_DIR", &place.folder);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).spawn().unwrap().wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!errors.contains("panicked") && !errors.contains("pipe"), "{arguments:?}: {errors}");
        let is_finding = arguments == ["doctor"];
        assert!(output.status.success() || is_finding && output.status.code() == Some(1), "{arguments:?}: {errors}");
    }
    let (success, printed, _) = run(command(&place), &["users", "list"], "");
    assert!(success && printed.contains("a@example.com"), "what was to be done is done");

    // A reader that leaves after the first line of a text that is longer than a pipe holds.
    let long = ["completions", "bash"];
    assert!(run(command(&place), &long, "").1.len() > 64 * 1024);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = command(&place);
    let child = command.args(long).stdout(writer).spawn().unwrap();
    // Its end of the pipe would keep the pipe open.
    drop(command);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert!(line.starts_with("_vestibule"), "{line}");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[both_databases]
async fn output_that_cannot_be_written_is_reported(place: Place) {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = command(&place);
    let output = command.arg("schema").stdout(full).spawn().unwrap().wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert_eq!(errors, "vestibule: cannot write to standard output: no storage space\n");
}

#[both_databases]
async fn the_folders_of_the_service_are_its_owners_alone(place: Place) {
    use std::os::unix::fs::PermissionsExt as _;
    let home = place.folder.join("home");
    let mut command = command(&place);
    // The first folder created in it must not be readable by others.
    command.env("VESTIBULE_DATA_DIR", &home).env("VESTIBULE_SECRET_KEY", "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W");
    let serving = Serving::start(command);
    for folder in [home.clone(), home.join("media")] {
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
    }
    serving.stop();
}
