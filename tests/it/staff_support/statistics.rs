//! Figures for staff, and the events and mails of a user.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::user;

use super::own_id;
use crate::parity::recovery::REQUEST;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const STATISTICS: &str = "query($days: Int!) { statistics(days: $days) {
    users active verified online staff staffWithoutSecondFactor mailsWaiting mailsHeld mailsFailed
    days { day signIns failedSignIns registrations }
} }";

const LOGIN: &str = "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) {
    errors { code }
} }";

async fn statistics(client: &Client, days: i32) -> Value {
    client.data(STATISTICS, json!({ "days": days })).await["statistics"].clone()
}

#[both_databases]
async fn superusers_are_counted_for_superusers_only(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    app.add(json!({ "username": "invited", "email": "invited@example.com" })).await;
    let off = app.add_user("off").await;
    let update = user::Entity::update_many().col_expr(user::Column::IsActive, Expr::value(false));
    update.filter(user::Column::Username.eq("off")).exec(app.db()).await.unwrap();
    app.anyone().data(REQUEST, json!({ "email": off.email })).await;
    app.anyone().data(REQUEST, json!({ "email": "admin@localhost" })).await;
    let (boss, admin) = (boss.sign_in(&app).await, app.admin().await);
    app.app.presence.flush(&app.app.db).await.unwrap();
    let seen = statistics(&boss, 1).await;
    let figures = |of: &Value| {
        ["users", "active", "verified", "online", "staff", "staffWithoutSecondFactor", "mailsWaiting"]
            .map(|name| of[name].as_u64().unwrap())
    };
    assert_eq!(figures(&seen), [3, 2, 2, 1, 1, 1, 1], "{seen}");
    let all = statistics(&admin, 1).await;
    assert_eq!(figures(&all), [4, 3, 3, 2, 2, 2, 2], "{all}");
    // The accounts were created by the superuser, with a sign-in for each.
    assert_eq!((&seen["days"][0]["signIns"], &all["days"][0]["signIns"]), (&json!(1), &json!(5)));
}

#[both_databases]
async fn days_are_those_of_utc_and_past_ones_stay_as_they_were(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    app.add_staff("boss").await;
    // Half a minute before midnight.
    app.wait(Duration::from_secs(15 * 60 * 60 - 30));
    ada.sign_in(&app).await;
    app.anyone().data(LOGIN, json!({ "i": "ada", "p": "wrong" })).await;
    app.anyone().data(LOGIN, json!({ "i": "nobody", "p": "wrong" })).await;
    app.wait(Duration::from_secs(60));
    let boss = app.anyone().sign_in("boss", PASSWORD).await;
    let day = |day: &str, sign_ins: u64, failed: u64| json!({ "day": day, "signIns": sign_ins, "failedSignIns": failed, "registrations": 0 });
    let expected = json!([day("2026-01-04", 0, 0), day("2026-01-05", 1, 2), day("2026-01-06", 1, 0)]);
    assert_eq!(statistics(&boss, 3).await["days"], expected);

    app.wait(Duration::from_secs(24 * 60 * 60));
    let boss = app.anyone().sign_in("boss", PASSWORD).await;
    let later = json!([day("2026-01-05", 1, 2), day("2026-01-06", 1, 0), day("2026-01-07", 1, 0)]);
    for _ in 0..2 {
        assert_eq!(statistics(&boss, 3).await["days"], later);
    }
    assert_eq!(statistics(&boss, 90).await["days"].as_array().unwrap().len(), 90);
    for days in [0, 91, -1] {
        assert_eq!(boss.code(STATISTICS, json!({ "days": days })).await, "BAD_USER_INPUT");
    }
    let ada = ada.sign_in(&app).await;
    assert_eq!(ada.code(STATISTICS, json!({ "days": 1 })).await, "FORBIDDEN");
}

#[both_databases]
async fn staff_see_the_events_and_mails_of_a_user_as_in_the_lists(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let of = "query($id: ID!) { user(id: $id) {
        auditEvents(first: 5) { totalCount nodes { action actor { username } } } mails { totalCount nodes { kind } }
    } }";
    let seen = boss.data(of, json!({ "id": ada.id })).await["user"].clone();
    // The superuser who created the account is not shown.
    let expected = json!([
        { "action": "LOGIN", "actor": { "username": "ada" } }, { "action": "USER_CREATED", "actor": null },
    ]);
    assert_eq!(seen["auditEvents"], json!({ "totalCount": 2, "nodes": expected }));
    assert_eq!(seen["mails"], json!({ "totalCount": 1, "nodes": [{ "kind": "WELCOME" }] }));
    let own = client.data("{ me { auditEvents { totalCount } mails { totalCount } } }", json!({})).await;
    assert_eq!(own["me"], json!({ "auditEvents": null, "mails": null }));
    let root = own_id(&app.admin().await).await;
    assert_eq!(boss.data(of, json!({ "id": root })).await["user"], Value::Null);
    let list =
        "{ outgoingMails(kind: WELCOME) { totalCount } none: outgoingMails(kind: PASSWORD_CHANGED) { totalCount } }";
    let list = boss.data(list, json!({})).await;
    assert_eq!((&list["outgoingMails"]["totalCount"], &list["none"]["totalCount"]), (&json!(2), &json!(0)));
}
