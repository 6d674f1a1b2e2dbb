//! API tokens for data exports.

use serde_json::json;
use test_macros::both_databases;

use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const RECORD: &str = "mutation($input: RecordSampleInput!) { recordSample(input: $input) { errors { code } } }";

async fn lines(client: &Client, path: &str) -> Vec<String> {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.as_str().unwrap().lines().map(str::to_owned).collect()
}

#[both_databases]
async fn a_token_for_data_exports_is_created_rotated_and_deleted(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    ada.data(RECORD, json!({ "input": { "key": "S-1", "title": "Water, cold" } })).await;

    // Without scopes, a token is for exports.
    let create =
        "mutation { createApiToken(input: { name: \"nightly\" }) { apiToken { id scopes } secret errors { code } } }";
    let created = ada.data(create, json!({})).await["createApiToken"].clone();
    assert_eq!(created["apiToken"]["scopes"], json!(["EXPORT"]));
    let script = app.anyone().with_token(created["secret"].as_str().unwrap());
    let samples = lines(&script, "/export/samples.csv").await;
    assert_eq!(samples[0], r#""id","key","title","created_at","modified_at""#);
    assert!(samples[1].ends_with(r#","S-1","Water, cold","2026-01-05T09:00:00.000Z","2026-01-05T09:00:00.000Z""#));
    assert_eq!(samples.len(), 2);
    assert_eq!(script.code("{ me { id } }", json!({})).await, "FORBIDDEN");

    let id = json!({ "id": created["apiToken"]["id"] });
    let rotate = "mutation($id: ID!) { rotateApiToken(input: { id: $id }) { secret errors { code } } }";
    let rotated = ada.data(rotate, id.clone()).await["rotateApiToken"].clone();
    assert_eq!(script.get("/export/samples.csv").await.status, 401);
    let script = app.anyone().with_token(rotated["secret"].as_str().unwrap());
    assert_eq!(lines(&script, "/export/samples.csv").await, samples);

    let delete = "mutation($id: ID!) { deleteApiToken(input: { id: $id }) { errors { code } } }";
    ada.data(delete, id).await;
    assert_eq!(script.get("/export/samples.csv").await.status, 401);
    assert_eq!(lines(&ada, "/export/samples.csv").await, samples, "a session serves as well");

    let boss = app.add_staff("boss").await;
    let staff = app.anyone().sign_in(&boss.email, PASSWORD).await;
    let created = staff.data(create, json!({})).await["createApiToken"].clone();
    let script = app.anyone().with_token(created["secret"].as_str().unwrap());
    assert_eq!(lines(&script, "/export/users.csv").await.len(), 3);
    assert_eq!(script.get("/export/users.xlsx").await.status, 200);
}
