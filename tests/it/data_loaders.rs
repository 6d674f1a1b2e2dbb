//! Data loaders: lists of any length cost a fixed number of statements.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use test_macros::both_databases;

use serde_json::json;

use crate::test_app::TestApp;
use crate::test_database::Place;

const PAGE: &str = "query($first: Int!) { users(first: $first) {
    totalCount
    nodes { username recentSamples { title modifiedBy { username recentSamples { key } } } }
} }";

#[both_databases]
async fn a_page_of_users_with_their_samples_costs_a_fixed_number_of_statements(place: Place) {
    let counter = Arc::new(AtomicUsize::new(0));
    let app = TestApp::start_counting(&place, Arc::clone(&counter)).await;
    app.wait(std::time::Duration::from_secs(1));
    for number in 0..20 {
        let client = app.add_user(&format!("user{number}")).await.sign_in(&app).await;
        for sample in 0..3 {
            let input = json!({ "input": { "key": format!("{number}-{sample}"), "title": "A sample" } });
            client.data("mutation($input: RecordSampleInput!) { recordSample(input: $input) { sample { id } errors { code } } }", input).await;
        }
    }
    let admin = app.admin().await;
    admin.data("{ me { id } }", json!({})).await;
    let mut statements = Vec::new();
    for first in [1, 5, 20] {
        let before = counter.load(Ordering::SeqCst);
        let data = admin.data(PAGE, json!({ "first": first })).await;
        statements.push(counter.load(Ordering::SeqCst) - before);
        let nodes = data["users"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), usize::try_from(first).unwrap());
        for node in nodes {
            let samples = node["recentSamples"].as_array().unwrap();
            assert_eq!(samples.len(), 3);
            assert!(samples.iter().all(|sample| sample["modifiedBy"]["username"] == node["username"]));
        }
    }
    // The caller; the page; the count; its samples; their editors; and the editors' samples, one level down.
    assert_eq!(statements, [6, 6, 6]);
}
