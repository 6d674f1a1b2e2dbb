//! Deactivating and deleting the account.

use test_macros::both_databases;

use super::{plain, signed_in};
use crate::pages::{Browser, text};
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_database::Place;

#[both_databases]
async fn an_account_is_deactivated_with_the_password(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open("/account/deactivate").await;
    let refused = browser.submit(&page, &[("currentPassword", "wrong")]).await;
    assert_eq!(refused.status, 422);
    assert!(text(&refused).contains("id=\"currentPassword-error\""));
    let done = browser.submit(&refused, &[("currentPassword", PASSWORD)]).await;
    assert!(plain(&done).contains("Your account is deactivated."), "{}", plain(&done));
    assert_eq!(browser.cookie("refresh_token"), Some(""));
    let mut other = Browser::new(&app);
    let page = other.open("/account/sign-in").await;
    let refused = other.submit(&page, &[("identifier", "ada"), ("password", PASSWORD)]).await;
    assert_eq!((refused.status, other.cookie("refresh_token")), (422, None));
}

#[both_databases]
async fn an_account_is_deleted_with_the_password(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open("/account/delete").await;
    assert!(text(&page).contains("Download your data first"));
    assert_eq!(browser.submit(&page, &[("currentPassword", "")]).await.status, 422);
    let done = browser.submit(&page, &[("currentPassword", PASSWORD)]).await;
    assert!(plain(&done).contains("Your account is deleted."), "{}", plain(&done));
    app.add_user("ada2").await;
    let again = browser.submit(&page, &[("currentPassword", PASSWORD)]).await;
    assert!(text(&again).contains("name=\"identifier\""), "the form sent twice leads to the sign-in");
}

#[both_databases]
async fn the_last_superuser_stays(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    browser.submit(&page, &[("identifier", ADMIN.0), ("password", ADMIN.1)]).await;
    for path in ["/account/deactivate", "/account/delete"] {
        let page = browser.open(path).await;
        let refused = browser.submit(&page, &[("currentPassword", ADMIN.1)]).await;
        assert_eq!(refused.status, 422, "{path}");
    }
    assert_eq!(browser.open("/account").await.status, 200);
}
