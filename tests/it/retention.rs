//! Retention: personal data is deleted in time, and nothing else.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_macros::both_databases;

use image::ImageFormat;
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait as _, EntityTrait as _, ExprTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::json;
use vestibule::domain::avatars;
use vestibule::entity::audit_event::Action;
use vestibule::entity::{audit_event, mail, one_time_token, pending_deletion, registration, session};
use vestibule::tools::mail::SendError;
use vestibule::worker;

use crate::avatars::{REMOVE, file, form, path, send, stored, upload};
use crate::parity::registration::{REGISTER, wanted};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const DAY: Duration = Duration::from_hours(24);

const REQUEST: &str = "mutation($e: String!) { requestReset(input: { email: $e }) { success } }";

async fn round(app: &TestApp) {
    worker::run_maintenance(&app.app).await.unwrap();
}

#[both_databases]
async fn expired_rows_are_deleted(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    ada.sign_in(&app).await;
    app.anyone().data(REQUEST, json!({ "e": ada.email })).await;
    app.anyone().data(REGISTER, wanted("eve@example.com")).await;
    app.mails().await;
    let counts = async || {
        [
            one_time_token::Entity::find().count(app.db()).await.unwrap(),
            registration::Entity::find().count(app.db()).await.unwrap(),
            session::Entity::find().count(app.db()).await.unwrap(),
        ]
    };
    round(&app).await;
    // The sessions of the superuser, who created the account, and of the user.
    assert_eq!(counts().await, [1, 1, 2]);
    app.wait(Duration::from_mins(61));
    round(&app).await;
    assert_eq!(counts().await, [0, 1, 2]);
    app.wait(DAY);
    round(&app).await;
    assert_eq!(counts().await, [0, 0, 2]);
    app.wait(30 * DAY);
    round(&app).await;
    assert_eq!(counts().await, [0, 0, 0]);
}

#[both_databases]
async fn the_trail_keeps_events_without_personal_data(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    ada.sign_in(&app).await;
    let events = async || audit_event::Entity::find().count(app.db()).await.unwrap();
    let known = async || {
        let with = audit_event::Column::Ip.is_not_null().or(audit_event::Column::UserAgent.is_not_null());
        audit_event::Entity::find().filter(with).count(app.db()).await.unwrap()
    };
    let before = events().await;
    // The superuser was created without a client.
    assert_eq!(known().await, before - 1);
    app.wait(179 * DAY);
    round(&app).await;
    assert_eq!(known().await, before - 1);
    ada.sign_in(&app).await;
    app.wait(2 * DAY);
    round(&app).await;
    assert_eq!((events().await, known().await), (before + 1, 1), "the young one keeps it");

    let short = app.start_second_with(&place, |config| config.retention.keep_clients = DAY).await;
    round(&short).await;
    assert_eq!((events().await, known().await), (before + 1, 0));
}

#[both_databases]
async fn a_long_trail_forgets_in_steps(place: Place) {
    let statements = Arc::new(Mutex::new(Vec::new()));
    let app = TestApp::start_recording(&place, Arc::clone(&statements)).await;
    let now = app.app.clock.now();
    for _ in 0..5 {
        let rows = (0..500).map(|_| audit_event::ActiveModel {
            id: Set(now.id()),
            action: Set(Action::Login),
            actor_id: Set(None),
            target_id: Set(None),
            ip: Set(Some("192.0.2.7".to_owned())),
            user_agent: Set(None),
            created_at: Set(now.at),
            reason: Set(None),
            changes: Set(None),
        });
        audit_event::Entity::insert_many(rows).exec_without_returning(app.db()).await.unwrap();
    }
    app.wait(181 * DAY);
    statements.lock().unwrap().clear();
    round(&app).await;
    let known = audit_event::Entity::find().filter(audit_event::Column::Ip.is_not_null());
    assert_eq!(known.count(app.db()).await.unwrap(), 0);
    let recorded = std::mem::take(&mut *statements.lock().unwrap());
    let steps = recorded.iter().filter(|statement| statement.sql.starts_with("UPDATE \"audit_events\""));
    assert_eq!(steps.count(), 3, "a thousand at a time");
}

#[both_databases]
async fn mails_that_were_sent_are_forgotten(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    app.transport().fail_next(1, &SendError::permanent("550 no"));
    app.anyone().data(REQUEST, json!({ "e": ada.email })).await;
    app.mails().await;
    app.anyone().data(REQUEST, json!({ "e": ada.email })).await;
    app.mails().await;
    let rows = async || mail::Entity::find().count(app.db()).await.unwrap();
    assert_eq!(rows().await, 3, "a welcome, a failed one and one that was sent");
    app.wait(89 * DAY);
    round(&app).await;
    assert_eq!(rows().await, 3);
    let set = "mutation($id: ID!) { setUserPassword(input: { id: $id, password: \"quite a new phrase\" }) { errors { code } } }";
    assert_eq!(app.admin().await.refusals(set, json!({ "id": ada.id })).await, [""; 0]);
    app.wait(2 * DAY);
    round(&app).await;
    assert_eq!(rows().await, 1, "what waits is never swept away");
    app.wait(100 * DAY);
    round(&app).await;
    assert_eq!(app.mails().await.len(), 1);
    round(&app).await;
    assert_eq!(rows().await, 0);
}

#[both_databases]
async fn an_address_that_nobody_confirmed_is_forgotten(place: Place) {
    let app = TestApp::start(&place).await;
    let update = "mutation($e: String!, $p: String!) { updateMe(input: { email: $e, currentPassword: $p }) { errors { code } } }";
    let pending = "{ me { email pendingEmail } }";
    let ada = app.add_user("ada").await;
    let mut client = ada.sign_in(&app).await;
    client.data(update, json!({ "e": "countess@example.com", "p": PASSWORD })).await;
    app.mails().await;
    app.wait(Duration::from_hours(23));
    round(&app).await;
    client.refresh().await.unwrap();
    assert_eq!(client.data(pending, json!({})).await["me"]["pendingEmail"], "countess@example.com");
    app.wait(Duration::from_hours(1));
    round(&app).await;
    client.refresh().await.unwrap();
    let me = json!({ "email": "ada@example.com", "pendingEmail": null });
    assert_eq!(client.data(pending, json!({})).await["me"], me);
    assert_eq!(one_time_token::Entity::find().count(app.db()).await.unwrap(), 0);
}

async fn leftovers(app: &TestApp) -> u64 {
    pending_deletion::Entity::find().count(app.db()).await.unwrap()
}

#[both_databases]
async fn files_that_a_store_would_not_let_go_are_deleted_later(place: Place) {
    let app = TestApp::start(&place).await;
    let people = [app.add_user("ada").await, app.add_user("bob").await];
    let picture = file(80, 80, ImageFormat::Png);
    let (media, away) = (place.folder.join("media/avatars"), place.folder.join("media/away"));
    for (person, leave) in people.iter().zip([
        REMOVE,
        "mutation { deleteMe(input: { currentPassword: \"another long phrase, theirs\" }) { errors { code } } }",
    ]) {
        let client = person.sign_in(&app).await;
        upload(&client, picture.clone()).await;
        // A file in place of the folder makes every deletion fail.
        std::fs::rename(&media, &away).unwrap();
        std::fs::write(&media, "a file where the folder should be").unwrap();
        assert_eq!(client.refusals(leave, json!({})).await, [""; 0], "what was asked for is done all the same");
        assert_eq!(leftovers(&app).await, 1);
        assert!(avatars::sweep(&app.app.db, &app.app.clock.now(), &app.app.media).await.is_err());
        std::fs::remove_file(&media).unwrap();
        std::fs::rename(&away, &media).unwrap();
        assert_eq!(stored(&place).len(), 2);
        round(&app).await;
        assert_eq!((stored(&place).len(), leftovers(&app).await), (0, 0));
    }
}

#[both_databases]
async fn files_of_an_upload_that_broke_off_are_deleted(place: Place) {
    use sea_orm::ConnectionTrait as _;
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    // As if the process had died between deleting files and the row: the row cannot be written, nor the files deleted.
    app.db().execute_unprepared("ALTER TABLE audit_events RENAME TO elsewhere").await.unwrap();
    assert_eq!(send(&ada, form(file(80, 80, ImageFormat::Png))).await.code(), "INTERNAL_SERVER_ERROR");
    app.db().execute_unprepared("ALTER TABLE elsewhere RENAME TO audit_events").await.unwrap();
    assert_eq!((stored(&place).len(), leftovers(&app).await), (0, 0), "this one could be cleared up at once");

    let name = format!("{}-80.jpg", "0a".repeat(32));
    for side in [64, 80] {
        std::fs::write(place.folder.join(format!("media/avatars/{}-{side}.jpg", "0a".repeat(32))), "x").unwrap();
    }
    let due_at = app.clock_now().plus(Duration::from_hours(1));
    let row = pending_deletion::ActiveModel { name: sea_orm::Set(name), due_at: sea_orm::Set(due_at) };
    pending_deletion::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    round(&app).await;
    assert_eq!(stored(&place).len(), 2, "an upload may still be under way");
    app.wait(Duration::from_hours(1));
    round(&app).await;
    assert_eq!((stored(&place).len(), leftovers(&app).await), (0, 0));
}

#[both_databases]
async fn a_picture_in_use_is_never_swept_away(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let mut last = String::new();
    for side in [80, 90, 100] {
        let payload = upload(&ada, file(side, side, ImageFormat::Png)).await;
        last = path(&app, &payload["user"]["avatarUrl"]);
        assert_eq!((stored(&place).len(), leftovers(&app).await), (2, 0));
    }
    app.wait(2 * DAY);
    round(&app).await;
    assert_eq!(stored(&place).len(), 2);
    assert_eq!(app.anyone().request("GET", &last).send().await.unwrap().status(), 200);
}
