//! The documents of the README's first session, in order.

use serde_json::{Value, json};
use test_macros::both_databases;

use crate::parity::recovery::link;
use crate::parity::registration;
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

/// Runs an example, and returns the only field of its data. It must succeed.
async fn example(client: &Client, name: &str, variables: Value) -> Value {
    let path = format!("{}/examples/{name}.graphql", env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(path).unwrap();
    let data = client.data(&document, variables).await;
    let (_, field) = data.as_object().unwrap().iter().next().expect("the document has a field");
    assert!(field["errors"].is_null() || field["errors"] == json!([]), "{name}: {field}");
    field.clone()
}

#[both_databases]
async fn the_first_session(place: Place) {
    let app = TestApp::start(&place).await;
    let login = async |identifier: &str, password: &str| {
        let variables = json!({ "identifier": identifier, "password": password });
        let tokens = example(&app.anyone(), "first-session/1-login", variables).await["tokens"].clone();
        (app.anyone().with_token(tokens["accessToken"].as_str().unwrap()), tokens["refreshToken"].clone())
    };
    let (admin, _) = login(ADMIN.0, ADMIN.1).await;
    assert_eq!(example(&admin, "first-session/2-me", json!({})).await["isSuperuser"], true);

    let ada = json!({ "email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace" });
    let created = example(&admin, "first-session/3-create-user", ada).await;
    assert_eq!(created["user"]["name"], "Ada Lovelace");
    let (uid, token) = link(&app.mails().await[0]);
    let confirm = json!({ "uid": uid, "token": token, "newPassword": PASSWORD });
    assert_eq!(example(&app.anyone(), "first-session/4-confirm-reset", confirm).await["success"], true);
    app.mails().await;

    let promoted =
        example(&admin, "first-session/5-toggle-staff", json!({ "id": created["user"]["id"], "isStaff": true })).await;
    assert_eq!(promoted["user"]["isStaff"], true);
    let (ada, refresh_token) = login("ada@example.com", PASSWORD).await;
    let newest = example(&ada, "first-session/6-users", json!({ "first": 10 })).await["nodes"][0]["username"].clone();
    assert_eq!(newest, created["user"]["username"]);

    example(&app.anyone(), "first-session/7-request-reset", json!({ "email": "ada@example.com" })).await;
    let (uid, token) = link(&app.mails().await[0]);
    let confirm = json!({ "uid": uid, "token": token, "newPassword": "quite a new long phrase" });
    let next = example(&app.anyone(), "first-session/8-refresh", json!({ "refreshToken": refresh_token })).await;
    let ada = app.anyone().with_token(next["tokens"]["accessToken"].as_str().unwrap());
    assert_eq!(example(&ada, "first-session/9-logout", json!({ "everywhere": true })).await["success"], true);
    example(&app.anyone(), "first-session/4-confirm-reset", confirm).await;
    login(newest.as_str().unwrap(), "quite a new long phrase").await;
}

#[both_databases]
async fn from_registering_to_deleting(place: Place) {
    let app = TestApp::start(&place).await;
    let wanted = json!({ "email": "ada@example.com", "password": PASSWORD });
    let registered = example(&app.anyone(), "own-account/1-register", wanted).await;
    assert_eq!(registered["success"], true);
    let token = registration::token(&app.mails().await[0]);
    let link = json!({ "token": token, "registrationSecret": registered["registrationSecret"] });
    let verified = example(&app.anyone(), "own-account/2-verify-email", link).await;
    let ada = app.anyone().with_token(verified["tokens"]["accessToken"].as_str().unwrap());
    let named = json!({ "firstName": "Ada", "lastName": "Lovelace", "bio": "Counts." });
    assert_eq!(example(&ada, "own-account/3-update-me", named).await["user"]["name"], "Ada Lovelace");
    let passwords = json!({ "oldPassword": PASSWORD, "newPassword": "quite a new long phrase" });
    assert_eq!(example(&ada, "own-account/4-change-password", passwords).await["success"], true);
    assert_eq!(example(&ada, "own-account/5-sessions", json!({})).await[0]["isCurrent"], true);
    let made = json!({ "name": "nightly", "scopes": ["EXPORT"] });
    let secret = example(&ada, "own-account/6-create-api-token", made).await["secret"].clone();
    let script = app.anyone().with_token(secret.as_str().unwrap());
    assert_eq!(script.get("/export/samples.csv").await.status, 200);
    let proof = json!({ "currentPassword": "quite a new long phrase" });
    assert_eq!(example(&ada, "own-account/7-delete-me", proof).await["outcome"], "DELETED");
    assert_eq!(script.get("/export/samples.csv").await.status, 401);
}
