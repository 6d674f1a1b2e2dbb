//! Accounts without a password, in operations that take one.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use vestibule::config::SecondFactorPolicy;
use vestibule::entity::passkey;

use super::{CHANGE_EMAIL, LOGIN, ME, REGISTER, Reader, VERIFY, code, joined, phone_of};
use crate::authenticator::Authenticator;
use crate::parity::recovery::reset_link;
use crate::parity::registration::token;
use crate::passkeys::{register as add_passkey, request, sign_in};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const CHANGE_PASSWORD: &str = "mutation($old: String, $new: String!) {
    changePassword(input: { oldPassword: $old, newPassword: $new }) { success errors { code field } }
}";

const DEACTIVATE: &str = "mutation($current: String) {
    deactivateMe(input: { currentPassword: $current }) { success errors { code field } }
}";

const DELETE: &str = "mutation($current: String) {
    deleteMe(input: { currentPassword: $current }) { outcome errors { code field } }
}";

const REAUTHENTICATE: &str = "mutation($proof: ProofInput!) { reauthenticate(input: { proof: $proof }) {
    errors { code field }
} }";

#[both_databases]
async fn a_passkey_satisfies_the_policy_that_requires_a_second_factor(place: Place) {
    let app = TestApp::start_with(&place, |config| config.second_factor = SecondFactorPolicy::All).await;
    let (client, mut phone) = joined(&app, "ada@example.com").await;
    assert_eq!(client.data(ME, json!({})).await["me"]["email"], "ada@example.com");
    let signed_in = sign_in(&app, &phone.get(&request(&app).await)).await;
    let client = app.anyone().with_token(signed_in["tokens"]["accessToken"].as_str().unwrap());
    assert_eq!(client.data(ME, json!({})).await["me"]["hasPassword"], false);
}

#[both_databases]
async fn no_password_opens_an_account_without_one(place: Place) {
    let app = TestApp::start(&place).await;
    let (client, _) = joined(&app, "ada@example.com").await;
    app.add_user("bob").await;
    let login = async |name: &str, password: &str| {
        app.anyone().data(LOGIN, json!({ "name": name, "password": password })).await["login"].clone()
    };
    let expected = login("bob", "a guess of mine").await;
    for password in ["a guess of mine", ""] {
        assert_eq!(login("ada", password).await, expected);
    }
    assert_eq!(code(&expected), "INVALID_CREDENTIALS");
    for password in ["a guess of mine", ""] {
        let proof = json!({ "proof": { "password": password } });
        assert_eq!(client.refusals(REAUTHENTICATE, proof).await, ["PASSWORD_INCORRECT password"]);
    }
}

#[both_databases]
async fn without_a_password_a_recent_proof_changes_the_account(place: Place) {
    let app = TestApp::start_with(&place, |config| config.sessions.access_ttl = Duration::from_secs(60 * 60)).await;
    let (client, mut phone) = joined(&app, "ada@example.com").await;
    app.wait(Duration::from_secs(10 * 60));
    for document in [CHANGE_PASSWORD, CHANGE_EMAIL, DEACTIVATE, DELETE] {
        for given in [json!(null), json!(""), json!("a guess of mine")] {
            let variables = json!({ "old": given, "current": given, "new": PASSWORD });
            assert_eq!(client.refusals(document, variables).await, ["REAUTHENTICATION_REQUIRED"], "{document}");
        }
    }
    let prove = async |phone: &mut Authenticator| {
        let proof = json!({ "proof": { "passkey": phone.get(&request(&app).await) } });
        assert_eq!(client.refusals(REAUTHENTICATE, proof).await, [""; 0]);
    };
    prove(&mut phone).await;
    assert_eq!(client.refusals(CHANGE_EMAIL, json!({})).await, [""; 0]);
    let mails = app.mails().await;
    assert_eq!(mails[0].to, "countess@example.com");
    let input = json!({ "input": { "token": token(&mails[0]) } });
    assert_eq!(client.data(VERIFY, input).await["verifyEmail"]["user"]["email"], "countess@example.com");

    assert_eq!(client.refusals(CHANGE_PASSWORD, json!({ "new": "short" })).await, ["PASSWORD_TOO_SHORT newPassword"]);
    assert_eq!(client.refusals(CHANGE_PASSWORD, json!({ "new": PASSWORD })).await, [""; 0]);
    assert_eq!(client.data(ME, json!({})).await["me"]["hasPassword"], true);
    // From now on the password is asked for, however recent the proof.
    prove(&mut phone).await;
    for (document, refused) in [
        (CHANGE_PASSWORD, "PASSWORD_INCORRECT oldPassword"),
        (DEACTIVATE, "PASSWORD_INCORRECT currentPassword"),
        (DELETE, "PASSWORD_INCORRECT currentPassword"),
    ] {
        assert_eq!(client.refusals(document, json!({ "new": "quite another phrase" })).await, [refused], "{document}");
    }
    let away = "mutation { updateMe(input: { email: \"away@example.com\" }) { errors { code field } } }";
    assert_eq!(client.refusals(away, json!({})).await, ["REQUIRED currentPassword"]);
}

#[both_databases]
async fn an_account_without_a_password_ends_by_its_owner(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, mut phone) = joined(&app, "ada@example.com").await;
    assert_eq!(ada.refusals(DEACTIVATE, json!({})).await, [""; 0]);
    let refused = sign_in(&app, &phone.get(&request(&app).await)).await;
    assert_eq!(code(&refused), "INVALID_CREDENTIALS", "a deactivated account opens to nobody");
    let input = json!({ "input": { "email": "bob@example.com" } });
    app.anyone().data(REGISTER, input).await;
    let link = Reader { token: token(&app.mails().await[0]), secret: None };
    let verified = link.join(&app, &mut phone_of(&app)).await;
    let bob = app.anyone().with_token(verified["tokens"]["accessToken"].as_str().unwrap());
    assert_eq!(bob.data(DELETE, json!({})).await["deleteMe"]["outcome"], "DELETED");
    assert_eq!(passkey::Entity::find().count(app.db()).await.unwrap(), 0, "passkeys go with the account");
}

#[both_databases]
async fn the_only_passkey_stays_and_a_reset_sets_a_password(place: Place) {
    let app = TestApp::start(&place).await;
    let (client, mut phone) = joined(&app, "ada@example.com").await;
    let id = client.data(ME, json!({})).await["me"]["passkeys"][0]["id"].clone();
    let delete = "mutation($id: ID!) { deletePasskey(input: { id: $id }) { errors { code field } } }";
    assert_eq!(client.refusals(delete, json!({ "id": id })).await, ["INVALID id"]);
    let mut laptop = phone_of(&app);
    assert_eq!(add_passkey(&client, &mut laptop).await["recoveryCodes"], Value::Null, "only with the first one");
    assert_eq!(client.refusals(delete, json!({ "id": id })).await, [""; 0], "another one is left");
    assert_eq!(code(&sign_in(&app, &phone.get(&request(&app).await)).await), "INVALID_CREDENTIALS");

    app.mails().await;
    app.wait(Duration::from_secs(8 * 24 * 60 * 60));
    let (uid, token) = reset_link(&app, "ada@example.com").await;
    let confirm = "mutation($uid: ID!, $t: String!, $p: String!) {
        confirmReset(input: { uid: $uid, token: $t, newPassword: $p }) { success errors { code } }
    }";
    let reset = app.anyone().data(confirm, json!({ "uid": uid, "t": token, "p": PASSWORD })).await;
    assert_eq!(reset["confirmReset"]["success"], true);
    let login = json!({ "name": "ada", "password": PASSWORD });
    assert_eq!(code(&app.anyone().data(LOGIN, login).await["login"]), "SECOND_FACTOR_REQUIRED", "the passkey stays");
    assert_eq!(code(&sign_in(&app, &laptop.get(&request(&app).await)).await), "none");
}
