//! Failures of dependencies, and the errors reported for them. `tests/faults` breaks real processes.

use std::time::Duration;
use test_macros::{both_databases, postgres_only, sqlite_only};

use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, EntityTrait as _, PaginatorTrait as _, Statement};
use serde_json::json;
use vestibule::entity::user;

use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

const ME: &str = "{ me { id } }";
const RENAME: &str =
    "mutation($name: String!) { updateMe(input: { firstName: $name }) { user { id } errors { code } } }";
const CREATE: &str =
    "mutation($email: String!) { createUser(input: { email: $email }) { user { id } errors { code } } }";

async fn rename(client: &Client) -> Option<String> {
    let answer = client.send(RENAME, json!({ "name": "Ada" })).await;
    (!answer.body["errors"].is_null()).then(|| answer.code())
}

/// Another program that locks the rows required by every change of a user, until it is released.
async fn hold(place: &Place) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(&place.database_url);
    options.max_connections(1);
    let other = Database::connect(options).await.unwrap();
    let is_sqlite = other.get_database_backend() == sea_orm::DatabaseBackend::Sqlite;
    let lock = if is_sqlite { "BEGIN IMMEDIATE" } else { "BEGIN; LOCK TABLE users IN EXCLUSIVE MODE" };
    other.execute_unprepared(lock).await.unwrap();
    other
}

#[both_databases]
async fn a_write_that_another_program_holds_up_is_to_be_tried_again(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    ada.data(ME, json!({})).await;
    let other = hold(&place).await;
    // The first use of a token would be recorded; reading does not wait for that.
    let (renamed, me) = tokio::join!(rename(&ada), ada.send(ME, json!({})));
    assert_eq!(renamed.as_deref(), Some("SERVICE_UNAVAILABLE"));
    assert!(me.body["errors"].is_null(), "{}", me.body);
    other.execute_unprepared("ROLLBACK").await.unwrap();
    assert_eq!(rename(&ada).await, None);
}

#[postgres_only]
async fn a_statement_whose_connection_is_cut_is_to_be_tried_again(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let other = hold(&place).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let cut = Statement::from_string(sea_orm::DatabaseBackend::Postgres, cut);
    let cutting = async {
        for _ in 0..1000 {
            if !other.query_all_raw(cut.clone()).await.unwrap().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no statement waits for the lock");
    };
    let (renamed, ()) = tokio::join!(rename(&ada), cutting);
    assert_eq!(renamed.as_deref(), Some("SERVICE_UNAVAILABLE"));
    other.execute_unprepared("ROLLBACK").await.unwrap();
    assert_eq!(rename(&ada).await, None);
}

#[both_databases]
async fn a_resolver_that_panics_harms_nobody_else(place: Place) {
    let app = TestApp::start_panicking(&place, "strike@example.com").await;
    let admin = app.admin().await;
    let before = user::Entity::find().count(app.db()).await.unwrap();
    // More often than there are database connections, inside and outside of transactions.
    for _ in 0..15 {
        assert_eq!(admin.code(CREATE, json!({ "email": "strike@example.com" })).await, "INTERNAL_SERVER_ERROR");
        let login =
            "mutation { login(input: { identifier: \"strike@example.com\", password: \"x\" }) { errors { code } } }";
        let answer = app.anyone().send(login, json!({})).await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "INTERNAL_SERVER_ERROR"));
        assert!(!answer.body.to_string().contains("ordered"), "{}", answer.body);
    }
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), before);
    admin.data(CREATE, json!({ "email": "ada@example.com" })).await;
    admin.data(ME, json!({})).await;
}

#[sqlite_only]
async fn after_a_full_disk_nothing_is_acknowledged_that_is_not_kept(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    admin.data(CREATE, json!({ "email": "ada@example.com" })).await;
    let create = async |email: &str| admin.send(CREATE, json!({ "email": email })).await;
    // No page can be added, as on a full disk.
    app.db().execute_unprepared("PRAGMA max_page_count = 1").await.unwrap();
    let mut kept = 0;
    let mut number = 0;
    loop {
        let answer = create(&format!("user{number}@example.com")).await;
        number += 1;
        if !answer.body["errors"].is_null() {
            assert_eq!(answer.code(), "SERVICE_UNAVAILABLE");
            break;
        }
        kept += 1;
        assert!(number < 1000, "there is room without end");
    }
    app.db().execute_unprepared("PRAGMA max_page_count = 1000000").await.unwrap();
    // Rolled back, like all refused operations.
    assert_eq!(create("ada@example.com").await.body["data"]["createUser"]["errors"][0]["code"], "ALREADY_EXISTS");
    for email in ["bob@example.com", "cy@example.com"] {
        assert!(create(email).await.body["data"]["createUser"]["user"].is_object());
        kept += 1;
    }
    let other = Database::connect(&place.database_url).await.unwrap();
    let there = user::Entity::find().count(&other).await.unwrap();
    assert_eq!(there, kept + 2, "with the superuser and Ada");
}
