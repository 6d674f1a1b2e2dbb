//! User updates: guard rails, consequences, and agreement with `viewerCan`.

use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::tools::mail::SendError;

use crate::parity::desk::UPDATE;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

#[both_databases]
async fn guard_rails_hold_for_every_field(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let staff = boss.sign_in(&app).await;
    let superuser = app.admin().await.data("{ me { id } }", json!({})).await["me"]["id"].clone();
    let update = async |id: &Value, change: Value| {
        let mut input = json!({ "id": id });
        input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        staff.refusals(UPDATE, json!({ "input": input })).await
    };
    for change in [
        json!({ "email": "mine@example.com" }),
        json!({ "password": PASSWORD }),
        json!({ "firstName": "Eve" }),
        json!({ "isActive": false, "isStaff": false, "role": "MEMBER" }),
        json!({ "permission": "DOWNLOAD" }),
    ] {
        let refused = update(&superuser, change.clone()).await;
        let code = if change.get("password").is_some() { "password" } else { "id" };
        assert_eq!(refused, [format!("CANNOT_EDIT_SUPERUSER {code}")], "{change}");
    }
    let own = json!(boss.id);
    assert_eq!(update(&own, json!({ "firstName": "Bo", "bio": "x" })).await, [""; 0]);
    assert_eq!(update(&own, json!({ "role": "ADMIN" })).await, ["CANNOT_DEMOTE_SELF role"]);
    assert_eq!(update(&own, json!({ "permission": "FULL_ACCESS" })).await, ["CANNOT_DEMOTE_SELF permission"]);
    assert_eq!(update(&own, json!({ "permission": "ONLY_VIEW" })).await, [""; 0], "it is so already");
    let root = app.admin().await;
    for change in [json!({ "id": superuser, "permission": "DOWNLOAD" }), json!({ "id": superuser, "role": "AGENT" })] {
        assert_eq!(root.refusals(UPDATE, json!({ "input": change })).await.len(), 1, "{change}");
    }
    assert_eq!(update(&own, json!({ "email": "other@example.com" })).await, ["INVALID email"]);
    assert_eq!(update(&own, json!({ "password": "some other long phrase" })).await, ["INVALID password"]);
    assert_eq!(
        update(&own, json!({ "isStaff": false, "isActive": false, "firstName": "Nobody" })).await,
        ["CANNOT_DEACTIVATE_SELF isActive", "CANNOT_DEMOTE_SELF isStaff"]
    );
    let me = staff.data("{ me { firstName email isStaff isActive role permission } }", json!({})).await;
    assert_eq!(
        me["me"],
        json!({ "firstName": "Bo", "email": "boss@example.com", "isStaff": true, "isActive": true, "role": "MEMBER",
            "permission": "ONLY_VIEW" })
    );
}

#[both_databases]
async fn errors_are_reported_per_field_and_nothing_is_changed(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    app.add_user("bob").await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let update = async |change: Value| {
        let mut input = json!({ "id": ada.id });
        input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        staff.refusals(UPDATE, json!({ "input": input })).await
    };
    assert_eq!(update(json!({ "email": "BOB@example.com", "firstName": "Eve" })).await, ["ALREADY_EXISTS email"]);
    assert_eq!(update(json!({ "username": "BOB", "firstName": "Eve" })).await, ["ALREADY_EXISTS username"]);
    assert_eq!(
        update(json!({ "username": "a@b", "email": "", "lastName": "x".repeat(151), "bio": "a\u{7}b" })).await,
        ["INVALID username", "TOO_LONG lastName", "INVALID bio", "REQUIRED email"]
    );
    assert_eq!(update(json!({ "password": "short" })).await, ["PASSWORD_TOO_SHORT password"]);
    let similar = json!({ "password": "bartholomew the great", "username": "bartholomew-the-great" });
    assert_eq!(update(similar).await, ["PASSWORD_TOO_SIMILAR password"]);
    let nobody = json!({ "input": { "id": "nobody", "firstName": "x" } });
    assert_eq!(staff.refusals(UPDATE, nobody).await, ["NOT_FOUND id"]);
    let user = "query($id: ID!) { user(id: $id) { username email firstName lastName bio } }";
    assert_eq!(
        staff.data(user, json!({ "id": ada.id })).await["user"],
        json!({ "username": "ada", "email": "ada@example.com", "firstName": "", "lastName": "", "bio": "" })
    );
    assert!(app.mails().await.is_empty());
}

#[both_databases]
async fn an_update_of_a_superuser_that_changes_nothing_shows_staff_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let root = app.admin().await.data("{ me { id } }", json!({})).await["me"]["id"].clone();
    let update =
        "mutation($input: UpdateUserInput!) { updateUser(input: $input) { user { email } errors { code field } } }";
    for input in [json!({ "id": root }), json!({ "id": root, "email": "admin@localhost" })] {
        let payload = staff.data(update, json!({ "input": input })).await["updateUser"].clone();
        assert_eq!(payload["user"], Value::Null);
        assert_eq!(payload["errors"], json!([{ "code": "CANNOT_EDIT_SUPERUSER", "field": "id" }]));
    }
}

#[both_databases]
async fn unchanged_values_need_no_right_and_leave_no_trace(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let boss = app.add_staff("boss").await;
    let staff = boss.sign_in(&app).await;
    let client = ada.sign_in(&app).await;
    let count = "{ auditEvents { totalCount } }";
    let before = staff.data(count, json!({})).await;
    for (id, email) in [(&ada.id, "ada@example.com"), (&boss.id, "boss@example.com")] {
        let is_staff = *id == boss.id;
        let input = json!({ "id": id, "email": email, "isActive": true, "isStaff": is_staff, "role": "MEMBER" });
        assert_eq!(staff.refusals(UPDATE, json!({ "input": input })).await, [""; 0]);
    }
    assert_eq!(staff.data(count, json!({})).await, before);
    client.data("{ me { id } }", json!({})).await;
    assert!(app.mails().await.is_empty());
}

#[both_databases]
async fn viewer_can_agrees_with_the_mutations(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, boss) = (app.add_user("ada").await, app.add_staff("boss").await);
    let staff = boss.sign_in(&app).await;
    let admin = app.admin().await;
    let can = "query($id: ID!) { user(id: $id) { viewerCan {
        update { allowed reason } toggleStaff { allowed reason } toggleActive { allowed reason }
        setPassword { allowed reason } delete { allowed reason }
    } } }";
    let mutations = [
        ("update", "updateUser(input: { id: $id, bio: \"x\" })"),
        ("toggleStaff", "toggleStaff(input: { id: $id })"),
        ("toggleActive", "toggleActive(input: { id: $id })"),
        ("setPassword", "setUserPassword(input: { id: $id, password: \"one of the staff desk\" })"),
        ("delete", "deleteUser(input: { id: $id })"),
    ];
    let superuser = admin.data("{ me { id } }", json!({})).await["me"]["id"].as_str().unwrap().to_owned();
    for (client, id) in [(&staff, &ada.id), (&staff, &boss.id), (&admin, &superuser), (&admin, &boss.id)] {
        let said = client.data(can, json!({ "id": id })).await["user"]["viewerCan"].clone();
        for (name, mutation) in mutations {
            let document = format!("mutation($id: ID!) {{ {mutation} {{ errors {{ code }} }} }}");
            let refusals = client.refusals(&document, json!({ "id": id })).await;
            let expected = json!({ "allowed": refusals.is_empty(), "reason": refusals.first() });
            assert_eq!(said[name], expected, "{name}");
        }
    }
    let eve = app.add_user("eve").await.sign_in(&app).await;
    let own = eve.data("{ me { viewerCan { update { allowed reason } delete { allowed reason } } } }", json!({})).await;
    let no = json!({ "allowed": false, "reason": null });
    assert_eq!(own["me"]["viewerCan"], json!({ "update": no, "delete": no }));
}

#[both_databases]
async fn two_who_delete_the_same_users_do_not_wait_for_each_other(place: Place) {
    let app = TestApp::start(&place).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(app.add_user(&format!("user{number}")).await.id);
    }
    let (one, two) = (app.admin().await, app.add_staff("boss").await.sign_in(&app).await);
    let delete = "mutation($ids: [ID!]!) { deleteUsers(input: { ids: $ids }) { deleted errors { code } } }";
    let backwards: Vec<&String> = ids.iter().rev().collect();
    let (a, b) = tokio::join!(one.data(delete, json!({ "ids": ids })), two.data(delete, json!({ "ids": backwards })),);
    let mut deleted = [a["deleteUsers"]["deleted"].clone(), b["deleteUsers"]["deleted"].clone()];
    deleted.sort_by_key(Value::is_null);
    assert_eq!(deleted, [json!(6), Value::Null]);
}

#[both_databases]
async fn mails_of_the_outbox_are_seen_and_retried(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let admin = app.admin().await;
    let outbox = "query($status: MailStatus) { outgoingMails(status: $status) {
        totalCount nodes { id kind recipient status attempts lastError createdAt nextAttemptAt sentAt }
    } }";
    let ask = "mutation($email: String!) { requestReset(input: { email: $email }) { success } }";
    app.transport().fail_next(1, &SendError::permanent("550 no such mailbox"));
    app.anyone().data(ask, json!({ "email": "boss@example.com" })).await;
    app.deliver().await;
    let data = staff.data(outbox, json!({ "status": "FAILED" })).await;
    let mail = &data["outgoingMails"]["nodes"][0];
    assert_eq!(data["outgoingMails"]["totalCount"], 1);
    assert_eq!(
        (&mail["kind"], &mail["recipient"], &mail["attempts"], &mail["nextAttemptAt"], &mail["sentAt"]),
        (&json!("RESET_PASSWORD"), &json!("boss@example.com"), &json!(1), &Value::Null, &Value::Null)
    );
    assert!(mail["lastError"].as_str().unwrap().contains("no such mailbox"), "{mail}");
    let retry = "mutation($id: ID!) { retryMail(input: { id: $id }) {
        mail { status attempts } errors { code field }
    } }";
    let retried = staff.data(retry, json!({ "id": mail["id"] })).await;
    assert_eq!(retried["retryMail"]["mail"], json!({ "status": "QUEUED", "attempts": 0 }));
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "boss@example.com"));
    assert!(mails[0].text.contains("token="), "the link is made anew");
    assert_eq!(staff.refusals(retry, json!({ "id": mail["id"] })).await, ["INVALID id"]);
    assert_eq!(staff.refusals(retry, json!({ "id": "nonsense" })).await, ["NOT_FOUND id"]);

    // Mails to superusers are shown to superusers only.
    app.transport().fail_next(1, &SendError::permanent("550 closed"));
    app.anyone().data(ask, json!({ "email": "admin@localhost" })).await;
    app.deliver().await;
    assert_eq!(staff.data(outbox, json!({ "status": "FAILED" })).await["outgoingMails"]["totalCount"], 0);
    let data = admin.data(outbox, json!({ "status": "FAILED" })).await;
    let hidden = &data["outgoingMails"]["nodes"][0];
    assert_eq!(hidden["recipient"], "admin@localhost");
    assert_eq!(staff.refusals(retry, json!({ "id": hidden["id"] })).await, ["NOT_FOUND id"]);
    let ada = app.add_user("ada").await.sign_in(&app).await;
    assert_eq!(ada.code(outbox, json!({})).await, "FORBIDDEN");
    assert_eq!(ada.code(retry, json!({ "id": hidden["id"] })).await, "FORBIDDEN");
}

#[both_databases]
async fn the_trail_is_filtered_by_user_action_and_time(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let boss = app.add_staff("boss").await;
    app.wait(std::time::Duration::from_secs(1));
    let staff = boss.sign_in(&app).await;
    app.wait(std::time::Duration::from_secs(59));
    let update = |bio: &str| json!({ "input": { "id": ada.id, "bio": bio } });
    staff.data(UPDATE, update("one")).await;
    app.wait(std::time::Duration::from_secs(60));
    staff.data(UPDATE, update("two")).await;
    let trail = "query($filter: AuditEventFilter, $last: Int, $before: String) {
        auditEvents(filter: $filter, last: $last, before: $before) {
            totalCount nodes { action actor { username } target { username } createdAt } pageInfo { startCursor hasPreviousPage }
        }
    }";
    let filtered = async |filter: Value| {
        let data = staff.data(trail, json!({ "filter": filter })).await;
        let nodes = data["auditEvents"]["nodes"].as_array().unwrap().clone();
        assert_eq!(data["auditEvents"]["totalCount"], nodes.len());
        nodes.iter().map(|event| event["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(filtered(json!({ "userId": ada.id })).await, "USER_UPDATED USER_UPDATED USER_CREATED");
    assert_eq!(
        filtered(json!({ "userId": boss.id })).await,
        "USER_UPDATED USER_UPDATED LOGIN STAFF_GRANTED USER_CREATED"
    );
    assert_eq!(filtered(json!({ "userId": boss.id, "action": "LOGIN" })).await, "LOGIN");
    assert_eq!(filtered(json!({ "createdAfter": "2026-01-05T09:00:59.999Z" })).await, "USER_UPDATED USER_UPDATED");
    assert_eq!(filtered(json!({ "createdAfter": "2026-01-05T09:01:00Z" })).await, "USER_UPDATED");
    let between = json!({ "createdAfter": "2026-01-05T09:00:01Z", "createdBefore": "2026-01-05T09:02:00Z" });
    assert_eq!(filtered(between).await, "USER_UPDATED");
    assert_eq!(staff.code(trail, json!({ "filter": { "userId": "nonsense" } })).await, "BAD_USER_INPUT");

    let page = staff.data(trail, json!({ "filter": { "userId": ada.id }, "last": 2 })).await;
    let events = &page["auditEvents"];
    assert_eq!(
        (&events["nodes"][1]["action"], &events["pageInfo"]["hasPreviousPage"]),
        (&json!("USER_CREATED"), &json!(true))
    );
    let before = json!({ "filter": { "userId": ada.id }, "last": 2, "before": events["pageInfo"]["startCursor"] });
    let newest = staff.data(trail, before).await;
    assert_eq!(newest["auditEvents"]["nodes"][0]["createdAt"], "2026-01-05T09:02:00.000Z");
    assert_eq!(newest["auditEvents"]["nodes"][0]["actor"]["username"], "boss");
}
