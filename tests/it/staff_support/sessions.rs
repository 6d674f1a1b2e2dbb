//! Sessions of others: staff see and end them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::audit_event::Action;

use super::{events_of, own_id, script};
use crate::api_tokens::make;
use crate::second_factor::enroll;
use crate::socket::Socket;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const SESSIONS: &str = "query($id: ID!) { user(id: $id) { sessions {
    id createdAt lastUsedAt methods ip userAgent isCurrent
} } }";

const END: &str = "mutation($id: ID!, $session: ID) { endUserSessions(input: { id: $id, sessionId: $session }) {
    user { id sessions { id } } sessions { id } errors { code field }
} }";

async fn sessions(staff: &Client, id: &str) -> Value {
    staff.data(SESSIONS, json!({ "id": id })).await["user"]["sessions"].clone()
}

#[both_databases]
async fn staff_see_the_devices_of_a_user_and_end_one_of_them(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut phone = app.anyone().with_header("user-agent", "Phone").sign_in(&ada.email, PASSWORD).await;
    app.wait(Duration::from_secs(1));
    let mut laptop = ada.sign_in(&app).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let seen = sessions(&boss, &ada.id).await;
    let agents: Vec<Option<&str>> =
        seen.as_array().unwrap().iter().map(|session| session["userAgent"].as_str()).collect();
    assert_eq!((agents.len(), agents[1]), (2, Some("Phone")), "{seen}");
    assert_eq!((&seen[1]["methods"], &seen[1]["isCurrent"]), (&json!(["PASSWORD"]), &json!(false)));

    let lost = json!({ "id": ada.id, "session": seen[1]["id"] });
    let payload = boss.data(END, lost.clone()).await["endUserSessions"].clone();
    assert_eq!(payload["sessions"], json!([{ "id": seen[1]["id"] }]));
    assert_eq!(payload["user"]["sessions"], json!([{ "id": seen[0]["id"] }]));
    assert_eq!(phone.refresh().await.unwrap_err(), "INVALID_TOKEN");
    laptop.refresh().await.expect("the other device stays signed in");
    assert_eq!(events_of(&app, &ada, Action::SessionRevoked).await, 1);
    assert_eq!(boss.refusals(END, lost).await, ["NOT_FOUND sessionId"]);
    let of_another = json!({ "id": own_id(&boss).await, "session": seen[0]["id"] });
    assert_eq!(boss.refusals(END, of_another).await, ["NOT_FOUND sessionId"]);
    assert_eq!(boss.refusals(END, json!({ "id": ada.id, "session": "x" })).await, ["NOT_FOUND sessionId"]);
    assert_eq!(boss.refusals(END, json!({ "id": "x" })).await, ["NOT_FOUND id"]);
}

#[both_databases]
async fn all_sessions_of_a_user_end_with_their_sockets_and_unfinished_sign_ins(place: Place) {
    let app = TestApp::start(&place).await;
    app.start_worker();
    let eve = app.add_staff("eve").await;
    let mut client = eve.sign_in(&app).await;
    let phone = enroll(&app, &client).await;
    let (_, secret) = make(&client, &["READ"]).await;
    let login = "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) {
        challenge { token }
    } }";
    let login = app.anyone().data(login, json!({ "i": eve.email, "p": PASSWORD })).await;
    let mut socket = Socket::sign_in(&app.url, &client).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let payload = boss.data(END, json!({ "id": eve.id })).await["endUserSessions"].clone();
    assert_eq!((payload["sessions"].as_array().unwrap().len(), &payload["user"]["sessions"]), (1, &json!([])));
    let before = Instant::now();
    socket.closed().await;
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    assert_eq!(client.refresh().await.unwrap_err(), "INVALID_TOKEN");
    let complete = "mutation($t: String!, $p: SecondFactorInput!) {
        completeLogin(input: { challengeToken: $t, proof: $p }) { errors { code field } }
    }";
    let proof = json!({ "t": login["login"]["challenge"]["token"], "p": { "totpCode": phone.code(&app) } });
    assert_eq!(app.anyone().refusals(complete, proof).await, ["INVALID_TOKEN challengeToken"]);
    // Programs keep their tokens, which have an operation of their own.
    app.anyone().with_token(secret).data("{ me { id } }", json!({})).await;
    assert_eq!(events_of(&app, &eve, Action::SessionsRevoked).await, 1);
}

#[both_databases]
async fn sessions_of_superusers_and_sessions_by_api_token_stay_out_of_reach(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let admin = app.admin().await;
    let root = own_id(&admin).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    assert_eq!(boss.refusals(END, json!({ "id": root })).await, ["CANNOT_EDIT_SUPERUSER id"]);
    admin.data("{ me { id } }", json!({})).await;
    assert_eq!(client.code(END, json!({ "id": ada.id })).await, "FORBIDDEN");
    assert_eq!(sessions(&admin, &ada.id).await.as_array().unwrap().len(), 1);
    // A user without staff rights reads only their own.
    let own = client.data("{ me { sessions { isCurrent } } }", json!({})).await;
    assert_eq!(own["me"]["sessions"], json!([{ "isCurrent": true }]));
    let reader = script(&app, &boss, "READ").await;
    assert_eq!(sessions(&reader, &ada.id).await, Value::Null);
    let manager = script(&app, &boss, "MANAGE_USERS").await;
    assert_eq!(manager.code(END, json!({ "id": ada.id })).await, "FORBIDDEN");
    let can = "query($id: ID!) { user(id: $id) { viewerCan { endSessions { allowed reason } } } }";
    let can = boss.data(can, json!({ "id": ada.id })).await["user"]["viewerCan"]["endSessions"].clone();
    assert_eq!(can, json!({ "allowed": true, "reason": null }));
}
