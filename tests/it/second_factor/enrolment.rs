//! Enrolment of an authenticator app.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::EntityTrait as _;
use serde_json::json;
use test_macros::both_databases;
use vestibule::entity::audit_event::Action;
use vestibule::entity::{factor, recovery_code};
use vestibule::tools::recovery_code::RecoveryCode;
use vestibule::tools::totp::TimeStep;

use super::{
    FACTORS, START, STEP, challenge, complete, confirm, enroll, enrolled, events_of, login, refusals, secret_of, start,
};
use crate::api_tokens;
use crate::test_app::TestApp;
use crate::test_database::Place;

#[both_databases]
async fn an_app_is_enrolled_with_its_first_code(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let enrollment = start(&client).await;
    let (secret, uri) = (enrollment["secret"].as_str().unwrap(), enrollment["uri"].as_str().unwrap());
    assert!(uri.starts_with(&format!("otpauth://totp/Vestibule:ada%40example.com?secret={secret}&issuer=Vestibule")));
    assert!(enrollment["qrCode"].as_str().unwrap().starts_with("<svg "));
    let payload = confirm(&client, &enrollment, &secret_of(&enrollment).code(TimeStep::at(app.clock_now()))).await;
    assert_eq!(payload["errors"], json!([]));
    assert_eq!((&payload["factor"]["kind"], &payload["factor"]["lastUsedAt"]), (&json!("TOTP"), &json!(null)));
    assert_eq!(payload["recoveryCodes"].as_array().unwrap().len(), 10);
    let me = client.data(FACTORS, json!({})).await["me"].clone();
    assert_eq!((me["factors"].as_array().unwrap().len(), &me["recoveryCodesLeft"]), (1, &json!(10)));
    assert_eq!(events_of(&app, &ada, Action::FactorAdded).await, 1);
    let mails = app.mails().await;
    assert!(mails.len() == 1 && mails[0].to == ada.email, "{mails:?}");
    assert!(mails[0].subject.starts_with("A second factor was added to your account"), "{}", mails[0].subject);
}

#[both_databases]
async fn nothing_usable_is_stored(place: Place) {
    let app = TestApp::start(&place).await;
    let (_, _, phone) = enrolled(&app, "ada").await;
    let factor = factor::Entity::find().one(app.db()).await.unwrap().unwrap();
    let secret = phone.secret.reveal();
    assert!(!factor.sealed_secret.windows(secret.len()).any(|part| part == secret));
    let codes = recovery_code::Entity::find().all(app.db()).await.unwrap();
    let mut stored: Vec<Vec<u8>> = codes.into_iter().map(|code| code.digest).collect();
    let digest = |text: &String| RecoveryCode::from_text(text).unwrap().digest();
    let mut expected: Vec<Vec<u8>> = phone.recovery_codes.iter().map(digest).collect();
    stored.sort();
    expected.sort();
    assert_eq!(stored, expected);
}

#[both_databases]
async fn an_unfinished_enrolment_never_counts(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let enrollment = start(&client).await;
    let payload = confirm(&client, &enrollment, "000000").await;
    assert_eq!(refusals(&payload), ["SECOND_FACTOR_INCORRECT totpCode"]);
    assert!(factor::Entity::find().one(app.db()).await.unwrap().is_none());
    assert_eq!(client.data(FACTORS, json!({})).await, json!({ "me": { "factors": [], "recoveryCodesLeft": 0 } }));
    assert_eq!(login(&app.anyone(), &ada.email).await["errors"], json!([]));
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn a_second_enrolment_leaves_the_first_app_working_until_it_is_confirmed(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, client, first) = enrolled(&app, "ada").await;
    let enrollment = start(&client).await;
    let secret = secret_of(&enrollment);
    let token = challenge(&app.anyone(), &ada.email).await;
    let started = secret.code(TimeStep::at(app.clock_now()));
    assert_eq!(
        refusals(&complete(&app.anyone(), &token, json!({ "totpCode": started })).await),
        ["SECOND_FACTOR_INCORRECT totpCode"]
    );
    let payload = complete(&app.anyone(), &token, json!({ "totpCode": first.code(&app) })).await;
    assert_eq!(payload["errors"], json!([]));

    app.wait(STEP);
    let payload = confirm(&client, &enrollment, &secret.code(TimeStep::at(app.clock_now()))).await;
    assert_eq!(payload["errors"], json!([]));
    app.wait(STEP);
    let token = challenge(&app.anyone(), &ada.email).await;
    for old in [json!({ "totpCode": first.code(&app) }), json!({ "recoveryCode": first.recovery_codes[0] })] {
        assert!(refusals(&complete(&app.anyone(), &token, old).await)[0].starts_with("SECOND_FACTOR_INCORRECT"));
    }
    let code = secret.code(TimeStep::at(app.clock_now()));
    let payload = complete(&app.anyone(), &token, json!({ "totpCode": code })).await;
    assert_eq!(payload["errors"], json!([]));
    assert_eq!(factor::Entity::find().all(app.db()).await.unwrap().len(), 1);
}

#[both_databases]
async fn of_two_confirmations_at_once_one_counts(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    let other = second.anyone().with_token(client.access.clone().unwrap());
    let enrollments = [start(&client).await, start(&client).await];
    let confirmations = (0..8).map(|number| {
        let enrollment = &enrollments[number % 2];
        let code = secret_of(enrollment).code(TimeStep::at(app.clock_now()));
        let client = if number < 4 { &client } else { &other };
        async move { refusals(&confirm(client, enrollment, &code).await) }
    });
    let mut results = join_all(confirmations).await;
    results.sort();
    assert_eq!(results[0], [""; 0]);
    assert!(results[1..].iter().all(|refused| refused == &["INVALID_TOKEN enrollmentToken"]), "{results:?}");
    assert_eq!(factor::Entity::find().all(app.db()).await.unwrap().len(), 1);
    assert_eq!(recovery_code::Entity::find().all(app.db()).await.unwrap().len(), 10);
}

#[both_databases]
async fn a_stolen_session_with_an_old_proof_changes_no_factor(place: Place) {
    let app = TestApp::start_with(&place, |config| config.sessions.access_ttl = Duration::from_secs(60 * 60)).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    let (enrollment, bob) = (start(&client).await, enrolled(&app, "bob").await);
    app.wait(Duration::from_secs(10 * 60));
    let due = ["REAUTHENTICATION_REQUIRED"];
    assert_eq!(client.refusals(START, json!({})).await, due);
    let code = secret_of(&enrollment).code(TimeStep::at(app.clock_now()));
    assert_eq!(refusals(&confirm(&client, &enrollment, &code).await), due);
    let (_, thief, phone) = bob;
    let renew = "mutation { regenerateRecoveryCodes { recoveryCodes errors { code field } } }";
    assert_eq!(thief.refusals(renew, json!({})).await, due);
    let delete = "mutation($id: ID!) { deleteFactor(input: { id: $id }) { deletedId errors { code field } } }";
    assert_eq!(thief.refusals(delete, json!({ "id": phone.id })).await, due);
    assert_eq!(factor::Entity::find().all(app.db()).await.unwrap().len(), 1);
}

#[both_databases]
async fn an_enrolment_ends_when_the_factors_change(place: Place) {
    let app = TestApp::start(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    let before_the_app = start(&client).await;
    let phone = enroll(&app, &client).await;
    let before_the_removal = start(&client).await;
    let delete = "mutation($id: ID!) { deleteFactor(input: { id: $id }) { errors { code field } } }";
    assert_eq!(client.refusals(delete, json!({ "id": phone.id })).await, [""; 0]);
    let before_the_passkey = start(&client).await;
    let mut authenticator = crate::authenticator::Authenticator::new(&crate::passkeys::origin(&app));
    crate::passkeys::register(&client, &mut authenticator).await;
    for enrollment in [before_the_app, before_the_removal, before_the_passkey] {
        let code = secret_of(&enrollment).code(TimeStep::at(app.clock_now()));
        assert_eq!(refusals(&confirm(&client, &enrollment, &code).await), ["INVALID_TOKEN enrollmentToken"]);
    }
    assert!(factor::Entity::find().one(app.db()).await.unwrap().is_none());
    enroll(&app, &client).await;
}

#[both_databases]
async fn an_enrolment_expires_and_belongs_to_its_user(place: Place) {
    let app = TestApp::start_with(&place, |config| config.sessions.access_ttl = Duration::from_secs(60 * 60)).await;
    let (ada, bob) = (app.add_user("ada").await.sign_in(&app).await, app.add_user("bob").await.sign_in(&app).await);
    let enrollment = start(&ada).await;
    let code = || secret_of(&enrollment).code(TimeStep::at(app.clock_now()));
    let ended = ["INVALID_TOKEN enrollmentToken"];
    assert_eq!(refusals(&confirm(&bob, &enrollment, &code()).await), ended);
    assert_eq!(refusals(&confirm(&ada, &json!({ "token": "eHl6" }), &code()).await), ended);
    app.wait(Duration::from_secs(30 * 60));
    let prove = "mutation($p: String!) { reauthenticate(input: { proof: { password: $p } }) { errors { code } } }";
    ada.data(prove, json!({ "p": crate::test_app::PASSWORD })).await;
    assert_eq!(refusals(&confirm(&ada, &enrollment, &code()).await), ended);
}

#[both_databases]
async fn api_tokens_neither_enrol_nor_need_a_factor(place: Place) {
    let app = TestApp::start(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    let (_, secret) = api_tokens::make(&client, &["READ", "WRITE"]).await;
    let token = app.anyone().with_token(secret);
    assert_eq!(token.code(START, json!({})).await, "FORBIDDEN");
    enroll(&app, &client).await;
    token.data("{ me { id } }", json!({})).await;
}

#[both_databases]
async fn the_owner_removes_a_factor(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, client, phone) = enrolled(&app, "ada").await;
    let delete = "mutation($id: ID!) { deleteFactor(input: { id: $id }) { deletedId errors { code field } } }";
    let other = app.add_user("bob").await.sign_in(&app).await;
    assert_eq!(other.refusals(delete, json!({ "id": phone.id })).await, ["NOT_FOUND id"]);
    assert_eq!(client.refusals(delete, json!({ "id": phone.id })).await, [""; 0]);
    assert_eq!(client.refusals(delete, json!({ "id": phone.id })).await, ["NOT_FOUND id"]);
    assert_eq!(client.data(FACTORS, json!({})).await, json!({ "me": { "factors": [], "recoveryCodesLeft": 0 } }));
    assert!(recovery_code::Entity::find().one(app.db()).await.unwrap().is_none());
    assert_eq!(login(&app.anyone(), &ada.email).await["errors"], json!([]));
    assert_eq!(events_of(&app, &ada, Action::FactorRemoved).await, 1);
    let mails = app.mails().await;
    assert!(mails.iter().any(|mail| mail.to == ada.email && mail.subject.contains("was removed")), "{mails:?}");
}
