//! Equivalent forms of requests, as specified by GraphQL and JSON.

use serde_json::{Value, json};
use test_macros::both_databases;

use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

/// Records a sample with this title in the document, and returns the stored title.
async fn title(client: &Client, written: &str) -> Value {
    let record = format!(
        "mutation {{ recordSample(input: {{ key: \"S\", title: {written} }}) {{ sample {{ title }} errors {{ message }} }} }}"
    );
    let data = client.data(&record, json!({})).await;
    data["recordSample"]["sample"]["title"].clone()
}

#[both_databases]
async fn block_strings_are_read_as_specified(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    assert_eq!(title(&ada, r#""""say \""" aloud""""#).await, r#"say """ aloud"#);
    assert_eq!(title(&ada, r#""""a "quoted" \n backslash""""#).await, r#"a "quoted" \n backslash"#);
    assert_eq!(title(&ada, "\"\"\"\n   one line\n   \"\"\"").await, "one line");
    let bio = "mutation { updateMe(input: { bio: \"\"\"\n    first\n      second\n\n    third\n  \"\"\" }) { user { bio } errors { code } } }";
    let data = ada.data(bio, json!({})).await;
    assert_eq!(data["updateMe"]["user"]["bio"], "first\n  second\n\nthird");
    let wrong = ada.send("{\n  me {\n id(a: \"\"\"x\ny\"\"\") ) }\n}", json!({})).await;
    assert_eq!(wrong.body["errors"][0]["locations"], json!([{ "line": 4, "column": 7 }]), "{}", wrong.body);
}

#[both_databases]
async fn strings_have_escapes_for_every_character(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    assert_eq!(title(&ada, r#""\u{1F600} \u{e4} \ud83d\ude00""#).await, "😀 ä 😀");
    for wrong in [r"\u{110000}", r"\u{d800}", r"\u{}", r"\u{1F600", r"\ud83d"] {
        let document = format!("{{ user(id: \"{wrong}\") {{ id }} }}");
        assert_eq!(ada.code(&document, json!({})).await, "GRAPHQL_PARSE_FAILED", "{wrong}");
    }
}

#[both_databases]
async fn an_integer_may_be_written_with_a_fraction_of_nought_in_variables(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let list = "query($n: Int) { users(first: $n) { nodes { id } } }";
    for written in ["1", "1.0", "1e0", "10.0e-1"] {
        let body = format!("{{\"query\":\"{list}\",\"variables\":{{\"n\":{written}}}}}");
        let answer = admin.post(body).await;
        assert_eq!(
            answer.body["data"]["users"]["nodes"].as_array().map(Vec::len),
            Some(1),
            "{written}: {}",
            answer.body
        );
    }
    for written in ["1.5", "4294967296.0", "\"1\"", "1e400"] {
        let body = format!("{{\"query\":\"{list}\",\"variables\":{{\"n\":{written}}}}}");
        let code = admin.post(body).await.code();
        assert!(["BAD_USER_INPUT", "BAD_REQUEST"].contains(&code.as_str()), "{written}: {code}");
    }
    let literal = "{ users(first: 1.0) { nodes { id } } }";
    assert_eq!(admin.code(literal, json!({})).await, "BAD_USER_INPUT", "a document has integers of its own");
}

#[both_databases]
async fn an_empty_operation_name_is_none_by_every_method(place: Place) {
    let app = TestApp::start(&place).await;
    let anyone = app.anyone();
    let body = json!({ "query": "{ __typename }", "operationName": "" }).to_string();
    assert_eq!(anyone.post(body).await.body["data"]["__typename"], "Query");
    let answer = anyone.get("/graphql?query=%7B__typename%7D&operationName=").await;
    assert_eq!(answer.body["data"]["__typename"], "Query");
}

#[both_databases]
async fn the_charset_and_the_path_may_be_spelled_otherwise(place: Place) {
    let app = TestApp::start(&place).await;
    for path in ["/graphql", "/graphql/"] {
        for kind in ["application/json; charset=utf8", "application/json;charset=UTF-8", "application/json"] {
            let request = app.anyone().request("POST", path).header("content-type", kind);
            let answer = app.anyone().finish(request.body(r#"{"query":"{ __typename }"}"#)).await;
            assert_eq!(answer.body["data"]["__typename"], "Query", "{path} {kind}: {}", answer.body);
        }
        let answer = app.anyone().get(&format!("{path}?query=%7B__typename%7D")).await;
        assert_eq!(answer.body["data"]["__typename"], "Query", "{path}");
    }
}

#[both_databases]
async fn bodies_that_are_not_plain_json_are_refused_with_a_reason(place: Place) {
    let app = TestApp::start(&place).await;
    for (body, told) in [
        (&b"\xef\xbb\xbf{\"query\":\"{ __typename }\"}"[..], "byte order mark"),
        (b"{\"query\":\"{ __typename } # \xfc\"}", "must be UTF-8"),
        (br#"{"query":"{ __typename } # \ud83d"}"#, "half of a surrogate pair"),
        (br#"{"query":"{ __typename }","query":"{ __typename }"}"#, "duplicate members"),
        (b"query { __typename }", "must be JSON."),
    ] {
        let answer = app.anyone().post(body.to_vec()).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"));
        let message = answer.body["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(told), "{message}");
    }
}
