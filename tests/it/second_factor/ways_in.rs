//! The ways in, each with each kind of second factor: no way opens a session without it.

use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::audit_event::Action;

use super::{LOGIN, Phone, complete, events_of, plant, refusals, sessions_of};
use crate::pages::{Browser, attribute, text};
use crate::parity::recovery::{link, reset_link};
use crate::parity::registration::{VERIFY, register, wanted};
use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

const NEW: &str = "quite another phrase of mine";

const CONFIRM: &str = "mutation($u: ID!, $t: String!, $p: String!) {
    confirmReset(input: { uid: $u, token: $t, newPassword: $p, login: true }) {
        success tokens { accessToken } challenge { token methods } errors { code field }
} }";

/// A way to sign in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Address,
    Username,
    Reset,
    Invitation,
    SignInPage,
    PasswordPage,
}

const WAYS: [Way; 6] = [Way::Address, Way::Username, Way::Reset, Way::Invitation, Way::SignInPage, Way::PasswordPage];

/// A kind of second factor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Totp,
    RecoveryCode,
}

impl Kind {
    fn code(self, app: &TestApp, phone: &Phone) -> String {
        match self {
            Self::Totp => phone.code(app),
            Self::RecoveryCode => phone.recovery_codes[0].clone(),
        }
    }

    fn proof(self, app: &TestApp, phone: &Phone) -> Value {
        match self {
            Self::Totp => json!({ "totpCode": self.code(app, phone) }),
            Self::RecoveryCode => json!({ "recoveryCode": self.code(app, phone) }),
        }
    }
}

/// The second step of a sign-in.
enum Second<'a> {
    Challenge(String),
    Page(Browser<'a>, Answer),
}

/// Takes the first step. Checks that it gives no credential.
async fn first_step<'a>(app: &'a TestApp, way: Way, person: &Person, name: &str) -> Second<'a> {
    let by_link = async |(uid, token): (String, String)| {
        let answer = app.anyone().send(CONFIRM, json!({ "u": uid, "t": token, "p": NEW })).await;
        let payload = &answer.body["data"]["confirmReset"];
        assert_eq!((&payload["success"], &payload["tokens"]), (&json!(true), &Value::Null), "{way:?}");
        assert_eq!(answer.header("set-cookie"), "", "{way:?}");
        Second::Challenge(payload["challenge"]["token"].as_str().unwrap().to_owned())
    };
    let by_password = async |identifier: &str| {
        let answer = app.anyone().send(LOGIN, json!({ "i": identifier, "p": PASSWORD })).await;
        let payload = &answer.body["data"]["login"];
        assert_eq!((&payload["tokens"], refusals(payload)), (&Value::Null, vec!["SECOND_FACTOR_REQUIRED".to_owned()]));
        assert_eq!(answer.header("set-cookie"), "", "{way:?}");
        Second::Challenge(payload["challenge"]["token"].as_str().unwrap().to_owned())
    };
    let by_page = async |path: &str, typed: &[(&str, &str)]| {
        let mut browser = Browser::new(app);
        let page = browser.open(path).await;
        let asked = browser.submit(&page, typed).await;
        assert!(asked.status == 200 && text(&asked).contains("Enter your code"), "{way:?}: {}", text(&asked));
        assert_eq!(browser.cookie("refresh_token"), None, "{way:?}");
        Second::Page(browser, asked)
    };
    match way {
        Way::Address => by_password(&person.email).await,
        Way::Username => by_password(name).await,
        Way::Reset => by_link(reset_link(app, &person.email).await).await,
        Way::Invitation => {
            let mails = app.mails().await;
            by_link(link(mails.iter().find(|mail| mail.to == person.email).unwrap())).await
        }
        Way::SignInPage => by_page("/account/sign-in", &[("identifier", &person.email), ("password", PASSWORD)]).await,
        Way::PasswordPage => {
            let typed = [
                ("identifier", person.email.as_str()),
                ("oldPassword", PASSWORD),
                ("newPassword", NEW),
                ("newPasswordConfirm", NEW),
            ];
            by_page("/account/password", &typed).await
        }
    }
}

/// Takes the second step with this code. Returns true if it opened a session.
async fn second_step(app: &TestApp, second: &mut Second<'_>, phone: &Phone, kind: Kind, is_right: bool) -> bool {
    match second {
        Second::Challenge(token) => {
            let proof = if is_right { kind.proof(app, phone) } else { json!({ "recoveryCode": "wrong" }) };
            complete(&app.anyone(), token, proof).await["tokens"]["accessToken"].is_string()
        }
        Second::Page(browser, page) => {
            let code = if is_right { kind.code(app, phone) } else { "wrong".to_owned() };
            let shown = browser.submit(page, &[("code", &code)]).await;
            let is_signed_in = browser.cookie("refresh_token").is_some_and(|token| !token.is_empty());
            assert_eq!(shown.status, if is_right { 200 } else { 422 }, "{}", text(&shown));
            is_signed_in
        }
    }
}

#[both_databases]
async fn every_way_in_asks_for_every_kind_of_factor(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    for (number, way) in WAYS.into_iter().enumerate() {
        for kind in [Kind::Totp, Kind::RecoveryCode] {
            let name = format!("user{number}{}", if kind == Kind::Totp { "app" } else { "code" });
            let person = match way {
                Way::Invitation => {
                    let create = "mutation($e: String!, $n: String!) {
                        createUser(input: { email: $e, username: $n }) { user { id email } } }";
                    let email = format!("{name}@example.com");
                    let created = app.admin().await.data(create, json!({ "e": email, "n": name })).await;
                    Person { id: created["createUser"]["user"]["id"].as_str().unwrap().to_owned(), email }
                }
                _ => app.add_user(&name).await,
            };
            let phone = plant(&app, &person).await;
            let mut second = first_step(&app, way, &person, &name).await;
            assert_eq!(sessions_of(&app, &person).await, 0, "{way:?} {kind:?}");
            assert_eq!(events_of(&app, &person, Action::Login).await, 0, "{way:?} {kind:?}");
            assert!(!second_step(&app, &mut second, &phone, kind, false).await, "{way:?} {kind:?}");
            assert_eq!(sessions_of(&app, &person).await, 0, "{way:?} {kind:?}");
            assert!(second_step(&app, &mut second, &phone, kind, true).await, "{way:?} {kind:?}");
            assert_eq!(sessions_of(&app, &person).await, 1, "{way:?} {kind:?}");
            assert_eq!(events_of(&app, &person, Action::Login).await, 1, "{way:?} {kind:?}");
            let has_new = matches!(way, Way::Reset | Way::Invitation | Way::PasswordPage);
            let right = if has_new { NEW } else { PASSWORD };
            let payload = app.anyone().data(LOGIN, json!({ "i": person.email, "p": right })).await["login"].clone();
            assert_eq!(refusals(&payload), ["SECOND_FACTOR_REQUIRED"], "{way:?}: the password is the expected one");
        }
    }
}

#[both_databases]
async fn a_link_of_a_new_account_signs_in_because_no_factor_can_exist(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, wanted("eve@example.com")).await;
    let data = app.anyone().data(VERIFY, link.variables()).await;
    assert!(data["verifyEmail"]["tokens"]["accessToken"].is_string(), "{data}");
}

#[both_databases]
async fn the_reset_page_signs_nobody_in(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    plant(&app, &ada).await;
    let (uid, token) = reset_link(&app, &ada.email).await;
    let mut browser = Browser::new(&app);
    let page = browser.open(&format!("/account/reset?uid={uid}&token={token}")).await;
    let done = browser.submit(&page, &[("newPassword", NEW), ("newPasswordConfirm", NEW)]).await;
    assert!(text(&done).contains("Your new password is set. Sign in with it."), "{}", text(&done));
    assert_eq!((browser.cookie("refresh_token"), sessions_of(&app, &ada).await), (None, 0));
    assert_eq!(attribute(text(&done).split("<form").nth(1).unwrap(), "action"), "/account/sign-in");
}
