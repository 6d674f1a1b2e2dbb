//! Mails that wait longer than their links are valid, or than somebody expects them.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::json;
use vestibule::domain::operator::{self, Operator};
use vestibule::domain::outbox::WAITS_FOR;
use vestibule::entity::mail::{self, Kind};
use vestibule::entity::{email_undo, one_time_token, registration};
use vestibule::tools::mail::SendError;
use vestibule::worker;

use crate::parity::recovery::{REQUEST, link};
use crate::parity::registration::{REGISTER, VERIFY, token, wanted};
use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_database::Place;
use crate::undo_email_change::{UNDO, undo_token};

const SECOND: Duration = Duration::from_secs(1);

/// One second less than this time.
fn before(end: Duration) -> Duration {
    end.checked_sub(SECOND).unwrap()
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const AGAIN: &str = "mutation($e: String!) { resendVerification(input: { email: $e }) { success } }";

const MOVE: &str = "mutation($e: String!, $p: String!) { updateMe(input: { email: $e, currentPassword: $p }) {
    user { pendingEmail } errors { code field }
} }";

const UPDATE: &str = "mutation($id: ID!, $e: String!) { updateUser(input: { id: $id, email: $e }) {
    errors { code field }
} }";

const SET: &str = "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) {
    errors { code field }
} }";

const CONFIRM: &str = "mutation($u: ID!, $t: String!, $p: String!) {
    confirmReset(input: { uid: $u, token: $t, newPassword: $p }) { success errors { code field } }
}";

/// Number of mails of this kind to this address.
async fn count(app: &TestApp, kind: Kind, to: &str) -> u64 {
    let rows = mail::Entity::find().filter(mail::Column::Kind.eq(kind)).filter(mail::Column::Recipient.eq(to));
    rows.count(app.db()).await.unwrap()
}

/// Attempts delivery once, without success.
async fn try_in_vain(app: &TestApp) {
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    assert_eq!(app.mails().await.len(), 0);
}

/// Holds the waiting mails of this kind, and releases them after this time.
async fn hold_for(app: &TestApp, kind: Kind, wait: Duration) {
    let operator = Operator::new();
    let held = operator::mails::hold(&app.app.db, &app.app.clock.now(), &operator, kind).await.unwrap();
    assert_eq!(held, 1);
    app.wait(wait);
    worker::run_maintenance(&app.app).await.unwrap();
    let released = operator::mails::release(&app.app.db, &app.app.clock.now(), &operator, kind).await.unwrap();
    assert_eq!(released, 1);
}

#[both_databases]
async fn a_confirmation_that_nobody_expects_any_more_is_dropped(place: Place) {
    // The registrations outlive the mails.
    let app = TestApp::start_with(&place, |config| config.links.verify_ttl = MONTH).await;
    for (email, wait, sent) in [("eve@example.com", WAITS_FOR, 1), ("mallory@example.com", WAITS_FOR + SECOND, 0)] {
        app.anyone().data(REGISTER, wanted(email)).await;
        app.wait(wait);
        worker::run_maintenance(&app.app).await.unwrap();
        assert_eq!(app.mails().await.len(), sent, "{email}");
        assert_eq!(count(&app, Kind::VerifyEmail, email).await, sent as u64, "{email}");
    }
    assert_eq!(registration::Entity::find().count(app.db()).await.unwrap(), 2);
    // The registration is still good for another mail.
    app.anyone().data(AGAIN, json!({ "e": "mallory@example.com" })).await;
    let mails = app.mails().await;
    assert_eq!(mails.len(), 1);
    let verify = json!({ "token": token(&mails[0]), "password": PASSWORD });
    assert_eq!(app.anyone().refusals(VERIFY, verify).await, [""; 0]);
    app.anyone().sign_in("mallory@example.com", PASSWORD).await;
}

#[both_databases]
async fn a_confirmation_outlived_by_its_link_is_dropped(place: Place) {
    let app = TestApp::start(&place).await;
    app.anyone().data(REGISTER, wanted("eve@example.com")).await;
    try_in_vain(&app).await;
    // A release makes a mail as urgent as a new one, but revives no registration.
    hold_for(&app, Kind::VerifyEmail, WAITS_FOR).await;
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(count(&app, Kind::VerifyEmail, "eve@example.com").await, 0);
    assert_eq!(registration::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn a_failed_confirmation_is_retried_only_while_its_registration_is_valid(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    app.anyone().data(REGISTER, wanted("eve@example.com")).await;
    app.transport().fail_next(1, &SendError::permanent("550 not now"));
    assert_eq!(app.mails().await.len(), 0);
    let list = "{ outgoingMails(status: FAILED) { nodes { id } } }";
    let id = staff.data(list, json!({})).await["outgoingMails"]["nodes"][0]["id"].clone();
    let retry = "mutation($id: ID!) { retryMail(input: { id: $id }) { errors { code field } } }";
    app.wait(before(app.app.config.links.verify_ttl));
    let staff = app.admin().await;
    assert_eq!(staff.refusals(retry, json!({ "id": id })).await, [""; 0]);
    let first = app.mails().await;
    assert_eq!(first.len(), 1);

    app.anyone().data(REGISTER, wanted("mallory@example.com")).await;
    app.transport().fail_next(1, &SendError::permanent("550 not now"));
    assert_eq!(app.mails().await.len(), 0);
    let id = staff.data(list, json!({})).await["outgoingMails"]["nodes"][0]["id"].clone();
    app.wait(app.app.config.links.verify_ttl);
    let staff = app.admin().await;
    assert_eq!(staff.refusals(retry, json!({ "id": id })).await, ["INVALID id"]);
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn a_link_to_a_new_address_that_nobody_expects_any_more_is_dropped(place: Place) {
    let app = TestApp::start(&place).await;
    for (name, is_attempted) in [("ada", false), ("bob", true)] {
        let person = app.add_user(name).await;
        let new = format!("{name}@new.example");
        let wish = json!({ "e": new, "p": PASSWORD });
        let pending = person.sign_in(&app).await.data(MOVE, wish.clone()).await;
        assert_eq!(pending["updateMe"]["user"]["pendingEmail"], json!(new));
        if is_attempted {
            try_in_vain(&app).await;
        }
        app.wait(WAITS_FOR + SECOND);
        assert_eq!(app.mails().await.len(), 0, "{name}");
        assert_eq!(count(&app, Kind::ConfirmNewEmail, &new).await, 0, "{name}");
        worker::run_maintenance(&app.app).await.unwrap();
        let client = person.sign_in(&app).await;
        let me = client.data("{ me { email pendingEmail } }", json!({})).await["me"].clone();
        assert_eq!(me, json!({ "email": person.email, "pendingEmail": null }), "{name}");

        assert_eq!(client.refusals(MOVE, wish).await, [""; 0]);
        let mails = app.mails().await;
        assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [new.as_str()]);
        assert_eq!(client.refusals(VERIFY, json!({ "token": token(&mails[0]) })).await, [""; 0]);
        assert_eq!(app.mails().await.len(), 1, "the notice to the old address");
    }
}

#[both_databases]
async fn notices_and_welcomes_are_sent_however_late(place: Place) {
    let app = TestApp::start(&place).await;
    let (admin, ada) = (app.admin().await, app.add_reader("ada").await);
    let create = "mutation { createUser(input: { email: \"new@example.com\" }) { errors { code field } } }";
    assert_eq!(admin.refusals(create, json!({})).await, [""; 0]);
    crate::api_tokens::make(&ada.sign_in(&app).await, &["READ"]).await;
    assert_eq!(admin.refusals(UPDATE, json!({ "id": ada.id, "e": "ada@new.example" })).await, [""; 0]);
    assert_eq!(admin.refusals(SET, json!({ "id": ada.id, "p": "quite a new long phrase" })).await, [""; 0]);
    for _ in 0..30 {
        app.wait(DAY);
        worker::run_maintenance(&app.app).await.unwrap();
    }
    let mut mails = app.mails().await;
    mails.sort_by(|one, other| (&one.to, &one.subject).cmp(&(&other.to, &other.subject)));
    let sent: Vec<(&str, &str)> = mails.iter().map(|mail| (mail.to.as_str(), mail.subject.as_str())).collect();
    assert_eq!(
        sent,
        [
            ("ada@example.com", "A new API token for your account at Vestibule"),
            ("ada@example.com", "Your email address at Vestibule was changed"),
            ("ada@new.example", "Your password at Vestibule was changed"),
            ("new@example.com", "Your account at Vestibule"),
        ]
    );
    // The link begins with the delivery.
    let (uid, secret) = link(&mails[3]);
    app.wait(before(app.app.config.links.invite_ttl));
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(app.anyone().refusals(CONFIRM, json!({ "u": uid, "t": secret, "p": PASSWORD })).await, [""; 0]);
}

#[both_databases]
async fn a_late_notice_of_a_new_address_has_a_link_only_while_the_change_can_be_undone(place: Place) {
    let app = TestApp::start(&place).await;
    let change = async |name: &str| -> Person {
        let person = app.add_reader(name).await;
        let new = json!({ "id": person.id, "e": format!("{name}@new.example") });
        assert_eq!(app.admin().await.refusals(UPDATE, new).await, [""; 0]);
        person
    };
    // Never attempted within seven days.
    for (name, wait, has_link) in [("ada", before(7 * DAY), true), ("bob", 7 * DAY, false)] {
        let person = change(name).await;
        app.wait(wait);
        worker::run_maintenance(&app.app).await.unwrap();
        let mails = app.mails().await;
        assert_eq!((mails.len(), mails[0].to.as_str()), (1, person.email.as_str()));
        assert_eq!(mails[0].text.contains("/account/undo?"), has_link, "{name}");
        if has_link {
            // The validity begins with the delivery.
            app.wait(before(app.app.config.links.undo_ttl));
            worker::run_maintenance(&app.app).await.unwrap();
            assert_eq!(app.anyone().refusals(UNDO, json!({ "t": undo_token(&mails[0]) })).await, [""; 0]);
            app.mails().await;
        }
    }
    // Attempted in time, and held until its link had expired.
    let cyd = change("cyd").await;
    try_in_vain(&app).await;
    hold_for(&app, Kind::EmailChanged, app.app.config.links.undo_ttl).await;
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, cyd.email.as_str()));
    assert!(!mails[0].text.contains("/account/undo?"), "{}", mails[0].text);
    assert_eq!(email_undo::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn a_mail_that_outlived_its_link_gets_a_new_one(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let create = "mutation { createUser(input: { email: \"bob@example.com\" }) { user { id } errors { code } } }";
    let bob = app.admin().await.data(create, json!({})).await["createUser"]["user"]["id"].clone();
    for (kind, owner) in [(Kind::Welcome, bob), (Kind::ResetPassword, json!(ada.id))] {
        if kind == Kind::ResetPassword {
            app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
        }
        try_in_vain(&app).await;
        hold_for(&app, kind, WAITS_FOR).await;
        assert_eq!(one_time_token::Entity::find().count(app.db()).await.unwrap(), 0, "the first link expired");
        let mails = app.mails().await;
        assert_eq!(mails.len(), 1);
        let (uid, secret) = link(&mails[0]);
        assert_eq!(json!(uid), owner);
        let input = json!({ "u": uid, "t": secret, "p": "quite a new long phrase" });
        assert_eq!(app.anyone().refusals(CONFIRM, input).await, [""; 0]);
        assert_eq!(app.mails().await.len(), 1, "the notice of the new password");
    }
}
