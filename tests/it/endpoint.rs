//! The endpoint: GraphQL over HTTP as its specification says, and what does not get as far as the executor.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::TestApp;
use crate::client::Answer;
use crate::engine::Place;

crate::tests![
    media_types_are_negotiated,
    the_status_tells_what_happened_where_the_media_type_lets_it,
    only_json_is_read,
    a_body_that_is_too_large_is_refused_before_it_is_read,
    queries_may_come_by_get_and_nothing_else,
    what_cannot_be_read_is_refused_in_graphqls_shape,
    documents_that_grow_beyond_measure_are_refused_at_once,
    sensitive_fields_stand_alone,
    every_error_has_a_code_and_none_tells_too_much,
    a_failed_field_is_null_and_its_neighbours_are_not,
    every_answer_is_kept_from_caches_frames_and_guesses,
    health_and_readiness_are_told,
    an_unknown_path_is_not_found,
    a_fault_is_logged_under_the_number_that_the_client_sees,
];

const TYPENAME: &str = "{ __typename }";

async fn post(app: &TestApp, accept: Option<&str>, content_type: Option<&str>, body: &str) -> Answer {
    let mut request = app.anyone().request("POST", "/graphql").body(body.to_owned());
    for (name, value) in [("accept", accept), ("content-type", content_type)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    app.anyone().finish(request).await
}

const JSON: Option<&str> = Some("application/json");
const MODERN: Option<&str> = Some("application/graphql-response+json");

fn query(document: &str) -> String {
    json!({ "query": document }).to_string()
}

async fn media_types_are_negotiated(place: Place) {
    let app = TestApp::start(&place).await;
    for (accept, expected) in [
        (None, "application/json; charset=utf-8"),
        (Some("*/*"), "application/json; charset=utf-8"),
        (JSON, "application/json; charset=utf-8"),
        (MODERN, "application/graphql-response+json; charset=utf-8"),
        (
            Some("application/graphql-response+json, application/json"),
            "application/graphql-response+json; charset=utf-8",
        ),
    ] {
        let answer = post(&app, accept, JSON, &query(TYPENAME)).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, expected), "{accept:?}");
        assert_eq!(answer.body, json!({ "data": { "__typename": "Query" } }));
    }
    let answer = post(&app, Some("text/html"), JSON, &query(TYPENAME)).await;
    assert_eq!((answer.status, answer.code().as_str()), (406, "BAD_REQUEST"));
}

async fn the_status_tells_what_happened_where_the_media_type_lets_it(place: Place) {
    let app = TestApp::start(&place).await;
    for (document, code, modern_status) in [
        ("{", "GRAPHQL_PARSE_FAILED", 400),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED", 400),
        ("query A { __typename } query B { __typename }", "OPERATION_RESOLUTION_FAILURE", 400),
        ("query($a: Int!) { recentSamples(first: $a) { id } }", "BAD_USER_INPUT", 400),
        ("{ recentSamples(first: \"x\") { id } }", "BAD_USER_INPUT", 400),
        ("{ me { id } }", "UNAUTHENTICATED MISSING", 200),
    ] {
        let modern = post(&app, MODERN, JSON, &query(document)).await;
        let plain = post(&app, JSON, JSON, &query(document)).await;
        assert_eq!((modern.status, modern.code().as_str()), (modern_status, code), "{document}: {}", modern.body);
        assert_eq!((plain.status, plain.code().as_str()), (200, code), "{document}");
        assert_eq!(modern.body.get("data").is_some(), modern_status == 200, "{document}: {}", modern.body);
    }
}

async fn only_json_is_read(place: Place) {
    let app = TestApp::start(&place).await;
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/mixed")] {
        let answer = post(&app, JSON, content_type, &query(TYPENAME)).await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "BAD_REQUEST"), "{content_type:?}");
    }
    let answer = post(&app, JSON, Some("application/json; charset=utf-8"), &query(TYPENAME)).await;
    assert_eq!(answer.status, 200);
}

async fn a_body_that_is_too_large_is_refused_before_it_is_read(place: Place) {
    let app = TestApp::start(&place).await;
    let huge = query(&format!("{TYPENAME} # {}", "x".repeat(200 * 1024)));
    let answer = post(&app, JSON, JSON, &huge).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));

    // What announces no length is cut off when it grows too long.
    let mut stream = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    let head =
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut answer = Vec::new();
    for _ in 0..100 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 413"));
}

async fn queries_may_come_by_get_and_nothing_else(place: Place) {
    let app = TestApp::start(&place).await;
    let get = async |query: &str| app.anyone().get(&format!("/graphql?{query}")).await;
    let fine = get("query=query%20A%7B__typename%7D%20query%20B%7Bb%3A__typename%7D&operationName=B").await;
    assert_eq!((fine.status, &fine.body), (200, &json!({ "data": { "b": "Query" } })));
    let variables = "query=query(%24uid%3AID!)%7BresetTokenIsValid(uid%3A%24uid%2Ctoken%3A%22%22)%7D&variables=%7B%22uid%22%3A%22x%22%7D";
    assert_eq!(get(variables).await.body["data"]["resetTokenIsValid"], false);
    let mutation = get("query=mutation%7Blogout%7Bsuccess%7D%7D").await;
    assert_eq!((mutation.status, mutation.header("allow")), (405, "POST"));
    assert_eq!(get("").await.status, 400);
    let deleted = app.anyone().finish(app.anyone().request("DELETE", "/graphql")).await;
    assert_eq!((deleted.status, deleted.header("allow"), deleted.code().as_str()), (405, "GET, POST", "BAD_REQUEST"));
    let browser = app.anyone().with_header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    assert_eq!(browser.get("/graphql").await.header("location"), "/graphiql");
}

async fn what_cannot_be_read_is_refused_in_graphqls_shape(place: Place) {
    let app = TestApp::start(&place).await;
    let deep = format!("{{\"query\":\"{{a}}\",\"variables\":{{\"a\":{}", "[".repeat(60_000));
    for body in
        ["", "{", "null", "[]", "[{\"query\":\"{__typename}\"}]", "{\"query\":1}", "{\"query\":\"{a\\u0000}\"}", &deep]
    {
        let answer = post(&app, MODERN, JSON, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{body:.40}");
        assert!(answer.body.to_string().len() < 400, "{}", answer.body);
    }
    let unsupported = r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}"#;
    assert_eq!(post(&app, JSON, JSON, unsupported).await.code(), "PERSISTED_QUERY_NOT_SUPPORTED");
}

async fn documents_that_grow_beyond_measure_are_refused_at_once(place: Place) {
    let app = TestApp::start(&place).await;
    let mut document = "{ ...f0 }".to_owned();
    for level in 0..24 {
        document += &format!(" fragment f{level} on Query {{ ...f{0} ...f{0} }}", level + 1);
    }
    document += " fragment f24 on Query { __typename }";
    let wide =
        "users(first: 200) { nodes { recentSamples(first: 200) { modifiedBy { recentSamples(first: 200) { id } } } } }";
    for hostile in
        [document.as_str(), &format!("{{ {wide} }}"), &"{a".repeat(4000), &format!("{{ {} }}", "a ".repeat(600))]
    {
        let started = Instant::now();
        let answer = post(&app, MODERN, JSON, &query(hostile)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "QUERY_TOO_COMPLEX"), "{}", answer.body);
        assert!(started.elapsed() < Duration::from_secs(2), "the library takes 23 s for the first of these");
    }
}

async fn sensitive_fields_stand_alone(place: Place) {
    let app = TestApp::start(&place).await;
    let attempt = |alias: &str| {
        format!("{alias}: login(input: {{ identifier: \"admin\", password: \"{alias}\" }}) {{ errors {{ code }} }} ")
    };
    let two = format!("mutation {{ {} {} }}", attempt("a"), attempt("b"));
    assert_eq!(post(&app, JSON, JSON, &query(&two)).await.code(), "QUERY_TOO_COMPLEX");
    let one = format!("mutation {{ {} }}", attempt("a"));
    let answer = post(&app, JSON, JSON, &query(&one)).await;
    assert_eq!(answer.body["data"]["a"]["errors"][0]["code"], "INVALID_CREDENTIALS");
}

async fn every_error_has_a_code_and_none_tells_too_much(place: Place) {
    let app = TestApp::start(&place).await;
    let secret = "Xk29fjQpW";
    for document in [
        format!("{{ me {{ id }} }} {secret}"),
        format!("{{ me(a: \"{secret}\" }}"),
        format!(
            "mutation {{ login(input: {{ identifier: \"a\", password: 7, x: \"{secret}\" }}) {{ errors {{ code }} }} }}"
        ),
        "{ meh }".to_owned(),
        "query($a: [String!]! = 3) { me { id } }".to_owned(),
        (0..400).map(|number| format!("$v{number}: Int ")).collect::<String>() + ") { me { id } }",
    ] {
        let answer = post(&app, MODERN, JSON, &query(&document)).await;
        let text = answer.body.to_string();
        let errors = answer.body["errors"].as_array().unwrap_or_else(|| panic!("{text}"));
        assert!(!errors.is_empty() && errors.len() <= 20);
        for error in errors {
            assert!(error["extensions"]["code"].is_string(), "{text}");
            assert!(error["message"].as_str().unwrap().len() <= 310);
        }
        assert!(!text.contains("src/") && !text.contains("Error(") && !text.contains("-->"), "{text}");
        assert!(!document.contains("password") || !text.contains(secret), "{text}");
    }
}

async fn a_failed_field_is_null_and_its_neighbours_are_not(place: Place) {
    let app = TestApp::start(&place).await;
    let document = "{ passwordPolicy { minLength } me { id } a: recentSamples { id } }";
    let answer = post(&app, MODERN, JSON, &query(document)).await;
    assert_eq!(answer.body["data"], json!({ "passwordPolicy": { "minLength": 8 }, "me": null, "a": null }));
    assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(2));
    let admin = app.admin().await;
    let nested = admin
        .send("{ me { username recentSamples(first: 999) { id } } passwordPolicy { minLength } }", json!({}))
        .await;
    assert_eq!(nested.code(), "BAD_USER_INPUT");
    assert_eq!(nested.body["data"], json!({ "me": null, "passwordPolicy": { "minLength": 8 } }));
}

async fn every_answer_is_kept_from_caches_frames_and_guesses(place: Place) {
    let app = TestApp::start(&place).await;
    let mut ids = Vec::new();
    for path in ["/graphql?query=%7B__typename%7D", "/graphiql", "/healthz", "/nowhere", "/graphql"] {
        let answer = app.anyone().get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
        ids.push(answer.header("x-request-id").to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

async fn health_and_readiness_are_told(place: Place) {
    let app = TestApp::start(&place).await;
    assert_eq!(app.anyone().get("/healthz").await.body, Value::from("ok\n"));
    let ready = app.anyone().get("/readyz").await;
    assert_eq!((ready.status, ready.body), (200, Value::from("ready\n")));
    app.app.db.clone().close().await.unwrap();
    assert_eq!(app.anyone().get("/healthz").await.status, 200);
    assert_eq!(app.anyone().get("/readyz").await.status, 503);
    let busy =
        app.anyone().send("mutation { requestReset(input: { email: \"a@b.example\" }) { success } }", json!({})).await;
    assert_eq!(busy.code(), "SERVICE_UNAVAILABLE");
    assert_eq!(busy.body["errors"][0]["extensions"]["retryAfter"], 1);
}

async fn an_unknown_path_is_not_found(place: Place) {
    let app = TestApp::start(&place).await;
    assert_eq!(app.anyone().get("/nowhere").await.status, 404);
}

async fn a_fault_is_logged_under_the_number_that_the_client_sees(place: Place) {
    use sea_orm::ConnectionTrait as _;
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    app.db().execute_unprepared("ALTER TABLE samples RENAME TO elsewhere").await.unwrap();
    let answer = admin.send("{ recentSamples { id } }", json!({})).await;
    assert_eq!(answer.code(), "INTERNAL_SERVER_ERROR");
    let id = answer.header("x-request-id");
    assert_eq!(answer.body["errors"][0]["extensions"]["requestId"], id);
    assert_eq!(answer.body["errors"][0]["message"], "Something went wrong on our side.");
    assert!(!answer.body.to_string().contains("samples\""), "{}", answer.body);
}
