//! List of users as a connection.

use std::time::Duration;
use test_macros::both_databases;

use serde_json::{Value, json};

use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

const PAGE: &str = "query($first: Int, $after: String, $last: Int, $before: String) {
    users(first: $first, after: $after, last: $last, before: $before) {
        totalCount
        edges { cursor node { username } }
        pageInfo { hasPreviousPage hasNextPage startCursor endCursor }
    }
}";

async fn page(client: &Client, variables: Value) -> (Vec<String>, Value) {
    let data = client.data(PAGE, variables).await;
    let edges = data["users"]["edges"].as_array().unwrap();
    let names = edges.iter().map(|edge| edge["node"]["username"].as_str().unwrap().to_owned()).collect();
    (names, data["users"]["pageInfo"].clone())
}

/// Seven users, three of whom joined at the same time, and the superuser, who joined first.
async fn eight(place: &Place) -> (TestApp, Client) {
    let app = TestApp::start(place).await;
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        if !matches!(name, "d" | "e") {
            app.wait(Duration::from_secs(1));
        }
        app.add_user(name).await;
    }
    let admin = app.admin().await;
    (app, admin)
}

#[both_databases]
async fn pages_go_forward_and_backward_without_gaps_or_repeats(place: Place) {
    let (_app, admin) = eight(&place).await;
    let (all, info) = page(&admin, json!({})).await;
    assert_eq!(all.len(), 8);
    assert_eq!((all[0].as_str(), all[7].as_str()), ("g", "admin"));
    assert_eq!((&info["hasPreviousPage"], &info["hasNextPage"]), (&json!(false), &json!(false)));

    let (mut forward, mut after) = (Vec::new(), Value::Null);
    loop {
        let (names, info) = page(&admin, json!({ "first": 3, "after": after })).await;
        forward.extend(names);
        after = info["endCursor"].clone();
        if info["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(forward, all);

    let (mut backward, mut before) = (Vec::new(), Value::Null);
    loop {
        let (names, info) = page(&admin, json!({ "last": 3, "before": before })).await;
        backward.splice(0..0, names);
        before = info["startCursor"].clone();
        if info["hasPreviousPage"] == false {
            break;
        }
    }
    assert_eq!(backward, all);
    assert_eq!(page(&admin, json!({ "first": 0 })).await.0, [""; 0]);
}

#[both_databases]
async fn a_page_makes_sense_or_is_refused(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    for variables in [
        json!({ "first": 201 }),
        json!({ "first": -1 }),
        json!({ "last": 201 }),
        json!({ "first": 1, "last": 1 }),
        json!({ "after": "nonsense" }),
        json!({ "before": "" }),
        json!({ "after": "' OR 1=1 --" }),
    ] {
        assert_eq!(admin.code(PAGE, variables.clone()).await, "BAD_USER_INPUT", "{variables}");
    }
}

#[both_databases]
async fn rows_that_come_in_between_neither_repeat_nor_hide_others(place: Place) {
    let (app, admin) = eight(&place).await;
    let (_, info) = page(&admin, json!({ "first": 3 })).await;
    app.wait(Duration::from_secs(1));
    app.add_user("h").await;
    let (next, _) = page(&admin, json!({ "first": 1, "after": info["endCursor"] })).await;
    let (all, _) = page(&admin, json!({})).await;
    assert_eq!(next, all[4..5]);
}
