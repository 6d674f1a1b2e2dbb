//! Order and rate of mails, and mails that wait for a long time.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use vestibule::domain::outbox::{self, WAITS_FOR};
use vestibule::entity::mail::{self, Kind, Status};
use vestibule::tools::mail::SendError;
use vestibule::worker;

use crate::cli_admin::{done, refused};
use crate::parity::recovery::{link, reset_link};
use crate::parity::registration::{REGISTER, VERIFY, token, wanted};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const REQUEST: &str = "mutation($email: String!) { requestReset(input: { email: $email }) { success } }";

const VALID: &str = "query($u: ID!, $t: String!) { resetTokenIsValid(uid: $u, token: $t) }";

const HOUR: Duration = Duration::from_secs(60 * 60);

const SECOND: Duration = Duration::from_secs(1);

const ALMOST_AN_HOUR: Duration = Duration::from_secs(60 * 60 - 1);

async fn is_valid(app: &TestApp, (uid, token): &(String, String)) -> bool {
    app.anyone().data(VALID, json!({ "u": uid, "t": token })).await["resetTokenIsValid"] == true
}

/// Simulates an outage of the mail server for more than five hours.
async fn outage(app: &TestApp) {
    app.transport().fail_next(5, &SendError::temporary("no connection to the mail server"));
    for _ in 0..5 {
        assert_eq!(app.mails().await.len(), 0);
        app.wait(Duration::from_mins(75));
        worker::run_maintenance(&app.app).await.unwrap();
    }
}

/// Queues a welcome mail for each of these users together, as an import does.
async fn welcome_all(app: &TestApp, count: usize) {
    let mut recipients = Vec::new();
    for number in 0..count {
        let user = app.add_user(&format!("user{number}")).await;
        recipients.push((user.email, user.id.parse().unwrap()));
    }
    let (txn, now) = app.app.db.begin(&app.app.clock.now()).await.unwrap();
    outbox::enqueue_all(&txn, &now, Kind::Welcome, recipients).await.unwrap();
    txn.commit().await.unwrap();
}

async fn statuses(app: &TestApp, kind: Kind) -> Vec<Status> {
    let mails = mail::Entity::find().all(app.db()).await.unwrap();
    mails.into_iter().filter(|mail| mail.kind == kind).map(|mail| mail.status).collect()
}

#[both_databases]
async fn a_reset_link_is_valid_from_delivery_of_its_mail(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
    outage(&app).await;
    let mails = app.mails().await;
    assert!(mails[0].text.contains("1 hour"), "{}", mails[0].text);
    let link = link(&mails[0]);
    app.wait(ALMOST_AN_HOUR);
    worker::run_maintenance(&app.app).await.unwrap();
    assert!(is_valid(&app, &link).await);
    app.wait(SECOND);
    assert!(!is_valid(&app, &link).await);
}

#[both_databases]
async fn a_confirmation_link_is_valid_from_delivery_of_its_mail(place: Place) {
    let app = TestApp::start_with(&place, |config| config.links.verify_ttl = HOUR).await;
    for (email, wait) in [("eve@example.com", ALMOST_AN_HOUR), ("mallory@example.com", HOUR)] {
        app.anyone().data(REGISTER, wanted(email)).await;
        outage(&app).await;
        let token = token(&app.mails().await[0]);
        app.wait(wait);
        worker::run_maintenance(&app.app).await.unwrap();
        let verify = "mutation($token: String!, $p: String!) {
            verifyEmail(input: { token: $token, password: $p }) { errors { code } }
        }";
        let refusals = app.anyone().refusals(verify, json!({ "token": token, "p": PASSWORD })).await;
        let expected = if wait < HOUR { vec![] } else { vec!["INVALID_TOKEN".to_owned()] };
        assert_eq!(refusals, expected, "{email}");
    }
}

#[both_databases]
async fn a_link_to_a_new_address_is_valid_from_delivery_of_its_mail(place: Place) {
    let app = TestApp::start_with(&place, |config| config.links.verify_ttl = HOUR).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let update = "mutation($p: String!) {
        updateMe(input: { email: \"new@example.com\", currentPassword: $p }) { errors { code } }
    }";
    assert_eq!(ada.refusals(update, json!({ "p": PASSWORD })).await, [""; 0]);
    outage(&app).await;
    let token = token(&app.mails().await[0]);
    app.wait(ALMOST_AN_HOUR);
    worker::run_maintenance(&app.app).await.unwrap();
    let ada = app.anyone().sign_in("ada", PASSWORD).await;
    assert_eq!(ada.refusals(VERIFY, json!({ "token": token })).await, [""; 0]);
}

#[both_databases]
async fn a_mail_that_was_overtaken_by_a_newer_one_is_not_sent(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    assert_eq!(app.mails().await.len(), 0);
    let newer = reset_link(&app, &ada.email).await;
    app.wait(Duration::from_mins(1));
    assert_eq!(app.mails().await.len(), 0, "its link would be dead");
    assert!(is_valid(&app, &newer).await);
}

#[both_databases]
async fn a_reset_that_waited_for_three_days_is_dropped(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let before = mail::Entity::find().count(app.db()).await.unwrap();
    app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
    app.wait(WAITS_FOR);
    assert_eq!(app.mails().await.len(), 1, "as long as somebody may expect it, it is sent");
    app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
    app.wait(WAITS_FOR + SECOND);
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(mail::Entity::find().count(app.db()).await.unwrap(), before + 1);
}

#[both_databases]
async fn a_reset_goes_before_the_welcome_mails_of_an_import(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    welcome_all(&app, 3).await;
    app.wait(SECOND);
    let admin = app.admin().await;
    let change =
        "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) { errors { code } } }";
    assert_eq!(admin.refusals(change, json!({ "id": ada.id, "p": "quite a new long phrase" })).await, [""; 0]);
    app.wait(SECOND);
    app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
    let now = app.app.clock.now();
    let mut kinds = Vec::new();
    for _ in 0..5 {
        kinds.extend(app.app.take_mails(&now, 1).await.unwrap().into_iter().map(|mail| mail.kind));
    }
    let welcome = [Kind::Welcome; 3];
    assert_eq!(kinds, [&[Kind::ResetPassword, Kind::PasswordChanged][..], &welcome].concat());
}

#[both_databases]
async fn mails_keep_to_the_rate_of_the_provider(place: Place) {
    let app = TestApp::start(&place).await;
    welcome_all(&app, 7).await;
    let slow = app.start_second_with(&place, |config| config.mail_rate = Some("3/1m".parse().unwrap())).await;
    assert_eq!(slow.mails().await.len(), 3);
    slow.wait(Duration::from_secs(20));
    assert_eq!((slow.mails().await.len(), slow.mails().await.len()), (1, 0));
    slow.wait(HOUR);
    assert_eq!(slow.mails().await.len(), 3, "no more is saved up");
    assert_eq!(statuses(&app, Kind::Welcome).await.iter().filter(|status| **status == Status::Queued).count(), 0);
}

#[both_databases]
async fn mails_of_a_kind_are_held_released_and_cancelled(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let ada = app.add_user("ada").await;
    let welcome = statuses(&app, Kind::Welcome).await.len();
    welcome_all(&app, 2).await;
    assert_eq!(done(&place, &["mail", "hold", "--kind", "WELCOME"]), "2 emails held\n");
    app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
    let sent = app.mails_at_system_time().await;
    assert_eq!(sent.len(), 1, "the other kinds go out");
    let listed = done(&place, &["mail", "list", "--held"]);
    assert_eq!(listed.matches(" HELD ").count(), 2, "{listed}");
    let examined = done(&place, &["doctor"]);
    assert!(examined.contains("2 held") && examined.contains("vestibule mail release"), "{examined}");
    let staff = app.admin().await;
    let held = staff.data("{ outgoingMails(status: HELD) { totalCount nodes { kind } } }", json!({})).await;
    assert_eq!(held["outgoingMails"]["totalCount"], 2);
    let held = staff.data("{ outgoingMails(status: HELD) { nodes { id } } }", json!({})).await;
    let id = held["outgoingMails"]["nodes"][0]["id"].clone();
    let retry = "mutation($id: ID!) { retryMail(input: { id: $id }) { errors { code field } } }";
    assert_eq!(
        staff.refusals(retry, json!({ "id": id })).await,
        ["INVALID id"],
        "staff do not undo what operators did"
    );

    assert_eq!(done(&place, &["mail", "release", "--kind", "welcome"]), "2 emails queued\n");
    assert_eq!(app.mails_at_system_time().await.len(), 2);

    let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code } } }";
    let bob = app.add_user("bob").await;
    let (txn, now) = app.app.db.begin(&app.app.clock.now()).await.unwrap();
    outbox::enqueue_all(&txn, &now, Kind::Welcome, vec![(bob.email.clone(), bob.id.parse().unwrap())]).await.unwrap();
    txn.commit().await.unwrap();
    done(&place, &["mail", "hold", "--kind", "WELCOME"]);
    assert_eq!(done(&place, &["mail", "cancel", "--kind", "WELCOME"]), "1 email cancelled\n");
    assert_eq!(app.mails_at_system_time().await.len(), 0);
    let all = statuses(&app, Kind::Welcome).await;
    assert_eq!(all.iter().filter(|status| **status == Status::Cancelled).count(), 1);
    assert!(all.len() > welcome);
    assert_eq!(staff.refusals(toggle, json!({ "id": bob.id })).await, [""; 0]);

    let wrong = refused(&place, &["mail", "hold", "--kind", "LETTER"]);
    assert!(wrong.contains("unknown kind of email") && wrong.contains("WELCOME"), "{wrong}");
}

#[both_databases]
async fn a_retry_of_all_ends_every_wait(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let ada = app.add_user("ada").await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    app.anyone().data(REQUEST, json!({ "email": ada.email })).await;
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(app.mails().await.len(), 0, "it waits");
    assert_eq!(done(&place, &["mail", "retry", "--all"]), "1 email queued\n");
    assert_eq!(app.mails_at_system_time().await.len(), 1);
}

#[both_databases]
async fn mails_are_found_by_their_recipient(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("bob").await.sign_in(&app).await;
    let ada = app.add_user("ada").await;
    for email in [ada.email.as_str(), "admin@localhost"] {
        app.anyone().data(REQUEST, json!({ "email": email })).await;
    }
    app.mails().await;
    let list = "query($r: String) { outgoingMails(recipient: $r) { totalCount nodes { recipient } } }";
    let found = async |recipient: Value| {
        staff.data(list, json!({ "r": recipient })).await["outgoingMails"]["totalCount"].clone()
    };
    let all = found(json!(null)).await.as_i64().unwrap();
    for spelling in ["ada@example.com", " Ada@Example.com "] {
        let count = found(json!(spelling)).await.as_i64().unwrap();
        assert!((1..all).contains(&count), "{spelling}: {count} of {all}");
    }
    assert_eq!(found(json!("admin@localhost")).await, 0, "mails to superusers show to superusers only");
    assert_eq!(found(json!("nobody@example.com")).await, 0);
    let listed = done(&place, &["mail", "list", "--to", "ADA@example.com"]);
    assert!(listed.contains("ada@example.com") && !listed.contains("admin@localhost"), "{listed}");
}
