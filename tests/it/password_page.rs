//! `/account/password`: sign-in and password change in one step.

use std::time::Duration;

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _};
use test_macros::both_databases;
use uuid::Uuid;
use vestibule::entity::audit_event::{self, Action, Reason};
use vestibule::entity::session;

use crate::pages::{Browser, text};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const NEW: &str = "quite another phrase of mine";

fn typed<'a>(identifier: &'a str, old: &'a str, new: &'a str, confirm: &'a str) -> [(&'a str, &'a str); 4] {
    [("identifier", identifier), ("oldPassword", old), ("newPassword", new), ("newPasswordConfirm", confirm)]
}

async fn events(app: &TestApp) -> Vec<(Action, Option<Reason>)> {
    let rows = audit_event::Entity::find().order_by_asc(audit_event::Column::Id).all(app.db()).await.unwrap();
    rows.into_iter().map(|row| (row.action, row.reason)).collect()
}

#[both_databases]
async fn a_refused_change_ends_no_session_and_opens_none(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, eve) = (app.add_user("ada").await, app.add_user("eve").await);
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    browser.submit(&page, &[("identifier", &eve.email), ("password", PASSWORD)]).await;
    let before = browser.cookie("refresh_token").expect("eve is signed in").to_owned();
    let sessions = async || session::Entity::find().count(app.db()).await.unwrap();
    let before_sessions = sessions().await;
    let before_events = events(&app).await;

    let page = browser.open("/account/password").await;
    // A mistake in the form reveals nothing about the old password, and leaves nothing behind.
    for old in [PASSWORD, "wrong"] {
        for (new, confirm, told) in
            [("short", "short", "Use at least 8 characters"), (NEW, "another", "The passwords don't match")]
        {
            let refused = browser.submit(&page, &typed(&ada.email, old, new, confirm)).await;
            assert_eq!(refused.status, 422);
            assert!(text(&refused).replace("&#39;", "'").contains(told), "{}", text(&refused));
        }
    }
    assert_eq!(events(&app).await, before_events);

    // Rules that depend on the account are checked after the old password, and that attempt is recorded. Events of the same
    // moment have no order.
    app.wait(Duration::from_secs(1));
    let refused = browser.submit(&page, &typed(&ada.email, PASSWORD, &ada.email, &ada.email)).await;
    assert_eq!(refused.status, 422);
    let new = events(&app).await.split_off(before_events.len());
    assert_eq!(new, [(Action::LoginFailed, Some(Reason::NewPasswordRefused))]);
    assert_eq!(browser.cookie("refresh_token"), Some(&*before));
    assert_eq!(sessions().await, before_sessions, "eve's session stays");

    let page = browser.submit(&page, &typed(&ada.email, PASSWORD, NEW, NEW)).await;
    assert!(text(&page).contains("Your new password is set"), "{}", text(&page));
    let eves = session::Entity::find().filter(session::Column::UserId.eq(Uuid::parse_str(&eve.id).unwrap()));
    assert_eq!(eves.count(app.db()).await.unwrap(), 0, "eve's session is replaced");
}

#[both_databases]
async fn changes_on_the_page_take_from_the_budget_of_changes(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_writes = "2/10m".parse().unwrap()).await;
    app.add_user("ada").await;
    let mut statuses = Vec::new();
    let mut browser = Browser::new(&app);
    for (old, new) in [(PASSWORD, NEW), (NEW, PASSWORD), (PASSWORD, NEW), (NEW, PASSWORD), (PASSWORD, NEW)] {
        let page = browser.open("/account/password").await;
        statuses.push(browser.submit(&page, &typed("ada", old, new, new)).await.status);
    }
    // Two changes of the user, and two of their own for the network of the client.
    assert_eq!(statuses, [200, 200, 200, 200, 429]);
    assert_eq!(crate::rate_limits::exhausted_budgets_of_changes(&app, "ada").await, 2);
    let changed = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::PasswordChanged));
    assert_eq!(changed.count(app.db()).await.unwrap(), 4);
    app.anyone().sign_in("ada", PASSWORD).await;
}

#[both_databases]
async fn a_right_password_is_no_wrong_guess_whatever_refuses_the_change(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.limits.limit_writes = "1/10m".parse().unwrap();
        config.limits.limit_sign_in = "3/15m".parse().unwrap();
    })
    .await;
    let ada = app.add_user("ada").await;
    let mut browser = Browser::new(&app);
    let mut statuses = Vec::new();
    for new in [&*ada.email, &*ada.email, &*ada.email, &*ada.email, NEW, NEW] {
        let page = browser.open("/account/password").await;
        let old = if statuses.contains(&200) { NEW } else { PASSWORD };
        statuses.push(browser.submit(&page, &typed("ada", old, new, new)).await.status);
    }
    assert_eq!(statuses[..5], [422, 422, 422, 422, 200]);
    app.anyone().sign_in("ada", NEW).await;
}
