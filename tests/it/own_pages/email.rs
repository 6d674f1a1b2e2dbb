//! A change of the email address that waits for confirmation.

use serde_json::json;
use test_macros::both_databases;

use super::{plain, signed_in};
use crate::pages::{Browser, text};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

const PENDING: &str = "{ me { email pendingEmail } }";
const WITHDRAW: &str = "mutation { withdrawEmailChange { user { email pendingEmail } errors { code field } } }";
const RESEND: &str = "mutation { resendEmailChange { user { pendingEmail } errors { code field } } }";

async fn request(browser: &mut Browser<'_>) -> Answer {
    let page = browser.open("/account/email").await;
    browser.submit_to(&page, "/account/email", &[("email", "new@example.com"), ("currentPassword", PASSWORD)]).await
}

/// Path of the link in the last mail to the new address.
async fn link(app: &TestApp) -> Option<String> {
    let mails = app.mails().await;
    let mail = mails.iter().rev().find(|mail| mail.to == "new@example.com")?;
    let link = mail.text.split_whitespace().find(|word| word.contains("/account/verify?"))?;
    link.strip_prefix(&app.url).map(str::to_owned)
}

#[both_databases]
async fn a_change_waits_is_sent_again_and_confirmed(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = request(&mut browser).await;
    assert!(plain(&page).contains("We sent a link to new@example.com."), "{}", plain(&page));
    let first = link(&app).await.unwrap();
    let page = browser.submit_to(&page, "/account/email/resend", &[]).await;
    assert!(plain(&page).contains("We've sent the link."), "{}", plain(&page));
    let second = link(&app).await.unwrap();
    assert_eq!(browser.open(&first).await.status, 422, "the earlier link is invalid");
    let page = browser.open(&second).await;
    browser.submit(&page, &[]).await;
    let me = ada_at("new@example.com", &app).await;
    assert_eq!(me, json!({ "email": "new@example.com", "pendingEmail": null }));
    assert_ne!(ada.email, "new@example.com");
}

async fn ada_at(email: &str, app: &TestApp) -> serde_json::Value {
    app.anyone().sign_in(email, PASSWORD).await.data(PENDING, json!({})).await["me"].clone()
}

#[both_databases]
async fn a_withdrawn_change_has_no_link(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = request(&mut browser).await;
    let sent = link(&app).await.unwrap();
    let done = browser.submit_to(&page, "/account/email/withdraw", &[]).await;
    assert!(plain(&done).contains("The change is withdrawn.") && !plain(&done).contains("Waiting"), "{}", plain(&done));
    assert_eq!(browser.open(&sent).await.status, 422);
    // An older page is open in another tab.
    let again = browser.submit_to(&page, "/account/email/withdraw", &[]).await;
    assert!(plain(&again).contains("The change is withdrawn."));
    let stale = browser.submit_to(&page, "/account/email/resend", &[]).await;
    assert_eq!(stale.status, 422);
    assert!(plain(&stale).contains("No new email address is waiting"), "{}", plain(&stale));
    assert!(link(&app).await.is_none(), "no mail is sent");
    assert_eq!(ada_at(&ada.email, &app).await["pendingEmail"], json!(null));
}

#[both_databases]
async fn an_unsent_link_is_withdrawn_too(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = request(&mut browser).await;
    browser.submit_to(&page, "/account/email/withdraw", &[]).await;
    assert!(link(&app).await.is_none());
}

#[both_databases]
async fn a_change_needs_the_current_password_and_reveals_no_account(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    app.add_user("eve").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open("/account/email").await;
    let refused =
        browser.submit_to(&page, "/account/email", &[("email", "new@example.com"), ("currentPassword", "wrong")]).await;
    assert_eq!(refused.status, 422);
    assert!(text(&refused).contains("id=\"currentPassword-error\"") && text(&refused).contains("new@example.com"));
    assert!(!text(&refused).contains("value=\"wrong\""));
    let taken = [("email", "eve@example.com"), ("currentPassword", PASSWORD)];
    let told = browser.submit_to(&page, "/account/email", &taken).await;
    assert!(plain(&told).contains("We've sent the link."), "as for an address without an account");
}

#[both_databases]
async fn links_to_a_new_address_are_limited(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = request(&mut browser).await;
    for _ in 0..2 {
        assert_eq!(browser.submit_to(&page, "/account/email/resend", &[]).await.status, 200);
    }
    assert_eq!(browser.submit_to(&page, "/account/email/resend", &[]).await.status, 429);
}

#[both_databases]
async fn clients_withdraw_and_send_again_by_the_schema(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    assert_eq!(client.refusals(RESEND, json!({})).await, ["NOT_FOUND"]);
    let change = "mutation($p: String!) { updateMe(input: { email: \"new@example.com\", currentPassword: $p }) {
        errors { code } } }";
    client.data(change, json!({ "p": PASSWORD })).await;
    let sent = client.data(RESEND, json!({})).await;
    assert_eq!(sent["resendEmailChange"], json!({ "user": { "pendingEmail": "new@example.com" }, "errors": [] }));
    for _ in 0..2 {
        let done = client.data(WITHDRAW, json!({})).await;
        assert_eq!(done["withdrawEmailChange"]["user"], json!({ "email": ada.email, "pendingEmail": null }));
    }
    let events = "{ auditEvents(filter: { action: USER_UPDATED }) { nodes { changes { field } } } }";
    let events = app.admin().await.data(events, json!({})).await;
    let events = events["auditEvents"]["nodes"].as_array().unwrap();
    assert_eq!(events.len(), 2, "the request and the withdrawal, once: {events:?}");
}
