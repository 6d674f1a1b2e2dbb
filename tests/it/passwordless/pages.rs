//! Pages that register without a password and create the passkey.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use vestibule::config::SecondFactorPolicy;
use vestibule::entity::user;

use super::{code, phone_of, rows};
use crate::pages::{Browser, attribute, text};
use crate::parity::registration::{REGISTER as REGISTER_BY_PASSWORD, token, wanted};
use crate::passkeys::{request, sign_in};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

/// A browser that registered on the page for passkeys, and the path of the emailed link.
async fn register_by_page<'a>(app: &'a TestApp, email: &str) -> (Browser<'a>, String) {
    let mut browser = Browser::new(app);
    let page = browser.open("/account/register").await;
    assert!(text(&page).contains("href=\"/account/register?with=passkey\""), "{}", text(&page));
    let page = browser.open("/account/register?with=passkey").await;
    assert!(!text(&page).contains("type=\"password\"") && text(&page).contains("without a password"));
    let wrong = browser.submit(&page, &[("email", "nonsense"), ("firstName", "Ada")]).await;
    assert!(wrong.status == 422 && !text(&wrong).contains("type=\"password\""), "{}", text(&wrong));
    assert!(
        text(&browser.submit(&wrong, &[("email", email), ("firstName", "Ada")]).await).contains("Check your email")
    );
    let mails = app.mails().await;
    let link = mails[0].text.split_whitespace().find(|word| word.contains("/account/verify?")).unwrap();
    (browser, link.strip_prefix(&app.url).unwrap().to_owned())
}

#[both_databases]
async fn the_page_of_the_link_creates_the_passkey(place: Place) {
    let app = TestApp::start(&place).await;
    let (mut browser, link) = register_by_page(&app, "ada@example.com").await;
    let page = browser.open(&link).await;
    let form = text(&page).split("<form").nth(1).unwrap();
    assert_eq!(attribute(form, "data-passkey"), "create");
    let from = attribute(form, "data-options-from");
    assert_eq!(from, "/account/verify/passkey-options");
    assert!(text(&page).contains("Set a password instead") && text(&page).contains("/account/passkeys.js"));
    let token = link.split_once("token=").unwrap().1;
    let fields = |csrf: &str| format!("csrf={csrf}&token={token}");
    let csrf = browser.cookie("csrf").unwrap().to_owned();
    let foreign = browser.post(&from, &fields("AAAA")).await;
    assert_eq!(foreign.status, 403, "a page of another site gets no options");
    let wrong = browser.post(&from, &format!("csrf={csrf}&token=nonsense")).await;
    assert_eq!(wrong.status, 422);
    // However long the page was open.
    app.wait(Duration::from_secs(20 * 60));
    let options = browser.post(&from, &fields(&csrf)).await;
    assert_eq!(options.body["user"]["displayName"], "Ada");
    let mut phone = phone_of(&app);
    let stale = browser.submit(&page, &[("passkey", "{}")]).await;
    assert!(stale.status == 422 && text(&stale).contains("cannot be read"), "{}", text(&stale));
    let credential = phone.create(&options.body).to_string();
    let done = browser.submit(&page, &[("passkey", &credential)]).await;
    assert!(done.status == 200 && text(&done).contains("Your account is created"), "{}", text(&done));
    assert_eq!(text(&done).matches("<li><code>").count(), 10, "the recovery codes are shown");
    assert!(browser.cookie("refresh_token").is_some(), "the browser is signed in");
    let security = browser.open("/account/security").await;
    assert!(text(&security).contains("Set a password") && !text(&security).contains("/account/password\""));
    let again = browser.submit(&page, &[("passkey", &credential)]).await;
    assert!(text(&again).contains("is confirmed"), "a second click does no harm: {}", text(&again));
    assert_eq!(rows(&app).await, [1, 1, 1, 1]);
    assert_eq!(code(&sign_in(&app, &phone.get(&request(&app).await)).await), "none");
}

#[both_databases]
async fn the_page_sets_a_password_without_scripts(place: Place) {
    let app = TestApp::start(&place).await;
    let (mut browser, link) = register_by_page(&app, "ada@example.com").await;
    let page = browser.open(&link).await;
    let empty = browser.submit(&page, &[("password", ""), ("passwordConfirm", "")]).await;
    assert!(text(&empty).contains("Create a passkey, or enter a password"), "{}", text(&empty));
    let weak = browser.submit(&empty, &[("password", "short"), ("passwordConfirm", "short")]).await;
    assert!(text(&weak).contains("id=\"password-error\""), "{}", text(&weak));
    let done = browser.submit(&weak, &[("password", PASSWORD), ("passwordConfirm", PASSWORD)]).await;
    assert!(text(&done).contains("You are signed in"), "{}", text(&done));
    app.anyone().sign_in("ada@example.com", PASSWORD).await;
    let ada = user::Entity::find().filter(user::Column::Email.eq("ada@example.com")).one(app.db()).await.unwrap();
    assert_eq!(ada.unwrap().first_name, "Ada", "this browser registered");
}

#[both_databases]
async fn pages_offer_passkeys_only_where_they_work(place: Place) {
    let app = TestApp::start(&place).await;
    let (_, link) = register_by_page(&app, "ada@example.com").await;
    let off = app.start_second_with(&place, |config| config.second_factor = SecondFactorPolicy::Off).await;
    let mut browser = Browser::new(&off);
    for path in ["/account/register", "/account/register?with=passkey"] {
        let page = browser.open(path).await;
        assert!(!text(&page).contains("passkey") && text(&page).contains("type=\"password\""), "{}", text(&page));
    }
    let page = browser.open(&link).await;
    assert!(!text(&page).contains("passkey") && text(&page).contains("Set a password to sign in with"));
    let weak = browser.submit(&page, &[("password", ""), ("passwordConfirm", "")]).await;
    assert!(text(&weak).contains("Enter a password to confirm ada@example.com"), "{}", text(&weak));
    // Another browser of a registration with a password may create a passkey instead.
    let mut other = Browser::new(&app);
    app.anyone().data(REGISTER_BY_PASSWORD, wanted("bob@example.com")).await;
    let page = other.open(&format!("/account/verify?token={}", token(&app.mails().await[0]))).await;
    assert!(text(&page).contains("Create a passkey instead of a password"), "{}", text(&page));
    assert!(text(&page).split("<form").nth(1).unwrap().contains("type=\"password\""), "the password comes first");
}
