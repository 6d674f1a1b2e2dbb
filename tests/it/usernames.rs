//! Usernames are public: they reveal nothing of an address, and attempts to find them are limited.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::EntityTrait as _;
use serde_json::{Value, json};
use vestibule::entity::user;

use crate::parity::registration::{REGISTER, VERIFY, register, wanted};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

fn named(email: &str, username: &str) -> Value {
    json!({ "input": { "email": email, "password": PASSWORD, "username": username } })
}

#[both_databases]
async fn usernames_nobody_chose_show_nothing_of_the_address(place: Place) {
    let app = TestApp::start(&place).await;
    app.add(json!({ "email": "grace.hopper@example.com" })).await;
    app.add(json!({ "email": "hopper.grace@example.com", "username": " ", "firstName": "Grace" })).await;
    let link = register(&app, wanted("margaret.hamilton@example.com")).await;
    app.anyone().data(VERIFY, link.variables()).await;
    let users = user::Entity::find().all(app.db()).await.unwrap();
    let made: Vec<&user::Model> = users.iter().filter(|user| !user.is_superuser).collect();
    assert_eq!(made.len(), 3);
    for user in made {
        let rest = user.username.strip_prefix("user-").unwrap_or_else(|| panic!("{}", user.username));
        assert!(rest.len() == 8 && !["grace", "hopper", "margaret"].iter().any(|name| user.username.contains(name)));
    }
    // So the local part of an address does not reveal an account.
    let refusals = app.anyone().refusals(REGISTER, named("eve@example.com", "grace.hopper")).await;
    assert_eq!(refusals, [""; 0]);
}

#[both_databases]
async fn the_first_superuser_is_named_admin_for_any_address(place: Place) {
    let app = TestApp::start_with(&place, |config| config.admin_email = "jane.doe@corp.example".parse().unwrap()).await;
    let users = user::Entity::find().all(app.db()).await.unwrap();
    let found: Vec<(&str, &str)> = users.iter().map(|user| (user.email.as_str(), user.username.as_str())).collect();
    assert_eq!(found, [("jane.doe@corp.example", "admin")]);
}

#[both_databases]
async fn registrations_are_limited_before_anything_is_looked_up(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_register = "5/1h".parse().unwrap()).await;
    app.add_user("ada").await;
    for _ in 0..5 {
        let refusals = app.anyone().refusals(REGISTER, named("eve@example.com", "ada")).await;
        assert_eq!(refusals, ["ALREADY_EXISTS username"]);
    }
    for name in ["ada", "free", "admin"] {
        let answer = app.anyone().send(REGISTER, named("eve@example.com", name)).await;
        assert_eq!(answer.code(), "RATE_LIMITED", "{name}");
        assert_eq!(answer.body["errors"][0]["extensions"]["retryAfter"], 720);
    }
    let weak = json!({ "input": { "email": "eve@example.com", "password": "password123" } });
    assert_eq!(app.anyone().code(REGISTER, weak).await, "RATE_LIMITED", "the password is not judged");
    assert_eq!(app.mails().await.len(), 0);
    app.wait(Duration::from_mins(12));
    assert_eq!(app.anyone().refusals(REGISTER, named("eve@example.com", "free")).await, [""; 0]);
}

#[both_databases]
async fn syntactically_invalid_input_is_not_counted(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_register = "1/1h".parse().unwrap()).await;
    for _ in 0..3 {
        assert_eq!(app.anyone().refusals(REGISTER, wanted("nonsense")).await, ["INVALID email"]);
        let short = json!({ "input": { "email": "eve@example.com", "password": "short" } });
        assert_eq!(app.anyone().refusals(REGISTER, short).await, ["PASSWORD_TOO_SHORT password"]);
    }
    assert_eq!(app.anyone().refusals(REGISTER, wanted("eve@example.com")).await, [""; 0]);
}

#[both_databases]
async fn usernames_that_a_user_tries_are_limited(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_register = "4/1h".parse().unwrap()).await;
    app.add_user("ada").await;
    let eve = app.add_user("eve").await.sign_in(&app).await;
    let bob = app.add_user("bob").await.sign_in(&app).await;
    let rename = "mutation($n: String!) { updateMe(input: { username: $n }) { errors { code field } } }";
    for _ in 0..4 {
        assert_eq!(eve.refusals(rename, json!({ "n": "ada" })).await, ["ALREADY_EXISTS username"]);
    }
    assert_eq!(eve.code(rename, json!({ "n": "ada" })).await, "RATE_LIMITED");
    assert_eq!(eve.code(rename, json!({ "n": "free" })).await, "RATE_LIMITED");
    // The current username is not counted, and other users have separate limits.
    assert_eq!(eve.refusals(rename, json!({ "n": "eve" })).await, [""; 0]);
    assert_eq!(bob.refusals(rename, json!({ "n": "robert" })).await, [""; 0]);
}
