//! Sign-in.

use serde_json::json;
use test_macros::both_databases;
use vestibule::entity::user;

use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const LOGIN: &str = "mutation($input: LoginInput!) { login(input: $input) {
    tokens { accessToken refreshToken tokenType accessExpiresAt refreshExpiresAt }
    user { username }
    errors { code field message }
} }";

const REFRESH: &str = "mutation($input: RefreshInput! = {}) { refresh(input: $input) {
    tokens { accessToken refreshToken } user { username } errors { code field message }
} }";

const LOGOUT: &str = "mutation($input: LogoutInput! = {}) { logout(input: $input) {
    success errors { code field message }
} }";

#[both_databases]
async fn email_and_password_give_an_access_and_a_refresh_token(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let input = json!({ "input": { "identifier": ada.email, "password": PASSWORD } });
    let data = app.anyone().data(LOGIN, input).await;
    let tokens = &data["login"]["tokens"];
    assert_eq!(tokens["tokenType"], "Bearer");
    assert_eq!(tokens["accessExpiresAt"], "2026-01-05T09:05:00.000Z");
    assert_eq!(tokens["refreshExpiresAt"], "2026-02-04T09:00:00.000Z");
    assert_eq!(data["login"]["user"]["username"], "ada");

    let client = app.anyone().with_token(tokens["accessToken"].as_str().unwrap());
    assert_eq!(client.data("{ me { email } }", json!({})).await["me"]["email"], "ada@example.com");
}

#[both_databases]
async fn the_identifier_may_be_email_or_username_in_any_case(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("Ada").await;
    for identifier in ["ada@example.com", "ADA@Example.COM", "ada", "ADA", " ada "] {
        app.anyone().sign_in(identifier, PASSWORD).await;
    }
}

#[both_databases]
async fn wrong_passwords_and_unknown_accounts_get_the_same_message(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    app.add(json!({ "email": "invited@example.com" })).await;
    let mut answers = Vec::new();
    for (identifier, password) in [
        ("ada", "wrong"),
        ("nobody", PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("", ""),
        ("invited@example.com", ""),
    ] {
        let input = json!({ "input": { "identifier": identifier, "password": password } });
        let answer = app.anyone().send(LOGIN, input).await;
        assert_eq!(answer.header("set-cookie"), "");
        answers.push(answer.body);
    }
    assert_eq!(answers[0]["data"]["login"]["errors"][0]["code"], "INVALID_CREDENTIALS");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[both_databases]
async fn only_the_right_password_reveals_that_an_account_is_inactive(place: Place) {
    let app = TestApp::start(&place).await;
    app.add(json!({ "username": "ada", "email": "ada@example.com", "password": PASSWORD, "isActive": false })).await;
    let login = |password: &str| json!({ "input": { "identifier": "ada", "password": password } });
    assert_eq!(app.anyone().refusals(LOGIN, login(PASSWORD)).await, ["ACCOUNT_INACTIVE"]);
    assert_eq!(app.anyone().refusals(LOGIN, login("wrong")).await, ["INVALID_CREDENTIALS"]);
}

#[both_databases]
async fn an_unverified_account_cannot_sign_in(place: Place) {
    use sea_orm::{EntityTrait as _, QueryFilter as _, sea_query::Expr};
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    user::Entity::update_many()
        .col_expr(user::Column::IsVerified, Expr::value(false))
        .filter(user::COLUMN.username.eq("ada"))
        .exec(app.db())
        .await
        .unwrap();
    let login = |password: &str| json!({ "input": { "identifier": "ada", "password": password } });
    assert_eq!(app.anyone().refusals(LOGIN, login(PASSWORD)).await, ["EMAIL_NOT_VERIFIED"]);
    assert_eq!(app.anyone().refusals(LOGIN, login("wrong")).await, ["INVALID_CREDENTIALS"]);
}

#[both_databases]
async fn the_refresh_token_comes_in_the_request_or_in_the_cookie(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let input = json!({ "input": { "identifier": "ada", "password": PASSWORD } });
    let page = app.anyone().with_header("origin", app.url.clone());
    let login = page.send(LOGIN, input.clone()).await;
    assert_eq!(login.body["data"]["login"]["tokens"]["refreshToken"], json!(null));
    let (token, attributes) = login.header("set-cookie").split_once(';').unwrap();
    let token = token.strip_prefix("refresh_token=").unwrap();
    assert_eq!(attributes, " Max-Age=2592000; Path=/; HttpOnly; SameSite=Strict");

    let browser = page.clone().with_header("cookie", format!("refresh_token={token}"));
    let by_cookie = browser.send(REFRESH, json!({})).await;
    assert_eq!(by_cookie.body["data"]["refresh"]["tokens"]["refreshToken"], json!(null));
    assert_eq!(by_cookie.body["data"]["refresh"]["user"]["username"], "ada");
    let next = by_cookie.header("set-cookie").split_once(';').unwrap().0.strip_prefix("refresh_token=").unwrap();
    assert!(next != token && !next.is_empty());

    let login = app.anyone().send(LOGIN, input).await;
    assert_eq!(login.header("set-cookie"), "");
    let token = &login.body["data"]["login"]["tokens"]["refreshToken"];
    let by_argument = app.anyone().send(REFRESH, json!({ "input": { "refreshToken": token } })).await;
    assert!(by_argument.body["data"]["refresh"]["tokens"]["refreshToken"].is_string());
    assert_eq!(by_argument.header("set-cookie"), "");
    assert_eq!(app.anyone().refusals(REFRESH, json!({})).await, ["INVALID_TOKEN"]);
}

#[both_databases]
async fn refresh_rotates_and_the_old_token_is_refused(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let mut thief = client.clone();
    client.refresh().await.unwrap();
    assert_ne!(client.refresh, thief.refresh);
    client.data("{ me { id } }", json!({})).await;
    app.wait(std::time::Duration::from_secs(11));
    assert_eq!(thief.refresh().await, Err("INVALID_TOKEN".to_owned()));
}

#[both_databases]
async fn logout_revokes_the_refresh_token_by_argument_or_cookie(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;

    let mut client = ada.sign_in(&app).await;
    let input = json!({ "input": { "refreshToken": client.refresh } });
    let data = app.anyone().data(LOGOUT, input).await;
    assert_eq!(data["logout"], json!({ "success": true, "errors": [] }));
    assert_eq!(client.refresh().await, Err("INVALID_TOKEN".to_owned()));
    assert_eq!(client.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");

    let mut client = ada.sign_in(&app).await;
    let browser = app.anyone().with_header("cookie", format!("refresh_token={}", client.refresh));
    let answer = browser.send(LOGOUT, json!({})).await;
    assert_eq!(answer.body["data"]["logout"]["success"], true);
    assert!(answer.header("set-cookie").starts_with("refresh_token=; Max-Age=0;"));
    assert_eq!(client.refresh().await, Err("INVALID_TOKEN".to_owned()));
}

#[both_databases]
async fn a_guarded_field_reports_missing_credentials(place: Place) {
    let app = TestApp::start(&place).await;
    let answer = app.anyone().send("{ me { id } }", json!({})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.code(), "UNAUTHENTICATED MISSING");
    assert_eq!(answer.body["errors"][0]["message"], "You need to sign in.");
    assert_eq!(answer.body["data"], json!({ "me": null }));
}
