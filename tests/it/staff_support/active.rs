//! Many users activated or deactivated at once.

use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::audit_event::Action;

use super::{events_of, own_id, script};
use crate::api_tokens::make;
use crate::test_app::TestApp;
use crate::test_database::Place;

const SET: &str = "mutation($ids: [ID!]!, $to: Boolean!) { setUsersActive(input: { ids: $ids, isActive: $to }) {
    outcomes { id user { isActive } error { code } } errors { code field }
} }";

#[both_databases]
async fn those_who_can_be_deactivated_are_and_the_others_are_named(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, bob) = (app.add_user("ada").await, app.add_user("bob").await);
    let mut client = ada.sign_in(&app).await;
    let (_, secret) = make(&client, &["READ"]).await;
    let person = app.add_staff("boss").await;
    let boss = person.sign_in(&app).await;
    let root = own_id(&app.admin().await).await;
    let ids = json!([ada.id, person.id, "x", root, bob.id, ada.id]);
    let outcomes = boss.data(SET, json!({ "ids": ids, "to": false })).await["setUsersActive"]["outcomes"].clone();
    let told: Vec<(Value, Value)> = outcomes
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| (outcome["user"]["isActive"].clone(), outcome["error"]["code"].clone()))
        .collect();
    let off = (json!(false), Value::Null);
    let refused = |code: &str| (Value::Null, json!(code));
    let expected = [
        off.clone(),
        refused("CANNOT_DEACTIVATE_SELF"),
        refused("NOT_FOUND"),
        refused("CANNOT_EDIT_SUPERUSER"),
        off.clone(),
        off,
    ];
    assert_eq!(told, expected);
    assert_eq!(client.refresh().await.unwrap_err(), "INVALID_TOKEN");
    assert_eq!(app.anyone().with_token(secret).code("{ me { id } }", json!({})).await, "UNAUTHENTICATED INVALID");
    for user in [&ada, &bob] {
        assert_eq!(events_of(&app, user, Action::Deactivated).await, 1);
    }
    // Once more changes and records nothing.
    boss.data(SET, json!({ "ids": [ada.id], "to": false })).await;
    assert_eq!(events_of(&app, &ada, Action::Deactivated).await, 1);
    let on = boss.data(SET, json!({ "ids": [ada.id], "to": true })).await["setUsersActive"]["outcomes"].clone();
    assert_eq!(on[0]["user"]["isActive"], true);
    ada.sign_in(&app).await;
}

#[both_databases]
async fn the_number_the_reach_of_tokens_and_the_recent_proof_are_checked(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.sessions.access_ttl = std::time::Duration::from_secs(60 * 60);
    })
    .await;
    let ada = app.add_user("ada").await;
    let colleague = app.add_staff("colleague").await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let many: Vec<String> = (0..501).map(|_| ada.id.clone()).collect();
    assert_eq!(boss.refusals(SET, json!({ "ids": [], "to": false })).await, ["REQUIRED ids"]);
    assert_eq!(boss.refusals(SET, json!({ "ids": many, "to": false })).await, ["TOO_LONG ids"]);
    let program = script(&app, &boss, "MANAGE_USERS").await;
    assert_eq!(program.code(SET, json!({ "ids": [ada.id, colleague.id], "to": false })).await, "FORBIDDEN");
    assert_eq!(events_of(&app, &ada, Action::Deactivated).await, 0);
    assert_eq!(program.refusals(SET, json!({ "ids": [ada.id], "to": false })).await, [""; 0]);
    app.wait(std::time::Duration::from_secs(10 * 60));
    assert_eq!(boss.refusals(SET, json!({ "ids": [colleague.id], "to": false })).await, [""; 0]);
    let both = json!({ "ids": [ada.id, colleague.id], "to": true });
    assert_eq!(boss.refusals(SET, both).await, ["REAUTHENTICATION_REQUIRED"]);
    assert_eq!(events_of(&app, &ada, Action::Activated).await, 0, "all or none are activated");
}
