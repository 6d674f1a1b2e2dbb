//! Generated passwords: they must be replaced, and expire if the service is reachable from other machines.

use std::time::Duration;
use test_macros::both_databases;

use serde_json::json;
use vestibule::config::Config;
use vestibule::domain::auth::identity::Actor;
use vestibule::domain::operator::{self, Operator};
use vestibule::domain::users::superuser::{self, FirstPassword, Username};
use vestibule::entity::user;

use crate::pages::{Browser, text};
use crate::test_app::{ADMIN, TestApp};
use crate::test_database::Place;

const DAY: Duration = Duration::from_hours(24);
const MINE: &str = "quite another phrase of mine";
const LOGIN: &str = "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) {
    user { passwordIsTemporary } errors { code field } } }";
const CHANGE: &str =
    "mutation($o: String!, $n: String!) { changePassword(input: { oldPassword: $o, newPassword: $n }) {
    success errors { code field } } }";

/// A superuser with a generated password, like the first one.
async fn set_up(app: &TestApp) -> (user::Model, String) {
    let (now, password) = (app.app.clock.now(), FirstPassword::generate());
    let row = superuser::prepare(&now, &app.app.passwords, "root@example.com", Username::Neutral, password.clone())
        .await
        .unwrap();
    let (txn, now) = app.app.db.begin(&now).await.unwrap();
    let user = superuser::insert(&txn, &now, Actor::Anyone, row).await.unwrap();
    txn.commit().await.unwrap();
    (user, password.generated().unwrap().to_owned())
}

fn reachable(config: &mut Config) {
    config.public_url = Some("http://id.example.com".parse().unwrap());
}

async fn login(app: &TestApp, password: &str) -> Vec<String> {
    app.anyone().refusals(LOGIN, json!({ "i": "root@example.com", "p": password })).await
}

async fn is_temporary(app: &TestApp, (name, password): (&str, &str)) -> bool {
    let client = app.anyone().sign_in(name, password).await;
    client.data("{ me { passwordIsTemporary } }", json!({})).await["me"]["passwordIsTemporary"].as_bool().unwrap()
}

#[both_databases]
async fn a_generated_password_is_reported_as_temporary_until_it_is_replaced(place: Place) {
    let app = TestApp::start(&place).await;
    let (user, password) = set_up(&app).await;
    assert!(is_temporary(&app, ("root@example.com", &password)).await);
    assert!(!is_temporary(&app, ADMIN).await, "somebody chose this one");
    let client = app.anyone().sign_in("root@example.com", &password).await;
    let same = client.refusals(CHANGE, json!({ "o": password, "n": password })).await;
    assert_eq!(same, ["INVALID newPassword"]);
    assert_eq!(client.refusals(CHANGE, json!({ "o": password, "n": MINE })).await, [""; 0]);
    assert!(!is_temporary(&app, (&user.username, MINE)).await);
    assert_eq!(login(&app, &password).await, ["INVALID_CREDENTIALS"]);
}

#[both_databases]
async fn a_temporary_password_expires_where_others_can_reach_the_service(place: Place) {
    let app = TestApp::start_with(&place, reachable).await;
    let (_, password) = set_up(&app).await;
    app.wait(DAY.saturating_sub(Duration::from_secs(1)));
    assert_eq!(login(&app, &password).await, [""; 0]);
    app.wait(Duration::from_secs(1));
    assert_eq!(login(&app, &password).await, ["PASSWORD_EXPIRED"]);
    assert_eq!(login(&app, "another long phrase, wrong").await, ["INVALID_CREDENTIALS"], "told to nobody else");
    app.clock.step_back(DAY * 3);
    assert_eq!(login(&app, &password).await, ["PASSWORD_EXPIRED"], "nor does a clock that is set back prolong it");
    app.wait(DAY * 3);
    app.anyone().sign_in(ADMIN.0, ADMIN.1).await;
}

#[both_databases]
async fn an_expired_temporary_password_proves_nothing_but_may_be_changed(place: Place) {
    let app = TestApp::start_with(&place, reachable).await;
    let (_, password) = set_up(&app).await;
    let mut client = app.anyone().sign_in("root@example.com", &password).await;
    app.wait(DAY);
    client.refresh().await.unwrap();
    for (field, document) in [
        ("password", "reauthenticate(input: { proof: { password: $p } })"),
        ("currentPassword", "updateMe(input: { email: \"elsewhere@example.com\", currentPassword: $p })"),
        ("currentPassword", "deactivateMe(input: { currentPassword: $p })"),
        ("currentPassword", "deleteMe(input: { currentPassword: $p })"),
    ] {
        let document = format!("mutation($p: String!) {{ {document} {{ errors {{ code field }} }} }}");
        let refused = client.refusals(&document, json!({ "p": password })).await;
        assert_eq!(refused, [format!("PASSWORD_EXPIRED {field}")], "{document}");
        let wrong = client.refusals(&document, json!({ "p": "another long phrase, wrong" })).await;
        assert_eq!(wrong, [format!("PASSWORD_INCORRECT {field}")], "{document}");
    }
    assert_eq!(client.refusals(CHANGE, json!({ "o": password, "n": MINE })).await, [""; 0]);
    let again =
        "mutation($p: String!) { reauthenticate(input: { proof: { password: $p } }) { errors { code field } } }";
    assert_eq!(client.refusals(again, json!({ "p": MINE })).await, [""; 0]);
}

#[both_databases]
async fn a_temporary_password_does_not_expire_on_a_machine_of_ones_own(place: Place) {
    let app = TestApp::start(&place).await;
    let (_, password) = set_up(&app).await;
    app.wait(DAY * 30);
    assert!(is_temporary(&app, ("root@example.com", &password)).await);
}

#[both_databases]
async fn a_reset_replaces_an_expired_temporary_password(place: Place) {
    let app = TestApp::start_with(&place, reachable).await;
    let (user, password) = set_up(&app).await;
    app.wait(DAY);
    operator::users::send_reset(&app.app.db, &app.app.clock.now(), &Operator::new(), user.id).await.unwrap();
    let mails = app.mails().await;
    let (_, rest) = mails[0].text.split_once("&token=").unwrap();
    let token: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let confirm = "mutation($u: ID!, $t: String!, $n: String!) {
        confirmReset(input: { uid: $u, token: $t, newPassword: $n }) { errors { code field } } }";
    let reset = async |new: &str| app.anyone().refusals(confirm, json!({ "u": user.id, "t": token, "n": new })).await;
    assert_eq!(reset(&password).await, ["INVALID newPassword"], "not the same once more");
    assert_eq!(reset(MINE).await, [""; 0]);
    assert!(!is_temporary(&app, ("root@example.com", MINE)).await);
}

#[both_databases]
async fn the_pages_lead_from_a_temporary_password_to_another(place: Place) {
    let app = TestApp::start(&place).await;
    let (_, password) = set_up(&app).await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    let page = browser.submit(&page, &[("identifier", "root@example.com"), ("password", &password)]).await;
    assert!(text(&page).contains("temporary password") && text(&page).contains("Change your password"));
    let typed = |new: &'static str| {
        [
            ("identifier", "root@example.com"),
            ("oldPassword", &*password),
            ("newPassword", new),
            ("newPasswordConfirm", new),
        ]
    };
    let refused = browser.submit(&page, &typed("short")).await;
    assert_eq!(refused.status, 422);
    assert!(text(&refused).contains("newPassword-error"), "{}", text(&refused));
    let page = browser.submit(&page, &typed(MINE)).await;
    assert!(text(&page).contains("Your new password is set"), "{}", text(&page));
    assert!(!is_temporary(&app, ("root@example.com", MINE)).await);
    let mut other = Browser::new(&app);
    let page = other.open("/account/sign-in").await;
    let page = other.submit(&page, &[("identifier", ADMIN.0), ("password", ADMIN.1)]).await;
    assert!(text(&page).contains("You are signed in") && !text(&page).contains("temporary"));
}
