//! Repeated submission of forms of the built-in pages.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::json;
use vestibule::domain::sent_forms::KNOWN_FOR;
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{sent_form, user};
use vestibule::worker;

use crate::pages::{Browser, text};
use crate::parity::recovery::reset_link;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

const NEW: &str = "quite a new long phrase";

const TYPED: [(&str, &str); 2] = [("newPassword", NEW), ("newPasswordConfirm", NEW)];

async fn events(app: &TestApp, action: Action) -> u64 {
    audit_event::Entity::find().filter(audit_event::Column::Action.eq(action)).count(app.db()).await.unwrap()
}

/// Opens the page of a reset link in a new browser.
async fn open_reset<'a>(app: &'a TestApp, (uid, token): &(String, String)) -> (Browser<'a>, Answer) {
    let mut browser = Browser::new(app);
    let page = browser.open(&format!("/account/reset?uid={uid}&token={token}")).await;
    (browser, page)
}

/// Sends a form to two instances concurrently and once more later, and returns the three pages.
async fn click_thrice(
    (one, other): (&TestApp, &TestApp),
    browser: &Browser<'_>,
    page: &Answer,
    typed: &[(&str, &str)],
) -> Vec<Answer> {
    let (mut first, mut second, mut third) = (browser.at(one), browser.at(other), browser.at(one));
    let (first, second) = tokio::join!(first.submit(page, typed), second.submit(page, typed));
    vec![first, second, third.submit(page, typed).await]
}

fn assert_all(pages: &[Answer], told: &str) {
    for page in pages {
        assert_eq!(page.status, 200, "{}", text(page));
        assert!(text(page).contains(told), "{}", text(page));
    }
}

#[both_databases]
async fn a_second_click_on_a_reset_shows_that_the_password_is_set(place: Place) {
    let app = TestApp::start(&place).await;
    let other = app.start_second(&place).await;
    let ada = app.add_user("ada").await;
    let (browser, page) = open_reset(&app, &reset_link(&app, &ada.email).await).await;
    let pages = click_thrice((&app, &other), &browser, &page, &TYPED).await;
    assert_all(&pages, "Your new password is set. Sign in with it.");
    assert_eq!(events(&app, Action::PasswordReset).await, 1);
    assert_eq!(app.mails().await.len(), 1, "one mail announces the new password");
    app.anyone().sign_in(&ada.email, NEW).await;
}

#[both_databases]
async fn a_second_click_helps_no_other_browser_and_no_other_password(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let link = reset_link(&app, &ada.email).await;
    let (mut browser, page) = open_reset(&app, &link).await;
    let (mut stranger, theirs) = open_reset(&app, &link).await;
    assert_all(&[browser.submit(&page, &TYPED).await], "Your new password is set");

    let refused = stranger.submit(&theirs, &TYPED).await;
    assert_eq!(refused.status, 422);
    assert!(text(&refused).contains("has expired or was already used"));
    let without_cookie = Browser::new(&app).submit(&page, &TYPED).await;
    assert_eq!(without_cookie.status, 403);

    let changed_mind =
        [("newPassword", "quite another long phrase"), ("newPasswordConfirm", "quite another long phrase")];
    let refused = browser.submit(&page, &changed_mind).await;
    assert_eq!(refused.status, 422, "a password that was not set is not said to be");
    app.anyone().sign_in(&ada.email, NEW).await;

    let row = sent_form::Entity::find().one(app.db()).await.unwrap().expect("the form is recorded");
    assert_eq!(row.digest.len(), 32, "nothing of the form itself is stored");
}

#[both_databases]
async fn a_second_click_on_a_confirmation_shows_that_the_address_is_confirmed(place: Place) {
    let app = TestApp::start(&place).await;
    let other = app.start_second(&place).await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/register").await;
    let wanted =
        [("email", "eve@example.com"), ("username", ""), ("password", PASSWORD), ("passwordConfirm", PASSWORD)];
    browser.submit(&page, &wanted).await;
    let mails = app.mails().await;
    let link = mails[0].text.split_whitespace().find(|word| word.contains("/account/verify?")).unwrap();
    let page = browser.open(link.strip_prefix(&app.url).unwrap()).await;
    let pages = click_thrice((&app, &other), &browser, &page, &[]).await;
    let signed_in = pages.iter().filter(|page| text(page).contains("You are signed in")).count();
    let told = pages.iter().filter(|page| text(page).contains("Your email address is confirmed")).count();
    assert_eq!((signed_in, told), (1, 2));
    let made = user::Entity::find().filter(user::Column::Email.eq("eve@example.com")).count(app.db()).await.unwrap();
    assert_eq!((made, events(&app, Action::EmailVerified).await), (1, 1));
}

#[both_databases]
async fn a_second_click_on_a_change_of_password_shows_that_it_is_set(place: Place) {
    let app = TestApp::start(&place).await;
    let other = app.start_second(&place).await;
    app.add_user("ada").await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/password").await;
    let typed = [("identifier", "ada"), ("oldPassword", PASSWORD), TYPED[0], TYPED[1]];
    let pages = click_thrice((&app, &other), &browser, &page, &typed).await;
    assert_all(&pages, "Your new password is set");
    assert_eq!(events(&app, Action::PasswordChanged).await, 1);
    app.anyone().sign_in("ada", NEW).await;
}

#[both_databases]
async fn a_second_click_on_an_undo_leads_to_the_new_password(place: Place) {
    let app = TestApp::start(&place).await;
    let other = app.start_second(&place).await;
    let ada = app.add_reader("ada").await;
    let update =
        "mutation($id: ID!) { updateUser(input: { id: $id, email: \"new@example.com\" }) { errors { code } } }";
    assert_eq!(app.admin().await.refusals(update, json!({ "id": ada.id })).await, [""; 0]);
    let mails = app.mails().await;
    let told = mails.iter().find(|mail| mail.to == ada.email).expect("the old address is notified");
    let link = told.text.split_whitespace().find(|word| word.contains("/account/undo?")).unwrap();
    let mut browser = Browser::new(&app);
    let page = browser.open(link.strip_prefix(&app.url).unwrap()).await;
    let pages = click_thrice((&app, &other), &browser, &page, &[]).await;
    assert_all(&pages, "Your old email address is restored");
    assert_eq!(events(&app, Action::EmailChangeUndone).await, 1);
}

#[both_databases]
async fn a_form_that_is_filled_in_again_is_dealt_with_again(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = Browser::new(&app);
    // There and back, and again with exactly the same input.
    for (old, new) in [(PASSWORD, NEW), (NEW, PASSWORD), (PASSWORD, NEW)] {
        let page = browser.open("/account/password").await;
        let typed = [("identifier", "ada"), ("oldPassword", old), ("newPassword", new), ("newPasswordConfirm", new)];
        assert_all(&[browser.submit(&page, &typed).await], "Your new password is set");
        app.anyone().sign_in("ada", new).await;
    }
    assert_eq!(events(&app, Action::PasswordChanged).await, 3);
}

#[both_databases]
async fn a_form_is_known_for_ten_minutes(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let (mut browser, page) = open_reset(&app, &reset_link(&app, &ada.email).await).await;
    browser.submit(&page, &TYPED).await;
    let moment = Duration::from_millis(1);
    app.wait(KNOWN_FOR.saturating_sub(moment));
    assert_all(&[browser.submit(&page, &TYPED).await], "Your new password is set");
    app.wait(moment);
    assert_eq!(browser.submit(&page, &TYPED).await.status, 422);
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(sent_form::Entity::find().count(app.db()).await.unwrap(), 0);
}
