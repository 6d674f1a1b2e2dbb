//! Two members of staff who edit one user: the second is told, and nothing is lost.

use std::time::Duration;

use serde_json::{Value, json};
use test_macros::both_databases;

use crate::test_app::{Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const VERSION: &str = "query($id: ID!) { user(id: $id) { version firstName phone } }";

const UPDATE: &str = "mutation($input: UpdateUserInput!) { updateUser(input: $input) {
    user { version } errors { code field message }
} }";

async fn read(client: &Client, person: &Person) -> Value {
    client.data(VERSION, json!({ "id": person.id })).await["user"].clone()
}

#[both_databases]
async fn the_second_of_two_stale_forms_changes_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let (one, two) = (app.add_staff("one").await.sign_in(&app).await, app.add_staff("two").await.sign_in(&app).await);
    let shown = read(&one, &ada).await["version"].clone();
    let form =
        |field: &str, version: &Value| json!({ "input": { "id": ada.id, field: "12", "expectedVersion": version } });
    let saved = one.data(UPDATE, form("firstName", &shown)).await["updateUser"].clone();
    // Both happen in the same millisecond.
    assert_eq!(two.refusals(UPDATE, form("phone", &shown)).await, ["CONFLICT expectedVersion"]);
    let user = read(&two, &ada).await;
    assert_eq!((&user["firstName"], &user["phone"]), (&json!("12"), &json!("")));
    assert_eq!(user["version"], saved["user"]["version"]);
    assert_eq!(two.refusals(UPDATE, form("phone", &user["version"])).await, [""; 0]);
    assert_eq!(
        two.refusals(UPDATE, form("phone", &Value::Null)).await,
        [""; 0],
        "a form without a version applies to any"
    );
}

#[both_databases]
async fn a_sign_in_does_not_disturb_a_form_and_every_editable_field_does(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let admin = app.admin().await;
    let mut versions = vec![read(&admin, &ada).await["version"].clone()];
    ada.sign_in(&app).await;
    app.wait(Duration::from_secs(1));
    assert_eq!(read(&admin, &ada).await["version"], versions[0]);
    for change in [
        json!({ "username": "lovelace" }),
        json!({ "email": "lovelace@example.com" }),
        json!({ "firstName": "x" }),
        json!({ "firstName": "", "lastName": "x" }),
        json!({ "phone": "x" }),
        json!({ "address": "x" }),
        json!({ "bio": "x" }),
        json!({ "role": "AGENT" }),
        json!({ "permission": "DOWNLOAD" }),
        json!({ "isStaff": true }),
        json!({ "isActive": false }),
    ] {
        let mut input = change;
        input["id"] = json!(ada.id);
        assert_eq!(admin.refusals(UPDATE, json!({ "input": input })).await, [""; 0]);
        let version = read(&admin, &ada).await["version"].clone();
        assert!(!versions.contains(&version), "{input}");
        versions.push(version);
    }
}
