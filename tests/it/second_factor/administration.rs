//! Second factors of others: staff, the operator, lists, and the secret key.

use std::time::Duration;

use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::audit_event::Action;

use super::{FACTORS, challenge, complete, enroll, enrolled, events_of, login, refusals};
use crate::cli_admin::done;
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_database::Place;

const RESET: &str = "mutation($id: ID!) { resetFactors(input: { id: $id }) {
    user { factors { id } recoveryCodesLeft } errors { code field }
} }";

#[both_databases]
async fn staff_remove_the_factors_of_a_user_and_end_the_sessions(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, mut client, phone) = enrolled(&app, "ada").await;
    let token = challenge(&app.anyone(), &ada.email).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let payload = boss.data(RESET, json!({ "id": ada.id })).await["resetFactors"].clone();
    assert_eq!(payload, json!({ "user": { "factors": [], "recoveryCodesLeft": 0 }, "errors": [] }));
    assert_eq!(client.refresh().await.unwrap_err(), "INVALID_TOKEN");
    let proof = json!({ "recoveryCode": phone.recovery_codes[0] });
    assert_eq!(refusals(&complete(&app.anyone(), &token, proof).await), ["INVALID_TOKEN challengeToken"]);
    assert_eq!(login(&app.anyone(), &ada.email).await["errors"], json!([]));
    let mails = app.mails().await;
    assert!(mails.iter().any(|mail| mail.to == ada.email && mail.subject.contains("was removed")), "{mails:?}");
    assert_eq!(events_of(&app, &ada, Action::FactorsReset).await, 1);
    assert_eq!(boss.refusals(RESET, json!({ "id": ada.id })).await, [""; 0]);
    assert_eq!(events_of(&app, &ada, Action::FactorsReset).await, 1, "without a factor, nothing changes");
}

#[both_databases]
async fn guard_rails_and_the_recent_proof_hold_for_a_reset(place: Place) {
    let app = TestApp::start_with(&place, |config| config.sessions.access_ttl = Duration::from_secs(60 * 60)).await;
    let (ada, client, _) = enrolled(&app, "ada").await;
    let boss = app.add_staff("boss").await;
    let staff = boss.sign_in(&app).await;
    let admin = app.admin().await;
    let me = admin.data("{ me { id } }", json!({})).await["me"]["id"].clone();
    assert_eq!(client.code(RESET, json!({ "id": ada.id })).await, "FORBIDDEN");
    assert_eq!(staff.refusals(RESET, json!({ "id": boss.id })).await, ["INVALID id"]);
    assert_eq!(staff.refusals(RESET, json!({ "id": me })).await, ["CANNOT_EDIT_SUPERUSER id"]);
    assert_eq!(staff.refusals(RESET, json!({ "id": "x" })).await, ["NOT_FOUND id"]);
    let can = "query($id: ID!) { user(id: $id) { viewerCan { resetFactors { allowed reason } } } }";
    let can = async |id: &str| staff.data(can, json!({ "id": id })).await["user"]["viewerCan"]["resetFactors"].clone();
    assert_eq!(can(&ada.id).await, json!({ "allowed": true, "reason": null }));
    assert_eq!(can(&boss.id).await, json!({ "allowed": false, "reason": "INVALID" }));
    app.wait(Duration::from_secs(10 * 60));
    assert_eq!(staff.refusals(RESET, json!({ "id": ada.id })).await, ["REAUTHENTICATION_REQUIRED"]);
    assert_eq!(can(&ada.id).await, json!({ "allowed": false, "reason": "REAUTHENTICATION_REQUIRED" }));
}

#[both_databases]
async fn the_command_line_lets_the_last_superuser_back_in(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let admin = app.admin().await;
    enroll(&app, &admin).await;
    let payload = app.anyone().data(super::LOGIN, json!({ "i": ADMIN.0, "p": ADMIN.1 })).await["login"].clone();
    assert_eq!(refusals(&payload), ["SECOND_FACTOR_REQUIRED"]);
    let shown = done(&place, &["users", "show", "admin"]);
    assert!(shown.contains("second factor") && shown.contains("set"), "{shown}");
    let said = done(&place, &["users", "reset-factors", "admin"]);
    assert_eq!(said, "admin@localhost has no second factor now, and is signed out everywhere\n");
    assert_eq!(done(&place, &["users", "reset-factors", "admin"]), "admin@localhost had no second factor\n");
    app.admin().await;
    assert_eq!(admin.code(FACTORS, json!({})).await, "UNAUTHENTICATED REVOKED");
    let mails = app.mails_at_system_time().await;
    assert!(mails.iter().any(|mail| mail.subject.contains("was removed")), "{mails:?}");
}

#[both_databases]
async fn staff_see_factors_and_find_users_by_them(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    app.add_user("bob").await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let list = "query($f: UserFilter) { users(filter: $f) {
        totalCount nodes { username factors { id kind } recoveryCodesLeft }
    } }";
    let with = staff.data(list, json!({ "f": { "hasSecondFactor": true } })).await["users"].clone();
    let expected =
        json!({ "username": "ada", "factors": [{ "id": phone.id, "kind": "TOTP" }], "recoveryCodesLeft": 10 });
    assert_eq!(with, json!({ "totalCount": 1, "nodes": [expected] }));
    let without = staff.data(list, json!({ "f": { "hasSecondFactor": false } })).await["users"].clone();
    assert_eq!(without["totalCount"], 2, "{without}");
    let node = "query($id: ID!) { node(id: $id) { __typename id } }";
    let found = staff.data(node, json!({ "id": phone.id })).await["node"].clone();
    assert_eq!(found, json!({ "__typename": "Factor", "id": phone.id }));
    let bob = app.anyone().sign_in("bob", PASSWORD).await;
    assert_eq!(bob.data(node, json!({ "id": phone.id })).await["node"], Value::Null);
    assert_eq!(events_of(&app, &ada, Action::Login).await, 1);
}

#[both_databases]
async fn strangers_failures_show_no_superuser(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let phone = enroll(&app, &app.admin().await).await;
    let payload = app.anyone().data(super::LOGIN, json!({ "i": ADMIN.0, "p": ADMIN.1 })).await["login"].clone();
    let token = payload["challenge"]["token"].as_str().unwrap();
    complete(&app.anyone(), token, json!({ "totpCode": phone.wrong_code(&app) })).await;
    let boss = boss.sign_in(&app).await;
    let trail = "{ auditEvents(filter: { action: LOGIN_FAILED }) { nodes { target { id } reason } } }";
    let seen = boss.data(trail, json!({})).await["auditEvents"]["nodes"].clone();
    assert_eq!(seen, json!([{ "target": null, "reason": "UNKNOWN_ACCOUNT" }]));
}
