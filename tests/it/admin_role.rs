//! The role ADMIN without the staff flag: it gives every right of staff, and no right of a superuser.

use test_macros::both_databases;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::api_tokens::make;
use crate::parity::recovery::{CONFIRM, reset_link};
use crate::rights::{SCHEMA, ask, operations, rows};
use crate::spreadsheet_import::{counts, download, import, template};
use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const UPDATE: &str = "mutation($input: UpdateUserInput!) { updateUser(input: $input) { errors { code field } } }";

/// Creates an account with this role, and without the staff flag.
async fn add(app: &TestApp, name: &str, role: &str) -> Person {
    let email = format!("{name}@example.com");
    app.add(json!({ "username": name, "email": email, "password": PASSWORD, "role": role, "isStaff": false })).await
}

/// Claims of an access token.
fn claims(client: &Client) -> Value {
    let payload = client.access.as_deref().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[both_databases]
async fn an_administrator_by_role_has_each_right_of_staff(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let director = add(&app, "director", "ADMIN").await.sign_in(&app).await;
    let manager = add(&app, "manager", "MANAGER").await.sign_in(&app).await;
    let me = director.data("{ me { role isStaff isSuperuser } }", json!({})).await;
    assert_eq!(me["me"], json!({ "role": "ADMIN", "isStaff": false, "isSuperuser": false }));
    assert_eq!((&claims(&director)["staff"], &claims(&manager)["staff"]), (&json!(true), &json!(false)));

    let mut tokens = Vec::new();
    for scope in ["READ", "WRITE", "EXPORT", "MANAGE_USERS"] {
        tokens.push((scope, app.anyone().with_token(make(&director, &[scope]).await.1)));
    }
    let schema = app.anyone().data(SCHEMA, json!({})).await;
    let table = rows();
    let (mut wrong, mut of_staff_alone) = (Vec::new(), 0);
    for (root, field) in operations(&schema) {
        let name = format!("{root}.{}", field["name"].as_str().unwrap());
        let [_, for_user, for_staff, scope] = table[name.as_str()][..] else { panic!("{name}") };
        of_staff_alone += usize::from((for_user, for_staff) == ("no", "yes"));
        let said = |may: &str| if may == "yes" { "yes" } else { "FORBIDDEN" };
        let mut expected = vec![("role", &director, said(for_staff)), ("manager", &manager, said(for_user))];
        expected.extend(
            tokens
                .iter()
                .map(|(held, token)| (*held, token, if scope == "–" || scope == *held { "yes" } else { "FORBIDDEN" })),
        );
        for (who, client, expected) in expected {
            let seen = ask(&app.url, client, root, &field).await;
            if seen != expected {
                wrong.push(format!("{name} by {who}: {seen}, not {expected}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(of_staff_alone > 10, "the table was not read");
}

#[both_databases]
async fn an_administrator_by_role_uses_the_routes_of_staff(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let director = add(&app, "director", "ADMIN").await.sign_in(&app).await;
    app.add_user("ada").await;
    let script = app.anyone().with_token(make(&director, &["EXPORT"]).await.1);
    for client in [&director, &script] {
        let users = client.get("/export/users.csv").await;
        assert_eq!((users.status, users.body.as_str().unwrap().lines().count()), (200, 3));
        assert!(!download(client, "/export/users.xlsx").await.is_empty());
        assert_eq!(template(client).await.len(), 3);
    }
    assert_eq!(counts(&import(&director, "email\nnew@example.com\nada@example.com\n").await), (1, 0, 1));
}

#[both_databases]
async fn an_administrator_by_role_changes_others_and_neither_superusers_nor_itself(place: Place) {
    let app = TestApp::start(&place).await;
    let person = add(&app, "director", "ADMIN").await;
    let director = person.sign_in(&app).await;
    let ada = app.add_user("ada").await;
    let admin = app.admin().await.data("{ me { id } }", json!({})).await["me"]["id"].clone();
    let can = "query($id: ID!) { user(id: $id) { viewerCan {
        update { allowed } toggleActive { allowed } toggleStaff { allowed } setPassword { allowed } delete { allowed }
    } } }";
    let allowed = director.data(can, json!({ "id": ada.id })).await["user"]["viewerCan"].clone();
    assert!(allowed.as_object().unwrap().values().all(|action| action["allowed"] == true), "{allowed}");
    assert_eq!(director.data(can, json!({ "id": admin })).await["user"], Value::Null);

    let update = async |fields: Value| director.refusals(UPDATE, json!({ "input": fields })).await;
    assert_eq!(update(json!({ "id": ada.id, "role": "ADMIN", "isStaff": true })).await, [""; 0]);
    assert_eq!(update(json!({ "id": admin, "firstName": "x" })).await, ["CANNOT_EDIT_SUPERUSER id"]);
    for (field, value) in [("role", json!("MEMBER")), ("isStaff", json!(true)), ("permission", json!("FULL_ACCESS"))] {
        let refusals = update(json!({ "id": person.id, field: value })).await;
        assert_eq!(refusals, [format!("CANNOT_DEMOTE_SELF {field}")]);
    }
    let toggle = "mutation($id: ID!) { toggleStaff(input: { id: $id, isStaff: true }) { errors { code field } } }";
    assert_eq!(director.refusals(toggle, json!({ "id": person.id })).await, ["CANNOT_DEMOTE_SELF id"]);
    let sheet = "email,role\ndirector@example.com,MEMBER\n";
    let rows = import(&director, sheet).await["rowErrors"].clone();
    assert_eq!((&rows[0]["column"], &rows[0]["code"]), (&json!("role"), &json!("CANNOT_DEMOTE_SELF")));

    // The role is read at each request.
    let demote = json!({ "input": { "id": person.id, "role": "MANAGER" } });
    assert_eq!(app.admin().await.refusals(UPDATE, demote).await, [""; 0]);
    assert_eq!(director.code("{ users { totalCount } }", json!({})).await, "FORBIDDEN");
    assert_eq!(director.code(UPDATE, json!({ "input": { "id": ada.id } })).await, "FORBIDDEN");
    assert_eq!(director.get("/export/users.csv").await.status, 403);
}

#[both_databases]
async fn an_administrator_by_role_is_protected_as_staff_are(place: Place) {
    let app = TestApp::start(&place).await;
    let director = add(&app, "director", "ADMIN").await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let script = app.anyone().with_token(make(&boss, &["READ", "MANAGE_USERS"]).await.1);
    for input in [json!({ "firstName": "x" }), json!({ "isActive": false })] {
        let mut input = input.clone();
        input["id"] = json!(director.id);
        assert_eq!(script.code(UPDATE, json!({ "input": input })).await, "FORBIDDEN");
    }
    // A reset signs no staff in: a stolen mailbox is not enough.
    let (uid, token) = reset_link(&app, &director.email).await;
    let input = json!({ "uid": uid, "token": token, "newPassword": "quite a new long phrase", "login": true });
    let payload = app.anyone().data(CONFIRM, json!({ "input": input })).await["confirmReset"].clone();
    assert_eq!((&payload["success"], &payload["tokens"]), (&json!(true), &Value::Null));
    // The command line counts them as staff too.
    let listed = crate::cli_admin::done(&place, &["users", "list", "--staff"]);
    assert!(listed.contains("director@example.com") && listed.ends_with("3 of 3\n"), "{listed}");
}
