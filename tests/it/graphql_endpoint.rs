//! The GraphQL endpoint: GraphQL over HTTP as specified, and requests refused before execution.

use std::time::{Duration, Instant};
use test_macros::both_databases;

use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::test_app::TestApp;
use crate::test_client::Answer;
use crate::test_database::Place;

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

#[both_databases]
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

#[both_databases]
async fn the_status_reports_the_result_if_the_media_type_allows_it(place: Place) {
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

#[both_databases]
async fn only_json_is_read(place: Place) {
    let app = TestApp::start(&place).await;
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/mixed"),
        Some("application/json; charset=utf-16"),
        Some("application/jsonx"),
        Some("text/plain, application/json"),
    ] {
        let answer = post(&app, JSON, content_type, &query(TYPENAME)).await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "BAD_REQUEST"), "{content_type:?}");
    }
    let answer = post(&app, JSON, Some("application/json; charset=utf-8"), &query(TYPENAME)).await;
    assert_eq!(answer.status, 200);
    let twice = app.anyone().with_header("content-type", "text/plain").post(query(TYPENAME)).await;
    assert_eq!((twice.status, twice.code().as_str()), (415, "BAD_REQUEST"));
    let packed = app.anyone().with_header("content-encoding", "gzip").post(query(TYPENAME)).await;
    assert_eq!((packed.status, packed.code().as_str()), (415, "BAD_REQUEST"));
}

#[both_databases]
async fn a_body_that_is_too_large_is_refused_before_it_is_read(place: Place) {
    let app = TestApp::start(&place).await;
    let huge = query(&format!("{TYPENAME} # {}", "x".repeat(200 * 1024)));
    let answer = post(&app, JSON, JSON, &huge).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));

    // A body without a length is cut off if it grows too long.
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

#[both_databases]
async fn queries_may_come_by_get_and_nothing_else(place: Place) {
    let app = TestApp::start(&place).await;
    let get = async |query: &str| app.anyone().get(&format!("/graphql?{query}")).await;
    let fine = get("query=query%20A%7B__typename%7D%20query%20B%7Bb%3A__typename%7D&operationName=B").await;
    assert_eq!((fine.status, &fine.body), (200, &json!({ "data": { "b": "Query" } })));
    let variables = "query=query(%24a%3ABoolean!)%7BpasswordPolicy%20%40include(if%3A%24a)%7BminLength%7D%7D&variables=%7B%22a%22%3Atrue%7D";
    let told = get(variables).await;
    assert_eq!(told.body["data"]["passwordPolicy"]["minLength"], 8, "{}", told.body);
    let mutation = get("query=mutation%7Blogout%7Bsuccess%7D%7D").await;
    assert_eq!((mutation.status, mutation.header("allow")), (405, "POST"));
    assert_eq!(get("").await.status, 400);
    let deleted = app.anyone().finish(app.anyone().request("DELETE", "/graphql")).await;
    assert_eq!((deleted.status, deleted.header("allow"), deleted.code().as_str()), (405, "GET, POST", "BAD_REQUEST"));
    let browser = app.anyone().with_header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    assert_eq!(browser.get("/graphql").await.header("location"), "/graphiql");
}

#[both_databases]
async fn unreadable_requests_are_refused_as_graphql_errors(place: Place) {
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

#[both_databases]
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

#[both_databases]
async fn each_measure_of_a_document_has_its_end(place: Place) {
    let app = TestApp::start(&place).await;
    let before = vestibule::entity::audit_event::Entity::find().count(app.db()).await.unwrap();
    let times = |part: &str, count: usize| format!("{{ {} }}", part.repeat(count));
    let aliases = |count: usize| {
        let fields: String = (0..count).map(|number| format!("a{number}: __typename ")).collect();
        format!("{{ {fields} }}")
    };
    let mutations = |count: usize| {
        let fields: String =
            (0..count).map(|number| format!("a{number}: removeAvatar {{ errors {{ code }} }} ")).collect();
        format!("mutation {{ {fields} }}")
    };
    let bytes = |count: usize| format!("{:count$}", "{ __typename }");
    let directives = "__typename @include(if: true) ";
    let one_field = |count: usize| format!("{{ __typename {} }}", "@include(if: true) ".repeat(count));
    let nested = |depth: usize| {
        let mut inner = "id".to_owned();
        for _ in 0..depth {
            inner = format!("recentSamples(first: 1) {{ modifiedBy {{ {inner} }} }}");
        }
        format!("{{ me {{ {inner} }} }}")
    };
    let code = async |document: &str| {
        let answer = post(&app, MODERN, JSON, &query(document)).await;
        answer.body["errors"][0]["extensions"]["code"].as_str().unwrap_or("fine").to_owned()
    };
    for (what, most, more) in [
        ("bytes", bytes(16 * 1024), bytes(16 * 1024 + 1)),
        ("selections", times("__typename ", 500), times("__typename ", 501)),
        ("aliases", aliases(30), aliases(31)),
        ("directives", times(directives, 50), times(directives, 51)),
        ("mutations", mutations(4), mutations(5)),
        ("levels", nested(8), nested(11)),
    ] {
        assert_ne!(code(&most).await, "QUERY_TOO_COMPLEX", "{what}");
        assert_eq!(code(&more).await, "QUERY_TOO_COMPLEX", "{what}");
    }
    assert_ne!(code(&one_field(11)).await, "fine", "ten directives of one field");
    let admin = app.admin().await;
    let list = |rows: usize, each: usize| {
        format!("{{ users(first: {rows}) {{ nodes {{ recentSamples(first: {each}) {{ id title }} }} }} }}")
    };
    admin.data(&list(20, 20), json!({})).await;
    assert_eq!(
        admin.code(&list(200, 100), json!({})).await,
        "QUERY_TOO_COMPLEX",
        "lists count as often as they are long"
    );
    assert_eq!(admin.code(&list(0, 20_000), json!({})).await, "QUERY_TOO_COMPLEX", "and at least once");
    // The cost is a multiple of 2^64.
    let wraps = ["1073741824", "2147483647", "1073741824"]
        .map(|first| format!("recentSamples(first: {first}) {{ modifiedBy {{ "));
    let wraps = format!("{{ me {{ {} id {} }} }}", wraps.concat(), "} } ".repeat(3));
    assert_eq!(code(&wraps).await, "QUERY_TOO_COMPLEX");
    let long: String = (0..12).map(|number| format!("a{number}: bio ")).collect();
    let long = format!("{{ users(first: 200) {{ nodes {{ {long} }} }} }}");
    assert_eq!(admin.code(&long, json!({})).await, "QUERY_TOO_COMPLEX", "a long field counts more than once");
    assert_eq!(post(&app, MODERN, JSON, &format!("[{}]", query(TYPENAME))).await.code(), "BAD_REQUEST");
    // None of them had an effect, and the service keeps running.
    let after = vestibule::entity::audit_event::Entity::find().count(app.db()).await.unwrap();
    assert_eq!(after, before + 1, "the sign-in of the superuser");
    assert_eq!(post(&app, JSON, JSON, &query(TYPENAME)).await.body["data"]["__typename"], "Query");
}

#[both_databases]
async fn each_sensitive_mutation_comes_once_a_document(place: Place) {
    let app = TestApp::start(&place).await;
    for field in [
        "login(input: { identifier: \"a\", password: \"b\" }) { errors { code } }",
        "refresh { errors { code } }",
        "logout { success }",
        "completeLogin(input: { challengeToken: \"a\", proof: { totpCode: \"b\" } }) { errors { code } }",
        "confirmTotpEnrollment(input: { enrollmentToken: \"a\", totpCode: \"b\" }) { errors { code } }",
        "requestReset(input: { email: \"a@example.com\" }) { success }",
        "confirmReset(input: { uid: \"a\", token: \"b\", newPassword: \"c\" }) { success }",
        "register(input: { email: \"a@example.com\", password: \"b\" }) { success }",
        "registerWithoutPassword(input: { email: \"a@example.com\" }) { success }",
        "startPasskeySignUp(input: { token: \"b\" }) { errors { code } }",
        "verifyEmail(input: { token: \"b\" }) { errors { code } }",
        "undoEmailChange(input: { token: \"b\" }) { errors { code } }",
        "resendVerification(input: { email: \"a@example.com\" }) { success }",
        "resendEmailChange { errors { code } }",
        "changePassword(input: { oldPassword: \"a\", newPassword: \"b\" }) { errors { code } }",
        "setUserPassword(input: { id: \"a\", password: \"b\" }) { errors { code } }",
        "retryMail(input: { id: \"a\" }) { errors { code } }",
        "checkImport(input: { id: \"a\" }) { errors { code } }",
        "sendLink(input: { id: \"a\", kind: INVITATION }) { errors { code } }",
        "createUser(input: { email: \"a\" }) { errors { code } }",
        "createApiToken(input: { name: \"a\" }) { errors { code } }",
        "rotateApiToken(input: { id: \"a\" }) { errors { code } }",
        "reauthenticate(input: { proof: { password: \"b\" } }) { errors { code } }",
        "deactivateMe(input: { currentPassword: \"b\" }) { errors { code } }",
        "deleteMe(input: { currentPassword: \"b\" }) { errors { code } }",
    ] {
        for document in [
            format!("mutation {{ a: {field} b: {field} }}"),
            format!("mutation {{ ...f ... {{ b: {field} }} }} fragment f on Mutation {{ a: {field} }}"),
            format!(
                "mutation {{ a: {field} b: login(input: {{ identifier: \"a\", password: \"b\" }}) {{ errors {{ code }} }} }}"
            ),
        ] {
            let answer = post(&app, JSON, JSON, &query(&document)).await;
            assert_eq!(answer.code(), "QUERY_TOO_COMPLEX", "{document}: {}", answer.body);
        }
    }
}

#[both_databases]
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

#[both_databases]
async fn every_error_has_a_code_and_no_internals(place: Place) {
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
            assert!(error["message"].as_str().unwrap().len() <= 300);
        }
        assert!(!text.contains("src/") && !text.contains("Error(") && !text.contains("-->"), "{text}");
        assert!(!document.contains("password") || !text.contains(secret), "{text}");
    }
}

#[both_databases]
async fn variables_are_checked_before_execution(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await.with_header("accept", "application/graphql-response+json");
    let needs = "query($id: ID!, $first: Int) { user(id: $id) { id recentSamples(first: $first) { id } } }";
    for (document, variables, code) in [
        (needs, json!({}), "BAD_USER_INPUT"),
        (needs, json!({ "id": null }), "BAD_USER_INPUT"),
        (needs, json!({ "id": "x", "first": "many" }), "BAD_USER_INPUT"),
        (needs, json!({ "id": "x", "first": 1e10 }), "BAD_USER_INPUT"),
        ("query($f: UserFilter) { users(filter: $f) { totalCount } }", json!({ "f": 7 }), "BAD_USER_INPUT"),
        (
            "query($f: UserFilter) { users(filter: $f) { totalCount } }",
            json!({ "f": { "joinedAfter": "yesterday" } }),
            "BAD_USER_INPUT",
        ),
        ("query($x: Int) { me { id } }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
        ("{ user(id: $id) { id } }", json!({ "id": "x" }), "GRAPHQL_VALIDATION_FAILED"),
        ("query($x: NoSuch = {a: 1}) { __typename }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
        ("query($x: [NoSuch] = [{a: 1}]) { __typename }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
        ("query($x: String) { user(id: $x) { id } }", json!({ "x": "x" }), "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let answer = admin.send(document, variables).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{document}: {}", answer.body);
        assert!(answer.body.get("data").is_none(), "{}", answer.body);
        assert!(!answer.body.to_string().contains("yesterday"), "{}", answer.body);
    }
    let optional = "query($first: Int, $yes: Boolean = true) { recentSamples(first: $first) { id } me @include(if: $yes) { username } }";
    for variables in [json!({}), json!({ "first": 3 }), json!({ "yes": true, "unknown": 1 })] {
        let data = admin.data(optional, variables).await;
        assert_eq!(data, json!({ "recentSamples": [], "me": { "username": "admin" } }));
    }
}

#[both_databases]
async fn an_object_stays_when_all_its_selections_are_skipped(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    for (document, data) in [
        ("{ __typename @skip(if: true) }", json!({})),
        ("{ passwordPolicy { minLength @skip(if: true) } }", json!({ "passwordPolicy": {} })),
        ("{ me { ... @include(if: false) { id } } users { nodes { id @skip(if: true) } } }", {
            json!({ "me": {}, "users": { "nodes": [{}] } })
        }),
        (
            "query($more: Boolean = false) { me { ...More } } fragment More on User { ...Name @include(if: $more) }
             fragment Name on User { username }",
            json!({ "me": {} }),
        ),
        ("{ me { username id @skip(if: true) } }", json!({ "me": { "username": "admin" } })),
        ("{ me { __selected: username id @skip(if: true) } }", json!({ "me": { "__selected": "admin" } })),
        ("{ __schema { queryType { name @skip(if: false) } } }", {
            json!({ "__schema": { "queryType": { "name": "Query" } } })
        }),
    ] {
        assert_eq!(admin.data(document, json!({})).await, data, "{document}");
    }
    let mixed = "{ passwordPolicy { minLength @skip(if: true) } users { totalCount } }";
    let answer = app.anyone().send(mixed, json!({})).await;
    assert_eq!(answer.body["data"], json!({ "passwordPolicy": {}, "users": null }));
    assert_eq!(answer.code(), "UNAUTHENTICATED MISSING");
}

#[both_databases]
async fn a_request_with_duplicate_keys_is_refused(place: Place) {
    let app = TestApp::start(&place).await;
    for body in [
        r#"{"query":"{__typename}","query":"{me{id}}"}"#,
        r#"{"query":"{__typename}","variables":{},"variables":null}"#,
        r#"{"query":"query($a:ID!){user(id:$a){id}}","variables":{"a":"1","a":"2"}}"#,
        r#"{"query":"{__typename}","qu\u0065ry":"{me{id}}"}"#,
    ] {
        let answer = post(&app, MODERN, JSON, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{body}");
    }
    let login =
        "mutation { login(input: { identifier: \"a\", password: \"x\", identifier: \"b\" }) { errors { code } } }";
    assert_eq!(post(&app, MODERN, JSON, &query(login)).await.code(), "GRAPHQL_VALIDATION_FAILED");
    for query in [
        "query=%7B__typename%7D&query=%7Bme%7Bid%7D%7D",
        "query=%7B__typename%7D&variables=%7B%22a%22%3A1%2C%22a%22%3A2%7D",
        "query=%7B__typename%7D%23%FF",
        "query=%7B__typename%7D%23%ED%A0%80",
    ] {
        let answer = app.anyone().get(&format!("/graphql?{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{query}");
    }
}

#[both_databases]
async fn persisted_documents_are_reported_as_unsupported(place: Place) {
    let app = TestApp::start(&place).await;
    let extensions = r#"{"persistedQuery":{"version":1,"sha256Hash":"x"}}"#;
    let encoded: String = url::form_urlencoded::byte_serialize(extensions.as_bytes()).collect();
    let by_get = async |query: &str| app.anyone().get(&format!("/graphql?{query}")).await;
    for answer in [
        post(&app, JSON, JSON, &format!(r#"{{"operationName":"A","extensions":{extensions}}}"#)).await,
        post(&app, JSON, JSON, r#"{"documentId":"sha256:x","variables":{}}"#).await,
        by_get(&format!("extensions={encoded}")).await,
        by_get(&format!("operationName=A&variables=%7B%7D&extensions={encoded}")).await,
        by_get("documentId=sha256%3Ax").await,
    ] {
        let error = json!({ "message": "PersistedQueryNotSupported", "extensions": { "code": "PERSISTED_QUERY_NOT_SUPPORTED" } });
        assert_eq!((answer.status, answer.body), (200, json!({ "errors": [error] })));
    }
    let modern = post(&app, MODERN, JSON, r#"{"documentId":"sha256:x"}"#).await;
    assert_eq!((modern.status, modern.code().as_str()), (400, "PERSISTED_QUERY_NOT_SUPPORTED"));
    // With its document, the request is answered like any other.
    let whole = post(&app, JSON, JSON, &format!(r#"{{"query":"{{__typename}}","extensions":{extensions}}}"#)).await;
    assert_eq!(whole.body, json!({ "data": { "__typename": "Query" } }));
}

#[both_databases]
async fn nul_in_a_document_is_refused(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    for document in [
        r#"{ users(search: "\u0000") { totalCount } }"#,
        r#"mutation { recordSample(input: { key: "k", title: "a\u0000b" }) { errors { code } } }"#,
        r#"query($s: String = "\u0000") { users(search: $s) { totalCount } }"#,
        r#"{ users(search: """x""", after: "\u0000") { totalCount } }"#,
        "{ users(search: \"\0\") { totalCount } }",
    ] {
        assert_eq!(admin.code(document, json!({})).await, "BAD_REQUEST", "{document}");
    }
    let variable = "query($s: String) { users(search: $s) { totalCount } }";
    assert_eq!(admin.code(variable, json!({ "s": "\0" })).await, "BAD_REQUEST");
    let emoji = r#"{ users(search: "\ud83d\ude00 \u00e4") { totalCount } }"#;
    assert_eq!(admin.data(emoji, json!({})).await, json!({ "users": { "totalCount": 0 } }));
    assert_eq!(admin.code(r#"{ users(search: "\ud83d") { totalCount } }"#, json!({})).await, "GRAPHQL_PARSE_FAILED");
}

#[both_databases]
async fn operations_are_chosen_by_name(place: Place) {
    let app = TestApp::start(&place).await;
    let two = "query A { a: __typename } query B($id: ID!) { user(id: $id) { id } }";
    let ask = async |name: Value| {
        let body = json!({ "query": two, "operationName": name }).to_string();
        post(&app, MODERN, JSON, &body).await
    };
    assert_eq!(ask(json!("A")).await.body, json!({ "data": { "a": "Query" } }), "what B needs does not matter");
    assert_eq!(ask(json!("B")).await.code(), "BAD_USER_INPUT");
    for name in [json!("C"), json!(null), json!("")] {
        let answer = ask(name.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "OPERATION_RESOLUTION_FAILURE"), "{name}");
    }
}

#[both_databases]
async fn names_are_suggested_only_where_they_can_be_asked_for(place: Place) {
    let app = TestApp::start(&place).await;
    let closed = app.start_second_with(&place, |config| config.introspection = false).await;
    let mut suggested = 0;
    for document in [
        "{ usrs { nodes { id } } }",
        "{ users(frst: 1) { totalCount } }",
        "{ users { nodes { usernam } } }",
        "{ users(orderBy: [{ field: DATE_JOIND, direction: DESC }]) { totalCount } }",
        "mutation { logn { errors { code } } }",
        "mutation { login(input: { identifer: \"x\", password: \"x\" }) { errors { code } } }",
        "query($x: UserFiltr) { users(filter: $x) { totalCount } }",
        "{ me { ...f } } fragment f on Usr { id }",
        "{ passwordPolicy @skp(if: true) { minLength } }",
    ] {
        let (open, closed) =
            (post(&app, MODERN, JSON, &query(document)).await, post(&closed, MODERN, JSON, &query(document)).await);
        assert_eq!((open.status, closed.status), (400, 400), "{document}");
        assert_eq!(open.code(), closed.code(), "{document}");
        suggested += usize::from(open.body.to_string().contains("Did you mean"));
        assert!(!closed.body.to_string().contains("Did you mean"), "{}", closed.body);
        for name in ["users", "first", "username", "DATE_JOINED", "login", "identifier", "UserFilter"] {
            let is_told = closed.body.to_string().contains(name) && !document.contains(name);
            assert!(!is_told, "{name}: {}", closed.body);
        }
    }
    assert!(suggested > 0, "it is a help where the schema is open");
    let schema = "{ __schema { types { name } } __type(name: \"User\") { name } }";
    assert_eq!(closed.anyone().data(schema, json!({})).await, json!({ "__schema": null, "__type": null }));
}

#[both_databases]
async fn two_body_lengths_in_one_request_are_refused(place: Place) {
    let app = TestApp::start(&place).await;
    let body = query(TYPENAME);
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    for (headers, body) in [
        (format!("content-length: {}\r\ntransfer-encoding: chunked", body.len()), &chunked),
        (format!("transfer-encoding: chunked\r\ncontent-length: {}", chunked.len() + smuggled.len()), &chunked),
        (format!("content-length: {}\r\ncontent-length: 3", body.len()), &body),
        ("content-length: +3".to_owned(), &body),
        ("transfer-encoding: chunked, identity".to_owned(), &chunked),
        ("transfer-encoding : chunked".to_owned(), &chunked),
        ("transfer-encoding: xchunked".to_owned(), &chunked),
    ] {
        let mut stream = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
        let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        let _ = stream.write_all(format!("{head}{headers}\r\n\r\n{body}{smuggled}").as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.matches("HTTP/1.1 ").count() <= 1 && !answer.ends_with("ok\n"), "{headers}: {answer}");
    }
}

#[both_databases]
async fn methods_without_a_document_do_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    let ask = async |method: &str, path: &str| app.anyone().finish(app.anyone().request(method, path)).await;
    let head = ask("HEAD", "/graphql?query=%7B__typename%7D").await;
    assert_eq!((head.status, head.body), (200, json!("")));
    assert_eq!(ask("HEAD", "/graphql?query=mutation%7Blogout%7Bsuccess%7D%7D").await.status, 405);
    assert_eq!(ask("HEAD", "/graphql").await.status, 400);
    let options = ask("OPTIONS", "/graphql?query=%7B__typename%7D").await;
    assert_eq!((options.status, options.header("allow"), &options.body), (200, "GET,HEAD,POST", &json!("")));
    for method in ["PUT", "PATCH", "DELETE", "QUERY"] {
        let answer = ask(method, "/graphql?query=%7B__typename%7D").await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "BAD_REQUEST"), "{method}");
    }
    // A page of another origin is not allowed to call.
    let request = app.anyone().request("OPTIONS", "/graphql").header("origin", "https://evil.example");
    let foreign = app.anyone().finish(request.header("access-control-request-method", "POST")).await;
    assert_eq!(foreign.header("access-control-allow-origin"), "");
}

#[both_databases]
async fn subscriptions_are_not_served_over_http(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let listen = "subscription { onlineUsers { id } }";
    let posted = admin.send(listen, json!({})).await;
    assert_eq!((posted.status, posted.code().as_str()), (200, "BAD_REQUEST"));
    assert_eq!(post(&app, MODERN, JSON, &query(listen)).await.status, 400);
    let got = admin.get("/graphql?query=subscription%7BonlineUsers%7Bid%7D%7D").await;
    assert_eq!((got.status, got.header("allow"), got.code().as_str()), (405, "POST", "BAD_REQUEST"));
    for accept in ["text/event-stream", "multipart/mixed"] {
        assert_eq!(post(&app, Some(accept), JSON, &query(listen)).await.status, 406, "{accept}");
    }
}

#[both_databases]
async fn one_client_cannot_hold_up_the_others(place: Place) {
    let app = TestApp::start(&place).await;
    let mut wide = "{ ...f0 }".to_owned();
    for level in 0..22 {
        wide += &format!(" fragment f{level} on Query {{ {} }}", format!("...f{} ", level + 1).repeat(8));
    }
    wide += " fragment f22 on Query { __typename }";
    let schemas: String = (0..1000).map(|number| format!("a{number}: __schema {{ __typename }} ")).collect();
    let text = format!("{{ user(id: \"\"\"{}\"\"\") {{ id }} }}", "x".repeat(100_000));
    for hostile in [wide, format!("{{ {schemas} }}"), text] {
        let (app, hostile) = (&app, &query(&hostile));
        let all = (0..8).map(|_| post(app, MODERN, JSON, hostile));
        for answer in futures_util::future::join_all(all).await {
            assert_eq!((answer.status, answer.code().as_str()), (400, "QUERY_TOO_COMPLEX"), "{}", answer.body);
        }
    }
}

#[both_databases]
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

#[both_databases]
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

#[both_databases]
async fn nothing_personal_is_kept_by_caches(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let anyone = app.anyone();
    let mut answers = Vec::new();
    for document in
        ["{ me { id } }", "{ users { nodes { id } } }", "mutation { logout { success } }", "{ nonsense", "{ a { b } }"]
    {
        answers.push((document, app.admin().await.send(document, json!({})).await));
        answers.push((document, anyone.send(document, json!({})).await));
    }
    for path in [
        "/export/users.csv",
        "/export/users.xlsx",
        "/export/samples.csv",
        "/import/users.xlsx",
        "/readyz",
        "/healthz",
        "/account/sign-in",
        "/account/forgot",
        "/account/register",
        "/account/verify?token=x",
        "/account/undo?token=x",
        "/account/reset?uid=x&token=x",
        "/dev/mail",
        "/graphiql",
        "/media/avatars/nothing.jpg",
        "/nowhere",
    ] {
        answers.push((path, admin.get(path).await));
        answers.push((path, anyone.get(path).await));
    }
    for method in ["PUT", "DELETE", "OPTIONS"] {
        answers.push((method, admin.finish(admin.request(method, "/graphql")).await));
    }
    for (what, answer) in answers {
        assert_eq!(answer.header("cache-control"), "no-store", "{what} ({})", answer.status);
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
    }
}

#[both_databases]
async fn health_and_readiness_are_reported(place: Place) {
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

#[both_databases]
async fn an_unknown_path_is_not_found(place: Place) {
    let app = TestApp::start(&place).await;
    assert_eq!(app.anyone().get("/nowhere").await.status, 404);
}

#[both_databases]
async fn a_fault_is_logged_under_the_number_that_the_client_sees(place: Place) {
    use sea_orm::ConnectionTrait as _;
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    app.db().execute_unprepared("ALTER TABLE samples RENAME TO elsewhere").await.unwrap();
    let answer = admin.send("{ recentSamples { id } }", json!({})).await;
    assert_eq!(answer.code(), "INTERNAL_SERVER_ERROR");
    let id = answer.header("x-request-id");
    assert_eq!(answer.body["errors"][0]["extensions"]["requestId"], id);
    assert_eq!(answer.body["errors"][0]["message"], "Something went wrong on our side. Try again later.");
    assert!(!answer.body.to_string().contains("samples\""), "{}", answer.body);
}
