//! Step-up: sensitive operations require a recent proof of identity.

use std::time::Duration;
use test_macros::both_databases;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::multipart::{Form, Part};
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};
use vestibule::entity::{api_token, audit_event, user};

use crate::api_tokens;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const REAUTHENTICATE: &str = "mutation($proof: ProofInput!) { reauthenticate(input: { proof: $proof }) {
    tokens { accessToken refreshToken } session { authenticatedAt proofValidUntil isCurrent } errors { code field }
} }";

const SESSION: &str = "{ sessions { authenticatedAt proofValidUntil } }";

/// The default of `VESTIBULE_REAUTHENTICATE_AFTER`.
const VALID: Duration = Duration::from_secs(10 * 60);

/// A service whose access tokens outlive a proof, so that no test needs to refresh.
async fn start(place: &Place) -> TestApp {
    TestApp::start_with(place, |config| config.sessions.access_ttl = Duration::from_secs(60 * 60)).await
}

const DUE: [&str; 1] = ["REAUTHENTICATION_REQUIRED"];

/// Sensitive operations of staff, without those on API tokens.
const OF_STAFF: [(&str, &str); 10] = [
    ("another password", "setUserPassword(input: { id: $id, password: \"one of the staff desk\" })"),
    ("a password among other changes", "updateUser(input: { id: $id, password: \"one of the staff desk\" })"),
    ("another address", "updateUser(input: { id: $id, email: \"elsewhere@example.com\" })"),
    ("the staff flag", "updateUser(input: { id: $id, isStaff: true })"),
    ("the administrator role", "updateUser(input: { id: $id, role: ADMIN })"),
    ("the staff flag alone", "toggleStaff(input: { id: $id })"),
    ("a permission", "updateUser(input: { id: $id, permission: FULL_ACCESS })"),
    (
        "an account with a password",
        "createUser(input: { email: \"another@example.com\", password: \"one of the staff desk\" })",
    ),
    ("an account with staff rights", "createUser(input: { email: \"crony@example.com\", isStaff: true })"),
    ("the end of an account", "deleteUser(input: { id: $id })"),
];

async fn prove(client: &Client, password: &str) -> Value {
    client.data(REAUTHENTICATE, json!({ "proof": { "password": password } })).await["reauthenticate"].clone()
}

async fn try_staff(client: &Client, mutation: &str, id: &str) -> Vec<String> {
    let declared = if mutation.contains("$id") { "($id: ID!)" } else { "" };
    let document = format!("mutation{declared} {{ {mutation} {{ errors {{ code field }} }} }}");
    client.refusals(&document, json!({ "id": id })).await
}

async fn import(client: &Client) -> Value {
    let document = "mutation($file: Upload!) { importUsers(input: { file: $file, sendWelcome: false }) {
        created errors { code field }
    } }";
    let form = Form::new()
        .text("operations", json!({ "query": document, "variables": { "file": null } }).to_string())
        .text("map", "{\"0\":[\"variables.file\"]}")
        .part("0", Part::bytes(b"email\nnew@example.com\n".to_vec()).file_name("people.csv"));
    let request = client.request("POST", "/graphql").header("graphql-require-preflight", "1").multipart(form);
    client.finish(request).await.body["data"]["importUsers"].clone()
}

#[both_databases]
async fn an_old_proof_gives_no_access_to_other_accounts(place: Place) {
    let app = start(&place).await;
    let (ada, staff) = (app.add_user("ada").await, app.add_staff("boss").await.sign_in(&app).await);
    app.wait(VALID);
    let before = user::Entity::find().all(app.db()).await.unwrap();
    for (name, mutation) in OF_STAFF {
        assert_eq!(try_staff(&staff, mutation, &ada.id).await, DUE, "{name}");
    }
    assert_eq!(import(&staff).await["errors"][0]["code"], DUE[0]);
    assert_eq!(user::Entity::find().all(app.db()).await.unwrap(), before);

    assert_eq!(prove(&staff, PASSWORD).await["errors"], json!([]));
    app.wait(Duration::from_secs(10 * 60 - 1));
    for (name, mutation) in OF_STAFF {
        let refused = try_staff(&staff, mutation, &ada.id).await;
        assert!(refused.is_empty(), "{name}: {refused:?}");
    }
    assert_eq!(import(&staff).await, json!({ "created": 1, "errors": [] }));
}

#[both_databases]
async fn without_a_recent_proof_no_password_is_estimated(place: Place) {
    let app = start(&place).await;
    let (ada, staff) = (app.add_user("ada").await, app.add_staff("boss").await.sign_in(&app).await);
    app.wait(VALID);
    for mutation in [
        "createUser(input: { email: \"another@example.com\", password: \"password123\" })",
        "updateUser(input: { id: $id, password: \"password123\" })",
        "setUserPassword(input: { id: $id, password: \"password123\" })",
    ] {
        assert_eq!(try_staff(&staff, mutation, &ada.id).await, DUE, "{mutation}");
    }
    prove(&staff, PASSWORD).await;
    let weak = try_staff(&staff, "updateUser(input: { id: $id, password: \"password123\" })", &ada.id).await;
    assert_eq!(weak, ["PASSWORD_TOO_COMMON password"]);
}

#[both_databases]
async fn an_old_proof_brings_no_dismissed_staff_back(place: Place) {
    let app = start(&place).await;
    let (former, staff) = (app.add_staff("former").await, app.add_staff("boss").await.sign_in(&app).await);
    let switch = "toggleActive(input: { id: $id })";
    assert_eq!(try_staff(&staff, switch, &former.id).await, [""; 0]);
    app.wait(VALID);
    assert_eq!(try_staff(&staff, switch, &former.id).await, DUE);
    assert_eq!(try_staff(&staff, "updateUser(input: { id: $id, isActive: true })", &former.id).await, DUE);
    prove(&staff, PASSWORD).await;
    assert_eq!(try_staff(&staff, switch, &former.id).await, [""; 0]);
}

#[both_databases]
async fn an_old_proof_makes_no_lasting_credential(place: Place) {
    let app = start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (id, secret) = api_tokens::make(&ada, &["READ"]).await;
    app.wait(VALID);
    let create = "mutation { createApiToken(input: { name: \"mine\" }) { secret errors { code field } } }";
    let rotate = "mutation($id: ID!) { rotateApiToken(input: { id: $id }) { secret errors { code field } } }";
    assert_eq!(ada.refusals(create, json!({})).await, DUE);
    assert_eq!(ada.refusals(rotate, json!({ "id": id })).await, DUE);
    assert_eq!(api_token::Entity::find().all(app.db()).await.unwrap().len(), 1);
    app.anyone().with_token(secret).data("{ me { id } }", json!({})).await;

    prove(&ada, PASSWORD).await;
    assert!(ada.refusals(create, json!({})).await.is_empty());
    assert!(ada.refusals(rotate, json!({ "id": id })).await.is_empty());
}

#[both_databases]
async fn what_is_not_sensitive_needs_no_new_proof(place: Place) {
    let app = start(&place).await;
    let (ada, staff) = (app.add_user("ada").await, app.add_staff("boss").await.sign_in(&app).await);
    app.wait(VALID);
    for mutation in [
        "updateUser(input: { id: $id, bio: \"x\", permission: ONLY_VIEW, role: MEMBER, isStaff: false })",
        "toggleActive(input: { id: $id })",
        "toggleActive(input: { id: $id })",
        "createUser(input: { email: \"colleague@example.com\" })",
    ] {
        let refused = try_staff(&staff, mutation, &ada.id).await;
        assert!(refused.is_empty(), "{mutation}: {refused:?}");
    }
    let me = staff.data("mutation { updateMe(input: { bio: \"x\" }) { errors { code } } }", json!({})).await;
    assert_eq!(me["updateMe"]["errors"], json!([]));
}

#[both_databases]
async fn a_refresh_is_no_proof(place: Place) {
    let app = start(&place).await;
    let mut ada = app.add_user("ada").await.sign_in(&app).await;
    let signed_in = app.clock_now();
    app.wait(VALID);
    ada.refresh().await.unwrap();
    assert_eq!(auth_time(ada.access.as_ref().unwrap()), signed_in.seconds());
    let session = ada.data(SESSION, json!({})).await["sessions"][0].clone();
    assert_eq!(session["authenticatedAt"], json!(signed_in.to_string()));
    assert_eq!(session["proofValidUntil"], json!(signed_in.plus(VALID).to_string()));
    let create = "mutation { createApiToken(input: { name: \"mine\" }) { errors { code field } } }";
    assert_eq!(ada.refusals(create, json!({})).await, DUE);
}

#[both_databases]
async fn a_proof_is_told_to_other_services_and_keeps_the_refresh_token(place: Place) {
    let app = start(&place).await;
    let mut ada = app.add_user("ada").await.sign_in(&app).await;
    app.wait(VALID);
    let proved = prove(&ada, PASSWORD).await;
    assert_eq!(proved["tokens"]["refreshToken"], Value::Null);
    assert_eq!(auth_time(proved["tokens"]["accessToken"].as_str().unwrap()), app.clock_now().seconds());
    assert_eq!(proved["session"]["authenticatedAt"], json!(app.clock_now().to_string()));
    assert_eq!(proved["session"]["isCurrent"], json!(true));
    ada.refresh().await.unwrap();
    assert_eq!(auth_time(ada.access.as_ref().unwrap()), app.clock_now().seconds());
    let events = audit_event::Entity::find().all(app.db()).await.unwrap();
    let proofs = events.iter().filter(|event| event.action == audit_event::Action::Reauthenticated);
    assert_eq!(proofs.count(), 1);
}

#[both_databases]
async fn a_wrong_password_proves_nothing_and_counts(place: Place) {
    let app = start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    app.wait(VALID);
    for _ in 0..10 {
        let refused = prove(&ada, "something else entirely").await;
        assert_eq!(refused["errors"], json!([{ "code": "PASSWORD_INCORRECT", "field": "password" }]));
        assert_eq!((&refused["tokens"], &refused["session"]), (&Value::Null, &Value::Null));
    }
    assert_eq!(ada.code(REAUTHENTICATE, json!({ "proof": { "password": PASSWORD } })).await, "RATE_LIMITED");
    let create = "mutation { createApiToken(input: { name: \"mine\" }) { errors { code field } } }";
    assert_eq!(ada.refusals(create, json!({})).await, DUE);
}

#[both_databases]
async fn a_proof_counts_for_its_session_only(place: Place) {
    let app = start(&place).await;
    let person = app.add_user("ada").await;
    let (laptop, phone) = (person.sign_in(&app).await, person.sign_in(&app).await);
    app.wait(VALID);
    prove(&phone, PASSWORD).await;
    let create = "mutation { createApiToken(input: { name: \"mine\" }) { errors { code field } } }";
    assert_eq!(laptop.refusals(create, json!({})).await, DUE);
    assert!(phone.refusals(create, json!({})).await.is_empty());
}

#[both_databases]
async fn exactly_one_proof_by_a_session_is_accepted(place: Place) {
    let app = start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (_, secret) = api_tokens::make(&ada, &["READ", "WRITE", "EXPORT"]).await;
    let token = app.anyone().with_token(secret);
    let proof = json!({ "proof": { "password": PASSWORD } });
    assert_eq!(token.code(REAUTHENTICATE, proof.clone()).await, "FORBIDDEN");
    assert_eq!(app.anyone().code(REAUTHENTICATE, proof).await, "UNAUTHENTICATED MISSING");
    for bad in [json!({}), json!({ "password": null }), json!({ "password": PASSWORD, "pin": "1" }), json!(null)] {
        let answer = ada.send(REAUTHENTICATE, json!({ "proof": bad })).await;
        assert!(["BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"].contains(&answer.code().as_str()), "{}", answer.body);
    }
}

#[both_databases]
async fn clients_know_beforehand_that_a_proof_is_due(place: Place) {
    let app = start(&place).await;
    let (ada, staff) = (app.add_user("ada").await, app.add_staff("boss").await.sign_in(&app).await);
    let can = "query($id: ID!) { user(id: $id) { viewerCan {
        update { reason } toggleStaff { reason } toggleActive { reason } setPassword { reason } delete { reason }
    } } }";
    let reasons = async || {
        let can = staff.data(can, json!({ "id": ada.id })).await["user"]["viewerCan"].clone();
        ["update", "toggleStaff", "toggleActive", "setPassword", "delete"].map(|name| can[name]["reason"].clone())
    };
    let (free, due) = (Value::Null, json!(DUE[0]));
    assert_eq!(reasons().await, [&free; 5].map(Clone::clone));
    app.wait(VALID);
    assert_eq!(reasons().await, [&free, &due, &free, &due, &due].map(Clone::clone));
    prove(&staff, PASSWORD).await;
    assert_eq!(reasons().await, [&free; 5].map(Clone::clone));
}

#[both_databases]
async fn the_time_is_a_setting(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.sessions.reauthenticate_after = Duration::from_secs(60);
    })
    .await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let create = "mutation { createApiToken(input: { name: \"mine\" }) { errors { code field } } }";
    app.wait(Duration::from_secs(59));
    assert!(ada.refusals(create, json!({})).await.is_empty());
    app.wait(Duration::from_secs(1));
    assert_eq!(ada.refusals(create, json!({})).await, DUE);
}

/// The claim `auth_time` of an access token.
fn auth_time(token: &str) -> i64 {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["auth_time"].as_i64().unwrap()
}
