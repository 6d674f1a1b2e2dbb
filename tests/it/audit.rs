//! The trail: one event for each thing that happens, in the transaction of what it tells of.

use sea_orm::{EntityTrait as _, QueryOrder as _};
use serde_json::json;
use vestibule::entity::audit_event::{self, Action};

use crate::app::{PASSWORD, TestApp};
use crate::engine::Place;
use crate::parity::recovery::reset_link;

crate::tests![each_operation_leaves_its_event, what_is_refused_leaves_none];

async fn events(app: &TestApp) -> Vec<audit_event::Model> {
    audit_event::Entity::find().order_by_asc(audit_event::Column::CreatedAt).all(app.db()).await.unwrap()
}

async fn each_operation_leaves_its_event(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let ada = app.add_user("ada").await;
    let staff = boss.sign_in(&app).await;
    let known = events(&app).await.len();
    let id = |person: &crate::app::Person| Some(person.id.parse::<uuid::Uuid>().unwrap());
    let (boss_id, ada_id) = (id(&boss), id(&ada));

    let mut expected = Vec::new();
    let mut next = async |action, actor, target| {
        app.wait(std::time::Duration::from_secs(1));
        expected.push((action, actor, target));
        let events = events(&app).await;
        let seen: Vec<_> =
            events[known..].iter().map(|event| (event.action, event.actor_id, event.target_id)).collect();
        assert_eq!(seen, expected);
        let last = events.last().unwrap();
        assert_eq!(last.ip.as_deref(), Some("127.0.0.1"));
    };
    let anyone = app.anyone().with_header("user-agent", "a test\u{9}of ours");
    let login = "mutation($p: String!) { login(input: { identifier: \"ada\", password: $p }) { errors { code } } }";
    anyone.data(login, json!({ "p": "wrong" })).await;
    next(Action::LoginFailed, None, ada_id).await;
    anyone.data(&login.replace("ada", "nobody"), json!({ "p": "wrong" })).await;
    next(Action::LoginFailed, None, None).await;
    let client = anyone.clone().sign_in("ada", PASSWORD).await;
    next(Action::Login, ada_id, ada_id).await;
    client.data("mutation { logout { success } }", json!({})).await;
    next(Action::Logout, ada_id, ada_id).await;
    let (uid, token) = reset_link(&app, &ada.email).await;
    next(Action::ResetRequested, None, ada_id).await;
    let input = json!({ "input": { "uid": uid, "token": token, "newPassword": "quite a new long phrase" } });
    anyone.data("mutation($input: ConfirmResetInput!) { confirmReset(input: $input) { success } }", input).await;
    next(Action::PasswordReset, ada_id, ada_id).await;

    let toggle = |what: &str, field: &str, to: bool| {
        format!("mutation($id: ID!) {{ {what}(input: {{ id: $id, {field}: {to} }}) {{ errors {{ code }} }} }}")
    };
    for (what, field, to, action) in [
        ("toggleStaff", "isStaff", true, Action::StaffGranted),
        ("toggleStaff", "isStaff", false, Action::StaffRevoked),
        ("toggleActive", "isActive", false, Action::Deactivated),
        ("toggleActive", "isActive", true, Action::Activated),
    ] {
        staff.data(&toggle(what, field, to), json!({ "id": ada.id })).await;
        next(action, boss_id, ada_id).await;
    }
    staff.data("{ allEmails }", json!({})).await;
    next(Action::Exported, boss_id, None).await;
    let create = "mutation { createUser(input: { email: \"eve@example.com\" }) { user { id } } }";
    let eve = staff.data(create, json!({})).await["createUser"]["user"]["id"].as_str().unwrap().parse().ok();
    next(Action::UserCreated, boss_id, eve).await;
    assert_eq!(events(&app).await[known].user_agent.as_deref(), Some("a testof ours"));
}

async fn what_is_refused_leaves_none(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let staff = boss.sign_in(&app).await;
    let before = events(&app).await.len();
    staff
        .data("mutation($id: ID!) { toggleStaff(input: { id: $id }) { errors { code } } }", json!({ "id": boss.id }))
        .await;
    staff.data("mutation { createUser(input: { email: \"ADA@example.com\" }) { errors { code } } }", json!({})).await;
    ada.code("{ allEmails }", json!({})).await;
    app.anyone().data("mutation { requestReset(input: { email: \"x\" }) { errors { code } } }", json!({})).await;
    assert_eq!(events(&app).await.len(), before);
}
