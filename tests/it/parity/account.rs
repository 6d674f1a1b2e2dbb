//! Accounts.

use std::time::Duration;
use test_macros::both_databases;

use serde_json::json;

use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const NEW: &str = "quite a new long phrase";

#[both_databases]
async fn the_session_is_kept_alive_by_refreshing_near_expiry(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let expiry =
        "mutation($t: String!) { refresh(input: { refreshToken: $t }) { tokens { accessExpiresAt refreshToken } } }";
    let answer = client.data(expiry, json!({ "t": client.refresh })).await;
    assert_eq!(answer["refresh"]["tokens"]["accessExpiresAt"], "2026-01-05T09:05:00.000Z");
    answer["refresh"]["tokens"]["refreshToken"].as_str().unwrap().clone_into(&mut client.refresh);
    for _ in 0..10 {
        app.wait(Duration::from_secs(290));
        client.refresh().await.unwrap();
        client.data("{ me { id } }", json!({})).await;
    }
}

#[both_databases]
async fn users_change_their_names_phone_address_and_bio(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let update = "mutation($input: UpdateMeInput!) { updateMe(input: $input) {
        user { username firstName lastName phone address bio updatedAt } errors { code field }
    } }";
    app.wait(Duration::from_secs(60));
    let input =
        json!({ "firstName": " Ada ", "lastName": "Lovelace", "phone": "1", "address": "A\nB", "bio": "Hm\r\nYes" });
    let updated = ada.data(update, json!({ "input": input })).await;
    let expected = json!({
        "username": "ada", "firstName": "Ada", "lastName": "Lovelace", "phone": "1", "address": "A\nB", "bio": "Hm\nYes",
        "updatedAt": "2026-01-05T09:01:00.000Z",
    });
    assert_eq!(updated["updateMe"]["user"], expected);
    let one = ada.data(update, json!({ "input": { "username": "Countess", "bio": "" } })).await;
    assert_eq!(one["updateMe"]["user"]["username"], "Countess");
    assert_eq!((&one["updateMe"]["user"]["bio"], &one["updateMe"]["user"]["phone"]), (&json!(""), &json!("1")));
    app.add_user("bob").await;
    let refused = json!({ "firstName": "A\nB", "lastName": "x".repeat(151), "username": "a@b", "bio": "\u{202e}" });
    assert_eq!(
        ada.refusals(update, json!({ "input": refused })).await,
        ["INVALID username", "INVALID firstName", "TOO_LONG lastName", "INVALID bio"]
    );
    let taken = json!({ "input": { "username": "BOB", "firstName": "Lost" } });
    assert_eq!(ada.refusals(update, taken).await, ["ALREADY_EXISTS username"]);
    assert_eq!(ada.data("{ me { firstName } }", json!({})).await["me"]["firstName"], "Ada");
}

#[both_databases]
async fn a_password_change_ends_all_other_sessions(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let (mut present, mut other) = (ada.sign_in(&app).await, ada.sign_in(&app).await);
    let change = "mutation($o: String!, $n: String!, $c: String) {
        changePassword(input: { oldPassword: $o, newPassword: $n, newPasswordConfirm: $c }) { success errors { code field } }
    }";
    let refusals = async |old: &str, new: &str, confirm: &str| {
        present.refusals(change, json!({ "o": old, "n": new, "c": confirm })).await
    };
    assert_eq!(refusals("wrong", NEW, NEW).await, ["PASSWORD_INCORRECT oldPassword"]);
    assert_eq!(refusals(PASSWORD, NEW, "else").await, ["PASSWORD_MISMATCH newPasswordConfirm"]);
    assert_eq!(refusals(PASSWORD, "short", "short").await, ["PASSWORD_TOO_SHORT newPassword"]);
    assert_eq!(refusals(PASSWORD, NEW, NEW).await, [""; 0]);
    present.refresh().await.unwrap();
    present.data("{ me { id } }", json!({})).await;
    assert_eq!(other.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    assert_eq!(other.refresh().await, Err("INVALID_TOKEN".to_owned()));
    app.anyone().sign_in("ada", NEW).await;
    let mails = app.mails().await;
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["ada@example.com"]);
    assert!(mails[0].subject.contains("was changed"), "{}", mails[0].subject);
}

#[both_databases]
async fn users_deactivate_their_account(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let (client, other) = (ada.sign_in(&app).await, ada.sign_in(&app).await);
    let deactivate =
        "mutation($p: String!) { deactivateMe(input: { currentPassword: $p }) { success errors { code field } } }";
    assert_eq!(client.refusals(deactivate, json!({ "p": "wrong" })).await, ["PASSWORD_INCORRECT currentPassword"]);
    assert_eq!(client.data(deactivate, json!({ "p": PASSWORD })).await["deactivateMe"]["success"], true);
    for device in [&client, &other] {
        assert_eq!(device.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    }
    let login =
        "mutation($p: String!) { login(input: { identifier: \"ada\", password: $p }) { errors { code field } } }";
    assert_eq!(app.anyone().refusals(login, json!({ "p": PASSWORD })).await, ["ACCOUNT_INACTIVE"]);
    let activate = "mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code field } } }";
    app.admin().await.data(activate, json!({ "id": ada.id })).await;
    ada.sign_in(&app).await;
}

#[both_databases]
async fn users_delete_their_account(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let delete = "mutation($p: String!) { deleteMe(input: { currentPassword: $p }) { outcome errors { code field } } }";
    assert_eq!(client.refusals(delete, json!({ "p": "wrong" })).await, ["PASSWORD_INCORRECT currentPassword"]);
    assert_eq!(client.data(delete, json!({ "p": PASSWORD })).await["deleteMe"]["outcome"], "DELETED");
    assert_eq!(client.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    let login =
        "mutation($p: String!) { login(input: { identifier: \"ada\", password: $p }) { errors { code field } } }";
    assert_eq!(app.anyone().refusals(login, json!({ "p": PASSWORD })).await, ["INVALID_CREDENTIALS"]);
    let again = app.add(json!({ "username": "ada2", "email": "ada@example.com" })).await;
    assert_ne!(again.id, ada.id, "the address is free again, the id is not, and the name is later");
}

#[both_databases]
async fn last_activity_is_recorded(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    app.wait(Duration::from_secs(60));
    client.data("{ me { id } }", json!({})).await;
    app.app.presence.flush(&app.app.db).await.unwrap();
    let seen = async || {
        let user = "query($id: ID!) { user(id: $id) { lastActivity isOnline } }";
        app.admin().await.data(user, json!({ "id": ada.id })).await["user"].clone()
    };
    assert_eq!(seen().await, json!({ "lastActivity": "2026-01-05T09:01:00.000Z", "isOnline": true }));
    app.wait(Duration::from_secs(299));
    assert_eq!(seen().await["isOnline"], true);
    app.wait(Duration::from_secs(1));
    assert_eq!(seen().await["isOnline"], false);
}

#[both_databases]
async fn me_returns_the_signed_in_user(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app
        .add(json!({
            "username": "ada", "email": "ada@example.com", "password": PASSWORD,
            "firstName": "Ada", "lastName": "Lovelace", "phone": "+44 20 7946 0000", "address": "12 St James's Square\nLondon",
            "role": "MANAGER", "permission": "DOWNLOAD",
        }))
        .await;
    app.wait(Duration::from_mins(1));
    let client = ada.sign_in(&app).await;
    let me = "{ me { id username email firstName lastName name phone address bio role permission
        isActive isStaff isSuperuser isVerified dateJoined updatedAt lastLogin } }";
    assert_eq!(
        client.data(me, json!({})).await["me"],
        json!({
            "id": ada.id, "username": "ada", "email": "ada@example.com",
            "firstName": "Ada", "lastName": "Lovelace", "name": "Ada Lovelace",
            "phone": "+44 20 7946 0000", "address": "12 St James's Square\nLondon", "bio": "",
            "role": "MANAGER", "permission": "DOWNLOAD",
            "isActive": true, "isStaff": false, "isSuperuser": false, "isVerified": true,
            "dateJoined": "2026-01-05T09:00:00.000Z", "updatedAt": "2026-01-05T09:00:00.000Z",
            "lastLogin": "2026-01-05T09:01:00.000Z",
        })
    );
}

#[both_databases]
async fn recent_samples_are_those_the_user_modified_newest_first(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let bob = app.add_user("bob").await.sign_in(&app).await;
    let record = "mutation($input: RecordSampleInput!) { recordSample(input: $input) {
        sample { key title createdAt modifiedAt modifiedBy { username } } errors { code field }
    } }";
    for number in 0..25 {
        app.wait(Duration::from_secs(1));
        let input = json!({ "input": { "key": format!("S-{number}"), "title": format!("Sample {number}") } });
        ada.data(record, input).await;
    }
    app.wait(Duration::from_secs(1));
    bob.data(record, json!({ "input": { "key": "S-24", "title": "Bob's now" } })).await;
    app.wait(Duration::from_secs(1));
    let again = ada.data(record, json!({ "input": { "key": "S-3", "title": "Anew" } })).await;
    assert_eq!(again["recordSample"]["sample"]["title"], "Anew");
    assert_eq!(again["recordSample"]["sample"]["createdAt"], "2026-01-05T09:00:04.000Z");
    assert_eq!(again["recordSample"]["sample"]["modifiedAt"], "2026-01-05T09:00:27.000Z");
    assert_eq!(again["recordSample"]["sample"]["modifiedBy"]["username"], "ada");

    let recent = ada.data("{ recentSamples { key } me { recentSamples(first: 2) { key } } }", json!({})).await;
    let keys: Vec<&str> =
        recent["recentSamples"].as_array().unwrap().iter().map(|s| s["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 20);
    assert_eq!(keys[..3], ["S-3", "S-23", "S-22"]);
    assert_eq!(recent["me"]["recentSamples"], json!([{ "key": "S-3" }, { "key": "S-23" }]));
    assert_eq!(ada.refusals(record, json!({ "input": { "key": " ", "title": "x" } })).await, ["REQUIRED key"]);
    assert_eq!(app.anyone().code("{ recentSamples { key } }", json!({})).await, "UNAUTHENTICATED MISSING");
}

#[both_databases]
async fn a_new_address_applies_once_confirmed_and_the_old_one_is_notified(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let update = "mutation($e: String!, $p: String) { updateMe(input: { email: $e, currentPassword: $p }) {
        user { email pendingEmail } errors { code field }
    } }";
    let verify = "mutation($t: String!) { verifyEmail(input: { token: $t }) {
        user { email pendingEmail } tokens { accessToken } errors { code field }
    } }";
    let wish = json!({ "e": "countess@example.com", "p": PASSWORD });
    let held = client.data(update, wish.clone()).await["updateMe"]["user"].clone();
    assert_eq!(held, json!({ "email": "ada@example.com", "pendingEmail": "countess@example.com" }));
    let first = app.mails().await;
    assert_eq!(first.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["countess@example.com"]);
    app.anyone().sign_in("ada@example.com", PASSWORD).await;

    // A newer request invalidates the older link, which went to another address.
    client.data(update, json!({ "e": "lovelace@example.com", "p": PASSWORD })).await;
    assert_eq!(app.anyone().refusals(verify, json!({ "t": token(&first[0]) })).await, ["INVALID_TOKEN token"]);
    let second = app.mails().await;
    assert_eq!(second[0].to, "lovelace@example.com");
    let moved = client.data(verify, json!({ "t": token(&second[0]) })).await["verifyEmail"].clone();
    assert_eq!(moved["user"], json!({ "email": "lovelace@example.com", "pendingEmail": null }));
    assert_eq!(moved["tokens"], json!(null), "a move signs nobody in");
    assert_eq!(app.anyone().refusals(verify, json!({ "t": token(&second[0]) })).await, ["INVALID_TOKEN token"]);
    let told = app.mails().await;
    assert_eq!(told.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["ada@example.com"]);
    app.anyone().sign_in("lovelace@example.com", PASSWORD).await;
    client.data("{ me { id } }", json!({})).await;

    // Somebody else takes the address before the link is followed.
    client.data(update, wish).await;
    let third = app.mails().await;
    app.add(json!({ "email": "countess@example.com" })).await;
    assert_eq!(client.refusals(verify, json!({ "t": token(&third[0]) })).await, ["INVALID_TOKEN"]);
    assert_eq!(client.data("{ me { email } }", json!({})).await["me"]["email"], "lovelace@example.com");
}

fn token(mail: &vestibule::tools::mail::Message) -> String {
    let (_, rest) = mail.text.split_once("token=").expect("the mail has a link");
    rest.split_whitespace().next().unwrap().to_owned()
}
