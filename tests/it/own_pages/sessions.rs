//! The devices of a user.

use serde_json::json;
use test_macros::both_databases;

use super::{plain, signed_in};
use crate::pages::{attribute, text};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

async fn on_firefox(app: &TestApp, name: &str) -> Client {
    app.anyone().with_header("user-agent", FIREFOX).sign_in(name, PASSWORD).await
}

#[both_databases]
async fn devices_have_names_and_end_one_by_one(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut other = on_firefox(&app, "ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open("/account/sessions").await;
    let html = plain(&page);
    assert!(html.contains("Firefox on Windows") && html.contains("This device"), "{html}");
    assert!(html.contains("Network address of the sign-in: 127.0.0.1"), "{html}");
    assert!(html.contains("<time datetime=\"2026-01-05T09:00:00"), "{html}");
    let page = browser.submit_to(&page, "/account/sessions/end", &[]).await;
    assert!(
        plain(&page).contains("The device is signed out.") && !plain(&page).contains("Firefox"),
        "{}",
        plain(&page)
    );
    assert_eq!(other.refresh().await, Err("INVALID_TOKEN".to_owned()));
    assert_eq!(browser.open("/account").await.status, 200);
}

#[both_databases]
async fn all_other_devices_end_at_once(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    app.add_user("eve").await;
    let (mut one, mut two, mut eve) =
        (on_firefox(&app, "ada").await, on_firefox(&app, "ada").await, on_firefox(&app, "eve").await);
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open("/account/sessions").await;
    let page = browser.submit_to(&page, "/account/sessions/end-others", &[]).await;
    assert!(plain(&page).contains("You are signed out on all other devices."), "{}", plain(&page));
    assert!(one.refresh().await.is_err() && two.refresh().await.is_err() && eve.refresh().await.is_ok());
    assert_eq!(browser.open("/account/sessions").await.status, 200);
}

#[both_databases]
async fn a_session_of_somebody_else_is_unknown(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    app.add_user("eve").await;
    let (mut eve, _ada) = (on_firefox(&app, "eve").await, on_firefox(&app, "ada").await);
    let theirs = eve.data("{ sessions { id } }", json!({})).await["sessions"][0]["id"].as_str().unwrap().to_owned();
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open("/account/sessions").await;
    for id in [theirs.as_str(), "019b8d62-7a80-737f-9974-f356954f143d", "x", "' OR 1=1"] {
        let refused = browser.submit_to(&page, "/account/sessions/end", &[("id", id)]).await;
        assert_eq!(refused.status, 422, "{id}");
        assert!(plain(&refused).contains("You have no session with this id."), "{id}: {}", plain(&refused));
    }
    assert!(eve.refresh().await.is_ok());
}

#[both_databases]
async fn an_ended_session_ends_its_pages(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let client = on_firefox(&app, "ada").await;
    let page = browser.open("/account/sessions").await;
    let ended = client.data("mutation { revokeOtherSessions { success errors { code } } }", json!({})).await;
    assert_eq!(ended["revokeOtherSessions"], json!({ "success": true, "errors": [] }));
    let led = browser.submit_to(&page, "/account/sessions/end-others", &[]).await;
    assert!(text(&led).contains("name=\"identifier\""), "{}", text(&led));
    assert_eq!(attribute(text(&led).split("name=\"returnTo\"").nth(1).unwrap(), "value"), "/account/sessions");
    let names = client.data("{ sessions { deviceName isCurrent } }", json!({})).await;
    assert_eq!(names["sessions"], json!([{ "deviceName": "Firefox on Windows", "isCurrent": true }]));
}
