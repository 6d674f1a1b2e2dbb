//! User administration: search, changes, deletion, and the audit trail.

use std::time::Duration;
use test_macros::both_databases;

use serde_json::{Value, json};

use super::recovery::reset_link;
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_database::Place;

const USERS: &str = "query($search: String, $filter: UserFilter, $orderBy: [UserOrder!], $first: Int, $offset: Int) {
    users(search: $search, filter: $filter, orderBy: $orderBy, first: $first, offset: $offset) {
        totalCount nodes { username } pageInfo { hasNextPage }
    }
}";

pub(crate) const UPDATE: &str = "mutation($input: UpdateUserInput!) { updateUser(input: $input) {
    user {
        username email firstName lastName name phone address bio role permission isActive isStaff isVerified pendingEmail
    }
    errors { code field message }
} }";

const SET_PASSWORD: &str = "mutation($input: SetUserPasswordInput!) { setUserPassword(input: $input) {
    user { username } errors { code field }
} }";

const DELETE: &str = "mutation($id: ID!) { deleteUser(input: { id: $id }) { outcome errors { code field } } }";

const DELETE_ALL: &str = "mutation($ids: [ID!]!) { deleteUsers(input: { ids: $ids }) {
    deleted anonymized errors { code field message }
} }";

fn names(data: &Value) -> Vec<&str> {
    data["users"]["nodes"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap()).collect()
}

#[both_databases]
async fn reset_requests_are_in_the_audit_trail_and_limited(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let request = "mutation($email: String!) { requestReset(input: { email: $email }) { success } }";
    let asking = app.anyone().with_header("user-agent", "a browser");
    for email in ["ada@example.com", "nobody@example.com", "ADA@example.com", "ada@example.com"] {
        app.wait(Duration::from_secs(1));
        asking.data(request, json!({ "email": email })).await;
        app.mails().await;
    }
    assert_eq!(asking.code(request, json!({ "email": "ada@example.com" })).await, "RATE_LIMITED");

    let trail = "query($id: ID, $first: Int, $after: String) {
        auditEvents(first: $first, after: $after, filter: { userId: $id, action: RESET_REQUESTED }) {
            totalCount nodes { action actor { username } target { username } ip userAgent createdAt }
            pageInfo { hasNextPage endCursor }
        }
    }";
    let data = staff.data(trail, json!({})).await;
    let targets: Vec<&Value> =
        data["auditEvents"]["nodes"].as_array().unwrap().iter().map(|event| &event["target"]["username"]).collect();
    assert_eq!(targets, [&json!("ada"), &json!("ada"), &Value::Null, &json!("ada")]);
    assert_eq!(data["auditEvents"]["totalCount"], 4);
    let data = staff.data(trail, json!({ "id": ada.id, "first": 2 })).await;
    let events = &data["auditEvents"];
    assert_eq!(
        events["nodes"][0],
        json!({
            "action": "RESET_REQUESTED", "actor": null, "target": { "username": "ada" }, "ip": "127.0.0.1",
            "userAgent": "a browser", "createdAt": "2026-01-05T09:00:04.000Z",
        })
    );
    assert_eq!((&events["totalCount"], &events["pageInfo"]["hasNextPage"]), (&json!(3), &json!(true)));
    let after = json!({ "id": ada.id, "first": 2, "after": events["pageInfo"]["endCursor"] });
    let last = staff.data(trail, after).await;
    assert_eq!(last["auditEvents"]["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(last["auditEvents"]["pageInfo"]["hasNextPage"], false);
}

#[both_databases]
async fn search_covers_username_address_and_names(place: Place) {
    let app = TestApp::start(&place).await;
    app.add(json!({ "username": "ada", "email": "countess@example.com", "firstName": "Augusta", "lastName": "King" }))
        .await;
    app.add_user("bob").await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    for search in ["ADA", "ount", "gust", "king"] {
        assert_eq!(names(&staff.data(USERS, json!({ "search": search })).await), ["ada"], "{search}");
    }
}

#[both_databases]
async fn users_are_sorted_by_several_fields_and_newest_first_by_default(place: Place) {
    let app = TestApp::start(&place).await;
    for (username, last) in [("a", "Zorn"), ("b", "Adler"), ("c", "Zorn")] {
        app.wait(Duration::from_secs(1));
        app.add(json!({ "username": username, "email": format!("{username}@example.com"), "lastName": last })).await;
    }
    app.wait(Duration::from_secs(1));
    let staff = app.add_staff("z").await.sign_in(&app).await;
    let default = staff.data("{ users { nodes { username } } }", json!({})).await;
    assert_eq!(names(&default), ["z", "c", "b", "a"]);
    let order = json!([{ "field": "LAST_NAME", "direction": "DESC" }, { "field": "USERNAME" }]);
    assert_eq!(names(&staff.data(USERS, json!({ "orderBy": order })).await), ["a", "c", "b", "z"]);
    let order = json!([{ "field": "LAST_NAME" }, { "field": "USERNAME", "direction": "DESC" }]);
    assert_eq!(names(&staff.data(USERS, json!({ "orderBy": order })).await), ["z", "b", "c", "a"]);
}

#[both_databases]
async fn users_are_filtered_by_active_and_by_the_day_joined(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("monday").await;
    app.wait(Duration::from_secs(24 * 60 * 60));
    app.add_user("tuesday").await;
    app.add(json!({ "username": "idle", "email": "idle@example.com", "isActive": false })).await;
    let admin = app.admin().await;
    let filtered = async |filter: Value| {
        let data = admin.data(USERS, json!({ "filter": filter, "orderBy": [{ "field": "USERNAME" }] })).await;
        names(&data).join(" ")
    };
    assert_eq!(filtered(json!({ "isActive": false })).await, "idle");
    assert_eq!(filtered(json!({ "isActive": true })).await, "admin monday tuesday");
    assert_eq!(filtered(json!({ "joinedOn": "2026-01-05" })).await, "admin monday");
    assert_eq!(filtered(json!({ "joinedOn": "2026-01-06", "isActive": true })).await, "tuesday");
}

#[both_databases]
async fn pages_have_20_users_a_total_and_offsets(place: Place) {
    let app = TestApp::start(&place).await;
    for number in 10..55 {
        app.add(json!({ "username": format!("u{number}"), "email": format!("u{number}@example.com") })).await;
    }
    let admin = app.admin().await;
    let order = json!([{ "field": "USERNAME" }]);
    let first = admin.data(USERS, json!({ "orderBy": order })).await;
    assert_eq!((names(&first).len(), &first["users"]["totalCount"]), (20, &json!(46)));
    let third = admin.data(USERS, json!({ "orderBy": order, "offset": 40 })).await;
    assert_eq!(names(&third), ["u49", "u50", "u51", "u52", "u53", "u54"]);
    assert_eq!(third["users"]["pageInfo"]["hasNextPage"], false);
    assert_eq!(names(&admin.data(USERS, json!({ "first": 200 })).await).len(), 46);
    assert_eq!(admin.code(USERS, json!({ "first": 201 })).await, "BAD_USER_INPUT");
}

#[both_databases]
async fn one_user_by_id(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let user = "query($id: ID!) { user(id: $id) { username } }";
    assert_eq!(staff.data(user, json!({ "id": ada.id })).await["user"]["username"], "ada");
    for id in ["00000000-0000-7000-8000-000000000000", "nonsense", ""] {
        assert_eq!(staff.data(user, json!({ "id": id })).await["user"], Value::Null);
    }
}

#[both_databases]
async fn staff_change_any_field_of_a_user(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let client = ada.sign_in(&app).await;
    let input = json!({
        "id": ada.id, "username": "countess", "email": "Countess@example.com", "firstName": "Ada", "lastName": "King",
        "phone": "1", "address": "London\nEngland", "bio": "Poetical science", "role": "MANAGER", "permission": "DOWNLOAD",
        "isStaff": true,
    });
    let data = staff.data(UPDATE, json!({ "input": input })).await;
    assert_eq!(
        data["updateUser"],
        json!({
            "user": {
                "username": "countess", "email": "Countess@example.com", "firstName": "Ada", "lastName": "King",
                "name": "Ada King", "phone": "1", "address": "London\nEngland", "bio": "Poetical science",
                "role": "MANAGER", "permission": "DOWNLOAD", "isActive": true, "isStaff": true, "isVerified": true,
                "pendingEmail": null,
            },
            "errors": [],
        })
    );
    let mails = app.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, "ada@example.com", "the old address is told");
    client.data("{ users { totalCount } }", json!({})).await;
    app.anyone().sign_in("countess@EXAMPLE.com", PASSWORD).await;

    let input = json!({ "id": ada.id, "password": "a quite different phrase", "isActive": true, "isStaff": false });
    assert_eq!(staff.refusals(UPDATE, json!({ "input": input })).await, [""; 0]);
    assert_eq!(client.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    let client = app.anyone().sign_in("countess", "a quite different phrase").await;
    assert_eq!(client.code("{ users { totalCount } }", json!({})).await, "FORBIDDEN");
    assert_eq!(app.mails().await[0].to, "Countess@example.com");

    let input = json!({ "id": ada.id, "isActive": false });
    assert_eq!(staff.refusals(UPDATE, json!({ "input": input })).await, [""; 0]);
    assert_eq!(client.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
}

#[both_databases]
async fn a_password_set_by_staff_obeys_the_rules_and_ends_sessions(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let mut client = ada.sign_in(&app).await;
    let (uid, token) = reset_link(&app, &ada.email).await;
    let set = async |password: &str| {
        staff.refusals(SET_PASSWORD, json!({ "input": { "id": ada.id, "password": password } })).await
    };
    assert_eq!(set("short").await, ["PASSWORD_TOO_SHORT password"]);
    assert_eq!(set("ada@example.com").await, ["PASSWORD_TOO_SIMILAR password"]);
    client.data("{ me { id } }", json!({})).await;
    assert_eq!(set("chosen by the staff desk").await, [""; 0]);
    assert_eq!(client.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    assert_eq!(client.refresh().await, Err("INVALID_TOKEN".to_owned()));
    let valid = "query($uid: ID!, $token: String!) { resetTokenIsValid(uid: $uid, token: $token) }";
    assert_eq!(app.anyone().data(valid, json!({ "uid": uid, "token": token })).await["resetTokenIsValid"], false);
    app.anyone().sign_in("ada", "chosen by the staff desk").await;
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "ada@example.com"));
    assert!(!mails[0].text.contains("chosen"), "{}", mails[0].text);
}

#[both_databases]
async fn staff_delete_users_but_not_themselves(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let boss = app.add_staff("boss").await;
    let staff = boss.sign_in(&app).await;
    let client = ada.sign_in(&app).await;
    assert_eq!(staff.refusals(DELETE, json!({ "id": boss.id })).await, ["CANNOT_DELETE_SELF id"]);
    assert_eq!(staff.data(DELETE, json!({ "id": ada.id })).await["deleteUser"]["outcome"], "DELETED");
    assert_eq!(client.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    assert_eq!(staff.refusals(DELETE, json!({ "id": ada.id })).await, ["NOT_FOUND id"]);
    let admin = app.admin().await.data("{ me { id } }", json!({})).await["me"]["id"].clone();
    assert_eq!(staff.refusals(DELETE, json!({ "id": admin })).await, ["CANNOT_EDIT_SUPERUSER id"]);
    // The address is free immediately, the username later.
    app.add(json!({ "username": "ada2", "email": ada.email })).await;
}

#[both_databases]
async fn a_user_named_in_records_is_anonymized(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let record = "mutation { recordSample(input: { key: \"K\", title: \"T\" }) { errors { code } } }";
    ada.sign_in(&app).await.data(record, json!({})).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    assert_eq!(staff.data(DELETE, json!({ "id": ada.id })).await["deleteUser"]["outcome"], "ANONYMIZED");
    let user = "query($id: ID!) { user(id: $id) { username email name phone bio isActive avatarUrl } }";
    let name = format!("deleted_user_{}", ada.id);
    assert_eq!(
        staff.data(user, json!({ "id": ada.id })).await["user"],
        json!({
            "username": name, "email": format!("{name}@example.invalid"), "name": "[deleted]", "phone": "", "bio": "",
            "isActive": false, "avatarUrl": null,
        })
    );
}

#[both_databases]
async fn several_users_are_deleted_together_all_or_none(place: Place) {
    let app = TestApp::start(&place).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(app.add_user(name).await.id);
    }
    let record = "mutation { recordSample(input: { key: \"K\", title: \"T\" }) { errors { code } } }";
    app.anyone().sign_in("c", PASSWORD).await.data(record, json!({})).await;
    let boss = app.add_staff("boss").await;
    let staff = boss.sign_in(&app).await;
    let admin = app.anyone().sign_in(ADMIN.0, ADMIN.1).await;
    let superuser = admin.data("{ me { id } }", json!({})).await["me"]["id"].as_str().unwrap().to_owned();

    let with = |more: &[&str]| json!({ "ids": ids.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>() });
    let data = staff.data(DELETE_ALL, with(&[&boss.id, &superuser, "nobody"])).await;
    let payload = &data["deleteUsers"];
    assert_eq!((&payload["deleted"], &payload["anonymized"]), (&Value::Null, &Value::Null));
    let mut told: Vec<String> = Vec::new();
    for error in payload["errors"].as_array().unwrap() {
        let message = error["message"].as_str().unwrap();
        let named = [&*boss.id, &superuser, "nobody"].into_iter().find(|id| message.contains(id)).unwrap();
        told.push(format!("{} {} {named}", error["code"].as_str().unwrap(), error["field"].as_str().unwrap()));
    }
    told.sort();
    let expected = [
        format!("CANNOT_DELETE_SELF ids {}", boss.id),
        format!("CANNOT_EDIT_SUPERUSER ids {superuser}"),
        "NOT_FOUND ids nobody".to_owned(),
    ];
    assert_eq!(told, expected);
    assert_eq!(admin.data(USERS, json!({})).await["users"]["totalCount"], 5);

    let data = staff.data(DELETE_ALL, with(&[&ids[0]])).await;
    assert_eq!(data["deleteUsers"], json!({ "deleted": 2, "anonymized": 1, "errors": [] }));
    assert_eq!(admin.data(USERS, json!({})).await["users"]["totalCount"], 3);
    assert_eq!(staff.refusals(DELETE_ALL, json!({ "ids": [] })).await, ["REQUIRED ids"]);
    assert_eq!(staff.refusals(DELETE_ALL, json!({ "ids": vec![&ids[0]; 501] })).await, ["TOO_LONG ids"]);
}
