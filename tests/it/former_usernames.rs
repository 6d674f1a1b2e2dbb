//! Former usernames: reserved for their owner for 90 days.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use vestibule::domain::users::reserved::USERNAME_RESERVED;
use vestibule::entity::former_username;
use vestibule::worker;

use crate::parity::registration::{REGISTER, VERIFY, register};
use crate::spreadsheet_import::{counts, import};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const RENAME: &str = "mutation($n: String!) { updateMe(input: { username: $n }) {
    user { username } errors { code field message }
} }";

const CREATE: &str = "mutation($input: CreateUserInput!) { createUser(input: $input) {
    user { username } errors { code field }
} }";

const UPDATE: &str = "mutation($id: ID!, $n: String!) { updateUser(input: { id: $id, username: $n }) {
    user { username } errors { code field }
} }";

async fn rename(client: &Client, name: &str) -> Vec<String> {
    client.refusals(RENAME, json!({ "n": name })).await
}

#[both_databases]
async fn a_name_that_was_given_up_is_refused_to_others_on_every_path(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_user("ada").await;
    let bob = app.add_user("bob").await;
    assert_eq!(rename(&ada.sign_in(&app).await, "countess").await, [""; 0]);
    let admin = app.admin().await;
    let taken = ["ALREADY_EXISTS username"];
    for name in ["ada", "ADA", "\u{430}d\u{430}"] {
        assert_eq!(rename(&bob.sign_in(&app).await, name).await, taken, "{name}");
        let wanted = json!({ "input": { "email": "eve@example.com", "username": name, "password": PASSWORD } });
        assert_eq!(app.anyone().refusals(REGISTER, wanted).await, taken);
        let wanted = json!({ "input": { "email": "eve@example.com", "username": name } });
        assert_eq!(admin.refusals(CREATE, wanted).await, taken);
        assert_eq!(admin.refusals(UPDATE, json!({ "id": bob.id, "n": name })).await, taken);
        for row in ["eve@example.com", "bob@example.com"] {
            let payload = import(&admin, format!("email,username\n{row},{name}\n")).await;
            let error = &payload["rowErrors"][0];
            assert_eq!((&error["code"], &error["column"]), (&json!("ALREADY_EXISTS"), &json!("username")), "{row}");
        }
    }
    assert_eq!(app.mails().await.len(), 0);

    // Usernames replaced by staff and imports are reserved, too.
    assert_eq!(admin.refusals(UPDATE, json!({ "id": bob.id, "n": "robert" })).await, [""; 0]);
    assert_eq!(counts(&import(&admin, "email,username\nada@example.com,lovelace\n").await), (0, 1, 0));
    for name in ["bob", "countess"] {
        let wanted = json!({ "input": { "email": "eve@example.com", "username": name } });
        assert_eq!(admin.refusals(CREATE, wanted).await, taken, "{name}");
    }
    assert_eq!(counts(&import(&admin, "email,username\nada@example.com,countess\n").await), (0, 1, 0));
}

#[both_databases]
async fn a_name_that_was_given_up_is_free_for_its_former_owner_and_later_for_all(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, bob) = (app.add_user("ada").await, app.add_user("bob").await);
    let client = ada.sign_in(&app).await;
    assert_eq!(rename(&client, "countess").await, [""; 0]);
    assert_eq!(rename(&client, "Ada").await, [""; 0], "it is hers to take back");
    assert_eq!(rename(&bob.sign_in(&app).await, "countess").await, ["ALREADY_EXISTS username"]);
    assert_eq!(rename(&client, "countess").await, [""; 0]);
    app.wait(USERNAME_RESERVED.saturating_sub(Duration::from_secs(1)));
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(rename(&bob.sign_in(&app).await, "ada").await, ["ALREADY_EXISTS username"]);
    app.wait(Duration::from_secs(1));
    assert_eq!(rename(&bob.sign_in(&app).await, "ada").await, [""; 0]);
    assert_eq!(USERNAME_RESERVED, Duration::from_secs(90 * 24 * 60 * 60));
}

#[both_databases]
async fn names_that_are_made_up_avoid_those_that_are_reserved(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_user("ada").await;
    let wanted = json!({ "input": { "email": "x@example.com", "username": "countess", "password": PASSWORD } });
    let link = register(&app, wanted).await;
    let client = ada.sign_in(&app).await;
    for name in ["countess", "lovelace"] {
        assert_eq!(rename(&client, name).await, [""; 0]);
    }
    let admin = app.admin().await;
    let made = admin.data(CREATE, json!({ "input": { "email": "ada@one.example" } })).await;
    assert_ne!(made["createUser"]["user"]["username"], "ada");
    assert_eq!(counts(&import(&admin, "email\nada@two.example\n").await), (1, 0, 0));
    app.mails().await;
    let users = admin.data("{ users(search: \"two.example\") { nodes { username } } }", Value::Null).await;
    assert_ne!(users["users"]["nodes"][0]["username"], "ada");
    // The name was free when the registration was created.
    let verified = app.anyone().data(VERIFY, link.variables()).await;
    let name = verified["verifyEmail"]["user"]["username"].as_str().unwrap();
    assert!(name.starts_with("countess") && name != "countess", "{name}");
}

#[both_databases]
async fn the_name_of_a_deleted_account_is_reserved_and_not_kept_in_clear(place: Place) {
    let app = TestApp::start(&place).await;
    for name in ["unmistakable", "memorable"] {
        let client = app.add_user(name).await.sign_in(&app).await;
        if name == "memorable" {
            let record = "mutation { recordSample(input: { key: \"S\", title: \"T\" }) { errors { code } } }";
            client.data(record, Value::Null).await;
        }
        let delete = "mutation($p: String!) { deleteMe(input: { currentPassword: $p }) { errors { code } } }";
        client.data(delete, json!({ "p": PASSWORD })).await;
        let wanted = json!({ "input": { "email": "eve@example.com", "username": name } });
        assert_eq!(app.admin().await.refusals(CREATE, wanted).await, ["ALREADY_EXISTS username"]);
    }
    let rows = former_username::Entity::find().all(app.db()).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| !format!("{row:?}").contains("able")), "{rows:?}");
    app.wait(USERNAME_RESERVED);
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(former_username::Entity::find().count(app.db()).await.unwrap(), 0);
    app.add_user("unmistakable").await;
}

#[both_databases]
async fn nobody_reserves_names_in_bulk(place: Place) {
    let app = TestApp::start(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    for number in 0..10 {
        assert_eq!(rename(&client, &format!("name{number}")).await, [""; 0]);
    }
    assert_eq!(client.code(RENAME, json!({ "n": "name10" })).await, "RATE_LIMITED");
    assert_eq!(rename(&client, "NAME9").await, [""; 0], "the name that she has");
    assert_eq!(rename(&client, "ada").await, [""; 0], "a name that is reserved for her");
    assert_eq!(former_username::Entity::find().count(app.db()).await.unwrap(), 11);
    app.wait(USERNAME_RESERVED);
    let client = app.anyone().sign_in("ada@example.com", PASSWORD).await;
    assert_eq!(rename(&client, "name10").await, [""; 0]);
}

#[both_databases]
async fn another_case_of_the_own_name_reserves_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    assert_eq!(rename(&client, "ADA").await, [""; 0]);
    assert_eq!(client.data("{ me { username } }", Value::Null).await["me"]["username"], "ADA");
    assert_eq!(former_username::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn a_name_that_is_given_up_while_another_takes_it_stays_reserved(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let bob = app.add_user("bob").await.sign_in(&app).await;
    for number in 0..5 {
        let other = format!("other{number}");
        let (given_up, taken) = tokio::join!(rename(&ada, &other), rename(&bob, "ada"));
        assert_eq!((given_up, taken), (vec![], vec!["ALREADY_EXISTS username".to_owned()]));
        assert_eq!(rename(&ada, "ada").await, [""; 0]);
    }
}

#[both_databases]
async fn no_api_token_reserves_names_in_bulk(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let (_, secret) = crate::api_tokens::make(&boss, &["MANAGE_USERS"]).await;
    let script = app.anyone().with_token(secret);
    for number in 0..10 {
        let refusals = script.refusals(UPDATE, json!({ "id": ada.id, "n": format!("name{number}") })).await;
        assert_eq!(refusals, [""; 0]);
    }
    assert_eq!(script.code(UPDATE, json!({ "id": ada.id, "n": "name10" })).await, "RATE_LIMITED");
    assert_eq!(former_username::Entity::find().count(app.db()).await.unwrap(), 10);
    assert_eq!(script.refusals(UPDATE, json!({ "id": ada.id, "n": "ada" })).await, [""; 0], "her own name");
    assert_eq!(boss.refusals(UPDATE, json!({ "id": ada.id, "n": "name10" })).await, [""; 0], "staff by a session");
}
