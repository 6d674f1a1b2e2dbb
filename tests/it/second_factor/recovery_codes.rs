//! Recovery codes.

use futures_util::future::join_all;
use serde_json::json;
use test_macros::both_databases;
use vestibule::entity::audit_event::Action;

use super::{FACTORS, challenge, complete, enrolled, events_of, refusals, sessions_of};
use crate::test_app::TestApp;
use crate::test_database::Place;

const RENEW: &str = "mutation { regenerateRecoveryCodes { recoveryCodes errors { code field } } }";
const WRONG: [&str; 1] = ["SECOND_FACTOR_INCORRECT recoveryCode"];

#[both_databases]
async fn a_recovery_code_signs_in_once_and_the_owner_is_notified(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, client, phone) = enrolled(&app, "ada").await;
    let code = phone.recovery_codes[4].to_uppercase().replace('-', " ");
    for expected in [[""; 0].as_slice(), &WRONG] {
        let token = challenge(&app.anyone(), &ada.email).await;
        let payload = complete(&app.anyone(), &token, json!({ "recoveryCode": code })).await;
        assert_eq!(refusals(&payload), expected);
    }
    assert_eq!(client.data(FACTORS, json!({})).await["me"]["recoveryCodesLeft"], 9);
    assert_eq!(events_of(&app, &ada, Action::RecoveryCodeUsed).await, 1);
    let mails = app.mails().await;
    assert!(mails.len() == 1 && mails[0].to == ada.email, "{mails:?}");
    assert!(mails[0].subject.starts_with("A recovery code of your account"), "{}", mails[0].subject);
}

#[both_databases]
async fn a_recovery_code_works_once_also_on_two_instances_at_once(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let second = app.start_second_with(&place, |config| config.limits.limits = false).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let tokens = join_all((0..20).map(|_| async { challenge(&app.anyone(), &ada.email).await })).await;
    let before = sessions_of(&app, &ada).await;
    let answers = tokens.iter().enumerate().map(|(number, token)| {
        let client = if number % 2 == 0 { app.anyone() } else { second.anyone() };
        let proof = json!({ "recoveryCode": phone.recovery_codes[0] });
        async move { refusals(&complete(&client, token, proof).await) }
    });
    let mut answers = join_all(answers).await;
    answers.sort();
    assert_eq!(answers[0], [""; 0]);
    assert!(answers[1..].iter().all(|refused| refused == &WRONG), "{answers:?}");
    assert_eq!(sessions_of(&app, &ada).await, before + 1);
}

#[both_databases]
async fn codes_of_others_are_wrong(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, _) = enrolled(&app, "ada").await;
    let (_, client, bobs) = enrolled(&app, "bob").await;
    let token = challenge(&app.anyone(), &ada.email).await;
    for proof in [json!({ "recoveryCode": bobs.recovery_codes[0] }), json!({ "totpCode": bobs.code(&app) })] {
        assert!(refusals(&complete(&app.anyone(), &token, proof).await)[0].starts_with("SECOND_FACTOR_INCORRECT"));
    }
    assert_eq!(client.data(FACTORS, json!({})).await["me"]["recoveryCodesLeft"], 10);
}

#[both_databases]
async fn new_recovery_codes_replace_the_old_ones(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, client, phone) = enrolled(&app, "ada").await;
    let renewed = client.data(RENEW, json!({})).await["regenerateRecoveryCodes"].clone();
    assert_eq!((&renewed["errors"], renewed["recoveryCodes"].as_array().unwrap().len()), (&json!([]), 10));
    let token = challenge(&app.anyone(), &ada.email).await;
    let old = json!({ "recoveryCode": phone.recovery_codes[0] });
    assert_eq!(refusals(&complete(&app.anyone(), &token, old).await), WRONG);
    let new = json!({ "recoveryCode": renewed["recoveryCodes"][9] });
    assert_eq!(refusals(&complete(&app.anyone(), &token, new).await), [""; 0]);
    assert_eq!(events_of(&app, &ada, Action::RecoveryCodesRenewed).await, 1);
    let mails = app.mails().await;
    let told: Vec<_> = mails.iter().filter(|mail| mail.subject.starts_with("New recovery codes")).collect();
    assert_eq!(told.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [ada.email.as_str()]);
    assert!(told[0].text.contains("If it wasn't"), "{}", told[0].text);
    let bob = app.add_user("bob").await.sign_in(&app).await;
    assert_eq!(bob.refusals(RENEW, json!({})).await, ["NOT_FOUND"]);
}

#[both_databases]
async fn a_challenge_offers_recovery_codes_only_if_some_are_left(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let phone = super::plant(&app, &ada).await;
    let token = challenge(&app.anyone(), &ada.email).await;
    let proof = json!({ "recoveryCode": phone.recovery_codes[0] });
    assert_eq!(refusals(&complete(&app.anyone(), &token, proof).await), [""; 0]);
    assert_eq!(super::login(&app.anyone(), &ada.email).await["challenge"]["methods"], json!(["TOTP"]));
}
