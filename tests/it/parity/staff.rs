//! User administration: rights, creation, and toggles.

use serde_json::{Value, json};
use test_macros::both_databases;

use super::recovery::link;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const STAFF: &str = "mutation($id: ID!, $to: Boolean) { toggleStaff(input: { id: $id, isStaff: $to }) {
    user { username isStaff } errors { code field }
} }";

const ACTIVE: &str = "mutation($id: ID!, $to: Boolean) { toggleActive(input: { id: $id, isActive: $to }) {
    user { username isActive } errors { code field }
} }";

const CREATE: &str = "mutation($input: CreateUserInput!) { createUser(input: $input) {
    user { username email isVerified role permission isActive isStaff isSuperuser } errors { code field }
} }";

const USERS: &str = "{ users { totalCount nodes { username } } }";

#[both_databases]
async fn staff_operations_are_forbidden_for_others(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let create = json!({ "input": { "email": "eve@example.com" } });
    for (document, variables) in [
        (USERS, json!({})),
        ("query($id: ID!) { user(id: $id) { id } }", json!({ "id": ada.id })),
        ("{ allEmails }", json!({})),
        (CREATE, create),
        (STAFF, json!({ "id": ada.id })),
        (ACTIVE, json!({ "id": ada.id })),
    ] {
        assert_eq!(client.code(document, variables.clone()).await, "FORBIDDEN", "{document}");
        assert_eq!(app.anyone().code(document, variables).await, "UNAUTHENTICATED MISSING", "{document}");
    }
    assert_eq!(app.admin().await.data(USERS, json!({})).await["users"]["totalCount"], 2);
}

#[both_databases]
async fn staff_means_staff_flag_admin_role_or_superuser(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    admin.data(USERS, json!({})).await;
    let flag = app.add_staff("flag").await;
    flag.sign_in(&app).await.data(USERS, json!({})).await;
    let role = app.add(json!({ "email": "role@example.com", "password": PASSWORD, "role": "ADMIN" })).await;
    role.sign_in(&app).await.data(USERS, json!({})).await;
    let manager = app.add(json!({ "email": "m@example.com", "password": PASSWORD, "role": "MANAGER" })).await;
    assert_eq!(manager.sign_in(&app).await.code(USERS, json!({})).await, "FORBIDDEN");

    // Rights are current: losing them applies to the next request.
    let client = flag.sign_in(&app).await;
    admin.data(STAFF, json!({ "id": flag.id, "to": false })).await;
    assert_eq!(client.code(USERS, json!({})).await, "FORBIDDEN");
}

#[both_databases]
async fn superusers_show_to_superusers_only(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let admin = app.admin().await;
    let names = async |client: &Client| {
        let data = client.data(USERS, json!({})).await;
        let nodes = data["users"]["nodes"].as_array().unwrap();
        assert_eq!(data["users"]["totalCount"], nodes.len());
        let mut names: Vec<String> = nodes.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&admin).await, ["admin", "boss"]);
    assert_eq!(names(&staff).await, ["boss"]);
    assert_eq!(staff.data("{ allEmails }", json!({})).await["allEmails"], "boss@example.com");

    let me = admin.data("{ me { id } }", json!({})).await;
    let user = "query($id: ID!) { user(id: $id) { username } }";
    let id = json!({ "id": me["me"]["id"] });
    assert_eq!(staff.data(user, id.clone()).await["user"], Value::Null);
    assert_eq!(admin.data(user, id).await["user"]["username"], "admin");
    assert_eq!(admin.data(user, json!({ "id": "no such id" })).await["user"], Value::Null);
}

#[both_databases]
async fn a_user_is_created_with_a_welcome_link_or_with_a_given_password(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;

    let created = staff.data(CREATE, json!({ "input": { "email": "Ada.Lovelace@Example.com" } })).await;
    let username = created["createUser"]["user"]["username"].as_str().unwrap();
    assert!(username.starts_with("user-"), "nothing of the address is in it: {username}");
    assert_eq!(
        created["createUser"]["user"],
        json!({
            "username": username, "email": "Ada.Lovelace@Example.com", "isVerified": false,
            "role": "MEMBER", "permission": "ONLY_VIEW", "isActive": true, "isStaff": false, "isSuperuser": false,
        })
    );
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "Ada.Lovelace@Example.com"));
    assert!(mails[0].text.contains("3 days"), "{}", mails[0].text);
    let (uid, token) = link(&mails[0]);
    let input = json!({ "input": { "uid": uid, "token": token, "newPassword": PASSWORD } });
    let confirm =
        "mutation($input: ConfirmResetInput!) { confirmReset(input: $input) { success errors { code field } } }";
    assert_eq!(app.anyone().data(confirm, input).await["confirmReset"]["success"], true);
    app.anyone().sign_in("ada.lovelace@example.com", PASSWORD).await;
    app.mails().await;

    let input = json!({ "input": { "email": "bob@example.com", "username": "bob", "password": PASSWORD } });
    staff.data(CREATE, input).await;
    let mails = app.mails().await;
    assert!(!mails[0].text.contains("token="), "{}", mails[0].text);
    app.anyone().sign_in("bob", PASSWORD).await;

    let refusals = async |input: Value| staff.refusals(CREATE, json!({ "input": input })).await;
    assert_eq!(refusals(json!({ "email": "BOB@example.com" })).await, ["ALREADY_EXISTS email"]);
    assert_eq!(refusals(json!({ "email": "b@example.com", "username": "BOB" })).await, ["ALREADY_EXISTS username"]);
    assert_eq!(
        refusals(json!({ "email": "nonsense", "username": "a@b", "firstName": "A\u{7}da" })).await,
        ["INVALID email", "INVALID username", "INVALID firstName"]
    );
    assert_eq!(
        refusals(json!({ "email": "c@example.com", "password": "short" })).await,
        ["PASSWORD_TOO_SHORT password"]
    );
    assert_eq!(refusals(json!({ "email": "bob@example.org" })).await, [""; 0], "its name is not that before the @");
    assert_eq!(staff.data(USERS, json!({})).await["users"]["totalCount"], 4);
}

#[both_databases]
async fn staff_is_toggled_and_a_deactivated_user_is_signed_out_immediately(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let ada = app.add_user("ada").await;
    let toggled = async |to: Value| {
        boss.data(STAFF, json!({ "id": ada.id, "to": to })).await["toggleStaff"]["user"]["isStaff"].clone()
    };
    assert_eq!(toggled(Value::Null).await, true);
    assert_eq!(toggled(Value::Null).await, false);
    assert_eq!(toggled(json!(true)).await, true);
    assert_eq!(toggled(json!(true)).await, true);

    let (mut laptop, mut phone) = (ada.sign_in(&app).await, ada.sign_in(&app).await);
    let data = boss.data(ACTIVE, json!({ "id": ada.id })).await;
    assert_eq!(data["toggleActive"]["user"]["isActive"], false);
    for device in [&mut laptop, &mut phone] {
        assert_eq!(device.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
        assert_eq!(device.refresh().await, Err("INVALID_TOKEN".to_owned()));
    }
    boss.data(ACTIVE, json!({ "id": ada.id, "to": true })).await;
    ada.sign_in(&app).await;
    assert_eq!(boss.refusals(ACTIVE, json!({ "id": "nobody" })).await, ["NOT_FOUND id"]);
}

#[both_databases]
async fn nobody_demotes_or_deactivates_themself(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let client = boss.sign_in(&app).await;
    assert_eq!(client.refusals(STAFF, json!({ "id": boss.id, "to": false })).await, ["CANNOT_DEMOTE_SELF id"]);
    assert_eq!(client.refusals(STAFF, json!({ "id": boss.id })).await, ["CANNOT_DEMOTE_SELF id"]);
    assert_eq!(client.refusals(ACTIVE, json!({ "id": boss.id })).await, ["CANNOT_DEACTIVATE_SELF id"]);
    assert_eq!(client.refusals(ACTIVE, json!({ "id": boss.id, "to": true })).await, [""; 0]);
    client.data(USERS, json!({})).await;
}

#[both_databases]
async fn superusers_cannot_be_changed(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let admin = app.admin().await;
    let id = admin.data("{ me { id } }", json!({})).await["me"]["id"].clone();
    for (document, to) in [(STAFF, json!(false)), (STAFF, json!(true)), (ACTIVE, json!(false)), (ACTIVE, Value::Null)] {
        assert_eq!(staff.refusals(document, json!({ "id": id, "to": to })).await, ["CANNOT_EDIT_SUPERUSER id"]);
    }
    admin.data("{ me { id } }", json!({})).await;
}

#[both_databases]
async fn all_addresses_are_separated_by_semicolons(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("Bob").await;
    let staff = app.add_staff("ada").await.sign_in(&app).await;
    let all = |separator: &str| format!("{{ allEmails{separator} }}");
    assert_eq!(staff.data(&all(""), json!({})).await["allEmails"], "ada@example.com;Bob@example.com");
    let with_commas = staff.data(&all("(separator: \", \")"), json!({})).await;
    assert_eq!(with_commas["allEmails"], "ada@example.com, Bob@example.com");
    assert_eq!(staff.code(&all("(separator: \"12345678901\")"), json!({})).await, "BAD_USER_INPUT");
}
