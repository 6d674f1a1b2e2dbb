//! Links that staff send: invitations again, resets, and invitations to a corrected address.

use std::time::Duration;

use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::audit_event::Action;
use vestibule::tools::mail::{Message, SendError};

use super::{code_of, events_of, own_id, script};
use crate::parity::recovery::link;
use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_database::Place;

const SEND: &str = "mutation($id: ID!, $kind: UserLinkKind!) { sendLink(input: { id: $id, kind: $kind }) {
    user { id } errors { code field }
} }";

const UPDATE: &str = "mutation($input: UpdateUserInput!) { updateUser(input: $input) { errors { code field } } }";

const CREATE: &str = "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } errors { code } } }";

const VALID: &str = "query($u: ID!, $t: String!) { resetTokenIsValid(uid: $u, token: $t) }";

/// The addresses of these mails.
fn recipients(mails: &[Message]) -> Vec<&str> {
    mails.iter().map(|mail| mail.to.as_str()).collect()
}

async fn is_valid(app: &TestApp, mail: &Message) -> Value {
    let (uid, token) = link(mail);
    app.anyone().data(VALID, json!({ "u": uid, "t": token })).await["resetTokenIsValid"].clone()
}

/// An invited user, and the invitation.
async fn invited(app: &TestApp, email: &str) -> (Person, Message) {
    let data = app.admin().await.data(CREATE, json!({ "input": { "email": email } })).await;
    let id = data["createUser"]["user"]["id"].as_str().unwrap().to_owned();
    (Person { id, email: email.to_owned() }, app.mails().await.remove(0))
}

#[both_databases]
async fn an_invitation_sent_again_has_its_full_lifetime_and_ends_the_former(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, first) = invited(&app, "ada@example.com").await;
    app.add_staff("boss").await;
    app.wait(app.app.config.links.invite_ttl.saturating_sub(Duration::from_secs(60 * 60)));
    let boss = app.anyone().sign_in("boss", PASSWORD).await;
    let invitation = json!({ "id": ada.id, "kind": "INVITATION" });
    assert_eq!(boss.refusals(SEND, invitation.clone()).await, [""; 0]);
    assert_eq!(is_valid(&app, &first).await, false, "the former link ends at once");
    let again = app.mails().await;
    assert_eq!(recipients(&again), [ada.email.as_str()]);
    app.wait(app.app.config.links.invite_ttl.saturating_sub(Duration::from_secs(60)));
    assert_eq!(is_valid(&app, &again[0]).await, true);
    assert_eq!(events_of(&app, &ada, Action::InvitationSent).await, 1);

    // Two invitations that wait leave one link, in the newest.
    let boss = app.anyone().sign_in("boss", PASSWORD).await;
    for _ in 0..2 {
        boss.data(SEND, invitation.clone()).await;
    }
    assert_eq!(app.mails().await.len(), 1);
}

#[both_databases]
async fn a_link_is_sent_only_where_it_makes_sense(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let off = app.add(json!({ "username": "off", "email": "off@example.com", "isActive": false })).await;
    let root = own_id(&app.admin().await).await;
    let person = app.add_staff("boss").await;
    let boss = person.sign_in(&app).await;
    let refusals = async |id: &str, kind: &str| boss.refusals(SEND, json!({ "id": id, "kind": kind })).await;
    assert_eq!(refusals(&ada.id, "INVITATION").await, ["INVALID kind"]);
    assert_eq!(refusals(&off.id, "INVITATION").await, ["ACCOUNT_INACTIVE id"]);
    assert_eq!(refusals(&off.id, "PASSWORD_RESET").await, ["ACCOUNT_INACTIVE id"]);
    assert_eq!(refusals(&root, "PASSWORD_RESET").await, ["CANNOT_EDIT_SUPERUSER id"]);
    assert_eq!(refusals("x", "PASSWORD_RESET").await, ["NOT_FOUND id"]);
    assert_eq!(client.code(SEND, json!({ "id": ada.id, "kind": "PASSWORD_RESET" })).await, "FORBIDDEN");
    app.mails().await;
    assert_eq!(refusals(&ada.id, "PASSWORD_RESET").await, [""; 0]);
    let mails = app.mails().await;
    assert_eq!((recipients(&mails), is_valid(&app, &mails[0]).await), (vec![ada.email.as_str()], json!(true)));
    assert_eq!(events_of(&app, &ada, Action::ResetRequested).await, 1);

    let program = script(&app, &boss, "MANAGE_USERS").await;
    assert_eq!(program.refusals(SEND, json!({ "id": ada.id, "kind": "PASSWORD_RESET" })).await, [""; 0]);
    assert_eq!(program.code(SEND, json!({ "id": person.id, "kind": "PASSWORD_RESET" })).await, "FORBIDDEN");
    let reader = script(&app, &boss, "READ").await;
    assert_eq!(reader.code(SEND, json!({ "id": ada.id, "kind": "PASSWORD_RESET" })).await, "FORBIDDEN");
}

#[both_databases]
async fn links_are_limited_by_address_and_by_sender(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_staff("boss").await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "eve", "kim"] {
        people.push(app.add_user(name).await);
    }
    let strict = app
        .start_second_with(&place, |config| {
            config.limits.limit_mail_address = "2/1h".parse().unwrap();
            config.limits.limit_welcome = "3/1h".parse().unwrap();
        })
        .await;
    let boss = strict.anyone().sign_in("boss", PASSWORD).await;
    let mut codes = Vec::new();
    // The address of the first has got a welcome mail and a link; at last, the sender has sent three.
    for person in [0, 0, 1, 2, 3] {
        let reset = json!({ "id": people[person].id, "kind": "PASSWORD_RESET" });
        codes.push(code_of(&boss.send(SEND, reset).await));
    }
    assert_eq!(codes, ["", "RATE_LIMITED", "", "", "RATE_LIMITED"]);
}

#[both_databases]
async fn a_corrected_address_gets_the_invitation_and_the_wrong_one_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, first) = invited(&app, "adda@example.com").await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let fix = |email: &str| json!({ "input": { "id": ada.id, "email": email } });
    assert_eq!(boss.refusals(UPDATE, fix("ada@example.com")).await, [""; 0]);
    assert_eq!(is_valid(&app, &first).await, false);
    let mails = app.mails().await;
    assert_eq!(recipients(&mails), ["ada@example.com"]);
    assert_eq!(is_valid(&app, &mails[0]).await, true);

    // An invitation that was not delivered yet is withdrawn.
    app.transport().fail_next(1, &SendError::temporary("greylisted"));
    boss.data(UPDATE, fix("adaa@example.com")).await;
    app.deliver().await;
    boss.data(UPDATE, fix("lovelace@example.com")).await;
    app.wait(Duration::from_secs(60));
    assert_eq!(recipients(&app.mails().await), ["lovelace@example.com"]);
    let mails = "query($id: ID!) { user(id: $id) { mails { totalCount nodes { kind recipient status } } } }";
    let mails = boss.data(mails, json!({ "id": ada.id })).await["user"]["mails"].clone();
    assert_eq!((&mails["totalCount"], &mails["nodes"][1]["status"]), (&json!(4), &json!("CANCELLED")), "{mails}");
}

#[both_databases]
async fn an_account_in_use_still_hears_of_its_move_at_the_old_address(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    ada.sign_in(&app).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    boss.data(UPDATE, json!({ "input": { "id": ada.id, "email": "lovelace@example.com" } })).await;
    assert_eq!(recipients(&app.mails().await), ["ada@example.com"]);
}

#[both_databases]
async fn invitations_to_corrected_addresses_are_limited(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_welcome = "2/1h".parse().unwrap()).await;
    let (ada, _) = invited(&app, "ada@example.com").await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let mut codes = Vec::new();
    for number in 0..3 {
        let fix = json!({ "input": { "id": ada.id, "email": format!("ada{number}@example.com") } });
        codes.push(code_of(&boss.send(UPDATE, fix).await));
    }
    assert_eq!(codes, ["", "", "RATE_LIMITED"]);
}
