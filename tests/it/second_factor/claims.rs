//! Proofs of a session: its methods, the claims of its access tokens, and new proofs by code.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use test_macros::both_databases;

use super::{START, STEP, enroll, enrolled, refusals, sign_in};
use crate::parity::registration::{VERIFY, register, wanted};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const REAUTHENTICATE: &str = "mutation($p: ProofInput!) { reauthenticate(input: { proof: $p }) {
    tokens { accessToken refreshToken } session { authenticatedAt methods } errors { code field }
} }";

const DELETE: &str = "mutation($id: ID!) { deleteFactor(input: { id: $id }) { errors { code field } } }";

/// The claims `auth_time`, `amr` and `acr` of an access token.
fn claims(token: &str) -> (i64, Value, Value) {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    (claims["auth_time"].as_i64().unwrap(), claims["amr"].clone(), claims["acr"].clone())
}

fn of(client: &Client) -> (i64, Value, Value) {
    claims(client.access.as_ref().unwrap())
}

async fn methods(client: &Client) -> Value {
    let sessions = client.data("{ sessions { isCurrent methods } }", json!({})).await;
    let sessions = sessions["sessions"].as_array().unwrap().clone();
    sessions.into_iter().find(|session| session["isCurrent"] == true).unwrap()["methods"].clone()
}

async fn prove(client: &Client, proof: Value) -> Value {
    client.data(REAUTHENTICATE, json!({ "p": proof })).await["reauthenticate"].clone()
}

#[both_databases]
async fn a_session_remembers_its_proofs_and_tokens_carry_them(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let start = app.clock_now().seconds();
    let mut client = ada.sign_in(&app).await;
    assert_eq!(of(&client), (start, json!(["pwd"]), json!("aal1")));
    assert_eq!(methods(&client).await, json!(["PASSWORD"]));

    let phone = enroll(&app, &client).await;
    client.refresh().await.unwrap();
    assert_eq!(of(&client), (start, json!(["pwd", "otp", "mfa"]), json!("aal2")), "the app was confirmed in it");
    let earlier = client;
    let mut client = sign_in(&app, &ada, &phone).await;
    let signed_in = app.clock_now().seconds();
    assert_eq!(of(&client), (signed_in, json!(["pwd", "otp", "mfa"]), json!("aal2")));
    assert_eq!(methods(&client).await, json!(["PASSWORD", "TOTP"]));
    app.wait(Duration::from_secs(60));
    client.refresh().await.unwrap();
    assert_eq!(of(&client).0, signed_in, "a refresh is no proof");
    assert_eq!(methods(&earlier).await, json!(["PASSWORD", "TOTP"]));
}

#[both_databases]
async fn removing_the_last_factor_lowers_the_level_at_the_next_refresh(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, mut first, phone) = enrolled(&app, "ada").await;
    let mut second = sign_in(&app, &ada, &phone).await;
    assert_eq!(first.refusals(DELETE, json!({ "id": phone.id })).await, [""; 0]);
    for client in [&mut first, &mut second] {
        client.refresh().await.unwrap();
        let (_, amr, acr) = of(client);
        assert_eq!((amr, acr), (json!(["pwd", "otp"]), json!("aal1")));
    }
}

#[both_databases]
async fn a_link_is_a_method_of_its_own(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, wanted("eve@example.com")).await;
    let data = app.anyone().data(VERIFY, link.variables()).await;
    let client = app.anyone().with_token(data["verifyEmail"]["tokens"]["accessToken"].as_str().unwrap());
    assert_eq!(methods(&client).await, json!(["EMAIL_LINK"]));
    let (_, amr, acr) = of(&client);
    assert_eq!((amr, acr), (json!(["email"]), json!("aal1")));
}

#[both_databases]
async fn a_code_is_a_new_proof(place: Place) {
    let app = TestApp::start_with(&place, |config| config.sessions.access_ttl = Duration::from_secs(60 * 60)).await;
    let ada = app.add_user("ada").await;
    let older = ada.sign_in(&app).await;
    let phone = enroll(&app, &ada.sign_in(&app).await).await;
    for proof in [json!({ "recoveryCode": phone.recovery_codes[0] }), json!({ "totpCode": "" })] {
        app.wait(Duration::from_secs(10 * 60));
        assert_eq!(older.refusals(START, json!({})).await, ["REAUTHENTICATION_REQUIRED"]);
        let proof = if proof["totpCode"].is_string() { json!({ "totpCode": phone.code(&app) }) } else { proof };
        let proved = prove(&older, proof.clone()).await;
        assert_eq!(proved["errors"], json!([]));
        assert_eq!(proved["session"]["authenticatedAt"], json!(app.clock_now().to_string()));
        let (time, amr, acr) = claims(proved["tokens"]["accessToken"].as_str().unwrap());
        assert_eq!((time, amr, acr), (app.clock_now().seconds(), json!(["pwd", "otp", "mfa"]), json!("aal2")));
        assert_eq!(older.refusals(START, json!({})).await, [""; 0]);
        assert!(refusals(&prove(&older, proof).await)[0].starts_with("SECOND_FACTOR_INCORRECT"), "it works once");
    }
    assert_eq!(methods(&older).await, json!(["PASSWORD", "TOTP", "RECOVERY_CODE"]));
}

#[both_databases]
async fn a_wrong_code_is_no_proof_and_counts(place: Place) {
    let app = TestApp::start_with(&place, |config| config.sessions.access_ttl = Duration::from_secs(60 * 60)).await;
    let (_, client, phone) = enrolled(&app, "ada").await;
    app.wait(Duration::from_secs(10 * 60));
    let wrong = json!({ "totpCode": phone.wrong_code(&app) });
    for _ in 0..20 {
        assert_eq!(refusals(&prove(&client, wrong.clone()).await), ["SECOND_FACTOR_INCORRECT totpCode"]);
    }
    let right = json!({ "totpCode": phone.code(&app) });
    assert_eq!(refusals(&prove(&client, right).await), ["TOTP_STOPPED totpCode"]);
    assert_eq!(client.refusals(START, json!({})).await, ["REAUTHENTICATION_REQUIRED"]);
    assert_eq!(refusals(&prove(&client, json!({ "password": PASSWORD })).await), [""; 0]);
}

#[both_databases]
async fn without_a_factor_no_code_is_a_proof_and_none_counts(place: Place) {
    let app = TestApp::start(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    for _ in 0..25 {
        let refused = refusals(&prove(&client, json!({ "totpCode": "123456" })).await);
        assert_eq!(refused, ["SECOND_FACTOR_INCORRECT totpCode"]);
    }
    assert_eq!(app.mails().await.len(), 0);
    let phone = enroll(&app, &client).await;
    app.wait(STEP);
    assert_eq!(refusals(&prove(&client, json!({ "totpCode": phone.code(&app) })).await), [""; 0]);
}
