//! Account pages of a signed-in user.

mod api_tokens;
mod data;
mod email;
mod leave;
mod profile;
mod return_to;
mod sessions;

use test_macros::both_databases;

use crate::pages::{Browser, text};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

/// Pages of a signed-in user, and their forms with the path that they are sent to.
const PAGES: [&str; 8] = [
    "/account",
    "/account/profile",
    "/account/email",
    "/account/sessions",
    "/account/tokens",
    "/account/data",
    "/account/deactivate",
    "/account/delete",
];

const FORMS: [&str; 13] = [
    "/account/profile",
    "/account/profile/photo/remove",
    "/account/email",
    "/account/email/resend",
    "/account/email/withdraw",
    "/account/sessions/end",
    "/account/sessions/end-others",
    "/account/tokens/new",
    "/account/tokens/rotate",
    "/account/tokens/delete",
    "/account/data/download",
    "/account/deactivate",
    "/account/delete",
];

/// A browser signed in as this user.
pub(crate) async fn signed_in<'a>(app: &'a TestApp, name: &str) -> Browser<'a> {
    let mut browser = Browser::new(app);
    let page = browser.open("/account/sign-in").await;
    let page = browser.submit(&page, &[("identifier", name), ("password", PASSWORD)]).await;
    assert!(text(&page).contains("You are signed in"), "{}", text(&page));
    browser
}

/// The page without HTML escapes of quotes.
fn plain(page: &Answer) -> String {
    text(page).replace("&#39;", "'").replace("&#34;", "\"").replace("&#38;", "&")
}

#[both_databases]
async fn without_a_session_every_page_leads_to_the_sign_in_and_back(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    for path in PAGES {
        let mut browser = Browser::new(&app);
        let sent = browser.open(path).await;
        assert_eq!(sent.status, 303, "{path}");
        let page = browser.follow(sent).await;
        let back = browser.submit(&page, &[("identifier", "ada"), ("password", PASSWORD)]).await;
        let title = text(&signed_in(&app, "ada").await.open(path).await).split("<title>").nth(1).unwrap().to_owned();
        let title = title.split("</title>").next().unwrap();
        assert!(text(&back).contains(&format!("<title>{title}</title>")), "{path}: {}", text(&back));
    }
}

#[both_databases]
async fn a_form_from_elsewhere_changes_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let browser = signed_in(&app, "ada").await;
    let (token, csrf) = (browser.cookie("refresh_token").unwrap(), browser.cookie("csrf").unwrap());
    for path in FORMS {
        for (fields, headers) in [
            ("", vec![]),
            ("csrf=wrong", vec![]),
            (&*format!("csrf={csrf}"), vec![("sec-fetch-site", "cross-site")]),
            (&*format!("csrf={csrf}"), vec![("origin", "https://evil.example")]),
        ] {
            let cookies = format!("refresh_token={token}; csrf={csrf}");
            let mut request = app.anyone().request("POST", path).header("cookie", cookies).body(fields.to_owned());
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            assert_eq!(app.anyone().finish(request).await.status, 403, "{path}");
        }
    }
}

#[both_databases]
async fn users_who_must_enrol_are_led_to_the_enrolment(place: Place) {
    use vestibule::config::SecondFactorPolicy;
    let policy = SecondFactorPolicy::All;
    let app = TestApp::start_with(&place, |config| config.second_factor = policy).await;
    let admin = crate::test_app::ADMIN;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in?returnTo=%2Fapp").await;
    let page = browser.submit(&page, &[("identifier", admin.0), ("password", admin.1)]).await;
    assert!(text(&page).contains("Your account needs a second factor."), "{}", text(&page));
    assert!(text(&page).contains("<a href=\"/app\">Back to the site</a>"), "{}", text(&page));
    for path in &PAGES[1..] {
        let led = browser.open(path).await;
        assert!(led.header("location").starts_with("/account/security?done=enroll"), "{path}: {}", led.status);
    }
    assert_eq!(browser.open("/account").await.status, 200);
}

#[both_databases]
async fn the_overview_shows_the_state_of_the_account(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let html = plain(&browser.open("/account").await);
    for part in ["1 device is signed in.", "Scripts cannot act for you.", "Only your password protects your account."] {
        assert!(html.contains(part), "{part}: {html}");
    }
    for path in &PAGES[1..] {
        assert!(html.contains(&format!("href=\"{path}\"")), "{path}");
    }
}
