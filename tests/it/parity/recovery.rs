//! Password reset.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::json;
use vestibule::entity::{audit_event, mail};
use vestibule::tools::mail::Message;

use crate::pages::{Browser, text};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

pub(crate) const REQUEST: &str = "mutation($email: String!) { requestReset(input: { email: $email }) {
    success message errors { code field }
} }";

pub(crate) const CONFIRM: &str = "mutation($input: ConfirmResetInput!) { confirmReset(input: $input) {
    success message tokens { accessToken } errors { code field }
} }";

const NEW: &str = "quite a new long phrase";

/// The `uid` and `token` of the link in a mail.
pub(crate) fn link(mail: &Message) -> (String, String) {
    let after = |name: &str| {
        let (_, rest) = mail.text.split_once(name).expect("the mail has a link");
        rest.split(|c: char| c == '&' || c.is_whitespace()).next().unwrap().to_owned()
    };
    (after("uid="), after("token="))
}

/// Requests a reset, and returns the link of the mail.
pub(crate) async fn reset_link(app: &TestApp, email: &str) -> (String, String) {
    app.mails().await;
    app.anyone().data(REQUEST, json!({ "email": email })).await;
    let mails = app.mails().await;
    assert_eq!(mails.len(), 1);
    link(&mails[0])
}

fn confirm((uid, token): &(String, String), password: &str) -> serde_json::Value {
    json!({ "input": { "uid": uid, "token": token, "newPassword": password, "newPasswordConfirm": password } })
}

#[both_databases]
async fn reset_mails_go_to_active_users_only_and_addresses_match_in_any_case(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("Ada").await;
    app.add(json!({ "email": "gone@example.com", "password": PASSWORD, "isActive": false })).await;
    for address in ["ADA@EXAMPLE.com", "gone@example.com", "nobody@example.com"] {
        app.anyone().data(REQUEST, json!({ "email": address })).await;
    }
    let mails = app.mails().await;
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["Ada@example.com"]);
    assert_eq!(app.anyone().refusals(REQUEST, json!({ "email": "nonsense" })).await, ["INVALID email"]);
    assert_eq!(app.anyone().refusals(REQUEST, json!({ "email": "" })).await, ["REQUIRED email"]);
}

#[both_databases]
async fn the_response_never_reveals_whether_the_account_exists(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let before = written(&app).await;
    let known = app.anyone().send(REQUEST, json!({ "email": "ada@example.com" })).await;
    let after_known = written(&app).await;
    let unknown = app.anyone().send(REQUEST, json!({ "email": "eve@example.com" })).await;
    let after_unknown = written(&app).await;
    assert_eq!(known.body, unknown.body);
    assert_eq!(known.body["data"]["requestReset"]["success"], true);
    let names = |headers: &reqwest::header::HeaderMap| headers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&known.headers), names(&unknown.headers));
    // The request does the same work in both cases: the worker finds the difference later.
    assert_eq!((after_known.0 - before.0, after_known.1 - before.1), (1, 1));
    assert_eq!((after_unknown.0 - after_known.0, after_unknown.1 - after_known.1), (1, 1));
}

async fn written(app: &TestApp) -> (u64, u64) {
    let mails = mail::Entity::find().count(app.db()).await.unwrap();
    (mails, audit_event::Entity::find().count(app.db()).await.unwrap())
}

#[both_databases]
async fn the_link_leads_to_the_configured_front_end_or_the_built_in_page(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.frontend_url = Some("https://app.example/".parse().unwrap());
    })
    .await;
    app.add_user("ada").await;
    let forged = app.anyone().with_header("host", "evil.example").with_header("x-forwarded-host", "evil.example");
    forged.data(REQUEST, json!({ "email": "ada@example.com" })).await;
    let mails = app.mails().await;
    assert!(mails[0].text.contains("https://app.example/account/reset?uid="), "{}", mails[0].text);
    assert!(!mails[0].text.contains("evil") && !mails[0].html.contains("evil"));

    let app = TestApp::start(&place).await;
    app.anyone().with_header("host", "evil.example").data(REQUEST, json!({ "email": "ada@example.com" })).await;
    let built_in = format!("{}/account/reset?uid=", app.url);
    assert!(app.mails().await[0].text.contains(&built_in));
}

#[both_databases]
async fn the_mail_has_name_site_validity_link_and_contact(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        "Analytical Engines".clone_into(&mut config.site_name);
        config.support = Some("help@example.com".to_owned());
    })
    .await;
    app.add(json!({ "email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace" })).await;
    app.anyone().data(REQUEST, json!({ "email": "ada@example.com" })).await;
    let mails = app.mails().await;
    let (uid, token) = link(&mails[0]);
    for part in ["Ada Lovelace", "Analytical Engines", "1 hour", "help@example.com", &uid, &token] {
        assert!(mails[0].text.contains(part), "{part} is missing in {}", mails[0].text);
        assert!(mails[0].html.contains(part), "{part} is missing in {}", mails[0].html);
    }
}

#[both_databases]
async fn uid_token_and_new_password_set_the_password(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let before = ada.sign_in(&app).await;
    let link = reset_link(&app, &ada.email).await;

    let mut differ = confirm(&link, NEW);
    differ["input"]["newPasswordConfirm"] = json!("something else");
    assert_eq!(app.anyone().refusals(CONFIRM, differ).await, ["PASSWORD_MISMATCH newPasswordConfirm"]);

    let data = app.anyone().data(CONFIRM, confirm(&link, NEW)).await;
    assert_eq!(data["confirmReset"]["success"], true);
    assert_eq!(data["confirmReset"]["tokens"], json!(null));
    app.anyone().sign_in("ada", NEW).await;
    let login =
        "mutation($p: String!) { login(input: { identifier: \"ada\", password: $p }) { errors { code field } } }";
    assert_eq!(app.anyone().refusals(login, json!({ "p": PASSWORD })).await, ["INVALID_CREDENTIALS"]);
    assert_eq!(before.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    let told = app.mails().await;
    assert_eq!((told.len(), told[0].to.as_str()), (1, "ada@example.com"));
    assert!(told[0].subject.contains("password"), "{}", told[0].subject);
}

#[both_databases]
async fn a_used_expired_or_superseded_link_is_refused(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let refused = async |link: &(String, String)| {
        let refusals = app.anyone().refusals(CONFIRM, confirm(link, NEW)).await;
        assert_eq!(refusals, ["INVALID_TOKEN token"]);
    };
    let used = reset_link(&app, &ada.email).await;
    app.anyone().data(CONFIRM, confirm(&used, NEW)).await;
    app.mails().await;
    refused(&used).await;

    let late = reset_link(&app, &ada.email).await;
    app.wait(Duration::from_hours(1));
    refused(&late).await;

    let older = reset_link(&app, &ada.email).await;
    let newer = reset_link(&app, &ada.email).await;
    refused(&older).await;
    let (uid, token) = newer.clone();
    let stranger = app.add_user("eve").await.id;
    refused(&(stranger, token.clone())).await;
    refused(&(uid.clone(), token[1..].to_owned())).await;
    refused(&(uid, "nonsense".to_owned())).await;
    app.anyone().data(CONFIRM, confirm(&newer, NEW)).await;
}

#[both_databases]
async fn a_weak_password_is_refused_and_the_link_stays_valid(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("adalovelace").await;
    let link = reset_link(&app, &ada.email).await;
    for (password, code) in [
        ("short", "PASSWORD_TOO_SHORT newPassword"),
        ("password123", "PASSWORD_TOO_COMMON newPassword"),
        ("adalovelace1815", "PASSWORD_TOO_SIMILAR newPassword"),
        (&"long ".repeat(30), "TOO_LONG newPassword"),
    ] {
        assert_eq!(app.anyone().refusals(CONFIRM, confirm(&link, password)).await, [code], "{password}");
    }
    app.anyone().data(CONFIRM, confirm(&link, NEW)).await;
    app.anyone().sign_in("adalovelace", NEW).await;
}

#[both_databases]
async fn on_request_a_reset_signs_the_user_in_but_never_staff(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let sign_in = |link| {
        let mut input = confirm(link, NEW);
        input["input"]["login"] = json!(true);
        input
    };
    let link = reset_link(&app, &ada.email).await;
    let page = app.anyone().with_header("origin", app.url.clone());
    let answer = page.send(CONFIRM, sign_in(&link)).await;
    let token = answer.body["data"]["confirmReset"]["tokens"]["accessToken"].as_str().unwrap();
    assert!(answer.header("set-cookie").starts_with("refresh_token="));
    let me = app.anyone().with_token(token).data("{ me { username } }", json!({})).await;
    assert_eq!(me["me"]["username"], "ada");
    app.mails().await;

    let boss = app.add_staff("boss").await;
    let link = reset_link(&app, &boss.email).await;
    let answer = app.anyone().send(CONFIRM, sign_in(&link)).await;
    let payload = &answer.body["data"]["confirmReset"];
    assert_eq!((&payload["success"], &payload["tokens"]), (&json!(true), &json!(null)));
    assert_eq!(answer.header("set-cookie"), "");
}

#[both_databases]
async fn a_page_can_check_a_link_without_spending_it(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let link = reset_link(&app, &ada.email).await;
    let ask = "query($uid: ID!, $token: String!) { resetTokenIsValid(uid: $uid, token: $token) }";
    let good = async |uid: &str, token: &str| {
        app.anyone().data(ask, json!({ "uid": uid, "token": token })).await["resetTokenIsValid"] == true
    };
    assert!(good(&link.0, &link.1).await);
    assert!(good(&link.0, &link.1).await, "asking does not spend it");
    assert!(!good("nobody", &link.1).await);
    assert!(!good(&link.0, "nonsense").await);
    app.wait(Duration::from_hours(1));
    assert!(!good(&link.0, &link.1).await);
}

#[both_databases]
async fn reset_requests_are_audited_and_limited_per_address_and_per_client(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let events = async || {
        let all = audit_event::Entity::find().all(app.db()).await.unwrap();
        all.iter().filter(|event| event.action == audit_event::Action::ResetRequested).count()
    };
    for (address, spelling) in [("ada@example.com", "ADA@EXAMPLE.COM"), ("nobody@example.com", "Nobody@example.com")] {
        for _ in 0..3 {
            app.anyone().data(REQUEST, json!({ "email": address })).await;
        }
        let refused = app.anyone().send(REQUEST, json!({ "email": spelling })).await;
        assert_eq!(refused.code(), "RATE_LIMITED");
        assert_eq!(refused.body["errors"][0]["extensions"]["retryAfter"], 20 * 60);
    }
    assert_eq!(events().await, 6);
    app.wait(Duration::from_secs(20 * 60));
    app.anyone().data(REQUEST, json!({ "email": "ada@example.com" })).await;
    assert_eq!(app.anyone().code(REQUEST, json!({ "email": "ada@example.com" })).await, "RATE_LIMITED");

    // The limits are stored in the database, so a second instance shares them.
    let second = app.start_second(&place).await;
    assert_eq!(second.anyone().code(REQUEST, json!({ "email": "ada@example.com" })).await, "RATE_LIMITED");
    app.wait(Duration::from_secs(60 * 60));
    for number in 0..30 {
        app.anyone().data(REQUEST, json!({ "email": format!("user{number}@example.com") })).await;
    }
    assert_eq!(second.anyone().code(REQUEST, json!({ "email": "new@example.com" })).await, "RATE_LIMITED");
}

#[both_databases]
async fn pages_lead_from_a_forgotten_password_to_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = Browser::new(&app);
    let sign_in = browser.open("/account/sign-in").await;
    assert!(text(&sign_in).contains("href=\"/account/forgot\""));
    let forgot = browser.open("/account/forgot").await;
    let known = browser.submit(&forgot, &[("email", &ada.email)]).await;
    let unknown = browser.submit(&forgot, &[("email", "nobody@example.com")]).await;
    assert_eq!(text(&known), text(&unknown));
    let (uid, token) = link(&app.mails().await[0]);
    let reset = browser.open(&format!("/account/reset?uid={uid}&token={token}")).await;
    let set = browser.submit(&reset, &[("newPassword", NEW), ("newPasswordConfirm", NEW)]).await;
    assert!(text(&set).contains("Your new password is set. Sign in with it."));
    let signed_in = browser.submit(&set, &[("identifier", "ada"), ("password", NEW)]).await;
    assert!(text(&signed_in).contains("You are signed in"));
    let refresh = "mutation { refresh { user { username } errors { code } } }";
    let cookie = format!("refresh_token={}", browser.cookie("refresh_token").unwrap());
    let data = app.anyone().with_header("cookie", cookie).data(refresh, json!({})).await;
    assert_eq!(data["refresh"]["user"]["username"], "ada");
}
