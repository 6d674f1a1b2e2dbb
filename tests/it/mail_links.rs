//! Links in mails: single-use, each for one purpose.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use test_macros::both_databases;
use uuid::Uuid;
use vestibule::entity::user;

use crate::parity::recovery::reset_link;
use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_database::Place;

const CONFIRM: &str = "mutation($uid: ID!, $token: String!, $new: String!) {
    confirmReset(input: { uid: $uid, token: $token, newPassword: $new }) { success errors { code field } }
}";

/// Starts a change of address, and returns the token of the link.
async fn move_link(app: &TestApp, person: &Person) -> String {
    let update = "mutation($e: String!, $p: String) { updateMe(input: { email: $e, currentPassword: $p }) {
        errors { code field }
    } }";
    let wish = json!({ "e": "lovelace@example.com", "p": PASSWORD });
    assert_eq!(person.sign_in(app).await.refusals(update, wish).await, [""; 0]);
    let mails = app.mails().await;
    let (_, rest) = mails[0].text.split_once("token=").expect("the mail has a link");
    rest.split_whitespace().next().unwrap().to_owned()
}

#[both_databases]
async fn a_link_that_moves_an_address_sets_no_password(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let token = move_link(&app, &ada).await;
    let input = json!({ "uid": ada.id, "token": token, "new": "another phrase of a thief" });
    assert_eq!(app.anyone().refusals(CONFIRM, input).await, ["INVALID_TOKEN token"]);
    let valid = "query($uid: ID!, $token: String!) { resetTokenIsValid(uid: $uid, token: $token) }";
    let input = json!({ "uid": ada.id, "token": token });
    assert_eq!(app.anyone().data(valid, input).await, json!({ "resetTokenIsValid": false }));
    app.anyone().sign_in("ada", PASSWORD).await;
}

#[both_databases]
async fn a_link_that_moves_an_address_expires(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let token = move_link(&app, &ada).await;
    app.wait(app.app.config.links.verify_ttl);
    let verify = "mutation($t: String!) { verifyEmail(input: { token: $t }) { errors { code field } } }";
    assert_eq!(app.anyone().refusals(verify, json!({ "t": token })).await, ["INVALID_TOKEN token"]);
    app.anyone().sign_in("ada@example.com", PASSWORD).await;
}

#[both_databases]
async fn of_many_concurrent_uses_of_a_reset_link_one_sets_the_password(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let ada = app.add_user("ada").await;
    let (uid, token) = reset_link(&app, &ada.email).await;
    let attempts = (0..12).map(|number| {
        let client = if number % 2 == 0 { app.anyone() } else { second.anyone() };
        let input = json!({ "uid": uid, "token": token, "new": format!("quite a new phrase, number {number}") });
        async move { client.data(CONFIRM, input).await["confirmReset"]["success"].clone() }
    });
    let outcomes = futures_util::future::join_all(attempts).await;
    let winners: Vec<usize> = (0..).zip(&outcomes).filter(|(_, outcome)| **outcome == true).map(|(at, _)| at).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    app.anyone().sign_in("ada", &format!("quite a new phrase, number {}", winners[0])).await;
}

#[both_databases]
async fn an_account_that_is_deactivated_in_the_database_itself_is_out(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut client = ada.sign_in(&app).await;
    let off = user::Entity::update_many().col_expr(user::Column::IsActive, Expr::value(false));
    let own = user::Column::Id.eq(Uuid::parse_str(&ada.id).unwrap());
    off.filter(own).exec(app.db()).await.unwrap();
    assert_eq!(client.code("{ me { id } }", Value::Null).await, "UNAUTHENTICATED DISABLED");
    assert_eq!(client.refresh().await, Err("INVALID_TOKEN".to_owned()));
}

#[both_databases]
async fn concurrent_changes_of_one_account_wait_in_one_order(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let admin = app.admin().await;
    for round in 0..6 {
        let ada = app.add_reader(&format!("ada{round}")).await;
        let client = ada.sign_in(&app).await;
        let mut refreshed = ada.sign_in(&app).await;
        let reused = refreshed.refresh.clone();
        refreshed.refresh().await.unwrap();
        refreshed.refresh().await.unwrap();
        let (uid, reset) = reset_link(&app, &ada.email).await;
        let update = "mutation($e: String!, $p: String) { updateMe(input: { email: $e, currentPassword: $p }) {
            errors { code field }
        } }";
        client.data(update, json!({ "e": format!("new{round}@example.com"), "p": PASSWORD })).await;
        let mails = app.mails().await;
        let (_, rest) = mails[0].text.split_once("token=").expect("the mail has a link");
        let link = rest.split_whitespace().next().unwrap();
        let verify =
            "mutation($t: String!, $p: String) { verifyEmail(input: { token: $t, password: $p }) { errors { code } } }";
        let set = "mutation($id: ID!) { setUserPassword(input: { id: $id, password: \"marble tulip canyon seven\" }) { errors { code } } }";
        let readdress =
            "mutation($id: ID!, $e: String) { updateUser(input: { id: $id, email: $e }) { errors { code } } }";
        let change = "mutation($p: String!) { changePassword(input: { oldPassword: $p, newPassword: \"window lantern plume 55\" }) { errors { code } } }";
        let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: true }) { errors { code } } }";
        let logout = "mutation { logout(input: { everywhere: true }) { errors { code } } }";
        let refresh = "mutation($t: String!) { refresh(input: { refreshToken: $t }) { errors { code } } }";
        let login =
            "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) { errors { code } } }";
        let anyone = app.anyone();
        let mut sent = vec![
            (&anyone, CONFIRM, json!({ "uid": uid, "token": reset, "new": "zebra window cactus plume" })),
            (&anyone, verify, json!({ "t": link, "p": PASSWORD })),
            (&admin, set, json!({ "id": ada.id })),
            (&admin, readdress, json!({ "id": ada.id, "e": format!("staff{round}@example.com") })),
            (&client, change, json!({ "p": PASSWORD })),
            (&admin, toggle, json!({ "id": ada.id })),
            (&client, logout, json!({})),
            (&anyone, refresh, json!({ "t": reused })),
            (&anyone, login, json!({ "i": format!("ada{round}"), "p": PASSWORD })),
        ];
        if round % 2 == 1 {
            sent.reverse();
        }
        let sent = sent.iter().map(|(client, document, variables)| client.send(document, variables.clone()));
        for answer in futures_util::future::join_all(sent).await {
            let code = answer.body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned();
            assert!(matches!(code.as_str(), "" | "UNAUTHENTICATED"), "{}", answer.body);
        }
        app.mails().await;
    }
}
