//! Presence subscription: protocol, rights, duration, and results.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use test_macros::{both_databases, postgres_only};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use vestibule::domain::operator::Operator;
use vestibule::http;

use crate::socket::Socket;
use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

const LISTEN: &str = "subscription { onlineUsers { username isOnline } }";

const TOGGLE_STAFF: &str = "mutation($id: ID!) { toggleStaff(input: { id: $id, isStaff: false }) { errors { code } } }";

const TOGGLE_ACTIVE: &str =
    "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: false }) { errors { code } } }";

/// Names in a result, sorted.
fn names(data: &Value) -> Vec<String> {
    let users = data["onlineUsers"].as_array().unwrap_or_else(|| panic!("{data}"));
    assert!(users.iter().all(|user| user["isOnline"] == true), "{data}");
    let mut names: Vec<String> = users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

async fn be_seen(client: &Client) {
    client.data("{ me { id } }", json!({})).await;
}

#[both_databases]
async fn the_protocol_is_served_and_violations_close_the_connection(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let open = async || Socket::open(&app.url).await;

    let mut socket = open().await;
    socket.say(json!({ "type": "ping", "payload": { "a": 1 } })).await;
    assert_eq!(socket.hear().await, json!({ "type": "pong", "payload": { "a": 1 } }), "before the ack, too");
    socket.say(json!({ "type": "pong" })).await;
    socket.say(json!({ "type": "connection_init", "payload": { "token": admin.access } })).await;
    assert_eq!(socket.hear().await, json!({ "type": "connection_ack" }));
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await, json!({ "type": "pong" }));
    socket.say(json!({ "type": "complete", "id": "never begun" })).await;
    socket.say(json!({ "type": "connection_init", "payload": { "token": admin.access } })).await;
    assert_eq!(socket.closed().await, 4429);

    for frame in [
        Message::text("no JSON"),
        Message::text(json!({ "type": "start", "id": "1", "payload": { "query": "{ __typename }" } }).to_string()),
        Message::binary("{\"type\":\"ping\"}"),
    ] {
        let mut socket = open().await;
        socket.send(frame).await;
        assert_eq!(socket.closed().await, 4400);
    }

    let mut socket = open().await;
    socket.send(Message::text("x".repeat(17 * 1024))).await;
    assert_eq!(socket.closed().await, 1009);

    let mut socket = open().await;
    socket.subscribe("1", LISTEN).await;
    assert_eq!(socket.closed().await, 4401);

    for payload in [json!(null), json!({}), json!({ "token": "nonsense" }), json!({ "Authorization": "Bearer x.y.z" })]
    {
        let mut socket = open().await;
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.closed().await, 4403);
    }

    let mut socket = Socket::sign_in(&app.url, &admin).await;
    socket.subscribe("1", LISTEN).await;
    socket.data("1").await;
    socket.subscribe("1", LISTEN).await;
    assert_eq!(socket.closed().await, 4409);
}

#[both_databases]
async fn a_connection_without_timely_authentication_is_closed(place: Place) {
    let app = TestApp::start(&place).await;
    let mut socket = Socket::open(&app.url).await;
    assert_eq!(socket.closed().await, 4408);
}

#[both_databases]
async fn only_that_protocol_is_spoken_and_pages_of_other_origins_may_not_call(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.allowed_origins = vec!["https://app.example".parse().unwrap()];
    })
    .await;
    let ours = ("sec-websocket-protocol", "graphql-transport-ws");
    let open = async |headers: &[(&'static str, &str)]| Socket::open_with(&app.url, headers).await.err();
    assert_eq!(open(&[]).await, Some((400, "BAD_REQUEST".to_owned())));
    assert_eq!(open(&[("sec-websocket-protocol", "graphql-ws")]).await, Some((400, "BAD_REQUEST".to_owned())));
    assert_eq!(open(&[ours]).await, None);
    assert_eq!(open(&[("sec-websocket-protocol", "graphql-ws, graphql-transport-ws")]).await, None);
    assert_eq!(open(&[ours, ("origin", &app.url)]).await, None);
    assert_eq!(open(&[ours, ("origin", "https://app.example")]).await, None);
    for origin in ["https://evil.example", "null", "https://app.example.evil.example", ""] {
        assert_eq!(open(&[ours, ("origin", origin)]).await, Some((403, "FORBIDDEN".to_owned())), "{origin}");
    }
    let half = app.anyone().request("GET", "/graphql").header("upgrade", "websocket");
    let half = app.anyone().finish(half).await;
    assert_eq!((half.status, half.code().as_str()), (400, "BAD_REQUEST"));
}

#[both_databases]
async fn there_may_be_so_many_connections_and_no_more(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        (config.sockets.sockets, config.sockets.sockets_per_client) = (3, 2);
    })
    .await;
    let open = async |address: &str| {
        let headers = [("sec-websocket-protocol", "graphql-transport-ws"), ("x-forwarded-for", address)];
        Socket::open_with(&app.url, &headers).await
    };
    let mut one = open("198.51.100.7").await.ok().unwrap();
    let _two = open("198.51.100.7").await.ok().unwrap();
    assert_eq!(open("198.51.100.7").await.err(), Some((429, "RATE_LIMITED".to_owned())));
    let _three = open("198.51.100.8").await.ok().unwrap();
    assert_eq!(open("198.51.100.9").await.err(), Some((503, "SERVICE_UNAVAILABLE".to_owned())));

    one.send(Message::text("no JSON")).await;
    assert_eq!(one.closed().await, 4400);
    drop(one);
    // The place is free as soon as the service notices that the client has disconnected.
    while open("198.51.100.9").await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[both_databases]
async fn queries_are_answered_and_mutations_refused(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let mut socket = Socket::sign_in(&app.url, &ada).await;
    let query = json!({ "query": "query A($yes: Boolean!) { me { username @include(if: $yes) } }",
        "operationName": "A", "variables": { "yes": true } });
    socket.say(json!({ "type": "subscribe", "id": "q", "payload": query })).await;
    assert_eq!(socket.data("q").await, json!({ "me": { "username": "ada" } }));
    assert_eq!(socket.hear().await, json!({ "type": "complete", "id": "q" }));

    // Errors during execution are a result; the id is free again after an operation.
    socket.subscribe("q", "{ onlineUsers { id } onlineCount }").await;
    let message = socket.hear().await;
    assert_eq!(
        message["payload"]["data"],
        json!({ "onlineUsers": null, "onlineCount": 1 }),
        "superusers count for superusers only: {message}"
    );
    assert_eq!(message["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN");
    assert_eq!(socket.hear().await["type"], "complete");

    socket.subscribe("m", "mutation { logout { success } }").await;
    assert_eq!(socket.refusal("m").await, "BAD_REQUEST");
    be_seen(&ada).await;
}

#[both_databases]
async fn nothing_is_executed_that_would_be_refused_over_http(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let mut socket = Socket::sign_in(&app.url, &ada).await;
    for (document, code) in [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { onlineUsers { id } more: onlineUsers { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription A { onlineUsers { id } } subscription B { onlineUsers { id } }", "OPERATION_RESOLUTION_FAILURE"),
        ("subscription { onlineUsers { recentSamples(first: 200) { id } } }", "QUERY_TOO_COMPLEX"),
        ("{ ...f } fragment f on Query { ...f }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($x: NoSuch = {a: 1}) { __typename }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($id: ID!) { user(id: $id) { id } }", "BAD_USER_INPUT"),
        ("{ user(id: \"\\u0000\") { id } }", "BAD_REQUEST"),
        (LISTEN, "FORBIDDEN"),
    ] {
        socket.subscribe("1", document).await;
        assert_eq!(socket.refusal("1").await, code, "{document}");
    }
    // The same over HTTP, where subscriptions are not served.
    assert_eq!(app.admin().await.code(LISTEN, json!({})).await, "BAD_REQUEST");
}

#[both_databases]
async fn a_good_bye_is_answered(place: Place) {
    let app = TestApp::start(&place).await;
    assert_eq!(Socket::open(&app.url).await.leave().await, 1000);
    let mut socket = Socket::sign_in(&app.url, &app.admin().await).await;
    socket.subscribe("1", LISTEN).await;
    socket.data("1").await;
    assert_eq!(socket.leave().await, 1000);
}

#[both_databases]
async fn a_subscription_may_select_its_field_in_fragments(place: Place) {
    let app = TestApp::start(&place).await;
    let mut socket = Socket::sign_in(&app.url, &app.admin().await).await;
    for (id, document) in [
        ("1", "subscription { ...Online } fragment Online on Subscription { onlineUsers { username } }"),
        ("2", "subscription { ... { ... on Subscription @include(if: true) { onlineUsers { username } } } }"),
        (
            "3",
            "subscription { ...A @skip(if: false) } fragment A on Subscription { ...B }
             fragment B on Subscription { onlineUsers { ...User } } fragment User on User { username }",
        ),
        ("4", "subscription { onlineUsers { username email @skip(if: true) ... @include(if: false) { id } } }"),
    ] {
        socket.subscribe(id, document).await;
        assert_eq!(socket.data(id).await, json!({ "onlineUsers": [{ "username": "admin" }] }), "{document}");
    }
    socket.subscribe("5", "subscription { onlineUsers { ... @include(if: false) { id } } }").await;
    assert_eq!(socket.data("5").await, json!({ "onlineUsers": [{}] }));
    for document in [
        "subscription { ...Query } fragment Query on Query { me { id } }",
        "subscription { ...Online } fragment Online on Subscription { onlineUsers { id } } fragment Unused on User { id }",
    ] {
        socket.subscribe("6", document).await;
        assert_eq!(socket.refusal("6").await, "GRAPHQL_VALIDATION_FAILED", "{document}");
    }
}

#[both_databases]
async fn a_connection_has_a_limit_of_operations_and_ends_them_on_request(place: Place) {
    let app = TestApp::start(&place).await;
    let mut socket = Socket::sign_in(&app.url, &app.admin().await).await;
    for number in 0..10 {
        let id = number.to_string();
        socket.subscribe(&id, LISTEN).await;
        assert_eq!(names(&socket.data(&id).await), ["admin"]);
    }
    socket.subscribe("one more", LISTEN).await;
    assert_eq!(socket.refusal("one more").await, "BAD_REQUEST");
    for number in 0..10 {
        socket.say(json!({ "type": "complete", "id": number.to_string() })).await;
    }
    // Later messages are handled after them.
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await["type"], "pong");
    let ada = app.add_user("ada").await.sign_in(&app).await;
    be_seen(&ada).await;
    app.app.presence.publish(&app.app.db, &app.app.clock.now()).await.unwrap();
    socket.subscribe("0", LISTEN).await;
    assert_eq!(names(&socket.data("0").await), ["ada", "admin"], "the others heard nothing of it");
}

#[both_databases]
async fn staff_receive_users_who_come_and_go(place: Place) {
    let app = TestApp::start(&place).await;
    app.start_worker();
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let mut socket = Socket::sign_in(&app.url, &boss).await;
    socket.subscribe("1", LISTEN).await;
    assert_eq!(names(&socket.data("1").await), ["boss"]);
    be_seen(&ada).await;
    assert_eq!(names(&socket.data("1").await), ["ada", "boss"]);

    app.wait(Duration::from_secs(4 * 60));
    be_seen(&boss).await;
    app.wait(Duration::from_secs(60));
    app.app.presence.publish(&app.app.db, &app.app.clock.now()).await.unwrap();
    assert_eq!(names(&socket.data("1").await), ["boss"]);
    be_seen(&ada).await;
    assert_eq!(names(&socket.data("1").await), ["ada", "boss"]);
}

#[both_databases]
async fn superusers_show_to_superusers_only(place: Place) {
    let app = TestApp::start(&place).await;
    app.start_worker();
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let admin = app.admin().await;
    be_seen(&admin).await;
    let mut staff = Socket::sign_in(&app.url, &boss).await;
    staff.subscribe("1", LISTEN).await;
    assert_eq!(names(&staff.data("1").await), ["boss"]);
    let mut superuser = Socket::sign_in(&app.url, &admin).await;
    superuser.subscribe("1", LISTEN).await;
    assert_eq!(names(&superuser.data("1").await), ["admin", "boss"]);
    let ada = app.add_user("ada").await.sign_in(&app).await;
    be_seen(&ada).await;
    assert_eq!(names(&staff.data("1").await), ["ada", "boss"]);
    assert_eq!(names(&superuser.data("1").await), ["ada", "admin", "boss"]);
    let listed = boss.data("{ onlineUsers { username isOnline } }", json!({})).await;
    assert_eq!(names(&listed), ["ada", "boss"]);
    for (client, count) in [(&ada, 2), (&boss, 2), (&admin, 3)] {
        assert_eq!(client.data("{ onlineCount }", json!({})).await["onlineCount"], count);
    }
}

/// Lifetime of an access token: five minutes, and five seconds of clock skew.
const ACCEPTED: Duration = Duration::from_secs(305);

async fn check(app: &TestApp) {
    app.app.live_connections.check(&app.app.db, &app.app.clock.now(), &app.app.ring()).await.unwrap();
}

#[both_databases]
async fn a_connection_ends_with_its_access_token(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let mut listening = Socket::sign_in(&app.url, &admin).await;
    listening.subscribe("1", LISTEN).await;
    listening.data("1").await;
    let mut asking = Socket::sign_in(&app.url, &admin).await;
    app.wait(Duration::from_millis(304_999));
    check(&app).await;
    assert_eq!(app.app.live_connections.count(), 2);
    asking.subscribe("1", "{ me { username } }").await;
    assert_eq!(asking.data("1").await, json!({ "me": { "username": "admin" } }));
    assert_eq!(asking.hear().await["type"], "complete");

    app.wait(Duration::from_millis(1));
    assert_eq!(admin.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED EXPIRED");
    // An operation does not wait for the next check.
    asking.subscribe("2", "{ me { username } }").await;
    assert_eq!(asking.closed().await, 4403);
    check(&app).await;
    assert_eq!(listening.closed().await, 4403);
}

#[both_databases]
async fn a_connection_ends_with_its_access_token_though_the_session_was_refreshed(place: Place) {
    let app = TestApp::start(&place).await;
    app.start_worker();
    let mut admin = app.admin().await;
    let mut socket = Socket::sign_in(&app.url, &admin).await;
    app.wait(Duration::from_mins(4));
    admin.refresh().await.unwrap();
    app.wait(Duration::from_mins(2));
    assert_eq!(socket.closed().await, 4403);
    be_seen(&admin).await;
}

fn ping(token: &str) -> Value {
    json!({ "type": "ping", "payload": { "Authorization": format!("Bearer {token}") } })
}

#[both_databases]
async fn a_newer_access_token_in_a_ping_prolongs_a_connection(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let mut client = boss.sign_in(&app).await;
    let mut socket = Socket::sign_in(&app.url, &client).await;
    app.wait(Duration::from_mins(4));
    // An access token in the request would count as activity.
    client.access = None;
    client.refresh().await.unwrap();
    socket.say(ping(client.access.as_deref().unwrap())).await;
    let prolonged = json!({ "type": "pong", "payload": { "expiresAt": "2026-01-05T09:09:05.000Z" } });
    assert_eq!(socket.hear().await, prolonged);
    app.wait(Duration::from_mins(2));
    check(&app).await;
    assert_eq!(app.app.live_connections.count(), 1);
    let online = app.admin().await.data("{ onlineUsers { username isOnline } }", json!({})).await;
    assert_eq!(names(&online), ["admin"], "a ping is sent by the client and not by its user");
    socket.subscribe("1", LISTEN).await;
    assert_eq!(names(&socket.data("1").await), ["boss"]);

    // It counts as used, so the token that it replaced is not exchanged again.
    app.wait(Duration::from_mins(3));
    client.refresh().await.unwrap();
    socket.say(json!({ "type": "ping", "payload": { "token": client.access } })).await;
    assert_eq!(socket.hear().await["payload"]["expiresAt"], "2026-01-05T09:14:05.000Z");
    app.wait(ACCEPTED);
    check(&app).await;
    assert_eq!(socket.closed().await, 4403);
}

#[both_databases]
async fn a_token_in_a_ping_counts_as_used(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let mut thief = client.clone();
    let mut socket = Socket::sign_in(&app.url, &client).await;
    client.refresh().await.unwrap();
    socket.say(ping(client.access.as_deref().unwrap())).await;
    assert_eq!(socket.hear().await["type"], "pong");
    app.wait(Duration::from_secs(11));
    assert_eq!(thief.refresh().await, Err("INVALID_TOKEN".to_owned()));
}

#[both_databases]
async fn no_other_token_in_a_ping_prolongs_a_connection(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut client = ada.sign_in(&app).await;
    let expired = client.access.clone().unwrap();
    app.wait(Duration::from_mins(6));
    client.refresh().await.unwrap();
    let elsewhere = ada.sign_in(&app).await;
    let somebody = app.add_user("eve").await.sign_in(&app).await;
    let create = "mutation { createApiToken(input: { name: \"x\", scopes: [READ] }) { secret } }";
    let api_token = client.data(create, json!({})).await["createApiToken"]["secret"].as_str().unwrap().to_owned();
    let signed_out = ada.sign_in(&app).await;
    signed_out.data("mutation { logout { success } }", json!({})).await;
    let bearer = |token: &str| json!({ "Authorization": format!("Bearer {token}") });
    for (what, payload) in [
        ("an expired token", bearer(&expired)),
        ("another session of the user", bearer(elsewhere.access.as_deref().unwrap())),
        ("another user", bearer(somebody.access.as_deref().unwrap())),
        ("an ended session", bearer(signed_out.access.as_deref().unwrap())),
        ("an API token", bearer(&api_token)),
        ("a refresh token", bearer(&client.refresh)),
        ("nonsense", bearer("nonsense")),
        ("nothing", bearer("")),
        ("a number", json!({ "authorization": 7 })),
        ("null", json!({ "token": null })),
    ] {
        let mut socket = Socket::sign_in(&app.url, &client).await;
        socket.say(json!({ "type": "ping", "payload": payload })).await;
        assert_eq!(socket.closed().await, 4403, "{what}");
    }

    // An older token of the same session has no effect.
    let older = client.access.clone().unwrap();
    app.wait(Duration::from_mins(1));
    client.refresh().await.unwrap();
    let mut socket = Socket::sign_in(&app.url, &client).await;
    socket.say(ping(&older)).await;
    assert_eq!(socket.hear().await["payload"]["expiresAt"], "2026-01-05T09:12:05.000Z");

    // Before the first message has authenticated the connection, a token in a ping is ignored.
    let mut socket = Socket::open(&app.url).await;
    socket.say(ping(client.access.as_deref().unwrap())).await;
    assert_eq!(socket.hear().await["type"], "pong");
    socket.subscribe("1", "{ me { id } }").await;
    assert_eq!(socket.closed().await, 4401);
}

#[both_databases]
async fn a_connection_by_api_token_ends_when_that_expires(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let create = "mutation($at: DateTime) { createApiToken(input: { name: \"x\", scopes: [READ], expiresAt: $at }) {
        secret errors { code } } }";
    let made = boss.data(create, json!({ "at": "2026-01-05T10:00:00Z" })).await["createApiToken"].clone();
    let reader = app.anyone().with_token(made["secret"].as_str().unwrap());
    let mut socket = Socket::sign_in(&app.url, &reader).await;
    socket.subscribe("1", LISTEN).await;
    socket.data("1").await;
    socket.say(ping(reader.access.as_deref().unwrap())).await;
    assert_eq!(socket.hear().await, json!({ "type": "pong" }), "its end stands in the database");
    app.wait(Duration::from_mins(59));
    check(&app).await;
    assert_eq!(app.app.live_connections.count(), 1, "no access token's time counts");
    app.wait(Duration::from_mins(1));
    check(&app).await;
    assert_eq!(socket.closed().await, 4403);
}

#[both_databases]
async fn a_connection_ends_with_its_session(place: Place) {
    let app = TestApp::start(&place).await;
    app.start_worker();
    let admin = app.admin().await;
    let mut socket = Socket::sign_in(&app.url, &admin).await;
    socket.subscribe("1", LISTEN).await;
    socket.data("1").await;
    let other = app.admin().await;
    let mut others = Socket::sign_in(&app.url, &other).await;
    let logout = "mutation($token: String!) { logout(input: { refreshToken: $token }) { success } }";
    admin.data(logout, json!({ "token": admin.refresh })).await;
    assert_eq!(socket.closed().await, 4403);

    others.subscribe("1", "{ me { username } }").await;
    assert_eq!(others.data("1").await, json!({ "me": { "username": "admin" } }), "another session lives on");
    app.wait(app.app.config.sessions.session_ttl);
    assert_eq!(others.closed().await, 4403);
}

#[both_databases]
async fn a_connection_ends_with_the_key_that_signed_its_token(place: Place) {
    let app = TestApp::start(&place).await;
    app.start_worker();
    let admin = app.admin().await;
    let mut socket = Socket::sign_in(&app.url, &admin).await;
    socket.subscribe("1", LISTEN).await;
    socket.data("1").await;
    let keys = app.anyone().get("/.well-known/jwks.json").await;
    let kid = keys.body["keys"][0]["kid"].as_str().unwrap().to_owned();
    app.app.revoke_key(&app.app.clock.now(), &Operator::new(), &kid).await.unwrap();
    assert_eq!(socket.closed().await, 4403);
}

#[both_databases]
async fn a_connection_ends_with_its_users_account_or_rights(place: Place) {
    let app = TestApp::start(&place).await;
    app.start_worker();
    let admin = app.admin().await;
    let staff = app.add_staff("staff").await;
    let mut socket = Socket::sign_in(&app.url, &staff.sign_in(&app).await).await;
    socket.subscribe("1", LISTEN).await;
    socket.data("1").await;
    admin.data(TOGGLE_STAFF, json!({ "id": staff.id })).await;
    assert_eq!(socket.closed().await, 4403);

    let mut socket = Socket::sign_in(&app.url, &staff.sign_in(&app).await).await;
    socket.subscribe("1", LISTEN).await;
    assert_eq!(socket.refusal("1").await, "FORBIDDEN");
    // Losing rights granted after the connection was opened ends it as well.
    admin.data(&TOGGLE_STAFF.replace("false", "true"), json!({ "id": staff.id })).await;
    socket.subscribe("1", LISTEN).await;
    socket.data("1").await;
    admin.data(TOGGLE_STAFF, json!({ "id": staff.id })).await;
    assert_eq!(socket.closed().await, 4403);

    let mut socket = Socket::sign_in(&app.url, &staff.sign_in(&app).await).await;
    admin.data(TOGGLE_ACTIVE, json!({ "id": staff.id })).await;
    assert_eq!(socket.closed().await, 4403);
}

#[both_databases]
async fn a_connection_ends_with_its_api_token(place: Place) {
    let app = TestApp::start(&place).await;
    app.start_worker();
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let create = "mutation($scopes: [ApiTokenScope!]!) { createApiToken(input: { name: \"x\", scopes: $scopes }) {
        apiToken { id } secret errors { code } } }";
    let make = async |scopes: Value| {
        let made = boss.data(create, json!({ "scopes": scopes })).await["createApiToken"].clone();
        let client = app.anyone().with_token(made["secret"].as_str().unwrap());
        (made["apiToken"]["id"].clone(), client)
    };
    let (_, writer) = make(json!(["WRITE"])).await;
    let mut socket = Socket::sign_in(&app.url, &writer).await;
    socket.subscribe("1", LISTEN).await;
    assert_eq!(socket.refusal("1").await, "FORBIDDEN");

    for change in [
        "mutation($id: ID!) { deleteApiToken(input: { id: $id }) { errors { code } } }",
        "mutation($id: ID!) { rotateApiToken(input: { id: $id }) { errors { code } } }",
    ] {
        let (id, reader) = make(json!(["READ"])).await;
        let mut socket = Socket::sign_in(&app.url, &reader).await;
        socket.subscribe("1", LISTEN).await;
        assert_eq!(names(&socket.data("1").await), ["boss"]);
        boss.data(change, json!({ "id": id })).await;
        assert_eq!(socket.closed().await, 4403);
    }
}

#[postgres_only]
async fn instances_notify_each_other_of_online_users(place: Place) {
    let one = TestApp::start(&place).await;
    let two = one.start_second(&place).await;
    one.start_worker();
    two.start_worker();
    let boss = one.add_staff("boss").await.sign_in(&one).await;
    let ada = one.add_user("ada").await.sign_in(&one).await;
    let mut socket = Socket::sign_in(&two.url, &boss).await;
    socket.subscribe("1", LISTEN).await;
    assert_eq!(names(&socket.data("1").await), ["boss"]);
    be_seen(&ada).await;
    assert_eq!(names(&socket.data("1").await), ["ada", "boss"]);

    // Instances also notify each other of ended sessions.
    let logout = "mutation($token: String!) { logout(input: { refreshToken: $token }) { success } }";
    boss.data(logout, json!({ "token": boss.refresh })).await;
    assert_eq!(socket.closed().await, 4403);
}

#[both_databases]
async fn a_change_is_read_once_however_many_listen(place: Place) {
    let counter = Arc::new(AtomicUsize::new(0));
    let app = TestApp::start_counting(&place, Arc::clone(&counter)).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let mut sockets = Vec::new();
    for _ in 0..30 {
        let mut socket = Socket::sign_in(&app.url, &boss).await;
        socket.subscribe("1", LISTEN).await;
        assert_eq!(names(&socket.data("1").await), ["boss"]);
        sockets.push(socket);
    }
    be_seen(&ada).await;
    let before = counter.load(Ordering::SeqCst);
    app.app.presence.publish(&app.app.db, &app.app.clock.now()).await.unwrap();
    for socket in &mut sockets {
        assert_eq!(names(&socket.data("1").await), ["ada", "boss"]);
    }
    let publishing = counter.load(Ordering::SeqCst) - before;
    assert!(publishing <= 3, "one writes, one tells other instances, one reads, and there were {publishing}");

    let before = counter.load(Ordering::SeqCst);
    app.app.live_connections.check(&app.app.db, &app.app.clock.now(), &app.app.ring()).await.unwrap();
    assert_eq!(counter.load(Ordering::SeqCst) - before, 1);
    assert_eq!(app.app.live_connections.count(), 30);
}

#[both_databases]
async fn connections_are_closed_when_the_service_stops(place: Place) {
    let app = TestApp::start(&place).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(http::serve(
        listener,
        http::router(&app.app),
        http::ServerOptions::of(&app.app.config, &app.app.request_metrics),
        async {
            stopped.await.unwrap();
        },
    ));
    let admin = app.admin().await;
    let mut socket = Socket::sign_in(&url, &admin).await;
    socket.subscribe("1", LISTEN).await;
    socket.data("1").await;
    stop.send(()).unwrap();
    assert_eq!(socket.closed().await, 1001);
    serving.await.unwrap();
}
