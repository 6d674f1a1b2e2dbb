//! Breached passwords: refused wherever a new one is set, by a list in a file and by the range API of another service.

use std::path::PathBuf;
use std::time::Duration;
use test_macros::both_databases;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use vestibule::tools::breached_passwords::{PasswordSha1, build};
use vestibule::tools::metrics;
use vestibule::tools::password::Password;

use crate::pages::{Browser, text};
use crate::parity::recovery::{CONFIRM, link, reset_link};
use crate::parity::registration::{REGISTER, VERIFY, register, wanted};
use crate::process::{command, run};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

/// A password that only the list refuses.
const BREACHED: &str = "lantern otter drizzle pebble";

/// Timeout of events that take a second at most.
const TIMEOUT: Duration = Duration::from_secs(20);

const SET: &str = "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) {
    errors { code field message }
} }";

const MESSAGE: &str = "This password appears in lists of stolen passwords. Choose another one.";

fn sha1(password: &str) -> String {
    PasswordSha1::of(&Password::new(password)).to_hex()
}

/// A list of these passwords, in the folder of the test.
fn list(place: &Place, passwords: &[&str]) -> PathBuf {
    let mut lines: Vec<String> = passwords.iter().map(|password| format!("{}:3\n", sha1(password))).collect();
    lines.sort_unstable();
    let path = place.folder.join("breached-passwords");
    build(lines.concat().as_bytes(), &path, 1).unwrap();
    path
}

/// Number of checks with this source and outcome.
fn checks(app: &TestApp, source: &str, outcome: &str) -> u64 {
    let series = format!("vestibule_breached_password_checks_total{{source=\"{source}\",outcome=\"{outcome}\"}} ");
    let text = metrics::encode(&[&app.app.measures]).unwrap();
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

#[both_databases]
async fn every_operation_that_sets_a_password_refuses_a_breached_one(place: Place) {
    let file = list(&place, &[BREACHED]);
    let app = TestApp::start_with(&place, |config| config.breached_passwords_file = Some(file)).await;
    let (admin, anyone) = (app.admin().await, app.anyone());
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let reset = reset_link(&app, &ada.email).await;
    admin.data("mutation { createUser(input: { email: \"bob@example.com\" }) { errors { code } } }", json!({})).await;
    let invitation = link(&app.mails().await[0]);
    let registration = register(&app, wanted("joe@example.com")).await;
    let new =
        |(uid, token): &(String, String)| json!({ "input": { "uid": uid, "token": token, "newPassword": BREACHED } });
    let with_secret = json!({ "token": registration.token, "secret": registration.secret, "password": BREACHED });
    for (client, document, variables, field) in [
        (&anyone, REGISTER, json!({ "input": { "email": "eve@example.com", "password": BREACHED } }), "password"),
        (&anyone, VERIFY, registration.with_password(BREACHED), "password"),
        (&anyone, VERIFY, with_secret, "password"),
        (&anyone, CONFIRM, new(&reset), "newPassword"),
        (&anyone, CONFIRM, new(&invitation), "newPassword"),
        (
            &client,
            "mutation($p: String!, $o: String!) { changePassword(input: { oldPassword: $o, newPassword: $p }) { errors { code field } } }",
            json!({ "p": BREACHED, "o": PASSWORD }),
            "newPassword",
        ),
        (
            &admin,
            "mutation($p: String!) { createUser(input: { email: \"new@example.com\", password: $p }) { errors { code field } } }",
            json!({ "p": BREACHED }),
            "password",
        ),
        (
            &admin,
            "mutation($p: String!, $id: ID!) { updateUser(input: { id: $id, password: $p }) { errors { code field } } }",
            json!({ "p": BREACHED, "id": ada.id }),
            "password",
        ),
        (&admin, SET, json!({ "p": BREACHED, "id": ada.id }), "password"),
    ] {
        let refused = client.refusals(document, variables).await;
        assert_eq!(refused, [format!("PASSWORD_BREACHED {field}")], "{document}");
    }
    assert_eq!(checks(&app, "list", "found"), 9);
    let told = admin.data(SET, json!({ "p": BREACHED, "id": ada.id })).await;
    assert_eq!(told["setUserPassword"]["errors"][0]["message"], MESSAGE);

    // The links stay valid, and other passwords are accepted.
    let fresh =
        |(uid, token): &(String, String)| json!({ "input": { "uid": uid, "token": token, "newPassword": PASSWORD } });
    assert_eq!(anyone.refusals(CONFIRM, fresh(&reset)).await, [""; 0]);
    assert_eq!(anyone.refusals(CONFIRM, fresh(&invitation)).await, [""; 0]);
    assert_eq!(anyone.refusals(VERIFY, registration.variables()).await, [""; 0]);
    assert_eq!(checks(&app, "list", "failed"), 0);
}

#[both_databases]
async fn every_page_that_sets_a_password_refuses_a_breached_one(place: Place) {
    let file = list(&place, &[BREACHED]);
    let app = TestApp::start_with(&place, |config| config.breached_passwords_file = Some(file)).await;
    let ada = app.add_user("ada").await;
    let (uid, token) = reset_link(&app, &ada.email).await;
    let registration = register(&app, wanted("joe@example.com")).await;
    let new = [("newPassword", BREACHED), ("newPasswordConfirm", BREACHED)];
    for (path, typed) in [
        (
            "/account/register",
            [("email", "eve@example.com"), ("username", ""), ("password", BREACHED), ("passwordConfirm", BREACHED)]
                .as_slice(),
        ),
        ("/account/password", &[("identifier", "ada"), ("oldPassword", PASSWORD), new[0], new[1]]),
        (&format!("/account/reset?uid={uid}&token={token}"), &new),
        (
            &format!("/account/verify?token={}", registration.token),
            &[("password", BREACHED), ("passwordConfirm", BREACHED)],
        ),
    ] {
        let mut browser = Browser::new(&app);
        let page = browser.open(path).await;
        let refused = browser.submit(&page, typed).await;
        assert_eq!(refused.status, 422, "{path}");
        assert!(text(&refused).contains(MESSAGE), "{path}: {}", text(&refused));
    }
    app.anyone().sign_in("ada", PASSWORD).await;
}

#[both_databases]
async fn the_command_line_and_the_first_start_refuse_a_breached_password(place: Place) {
    let file = list(&place, &[BREACHED]);
    let with_list = |password: Option<&str>| {
        let mut command = command(&place);
        command.env("VESTIBULE_BREACHED_PASSWORDS_FILE", &file);
        command.envs(password.map(|password| ("VESTIBULE_ADMIN_PASSWORD", password)));
        command
    };
    let (success, _, errors) = run(with_list(Some(BREACHED)), &[], "");
    assert!(!success && errors.starts_with(&format!("vestibule: VESTIBULE_ADMIN_PASSWORD: {MESSAGE}")), "{errors}");
    let create = ["create-superuser", "--email", "root@example.com", "--password-stdin"];
    let (success, _, errors) = run(with_list(None), &create, &format!("{BREACHED}\n"));
    assert!(!success && errors.contains(MESSAGE), "{errors}");
    assert!(run(with_list(None), &create, &format!("{PASSWORD}\n")).0);
}

#[both_databases]
async fn an_old_breached_password_still_signs_in(place: Place) {
    let app = TestApp::start(&place).await;
    app.add(json!({ "username": "ada", "email": "ada@example.com", "password": BREACHED })).await;
    let file = list(&place, &[BREACHED, "quite another phrase of mine"]);
    let stricter = app.start_second_with(&place, |config| {
        config.breached_passwords_file = Some(file);
        // The sign-in also replaces the hash.
        config.argon2 = "m=16,t=1,p=1".parse().unwrap();
    });
    let stricter = stricter.await;
    stricter.anyone().sign_in("ada", BREACHED).await;
    let mut browser = Browser::new(&stricter);
    let page = browser.open("/account/sign-in").await;
    let page = browser.submit(&page, &[("identifier", "ada"), ("password", BREACHED)]).await;
    assert_eq!(page.status, 200, "{}", text(&page));
    assert_eq!((checks(&stricter, "list", "found"), checks(&stricter, "list", "not_found")), (0, 0));

    // A password that replaces it is a new one.
    let page = browser.open("/account/password").await;
    let typed =
        |new| [("identifier", "ada"), ("oldPassword", BREACHED), ("newPassword", new), ("newPasswordConfirm", new)];
    let refused = browser.submit(&page, &typed("quite another phrase of mine")).await;
    assert!(text(&refused).contains(MESSAGE), "{}", text(&refused));
    let accepted = browser.submit(&refused, &typed(PASSWORD)).await;
    assert!(text(&accepted).contains("Your new password is set"), "{}", text(&accepted));
}

#[both_databases]
async fn the_policy_says_that_breached_passwords_are_refused(place: Place) {
    let ask = "{ passwordPolicy { rejectsBreached } }";
    let app = TestApp::start(&place).await;
    assert_eq!(app.anyone().data(ask, json!({})).await["passwordPolicy"]["rejectsBreached"], false);
    let file = list(&place, &[BREACHED]);
    let by_list = app.start_second_with(&place, |config| config.breached_passwords_file = Some(file)).await;
    assert_eq!(by_list.anyone().data(ask, json!({})).await["passwordPolicy"]["rejectsBreached"], true);
    let url = "http://127.0.0.1:9/range/".parse().unwrap();
    let by_api = app.start_second_with(&place, |config| config.breached_passwords_api = Some(url)).await;
    assert_eq!(by_api.anyone().data(ask, json!({})).await["passwordPolicy"]["rejectsBreached"], true);
}

#[both_databases]
async fn an_unusable_list_stops_the_start_and_fails_the_doctor(place: Place) {
    let file = list(&place, &[BREACHED, PASSWORD]);
    let good = std::fs::read(&file).unwrap();
    let with_list = || {
        let mut command = command(&place);
        command.env("VESTIBULE_BREACHED_PASSWORDS_FILE", &file);
        command
    };
    let (_, printed, _) = run(with_list(), &["doctor", "--time", "2ms"], "");
    assert!(printed.contains("breached-passwords has 2 breached passwords"), "{printed}");
    for (bytes, problem) in [
        (&good[..good.len() - 1], "the list is damaged: it has"),
        (format!("{}:3\n", sha1(BREACHED)).as_bytes(), "this is not a list of breached passwords. Build it with"),
        (b"", "this is not a list of breached passwords. Build it with"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let (success, _, errors) = run(with_list(), &[], "");
        let expected = format!("vestibule: VESTIBULE_BREACHED_PASSWORDS_FILE: {}: {problem}", file.display());
        assert!(!success && errors.starts_with(&expected), "{errors}");
        let (success, printed, _) = run(with_list(), &["doctor", "--quick"], "");
        assert!(!success && printed.contains("FAIL  breached ") && printed.contains(problem), "{printed}");
    }
    // A changed entry does not stop the start, because only the doctor reads everything.
    let mut bent = good;
    *bent.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bent).unwrap();
    let (success, printed, _) = run(with_list(), &["doctor", "--time", "2ms"], "");
    assert!(!success && printed.contains("its checksum is wrong"), "{printed}");
}

#[both_databases]
async fn a_command_builds_the_list(place: Place) {
    let mut lines = [format!("{}:3\n", sha1(BREACHED)), format!("{}:1\r\n", sha1(PASSWORD).to_lowercase())];
    lines.sort_by_key(|line| line.to_lowercase());
    let (output, input) = (place.folder.join("list"), place.folder.join("hashes.txt"));
    let output = output.to_str().unwrap();
    std::fs::write(&input, lines.concat()).unwrap();
    let build = ["breached-passwords", "build", "--output", output];
    let (success, printed, errors) = run(command(&place), &[&build[..], &[input.to_str().unwrap()]].concat(), "");
    assert!(success && printed.starts_with(&format!("2 hashes written to {output} (")), "{printed}{errors}");
    let (success, printed, _) = run(command(&place), &[&build[..], &["--min-count", "2"]].concat(), &lines.concat());
    assert!(
        success && printed.starts_with("1 hash written to ") && printed.ends_with("1 rarer one left out\n"),
        "{printed}"
    );
    let mut doctor = command(&place);
    doctor.env("VESTIBULE_BREACHED_PASSWORDS_FILE", output);
    assert!(run(doctor, &["doctor", "--quick"], "").1.contains("list has 1 breached password\n"));

    let ntlm = "8846F7EAEE8FB117AD06BDD830B7586C:52\n";
    let (success, printed, errors) = run(command(&place), &build, ntlm);
    assert!(!success && printed.is_empty(), "{printed}");
    assert_eq!(errors, "vestibule: line 1: this is an NTLM hash. Use the list of SHA-1 hashes\n");
    lines.reverse();
    let (success, _, errors) = run(command(&place), &build, &lines.concat());
    assert!(!success && errors.starts_with("vestibule: line 2: the hashes are not sorted."), "{errors}");
}

/// A service with the range API, whose responses the test writes.
struct RangeServer {
    listener: TcpListener,
}

/// A request to the service. It stays unanswered until it is dropped, which closes the connection.
struct RangeRequest {
    head: String,
    stream: TcpStream,
}

impl RangeServer {
    async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn url(&self) -> String {
        format!("http://{}/range/", self.listener.local_addr().unwrap())
    }

    async fn request(&self) -> RangeRequest {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        RangeRequest { head: String::from_utf8(head).unwrap(), stream }
    }
}

impl RangeRequest {
    /// Responds and closes the connection.
    async fn answer(mut self, status: &str, body: &str) {
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        // A client that has read enough disconnects.
        let _ = self.stream.write_all(format!("{head}{body}").as_bytes()).await;
        let _ = self.stream.shutdown().await;
    }
}

/// A service that asks the range API, and a staff client of it.
struct Asking {
    app: TestApp,
    admin: Client,
    /// A user whose password is set.
    id: String,
    api: RangeServer,
}

impl Asking {
    async fn start(place: &Place) -> Self {
        let first = TestApp::start(place).await;
        let id = first.add_user("ada").await.id;
        let api = RangeServer::start().await;
        let url = api.url().parse().unwrap();
        let app = first.start_second_with(place, |config| config.breached_passwords_api = Some(url)).await;
        let admin = app.admin().await;
        Self { app, admin, id, api }
    }

    async fn set(&self, password: &str) -> Vec<String> {
        let set = self.admin.refusals(SET, json!({ "id": self.id, "p": password }));
        timeout(TIMEOUT, set).await.expect("a password is accepted without an answer")
    }

    /// Sets the breached password while the service gives this response.
    async fn set_with(&self, status: &str, body: &str) -> Vec<String> {
        let answer = async { self.api.request().await.answer(status, body).await };
        tokio::join!(self.set(BREACHED), answer).0
    }

    fn outcomes(&self) -> [u64; 3] {
        ["found", "not_found", "failed"].map(|outcome| checks(&self.app, "api", outcome))
    }
}

/// A row of the range of the breached password.
fn row(count: u32) -> String {
    format!("{}:{count}\r\n", &sha1(BREACHED)[5..])
}

/// Another row of any range.
const OTHER: &str = "0018A45C4D1DEF81644B54AB7F969B88D65:10\r\n";

#[both_databases]
async fn another_service_gets_five_characters_of_the_hash(place: Place) {
    let asking = Asking::start(&place).await;
    let (refused, head) = tokio::join!(asking.set(BREACHED), async {
        let request = asking.api.request().await;
        let head = request.head.clone();
        request.answer("200 OK", &format!("{OTHER}{}", row(3))).await;
        head
    });
    assert_eq!(refused, ["PASSWORD_BREACHED password"]);
    let hash = sha1(BREACHED);
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), format!("GET /range/{} HTTP/1.1", &hash[..5]));
    lines.sort_unstable();
    let agent = concat!("user-agent: vestibule/", env!("CARGO_PKG_VERSION"));
    let host = format!("host: {}", asking.api.listener.local_addr().unwrap());
    assert_eq!(lines, ["accept: */*", "add-padding: true", &host, agent], "nothing else is sent");

    assert_eq!(asking.set_with("200 OK", &row(3).to_lowercase()).await, ["PASSWORD_BREACHED password"]);
    assert_eq!(asking.set_with("200 OK", OTHER).await, [""; 0]);
    assert_eq!(asking.set_with("200 OK", &format!("{}{OTHER}", row(0))).await, [""; 0], "padding");
    assert_eq!(asking.outcomes(), [2, 2, 0]);
    // What the other rules refuse is not asked about, and neither is a sign-in.
    assert_eq!(asking.set("password123").await, ["PASSWORD_TOO_COMMON password"]);
    asking.app.anyone().sign_in("ada", BREACHED).await;
    assert_eq!(asking.outcomes(), [2, 2, 0]);
}

#[both_databases]
async fn a_service_that_fails_refuses_nothing(place: Place) {
    let asking = Asking::start(&place).await;
    let page = "<html>sign in to the network</html>";
    let huge = format!("{}{}", OTHER.repeat(30_000), row(3));
    assert!(huge.len() > 1 << 20);
    for (status, body) in [
        ("500 Internal Server Error", &*row(3)),
        ("404 Not Found", &row(3)),
        ("302 Found\r\nlocation: http://127.0.0.1:9/", &row(3)),
        ("200 OK", page),
        ("200 OK", &format!("{}{page}", row(3))),
        ("200 OK", &huge),
    ] {
        assert_eq!(asking.set_with(status, body).await, [""; 0], "{status}");
    }
    // A connection that is closed without a response, and one that is never answered.
    let closes = async { drop(asking.api.request().await) };
    assert_eq!(tokio::join!(asking.set(BREACHED), closes).0, [""; 0]);
    let (accepted, request) = tokio::join!(asking.set(BREACHED), asking.api.request());
    assert_eq!(accepted, [""; 0]);
    drop(request);
    assert_eq!(asking.outcomes(), [0, 0, 8]);
    asking.app.anyone().sign_in("ada", BREACHED).await;
}

#[both_databases]
async fn another_service_is_asked_without_a_transaction_and_without_a_permit(place: Place) {
    let asking = Asking::start(&place).await;
    let meanwhile = async {
        let request = asking.api.request().await;
        assert_eq!(asking.app.app.passwords.load().running, 0);
        let reset = "mutation { requestReset(input: { email: \"ada@example.com\" }) { success } }";
        asking.app.anyone().data(reset, json!({})).await;
        request.answer("200 OK", &row(3)).await;
    };
    assert_eq!(tokio::join!(asking.set(BREACHED), meanwhile).0, ["PASSWORD_BREACHED password"]);
}

#[both_databases]
async fn the_first_superuser_is_created_after_the_answer(place: Place) {
    let api = RangeServer::start().await;
    let url = api.url().parse().unwrap();
    let answers = async {
        let request = api.request().await;
        request.answer("200 OK", OTHER).await;
    };
    let start = TestApp::start_with(&place, |config| config.breached_passwords_api = Some(url));
    let (app, ()) = tokio::join!(start, answers);
    assert_eq!(checks(&app, "api", "not_found"), 1);
    app.admin().await;
}

#[both_databases]
async fn the_doctor_asks_for_a_harmless_range(place: Place) {
    let api = &RangeServer::start().await;
    let examined = |body: &'static str| {
        let mut doctor = command(&place);
        doctor.env("VESTIBULE_BREACHED_PASSWORDS_API", api.url());
        let run = tokio::task::spawn_blocking(move || run(doctor, &["doctor", "--time", "2ms"], ""));
        let answer = async move {
            let request = api.request().await;
            assert!(request.head.starts_with("GET /range/00000 HTTP/1.1\r\n"), "{}", request.head);
            request.answer("200 OK", body).await;
        };
        async move { tokio::join!(run, answer).0.unwrap().1 }
    };
    let printed = examined(OTHER).await;
    assert!(printed.contains("ok    breached  http://127.0.0.1:") && printed.contains("returns ranges"), "{printed}");
    let printed = examined("<html>").await;
    assert!(
        printed.contains("FAIL  breached ") && printed.contains("the response is not a list of hashes"),
        "{printed}"
    );
}
