//! Protection of the forms: against other sites, stale pages, and old sessions.

use std::time::Duration;

use serde_json::json;
use test_macros::both_databases;

use super::{Form, page_of, signed_in, superuser};
use crate::pages::text;
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_database::Place;

/// Time after which a proof of identity is due again.
const LATER: Duration = Duration::from_secs(11 * 60);

#[both_databases]
async fn a_form_of_another_site_changes_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = superuser(&app).await;
    browser.open("/console/users").await;
    let cookie = |name: &str| format!("{name}={}", browser.cookie(name).unwrap());
    let cookies = format!("{}; {}", cookie("refresh_token"), cookie("csrf"));
    let csrf = browser.cookie("csrf").unwrap().to_owned();
    let post = async |path: &str, csrf: &str, origin: (&'static str, &'static str)| {
        let body = format!("csrf={csrf}&firstName=Eve&was-firstName=&confirmed=1&do=delete&id={}", ada.id);
        let request = app.anyone().request("POST", path).body(body).header("cookie", &cookies);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        app.anyone().finish(request.header(origin.0, origin.1)).await.status
    };
    let own = page_of(&ada);
    for path in [own.clone(), format!("{own}/delete"), "/console/users/selected".into(), "/console/users/new".into()] {
        assert_eq!(post(&path, "", ("sec-fetch-site", "same-origin")).await, 403, "{path}");
        assert_eq!(post(&path, &csrf, ("sec-fetch-site", "cross-site")).await, 403, "{path}");
        assert_eq!(post(&path, &csrf, ("origin", "https://evil.example")).await, 403, "{path}");
    }
    assert!(text(&browser.open(&own).await).contains("<bdi>ada</bdi>"), "the user is as before");
}

#[both_databases]
async fn no_page_of_the_console_is_framed_or_runs_scripts_of_others(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = superuser(&app).await;
    for page in ["/console/users", "/console/users/new", &page_of(&ada), &format!("{}/delete", page_of(&ada))] {
        let answer = browser.open(page).await;
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{page}: {policy}");
        }
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("cache-control"), "no-store");
        let html = text(&answer);
        assert!(!html.contains("style=\"") && !html.contains(" onclick") && !html.contains("<script>"), "{page}");
        assert!(html.split("<script").skip(1).all(|script| script.starts_with(" src=\"/")), "{page}");
    }
}

#[both_databases]
async fn the_second_of_two_staff_who_edit_a_user_is_told_and_keeps_what_they_typed(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, boss) = (app.add_user("ada").await, app.add_staff("boss").await);
    let (mut one, mut other) = (superuser(&app).await, signed_in(&app, &boss).await);
    let path = page_of(&ada);
    let (first, second) = (one.open(&path).await, other.open(&path).await);
    let first = Form::of(&first, &path).with("phone", "+49 30 1234").with("lastName", "Lovelace");
    assert!(text(&first.send(&mut one).await).contains("The changes are saved."));
    let typed = Form::of(&second, &path).with("phone", "+49 40 9999").with("bio", "Two\r\nlines");
    let told = typed.send(&mut other).await;
    assert_eq!(told.status, 422);
    let html = text(&told);
    assert!(html.contains("Somebody else changed this user in the meantime."), "{html}");
    assert!(html.contains("Phone is now: +49 30 1234") && html.contains("Last name is now: Lovelace"), "{html}");
    let form = Form::of(&told, &path);
    assert_eq!((form.value("phone"), form.value("bio")), ("+49 40 9999", "Two\r\nlines"), "nothing typed is lost");
    assert_eq!(form.value("lastName"), "Lovelace", "the other change stays");
    assert!(text(&form.send(&mut other).await).contains("The changes are saved."));
    let query = "query($id: ID!) { user(id: $id) { phone lastName bio } }";
    let user = app.admin().await.data(query, json!({ "id": ada.id })).await;
    assert_eq!(user["user"], json!({ "phone": "+49 40 9999", "lastName": "Lovelace", "bio": "Two\nlines" }));
}

#[both_databases]
async fn an_error_does_not_hide_what_somebody_else_changed(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, boss) = (app.add_user("ada").await, app.add_staff("boss").await);
    let (mut one, mut other) = (superuser(&app).await, signed_in(&app, &boss).await);
    let path = page_of(&ada);
    let (first, second) = (one.open(&path).await, other.open(&path).await);
    Form::of(&first, &path).with("lastName", "Lovelace").send(&mut one).await;
    let wrong = Form::of(&second, &path).with("username", "a@b").send(&mut other).await;
    assert!(text(&wrong).contains("id=\"username-error\""), "{}", text(&wrong));
    let told = Form::of(&wrong, &path).with("username", "ada2").send(&mut other).await;
    assert!(text(&told).contains("Last name is now: Lovelace"), "{}", text(&told));
}

#[both_databases]
async fn an_old_session_asks_for_a_proof_and_loses_nothing_that_was_typed(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = superuser(&app).await;
    let path = page_of(&ada);
    let page = browser.open(&path).await;
    app.wait(LATER);
    let form = Form::of(&page, &path).with("email", "ada@new.example").with("address", "1 \"Main\" St\r\n<London>");
    let asked = form.send(&mut browser).await;
    assert!(text(&asked).contains("Confirm that it is you"), "{}", text(&asked));
    let wrong = Form::of(&asked, &path).with("proofPassword", "a wrong one").send(&mut browser).await;
    assert!(text(&wrong).contains("id=\"proofPassword-error\""), "{}", text(&wrong));
    let none = Form::of(&wrong, &path).send(&mut browser).await;
    assert!(text(&none).contains("Enter your password or a code."));
    let done = Form::of(&none, &path).with("proofPassword", ADMIN.1).send(&mut browser).await;
    assert!(text(&done).contains("The changes are saved."), "{}", text(&done));
    let query = "query($id: ID!) { user(id: $id) { email address } }";
    let user = app.admin().await.data(query, json!({ "id": ada.id })).await;
    assert_eq!(user["user"], json!({ "email": "ada@new.example", "address": "1 \"Main\" St\n<London>" }));
}

#[both_databases]
async fn no_page_repeats_a_password(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = superuser(&app).await;
    let path = format!("{}/set-password", page_of(&ada));
    let page = browser.open(&path).await;
    app.wait(LATER);
    let secret = "their new long phrase";
    let asked = Form::of(&page, &path).with("password", secret).send(&mut browser).await;
    assert!(text(&asked).contains("Confirm that it is you") && !text(&asked).contains(secret));
    let again = Form::of(&asked, &path).with("proofPassword", ADMIN.1).send(&mut browser).await;
    assert!(!text(&again).contains(ADMIN.1));
    let done = Form::of(&again, &path).with("password", secret).send(&mut browser).await;
    assert!(text(&done).contains("The password is set."), "{}", text(&done));
    app.anyone().sign_in(&ada.email, secret).await;
    assert_ne!(secret, PASSWORD);
}
