//! Headers with non-ASCII bytes from other programs.

use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use test_macros::both_databases;

use crate::pages::{attribute, text};
use crate::test_app::{ADMIN, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

/// Spellings of Zürich by other programs: in Latin-1 and in UTF-8.
const SPELLINGS: [&[u8]; 2] = [b"Z\xfcrich", b"Z\xc3\xbcrich"];

fn value(parts: &[&[u8]]) -> HeaderValue {
    HeaderValue::from_bytes(&parts.concat()).unwrap()
}

async fn post(app: &TestApp, header: (&str, HeaderValue), query: &str) -> Answer {
    let request = app.anyone().request("POST", "/graphql").header("content-type", "application/json");
    let request = request.header(header.0, header.1).body(json!({ "query": query }).to_string());
    app.anyone().finish(request).await
}

#[both_databases]
async fn a_cookie_of_another_program_spoils_none_of_ours(place: Place) {
    let app = TestApp::start(&place).await;
    let refresh = "mutation { refresh { tokens { accessToken } errors { code } } }";
    for city in SPELLINGS {
        let token = app.admin().await.refresh;
        let ours = format!("; refresh_token={token}; x=1");
        let cookie = value(&[b"city=", city, ours.as_bytes()]);
        let answer = post(&app, ("cookie", cookie), refresh).await;
        assert_eq!(answer.body["data"]["refresh"]["errors"], json!([]), "{}", answer.body);
        assert!(answer.body["data"]["refresh"]["tokens"]["accessToken"].is_string());
    }
}

#[both_databases]
async fn a_form_is_taken_beside_a_cookie_of_another_program(place: Place) {
    let app = TestApp::start(&place).await;
    for city in SPELLINGS {
        let page = app.anyone().get("/account/sign-in").await;
        let csrf = attribute(text(&page).split("name=\"csrf\"").nth(1).unwrap(), "value");
        let ours = format!("; csrf={csrf}");
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("csrf", csrf.as_str()), ("identifier", ADMIN.0), ("password", ADMIN.1)])
            .finish();
        let request = app.anyone().request("POST", "/account/sign-in").body(body);
        let request = request.header("content-type", "Application/X-WWW-Form-URLencoded; charset=utf-8");
        let answer = app.anyone().finish(request.header("cookie", value(&[b"city=", city, ours.as_bytes()]))).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/account"));
    }
}

#[both_databases]
async fn a_hop_that_cannot_be_read_does_not_hide_the_client(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let wrong = "mutation { login(input: { identifier: \"nobody\", password: \"wrong\" }) { errors { code } } }";
    for city in SPELLINGS {
        post(&app, ("x-forwarded-for", value(&[city, b", 198.51.100.7"])), wrong).await;
    }
    let trail = "{ auditEvents(filter: { action: LOGIN_FAILED }) { nodes { ip } } }";
    let events = app.admin().await.data(trail, json!({})).await;
    let seen: Vec<&Value> = events["auditEvents"]["nodes"].as_array().unwrap().iter().map(|node| &node["ip"]).collect();
    assert_eq!(seen, ["198.51.100.7", "198.51.100.7"]);
}

#[both_databases]
async fn a_media_type_that_cannot_be_read_hides_none_beside_it(place: Place) {
    let app = TestApp::start(&place).await;
    for city in SPELLINGS {
        let accept = value(&[b"text/", city, b", application/graphql-response+json"]);
        let answer = post(&app, ("accept", accept), "{ __typename }").await;
        assert_eq!(answer.header("content-type"), "application/graphql-response+json; charset=utf-8");
    }
}
