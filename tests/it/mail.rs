//! The outbox: retries, leases, and no lost mails.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::json;
use vestibule::entity::mail::{self, Status};
use vestibule::entity::one_time_token;
use vestibule::tools::certificates::Trust;
use vestibule::tools::mail::SendError;

use crate::parity::recovery::link;
use crate::test_app::TestApp;
use crate::test_database::Place;

const REQUEST: &str = "mutation($email: String!) { requestReset(input: { email: $email }) { success } }";

async fn request(app: &TestApp, email: &str) {
    app.anyone().data(REQUEST, json!({ "email": email })).await;
}

async fn only_mail(app: &TestApp) -> mail::Model {
    let mut mails = mail::Entity::find().all(app.db()).await.unwrap();
    mails.retain(|mail| mail.kind == mail::Kind::ResetPassword);
    assert_eq!(mails.len(), 1);
    mails.remove(0)
}

#[both_databases]
async fn a_mail_that_is_not_taken_is_tried_again_later_and_later(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    request(&app, &ada.email).await;
    app.transport().fail_next(3, &SendError::temporary("451 later"));
    let mut waited = Vec::new();
    for attempt in 1..=3 {
        assert_eq!(app.mails().await.len(), 0);
        let row = only_mail(&app).await;
        assert_eq!((row.status, row.attempts, row.last_error.as_deref()), (Status::Queued, attempt, Some("451 later")));
        let wait = row.next_attempt_at.unwrap().millis() - app.app.clock.now().at.millis();
        waited.push(wait);
        app.wait(Duration::from_millis(wait.unsigned_abs() - 1));
        assert_eq!(app.mails().await.len(), 0, "it is not tried before its time");
        app.wait(Duration::from_millis(1));
    }
    for (wait, least) in waited.iter().zip([5_000, 10_000, 20_000]) {
        assert!((least..=least * 5 / 4).contains(wait), "{waited:?}");
    }
    assert_eq!(app.mails().await.len(), 1);
    let row = only_mail(&app).await;
    assert_eq!((row.status, row.attempts, row.sent_at), (Status::Sent, 4, Some(app.app.clock.now().at)));
    app.wait(Duration::from_hours(24));
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn a_mail_that_is_refused_for_good_is_given_up(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    request(&app, &ada.email).await;
    app.transport().fail_next(1, &SendError::permanent("550 no such user"));
    assert_eq!(app.mails().await.len(), 0);
    let row = only_mail(&app).await;
    assert_eq!((row.status, row.next_attempt_at, row.sealed_token), (Status::Failed, None, None));
    app.wait(Duration::from_hours(24));
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn after_twenty_attempts_a_mail_is_given_up(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    request(&app, &ada.email).await;
    app.transport().fail_next(20, &SendError::temporary("451 later"));
    for _ in 0..20 {
        app.mails().await;
        app.wait(Duration::from_mins(75));
    }
    assert_eq!(app.mails().await.len(), 0);
    let row = only_mail(&app).await;
    assert_eq!((row.status, row.attempts), (Status::Failed, 20));
}

#[both_databases]
async fn a_mail_that_fails_does_not_hold_up_others(place: Place) {
    let app = TestApp::start(&place).await;
    for number in 0..15 {
        app.add_user(&format!("user{number}")).await;
    }
    for number in 0..15 {
        request(&app, &format!("user{number}@example.com")).await;
    }
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    assert_eq!(app.mails().await.len(), 14);
}

#[both_databases]
async fn a_second_copy_after_a_crash_has_the_same_link(place: Place) {
    use sea_orm::{ActiveModelTrait as _, IntoActiveModel as _};
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    request(&app, &ada.email).await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    app.mails().await;
    let waiting = only_mail(&app).await;
    app.wait(Duration::from_mins(1));
    let first = app.mails().await.remove(0);

    // As if the process had died after sending the mail and before recording it.
    let now = app.app.clock.now().at;
    let lease = now.plus(Duration::from_mins(1));
    let died = mail::Model { next_attempt_at: Some(now), leased_until: Some(lease), ..waiting };
    died.into_active_model().reset_all().update(app.db()).await.unwrap();
    assert_eq!(app.mails().await.len(), 0, "somebody else may still be sending it");
    app.wait(Duration::from_mins(1));
    let second = app.mails().await.remove(0);
    assert_eq!(second.id, first.id);
    assert_eq!(link(&second), link(&first));
}

#[both_databases]
async fn two_instances_send_each_mail_once(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    for number in 0..12 {
        app.add_user(&format!("user{number}")).await;
    }
    for number in 0..12 {
        request(&app, &format!("user{number}@example.com")).await;
    }
    let (here, there) = tokio::join!(app.mails(), second.mails());
    let mut ids: Vec<_> = here.iter().chain(&there).map(|mail| mail.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), here.len() + there.len()), (12, 12));
}

#[both_databases]
async fn a_request_for_nobody_leaves_nothing_behind(place: Place) {
    let app = TestApp::start(&place).await;
    request(&app, "nobody@example.com").await;
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(mail::Entity::find().count(app.db()).await.unwrap(), 0);
    assert_eq!(one_time_token::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn a_mail_for_a_deactivated_user_is_dropped(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    request(&app, &ada.email).await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    app.mails().await;
    let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code } } }";
    app.admin().await.data(toggle, json!({ "id": ada.id })).await;
    app.wait(Duration::from_mins(1));
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(one_time_token::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn mails_go_to_files_by_default(place: Place) {
    use vestibule::tools::mail::Transport;
    let app = TestApp::start(&place).await;
    let transport = Transport::new(&app.app.config.mail_url(), &Trust::default());
    let Transport::Folder(folder) = &transport else { panic!("{transport:?}") };
    assert_eq!(*folder, place.folder.join("mail"));
}

#[both_databases]
async fn nothing_secret_is_in_the_outbox(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    request(&app, &ada.email).await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    app.mails().await;
    let waiting = only_mail(&app).await;
    app.wait(Duration::from_mins(1));
    let (_, token) = link(&app.mails().await[0]);
    let secret = vestibule::tools::secret::Secret::<32>::from_text(&token).unwrap();
    let sealed = waiting.sealed_token.unwrap();
    assert!(!sealed.windows(8).any(|part| secret.reveal().windows(8).any(|other| other == part)));
    assert_eq!(only_mail(&app).await.sealed_token, None);
    let stored = one_time_token::Entity::find().all(app.db()).await.unwrap();
    assert_eq!(stored[0].digest, secret.digest());
}

const CREATE: &str = "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } errors { code } } }";
const UPDATE: &str = "mutation($input: UpdateUserInput!) { updateUser(input: $input) { errors { code field } } }";

#[both_databases]
async fn a_user_who_is_made_inactive_is_welcomed_once_they_are_activated(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let create = json!({ "input": { "email": "ann@example.com", "isActive": false } });
    let ann = admin.data(CREATE, create).await["createUser"]["user"]["id"].clone();
    let sheet = "email,is_active\nbob@example.com,no\ncy@example.com,no\n";
    crate::spreadsheet_import::counts(&crate::spreadsheet_import::import(&admin, sheet).await);
    app.wait(Duration::from_secs(60));
    assert_eq!(app.mails().await.len(), 0, "a link into a deactivated account is dead");
    assert_eq!(vestibule::domain::outbox::backlog(&app.app.db).await.unwrap().waiting, 0, "nothing is overdue");

    let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: true }) { errors { code } } }";
    admin.data(toggle, json!({ "id": ann })).await;
    crate::spreadsheet_import::counts(
        &crate::spreadsheet_import::import(&admin, "email,is_active\nbob@example.com,yes\n").await,
    );
    let mut mails = app.mails().await;
    mails.sort_by(|one, other| one.to.cmp(&other.to));
    let recipients: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(recipients, ["ann@example.com", "bob@example.com"]);
    assert!(mails.iter().all(|mail| mail.text.contains("/account/reset?uid=")), "{}", mails[0].text);
    let (uid, token) = link(&mails[0]);
    let reset = "mutation($u: ID!, $t: String!, $p: String!) {
        confirmReset(input: { uid: $u, token: $t, newPassword: $p }) { success errors { code } }
    }";
    let reset = app.anyone().data(reset, json!({ "u": uid, "t": token, "p": crate::test_app::PASSWORD })).await;
    assert_eq!(reset["confirmReset"]["success"], true);
    assert_eq!(app.mails().await.len(), 1, "of the new password");
    // Another deactivation and activation sends no second welcome mail.
    crate::spreadsheet_import::counts(
        &crate::spreadsheet_import::import(&admin, "email,is_active\nbob@example.com,no\n").await,
    );
    crate::spreadsheet_import::counts(
        &crate::spreadsheet_import::import(&admin, "email,is_active\nbob@example.com,yes\n").await,
    );
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn a_welcome_that_was_not_sent_before_a_deactivation_is_sent_after_the_activation(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let create = json!({ "input": { "email": "ann@example.com" } });
    let ann = admin.data(CREATE, create).await["createUser"]["user"]["id"].clone();
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    assert_eq!(app.mails().await.len(), 0);
    for is_active in [false, true] {
        let update = admin.refusals(UPDATE, json!({ "input": { "id": ann, "isActive": is_active } })).await;
        assert_eq!(update, [""; 0]);
        let mails = app.mails().await;
        assert_eq!(mails.len(), usize::from(is_active));
    }
}

#[both_databases]
async fn the_owner_is_notified_of_a_new_password_and_address_of_a_deactivated_account(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_reader("ada").await;
    let input = json!({
        "id": ada.id, "email": "new@example.com", "password": "another long phrase", "isActive": false,
    });
    assert_eq!(app.admin().await.refusals(UPDATE, json!({ "input": input })).await, [""; 0]);
    let mut mails = app.mails().await;
    mails.sort_by(|one, other| one.to.cmp(&other.to));
    let told: Vec<(&str, bool)> = mails.iter().map(|mail| (mail.to.as_str(), mail.text.contains("token="))).collect();
    assert_eq!(told, [("ada@example.com", false), ("new@example.com", false)], "of the address, and of the password");
}
