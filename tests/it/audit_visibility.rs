//! Audit events of superusers are visible to superusers only, with any filter.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ActiveEnum as _, Iterable as _};
use serde_json::{Value, json};
use vestibule::entity::audit_event::Action;

use crate::parity::registration::{REGISTER, wanted};
use crate::process::{command, run};
use crate::test_app::{ADMIN, Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const TRAIL: &str = "query($filter: AuditEventFilter, $first: Int, $after: String, $last: Int, $before: String) {
    auditEvents(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
        totalCount
        nodes { id action actor { id } target { id } ip userAgent }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

fn actions() -> Vec<String> {
    Action::iter().map(|action| action.to_value()).collect()
}

/// A service with audit events of superusers, staff and others.
struct Scene {
    app: TestApp,
    admin: Client,
    admin_id: String,
    boss: Client,
    boss_id: String,
    ada: Person,
}

const ELSEWHERE: &str = "the program of a superuser";

async fn scene(place: &Place) -> Scene {
    let app = TestApp::start(place).await;
    let admin = app.anyone().with_header("user-agent", ELSEWHERE).sign_in(ADMIN.0, ADMIN.1).await;
    let admin_id = admin.data("{ me { id } }", json!({})).await["me"]["id"].as_str().unwrap().to_owned();
    let boss = app.add_staff("boss").await;
    let ada = app.add_user("ada").await;
    let staff = boss.sign_in(&app).await;
    ada.sign_in(&app).await;
    // For themself.
    let second = app.anyone().with_header("user-agent", ELSEWHERE).sign_in(ADMIN.0, ADMIN.1).await;
    second.data("mutation { logout { success } }", json!({})).await;
    admin.data("mutation { updateMe(input: { firstName: \"Grace\" }) { errors { code } } }", json!({})).await;
    admin.data("{ allEmails }", json!({})).await;
    // To others.
    let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code } } }";
    for client in [&admin, &staff] {
        for _ in 0..2 {
            assert_eq!(client.refusals(toggle, json!({ "id": ada.id })).await, [""; 0]);
            app.wait(Duration::from_secs(1));
        }
    }
    staff.data("{ allEmails }", json!({})).await;
    Scene { app, admin, admin_id, boss: staff, boss_id: boss.id, ada }
}

async fn list(client: &Client, filter: Value) -> Value {
    client.data(TRAIL, json!({ "filter": filter, "first": 200 })).await["auditEvents"].clone()
}

fn nodes(list: &Value) -> &Vec<Value> {
    list["nodes"].as_array().unwrap()
}

#[both_databases]
async fn other_staff_see_nothing_that_superusers_did_for_themselves(place: Place) {
    let scene = scene(&place).await;
    let seen = list(&scene.boss, json!({})).await;
    assert!(!seen.to_string().contains(&scene.admin_id));
    assert!(!seen.to_string().contains(ELSEWHERE), "{seen}");
    for action in ["LOGIN", "LOGOUT", "EXPORTED", "USER_UPDATED"] {
        let seen = list(&scene.boss, json!({ "action": action })).await;
        for event in nodes(&seen) {
            assert!(event["actor"]["id"].is_string(), "{event}");
        }
    }
    assert_eq!(list(&scene.boss, json!({ "action": "LOGOUT" })).await["totalCount"], 0);
    assert_eq!(list(&scene.boss, json!({ "action": "EXPORTED" })).await["totalCount"], 1);
}

#[both_databases]
async fn filters_find_no_superuser(place: Place) {
    let scene = scene(&place).await;
    let nobody = "00000000-0000-7000-8000-000000000000";
    let mut filters = vec![json!({}), json!({ "createdAfter": "2026-01-01T00:00:00Z" })];
    filters.extend(actions().iter().map(|action| json!({ "action": action })));
    filters.extend(actions().iter().map(|action| json!({ "action": action, "createdBefore": "2027-01-01T00:00:00Z" })));
    for filter in filters {
        let mut filter = filter.clone();
        filter["userId"] = json!(scene.admin_id);
        let of_superuser = list(&scene.boss, filter.clone()).await;
        filter["userId"] = json!(nobody);
        let of_nobody = list(&scene.boss, filter.clone()).await;
        assert_eq!(of_superuser, of_nobody, "{filter}");
        assert_eq!(of_superuser["totalCount"], 0, "{filter}");
    }
    let found = list(&scene.admin, json!({ "userId": scene.admin_id })).await;
    assert!(nodes(&found).len() > 5);
}

#[both_databases]
async fn other_staff_see_acts_of_superusers_without_their_actor(place: Place) {
    let scene = scene(&place).await;
    for filter in [
        json!({ "userId": scene.ada.id, "action": "DEACTIVATED" }),
        json!({ "action": "DEACTIVATED" }),
        json!({ "userId": scene.ada.id, "action": "DEACTIVATED", "createdAfter": "2026-01-01T00:00:00Z" }),
    ] {
        let seen = list(&scene.boss, filter.clone()).await;
        assert_eq!(seen["totalCount"], 2, "{filter}");
        let (by_boss, by_admin) = (&nodes(&seen)[0], &nodes(&seen)[1]);
        assert_eq!(by_boss["actor"]["id"], scene.boss_id.as_str());
        assert_eq!(by_boss["ip"], "127.0.0.1");
        for hidden in ["actor", "ip", "userAgent"] {
            assert_eq!(by_admin[hidden], json!(null), "{filter}: {hidden}");
        }
        assert_eq!(by_admin["target"]["id"], scene.ada.id.as_str());
        let seen = list(&scene.admin, filter).await;
        assert_eq!(nodes(&seen)[1]["actor"]["id"], scene.admin_id.as_str());
        assert_eq!(nodes(&seen)[1]["userAgent"], ELSEWHERE);
    }
    // Actions on the viewer are shown in the same way.
    let created = list(&scene.boss, json!({ "userId": scene.boss_id, "action": "USER_CREATED" })).await;
    assert_eq!((created["totalCount"].as_u64(), &nodes(&created)[0]["actor"]), (Some(1), &json!(null)));
}

#[both_databases]
async fn attempts_at_names_of_superusers_look_like_attempts_at_no_name(place: Place) {
    let scene = scene(&place).await;
    let anyone = scene.app.anyone().with_header("user-agent", "a stranger");
    let wrong = "mutation($name: String!) { login(input: { identifier: $name, password: \"x\" }) { errors { code } } }";
    let reset = "mutation($name: String!) { requestReset(input: { email: $name }) { success } }";
    let mut seen = Vec::new();
    for name in ["admin@localhost", "nobody@localhost"] {
        scene.app.wait(Duration::from_secs(1));
        let since = scene.app.clock_now().to_string();
        scene.app.wait(Duration::from_secs(1));
        anyone.data(wrong, json!({ "name": name })).await;
        anyone.data(reset, json!({ "name": name })).await;
        anyone.data(REGISTER, wanted(name)).await;
        // Delivery finds the recipients of the mails.
        scene.app.mails().await;
        let events = list(&scene.boss, json!({ "createdAfter": since })).await;
        assert_eq!(events["totalCount"], 3, "{events}");
        let told = |events: &Value| {
            let told = nodes(events).iter().map(|event| {
                json!([event["action"], event["actor"], event["target"], event["ip"], event["userAgent"]])
            });
            let mut told: Vec<String> = told.map(|event| event.to_string()).collect();
            told.sort();
            told
        };
        seen.push((told(&events), events["totalCount"].clone()));
    }
    assert_eq!(seen[0], seen[1]);
}

#[both_databases]
async fn other_staff_see_nothing_that_the_operator_does_to_superusers(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let (staff, ada) = (app.add_staff("boss").await.sign_in(&app).await, app.add_user("ada").await);
    let before = list(&staff, Value::Null).await["totalCount"].as_u64().unwrap();
    for (email, more) in [(ADMIN.0, 0), (&*ada.email, 1)] {
        assert!(run(command(&place), &["users", "reset", email], "").0);
        assert_eq!(list(&staff, Value::Null).await["totalCount"].as_u64(), Some(before + more), "{email}");
    }
    let last = list(&staff, Value::Null).await;
    assert_eq!(
        (&nodes(&last)[0]["action"], &nodes(&last)[0]["target"]["id"]),
        (&json!("RESET_REQUESTED"), &json!(ada.id))
    );
}

#[both_databases]
async fn superusers_see_the_whole_trail(place: Place) {
    use sea_orm::{EntityTrait as _, PaginatorTrait as _};
    let scene = scene(&place).await;
    let all = vestibule::entity::audit_event::Entity::find().count(scene.app.db()).await.unwrap();
    let seen = list(&scene.admin, json!({})).await;
    assert_eq!((seen["totalCount"].as_u64(), nodes(&seen).len() as u64), (Some(all), all));
    assert!(seen.to_string().contains(ELSEWHERE));
}

#[both_databases]
async fn pages_and_counts_agree_for_each_filter(place: Place) {
    let scene = scene(&place).await;
    let wrong = "mutation { login(input: { identifier: \"admin\", password: \"x\" }) { errors { code } } }";
    scene.app.anyone().data(wrong, json!({})).await;
    scene.ada.sign_in(&scene.app).await;
    let times = [json!({}), json!({ "createdAfter": "2026-01-05T09:00:00Z" })];
    for user in [None, Some(&scene.ada.id), Some(&scene.boss_id), Some(&scene.admin_id)] {
        for action in std::iter::once(None).chain(actions().into_iter().map(Some)) {
            for time in &times {
                let mut filter = time.clone();
                if let Some(user) = user {
                    filter["userId"] = json!(user);
                }
                if let Some(action) = &action {
                    filter["action"] = json!(action);
                }
                let whole = list(&scene.boss, filter.clone()).await;
                assert_eq!(whole["totalCount"].as_u64(), Some(nodes(&whole).len() as u64), "{filter}");
                let forwards = walk(&scene.boss, &filter, "first", "after", ("hasNextPage", "endCursor")).await;
                assert_eq!(&forwards, nodes(&whole), "{filter}");
            }
        }
    }
    let mut backwards = walk(&scene.boss, &json!({}), "last", "before", ("hasPreviousPage", "startCursor")).await;
    backwards.sort_by_key(|event| std::cmp::Reverse(event["id"].as_str().unwrap().to_owned()));
    assert_eq!(&backwards, nodes(&list(&scene.boss, json!({})).await));
}

/// All events that match a filter, in pages of three.
async fn walk(client: &Client, filter: &Value, size: &str, cursor: &str, (more, end): (&str, &str)) -> Vec<Value> {
    let (mut all, mut from) = (Vec::new(), json!(null));
    loop {
        let page = client.data(TRAIL, json!({ "filter": filter, size: 3, cursor: from })).await["auditEvents"].clone();
        all.extend(nodes(&page).clone());
        if page["pageInfo"][more] != true {
            return all;
        }
        from = page["pageInfo"][end].clone();
    }
}
