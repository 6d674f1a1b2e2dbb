//! `returnTo`: the page to go on to after a sign-in, a proof or a sign-out.

use std::time::Duration;

use test_macros::both_databases;

use super::{plain, signed_in};
use crate::pages::{Browser, attribute, text};
use crate::second_factor::enrolled;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

const APP: &str = "https://app.example/start?a=b";
const QUERY: &str = "returnTo=https%3A%2F%2Fapp.example%2Fstart%3Fa%3Db";

/// Addresses that must not be followed.
const EVIL: [&str; 15] = [
    "//evil.example",
    "///evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/.//evil.example",
    "https:evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "https://app.example@evil.example",
    "https://app.example:8443/",
    "http://app.example/",
    "https://app.example.evil.example/",
    "%2F%2Fevil.example",
];

async fn start(place: &Place) -> TestApp {
    let app = TestApp::start_with(place, |config| {
        config.allowed_origins = vec!["https://app.example".parse().unwrap()];
    })
    .await;
    app.add_user("ada").await;
    app
}

/// Sends a form of an open page without following the redirect.
async fn sent(browser: &mut Browser<'_>, app: &TestApp, page: &Answer, typed: &[(&str, &str)]) -> Answer {
    let html = crate::pages::content(text(page));
    let form = html.split("<form").nth(1).unwrap().split("</form>").next().unwrap();
    let hidden = form.split("<input type=\"hidden\"").skip(1);
    let hidden: Vec<_> = hidden.map(|input| (attribute(input, "name"), attribute(input, "value"))).collect();
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(hidden).extend_pairs(typed).finish();
    let request = app.anyone().request("POST", &attribute(form, "action")).body(body);
    browser.finish(request.header("content-type", "application/x-www-form-urlencoded")).await
}

#[both_databases]
async fn a_sign_in_leads_back_to_a_listed_origin(place: Place) {
    let app = start(&place).await;
    let mut browser = Browser::new(&app);
    let page = browser.open(&format!("/account/sign-in?{QUERY}")).await;
    assert!(plain(&page).contains("Back to app.example"), "{}", plain(&page));
    assert!(text(&page).contains(&format!("href=\"/account/register?{QUERY}\"")), "{}", text(&page));
    // Browsers apply this to the redirect after the form.
    assert!(page.header("content-security-policy").contains("form-action 'self' https://app.example;"));
    let wrong = browser.submit(&page, &[("identifier", "ada"), ("password", "wrong")]).await;
    assert_eq!(wrong.status, 422);
    let done = sent(&mut browser, &app, &wrong, &[("identifier", "ada"), ("password", PASSWORD)]).await;
    assert_eq!((done.status, done.header("location")), (303, APP));
    // The pages of the account keep the way back.
    let page = browser.open(&format!("/account?{QUERY}")).await;
    assert!(text(&page).contains(&format!("href=\"/account/sessions?{QUERY}\"")), "{}", text(&page));
}

#[both_databases]
async fn nothing_else_is_followed(place: Place) {
    let app = start(&place).await;
    for evil in EVIL {
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("returnTo", evil).finish();
        let mut browser = Browser::new(&app);
        for path in ["/account/sign-in", "/account/register", "/account/forgot", "/account/verify", "/account/sign-out"]
        {
            let page = browser.open(&format!("{path}?{query}")).await;
            assert!(
                !page.header("location").contains("evil") && !page.header("location").contains("8443"),
                "{path}: {evil}"
            );
            let html = page.body.as_str().unwrap_or_default();
            assert!(!html.contains("name=\"returnTo\"") && !html.contains("evil"), "{path}: {evil}: {html}");
            assert!(!page.header("content-security-policy").contains("evil"), "{path}: {evil}");
        }
        // A forged hidden field is no better.
        let page = browser.open("/account/sign-in").await;
        let typed = [("identifier", "ada"), ("password", PASSWORD), ("returnTo", evil)];
        let done = sent(&mut browser, &app, &page, &typed).await;
        assert_eq!((done.status, done.header("location")), (303, "/account"), "{evil}");
    }
}

#[both_databases]
async fn the_way_back_survives_a_second_factor(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.allowed_origins = vec!["https://app.example".parse().unwrap()];
    })
    .await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let mut browser = Browser::new(&app);
    let page = browser.open(&format!("/account/sign-in?{QUERY}")).await;
    let asked = browser.submit(&page, &[("identifier", &ada.email), ("password", PASSWORD)]).await;
    let wrong = browser.submit(&asked, &[("code", &phone.wrong_code(&app))]).await;
    assert_eq!(wrong.status, 422);
    let done = sent(&mut browser, &app, &wrong, &[("code", &phone.code(&app))]).await;
    assert_eq!((done.status, done.header("location")), (303, APP));
}

#[both_databases]
async fn a_proof_leads_back_and_the_page_before_it_too(place: Place) {
    let app = start(&place).await;
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open(&format!("/account/prove?{QUERY}")).await;
    let done = sent(&mut browser, &app, &page, &[("password", PASSWORD)]).await;
    assert_eq!((done.status, done.header("location")), (303, APP));
    app.wait(Duration::from_secs(11 * 60));
    let led = browser.open(&format!("/account/tokens/new?{QUERY}")).await;
    let asked = browser.follow(led).await;
    let form = browser.submit(&asked, &[("password", PASSWORD)]).await;
    assert!(plain(&form).contains("Create an API token") && plain(&form).contains("Back to app.example"));
}

#[both_databases]
async fn a_sign_out_leads_back(place: Place) {
    let app = start(&place).await;
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open(&format!("/account/sign-out?{QUERY}")).await;
    let done = sent(&mut browser, &app, &page, &[]).await;
    assert_eq!((done.status, done.header("location")), (303, APP));
    assert_eq!(browser.cookie("refresh_token"), Some(""));
    assert_eq!(browser.open(&format!("/account/sign-out?{QUERY}")).await.header("location"), APP);
}

#[both_databases]
async fn somebody_signed_in_goes_on_or_switches(place: Place) {
    let app = start(&place).await;
    app.add_user("eve").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open(&format!("/account/sign-in?{QUERY}")).await;
    let html = plain(&page);
    assert!(html.contains("You are signed in as ada@example.com."), "{html}");
    assert!(html.contains(&format!("<a href=\"{APP}\">Continue</a>")), "{html}");
    assert!(!crate::pages::content(text(&page)).contains("name=\"password\""));
    let page = browser.open(&format!("/account/sign-in?switch=1&{QUERY}")).await;
    let done = sent(&mut browser, &app, &page, &[("identifier", "eve"), ("password", PASSWORD)]).await;
    assert_eq!(done.header("location"), APP);
    assert!(plain(&browser.open("/account").await).contains("eve@example.com"));
}

#[both_databases]
async fn a_visit_from_another_site_is_loaded_once_more(place: Place) {
    let app = start(&place).await;
    let mut browser = signed_in(&app, "ada").await;
    let visit = |path: &str, site: &'static str| {
        let cookies = format!("refresh_token={}", signed_token(&browser));
        let request = app.anyone().request("GET", path).header("cookie", cookies).header("sec-fetch-mode", "navigate");
        request.header("sec-fetch-site", site)
    };
    for path in ["/account", "/account/profile", "/account/sign-in"] {
        for site in ["cross-site", "same-site"] {
            let page = app.anyone().finish(visit(&format!("{path}?{QUERY}"), site)).await;
            assert_eq!(page.status, 200);
            let refresh = attribute(text(&page).split("http-equiv=\"refresh\"").nth(1).unwrap(), "content");
            assert_eq!(refresh, format!("0; url={path}?{QUERY}&reloaded=1"));
            assert!(!text(&page).contains("ada@example.com"));
            // A browser that still reports another site is not sent around forever.
            let again = app.anyone().finish(visit(&format!("{path}?{QUERY}&reloaded=1"), site)).await;
            assert!(!again.body.as_str().unwrap_or_default().contains("http-equiv=\"refresh\""), "{path}");
        }
    }
    assert_eq!(browser.open(&format!("/account/profile?{QUERY}&reloaded=1")).await.status, 200);
}

fn signed_token(browser: &Browser<'_>) -> String {
    browser.cookie("refresh_token").unwrap().to_owned()
}
