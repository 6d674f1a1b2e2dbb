//! The own account: rows 11 and 18.

use std::time::Duration;

use serde_json::json;

use crate::app::{PASSWORD, TestApp};
use crate::engine::Place;

crate::tests![row_11_who_am_i, row_18_the_samples_that_i_modified_last_newest_first];

async fn row_11_who_am_i(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app
        .add(json!({
            "username": "ada", "email": "ada@example.com", "password": PASSWORD,
            "firstName": "Ada", "lastName": "Lovelace", "phone": "+44 20 7946 0000", "address": "12 St James's Square\nLondon",
            "role": "MANAGER", "permission": "DOWNLOAD",
        }))
        .await;
    app.wait(Duration::from_mins(1));
    let client = ada.sign_in(&app).await;
    let me = "{ me { id username email firstName lastName name phone address bio role permission
        isActive isStaff isSuperuser isVerified dateJoined updatedAt lastLogin } }";
    assert_eq!(
        client.data(me, json!({})).await["me"],
        json!({
            "id": ada.id, "username": "ada", "email": "ada@example.com",
            "firstName": "Ada", "lastName": "Lovelace", "name": "Ada Lovelace",
            "phone": "+44 20 7946 0000", "address": "12 St James's Square\nLondon", "bio": "",
            "role": "MANAGER", "permission": "DOWNLOAD",
            "isActive": true, "isStaff": false, "isSuperuser": false, "isVerified": true,
            "dateJoined": "2026-01-05T09:00:00.000Z", "updatedAt": "2026-01-05T09:00:00.000Z",
            "lastLogin": "2026-01-05T09:01:00.000Z",
        })
    );
}

async fn row_18_the_samples_that_i_modified_last_newest_first(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let bob = app.add_user("bob").await.sign_in(&app).await;
    let record = "mutation($input: RecordSampleInput!) { recordSample(input: $input) {
        sample { key title createdAt modifiedAt modifiedBy { username } } errors { code field }
    } }";
    for number in 0..25 {
        app.wait(Duration::from_secs(1));
        let input = json!({ "input": { "key": format!("S-{number}"), "title": format!("Sample {number}") } });
        ada.data(record, input).await;
    }
    app.wait(Duration::from_secs(1));
    bob.data(record, json!({ "input": { "key": "S-24", "title": "Bob's now" } })).await;
    app.wait(Duration::from_secs(1));
    let again = ada.data(record, json!({ "input": { "key": "S-3", "title": "Anew" } })).await;
    assert_eq!(again["recordSample"]["sample"]["title"], "Anew");
    assert_eq!(again["recordSample"]["sample"]["createdAt"], "2026-01-05T09:00:04.000Z");
    assert_eq!(again["recordSample"]["sample"]["modifiedAt"], "2026-01-05T09:00:27.000Z");
    assert_eq!(again["recordSample"]["sample"]["modifiedBy"]["username"], "ada");

    let recent = ada.data("{ recentSamples { key } me { recentSamples(first: 2) { key } } }", json!({})).await;
    let keys: Vec<&str> =
        recent["recentSamples"].as_array().unwrap().iter().map(|s| s["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 20);
    assert_eq!(keys[..3], ["S-3", "S-23", "S-22"]);
    assert_eq!(recent["me"]["recentSamples"], json!([{ "key": "S-3" }, { "key": "S-23" }]));
    assert_eq!(ada.refusals(record, json!({ "input": { "key": " ", "title": "x" } })).await, ["REQUIRED key"]);
    assert_eq!(app.anyone().code("{ recentSamples { key } }", json!({})).await, "UNAUTHENTICATED MISSING");
}
