//! Actions on several users.

use serde_json::json;
use test_macros::both_databases;

use super::{Form, signed_in, superuser};
use crate::pages::text;
use crate::test_app::{Person, TestApp};
use crate::test_database::Place;

/// The form of the list with these users selected.
async fn select(browser: &mut crate::pages::Browser<'_>, task: &str, people: &[&Person]) -> Form {
    let page = browser.open("/console/users").await;
    let form = Form::of(&page, "/console/users/selected").with("do", task);
    people.iter().fold(form, |form, person| form.and("id", &person.id))
}

#[both_databases]
async fn a_selection_is_deactivated_after_a_question_with_a_result_for_each(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, bert, boss) = (app.add_user("ada").await, app.add_user("bert").await, app.add_staff("boss").await);
    let mut browser = signed_in(&app, &boss).await;
    let asked = select(&mut browser, "deactivate", &[&ada, &bert, &boss]).await.send(&mut browser).await;
    let html = text(&asked);
    assert!(html.contains("Deactivate 2 users") && html.contains("Left out"), "{html}");
    assert!(html.contains("You cannot deactivate your own account here."), "{html}");
    let is_active = async |id: &str| {
        let data = app.admin().await.data("query($id: ID!) { user(id: $id) { isActive } }", json!({ "id": id })).await;
        data["user"]["isActive"] == true
    };
    assert!(is_active(&ada.id).await, "a question changes nothing");
    let done = Form::of(&asked, "/console/users/selected").send(&mut browser).await;
    assert!(text(&done).contains("Done for 2 of 2"), "{}", text(&done));
    assert!(!is_active(&ada.id).await && !is_active(&bert.id).await && is_active(&boss.id).await);
    let again = select(&mut browser, "deactivate", &[&ada]).await.send(&mut browser).await;
    assert!(text(&again).contains("Already inactive"));
}

#[both_databases]
async fn a_selection_is_deleted(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, bert) = (app.add_user("ada").await, app.add_user("bert").await);
    let sample = "mutation { recordSample(input: { key: \"k\", title: \"t\" }) { errors { code } } }";
    bert.sign_in(&app).await.data(sample, json!({})).await;
    let mut browser = superuser(&app).await;
    let asked = select(&mut browser, "delete", &[&ada, &bert]).await.send(&mut browser).await;
    assert!(text(&asked).contains("cannot be restored"), "{}", text(&asked));
    app.wait(std::time::Duration::from_secs(11 * 60));
    let proof = Form::of(&asked, "/console/users/selected").send(&mut browser).await;
    let proof = Form::of(&proof, "/console/users/selected").with("proofPassword", crate::test_app::ADMIN.1);
    let done = proof.send(&mut browser).await;
    assert!(text(&done).contains(">Deleted<") && text(&done).contains(">Anonymized<"), "{}", text(&done));
    let empty = select(&mut browser, "delete", &[]).await.send(&mut browser).await;
    assert_eq!(empty.status, 422);
    assert!(text(&empty).contains("Select at least one user."));
}

#[both_databases]
async fn links_go_to_the_selected_users_who_can_use_them(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, bert) = (app.add_user("ada").await, app.add(json!({ "email": "bert@example.com" })).await);
    let carl = app.add(json!({ "email": "carl@example.com", "isActive": false })).await;
    let mut browser = superuser(&app).await;
    let asked = select(&mut browser, "link", &[&ada, &bert, &carl]).await.send(&mut browser).await;
    assert!(text(&asked).contains("Send a link to 2 users"), "{}", text(&asked));
    let done = Form::of(&asked, "/console/users/selected").send(&mut browser).await;
    assert!(text(&done).contains("Done for 2 of 2"), "{}", text(&done));
    let mut to: Vec<String> = app.mails().await.into_iter().map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(to, ["ada@example.com", "bert@example.com"]);
}
