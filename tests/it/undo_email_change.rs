//! Undo of an address change by the link sent to the old address.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{email_undo, mail, user};
use vestibule::tools::mail::{Message, SendError};
use vestibule::worker;

use crate::pages::Browser;
use crate::parity::recovery::reset_link;
use crate::parity::registration::VERIFY;
use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

pub(crate) const UNDO: &str = "mutation($t: String!) { undoEmailChange(input: { token: $t }) {
    success message errors { code field }
} }";

const UPDATE_ME: &str = "mutation($e: String!, $p: String!) { updateMe(input: { email: $e, currentPassword: $p }) {
    errors { code field }
} }";

const UPDATE: &str = "mutation($id: ID!, $e: String!) { updateUser(input: { id: $id, email: $e }) {
    user { email } errors { code field }
} }";

const CHANGE_PASSWORD: &str = "mutation($o: String!, $n: String!) {
    changePassword(input: { oldPassword: $o, newPassword: $n }) { errors { code field } }
}";

const NEW: &str = "a phrase that a thief made up";

/// Token of the undo link in a mail.
pub(crate) fn undo_token(mail: &Message) -> String {
    let (_, rest) = mail.text.split_once("/account/undo?token=").expect("the mail has an undo link");
    rest.split_whitespace().next().unwrap().to_owned()
}

/// Changes the address of a signed-in user, and returns the announcement to the old one.
pub(crate) async fn move_to(app: &TestApp, client: &Client, password: &str, email: &str) -> Message {
    let refusals = client.refusals(UPDATE_ME, json!({ "e": email, "p": password })).await;
    assert_eq!(refusals, [""; 0]);
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, email));
    let token = crate::parity::registration::token(&mails[0]);
    assert_eq!(client.refusals(VERIFY, json!({ "token": token })).await, [""; 0]);
    let mut told = app.mails().await;
    assert_eq!(told.len(), 1);
    told.remove(0)
}

/// Changes a user's address as staff, and returns the announcement to the old one.
pub(crate) async fn move_by_staff(app: &TestApp, person: &Person, email: &str) -> Message {
    let refusals = app.admin().await.refusals(UPDATE, json!({ "id": person.id, "e": email })).await;
    assert_eq!(refusals, [""; 0]);
    let mut told = app.mails().await;
    assert_eq!(told.len(), 1);
    told.remove(0)
}

async fn undo(app: &TestApp, token: &str) -> Vec<String> {
    app.anyone().refusals(UNDO, json!({ "t": token })).await
}

async fn account(app: &TestApp, person: &Person) -> user::Model {
    let id: uuid::Uuid = person.id.parse().unwrap();
    user::Entity::find_by_id(id).one(app.db()).await.unwrap().unwrap()
}

#[both_databases]
async fn an_owner_gets_an_account_back_from_a_thief(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_reader("ada").await;
    let owner = ada.sign_in(&app).await;
    let thief = ada.sign_in(&app).await;
    let first = move_to(&app, &thief, PASSWORD, "evil@example.com").await;
    assert_eq!(first.to, "ada@example.com");
    assert!(first.text.contains("This link is valid for 7 days"), "{}", first.text);
    let second = move_to(&app, &thief, PASSWORD, "worse@example.com").await;
    assert_eq!(second.to, "evil@example.com");
    thief.data(CHANGE_PASSWORD, json!({ "o": PASSWORD, "n": NEW })).await;
    let (_, secret) = crate::api_tokens::make(&thief, &["READ"]).await;
    app.mails().await;
    app.wait(Duration::from_secs(6 * 24 * 60 * 60));
    let thief = app.anyone().sign_in("ada", NEW).await;
    thief.data(UPDATE_ME, json!({ "e": "third@example.com", "p": NEW })).await;
    let pending = crate::parity::registration::token(&app.mails().await[0]);
    let reset = reset_link(&app, "worse@example.com").await;
    thief.data("mutation { logout(input: { everywhere: true }) { success } }", Value::Null).await;
    let thief = app.anyone().sign_in("ada", NEW).await;

    let undone = app.anyone().data(UNDO, json!({ "t": undo_token(&first) })).await["undoEmailChange"].clone();
    assert_eq!((&undone["success"], &undone["errors"]), (&json!(true), &json!([])));
    assert!(undone["message"].as_str().unwrap().contains("Reset your password"), "{undone}");
    let back = account(&app, &ada).await;
    assert_eq!((back.email.as_str(), back.pending_email, back.password_hash), ("ada@example.com", None, None));
    let mails = app.mails().await;
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["worse@example.com"]);
    assert!(mails[0].text.contains("undid the change") && !mails[0].text.contains("token="), "{}", mails[0].text);
    let undone = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::EmailChangeUndone));
    let undone = undone.all(app.db()).await.unwrap();
    assert_eq!((undone.len(), undone[0].target_id), (1, Some(back.id)));

    // All credentials of the attacker are invalid.
    for client in [&thief, &owner, &app.anyone().with_token(secret)] {
        assert!(client.code("{ me { id } }", Value::Null).await.starts_with("UNAUTHENTICATED"));
    }
    let login =
        "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) { errors { code } } }";
    for (name, password) in [("ada", NEW), ("ada", PASSWORD), ("worse@example.com", NEW), ("ada@example.com", NEW)] {
        let refusals = app.anyone().refusals(login, json!({ "i": name, "p": password })).await;
        assert_eq!(refusals.len(), 1, "{name} {password}");
    }
    assert_eq!(app.anyone().refusals(VERIFY, json!({ "token": pending })).await, ["INVALID_TOKEN token"]);
    let confirm = "mutation($u: ID!, $t: String!, $p: String!) {
        confirmReset(input: { uid: $u, token: $t, newPassword: $p }) { success errors { code field } }
    }";
    let stolen = json!({ "u": reset.0, "t": reset.1, "p": NEW });
    assert_eq!(app.anyone().refusals(confirm, stolen).await, ["INVALID_TOKEN token"]);
    for token in [undo_token(&second), undo_token(&first)] {
        assert_eq!(undo(&app, &token).await, ["INVALID_TOKEN token"]);
    }

    // The owner sets a new password by a reset.
    let (uid, token) = reset_link(&app, "ada@example.com").await;
    let own = json!({ "u": uid, "t": token, "p": PASSWORD });
    assert_eq!(app.anyone().refusals(confirm, own).await, [""; 0]);
    ada.sign_in(&app).await;
}

#[both_databases]
async fn a_change_by_staff_is_undone(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let told = move_by_staff(&app, &ada, "other@example.com").await;
    assert_eq!(undo(&app, &undo_token(&told)).await, [""; 0]);
    assert_eq!(account(&app, &ada).await.email, "ada@example.com");
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "other@example.com"));
    assert_eq!(undo(&app, &undo_token(&told)).await, ["INVALID_TOKEN token"]);
}

#[both_databases]
async fn staff_who_take_an_account_back_leave_no_undo_link(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, bob) = (app.add_reader("ada").await, app.add_reader("bob").await);
    // Staff restore a recent address of the account, which spends the undo link of that address.
    let first = move_by_staff(&app, &ada, "evil@example.com").await;
    app.prove(&ada).await;
    let second = move_by_staff(&app, &ada, "worse@example.com").await;
    let back = move_by_staff(&app, &ada, "ada@example.com").await;
    assert_eq!((back.to.as_str(), back.text.contains("token=")), ("worse@example.com", false));
    for told in [&first, &second] {
        assert_eq!(undo(&app, &undo_token(told)).await, ["INVALID_TOKEN token"]);
    }
    // Staff set a password together with the new address.
    let update =
        "mutation($id: ID!, $p: String!) { updateUser(input: { id: $id, email: \"bob@new.example\", password: $p }) {
        errors { code field }
    } }";
    let refusals = app.admin().await.refusals(update, json!({ "id": bob.id, "p": NEW })).await;
    assert_eq!(refusals, [""; 0]);
    let mails = app.mails().await;
    let told = mails.iter().find(|mail| mail.to == bob.email).unwrap();
    assert!(!told.text.contains("token="), "{}", told.text);
    assert_eq!(email_undo::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn an_undo_link_expires(place: Place) {
    let app = TestApp::start_with(&place, |config| config.links.undo_ttl = Duration::from_hours(2)).await;
    let ada = app.add_reader("ada").await;
    let first = move_by_staff(&app, &ada, "one@example.com").await;
    app.prove(&ada).await;
    app.wait(Duration::from_secs(7_199));
    let second = move_by_staff(&app, &ada, "two@example.com").await;
    app.wait(Duration::from_secs(1));
    assert_eq!(undo(&app, &undo_token(&first)).await, ["INVALID_TOKEN token"]);
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(email_undo::Entity::find().count(app.db()).await.unwrap(), 1);
    assert_eq!(undo(&app, &undo_token(&second)).await, [""; 0]);
    assert_eq!(account(&app, &ada).await.email, "one@example.com");
}

#[both_databases]
async fn an_undo_fails_where_the_old_address_is_taken_and_the_link_stays_good(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let told = move_by_staff(&app, &ada, "other@example.com").await;
    // A reader of its mail creates their own account there.
    let wanted = json!({ "input": { "email": "ADA@example.com", "password": PASSWORD, "username": "next" } });
    let link = crate::parity::registration::register(&app, wanted).await;
    let next = app.anyone().data(VERIFY, link.variables()).await["verifyEmail"]["user"]["id"].clone();
    assert_eq!(undo(&app, &undo_token(&told)).await, ["ALREADY_EXISTS token"]);
    assert_eq!(account(&app, &ada).await.email, "other@example.com");
    ada_signs_in(&app).await;
    let delete = "mutation($id: ID!) { deleteUser(input: { id: $id }) { errors { code field } } }";
    app.admin().await.data(delete, json!({ "id": next })).await;
    assert_eq!(undo(&app, &undo_token(&told)).await, [""; 0]);
    assert_eq!(account(&app, &ada).await.email, "ada@example.com");
}

async fn ada_signs_in(app: &TestApp) -> Client {
    app.anyone().sign_in("ada", PASSWORD).await
}

#[both_databases]
async fn nobody_bars_an_undo_by_a_look_alike(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_reader("ada").await;
    let eve = app.add_reader("eve").await;
    let told = move_to(&app, &ada.sign_in(&app).await, PASSWORD, "evil@example.com").await;
    let look_alike = "\u{430}da@example.com";
    let client = eve.sign_in(&app).await;
    client.data(UPDATE_ME, json!({ "e": look_alike, "p": PASSWORD })).await;
    let token = crate::parity::registration::token(&app.mails().await[0]);
    assert_eq!(client.refusals(VERIFY, json!({ "token": token })).await, ["INVALID_TOKEN"]);
    let admin = app.admin().await;
    let create = "mutation($e: String!) { createUser(input: { email: $e }) { errors { code field } } }";
    assert_eq!(admin.refusals(create, json!({ "e": look_alike })).await, ["ALREADY_EXISTS email"]);
    assert_eq!(admin.refusals(UPDATE, json!({ "id": eve.id, "e": look_alike })).await, ["ALREADY_EXISTS email"]);
    let payload = crate::spreadsheet_import::import(&admin, format!("email\n{look_alike}\n")).await;
    assert_eq!(payload["rowErrors"][0]["column"], "email");
    let register = json!({ "input": { "email": look_alike, "password": PASSWORD } });
    let link = crate::parity::registration::register(&app, register).await;
    assert_eq!(app.anyone().refusals(VERIFY, link.variables()).await, ["INVALID_TOKEN token"]);
    assert_eq!(undo(&app, &undo_token(&told)).await, [""; 0]);
    assert_eq!(account(&app, &ada).await.email, "ada@example.com");
}

#[both_databases]
async fn a_mail_that_goes_out_after_the_undo_has_no_link(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let first = move_by_staff(&app, &ada, "evil@example.com").await;
    // The announcement to the attacker's address is delayed until the owner was faster.
    app.transport().fail_next(1, &SendError::permanent("550 later"));
    let admin = app.admin().await;
    admin.data(UPDATE, json!({ "id": ada.id, "e": "worse@example.com" })).await;
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(undo(&app, &undo_token(&first)).await, [""; 0]);
    app.mails().await;
    let failed = mail::Entity::find().filter(mail::Column::Status.eq(mail::Status::Failed));
    let failed = failed.one(app.db()).await.unwrap().unwrap();
    let retry = "mutation($id: ID!) { retryMail(input: { id: $id }) { errors { code } } }";
    admin.data(retry, json!({ "id": failed.id })).await;
    for mail in app.mails().await {
        assert!(!mail.text.contains("token="), "{}", mail.text);
    }
    assert_eq!(email_undo::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn a_second_copy_of_the_announcement_has_the_same_link(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    app.admin().await.data(UPDATE, json!({ "id": ada.id, "e": "other@example.com" })).await;
    assert_eq!(app.mails().await.len(), 0);
    let made = email_undo::Entity::find().one(app.db()).await.unwrap().unwrap().digest;
    app.wait(Duration::from_mins(1));
    let told = app.mails().await;
    assert_eq!(email_undo::Entity::find().one(app.db()).await.unwrap().unwrap().digest, made);
    assert_eq!(undo(&app, &undo_token(&told[0])).await, [""; 0]);
}

#[both_databases]
async fn a_deactivated_account_goes_back_as_well(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let admin = app.admin().await;
    admin.data(UPDATE, json!({ "id": ada.id, "e": "evil@example.com" })).await;
    let client = ada_signs_in(&app).await;
    let leave = "mutation($p: String!) { deactivateMe(input: { currentPassword: $p }) { success } }";
    client.data(leave, json!({ "p": PASSWORD })).await;
    let told = app.mails().await;
    assert_eq!((told.len(), told[0].to.as_str()), (1, "ada@example.com"), "the announcement goes out all the same");
    assert_eq!(undo(&app, &undo_token(&told[0])).await, [""; 0]);
    let back = account(&app, &ada).await;
    assert_eq!((back.email.as_str(), back.is_active), ("ada@example.com", false), "which does not activate it");
}

#[both_databases]
async fn nothing_is_left_to_undo_of_a_deleted_account(place: Place) {
    let app = TestApp::start(&place).await;
    for name in ["ada", "bob"] {
        let person = app.add_reader(name).await;
        let told = move_by_staff(&app, &person, &format!("{name}@other.example")).await;
        let client = app.anyone().sign_in(name, PASSWORD).await;
        if name == "bob" {
            let record = "mutation { recordSample(input: { key: \"S\", title: \"T\" }) { errors { code } } }";
            client.data(record, Value::Null).await;
        }
        let delete = "mutation($p: String!) { deleteMe(input: { currentPassword: $p }) { errors { code } } }";
        client.data(delete, json!({ "p": PASSWORD })).await;
        assert_eq!(undo(&app, &undo_token(&told)).await, ["INVALID_TOKEN token"]);
    }
    assert_eq!(email_undo::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn of_many_concurrent_uses_of_an_undo_link_one_wins(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let token = undo_token(&move_by_staff(&app, &ada, "other@example.com").await);
    let outcomes = futures_util::future::join_all((0..8).map(|_| undo(&app, &token))).await;
    assert_eq!(outcomes.iter().filter(|refusals| refusals.is_empty()).count(), 1, "{outcomes:?}");
    let events = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::EmailChangeUndone));
    assert_eq!(events.count(app.db()).await.unwrap(), 1);
}

#[both_databases]
async fn the_owner_of_an_address_that_was_never_confirmed_undoes_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    // Staff mistyped the address: it is a stranger's.
    let ada = app.add(json!({ "username": "ada", "email": "stranger@example.com", "password": PASSWORD })).await;
    let told = move_by_staff(&app, &ada, "ada@example.com").await;
    assert_eq!(told.to, "stranger@example.com");
    assert!(!told.text.contains("token="), "{}", told.text);
    assert_eq!(email_undo::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn another_spelling_of_the_same_address_is_not_announced(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let changed = app.admin().await.data(UPDATE, json!({ "id": ada.id, "e": "Ada@EXAMPLE.com" })).await;
    assert_eq!(changed["updateUser"]["user"]["email"], "Ada@EXAMPLE.com");
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(email_undo::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn somebody_undoes_a_change_by_the_pages(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let told = move_by_staff(&app, &ada, "other@example.com").await;
    let link = told.text.split_whitespace().find(|word| word.contains("/account/undo?")).unwrap();
    let path = link.strip_prefix(&app.url).unwrap().to_owned();
    let mut browser = Browser::new(&app);
    for _ in 0..3 {
        let page = browser.open(&path).await;
        assert_eq!(page.status, 200);
        assert_eq!(account(&app, &ada).await.email, "other@example.com", "opening the page changes nothing");
    }
    let page = browser.open(&path).await;
    let mut other = Browser::new(&app);
    let opened = other.open(&path).await;
    let done = browser.submit(&page, &[]).await;
    assert!(done.body.as_str().unwrap().contains("Set a new password now"), "{}", done.body);
    assert_eq!(account(&app, &ada).await.email, "ada@example.com");
    let spent = other.submit(&opened, &[]).await;
    assert_eq!(spent.status, 422);
    assert!(spent.body.as_str().unwrap().contains("no longer valid"), "{}", spent.body);
}

#[both_databases]
async fn wrong_undo_links_are_limited(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let token = undo_token(&move_by_staff(&app, &ada, "other@example.com").await);
    for number in 0..30 {
        assert_eq!(undo(&app, &format!("wrong{number}")).await, ["INVALID_TOKEN token"]);
    }
    assert_eq!(app.anyone().code(UNDO, json!({ "t": token })).await, "RATE_LIMITED");
}

#[both_databases]
async fn no_secret_of_an_undo_link_is_stored(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let token = undo_token(&move_by_staff(&app, &ada, "other@example.com").await);
    let secret = vestibule::tools::secret::Secret::<32>::from_text(&token).unwrap();
    let row = email_undo::Entity::find().one(app.db()).await.unwrap().unwrap();
    assert_eq!(row.digest, Some(secret.digest()));
    assert_ne!(row.digest, Some(secret.reveal().to_vec()));
    let mails = mail::Entity::find().all(app.db()).await.unwrap();
    assert!(mails.iter().all(|mail| mail.sealed_token.is_none()), "the sealed copy ends with the sending");
}

#[both_databases]
async fn an_address_that_only_staff_vouched_for_undoes_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    // With a password the account is verified, but nobody confirmed the mistyped address.
    let carol = app.add_user("carol").await;
    let told = move_by_staff(&app, &carol, "right@example.org").await;
    assert!(!told.text.contains("token="), "{}", told.text);
    assert_eq!(email_undo::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn an_owner_who_returns_to_the_address_leaves_the_thief_no_link(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_reader("ada").await;
    let owner = ada.sign_in(&app).await;
    let first = move_to(&app, &ada.sign_in(&app).await, PASSWORD, "evil@example.com").await;
    owner.data(CHANGE_PASSWORD, json!({ "o": PASSWORD, "n": NEW })).await;
    app.mails().await;
    let told = move_to(&app, &owner, NEW, "ada@example.com").await;
    assert_eq!(told.to, "evil@example.com");
    assert!(!told.text.contains("token="), "{}", told.text);
    assert_eq!(undo(&app, &undo_token(&first)).await, ["INVALID_TOKEN token"], "there is nothing left to undo");
    assert_eq!(account(&app, &ada).await.email, "ada@example.com");
}

#[both_databases]
async fn a_password_that_staff_set_ends_every_undo_link(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_reader("ada").await;
    let thief = ada.sign_in(&app).await;
    let first = move_to(&app, &thief, PASSWORD, "evil@example.com").await;
    let second = move_to(&app, &thief, PASSWORD, "worse@example.com").await;
    let told = move_by_staff(&app, &ada, "right@example.org").await;
    assert_eq!(told.to, "worse@example.com");
    let set =
        "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) { errors { code } } }";
    app.admin().await.data(set, json!({ "id": ada.id, "p": NEW })).await;
    for mail in [first, second, told] {
        assert_eq!(undo(&app, &undo_token(&mail)).await, ["INVALID_TOKEN token"]);
    }
    assert_eq!(account(&app, &ada).await.email, "right@example.org");
}

#[both_databases]
async fn a_reset_at_the_new_address_ends_the_link_of_a_change_by_staff(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_reader("ada").await;
    let first = move_to(&app, &ada.sign_in(&app).await, PASSWORD, "evil@example.com").await;
    let told = move_by_staff(&app, &ada, "right@example.org").await;
    let (uid, token) = reset_link(&app, "right@example.org").await;
    let confirm = "mutation($u: ID!, $t: String!, $p: String!) { confirmReset(input: { uid: $u, token: $t,
        newPassword: $p }) { errors { code } } }";
    app.anyone().data(confirm, json!({ "u": uid, "t": token, "p": NEW })).await;
    assert_eq!(undo(&app, &undo_token(&told)).await, ["INVALID_TOKEN token"], "the thief's");
    assert_eq!(undo(&app, &undo_token(&first)).await, [""; 0], "the owner's");
}

const SET_PASSWORD: &str =
    "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) { errors { code } } }";

const CONFIRM: &str = "mutation($u: ID!, $t: String!, $p: String!) {
    confirmReset(input: { uid: $u, token: $t, newPassword: $p }) { errors { code field } }
}";

async fn reset(app: &TestApp, email: &str, password: &str) {
    let (uid, token) = reset_link(app, email).await;
    let input = json!({ "u": uid, "t": token, "p": password });
    assert_eq!(app.anyone().refusals(CONFIRM, input).await, [""; 0]);
    app.mails().await;
}

#[both_databases]
async fn another_spelling_by_staff_leaves_links_and_proof(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let (uid, token) = reset_link(&app, &ada.email).await;
    let refusals = app.admin().await.refusals(UPDATE, json!({ "id": ada.id, "e": "Ada@EXAMPLE.com" })).await;
    assert_eq!(refusals, [""; 0]);
    let now = account(&app, &ada).await;
    assert_eq!((now.email.as_str(), now.email_proved), ("Ada@EXAMPLE.com", true));
    let input = json!({ "u": uid, "t": token, "p": NEW });
    assert_eq!(app.anyone().refusals(CONFIRM, input).await, [""; 0]);
}

#[both_databases]
async fn staff_who_set_a_password_first_leave_the_thief_no_link(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_reader("ada").await;
    move_to(&app, &ada.sign_in(&app).await, PASSWORD, "evil@example.com").await;
    app.admin().await.data(SET_PASSWORD, json!({ "id": ada.id, "p": NEW })).await;
    app.mails().await;
    let told = move_by_staff(&app, &ada, "ada@example.com").await;
    assert_eq!(told.to, "evil@example.com");
    assert!(!told.text.contains("token="), "{}", told.text);
    assert_eq!(email_undo::Entity::find().count(app.db()).await.unwrap(), 0);
    // After the owner confirmed the address, its change can be undone again.
    reset(&app, "ada@example.com", NEW).await;
    let told = move_by_staff(&app, &ada, "other@example.com").await;
    assert_eq!(undo(&app, &undo_token(&told)).await, [""; 0]);
}

#[both_databases]
async fn an_owner_who_moves_home_with_a_password_from_staff_leaves_the_thief_no_link(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_reader("ada").await;
    move_to(&app, &ada.sign_in(&app).await, PASSWORD, "evil@example.com").await;
    app.admin().await.data(SET_PASSWORD, json!({ "id": ada.id, "p": NEW })).await;
    app.mails().await;
    let owner = app.anyone().sign_in("ada", NEW).await;
    let told = move_to(&app, &owner, NEW, "ada@example.com").await;
    assert_eq!(told.to, "evil@example.com");
    assert!(!told.text.contains("token="), "{}", told.text);
    assert_eq!(account(&app, &ada).await.email, "ada@example.com");
}

#[both_databases]
async fn a_notice_goes_to_the_address_of_its_time(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_reader("ada").await;
    let thief = ada.sign_in(&app).await;
    // The owner's mail server defers the first attempt, and the attacker changes the address meanwhile.
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    assert_eq!(thief.refusals(CHANGE_PASSWORD, json!({ "o": PASSWORD, "n": NEW })).await, [""; 0]);
    assert!(app.mails().await.is_empty());
    move_to(&app, &thief, NEW, "evil@example.com").await;
    app.wait(Duration::from_secs(3600));
    let notice = app.mails().await.into_iter().find(|mail| mail.subject.contains("password")).unwrap();
    assert_eq!(notice.to, "ada@example.com");
}

#[both_databases]
async fn an_owner_gets_an_account_back_that_staff_gave_to_a_thief(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let bob = app.add_reader("bob").await;
    let told = move_by_staff(&app, &bob, "thief@example.com").await;
    reset(&app, "thief@example.com", "window lantern plume 55").await;
    let next = move_by_staff(&app, &bob, "accomplice@example.com").await;
    reset(&app, "accomplice@example.com", "marble tulip canyon seven").await;
    assert_eq!(undo(&app, &undo_token(&next)).await, ["INVALID_TOKEN token"]);
    assert_eq!(undo(&app, &undo_token(&told)).await, [""; 0]);
    assert_eq!(account(&app, &bob).await.email, "bob@example.com");
}

#[both_databases]
async fn nobody_else_makes_an_account_at_an_address_that_can_be_returned_to(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, eve) = (app.add_reader("ada").await, app.add_reader("eve").await);
    let told = move_to(&app, &ada.sign_in(&app).await, PASSWORD, "evil@example.com").await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let (_, secret) = crate::api_tokens::make(&boss, &["MANAGE_USERS"]).await;
    app.mails().await;
    let script = app.anyone().with_token(secret);
    let create = "mutation($e: String!) { createUser(input: { email: $e }) { errors { code field message } } }";
    for client in [&script, &boss] {
        let payload = client.data(create, json!({ "e": ada.email })).await["createUser"].clone();
        let message = payload["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("recently belonged to another account"), "{message}");
    }
    assert_eq!(boss.refusals(UPDATE, json!({ "id": eve.id, "e": "Ada@example.com" })).await, ["ALREADY_EXISTS email"]);
    let payload = crate::spreadsheet_import::import(&boss, format!("email\n{}\n", ada.email)).await;
    assert_eq!(payload["rowErrors"][0]["column"], "email");
    assert_eq!(undo(&app, &undo_token(&told)).await, [""; 0]);
}
