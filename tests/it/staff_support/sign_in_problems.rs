//! Reasons for failing sign-ins, as staff see them.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::config::SecondFactorPolicy;
use vestibule::entity::user;
use vestibule::tools::mail::SendError;

use super::{own_id, script};
use crate::parity::recovery::REQUEST;
use crate::parity::registration::REGISTER;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const PROBLEMS: &str = "query($id: ID, $identifier: String) { signInProblems(id: $id, identifier: $identifier) {
    kind until limit mail { kind lastError }
} }";

const LOGIN: &str = "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) {
    errors { code }
} }";

async fn problems(staff: &Client, person: Value) -> Value {
    staff.data(PROBLEMS, person).await["signInProblems"].clone()
}

/// The kinds of the problems of a user.
async fn kinds(staff: &Client, identifier: &str) -> Vec<String> {
    let found = problems(staff, json!({ "identifier": identifier })).await;
    let kind = |problem: &Value| problem["kind"].as_str().unwrap().to_owned();
    found.as_array().unwrap_or_else(|| panic!("{identifier} is unknown")).iter().map(kind).collect()
}

async fn set(app: &TestApp, name: &str, column: user::Column, value: impl Into<sea_orm::Value>) {
    let update = user::Entity::update_many().col_expr(column, Expr::value(value));
    update.filter(user::Column::Username.eq(name)).exec(app.db()).await.unwrap();
}

#[both_databases]
async fn each_reason_is_named(place: Place) {
    let app = TestApp::start(&place).await;
    for name in ["ada", "off", "unconfirmed"] {
        app.add_user(name).await;
    }
    app.add(json!({ "username": "invited", "email": "invited@example.com" })).await;
    set(&app, "off", user::Column::IsActive, false).await;
    set(&app, "unconfirmed", user::Column::IsVerified, false).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    assert_eq!(kinds(&boss, "ada").await, [""; 0]);
    assert_eq!(kinds(&boss, "OFF@example.com").await, ["INACTIVE"]);
    assert_eq!(kinds(&boss, "unconfirmed").await, ["UNVERIFIED"]);
    assert_eq!(kinds(&boss, "invited").await, ["NO_PASSWORD", "UNVERIFIED"]);
    assert_eq!(problems(&boss, json!({ "identifier": "nobody" })).await, Value::Null);

    let strict = app.start_second_with(&place, |config| config.second_factor = SecondFactorPolicy::All).await;
    let manager = script(&app, &boss, "READ").await;
    let strict = strict.anyone().with_token(manager.access.clone().unwrap());
    assert_eq!(kinds(&strict, "ada").await, ["SECOND_FACTOR_ENROLLMENT_REQUIRED"]);
}

#[both_databases]
async fn an_exhausted_limit_says_when_it_ends(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    while app.anyone().send(LOGIN, json!({ "i": ada.email, "p": "wrong" })).await.body["errors"].is_null() {}
    let found = problems(&boss, json!({ "id": ada.id })).await;
    let of_account = found.as_array().unwrap().iter().find(|problem| problem["limit"] == "LIMIT_SIGN_IN").unwrap();
    assert_eq!(of_account["kind"], "LIMIT_EXHAUSTED");
    assert!(of_account["until"].as_str().unwrap() > app.clock_now().to_string().as_str(), "{found}");
}

#[both_databases]
async fn a_mail_that_does_not_arrive_is_named_with_its_error(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
    assert_eq!(kinds(&boss, "ada").await, [""; 0], "a mail that waits for its turn is no problem");
    app.transport().fail_next(1, &SendError::temporary("mailbox full"));
    app.deliver().await;
    let found = problems(&boss, json!({ "id": ada.id })).await;
    let expected = json!({ "kind": "RESET_PASSWORD", "lastError": "mailbox full" });
    assert_eq!((&found[0]["kind"], &found[0]["mail"]), (&json!("MAIL_FAILED"), &expected));
}

#[both_databases]
async fn a_registration_without_a_confirmed_address_is_found_by_its_address(place: Place) {
    let app = TestApp::start_with(&place, |config| config.registration = vestibule::config::Registration::Open).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let input = json!({ "input": { "email": "eve@example.com", "password": PASSWORD } });
    app.anyone().data(REGISTER, input).await;
    app.deliver().await;
    assert_eq!(kinds(&boss, "eve@example.com").await, ["PENDING_REGISTRATION"]);
}

#[both_databases]
async fn staff_learn_nothing_about_superusers_and_others_nothing_at_all(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let admin = app.admin().await;
    let root = own_id(&admin).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    for person in [json!({ "id": root }), json!({ "identifier": "admin" }), json!({ "id": "x" })] {
        assert_eq!(problems(&boss, person).await, Value::Null);
    }
    assert_eq!(problems(&admin, json!({ "identifier": "admin" })).await, json!([]));
    assert_eq!(client.code(PROBLEMS, json!({ "id": ada.id })).await, "FORBIDDEN");
    for person in [json!({}), json!({ "id": ada.id, "identifier": "ada" })] {
        assert_eq!(boss.code(PROBLEMS, person).await, "BAD_USER_INPUT");
    }
}
