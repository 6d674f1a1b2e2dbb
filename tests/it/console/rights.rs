//! Rights to the console.

use test_macros::both_databases;
use vestibule::config::SecondFactorPolicy;

use super::{Form, page_of, sign_in, signed_in, superuser};
use crate::pages::{Browser, text};
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_database::Place;

/// Pages of the console, `ID` being a user.
const PAGES: [&str; 7] = [
    "/console",
    "/console/users",
    "/console/users/selected",
    "/console/users/new",
    "/console/users/ID",
    "/console/users/ID/delete",
    "/console/users/ID/deactivate",
];

#[both_databases]
async fn a_stranger_signs_in_and_comes_back_to_the_page(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    for page in PAGES {
        let page = page.replace("ID", &boss.id);
        let answer = Browser::new(&app).open(&page).await;
        assert_eq!(answer.status, 303, "{page}");
        assert!(answer.header("location").starts_with("/account/sign-in?returnTo=%2Fconsole"), "{page}");
    }
    let mut browser = Browser::new(&app);
    let asked = browser.open("/console/users?search=bo%26s").await;
    let asked = browser.open(asked.header("location")).await;
    let back = browser.submit(&asked, &[("identifier", "boss"), ("password", PASSWORD)]).await;
    assert!(text(&back).contains("value=\"bo&#38;s\""), "{}", text(&back));
}

#[both_databases]
async fn a_user_without_staff_rights_reads_why_there_is_nothing_to_see(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, boss) = (app.add_user("ada").await, app.add_staff("boss").await);
    let mut browser = signed_in(&app, &ada).await;
    for page in PAGES {
        let answer = browser.open(&page.replace("ID", &boss.id)).await;
        assert_eq!(answer.status, 403, "{page}");
        assert!(text(&answer).contains("The console is for staff.") && !text(&answer).contains("boss@"), "{page}");
    }
    let csrf = ("csrf".to_owned(), browser.cookie("csrf").unwrap().to_owned());
    let refused = browser.send(&format!("{}/delete", page_of(&boss)), [csrf]).await;
    assert_eq!(refused.status, 403);
}

#[both_databases]
async fn rights_that_ended_open_no_page(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, boss) = (app.add_user("ada").await, app.add_staff("boss").await);
    let mut browser = signed_in(&app, &boss).await;
    let page = browser.open(&page_of(&ada)).await;
    assert_eq!(page.status, 200);
    let toggle = "mutation($id: ID!) { toggleStaff(input: { id: $id, isStaff: false }) { errors { code } } }";
    app.admin().await.data(toggle, serde_json::json!({ "id": boss.id })).await;
    assert_eq!(browser.open("/console/users").await.status, 403);
    let form = Form::of(&page, &page_of(&ada)).with("firstName", "Eve");
    assert_eq!(form.send(&mut browser).await.status, 403);
}

#[both_databases]
async fn superusers_are_seen_by_superusers_only(place: Place) {
    let app = TestApp::start(&place).await;
    let (boss, root) = (app.add_staff("boss").await, app.admin().await);
    let me = root.data("{ me { id } }", serde_json::json!({})).await["me"]["id"].as_str().unwrap().to_owned();
    let mut browser = signed_in(&app, &boss).await;
    let list = browser.open("/console/users?total=1").await;
    assert!(!text(&list).contains(ADMIN.0) && text(&list).contains("1 user</p>"), "{}", text(&list));
    for path in ["", "/delete", "/deactivate", "/set-password"] {
        let answer = browser.open(&format!("/console/users/{me}{path}")).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!text(&answer).contains(ADMIN.0));
    }
    let page = browser.open("/console/users").await;
    let form = Form::of(&page, "/console/users/selected").with("id", &me).with("do", "delete");
    assert!(!text(&form.send(&mut browser).await).contains(ADMIN.0));
    let mut own = superuser(&app).await;
    assert!(text(&own.open("/console/users?total=1").await).contains("2 users</p>"));
    assert_eq!(own.open(&format!("/console/users/{me}")).await.status, 200);
}

#[both_databases]
async fn staff_who_must_have_a_second_factor_set_it_up_first(place: Place) {
    let app = TestApp::start_with(&place, |config| config.second_factor = SecondFactorPolicy::Staff).await;
    let mut browser = sign_in(&app, ADMIN.0, ADMIN.1).await;
    let page = browser.open("/console/users").await;
    assert_eq!(page.status, 403);
    assert!(text(&page).contains("Your account needs a second factor.") && text(&page).contains("/account/security"));
}
