//! Online users.

use std::time::Duration;
use test_macros::both_databases;

use serde_json::json;

use crate::test_app::TestApp;
use crate::test_database::Place;

const ONLINE: &str = "{ onlineUsers { username isOnline lastActivity } onlineCount }";

#[both_databases]
async fn users_active_within_five_minutes_are_online(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let admin = app.admin().await;
    app.wait(Duration::from_secs(100));
    let row = |name: &str, at: &str| json!({ "username": name, "isOnline": true, "lastActivity": at });
    let first = [row("admin", "2026-01-05T09:01:40.000Z")];
    assert_eq!(admin.data(ONLINE, json!({})).await, json!({ "onlineUsers": first, "onlineCount": 1 }));

    app.wait(Duration::from_secs(100));
    assert_eq!(ada.code("{ onlineUsers { id } }", json!({})).await, "FORBIDDEN");
    assert_eq!(app.anyone().code(ONLINE, json!({})).await, "UNAUTHENTICATED MISSING");
    // Superusers are counted for superusers only.
    assert_eq!(ada.data("{ onlineCount }", json!({})).await["onlineCount"], 1);
    // The response is the same before and after the activity was recorded.
    for _ in 0..2 {
        let both = [row("admin", "2026-01-05T09:03:20.000Z"), row("ada", "2026-01-05T09:03:20.000Z")];
        let seen = admin.data(ONLINE, json!({})).await;
        for one in both {
            assert!(seen["onlineUsers"].as_array().unwrap().contains(&one), "{seen}");
        }
        assert_eq!((&seen["onlineCount"], seen["onlineUsers"].as_array().unwrap().len()), (&json!(2), 2));
        app.app.presence.flush(&app.app.db).await.unwrap();
    }

    let admin = app.admin().await;
    app.wait(Duration::from_secs(299));
    let seen = admin.data(ONLINE, json!({})).await;
    assert_eq!(seen["onlineUsers"][0]["username"], "admin", "the one seen last comes first");
    assert_eq!(seen["onlineUsers"][1]["username"], "ada");
    app.wait(Duration::from_secs(1));
    let seen = admin.data(ONLINE, json!({})).await;
    assert_eq!((&seen["onlineUsers"][1], &seen["onlineCount"]), (&json!(null), &json!(1)));
}
