//! The page of a user, and a new user.

use serde_json::json;
use test_macros::both_databases;

use super::{Form, page_of, signed_in, superuser};
use crate::pages::{Browser, text};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

/// Asks for an action on the page of a user, and confirms it.
async fn act(browser: &mut Browser<'_>, path: &str) -> Answer {
    let page = browser.open(path).await;
    assert_eq!(page.status, 200, "{}", text(&page));
    let action = path.split('?').next().unwrap();
    Form::of(&page, action).send(browser).await
}

#[both_databases]
async fn a_leaver_is_deactivated_and_signed_out(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let session = ada.sign_in(&app).await;
    let mut browser = superuser(&app).await;
    let page = browser.open(&page_of(&ada)).await;
    assert!(text(&page).contains("End all sessions") && text(&page).contains("/deactivate\""));
    let done = act(&mut browser, &format!("{}/deactivate", page_of(&ada))).await;
    assert!(text(&done).contains("The account is deactivated and signed out everywhere."), "{}", text(&done));
    assert!(text(&done).contains("The user is not signed in anywhere.") && text(&done).contains("Inactive"));
    assert_eq!(session.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    let active = act(&mut browser, &format!("{}/activate", page_of(&ada))).await;
    assert!(text(&active).contains("The account is active again."));
}

#[both_databases]
async fn one_session_and_one_token_end_alone(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let create = "mutation { createApiToken(input: { name: \"Nightly job\", scopes: [READ], expiresAt: \"2026-01-20T00:00:00Z\" }) { secret } }";
    let token = client.data(create, json!({})).await["createApiToken"]["secret"].as_str().unwrap().to_owned();
    let other = ada.sign_in(&app).await;
    let mut browser = superuser(&app).await;
    let page = browser.open(&page_of(&ada)).await;
    assert!(text(&page).contains("Nightly job"));
    let link = |name: &str| {
        let (_, rest) = text(&page).split_once(&format!("{}/{name}?item=", page_of(&ada))).unwrap();
        format!("{}/{name}?item={}", page_of(&ada), rest.split('"').next().unwrap())
    };
    // The most recently used session is first.
    let done = act(&mut browser, &link("end-session")).await;
    assert!(text(&done).contains("The session has ended."), "{}", text(&done));
    let alive = [client.send("{ me { id } }", json!({})).await, other.send("{ me { id } }", json!({})).await];
    let alive = alive.iter().filter(|answer| answer.body["errors"].is_null()).count();
    assert_eq!(alive, 1, "one of two sessions is left");
    let done = act(&mut browser, &link("revoke-token")).await;
    assert!(text(&done).contains("The API token is revoked."), "{}", text(&done));
    assert_eq!(app.anyone().with_token(token).code("{ me { id } }", json!({})).await, "UNAUTHENTICATED INVALID");
}

#[both_databases]
async fn the_page_says_why_a_user_cannot_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add(json!({ "email": "ada@example.com", "username": "ada" })).await;
    let mut browser = superuser(&app).await;
    let page = browser.open(&page_of(&ada)).await;
    assert!(text(&page).contains("The user has neither a password nor a passkey."), "{}", text(&page));
    assert!(text(&page).contains("Send the invitation again"));
    let done = act(&mut browser, &format!("{}/send-invitation", page_of(&ada))).await;
    assert!(text(&done).contains("An email with a link is on its way."), "{}", text(&done));
    assert_eq!(app.mails().await.iter().filter(|mail| mail.to == ada.email).count(), 1);
    let bert = app.add_user("bert").await;
    let fine = browser.open(&page_of(&bert)).await;
    assert!(text(&fine).contains("Nothing keeps this user from signing in."));
}

#[both_databases]
async fn actions_on_oneself_are_greyed_out_with_their_reason(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let mut browser = signed_in(&app, &boss).await;
    let page = browser.open(&page_of(&boss)).await;
    let html = text(&page);
    for reason in [
        "You cannot delete your own account here.",
        "You cannot change your own role.",
        "Change your own email address and password on your account page.",
    ] {
        assert!(html.contains(reason), "{reason}");
    }
    let form = Form::of(&page, &page_of(&boss));
    assert_eq!(
        (form.value("email"), form.value("role"), form.value("was-role")),
        ("", "", ""),
        "nothing locked is sent"
    );
    let saved = form.with("firstName", "Beatrice").send(&mut browser).await;
    assert!(text(&saved).contains("The changes are saved.") && text(&saved).contains("Beatrice"));
}

#[both_databases]
async fn rights_and_details_are_changed_and_recorded(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = superuser(&app).await;
    let path = page_of(&ada);
    let page = browser.open(&path).await;
    let form = Form::of(&page, &path).with("role", "MANAGER").with("isStaff", "true").with("firstName", "Ada");
    let saved = form.send(&mut browser).await;
    assert!(text(&saved).contains("Role: Member → Manager"), "{}", text(&saved));
    assert!(text(&saved).contains("Staff: No → Yes"), "{}", text(&saved));
    let mut form = Form::of(&saved, &path);
    form.fields.retain(|(name, _)| name != "isStaff");
    let saved = form.send(&mut browser).await;
    assert!(text(&saved).contains("Staff: Yes → No"), "{}", text(&saved));
    let deleted = act(&mut browser, &format!("{path}/delete")).await;
    assert!(text(&deleted).contains("The account is deleted."));
    assert_eq!(browser.open(&path).await.status, 404);
}

#[both_databases]
async fn a_user_is_created_with_an_invitation_or_a_password(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = superuser(&app).await;
    let page = browser.open("/console/users/new").await;
    let form = || Form::of(&page, "/console/users/new").with("firstName", "Ada");
    let wrong = form().with("email", "nowhere").send(&mut browser).await;
    assert_eq!(wrong.status, 422);
    assert!(text(&wrong).contains("id=\"email-error\"") && text(&wrong).contains("value=\"Ada\""));
    let invited = form().with("email", "ada@example.com").send(&mut browser).await;
    assert!(text(&invited).contains("The account is created."), "{}", text(&invited));
    let mails = app.mails().await;
    assert!(
        mails.iter().any(|mail| mail.to == "ada@example.com" && mail.text.contains("/account/reset?")),
        "{mails:?}"
    );
    let with_password = || form().with("email", "bert@example.com").with("access", "password");
    let missing = with_password().send(&mut browser).await;
    assert!(text(&missing).contains("Enter a password, or choose the invitation."), "{}", text(&missing));
    let created = with_password().with("password", PASSWORD).send(&mut browser).await;
    assert!(text(&created).contains("The account is created."), "{}", text(&created));
    app.anyone().sign_in("bert@example.com", PASSWORD).await;
}
