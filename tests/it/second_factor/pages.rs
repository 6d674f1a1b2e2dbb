//! The page that asks for the second factor.

use serde_json::json;
use test_macros::both_databases;

use super::{enrolled, sessions_of};
use crate::pages::{Browser, text};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

#[both_databases]
async fn the_page_asks_for_a_code_and_signs_in(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    let asked = browser.submit(&page, &[("identifier", &ada.email), ("password", PASSWORD)]).await;
    assert!(text(&asked).contains("Enter your code") && text(&asked).contains("autocomplete=\"one-time-code\""));
    let refused = browser.submit(&asked, &[("code", &phone.wrong_code(&app))]).await;
    assert!(refused.status == 422 && text(&refused).contains("This code is wrong"), "{}", text(&refused));
    assert_eq!(browser.cookie("refresh_token"), None);
    let done = browser.submit(&refused, &[("code", &phone.code(&app))]).await;
    assert!(text(&done).contains("You are signed in"), "{}", text(&done));
    assert!(browser.cookie("refresh_token").is_some());
}

#[both_databases]
async fn a_form_that_is_sent_twice_signs_in_once(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    let asked = browser.submit(&page, &[("identifier", &ada.email), ("password", PASSWORD)]).await;
    let before = sessions_of(&app, &ada).await;
    for _ in 0..2 {
        let done = browser.submit(&asked, &[("code", &phone.recovery_codes[0])]).await;
        assert!(text(&done).contains("You are signed in"), "{}", text(&done));
    }
    assert_eq!(sessions_of(&app, &ada).await, before + 1);
}

#[both_databases]
async fn a_challenge_that_ended_leads_back_to_the_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, client, phone) = enrolled(&app, "ada").await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    let asked = browser.submit(&page, &[("identifier", &ada.email), ("password", PASSWORD)]).await;
    client.data("mutation { logout(input: { everywhere: true }) { success } }", json!({})).await;
    let ended = browser.submit(&asked, &[("code", &phone.code(&app))]).await;
    assert!(ended.status == 422 && text(&ended).contains("Please sign in again"), "{}", text(&ended));
    assert!(text(&ended).contains("href=\"/account/sign-in\""), "{}", text(&ended));
    let start = app.anyone().get("/account/second-factor").await;
    assert_eq!((start.status, start.header("location")), (303, "/account/sign-in"));
}
