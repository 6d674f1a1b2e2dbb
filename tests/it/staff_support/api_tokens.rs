//! API tokens of others: staff see and revoke them.

use serde_json::json;
use test_macros::both_databases;
use vestibule::entity::audit_event::Action;

use super::{events_of, script};
use crate::api_tokens::make;
use crate::test_app::TestApp;
use crate::test_database::Place;

const TOKENS: &str = "query($id: ID!) { user(id: $id) { apiTokens { id name prefix } } }";

const REVOKE: &str =
    "mutation($id: ID!) { revokeUserApiToken(input: { id: $id }) { apiToken { id } errors { code field } } }";

#[both_databases]
async fn staff_revoke_the_token_of_a_user_who_is_told(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let (id, secret) = make(&client, &["READ"]).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    app.mails().await;
    let seen = boss.data(TOKENS, json!({ "id": ada.id })).await["user"]["apiTokens"].clone();
    assert_eq!((&seen[0]["id"], &seen[0]["name"]), (&json!(id), &json!("a script")));
    assert!(secret.starts_with(seen[0]["prefix"].as_str().unwrap()) && !seen.to_string().contains(&secret));
    assert_eq!(boss.refusals(REVOKE, json!({ "id": id })).await, [""; 0]);
    let program = app.anyone().with_token(secret);
    assert_eq!(program.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED INVALID");
    let mails = app.mails().await;
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [ada.email.as_str()]);
    assert!(mails[0].subject.contains("was revoked"), "{mails:?}");
    assert_eq!(events_of(&app, &ada, Action::ApiTokenDeleted).await, 1);
    assert_eq!(boss.refusals(REVOKE, json!({ "id": id })).await, ["NOT_FOUND id"]);
}

#[both_databases]
async fn tokens_of_superusers_are_neither_seen_nor_revoked_by_others(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let (hidden, _) = make(&admin, &["READ"]).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let (own, _) = make(&client, &["READ"]).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    assert_eq!(boss.refusals(REVOKE, json!({ "id": hidden })).await, ["NOT_FOUND id"]);
    assert_eq!(boss.refusals(REVOKE, json!({ "id": "x" })).await, ["NOT_FOUND id"]);
    assert_eq!(client.code(REVOKE, json!({ "id": own })).await, "FORBIDDEN");
    assert_eq!(script(&app, &boss, "MANAGE_USERS").await.code(REVOKE, json!({ "id": own })).await, "FORBIDDEN");
    let mine = client.data("{ me { apiTokens { id } } }", json!({})).await["me"]["apiTokens"].clone();
    assert_eq!(mine, json!([{ "id": own }]));
}
