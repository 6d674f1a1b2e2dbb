//! `VESTIBULE_SECOND_FACTOR`: users who must have a second factor, and none at all.

use serde_json::json;
use test_macros::both_databases;
use vestibule::config::SecondFactorPolicy;

use super::{CONFIRM, FACTORS, START, challenge, enroll, enrolled, login};
use crate::api_tokens;
use crate::rights::{SCHEMA, ask, operations, rows};
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const DUE: &str = "SECOND_FACTOR_ENROLLMENT_REQUIRED";

/// Operations that a user who must enrol may call, besides the public ones.
const ALLOWED: [&str; 5] = [
    "Mutation.startTotpEnrollment",
    "Mutation.confirmTotpEnrollment",
    "Mutation.startPasskeyRegistration",
    "Mutation.finishPasskeyRegistration",
    "Mutation.reauthenticate",
];

async fn start(place: &Place, policy: SecondFactorPolicy) -> TestApp {
    let app = TestApp::start(place).await;
    app.add_user("ada").await;
    app.add_staff("boss").await;
    app.start_second_with(place, |config| {
        config.second_factor = policy;
        config.limits.limits = false;
    })
    .await
}

async fn signed_in(app: &TestApp, name: &str) -> Client {
    app.anyone().sign_in(name, PASSWORD).await
}

#[both_databases]
async fn who_must_have_a_factor_and_has_none_can_enrol_and_nothing_else(place: Place) {
    let app = start(&place, SecondFactorPolicy::All).await;
    let client = signed_in(&app, "boss").await;
    let schema = app.anyone().data(SCHEMA, json!({})).await;
    let table = rows();
    let mut checked = 0;
    for (root, field) in operations(&schema) {
        let name = format!("{root}.{}", field["name"].as_str().unwrap());
        let is_public = table[name.as_str()][0] == "yes";
        if !is_public && !ALLOWED.contains(&name.as_str()) {
            assert_eq!(ask(&app.url, &client, root, &field).await, DUE, "{name}");
            checked += 1;
        }
    }
    assert!(checked > 30);
    let export = client.get("/export/users.csv").await;
    assert_eq!((export.status, export.code()), (403, DUE.to_owned()));

    enroll(&app, &client).await;
    assert_eq!(client.data(FACTORS, json!({})).await["me"]["recoveryCodesLeft"], 10);
    challenge(&app.anyone(), "boss").await;
}

#[both_databases]
async fn who_must_enrol_can_sign_out(place: Place) {
    let app = start(&place, SecondFactorPolicy::All).await;
    let mut client = signed_in(&app, "ada").await;
    client.refresh().await.unwrap();
    let logout = "mutation { logout { success } }";
    assert_eq!(client.data(logout, json!({})).await["logout"]["success"], true);
    assert_eq!(client.refresh().await.unwrap_err(), "INVALID_TOKEN");
}

#[both_databases]
async fn the_policy_can_be_for_staff_only(place: Place) {
    let app = start(&place, SecondFactorPolicy::Staff).await;
    signed_in(&app, "ada").await.data(FACTORS, json!({})).await;
    assert_eq!(signed_in(&app, "boss").await.code(FACTORS, json!({})).await, DUE);
    assert_eq!(app.anyone().sign_in(ADMIN.0, ADMIN.1).await.code(FACTORS, json!({})).await, DUE);
}

#[both_databases]
async fn api_tokens_are_exempt(place: Place) {
    let app = TestApp::start(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    let (_, secret) = api_tokens::make(&client, &["READ"]).await;
    let strict = app.start_second_with(&place, |config| config.second_factor = SecondFactorPolicy::All).await;
    strict.anyone().with_token(secret).data(FACTORS, json!({})).await;
    assert_eq!(strict.anyone().with_token(client.access.unwrap()).code(FACTORS, json!({})).await, DUE);
}

#[both_databases]
async fn off_neither_enrols_nor_asks(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, client, _) = enrolled(&app, "ada").await;
    let off = app.start_second_with(&place, |config| config.second_factor = SecondFactorPolicy::Off).await;
    assert_eq!(login(&off.anyone(), &ada.email).await["errors"], json!([]));
    let client = off.anyone().with_token(client.access.unwrap());
    assert_eq!(client.code(START, json!({})).await, "FORBIDDEN");
    assert_eq!(client.code(CONFIRM, json!({ "t": "x", "c": "1" })).await, "FORBIDDEN");
    challenge(&app.anyone(), &ada.email).await;
}
