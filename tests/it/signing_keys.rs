//! Signing keys: published before use, rotated with overlap, revoked immediately.

use std::time::Duration;
use test_macros::both_databases;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use vestibule::domain::auth::signing_keys::{CACHE, NOTICE, RELOAD, Start};
use vestibule::domain::operator::Operator;
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::signing_key;
use vestibule::error::{Code, Error};

use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

const ME: &str = "{ me { id } }";
const TTL: Duration = Duration::from_mins(5);

/// Id of the key that signed a client's access token.
pub(crate) fn kid(client: &Client) -> String {
    let header = client.access.as_deref().unwrap().split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// Ids of the keys published by an instance.
async fn published(app: &TestApp) -> Vec<String> {
    let answer = app.anyone().get("/.well-known/jwks.json").await;
    assert_eq!(answer.header("cache-control"), format!("public, max-age={}", CACHE.as_secs()));
    let keys = answer.body["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn rotate(app: &TestApp, start: Start) -> String {
    app.app.rotate_keys(&app.app.clock.now(), &Operator::new(), start).await.unwrap().kid
}

async fn revoke(app: &TestApp, kid: &str) -> String {
    app.app.revoke_key(&app.app.clock.now(), &Operator::new(), kid).await.unwrap()
}

/// Advances the clock, and lets both instances reload the keys like their workers.
async fn wait(apps: [&TestApp; 2], span: Duration) {
    apps[0].wait(span);
    for app in apps {
        app.app.reload_keys(&app.app.clock.now()).await.unwrap();
    }
}

#[both_databases]
async fn a_new_key_is_published_before_it_signs(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let ada = app.add_user("ada").await;
    let early = ada.sign_in(&app).await;
    let old = kid(&early);
    assert_eq!(published(&app).await, [old.as_str()]);

    assert!(
        NOTICE >= RELOAD + CACHE,
        "whoever fetched the set just before an instance reloaded has it for long enough"
    );
    // Keys of the same millisecond have no order.
    app.wait(Duration::from_secs(1));
    let new = rotate(&app, Start::Announced).await;
    assert_eq!(published(&app).await, [new.as_str(), &old]);
    assert_eq!(kid(&ada.sign_in(&app).await), old);
    wait([&app, &second], RELOAD).await;
    assert_eq!(published(&second).await, [new.as_str(), &old], "the other instance publishes it, too");
    wait([&app, &second], NOTICE.saturating_sub(RELOAD + Duration::from_secs(1))).await;
    let last = ada.sign_in(&second).await;
    assert_eq!(kid(&last), old, "not a second earlier");
    wait([&app, &second], Duration::from_secs(1)).await;
    for instance in [&app, &second] {
        assert_eq!(kid(&ada.sign_in(instance).await), new);
    }
    last.data(ME, json!({})).await;
    assert_eq!(
        app.anyone().with_token(early.access.clone().unwrap()).code(ME, json!({})).await,
        "UNAUTHENTICATED EXPIRED"
    );
    wait([&app, &second], TTL + NOTICE).await;
    assert_eq!(published(&second).await, [new]);
}

#[both_databases]
async fn a_key_signs_at_once_where_that_was_asked_for(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let before = ada.sign_in(&app).await;
    let announced = rotate(&app, Start::Announced).await;
    let new = rotate(&app, Start::AtOnce).await;
    assert_ne!(new, announced);
    assert_eq!(kid(&ada.sign_in(&app).await), new);
    before.data(ME, json!({})).await;
    app.wait(NOTICE);
    app.app.reload_keys(&app.app.clock.now()).await.unwrap();
    assert_eq!(kid(&ada.sign_in(&app).await), new, "the one that was announced never signs");
    app.wait(TTL);
    app.app.reload_keys(&app.app.clock.now()).await.unwrap();
    assert_eq!(published(&app).await, [new]);
}

#[both_databases]
async fn concurrent_rotations_create_one_key(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let rotations = [&app, &second, &app, &second].map(|app| rotate(app, Start::Announced));
    let keys = futures_util::future::join_all(rotations).await;
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(signing_key::Entity::find().count(app.db()).await.unwrap(), 2);
    wait([&app, &second], NOTICE).await;
    assert_ne!(rotate(&app, Start::Announced).await, keys[0], "it signs by now, so that the next is another");
}

#[both_databases]
async fn a_clock_that_is_set_back_silences_no_key_and_revives_none(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let ada = app.add_user("ada").await;
    let first = kid(&ada.sign_in(&app).await);
    let leaked = rotate(&app, Start::Announced).await;
    wait([&app, &second], NOTICE).await;
    let new = rotate(&app, Start::AtOnce).await;
    app.clock.step_back(Duration::from_hours(48));
    wait([&app, &second], Duration::ZERO).await;
    for instance in [&app, &second] {
        let client = ada.sign_in(instance).await;
        assert_eq!(kid(&client), new);
        client.data(ME, json!({})).await;
    }
    // After a rotation at an earlier time, no older key remains valid longer than the later key.
    rotate(&app, Start::Announced).await;
    wait([&app, &second], NOTICE + TTL + NOTICE).await;
    let left = published(&second).await;
    assert!(left.len() == 1 && ![first, leaked, new].contains(&left[0]), "{left:?}");
}

#[both_databases]
async fn a_revoked_key_ends_at_once_and_another_signs(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let leaked = kid(&client);
    let new = revoke(&app, &leaked).await;
    assert_eq!(published(&app).await, [new.as_str()]);
    assert_eq!(client.code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    // The other instance agrees after reloading, at most ten seconds later.
    assert!(RELOAD <= Duration::from_secs(10));
    let elsewhere = second.anyone().with_token(client.access.clone().unwrap());
    elsewhere.data(ME, json!({})).await;
    wait([&app, &second], RELOAD).await;
    assert_eq!(elsewhere.code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    client.refresh().await.unwrap();
    assert_eq!(kid(&client), new);
    client.data(ME, json!({})).await;

    // A published successor becomes the signing key.
    let next = rotate(&app, Start::Announced).await;
    assert_eq!(revoke(&app, &new).await, next);
    client.refresh().await.unwrap();
    assert_eq!(kid(&client), next);
    assert_eq!(signing_key::Entity::find().count(app.db()).await.unwrap(), 1);
}

#[both_databases]
async fn revoking_a_published_key_calls_its_rotation_off(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let ada = app.add_user("ada").await;
    let old = kid(&ada.sign_in(&app).await);
    let new = rotate(&app, Start::Announced).await;
    assert_eq!(revoke(&app, &new).await, old);
    wait([&app, &second], NOTICE + TTL + NOTICE).await;
    assert_eq!(kid(&ada.sign_in(&second).await), old, "it goes on as if nothing had been");
    // A key that only verifies is removed without further changes.
    let next = rotate(&app, Start::AtOnce).await;
    assert_eq!(revoke(&app, &old).await, next);
    assert_eq!(published(&app).await, [next]);
}

#[both_databases]
async fn a_key_that_is_not_there_cannot_be_revoked(place: Place) {
    let app = TestApp::start(&place).await;
    let refused = app.app.revoke_key(&app.app.clock.now(), &Operator::new(), "none").await.unwrap_err();
    assert!(matches!(&refused, Error::Refused(refusals) if refusals[0].code == Code::NotFound), "{refused:?}");
    assert_eq!(signing_key::Entity::find().count(app.db()).await.unwrap(), 1);
}

#[both_databases]
async fn operations_on_keys_by_the_operator_are_audited(place: Place) {
    let app = TestApp::start(&place).await;
    let key = rotate(&app, Start::AtOnce).await;
    revoke(&app, &key).await;
    app.app.reseal(&app.app.clock.now(), &Operator::new()).await.unwrap();
    for action in [Action::SigningKeyRotated, Action::SigningKeyRevoked, Action::SecretsResealed] {
        let events = audit_event::Entity::find().filter(audit_event::Column::Action.eq(action)).all(app.db()).await;
        let events = events.unwrap();
        assert!(events.len() == 1 && events[0].actor_id.is_none(), "{events:?}");
        assert_eq!(events[0].user_agent.as_deref(), Some("command line"));
    }
    let admin = app.admin().await;
    let listed = admin.data("{ auditEvents(filter: { action: SIGNING_KEY_REVOKED }) { nodes { action } } }", json!({}));
    assert_eq!(listed.await["auditEvents"]["nodes"][0]["action"], "SIGNING_KEY_REVOKED");
}
