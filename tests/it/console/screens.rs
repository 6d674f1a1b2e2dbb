//! Overview, emails, audit trail and system.

use serde_json::json;
use test_macros::both_databases;

use super::{Form, page_of, signed_in, superuser};
use crate::pages::text;
use crate::test_app::TestApp;
use crate::test_database::Place;

#[both_databases]
async fn the_overview_counts_users_sign_ins_and_emails(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    app.anyone()
        .refusals(
            "mutation { login(input: { identifier: \"boss\", password: \"wrong\" }) { errors { code } } }",
            json!({}),
        )
        .await;
    let mut browser = signed_in(&app, &boss).await;
    let page = browser.open("/console").await;
    let shown = text(&page);
    assert!(shown.contains("<strong>1</strong> <span>Users</span>"), "{shown}");
    assert!(shown.contains("<strong>1</strong> <span>Staff without second factor</span>"));
    assert!(shown.contains("Failed sign-ins per day"));
    assert!(shown.contains("1 in total, at most 1 on a day"), "{shown}");
    assert!(!shown.contains("/console/system"), "the system is for superusers");
    assert_eq!(text(&browser.open("/console?days=90").await).matches("<rect class=\"value\"").count(), 3 * 90);
}

#[both_databases]
async fn the_overview_of_a_superuser_says_what_needs_attention(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let page = superuser(&app).await.open("/console").await;
    assert!(text(&page).contains("rate limiting is off"), "{}", text(&page));
}

const WELCOME: &str =
    "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } errors { code } } }";

#[both_databases]
async fn waiting_invitations_are_held_released_and_cancelled(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let client = boss.sign_in(&app).await;
    for name in ["ada", "eve"] {
        let input = json!({ "input": { "email": format!("{name}@example.com") } });
        client.data(WELCOME, input).await;
    }
    let mut browser = signed_in(&app, &boss).await;
    let list = "/console/mails?recipient=ada%40example.com";
    let ids = |page: &str| -> Vec<String> {
        let marks = page.split("name=\"id\" value=\"").skip(1);
        marks.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let page = browser.open(list).await;
    assert!(text(&page).contains("ada@example.com") && !text(&page).contains("eve@example.com"));
    let [id] = &ids(text(&page))[..] else { panic!("{}", text(&page)) };
    let act = |page, decision: &str| Form::of(page, "/console/mails/selected").and("id", id).and("do", decision);

    let page = act(&page, "hold").send(&mut browser).await;
    assert!(text(&page).contains("1 of 1 selected emails held."), "{}", text(&page));
    assert!(!text(&page).contains("eve@example.com"), "the filter stays");
    app.deliver().await;
    assert!(!app.mails().await.iter().any(|mail| mail.to == "ada@example.com"));

    let page = act(&page, "cancel").send(&mut browser).await;
    assert!(text(&page).contains("their links end"), "it asks first: {}", text(&page));
    let page = Form::of(&page, "/console/mails/selected").send(&mut browser).await;
    assert!(text(&page).contains("1 of 1 selected emails cancelled."), "{}", text(&page));
    assert!(ids(text(&page)).is_empty(), "nothing is open any more");
}

#[both_databases]
async fn a_decision_about_no_email_is_explained(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let client = boss.sign_in(&app).await;
    client.data(WELCOME, json!({ "input": { "email": "ada@example.com" } })).await;
    let mut browser = signed_in(&app, &boss).await;
    let page = browser.open("/console/mails").await;
    let page = Form::of(&page, "/console/mails/selected").and("do", "hold").send(&mut browser).await;
    assert!(text(&page).contains("Select at least one email."), "{}", text(&page));
}

#[both_databases]
async fn the_trail_is_filtered_by_person_action_day_and_address(place: Place) {
    let app = TestApp::start(&place).await;
    let (boss, ada) = (app.add_staff("boss").await, app.add_user("ada").await);
    ada.sign_in(&app).await;
    let mut browser = signed_in(&app, &boss).await;
    let rows = |page: &str| page.matches("<td data-label=\"Event\">").count();
    let page = browser.open("/console/audit?person=ada%40example.com&action=LOGIN").await;
    let of_ada = text(&page);
    assert_eq!(rows(of_ada), 1, "{of_ada}");
    assert!(of_ada.contains(&page_of(&ada)));
    assert!(rows(text(&browser.open("/console/audit?ip=127.0.0.1").await)) > 1);
    assert_eq!(rows(text(&browser.open("/console/audit?ip=192.0.2.1").await)), 0);
    assert_eq!(rows(text(&browser.open("/console/audit?to=2001-01-01").await)), 0);
    let nobody = browser.open("/console/audit?person=nobody").await;
    assert!(text(&nobody).contains("No user has this email address"), "{}", text(&nobody));
}

#[both_databases]
async fn an_address_finds_no_event_of_a_superuser_for_other_staff(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    // Both requests come from the same address.
    let update = "mutation($id: ID!) { updateUser(input: { id: $id, firstName: \"Ada\" }) { errors { code } } }";
    app.admin().await.data(update, json!({ "id": ada.id })).await;
    let boss = app.add_staff("boss").await;
    let client = boss.sign_in(&app).await;
    let events = "query($ip: String) { auditEvents(filter: { action: USER_UPDATED, ip: $ip }) { totalCount } }";
    let count =
        async |ip: Option<&str>| client.data(events, json!({ "ip": ip })).await["auditEvents"]["totalCount"].clone();
    assert_eq!(count(None).await, 1);
    assert_eq!(count(Some("127.0.0.1")).await, 0);
    client.data(update, json!({ "id": ada.id })).await;
    let all = app.admin().await.data(events, json!({ "ip": "127.0.0.1" })).await;
    assert_eq!(all["auditEvents"]["totalCount"], 1);
}

#[both_databases]
async fn the_trail_is_exported_with_its_filter(place: Place) {
    let app = TestApp::start(&place).await;
    let (boss, ada) = (app.add_staff("boss").await, app.add_user("ada").await);
    ada.sign_in(&app).await;
    let mut browser = signed_in(&app, &boss).await;
    let page = browser.open("/export/audit.csv?person=ada&action=LOGIN").await;
    let exported = text(&page);
    let lines: Vec<&str> = exported.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("\"created_at\",\"action\",\"reason\",\"actor_id\""));
    assert!(lines[1].contains("\"LOGIN\"") && lines[1].contains(&ada.id));
    assert!(text(&browser.open("/console/audit?action=EXPORTED").await).contains("boss"), "it is recorded");
}

#[both_databases]
async fn the_system_is_shown_to_superusers_only(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    assert_eq!(signed_in(&app, &boss).await.open("/console/system").await.status, 403);
    let page = superuser(&app).await.open("/console/system").await;
    let shown = text(&page);
    assert!(shown.contains(env!("CARGO_PKG_VERSION")) && shown.contains("no pending migrations"), "{shown}");
}
