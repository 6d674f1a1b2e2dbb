//! The methods that REAUTHENTICATION_REQUIRED offers: exactly those that `reauthenticate` accepts.

use std::time::Duration;

use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, EntityTrait as _};
use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::user;

use super::{STEP, enroll, enrolled};
use crate::authenticator::Authenticator;
use crate::pages::{Browser, text};
use crate::passkeys;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const DUE: &str = "mutation { createApiToken(input: { name: \"mine\" }) { errors { code methods } } }";

const PROVE: &str = "mutation($p: ProofInput!) { reauthenticate(input: { proof: $p }) { errors { code field } } }";

async fn start(place: &Place) -> TestApp {
    TestApp::start_with(place, |config| config.sessions.access_ttl = Duration::from_secs(60 * 60)).await
}

/// The methods that are offered once the last proof is too old.
async fn offered(app: &TestApp, client: &Client) -> Value {
    app.wait(Duration::from_secs(10 * 60));
    let errors = client.data(DUE, json!({})).await["createApiToken"]["errors"].clone();
    assert_eq!(errors[0]["code"], "REAUTHENTICATION_REQUIRED");
    errors[0]["methods"].clone()
}

#[both_databases]
async fn each_offered_method_is_accepted(place: Place) {
    let app = start(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    assert_eq!(offered(&app, &client).await, json!(["PASSWORD"]));
    let proved = async |proof: Value| client.refusals(PROVE, json!({ "p": proof })).await;
    assert_eq!(proved(json!({ "password": PASSWORD })).await, [""; 0]);
    let phone = enroll(&app, &client).await;
    assert_eq!(offered(&app, &client).await, json!(["PASSWORD", "TOTP", "RECOVERY_CODE"]));
    assert_eq!(proved(json!({ "totpCode": phone.code(&app) })).await, [""; 0]);
    let mut authenticator = Authenticator::new(&passkeys::origin(&app));
    passkeys::register(&client, &mut authenticator).await;
    assert_eq!(offered(&app, &client).await, json!(["PASSWORD", "PASSKEY", "TOTP", "RECOVERY_CODE"]));
    let passkey = authenticator.get(&passkeys::request(&app).await);
    assert_eq!(proved(json!({ "passkey": passkey })).await, [""; 0]);
    for code in &phone.recovery_codes {
        assert_eq!(proved(json!({ "recoveryCode": code })).await, [""; 0]);
    }
    assert_eq!(offered(&app, &client).await, json!(["PASSWORD", "PASSKEY", "TOTP"]), "all codes are used");
}

#[both_databases]
async fn methods_that_are_refused_now_are_not_offered(place: Place) {
    let app = start(&place).await;
    let (ada, client, phone) = enrolled(&app, "ada").await;
    let other = super::sign_in(&app, &ada, &phone).await;
    app.wait(STEP);
    let wrong = json!({ "p": { "totpCode": phone.wrong_code(&app) } });
    for _ in 0..20 {
        client.data(PROVE, wrong.clone()).await;
    }
    assert_eq!(offered(&app, &client).await, json!(["PASSWORD", "RECOVERY_CODE"]));
    assert_eq!(offered(&app, &other).await, json!(["PASSWORD", "TOTP", "RECOVERY_CODE"]), "in another session");
    let id: uuid::Uuid = ada.id.parse().unwrap();
    let row = user::Entity::find_by_id(id).one(app.db()).await.unwrap().unwrap();
    user::ActiveModel { password_hash: Set(None), ..row.into() }.update(app.db()).await.unwrap();
    assert_eq!(offered(&app, &client).await, json!(["RECOVERY_CODE"]));
    let others = "mutation { renamePasskey(input: { id: \"x\", name: \"y\" }) { errors { code methods } } }";
    let errors = client.data(others, json!({})).await["renamePasskey"]["errors"].clone();
    assert_eq!(errors, json!([{ "code": "NOT_FOUND", "methods": null }]));
}

#[both_databases]
async fn an_expired_temporary_password_is_not_offered(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.public_url = Some("https://accounts.example".parse().unwrap());
        config.sessions.access_ttl = Duration::from_secs(30 * 60 * 60);
    })
    .await;
    let (ada, client, _) = enrolled(&app, "ada").await;
    let id: uuid::Uuid = ada.id.parse().unwrap();
    let row = user::Entity::find_by_id(id).one(app.db()).await.unwrap().unwrap();
    let temporary = user::ActiveModel { temporary_password_at: Set(Some(app.clock_now())), ..row.into() };
    temporary.update(app.db()).await.unwrap();
    assert_eq!(offered(&app, &client).await, json!(["PASSWORD", "TOTP", "RECOVERY_CODE"]));
    app.wait(Duration::from_secs(24 * 60 * 60));
    assert_eq!(offered(&app, &client).await, json!(["TOTP", "RECOVERY_CODE"]));
    assert_eq!(client.refusals(PROVE, json!({ "p": { "password": PASSWORD } })).await, ["PASSWORD_EXPIRED password"]);
}

#[both_databases]
async fn the_page_offers_the_same(place: Place) {
    let app = start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    browser.submit(&page, &[("identifier", &ada.email), ("password", PASSWORD)]).await;
    let mut shown = async || {
        let page = browser.open("/account/prove").await;
        ["name=\"password\"", "name=\"code\"", "name=\"passkey\""].map(|field| text(&page).contains(field))
    };
    assert_eq!(shown().await, [true, false, false]);
    let phone = super::plant(&app, &ada).await;
    assert_eq!(shown().await, [true, true, false]);
    let client = super::sign_in(&app, &ada, &phone).await;
    passkeys::register(&client, &mut Authenticator::new(&passkeys::origin(&app))).await;
    assert_eq!(shown().await, [true, true, true]);
    let id: uuid::Uuid = ada.id.parse().unwrap();
    let row = user::Entity::find_by_id(id).one(app.db()).await.unwrap().unwrap();
    user::ActiveModel { password_hash: Set(None), ..row.into() }.update(app.db()).await.unwrap();
    vestibule::entity::factor::Entity::delete_many().exec(app.db()).await.unwrap();
    vestibule::entity::recovery_code::Entity::delete_many().exec(app.db()).await.unwrap();
    assert_eq!(shown().await, [false, false, true]);
}
