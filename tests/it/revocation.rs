//! Revocation: nothing restores access to an account after its owner, staff or the operator took it back.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::mail;
use vestibule::tools::mail::SendError;

use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const MOVE: &str = "mutation($e: String!, $p: String!) { updateMe(input: { email: $e, currentPassword: $p }) {
    errors { code field }
} }";
const VERIFY: &str = "mutation($t: String!) { verifyEmail(input: { token: $t }) { errors { code field } } }";
const REQUEST: &str = "mutation($e: String!) { requestReset(input: { email: $e }) { success } }";
const RETRY: &str = "mutation($id: ID!) { retryMail(input: { id: $id }) { errors { code field } } }";
const OUTBOX: &str = "{ outgoingMails { nodes { id kind recipient status } } }";
const TOGGLE: &str = "mutation($id: ID!, $to: Boolean!) { toggleActive(input: { id: $id, isActive: $to }) {
    errors { code field }
} }";

const NEW: &str = "a phrase of the true owner";

fn token_in(text: &str) -> String {
    text.split_once("token=").unwrap().1.split_whitespace().next().unwrap().to_owned()
}

async fn done(client: &Client, document: &str, variables: Value) {
    assert_eq!(client.refusals(document, variables).await, [""; 0]);
}

/// Id and state of a mail in the outbox.
async fn mail_to(admin: &Client, recipient: &str) -> (String, String) {
    let data = admin.data(OUTBOX, json!({})).await;
    let mails = data["outgoingMails"]["nodes"].as_array().unwrap();
    let mail = mails.iter().find(|mail| mail["recipient"] == recipient).unwrap();
    let text = |field: &str| mail[field].as_str().unwrap().to_owned();
    (text("id"), text("status"))
}

/// An attacker with a session and the password requests two changes of address: one mail arrives, the other fails. Then
/// the account is taken back, and both links are invalid.
async fn take_back(place: Place, by: impl AsyncFnOnce(&TestApp, &Person)) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let thief = ada.sign_in(&app).await;
    done(&thief, MOVE, json!({ "e": "first@thief.example", "p": PASSWORD })).await;
    let link = token_in(&app.mails().await.remove(0).text);
    app.transport().fail_next(1, &SendError::permanent("550 not now"));
    done(&thief, MOVE, json!({ "e": "second@thief.example", "p": PASSWORD })).await;
    assert_eq!(app.mails().await.len(), 0);
    let admin = app.admin().await;
    let (mail, status) = mail_to(&admin, "second@thief.example").await;
    assert_eq!(status, "FAILED");

    by(&app, &ada).await;

    assert_eq!(mail_to(&admin, "second@thief.example").await, (mail.clone(), "CANCELLED".to_owned()));
    assert_eq!(admin.refusals(RETRY, json!({ "id": mail })).await, ["INVALID id"]);
    let retried = crate::process::command(&place).args(["mail", "retry", &mail]).output().unwrap();
    let said = String::from_utf8(retried.stderr).unwrap();
    assert!(!retried.status.success() && said.contains("its link would no longer be valid"), "{said}");
    let sent = app.mails().await;
    assert!(sent.iter().all(|mail| !mail.to.contains("thief")), "{sent:?}");
    assert_eq!(app.anyone().refusals(VERIFY, json!({ "t": link })).await, ["INVALID_TOKEN token"]);
    let user = "query($id: ID!) { user(id: $id) { email pendingEmail } }";
    let user = admin.data(user, json!({ "id": ada.id })).await;
    assert_eq!(user["user"], json!({ "email": "ada@example.com", "pendingEmail": null }));
}

#[both_databases]
async fn a_reset_leaves_no_way_to_another_address(place: Place) {
    take_back(place, async |app: &TestApp, ada: &Person| {
        app.anyone().data(REQUEST, json!({ "e": ada.email })).await;
        let token = token_in(&app.mails().await.remove(0).text);
        let confirm = "mutation($u: ID!, $t: String!, $p: String!) { confirmReset(input: { uid: $u, token: $t,
            newPassword: $p }) { errors { code field } } }";
        done(&app.anyone(), confirm, json!({ "u": ada.id, "t": token, "p": NEW })).await;
    })
    .await;
}

#[both_databases]
async fn a_changed_password_leaves_no_way_to_another_address(place: Place) {
    take_back(place, async |app: &TestApp, ada: &Person| {
        let change =
            "mutation($o: String!, $n: String!) { changePassword(input: { oldPassword: $o, newPassword: $n }) {
            errors { code field } } }";
        done(&ada.sign_in(app).await, change, json!({ "o": PASSWORD, "n": NEW })).await;
    })
    .await;
}

#[both_databases]
async fn a_password_that_staff_set_leaves_no_way_to_another_address(place: Place) {
    take_back(place, async |app: &TestApp, ada: &Person| {
        let set = "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) {
            errors { code field } } }";
        done(&app.admin().await, set, json!({ "id": ada.id, "p": NEW })).await;
    })
    .await;
}

#[both_databases]
async fn a_deactivation_leaves_no_way_to_another_address(place: Place) {
    take_back(place, async |app: &TestApp, ada: &Person| {
        let admin = app.admin().await;
        for to in [false, true] {
            done(&admin, TOGGLE, json!({ "id": ada.id, "to": to })).await;
        }
    })
    .await;
}

#[both_databases]
async fn a_newer_wish_cancels_the_mail_of_the_one_before(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    done(&ada, MOVE, json!({ "e": "first@example.org", "p": PASSWORD })).await;
    app.deliver().await;
    done(&ada, MOVE, json!({ "e": "second@example.org", "p": PASSWORD })).await;
    app.wait(std::time::Duration::from_mins(10));
    let mails = app.mails().await;
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["second@example.org"]);
    assert_eq!(mail_to(&app.admin().await, "first@example.org").await.1, "CANCELLED");
}

#[both_databases]
async fn a_welcome_mail_is_not_sent_again_once_there_is_a_password(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    app.transport().fail_next(1, &SendError::permanent("550 not now"));
    let create = "mutation { createUser(input: { email: \"ada@example.com\", username: \"ada\" }) {
        user { id } errors { code field } } }";
    let id = admin.data(create, json!({})).await["createUser"]["user"]["id"].clone();
    app.deliver().await;
    let (mail, status) = mail_to(&admin, "ada@example.com").await;
    assert_eq!(status, "FAILED");
    let set = "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) {
        errors { code field } } }";
    done(&admin, set, json!({ "id": id, "p": NEW })).await;
    assert_eq!(admin.refusals(RETRY, json!({ "id": mail })).await, ["INVALID id"]);
}

#[both_databases]
async fn a_reset_request_that_was_not_looked_up_yet_is_deleted(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let admin = app.admin().await;
    let request = "mutation { requestReset(input: { email: \"Ada@EXAMPLE.com\" }) { success } }";
    app.anyone().data(request, Value::Null).await;
    let waiting = mail::Entity::find().filter(mail::Column::Kind.eq(mail::Kind::ResetPassword));
    assert_eq!(waiting.clone().one(app.db()).await.unwrap().unwrap().user_id, None, "it was not looked up");
    let set = "mutation($id: ID!) { setUserPassword(input: { id: $id, password: \"wooden lantern 5 drizzle\" }) {
        errors { code } } }";
    done(&admin, set, json!({ "id": ada.id })).await;
    assert_eq!(waiting.one(app.db()).await.unwrap(), None, "a row would show that the address has an account");
    assert!(app.mails().await.iter().all(|mail| !mail.text.contains("token=")));
}
