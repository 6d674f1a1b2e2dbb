//! Schema description and CORS, for developers.

use serde_json::json;
use test_macros::both_databases;

use crate::test_app::TestApp;
use crate::test_database::Place;

#[both_databases]
async fn the_schema_can_be_queried_and_explored(place: Place) {
    let app = TestApp::start(&place).await;
    let types = app.anyone().data("{ __schema { queryType { name } types { name } } }", json!({})).await;
    assert_eq!(types["__schema"]["queryType"]["name"], "Query");
    let page = app.anyone().get("/graphiql").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.body.as_str().unwrap().contains("GraphiQL"));
    assert_eq!(app.anyone().get("/").await.header("location"), "/graphiql");

    let app = TestApp::start_with(&place, |config| (config.introspection, config.graphiql) = (false, false)).await;
    let refused = app.anyone().send("{ __schema { types { name } } }", json!({})).await;
    assert!(refused.body["data"]["__schema"]["types"].is_null(), "{}", refused.body);
    assert_eq!(app.anyone().get("/graphiql").await.status, 404);
}

#[both_databases]
async fn only_pages_of_configured_origins_may_call(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.allowed_origins = vec!["https://app.example".parse().unwrap()];
    })
    .await;
    let preflight = async |origin: &str| {
        let request = app.anyone().request("OPTIONS", "/graphql").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        app.anyone().finish(request.header("access-control-request-headers", "authorization,content-type")).await
    };
    let ours = preflight("https://app.example").await;
    assert_eq!(ours.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(ours.header("access-control-allow-credentials"), "true");
    assert!(ours.header("access-control-allow-headers").contains("authorization"));
    for origin in ["https://evil.example", "null", "https://app.example.evil.example"] {
        assert_eq!(preflight(origin).await.header("access-control-allow-origin"), "", "{origin}");
    }
}
