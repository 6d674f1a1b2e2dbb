//! Lost connections to the database: notifications of other instances, and WebSocket connections meanwhile.

use std::sync::Arc;
use std::time::Duration;
use test_macros::{both_databases, postgres_only};

use sea_orm::{ConnectionTrait as _, DatabaseBackend, Statement};
use serde_json::json;
use vestibule::domain::auth::signing_keys::Start;
use vestibule::domain::operator::Operator;
use vestibule::error::Result;
use vestibule::worker;

use crate::relay::Relay;
use crate::signing_keys::kid;
use crate::socket::Socket;
use crate::test_app::{Person, TestApp};
use crate::test_database::Place;

/// Timeout of expected events, which normally take much less.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Lifetime of an access token: five minutes, and five seconds of clock skew.
const ACCEPTED: Duration = Duration::from_secs(305);

const LISTEN: &str = "subscription { onlineUsers { username } }";

/// Lets a user come online at an instance, which notifies the others.
async fn arrive(app: &TestApp, person: &Person) {
    let now = app.app.clock.now();
    app.app.presence.record_activity(person.id.parse().unwrap(), now.at);
    app.app.presence.publish(&app.app.db, &now).await.unwrap();
}

/// Waits for a notification of another instance. The worker's periodic publication does not run.
async fn hear(app: &TestApp) {
    tokio::time::timeout(TIMEOUT, app.app.presence.news()).await.expect("a notification arrives");
}

/// Ends the connections that listen for notifications, and returns their number.
async fn end_listening(app: &TestApp) -> usize {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN %'";
    app.db().query_all_raw(Statement::from_string(DatabaseBackend::Postgres, sql)).await.unwrap().len()
}

/// Checks the callers of all WebSocket connections once.
async fn check(app: &TestApp) -> Result<()> {
    app.app.live_connections.check(&app.app.db, &app.app.clock.now(), &app.app.ring()).await
}

#[postgres_only]
async fn notifications_arrive_again_after_their_connection_was_killed(place: Place) {
    let one = TestApp::start(&place).await;
    let two = one.start_second(&place).await;
    let (ada, bob) = (one.add_user("ada").await, one.add_user("bob").await);
    tokio::spawn(worker::listen(Arc::clone(&two.app)));
    // It may have missed earlier notifications.
    hear(&two).await;
    arrive(&one, &ada).await;
    hear(&two).await;
    assert_eq!(end_listening(&one).await, 1);
    // Nor does it know those that it missed meanwhile.
    hear(&two).await;
    arrive(&one, &bob).await;
    hear(&two).await;
}

#[postgres_only]
async fn listening_is_retried_until_the_server_is_back(place: Place) {
    let one = TestApp::start(&place).await;
    let ada = one.add_user("ada").await;
    let (mut relay, behind) = Relay::start(&place).await;
    let two = one.start_second(&behind).await;
    tokio::spawn(worker::listen(Arc::clone(&two.app)));
    hear(&two).await;
    relay.cut();
    relay.refusal().await;
    relay.restore();
    hear(&two).await;
    arrive(&one, &ada).await;
    hear(&two).await;
}

#[postgres_only]
async fn a_socket_whose_session_was_revoked_ends_once_the_database_is_back(place: Place) {
    let one = TestApp::start(&place).await;
    let (mut relay, behind) = Relay::start(&place).await;
    let two = one.start_second(&behind).await;
    two.start_worker();
    let boss = one.add_staff("boss").await.sign_in(&one).await;
    let mut revoked = Socket::sign_in(&two.url, &boss).await;
    revoked.subscribe("1", LISTEN).await;
    revoked.data("1").await;
    let mut kept = Socket::sign_in(&two.url, &one.admin().await).await;

    relay.cut();
    // The other instance still reaches the database.
    boss.data("mutation { logout { success } }", json!({})).await;
    relay.refusal().await;
    check(&two).await.unwrap_err();
    assert_eq!(two.app.live_connections.count(), 2, "nobody is signed out because the database is away");
    relay.restore();
    assert_eq!(revoked.closed().await, 4403);
    kept.subscribe("2", "{ me { username } }").await;
    assert_eq!(kept.data("2").await, json!({ "me": { "username": "admin" } }));
}

#[both_databases]
async fn a_socket_ends_with_its_key_or_token_while_the_database_is_away(place: Place) {
    let app = TestApp::start(&place).await;
    let elsewhere = app.start_second(&place).await;
    let (now, operator) = (app.app.clock.now(), Operator::new());
    let early = app.admin().await;
    let mut unsigned = Socket::sign_in(&app.url, &early).await;
    elsewhere.app.rotate_keys(&now, &operator, Start::AtOnce).await.unwrap();
    app.app.reload_keys(&now).await.unwrap();
    let mut expiring = Socket::sign_in(&app.url, &app.admin().await).await;
    elsewhere.app.revoke_key(&now, &operator, &kid(&early)).await.unwrap();
    app.app.reload_keys(&now).await.unwrap();

    app.app.db.clone().close().await.unwrap();
    check(&app).await.unwrap_err();
    assert_eq!(unsigned.closed().await, 4403);
    assert_eq!(app.app.live_connections.count(), 1);
    app.wait(ACCEPTED);
    // No connection is left to ask the database about.
    check(&app).await.unwrap();
    assert_eq!(expiring.closed().await, 4403);
}
