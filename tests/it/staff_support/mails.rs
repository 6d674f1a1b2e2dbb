//! Emails that staff hold, release and cancel.

use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::audit_event::Action;
use vestibule::tools::mail::SendError;

use super::{events_of, own_id, script};
use crate::parity::recovery::{REQUEST, link};
use crate::test_app::{Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const CREATE: &str = "mutation($e: String!) { createUser(input: { email: $e }) { user { id } errors { code } } }";

const MAILS: &str = "query($to: String) { outgoingMails(recipient: $to) { nodes { id status failure } } }";

/// A mutation of selected mails.
fn decide(name: &str) -> String {
    format!(
        "mutation($ids: [ID!]!) {{ {name}(input: {{ ids: $ids }}) {{ mails {{ status }} errors {{ code field }} }} }}"
    )
}

async fn invite(app: &TestApp, email: &str) -> Person {
    let data = app.admin().await.data(CREATE, json!({ "e": email })).await;
    Person { id: data["createUser"]["user"]["id"].as_str().unwrap().to_owned(), email: email.to_owned() }
}

async fn mail_to(staff: &Client, email: &str) -> Value {
    staff.data(MAILS, json!({ "to": email })).await["outgoingMails"]["nodes"][0].clone()
}

#[both_databases]
async fn an_invitation_is_held_released_and_cancelled(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let ada = invite(&app, "ada@example.com").await;
    let mail = mail_to(&boss, &ada.email).await;
    let statuses =
        async |name: &str| boss.data(&decide(name), json!({ "ids": [mail["id"]] })).await[name]["mails"].clone();
    assert_eq!(statuses("holdMails").await, json!([{ "status": "HELD" }]));
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(statuses("holdMails").await, json!([]), "a held mail stays held");
    assert_eq!(statuses("releaseMails").await, json!([{ "status": "QUEUED" }]));
    app.transport().fail_next(1, &SendError::permanent("550 5.1.1 no such user"));
    app.deliver().await;
    let failed = mail_to(&boss, &ada.email).await;
    assert!(failed["failure"].as_str().unwrap().contains("knows no such mailbox"), "{failed}");
    assert_eq!(statuses("cancelMails").await, json!([{ "status": "CANCELLED" }]));
    assert_eq!(statuses("releaseMails").await, json!([]));
    assert_eq!(app.mails().await.len(), 0);
    for (action, count) in [(Action::MailHeld, 1), (Action::MailReleased, 1), (Action::MailCancelled, 1)] {
        assert_eq!(events_of(&app, &ada, action).await, count, "{action:?}");
    }
    let too_many: Vec<&str> = vec!["x"; 501];
    assert_eq!(boss.refusals(&decide("cancelMails"), json!({ "ids": too_many })).await, ["TOO_LONG ids"]);
    assert_eq!(boss.refusals(&decide("cancelMails"), json!({ "ids": [] })).await, ["REQUIRED ids"]);
}

#[both_databases]
async fn the_link_of_a_cancelled_mail_ends_and_a_newer_one_stays(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let ada = app.add_user("ada").await;
    app.transport().fail_next(1, &SendError::permanent("550 no"));
    app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
    app.deliver().await;
    let failed = mail_to(&boss, &ada.email).await["id"].clone();
    app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
    let (uid, token) = link(&app.mails().await[0]);
    boss.data(&decide("cancelMails"), json!({ "ids": [failed] })).await;
    let valid = "query($u: ID!, $t: String!) { resetTokenIsValid(uid: $u, token: $t) }";
    let valid = app.anyone().data(valid, json!({ "u": uid, "t": token })).await;
    assert_eq!(valid["resetTokenIsValid"], true, "the link of the later mail");

    app.transport().fail_next(1, &SendError::permanent("550 no"));
    let bob = invite(&app, "bob@example.com").await;
    app.deliver().await;
    let failed = mail_to(&boss, &bob.email).await["id"].clone();
    let links = async || {
        use sea_orm::{EntityTrait as _, PaginatorTrait as _};
        vestibule::entity::one_time_token::Entity::find().count(app.db()).await.unwrap()
    };
    let before = links().await;
    boss.data(&decide("cancelMails"), json!({ "ids": [failed] })).await;
    assert_eq!(links().await, before - 1);
}

#[both_databases]
async fn notices_mails_of_superusers_and_mails_of_staff_by_token_are_not_stopped(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let ada = app.add_user("ada").await;
    let admin = app.admin().await;
    let set = "mutation($id: ID!) { setUserPassword(input: { id: $id, password: \"a phrase by a colleague\" }) {
        errors { code } } }";
    admin.data(set, json!({ "id": ada.id })).await;
    app.anyone().data(REQUEST, json!({ "email": "admin@localhost" })).await;
    let hidden = mail_to(&admin, "admin@localhost").await["id"].clone();
    let notice = mail_to(&admin, &ada.email).await["id"].clone();
    let cancelled = boss.data(&decide("cancelMails"), json!({ "ids": [hidden, notice, own_id(&boss).await] })).await;
    assert_eq!(cancelled["cancelMails"]["mails"], json!([]));
    assert_eq!(app.mails().await.len(), 2);

    let create = "mutation { createUser(input: { email: \"new@example.com\", isStaff: true }) { errors { code } } }";
    boss.data(create, json!({})).await;
    let mail = mail_to(&boss, "new@example.com").await["id"].clone();
    let program = script(&app, &boss, "MANAGE_USERS").await;
    assert_eq!(program.code(&decide("cancelMails"), json!({ "ids": [mail] })).await, "FORBIDDEN");
    let client = app.anyone().sign_in("ada", "a phrase by a colleague").await;
    assert_eq!(client.code(&decide("cancelMails"), json!({ "ids": [mail] })).await, "FORBIDDEN");
}
