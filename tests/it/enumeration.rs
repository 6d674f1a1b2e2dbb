//! Enumeration: responses to strangers do not depend on the existence of an account. Each request is sent before and
//! after the account is created, and the responses are compared byte by byte. `tests/silence/` measures response times.

use std::collections::BTreeMap;
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use vestibule::domain::account::registration;

use crate::pages::attribute;
use crate::parity::registration::wanted;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

/// Response without its request id and date.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    body: String,
}

/// Names and local parts of addresses in the requests. The last is a pending registration without an account.
const KINDS: [&str; 6] = ["active", "staff", "inactive", "unverified", "invited", "waiting"];

/// Time after which all limits on mails are refilled.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Limit that no test reaches.
const PLENTY: &str = "100000/100s";

async fn start(place: &Place) -> TestApp {
    TestApp::start_with(place, |config| {
        let limits = &mut config.limits;
        let plenty = PLENTY.parse().unwrap();
        limits.limit_mail_address = plenty;
        limits.limit_mail_client = plenty;
        limits.limit_sign_in = plenty;
        limits.limit_sign_in_client = plenty;
        limits.limit_sign_in_account = plenty;
        limits.limit_link = plenty;
        limits.limit_register = plenty;
    })
    .await
}

fn email(kind: &str) -> String {
    format!("{kind}@example.com")
}

/// Creates an account of each kind, and returns their ids.
async fn make_accounts(app: &TestApp) -> BTreeMap<&'static str, String> {
    let admin = app.admin().await;
    let mut ids = BTreeMap::new();
    for kind in KINDS {
        let id = match kind {
            "waiting" => {
                let document = "mutation($input: RegisterInput!) { register(input: $input) { success } }";
                app.anyone().data(document, wanted(&email(kind))).await;
                continue;
            }
            "staff" => app.add_staff(kind).await.id,
            "invited" => app.add(json!({ "username": kind, "email": email(kind) })).await.id,
            _ => app.add_user(kind).await.id,
        };
        ids.insert(kind, id);
    }
    let off = "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: false }) { errors { code } } }";
    assert_eq!(admin.refusals(off, json!({ "id": ids["inactive"] })).await, [""; 0]);
    let unverified = "UPDATE users SET is_verified = FALSE WHERE username = 'unverified'";
    app.db().execute_unprepared(unverified).await.unwrap();
    app.mails().await;
    ids
}

/// Cookie without the random secret of a registration.
fn without_secret(cookie: &str) -> String {
    match cookie.strip_prefix("registration=").and_then(|rest| rest.split_once(';')) {
        Some((secret, scope)) => format!("registration={};{scope}", secret.len()),
        None => cookie.to_owned(),
    }
}

/// A browser with cookies of an earlier visit, so that its responses are comparable.
struct Stranger {
    client: Client,
    csrf: String,
}

impl Stranger {
    async fn new(app: &TestApp) -> Self {
        let page = app.anyone().get("/account/sign-in").await;
        let csrf = attribute(page.body.as_str().unwrap().split("name=\"csrf\"").nth(1).unwrap(), "value");
        Self { client: app.anyone().with_header("cookie", format!("csrf={csrf}")), csrf }
    }

    async fn finish(&self, request: reqwest::RequestBuilder) -> Told {
        let answer = self.client.finish(request).await;
        let mut headers = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in &answer.headers {
            let value = match name.as_str() {
                "x-request-id" | "date" => String::new(),
                "set-cookie" => without_secret(value.to_str().unwrap()),
                _ => value.to_str().unwrap().to_owned(),
            };
            headers.entry(name.to_string()).or_default().push(value);
        }
        let mut body = answer.body;
        for field in ["register", "registerWithoutPassword"] {
            if let Some(secret) = body.pointer_mut(&format!("/data/{field}/registrationSecret")) {
                *secret = json!(secret.as_str().map(str::len));
            }
        }
        let body = match body {
            // Each form has a random number.
            Value::String(text) => match text.split_once("name=\"once\"") {
                Some((_, form)) => text.replace(&attribute(form, "value"), ""),
                None => text,
            },
            other => other.to_string(),
        };
        Told { status: answer.status, headers, body }
    }

    async fn ask(&self, document: &str, input: Value) -> Told {
        let body = json!({ "query": document, "variables": { "input": input } }).to_string();
        let request = self.client.request("POST", "/graphql").header("content-type", "application/json");
        self.finish(request.body(body)).await
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Told {
        let csrf = [("csrf", self.csrf.as_str())];
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(csrf.iter().chain(fields)).finish();
        let request = self.client.request("POST", path).header("content-type", "application/x-www-form-urlencoded");
        self.finish(request.body(body)).await
    }

    async fn open(&self, path: &str) -> Told {
        self.finish(self.client.request("GET", path)).await
    }

    /// Sends all public requests about a name and its address.
    async fn ask_all(&self, name: &str) -> Vec<(&'static str, Told)> {
        let email = email(name);
        let mut told = Vec::new();
        for identifier in [name, &email, &email.to_uppercase()] {
            for password in ["wrong", ""] {
                let input = json!({ "identifier": identifier, "password": password });
                told.push(("login", self.ask(LOGIN, input).await));
            }
            let fields = [("identifier", identifier), ("password", "wrong")];
            told.push(("the page to sign in", self.send("/account/sign-in", &fields).await));
        }
        for email in [&email, &email.to_uppercase()] {
            told.push(("requestReset", self.ask(REQUEST, json!({ "email": email })).await));
            told.push(("the page to reset", self.send("/account/forgot", &[("email", email)]).await));
            told.push(("resendVerification", self.ask(RESEND, json!({ "email": email })).await));
            told.push(("register", self.ask(REGISTER, wanted(email)["input"].clone()).await));
            told.push(("registerWithoutPassword", self.ask(REGISTER_PASSKEY, json!({ "email": email })).await));
            let weak = json!({ "email": email, "password": "weak" });
            told.push(("register, weakly", self.ask(REGISTER, weak).await));
            for (password, confirm) in [(PASSWORD, PASSWORD), (PASSWORD, "other")] {
                let fields = [("email", email.as_str()), ("password", password), ("passwordConfirm", confirm)];
                told.push(("the page to register", self.send("/account/register", &fields).await));
            }
            let fields = [("email", email.as_str()), ("with", "passkey")];
            told.push(("the page to register with a passkey", self.send("/account/register", &fields).await));
        }
        told
    }
}

const LOGIN: &str = "mutation($input: LoginInput!) { login(input: $input) {
    tokens { accessToken } user { id } errors { code field message }
} }";

const REQUEST: &str = "mutation($input: RequestResetInput!) { requestReset(input: $input) {
    success message errors { code field message }
} }";

const RESEND: &str = "mutation($input: ResendVerificationInput!) { resendVerification(input: $input) {
    success message errors { code field message }
} }";

const REGISTER: &str = "mutation($input: RegisterInput!) { register(input: $input) {
    success message registrationSecret errors { code field message }
} }";

const REGISTER_PASSKEY: &str = "mutation($input: RegisterWithoutPasswordInput!) {
    registerWithoutPassword(input: $input) { success message registrationSecret errors { code field message } }
}";

const CONFIRM: &str = "mutation($input: ConfirmResetInput!) { confirmReset(input: $input) {
    success message tokens { accessToken } errors { code field message }
} }";

const VERIFY: &str = "mutation($input: VerifyEmailInput!) { verifyEmail(input: $input) {
    user { id } tokens { accessToken } errors { code field message }
} }";

#[both_databases]
async fn responses_do_not_reveal_accounts(place: Place) {
    let app = start(&place).await;
    let stranger = Stranger::new(&app).await;
    let mut before = Vec::new();
    for kind in KINDS {
        before.push(stranger.ask_all(kind).await);
    }
    // All traces of the requests are gone before accounts are created.
    app.mails().await;
    app.wait(app.app.config.links.verify_ttl * 2);
    registration::sweep(&app.app.db, &app.app.clock.now()).await.unwrap();
    make_accounts(&app).await;
    for (kind, before) in KINDS.into_iter().zip(before) {
        for ((question, before), (_, after)) in before.into_iter().zip(stranger.ask_all(kind).await) {
            assert_eq!(before, after, "{question}: {kind}");
        }
        // Again after the mails have been sent.
        app.mails().await;
        let words = |told: &Told| told.body.clone();
        let again = stranger.ask_all(kind).await;
        assert!(words(&again[0].1).contains("INVALID_CREDENTIALS"), "{}", words(&again[0].1));
    }
}

#[both_databases]
async fn responses_to_links_do_not_reveal_accounts(place: Place) {
    let app = start(&place).await;
    let ids = make_accounts(&app).await;
    let stranger = Stranger::new(&app).await;
    for kind in ["active", "staff", "inactive", "invited"] {
        stranger.ask(REQUEST, json!({ "email": email(kind) })).await;
    }
    app.mails().await;
    let unknown = "01890000-0000-7000-8000-000000000000";
    let wrong = "A".repeat(43);
    for token in [wrong.as_str(), "", "short", &"B".repeat(500)] {
        let ask_all = async |uid: &str| {
            let valid = format!("{{ resetTokenIsValid(uid: \"{uid}\", token: \"{token}\") }}");
            let fields = [("uid", uid), ("token", token), ("newPassword", PASSWORD), ("newPasswordConfirm", PASSWORD)];
            let confirm =
                |password: &str| json!({ "uid": uid, "token": token, "newPassword": password, "login": true });
            [
                stranger.ask(&valid, Value::Null).await,
                stranger.ask(CONFIRM, confirm(PASSWORD)).await,
                stranger.ask(CONFIRM, confirm("weak")).await,
                stranger.open(&format!("/account/reset?uid={uid}&token={token}")).await,
                stranger.send("/account/reset", &fields).await,
            ]
        };
        let nobody = ask_all(unknown).await;
        assert_eq!(nobody[0].body, json!({ "data": { "resetTokenIsValid": false } }).to_string());
        for (kind, id) in &ids {
            assert_eq!(ask_all(id).await, nobody, "{kind}");
        }
        assert_eq!(ask_all("nonsense").await, nobody);
        let verify = stranger.ask(VERIFY, json!({ "token": token })).await;
        assert!(verify.body.contains("INVALID_TOKEN"), "{}", verify.body);
    }
}

#[both_databases]
async fn limits_are_reached_at_the_same_count_with_and_without_an_account(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        let plenty = PLENTY.parse().unwrap();
        config.limits.limit_mail_client = plenty;
        config.limits.limit_register = plenty;
        config.limits.limit_sign_in_client = plenty;
    })
    .await;
    make_accounts(&app).await;
    // The limit on registrations is refilled by then.
    app.wait(HOUR);
    let stranger = Stranger::new(&app).await;
    // All requests about one name, until a limit is reached.
    let told = async |document: &str, input: Value| {
        let mut told = Vec::new();
        for _ in 0..15 {
            told.push(stranger.ask(document, input.clone()).await);
        }
        assert!(told.iter().any(|told| told.body.contains("RATE_LIMITED")), "{document}");
        told
    };
    let login = |identifier: &str| json!({ "identifier": identifier, "password": "wrong" });
    let (by_name, by_address) = (told(LOGIN, login("nobody")).await, told(LOGIN, login("no@example.com")).await);
    assert_eq!(by_name, by_address);
    for kind in KINDS {
        assert_eq!(told(LOGIN, login(&email(kind))).await, by_address, "{kind}");
        if kind != "waiting" {
            assert_eq!(told(LOGIN, login(kind)).await, by_name, "{kind}");
        }
    }
    for (document, input) in [
        (REQUEST, (|email: &str| json!({ "email": email })) as fn(&str) -> Value),
        (RESEND, |email| json!({ "email": email })),
        (REGISTER, |email| wanted(email)["input"].clone()),
    ] {
        app.wait(HOUR);
        let nobody = told(document, input("nobody-at-all@example.com")).await;
        for kind in KINDS {
            assert_eq!(told(document, input(&email(kind))).await, nobody, "{kind}");
        }
    }
}

#[both_databases]
async fn responses_do_not_reveal_pending_registrations(place: Place) {
    let app = start(&place).await;
    let stranger = Stranger::new(&app).await;
    let first = stranger.ask_all("eve").await;
    // A registration is pending now, and its link has been sent.
    app.mails().await;
    let second = stranger.ask_all("eve").await;
    assert_eq!(first, second);
}
