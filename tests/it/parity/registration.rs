//! Registration.

use std::time::Duration;
use test_macros::both_databases;

use serde_json::{Value, json};
use vestibule::tools::mail::Message;

use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

pub(crate) const REGISTER: &str = "mutation($input: RegisterInput!) { register(input: $input) {
    success message registrationSecret errors { code field message }
} }";

pub(crate) const VERIFY: &str =
    "mutation($token: String!, $secret: String, $password: String, $confirm: String) { verifyEmail(input: {
    token: $token, registrationSecret: $secret, password: $password, passwordConfirm: $confirm
}) {
    user { id username email isVerified } tokens { accessToken refreshToken } errors { code field }
} }";

pub(crate) const LOGIN: &str = "mutation($input: LoginInput!) { login(input: $input) {
    tokens { accessToken } user { id } errors { code field message }
} }";

/// Minimal input of a registration.
pub(crate) fn wanted(email: &str) -> Value {
    json!({ "input": { "email": email, "password": PASSWORD, "passwordConfirm": PASSWORD } })
}

/// Token of the link in a mail.
pub(crate) fn token(mail: &Message) -> String {
    token_of(mail, "/account/verify?token=")
}

/// Token of the link with this path in a mail.
pub(crate) fn token_of(mail: &Message, path: &str) -> String {
    let (_, rest) = mail.text.split_once(path).expect("the mail has a link");
    rest.split(char::is_whitespace).next().unwrap().to_owned()
}

/// Data of the client that registered, after the mail has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) token: String,
    pub(crate) secret: String,
}

impl Link {
    /// Variables of [`VERIFY`] for the client that registered.
    pub(crate) fn variables(&self) -> Value {
        json!({ "token": self.token, "secret": self.secret })
    }

    /// Variables of [`VERIFY`] for another client with the mail.
    pub(crate) fn without_secret(&self) -> Value {
        json!({ "token": self.token })
    }

    /// Variables of [`VERIFY`] for another client with the mail and a password.
    pub(crate) fn with_password(&self, password: &str) -> Value {
        json!({ "token": self.token, "password": password })
    }
}

/// Registers, and returns the secret of the client.
pub(crate) async fn sign_up(app: &TestApp, input: Value) -> String {
    let data = app.anyone().data(REGISTER, input).await;
    assert_eq!(data["register"]["errors"], json!([]));
    data["register"]["registrationSecret"].as_str().expect("the response has the secret").to_owned()
}

/// Registers, and returns the link of the only mail sent.
pub(crate) async fn register(app: &TestApp, input: Value) -> Link {
    let secret = sign_up(app, input).await;
    let mails = app.mails().await;
    assert_eq!(mails.len(), 1);
    Link { token: token(&mails[0]), secret }
}

#[both_databases]
async fn sign_up_takes_email_password_twice_username_names_and_phone(place: Place) {
    let app = TestApp::start(&place).await;
    let mut input = json!({
        "email": "Ada@example.com", "password": PASSWORD, "passwordConfirm": "something else entirely",
        "username": "Ada", "firstName": " Ada ", "lastName": "Lovelace", "phone": "+44 20 7946 0000",
    });
    let refusals = app.anyone().refusals(REGISTER, json!({ "input": input })).await;
    assert_eq!(refusals, ["PASSWORD_MISMATCH passwordConfirm"]);

    input["passwordConfirm"] = json!(PASSWORD);
    let secret = sign_up(&app, json!({ "input": input })).await;
    let mails = app.mails().await;
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["Ada@example.com"]);
    app.wait(Duration::from_mins(5));
    let link = Link { token: token(&mails[0]), secret };
    let verified = app.anyone().data(VERIFY, link.variables()).await;
    let access = verified["verifyEmail"]["tokens"]["accessToken"].as_str().unwrap();
    let me = "{ me { username email firstName lastName phone isActive isVerified isStaff isSuperuser dateJoined } }";
    assert_eq!(
        app.anyone().with_token(access).data(me, json!({})).await["me"],
        json!({
            "username": "Ada", "email": "Ada@example.com", "firstName": "Ada", "lastName": "Lovelace",
            "phone": "+44 20 7946 0000", "isActive": true, "isVerified": true, "isStaff": false, "isSuperuser": false,
            "dateJoined": "2026-01-05T09:05:00.000Z",
        })
    );
    app.anyone().sign_in("ADA", PASSWORD).await;

    let link = register(&app, wanted("grace.hopper@example.com")).await;
    let verified = app.anyone().data(VERIFY, link.variables()).await;
    let username = verified["verifyEmail"]["user"]["username"].as_str().unwrap();
    assert!(username.starts_with("user-") && !username.contains("grace"), "{username}");
    app.anyone().sign_in("grace.hopper@example.com", PASSWORD).await;
}

#[both_databases]
async fn a_verification_link_creates_the_account_once_before_it_expires(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.frontend_url = Some("https://app.example/".parse().unwrap());
    })
    .await;
    let forged = app.anyone().with_header("host", "evil.example").with_header("x-forwarded-host", "evil.example");
    let registered = forged.data(REGISTER, wanted("ada@example.com")).await;
    let secret = registered["register"]["registrationSecret"].as_str().unwrap();
    let mails = app.mails().await;
    let link = token(&mails[0]);
    for part in [&format!("https://app.example/account/verify?token={link}"), "1 day"] {
        assert!(mails[0].text.contains(part), "{part} is missing in {}", mails[0].text);
        assert!(mails[0].html.contains(part), "{part} is missing in {}", mails[0].html);
    }
    let page = app.anyone().with_header("origin", app.app.public_url.origin().as_str());
    let answer = page.send(VERIFY, json!({ "token": link, "secret": secret })).await;
    let payload = &answer.body["data"]["verifyEmail"];
    assert_eq!(payload["user"]["isVerified"], true);
    assert!(payload["tokens"]["accessToken"].is_string() && payload["tokens"]["refreshToken"].is_null());
    assert!(answer.header("set-cookie").starts_with("refresh_token="));
    let refused = async |token: &str| {
        let answer = app.anyone().send(VERIFY, json!({ "token": token, "secret": secret })).await;
        let expected =
            json!({ "user": null, "tokens": null, "errors": [{ "code": "INVALID_TOKEN", "field": "token" }] });
        assert_eq!(answer.body["data"]["verifyEmail"], expected);
        assert_eq!(answer.header("set-cookie"), "");
    };
    refused(&link).await;
    refused(&link[1..]).await;
    refused("").await;
    refused("nonsense").await;

    let late = register(&app, wanted("grace@example.com")).await;
    app.wait(Duration::from_hours(24));
    refused(&late.token).await;
    let timely = register(&app, wanted("grace@example.com")).await;
    app.wait(Duration::from_hours(24) - Duration::from_millis(1));
    let verified = app.anyone().data(VERIFY, timely.variables()).await;
    assert_eq!(verified["verifyEmail"]["user"]["email"], "grace@example.com");
}

#[both_databases]
async fn role_and_permission_cannot_be_chosen_at_sign_up(place: Place) {
    let app = TestApp::start(&place).await;
    for (field, value) in [
        ("role", json!("ADMIN")),
        ("permission", json!("FULL_ACCESS")),
        ("isStaff", json!(true)),
        ("isSuperuser", json!(true)),
        ("isVerified", json!(true)),
    ] {
        let mut input = wanted("ada@example.com");
        input["input"][field] = value;
        assert_eq!(app.anyone().code(REGISTER, input).await, "BAD_USER_INPUT", "{field}");
    }
    assert_eq!(app.mails().await.len(), 0);
    let link = register(&app, wanted("ada@example.com")).await;
    let verify = VERIFY.replace("isVerified", "role permission isStaff isSuperuser");
    let verified = app.anyone().data(&verify, link.variables()).await;
    let user = &verified["verifyEmail"]["user"];
    assert_eq!((&user["role"], &user["permission"]), (&json!("MEMBER"), &json!("ONLY_VIEW")));
    assert_eq!((&user["isStaff"], &user["isSuperuser"]), (&json!(false), &json!(false)));
}

#[both_databases]
async fn errors_in_the_input_are_reported_per_field(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let all = json!({ "input": {
        "email": "nonsense", "username": "a@b", "password": "short", "passwordConfirm": "short",
        "firstName": "x".repeat(151), "lastName": "a\u{202e}b", "phone": "1".repeat(41),
    } });
    let refusals = app.anyone().refusals(REGISTER, all).await;
    assert_eq!(
        refusals,
        [
            "INVALID email",
            "INVALID username",
            "TOO_LONG firstName",
            "INVALID lastName",
            "TOO_LONG phone",
            "PASSWORD_TOO_SHORT password",
        ]
    );
    let base = json!({ "email": "lovelace@example.com", "password": PASSWORD });
    for (field, value, refusal) in [
        ("email", "", "REQUIRED email"),
        ("username", "ADA", "ALREADY_EXISTS username"),
        ("password", "password123", "PASSWORD_TOO_COMMON password"),
        ("password", "lovelace at home", "PASSWORD_TOO_SIMILAR password"),
        ("passwordConfirm", "another", "PASSWORD_MISMATCH passwordConfirm"),
    ] {
        let mut input = json!({ "input": base });
        input["input"][field] = json!(value);
        assert_eq!(app.anyone().refusals(REGISTER, input).await, [refusal], "{field}: {value}");
    }
    let answer = app.anyone().data(REGISTER, wanted("nonsense")).await;
    assert_eq!((&answer["register"]["success"], &answer["register"]["message"]), (&json!(false), &json!("")));
    assert_eq!(app.mails().await.len(), 0, "nothing is sent for what is refused");
}

#[both_databases]
async fn before_verification_only_a_pending_registration_exists(place: Place) {
    let app = TestApp::start(&place).await;
    let mut input = wanted("ada@example.com");
    input["input"]["username"] = json!("ada");
    let link = register(&app, input).await;
    let users = "{ users { totalCount nodes { email } } allEmails }";
    let seen = app.admin().await.data(users, json!({})).await;
    assert_eq!(seen["users"], json!({ "totalCount": 1, "nodes": [{ "email": "admin@localhost" }] }));
    assert_eq!(seen["allEmails"], "admin@localhost");

    let login = async |identifier: &str| {
        let input = json!({ "input": { "identifier": identifier, "password": PASSWORD } });
        app.anyone().send(LOGIN, input).await.body
    };
    let unknown = login("nobody@example.com").await;
    assert_eq!(unknown["data"]["login"]["errors"][0]["code"], "INVALID_CREDENTIALS");
    assert_eq!(login("ada@example.com").await, unknown);
    assert_eq!(login("ada").await, unknown);
    let reset = "mutation { requestReset(input: { email: \"ada@example.com\" }) { success } }";
    app.anyone().data(reset, json!({})).await;
    assert_eq!(app.mails().await.len(), 0, "there is no password to replace either");

    app.anyone().data(VERIFY, link.variables()).await;
    app.anyone().sign_in("ada", PASSWORD).await;
}
