//! Names are text in every place.

use serde_json::json;
use test_macros::both_databases;

use super::{Form, page_of, superuser};
use crate::pages::text;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const NAMES: [&str; 5] = [
    "<img src=x onerror=alert(1)>",
    "\"><script>alert(1)</script>",
    "אבגד \u{5d4}וזח",
    "王小明王小明王小明王小明王小明王小明王小明王小明王小明",
    "'--{{7*7}}&lt;b&gt;",
];

#[both_databases]
async fn a_name_is_text_on_every_page(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = superuser(&app).await;
    for (number, name) in NAMES.into_iter().enumerate() {
        let input = json!({
            "email": format!("u{number}@example.com"), "username": format!("u{number}"), "password": PASSWORD,
            "firstName": name, "lastName": "x".repeat(150), "phone": "<b>1</b>", "address": "</textarea><b>2</b>",
        });
        let person = app.add(input).await;
        let token = "mutation($name: String!) { createApiToken(input: { name: $name, scopes: [READ], expiresAt: \"2026-01-20T00:00:00Z\" }) { errors { code } } }";
        person.sign_in(&app).await.with_header("user-agent", "<i>curl</i>").data(token, json!({ "name": name })).await;
        let sample =
            "mutation($name: String!) { recordSample(input: { key: $name, title: $name }) { errors { code } } }";
        person.sign_in(&app).await.data(sample, json!({ "name": name })).await;
        let own = page_of(&person);
        let list = browser.open("/console/users").await;
        let selected = Form::of(&list, "/console/users/selected").with("id", &person.id).with("do", "deactivate");
        let asked = selected.send(&mut browser).await;
        let confirm = Form::of(&asked, "/console/users/selected");
        let mut pages = vec![list, asked, browser.open(&own).await];
        for action in ["delete", "deactivate", "set-password", "send-reset", "end-sessions"] {
            pages.push(browser.open(&format!("{own}/{action}")).await);
        }
        pages.push(browser.open(&format!("/console/users?search={}&externalId=%22%3E%3Ci%3E", "%3Cimg%22%3E")).await);
        pages.push(confirm.send(&mut browser).await);
        for page in &pages {
            let html = text(page);
            for tag in ["<img src=x", "<script>", "<b>", "<i>"] {
                assert!(!html.contains(tag), "{tag} in {html}");
            }
        }
        let html = text(&pages[2]);
        let escaped = name
            .replace('&', "&#38;")
            .replace('<', "&#60;")
            .replace('>', "&#62;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;");
        assert!(html.contains(&format!("<bdi>{escaped} x")), "the heading isolates the name: {html}");
        assert!(html.contains("dir=\"auto\""));
    }
}
