//! Passwords: configured hashing, concurrency limits, and no disclosure.

use futures_util::future::join_all;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::json;
use test_macros::both_databases;
use vestibule::entity::user;

use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const LOGIN: &str =
    "mutation($p: String!) { login(input: { identifier: \"ada\", password: $p }) { errors { code field } } }";

async fn hash(app: &TestApp) -> String {
    let ada = user::Entity::find().filter(user::Column::Username.eq("ada")).one(app.db()).await.unwrap();
    ada.unwrap().password_hash.unwrap()
}

#[both_databases]
async fn the_policy_is_reported(place: Place) {
    let app = TestApp::start(&place).await;
    let data =
        app.anyone().data("{ passwordPolicy { minLength maxLength minStrength rejectsBreached } }", json!({})).await;
    let expected = json!({ "minLength": 8, "maxLength": 128, "minStrength": 3, "rejectsBreached": false });
    assert_eq!(data["passwordPolicy"], expected);
}

#[both_databases]
async fn a_longer_minimum_is_a_setting(place: Place) {
    let app = TestApp::start_with(&place, |config| config.password_min_length = 15).await;
    let admin = app.admin().await;
    let create = "mutation($p: String!) { createUser(input: { email: \"a@example.com\", password: $p }) { errors { code field } } }";
    assert_eq!(admin.refusals(create, json!({ "p": "vq8#mLw2!xTz0k" })).await, ["PASSWORD_TOO_SHORT password"]);
    assert_eq!(admin.refusals(create, json!({ "p": "vq8#mLw2!xTz0kP" })).await, [""; 0]);
    let data = admin.data("{ passwordPolicy { minLength } }", json!({})).await;
    assert_eq!(data["passwordPolicy"]["minLength"], 15);
}

#[both_databases]
async fn signing_in_renews_a_hash_of_other_parameters(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let before = hash(&app).await;
    assert!(before.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{before}");
    let stronger = TestApp::start_with(&place, |config| config.argon2 = "m=16,t=2,p=1".parse().unwrap()).await;
    stronger.anyone().data(LOGIN, json!({ "p": "wrong" })).await;
    assert_eq!(hash(&app).await, before);
    stronger.anyone().sign_in("ada", PASSWORD).await;
    let renewed = hash(&app).await;
    assert!(renewed.starts_with("$argon2id$v=19$m=16,t=2,p=1$"), "{renewed}");
    stronger.anyone().sign_in("ada", PASSWORD).await;
    assert_eq!(hash(&app).await, renewed);
}

#[both_databases]
async fn sign_ins_beyond_capacity_are_told_to_retry(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        // Slower than attempts are counted on SQLite.
        config.argon2 = "m=16384,t=4,p=1".parse().unwrap();
        config.limits.limit_sign_in = "300/15m".parse().unwrap();
        config.limits.limit_sign_in_client = "1000/15m".parse().unwrap();
        config.limits.limit_sign_in_account = "1000/24h".parse().unwrap();
    })
    .await;
    app.add_user("ada").await;
    let clients: Vec<_> = (0..300).map(|_| app.anyone()).collect();
    let answers = join_all(clients.iter().map(|client| client.send(LOGIN, json!({ "p": "wrong" })))).await;
    let busy: Vec<_> = answers.iter().filter(|answer| answer.body["errors"].is_array()).collect();
    assert!(!busy.is_empty() && busy.len() < 300, "{} of 300 were turned away", busy.len());
    for answer in busy {
        assert_eq!(answer.code(), "SERVICE_UNAVAILABLE");
        assert_eq!(answer.body["errors"][0]["extensions"]["retryAfter"], 1);
    }
    let wrong = |answer: &crate::test_client::Answer| {
        answer.body["data"]["login"]["errors"][0]["code"] == "INVALID_CREDENTIALS"
    };
    assert!(answers.iter().any(wrong));
    // Only the passwords that were compared count as guesses.
    app.anyone().sign_in("ada", PASSWORD).await;
}

#[both_databases]
async fn a_password_counts_as_typed_and_composed(place: Place) {
    let app = TestApp::start(&place).await;
    let password = " caf\u{e9} und kuchen im garten ";
    app.add(json!({ "username": "ada", "email": "ada@example.com", "password": password })).await;
    app.anyone().sign_in("ada", " cafe\u{301} und kuchen im garten ").await;
    for other in [password.trim(), &password.to_uppercase(), &format!("{password}x")] {
        assert_eq!(app.anyone().refusals(LOGIN, json!({ "p": other })).await, ["INVALID_CREDENTIALS"], "{other}");
    }
    let long = "x".repeat(100_000);
    assert_eq!(app.anyone().refusals(LOGIN, json!({ "p": long })).await, ["INVALID_CREDENTIALS"]);
}

#[both_databases]
async fn passwords_that_many_use_are_refused_wherever_one_is_chosen(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let admin = app.admin().await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let (uid, token) = crate::parity::recovery::reset_link(&app, &ada.email).await;
    let link =
        crate::parity::registration::register(&app, crate::parity::registration::wanted("joe@example.com")).await;
    let anyone = app.anyone();
    let before = hash(&app).await;
    let common: Vec<&str> =
        include_str!("../../src/tools/common_passwords.txt").lines().step_by(199).take(100).collect();
    assert_eq!(common.len(), 100);
    for password in common {
        for (client, document, variables, field) in [
            (
                &anyone,
                "mutation($p: String!) { register(input: { email: \"eve@example.com\", password: $p }) { errors { code field } } }",
                json!({ "p": password }),
                "password",
            ),
            (
                &client,
                "mutation($p: String!, $o: String!) { changePassword(input: { oldPassword: $o, newPassword: $p }) { errors { code field } } }",
                json!({ "p": password, "o": PASSWORD }),
                "newPassword",
            ),
            (
                &anyone,
                "mutation($p: String!, $u: ID!, $t: String!) { confirmReset(input: { uid: $u, token: $t, newPassword: $p }) { errors { code field } } }",
                json!({ "p": password, "u": uid, "t": token }),
                "newPassword",
            ),
            (
                &anyone,
                "mutation($p: String!, $t: String!) { verifyEmail(input: { token: $t, password: $p }) { errors { code field } } }",
                json!({ "p": password, "t": link.token }),
                "password",
            ),
            (
                &admin,
                "mutation($p: String!) { createUser(input: { email: \"new@example.com\", password: $p }) { errors { code field } } }",
                json!({ "p": password }),
                "password",
            ),
            (
                &admin,
                "mutation($p: String!, $id: ID!) { updateUser(input: { id: $id, password: $p }) { errors { code field } } }",
                json!({ "p": password, "id": ada.id }),
                "password",
            ),
            (
                &admin,
                "mutation($p: String!, $id: ID!) { setUserPassword(input: { id: $id, password: $p }) { errors { code field } } }",
                json!({ "p": password, "id": ada.id }),
                "password",
            ),
        ] {
            let refused = client.refusals(document, variables).await;
            assert_eq!(refused, [format!("PASSWORD_TOO_COMMON {field}")], "{password}: {document}");
        }
    }
    assert_eq!(hash(&app).await, before);
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn passwords_made_of_names_are_refused(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.public_url = Some("https://accounts.harbour.example".parse().unwrap());
    })
    .await;
    let admin = app.admin().await;
    let wanted = json!({
        "username": "mokonjo", "email": "mark.okonjo@quarry.example", "firstName": "Margaret", "lastName": "Okonjo-Müller",
    });
    let person = app.add(wanted).await;
    let set = "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) { errors { code field } } }";
    for similar in [
        "vestibule-2026",
        "V3st1bu1e#9xQ",
        "harbour harbour",
        "i love margaret 4ever",
        "M4rg4r3t-xk29",
        "okonjomuller+1",
        "mark//1987//q8#v",
        "my quarry pass 81",
        "mark.okonjo@quarry.example",
        "mokonjo-mokonjo",
    ] {
        let refused = admin.refusals(set, json!({ "id": person.id, "p": similar })).await;
        assert_eq!(refused, ["PASSWORD_TOO_SIMILAR password"], "{similar}");
    }
    for unrelated in ["remarkable lantern drizzle", "lantern otter drizzle pebble", "aaaa bbbb cccc dddd"] {
        assert_eq!(admin.refusals(set, json!({ "id": person.id, "p": unrelated })).await, [""; 0], "{unrelated}");
    }
}

#[both_databases]
async fn of_128_characters_each_counts(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let words = " lantern otter drizzle pebble".repeat(5);
    let (good, long) = (&words[..128], &words[..129]);
    let create = "mutation($p: String!) { createUser(input: { email: \"ada@example.com\", username: \"ada\", password: $p }) { errors { code field } } }";
    assert_eq!(admin.refusals(create, json!({ "p": long })).await, ["TOO_LONG password"]);
    assert_eq!(admin.refusals(create, json!({ "p": good })).await, [""; 0]);
    app.anyone().sign_in("ada", good).await;
    for other in [long, &good[..127], good.trim_start(), &format!("{}x", &good[..127])] {
        assert_eq!(app.anyone().refusals(LOGIN, json!({ "p": other })).await, ["INVALID_CREDENTIALS"], "{other}");
    }
}

#[both_databases]
async fn passwords_do_not_expire(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    app.wait(std::time::Duration::from_hours(400 * 24));
    app.anyone().sign_in("ada", PASSWORD).await;
}
