//! The process: start, shutdown, and refusal to start.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ConnectionTrait as _, Database};
use serde_json::json;

use crate::test_client::Client;
use crate::test_database::Place;

pub(crate) fn command(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.env_clear().current_dir(&place.folder);
    #[expect(clippy::disallowed_methods, reason = "a guard that `tests/mutations` has removed, no setting")]
    let removed = std::env::var_os("VESTIBULE_MUTANT");
    command.envs(removed.map(|number| ("VESTIBULE_MUTANT", number)));
    command.env("VESTIBULE_DATABASE_URL", &place.database_url);
    command.env("VESTIBULE_LISTEN", "127.0.0.1:0").env("VESTIBULE_ARGON2", "m=8,t=1,p=1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running service, stopped on drop.
pub(crate) struct Serving {
    child: Child,
    /// Output until it listened.
    pub(crate) printed: Vec<String>,
    pub(crate) url: String,
}

impl Serving {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut printed = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(url) = line.strip_prefix("listening on ") {
                return Self { child, printed, url: url.to_owned() };
            }
            // The address of the console is printed at every start.
            if !line.starts_with("console for staff: ") {
                printed.push(line);
            }
        }
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        panic!("it did not start ({:?}): {errors}", child.wait());
    }

    /// Peak memory in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")).unwrap();
        peak.trim().parse::<usize>().unwrap() * 1024
    }

    fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends the process a signal, such as `-HUP`.
    pub(crate) fn signal(&self, signal: &str) {
        let done = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap();
        assert!(done.success());
    }

    /// Kills the process at once.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Reads the log up to a line with this text, and returns that line.
    pub(crate) fn log_until(&mut self, text: &str) -> String {
        let (done, expired) = std::sync::mpsc::channel::<()>();
        let id = self.child.id().to_string();
        // Reading a log without new lines would block for ever.
        let watchdog = std::thread::spawn(move || {
            if expired.recv_timeout(Duration::from_secs(60)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-KILL", &id]).status();
            }
        });
        let found = self.read_log_until(text);
        drop(done);
        watchdog.join().unwrap();
        found
    }

    fn read_log_until(&mut self, text: &str) -> String {
        let log = self.child.stderr.as_mut().unwrap();
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            log.read_exact(&mut byte).expect("the log has the line");
            if byte[0] != b'\n' {
                line.push(byte[0]);
                continue;
            }
            let read = String::from_utf8(std::mem::take(&mut line)).unwrap();
            if read.contains(text) {
                return read;
            }
        }
    }

    /// Stops the process, and returns its log.
    pub(crate) fn stop(self) -> String {
        self.terminate();
        self.finish()
    }

    /// Waits for the process to exit, and returns its log.
    pub(crate) fn finish(mut self) -> String {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert!(self.child.wait().unwrap().success());
        errors
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

pub(crate) fn run(mut command: Command, arguments: &[&str], input: &str) -> (bool, String, String) {
    let mut child = command.args(arguments).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[both_databases]
async fn a_wrong_setting_stops_the_start_with_one_line(place: Place) {
    for (name, value, expected) in [
        ("VESTIBULE_LISTEN", "here", "VESTIBULE_LISTEN: 'here' is not an address such as 127.0.0.1:8000"),
        (
            "VESTIBULE_REFRESH_GRACE",
            "soon",
            "VESTIBULE_REFRESH_GRACE: 'soon' is not a duration such as 10s, 5m, 1h or 30d",
        ),
        ("VESTIBULE_SECRET_KEY", "changeme", "VESTIBULE_SECRET_KEY: it must be at least 32 random characters"),
        ("VESTIBULE_DATABASE_URL", "mysql://u:geheim@x/y", "VESTIBULE_DATABASE_URL: it must start with"),
        ("VESTIBULE_ARGON2", "m=1", "VESTIBULE_ARGON2: "),
        ("VESTIBULE_ARGON2_ENGINE", "fast", "VESTIBULE_ARGON2_ENGINE: must be portable or simd"),
        #[cfg(not(feature = "argon2-simd"))]
        (
            "VESTIBULE_ARGON2_ENGINE",
            "simd",
            "VESTIBULE_ARGON2_ENGINE: this build has no simd engine: build with --features",
        ),
        ("VESTIBULE_MAIL_URL", "pigeon://coop", "VESTIBULE_MAIL_URL: "),
        ("VESTIBULE_PUBLIC_URL", "accounts.example", "VESTIBULE_PUBLIC_URL: "),
        ("VESTIBULE_LOG_FORMAT", "xml", "VESTIBULE_LOG_FORMAT: "),
        ("VESTIBULE_LOG", "vestibule=loud", "VESTIBULE_LOG: "),
        ("VESTIBULE_LOG", "loud", "VESTIBULE_LOG: unknown level \"loud\". Use error, warn, info, debug, trace or off"),
        ("VESTIBULE_ACCESS_TTL", "60d", "VESTIBULE_ACCESS_TTL must not be longer than VESTIBULE_REFRESH_TTL"),
        ("VESTIBULE_SOCKETS", "0", "VESTIBULE_SOCKETS: 0 is not in 1.."),
        ("VESTIBULE_SOCKETS_PER_CLIENT", "many", "VESTIBULE_SOCKETS_PER_CLIENT: invalid digit"),
        ("VESTIBULE_TRUSTED_PROXIES", "10.0.0.0/99", "VESTIBULE_TRUSTED_PROXIES: "),
        ("VESTIBULE_METRICS_LISTEN", "everywhere", "VESTIBULE_METRICS_LISTEN: invalid socket address syntax"),
        ("VESTIBULE_OTLP_ENDPOINT", "collector:4317", "VESTIBULE_OTLP_ENDPOINT: it must be a URL such as"),
        (
            "VESTIBULE_BREACHED_PASSWORDS_API",
            "ranges.example",
            "VESTIBULE_BREACHED_PASSWORDS_API: it must be a URL such as",
        ),
        ("VESTIBULE_OTLP_SAMPLE", "2", "VESTIBULE_OTLP_SAMPLE: '2' is not a fraction from 0 to 1"),
        ("VESTIBULE_ADMIN_EMAIL", "nobody", "VESTIBULE_ADMIN_EMAIL: "),
        ("VESTIBULE_ADMIN_PASSWORD", "geheim", "VESTIBULE_ADMIN_PASSWORD: "),
    ] {
        let mut command = command(&place);
        command.env(name, value);
        let (success, printed, errors) = run(command, &[], "");
        assert!(!success && printed.is_empty(), "{name}: {printed}");
        assert!(errors.starts_with(&format!("vestibule: {expected}")), "{name}: {errors}");
        assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
        assert!(!errors.contains("geheim"), "{errors}");
    }
}

#[both_databases]
async fn a_wrong_command_is_answered_with_the_right_one(place: Place) {
    for (arguments, expected) in [
        (["usres", "list"].as_slice(), "similar subcommands exist: 'serve', 'users'"),
        (&["users", "why"], "<USER>"),
        (&["limits", "show"], "--user <USER>|--client <ADDRESS>"),
        (&["audit", "list", "--action", "LOGIN_FIALED"], "a similar value exists: 'LOGIN_FAILED'"),
        (&["schema", "--frist"], "unexpected argument '--frist'"),
    ] {
        let (success, printed, errors) = run(command(&place), arguments, "");
        assert!(!success && printed.is_empty() && errors.contains(expected), "{arguments:?}: {errors}");
    }
    assert!(!place.folder.join("data").exists());
}

#[both_databases]
async fn completions_and_manual_pages_list_every_command(place: Place) {
    for shell in ["bash", "zsh", "fish"] {
        let (success, printed, _) = run(command(&place), &["completions", shell], "");
        assert!(success && printed.contains("create-superuser") && printed.contains("lift"), "{shell}");
    }
    let (success, printed, _) = run(command(&place), &["man"], "");
    assert!(success && printed.contains(".TH") && printed.contains("VESTIBULE_LISTEN"));
    assert!(run(command(&place), &["man", "pages"], "").0);
    let page = std::fs::read_to_string(place.folder.join("pages/vestibule-users-why.1")).unwrap();
    assert!(page.contains("why a user cannot sign in"), "{page}");
}

#[both_databases]
async fn systemd_is_told_when_the_service_answers_and_when_it_stops(place: Place) {
    let path = place.folder.join("notify");
    let mut sockets = vec![(path.clone().into_os_string(), UnixDatagram::bind(path).unwrap())];
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        let name = place.folder.join("abstract").display().to_string();
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        sockets.push((format!("@{name}").into(), UnixDatagram::bind_addr(&address).unwrap()));
    }
    for (address, socket) in sockets {
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let hear = || {
            let mut line = [0; 64];
            let length = socket.recv(&mut line).unwrap();
            String::from_utf8_lossy(&line[..length]).into_owned()
        };
        let mut command = command(&place);
        command.env("NOTIFY_SOCKET", &address);
        let serving = Serving::start(command);
        assert_eq!(hear(), "READY=1");
        serving.terminate();
        assert_eq!(hear(), "STOPPING=1");
        assert!(!serving.finish().contains("WARN"));
    }
    // Nothing listens there, and the service works regardless.
    let mut command = command(&place);
    command.env("NOTIFY_SOCKET", "/nowhere/notify");
    let serving = Serving::start(command);
    Client::new(&serving.url).data("{ __typename }", json!({})).await;
    serving.terminate();
    assert!(serving.finish().contains("cannot notify systemd (NOTIFY_SOCKET)"));
}

#[both_databases]
async fn a_fresh_start_makes_everything_and_prints_where_it_listens(place: Place) {
    let serving = Serving::start(command(&place));
    assert_eq!(serving.printed[0], "first superuser: admin@localhost");
    if let Some(file) = place.database_url.strip_prefix("sqlite://") {
        for path in [file.to_owned(), format!("{file}-wal")] {
            let rights = std::fs::metadata(&path).unwrap().permissions();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&rights) & 0o777, 0o600, "{path}");
        }
    }
    let password = serving.printed[1].strip_prefix("password (shown only once): ").unwrap();
    assert!(serving.printed[2].starts_with("this password is temporary: change it."), "{:?}", serving.printed);
    let client = Client::new(&serving.url).sign_in("admin@localhost", password).await;
    assert_eq!(client.data("{ me { isSuperuser } }", json!({})).await["me"]["isSuperuser"], true);
    let reset = "mutation { requestReset(input: { email: \"admin@localhost\" }) { success } }";
    client.data(reset, json!({})).await;
    let text = only_mail(&place).await;
    assert!(text.contains("To: ") && text.contains("admin@localhost"), "{text}");

    // A second start finds everything and prints no password.
    let again = Serving::start(command(&place));
    assert_eq!(again.printed, [""; 0]);
    Client::new(&again.url).sign_in("admin", password).await;
}

/// The only mail in the folder, once it exists.
pub(crate) async fn only_mail(place: &Place) -> String {
    let folder = place.folder.join("data/mail");
    let path = wait_for(|| {
        let mut files = std::fs::read_dir(&folder).ok()?.map(|file| file.unwrap().path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "eml"))
    })
    .await;
    std::fs::read_to_string(path).unwrap()
}

/// Polls until there is a result from another process.
async fn wait_for<T>(attempt: impl Fn() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = attempt() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within ten seconds");
}

#[both_databases]
async fn instances_that_start_together_on_an_empty_database_both_serve(place: Place) {
    let start = || {
        let place = place.clone();
        std::thread::spawn(move || {
            let mut command = command(&place);
            command.env("VESTIBULE_ADMIN_PASSWORD", "a rather long phrase of mine");
            Serving::start(command)
        })
    };
    let threads: Vec<_> = (0..4).map(|_| start()).collect();
    let instances: Vec<Serving> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let made = instances.iter().filter(|instance| !instance.printed.is_empty()).count();
    assert_eq!(made, 1, "one of them made the first superuser");
    // They share the signing key, but have different addresses and thus issuers.
    for instance in &instances {
        let client = Client::new(&instance.url).sign_in("admin", "a rather long phrase of mine").await;
        client.data("{ me { id } }", json!({})).await;
    }
}

#[both_databases]
async fn a_request_under_way_when_the_process_is_told_to_stop_is_finished(place: Place) {
    let serving = Serving::start(command(&place));
    let address = serving.url.trim_start_matches("http://");
    let mut under_way = TcpStream::connect(address).unwrap();
    let body = r#"{"query":"{ __typename }"}"#;
    let length = body.len();
    write!(
        under_way,
        "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nexpect: 100-continue\r\n\r\n"
    )
    .unwrap();
    let mut go_on = [0; 25];
    under_way.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n", "the service waits for the body");
    serving.terminate();
    while TcpStream::connect(address).is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    under_way.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(r#"{"data":{"__typename":"Query"}}"#), "{answer}");
    serving.finish();
}

#[both_databases]
async fn an_open_connection_may_bring_one_more_request_when_the_process_is_told_to_stop(place: Place) {
    const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let serving = Serving::start(command(&place));
    let address = serving.url.trim_start_matches("http://");
    let (mut kept, mut fresh) = (TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap());
    kept.write_all(REQUEST).unwrap();
    let mut answer = String::new();
    while !answer.ends_with("ok\n") {
        let mut byte = [0];
        kept.read_exact(&mut byte).unwrap();
        answer.push(byte[0].into());
    }
    assert!(!answer.contains("connection: close"), "{answer}");
    serving.terminate();
    while TcpStream::connect(address).is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (connection, what) in [(&mut kept, "one that had a request"), (&mut fresh, "one that had none yet")] {
        connection.write_all(REQUEST).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{what}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{what}: {answer}");
    }
    serving.finish();
}

#[both_databases]
async fn a_superuser_is_made_on_the_command_line(place: Place) {
    let arguments = ["create-superuser", "--email", "root@example.com", "--username", "root", "--password-stdin"];
    let (success, printed, errors) = run(command(&place), &arguments, "correct horse battery staple\n");
    assert!(success, "{errors}");
    assert_eq!(printed, "root@example.com is now a superuser (username root)\n");
    let again = ["create-superuser", "--email", "other@example.com", "--username", "ROOT", "--password-stdin"];
    let (success, _, errors) = run(command(&place), &again, "correct horse battery staple\n");
    assert!(!success);
    assert_eq!(errors, "vestibule: username: This username is taken.\n");
    let (success, _, errors) = run(command(&place), &arguments, "short\n");
    assert!(!success && errors.starts_with("vestibule: password: "), "{errors}");

    let (success, printed, _) = run(command(&place), &["create-superuser", "--email", "two@example.com"], "");
    assert!(success);
    let password = printed.lines().nth(1).unwrap().strip_prefix("password: ").unwrap();
    let serving = Serving::start(command(&place));
    assert_eq!(serving.printed, [""; 0], "there are superusers, so none is made");
    Client::new(&serving.url).sign_in("two@example.com", password).await;
    Client::new(&serving.url).sign_in("root", "correct horse battery staple").await;
}

#[both_databases]
async fn the_schema_is_printed_without_a_database(place: Place) {
    let (success, printed, _) = run(command(&place), &["schema"], "");
    assert!(success && printed.contains("type Mutation {"));
    assert!(std::fs::read_dir(&place.folder).unwrap().next().is_none(), "nothing was made");
}

#[both_databases]
async fn the_signing_key_is_rotated_on_the_command_line(place: Place) {
    let mut serve = command(&place);
    serve.env("VESTIBULE_ADMIN_PASSWORD", "a rather long phrase of mine");
    let serving = Serving::start(serve);
    let before = Client::new(&serving.url).sign_in("admin", "a rather long phrase of mine").await;
    let (success, printed, _) = run(command(&place), &["keys", "rotate"], "");
    assert!(success && printed.contains(" is published and will sign from 20"), "{printed}");
    before.data("{ me { id } }", json!({})).await;
}

#[both_databases]
async fn a_secret_of_another_database_is_reported(place: Place) {
    drop(Serving::start(command(&place)));
    let mut other = command(&place);
    other.env("VESTIBULE_SECRET_KEY", "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W");
    let (success, _, errors) = run(other, &[], "");
    assert!(!success);
    assert!(errors.contains("VESTIBULE_SECRET_KEY is not the key"), "{errors}");
}

#[both_databases]
async fn a_database_of_a_newer_version_is_refused(place: Place) {
    use sea_orm::ConnectionTrait as _;
    drop(Serving::start(command(&place)));
    let db = sea_orm::Database::connect(&place.database_url).await.unwrap();
    db.execute_unprepared("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_tomorrow', 0)")
        .await
        .unwrap();
    db.close().await.unwrap();
    let (success, _, errors) = run(command(&place), &["migrate"], "");
    assert!(!success);
    assert_eq!(errors, "vestibule: the database was changed by a newer version of Vestibule. Run that version\n");
}

#[both_databases]
async fn nothing_secret_is_logged(place: Place) {
    let mut loud = command(&place);
    loud.env("VESTIBULE_LOG", "trace")
        .env("VESTIBULE_LOG_FORMAT", "json")
        .env("VESTIBULE_ADMIN_PASSWORD", "a rather long phrase of mine");
    let serving = Serving::start(loud);
    let mut client = Client::new(&serving.url).sign_in("admin", "a rather long phrase of mine").await;
    let mut secrets = vec!["rather long phrase".to_owned(), "geheim".to_owned()];
    secrets.extend([client.access.clone().unwrap(), client.refresh.clone()]);
    client.refresh().await.unwrap();
    secrets.extend([client.access.clone().unwrap(), client.refresh.clone()]);
    let login = "mutation { login(input: { identifier: \"line\\nbreak\", password: \"geheim\" }) { errors { code } } }";
    client.send(login, json!({})).await;
    client.data("mutation { requestReset(input: { email: \"admin@localhost\" }) { success } }", json!({})).await;
    let text = only_mail(&place).await.replace("=\r\n", "");
    let token = text.split("token=3D").nth(1).unwrap_or_else(|| panic!("{text}"));
    let (uid, _) =
        text.split("uid=3D").nth(1).and_then(|rest| rest.split_once('&')).unwrap_or_else(|| panic!("{text}"));
    let token: String = token.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();

    // All other operations with secrets, successful or not.
    let make = "mutation { createApiToken(input: { name: \"x\", scopes: [READ, EXPORT] }) { secret } }";
    let api = client.data(make, json!({})).await["createApiToken"]["secret"].as_str().unwrap().to_owned();
    let script = Client::new(&serving.url).with_token(api.clone());
    assert_eq!(script.get(&format!("/export/samples.csv?access_token={api}")).await.status, 200);
    script.get(&format!("/account/reset?uid={uid}&token={token}")).await;
    script.get(&format!("/account/verify?token={token}")).await;
    script.get(&format!("/graphql?query=%7Bme%7Bid%7D%7D&token={api}")).await;
    Client::new(&serving.url).with_token(format!("{api}x")).send("{ me { id } }", json!({})).await;
    let anyone = Client::new(&serving.url).with_header("cookie", format!("refresh_token={}", client.refresh));
    let register = "mutation { register(input: { email: \"eve@example.com\", password: \"wooden lantern geheim drizzle\" }) { success } }";
    anyone.data(register, json!({})).await;
    let change = "mutation($o: String!) { changePassword(input: { oldPassword: $o, newPassword: \"the second phrase of mine\" }) { errors { code } } }";
    client.data(change, json!({ "o": "wrong geheim" })).await;
    client.data(change, json!({ "o": "a rather long phrase of mine" })).await;
    let confirm = "mutation($u: ID!, $t: String!) { confirmReset(input: { uid: $u, token: $t, newPassword: \"the third phrase of mine\" }) { errors { code } } }";
    anyone.data(confirm, json!({ "u": uid, "t": token })).await;
    let refresh = "mutation { refresh(input: {}) { tokens { accessToken refreshToken } errors { code } } }";
    anyone.send(refresh, json!({})).await;
    secrets.extend([api, token, "second phrase".to_owned(), "third phrase".to_owned(), "wooden lantern".to_owned()]);
    serving.terminate();
    let log = serving.finish();
    assert!(log.lines().count() >= 5, "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(line["timestamp"].is_string());
    }
    for secret in secrets {
        assert!(secret.len() > 5 && !log.contains(&secret), "{secret} was logged");
    }
}

#[both_databases]
async fn input_of_strangers_forges_no_line_of_the_log(place: Place) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let evil = "x\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2J\u{2028}\u{85}\u{0c}forged";
    for format in ["json", "text"] {
        let mut loud = command(&place);
        loud.env("VESTIBULE_LOG", "trace")
            .env("VESTIBULE_LOG_FORMAT", format)
            .env("VESTIBULE_LIMIT_MAIL_CLIENT", "1/1h");
        loud.env("VESTIBULE_ADMIN_PASSWORD", "a rather long phrase of mine");
        let serving = Serving::start(loud);
        let admin = Client::new(&serving.url).sign_in("admin", "a rather long phrase of mine").await;
        let anyone = Client::new(&serving.url).with_header("user-agent", "forged\u{2028}\t\u{85}");
        let login = "mutation($n: String!) { login(input: { identifier: $n, password: $n }) { errors { code } } }";
        anyone.send(login, json!({ "n": evil })).await;
        let request = "mutation($e: String!) { requestReset(input: { email: $e }) { errors { code } } }";
        for email in [evil, "a@example.com", "b@example.com", "c@example.com"] {
            anyone.send(request, json!({ "e": email })).await;
        }
        let update = "mutation($n: String!) { updateMe(input: { firstName: $n, bio: $n }) { errors { code } } }";
        admin.send(update, json!({ "n": evil })).await;
        admin.send("query($n: String!) { users(search: $n) { totalCount } }", json!({ "n": evil })).await;
        anyone.get("/nowhere%0aforged%0d%1b%5b2J%e2%80%a8forged?forged=%0a").await;
        anyone.post("{\"query\":\"{ forged\\n }\"").await;
        for raw in [
            "GET /raw\u{1b}[2Jforged HTTP/1.1\r\nhost: x\r\n\r\n",
            "FOR\u{1b}GED / HTTP/1.1\r\nhost: x\nforged\r\n\r\n",
        ] {
            let mut stream = tokio::net::TcpStream::connect(serving.url.trim_start_matches("http://")).await.unwrap();
            let _ = stream.write_all(raw.as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        serving.terminate();
        let log = serving.finish();
        assert!(log.lines().count() >= 5, "{log}");
        assert!(!log.contains("\u{1b}[2J") && !log.contains("\u{2028}") && !log.contains("\u{85}"), "{log}");
        for line in log.lines() {
            match format {
                "json" => {
                    assert!(
                        serde_json::from_str::<serde_json::Value>(line).unwrap()["timestamp"].is_string(),
                        "{line}"
                    );
                }
                _ => assert!(
                    line.trim_start_matches("\u{1b}[2m").starts_with("20") && !line.starts_with("2026-01-01T00:00:00Z"),
                    "{line}"
                ),
            }
        }
    }
}

#[both_databases]
async fn everybodys_sessions_are_ended_on_the_command_line(place: Place) {
    let mut serve = command(&place);
    serve.env("VESTIBULE_ADMIN_PASSWORD", "a rather long phrase of mine");
    let serving = Serving::start(serve);
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::new(&serving.url).sign_in("admin", "a rather long phrase of mine").await);
    }
    let (success, _, errors) = run(command(&place), &["sessions", "revoke"], "");
    assert!(!success && errors.starts_with("vestibule: "), "{errors}");
    clients[0].data("{ me { id } }", json!({})).await;
    let (success, printed, _) = run(command(&place), &["sessions", "revoke", "--all"], "");
    assert!(success);
    assert_eq!(printed, "3 sessions ended\n");
    let (success, printed, _) = run(command(&place), &["sessions", "revoke", "--all", "--api-tokens"], "");
    assert!(success);
    assert_eq!(printed, "0 sessions ended\n0 API tokens revoked\n");
    for mut client in clients {
        assert_eq!(client.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
        client.refresh().await.unwrap_err();
    }
}

#[both_databases]
async fn settings_may_come_from_a_file(place: Place) {
    std::fs::create_dir(place.folder.join("data")).unwrap();
    let file = place.folder.join("data/vestibule.toml");
    std::fs::write(&file, "admin_email = \"chief@example.com\"\naccess_ttl = \"1m\"").unwrap();
    let serving = Serving::start(command(&place));
    assert_eq!(serving.printed[0], "first superuser: chief@example.com");
    std::fs::write(&file, "acess_ttl = \"1m\"").unwrap();
    let (success, _, errors) = run(command(&place), &[], "");
    assert!(!success);
    assert_eq!(errors, "vestibule: data/vestibule.toml:1: unknown setting acess_ttl\n");
}

#[both_databases]
async fn every_setting_is_shown_with_its_source_and_no_secret(place: Place) {
    std::fs::create_dir(place.folder.join("data")).unwrap();
    let file = "\nadmin_email = 'chief@example.com'\nmail_url = 'smtp://post:geheim@mail.example:25'\nlog = 'warn'\n";
    std::fs::write(place.folder.join("data/vestibule.toml"), file).unwrap();
    let mut command = command(&place);
    command.env("VESTIBULE_DATABASE_URL", "postgres://app:geheim@db.example/accounts");
    command.env("VESTIBULE_SECRET_KEY", "geheimYYdP2T5b6fhxojgUuL+tybRyxHOaR/W").env("VESTIBULE_LOG", "error");
    let (success, printed, _) = run(command, &["config", "show", "--json", "--access-ttl", "2m"], "");
    assert!(success && !printed.contains("geheim"), "{printed}");
    let rows: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let row = |name: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["setting"] == name).unwrap();
        (row["value"].clone(), row["source"].as_str().unwrap().to_owned())
    };
    for (name, value, source) in [
        ("access_ttl", json!("2m"), "command line"),
        ("admin_email", json!("chief@example.com"), "data/vestibule.toml:2"),
        ("admin_password", json!(null), "default"),
        ("listen", json!("127.0.0.1:0"), "VESTIBULE_LISTEN"),
        ("log", json!("error"), "VESTIBULE_LOG"),
        ("mail_url", json!("smtp://post:***@mail.example:25"), "data/vestibule.toml:3"),
        ("refresh_ttl", json!("30d"), "default"),
        ("secret_key", json!("(set)"), "VESTIBULE_SECRET_KEY"),
    ] {
        assert_eq!(row(name), (value, source.to_owned()), "{name}");
    }
    let (database, source) = row("database_url");
    assert_eq!(database, "postgres://app:***@db.example/accounts");
    assert_eq!(source, "VESTIBULE_DATABASE_URL");
}

#[both_databases]
async fn a_database_error_is_logged_without_the_values_of_the_row(place: Place) {
    let mut command = command(&place);
    command.env("VESTIBULE_ADMIN_PASSWORD", "a rather long phrase of mine");
    let serving = Serving::start(command);
    let db = Database::connect(&place.database_url).await.unwrap();
    let constraint = match place.database_url.starts_with("sqlite") {
        true => {
            "CREATE TRIGGER odd BEFORE INSERT ON users WHEN new.email LIKE '%odd%' BEGIN SELECT RAISE(ABORT, 'an odd row'); END"
        }
        false => "ALTER TABLE users ADD CONSTRAINT odd CHECK (email NOT LIKE '%odd%')",
    };
    db.execute_unprepared(constraint).await.unwrap();
    let client = Client::new(&serving.url).sign_in("admin", "a rather long phrase of mine").await;
    let create = "mutation { createUser(input: { email: \"odd@example.com\" }) { errors { code } } }";
    assert_eq!(client.code(create, json!({})).await, "INTERNAL_SERVER_ERROR");
    serving.terminate();
    let log = serving.finish();
    assert!(
        log.contains("odd") && log.contains("INTERNAL") || log.contains("constraint odd") || log.contains("an odd row"),
        "{log}"
    );
    for hidden in ["odd@example.com", "$argon2", "detail", ".c\"", "at line"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}

#[both_databases]
async fn a_group_of_commands_names_its_commands(place: Place) {
    for (group, expected) in [("users", "list"), ("keys", "rotate"), ("mail", "retry"), ("import", "django")] {
        let (success, _, errors) = run(command(&place), &[group], "");
        assert!(!success && errors.lines().count() == 1, "{errors}");
        assert!(errors.starts_with(&format!("vestibule: `vestibule {group}` needs a command: ")), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
    let address = "postgres://app:geheim@db.example/accounts";
    let (_, _, errors) = run(command(&place), &["copy", address], "");
    assert!(errors.contains("'postgres://…'") && !errors.contains("geheim"), "{errors}");
    for address in ["postgres://h/db?password=geheim", "postgres://u:pa'geheim@h/db", "postgres://u:a geheim@h"] {
        for arguments in [
            ["users", "list"].as_slice(),
            &["users", "show"],
            &["config", "show"],
            &["config", "show", "--listen"],
            &["config", "show", "--access-ttl"],
            &["config", "show", "--mail-from"],
            &["config", "show", "--config"],
            &["backup"],
            &["import", "users"],
            &["schema", "diff"],
        ] {
            let (success, printed, errors) = run(command(&place), &[arguments, &[address]].concat(), "");
            assert!(!success && !errors.contains("geheim") && !printed.contains("geheim"), "{errors}");
        }
    }
}

#[both_databases]
async fn an_error_found_after_parsing_names_the_line_too(place: Place) {
    std::fs::create_dir(place.folder.join("data")).unwrap();
    for (text, expected) in [
        ("\nlog = 'loud'", "data/vestibule.toml:2: VESTIBULE_LOG: "),
        ("ca_file = '/nowhere.pem'", "data/vestibule.toml:1: VESTIBULE_CA_FILE: "),
        (
            "breached_passwords_file = '/nowhere'",
            "data/vestibule.toml:1: VESTIBULE_BREACHED_PASSWORDS_FILE: /nowhere: ",
        ),
        ("admin_password = 'short'", "data/vestibule.toml:1: VESTIBULE_ADMIN_PASSWORD: Use at least 8 characters"),
        ("session_ttl = '1s'", "data/vestibule.toml:1: VESTIBULE_"),
        ("federation = 'maybe'", "data/vestibule.toml:1: VESTIBULE_FEDERATION: "),
    ] {
        std::fs::write(place.folder.join("data/vestibule.toml"), text).unwrap();
        let (success, _, errors) = run(command(&place), &[], "");
        assert!(!success && errors.starts_with(&format!("vestibule: {expected}")), "{text}: {errors}");
    }
}

#[both_databases]
async fn a_source_that_was_read_is_never_repeated(place: Place) {
    let text = "host=127.0.0.1 user=u password=geheim dbname=x\n";
    std::fs::write(place.folder.join("source"), text).unwrap();
    for (argument, input) in [("@source", ""), ("-", text)] {
        let (success, printed, errors) = run(command(&place), &["import", "django", argument], input);
        assert!(!success && errors.contains("sqlite://… or postgres://…"), "{errors}");
        assert!(!printed.contains("geheim") && !errors.contains("geheim"), "{errors}");
    }
}

#[both_databases]
async fn events_of_commands_name_the_command_line(place: Place) {
    std::fs::write(place.folder.join("people.csv"), "email\nann@example.com\n").unwrap();
    let password = "a rather long phrase of mine\n";
    let create = ["create-superuser", "--email", "a@example.com", "--password-stdin"];
    assert!(run(command(&place), &create, password).0);
    assert!(run(command(&place), &["import", "users", "people.csv"], "").0);
    let (_, printed, _) = run(command(&place), &["audit", "list", "--json"], "");
    let rows: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 3 && rows.iter().all(|row| row["program"] == "command line"), "{printed}");
}
