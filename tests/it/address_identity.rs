//! Identity of addresses: an account is found and changed only by its exact address or username, never by a look-alike.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::domain::operator::{self, Operator};
use vestibule::entity::{instance, mail, user};

use crate::parity::registration::VERIFY;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

/// Address with a Cyrillic letter in its domain.
const LOOK_ALIKE: &str = "boss@ex\u{430}mple.com";

const UPDATE: &str = "mutation($e: String!, $p: String!) { updateMe(input: { email: $e, currentPassword: $p }) {
    user { email pendingEmail } errors { code field }
} }";

const LOGIN: &str = "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) {
    user { email } errors { code field }
} }";

const RESET: &str = "mutation($e: String!) { requestReset(input: { email: $e }) { success errors { code } } }";

async fn add(app: &TestApp, username: &str, email: &str) -> crate::test_app::Person {
    app.add(json!({ "username": username, "email": email, "password": PASSWORD })).await
}

#[both_databases]
async fn a_look_alike_of_the_own_address_is_confirmed_by_mail_and_announced(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    for (number, (own, wanted)) in [
        (LOOK_ALIKE, "boss@example.com"),
        ("boss@xn--exmple-4nf.org", "boss@example.org"),
        ("b\u{43e}ss@example.net", "boss@example.net"),
        ("boss@example.info", "boss@ex\u{430}mple.info"),
        ("strasse@example.de", "stra\u{df}e@example.de"),
        ("\u{e9}va@example.fr", "\u{c9}va@example.fr"),
        ("ann@stra\u{df}e.example", "ann@strasse.example"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("user{number}");
        add(&app, &name, own).await;
        let client = app.anyone().sign_in(&name, PASSWORD).await;
        let asked = client.data(UPDATE, json!({ "e": wanted, "p": PASSWORD })).await;
        assert_eq!(asked["updateMe"]["user"], json!({ "email": own, "pendingEmail": wanted }), "{own}");
        let mails = app.mails().await;
        assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [wanted]);
        let token = crate::parity::registration::token(&mails[0]);
        let moved = client.data(VERIFY, json!({ "token": token })).await;
        assert_eq!(moved["verifyEmail"]["errors"], json!([]), "{own}");
        let told = app.mails().await;
        assert_eq!(told.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [own]);
        assert_eq!(client.data("{ me { email } }", Value::Null).await["me"]["email"], wanted);
    }
}

#[both_databases]
async fn an_equivalent_spelling_of_the_own_address_applies_immediately(place: Place) {
    let app = TestApp::start(&place).await;
    add(&app, "ann", "ann@m\u{fc}nchen.example").await;
    let client = app.anyone().sign_in("ann", PASSWORD).await;
    for (spelling, shown) in [
        ("ANN@m\u{fc}nchen.example", "ANN@m\u{fc}nchen.example"),
        ("ann@xn--mnchen-3ya.example", "ann@m\u{fc}nchen.example"),
        ("Ann@XN--MNCHEN-3YA.example", "Ann@m\u{fc}nchen.example"),
        ("ann@M\u{dc}NCHEN.EXAMPLE", "ann@M\u{dc}NCHEN.EXAMPLE"),
    ] {
        let updated = client.data(UPDATE, json!({ "e": spelling, "p": PASSWORD })).await;
        assert_eq!(updated["updateMe"]["user"], json!({ "email": shown, "pendingEmail": null }));
    }
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn a_look_alike_of_anothers_address_is_never_obtained(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    add(&app, "boss", "boss@example.com").await;
    let eve = add(&app, "eve", "eve@example.com").await;
    let client = eve.sign_in(&app).await;
    for look_alike in [LOOK_ALIKE, "boss@xn--exmple-4nf.com", "b\u{43e}ss@example.com"] {
        // Neither the response nor the mail to the new address reveals the other account.
        let asked = client.data(UPDATE, json!({ "e": look_alike, "p": PASSWORD })).await;
        assert_eq!(asked["updateMe"]["user"]["pendingEmail"], look_alike);
        let token = crate::parity::registration::token(&app.mails().await[0]);
        let refusals = client.refusals(VERIFY, json!({ "token": token })).await;
        assert_eq!(refusals, ["INVALID_TOKEN"], "{look_alike}");
        let create = "mutation($e: String!) { createUser(input: { email: $e }) { errors { code field } } }";
        let refusals = app.admin().await.refusals(create, json!({ "e": look_alike })).await;
        assert_eq!(refusals, ["ALREADY_EXISTS email"]);
        let update =
            "mutation($id: ID!, $e: String!) { updateUser(input: { id: $id, email: $e }) { errors { code field } } }";
        let refusals = app.admin().await.refusals(update, json!({ "id": eve.id, "e": look_alike })).await;
        assert_eq!(refusals, ["ALREADY_EXISTS email"]);
    }
    assert_eq!(client.data("{ me { email } }", Value::Null).await["me"]["email"], "eve@example.com");
}

#[both_databases]
async fn nobody_is_found_by_a_look_alike(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    add(&app, "boss", "boss@example.com").await;
    app.anyone().sign_in("boss@example.com", PASSWORD).await;
    for look_alike in [LOOK_ALIKE, "boss@xn--exmple-4nf.com", "b\u{43e}ss@example.com", "b\u{43e}ss"] {
        let refusals = app.anyone().refusals(LOGIN, json!({ "i": look_alike, "p": PASSWORD })).await;
        assert_eq!(refusals, ["INVALID_CREDENTIALS"], "{look_alike}");
    }
    for look_alike in [LOOK_ALIKE, "boss@xn--exmple-4nf.com", "b\u{43e}ss@example.com"] {
        let asked = app.anyone().data(RESET, json!({ "e": look_alike })).await;
        assert_eq!(asked["requestReset"], json!({ "success": true, "errors": [] }), "the answer tells nothing");
        let register = json!({ "input": { "email": look_alike, "password": PASSWORD } });
        app.anyone().data(crate::parity::registration::REGISTER, register).await;
        assert_eq!(app.mails().await.len(), 0, "{look_alike}");
    }
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 2);
}

#[both_databases]
async fn everybody_is_found_by_an_equal_spelling(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    add(&app, "Zo\u{eb}", "Ann@m\u{fc}nchen.example").await;
    for spelling in
        ["ann@M\u{dc}NCHEN.example", " ANN@xn--mnchen-3ya.EXAMPLE ", "ZO\u{cb}", "zoe\u{308}", "\u{ff5a}o\u{eb}"]
    {
        app.anyone().sign_in(spelling, PASSWORD).await;
    }
    for spelling in ["ann@M\u{dc}NCHEN.example", "ANN@xn--mnchen-3ya.example"] {
        app.anyone().data(RESET, json!({ "e": spelling })).await;
        let mails = app.mails().await;
        assert_eq!((mails.len(), mails[0].to.as_str()), (1, "Ann@m\u{fc}nchen.example"));
    }
    assert_eq!(mail::Entity::find().count(app.db()).await.unwrap(), 3, "one welcome and two resets");
}

#[both_databases]
async fn the_command_line_finds_nobody_by_a_look_alike(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = add(&app, "boss", "boss@example.com").await;
    let find = async |who: &str| operator::users::find(&app.app.db, &Operator::new(), who).await;
    for who in ["BOSS", "Boss@Example.com", boss.id.as_str()] {
        assert_eq!(find(who).await.unwrap().id.to_string(), boss.id, "{who}");
    }
    for who in [LOOK_ALIKE, "b\u{43e}ss", "boss@xn--exmple-4nf.com"] {
        assert!(find(who).await.is_err(), "{who}");
    }
}

#[both_databases]
async fn guesses_by_look_alikes_count_as_guesses_of_the_name(place: Place) {
    let app = TestApp::start(&place).await;
    add(&app, "boss", "boss@example.com").await;
    for number in 0..10 {
        let name = if number % 2 == 0 { LOOK_ALIKE } else { "boss@example.com" };
        let refusals = app.anyone().refusals(LOGIN, json!({ "i": name, "p": "wrong" })).await;
        assert_eq!(refusals, ["INVALID_CREDENTIALS"]);
    }
    for name in [LOOK_ALIKE, "boss@example.com", "boss@xn--exmple-4nf.com"] {
        assert_eq!(app.anyone().code(LOGIN, json!({ "i": name, "p": PASSWORD })).await, "RATE_LIMITED", "{name}");
    }
}

#[both_databases]
async fn one_mailbox_is_one_account_however_its_domain_is_written(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let admin = app.admin().await;
    let file = "email\r\nidn1@m\u{fc}nchen.example\r\nidn1@xn--mnchen-3ya.example\r\n";
    let payload = crate::spreadsheet_import::import(&admin, file).await;
    let error = &payload["rowErrors"][0];
    assert_eq!((&error["row"], &error["code"]), (&json!(3), &json!("ALREADY_EXISTS")), "{payload}");
    add(&app, "ann", "ann@xn--mnchen-3ya.example").await;
    let found = "{ users(search: \"m\u{fc}nchen\") { nodes { email } } }";
    let shown = json!({ "nodes": [{ "email": "ann@m\u{fc}nchen.example" }] });
    assert_eq!(admin.data(found, Value::Null).await["users"], shown);
    let create = "mutation($e: String!) { createUser(input: { email: $e }) { errors { code field } } }";
    for spelling in ["ANN@m\u{fc}nchen.example", "ann@XN--mnchen-3ya.example"] {
        assert_eq!(admin.refusals(create, json!({ "e": spelling })).await, ["ALREADY_EXISTS email"], "{spelling}");
    }
}

#[both_databases]
async fn pages_take_addresses_that_browsers_take_for_none(place: Place) {
    let app = TestApp::start(&place).await;
    add(&app, "joerg", "j\u{f6}rg@example.com").await;
    let mut browser = crate::pages::Browser::new(&app);
    for path in ["/account/forgot", "/account/register"] {
        let page = browser.open(path).await;
        let html = page.body.as_str().unwrap();
        assert!(html.contains("name=\"email\" type=\"text\" inputmode=\"email\""), "{html}");
    }
}

/// Stores an address as version 0.1.0 did for input from a browser.
async fn as_version_0_1_0_stored(app: &TestApp, username: &str) {
    let address = format!("{username}@xn--mnchen-3ya.example");
    let update = user::Entity::update_many()
        .col_expr(user::Column::Email, Expr::value(address.as_str()))
        .col_expr(user::Column::EmailKey, Expr::value(address.as_str()))
        .filter(user::Column::Username.eq(username));
    update.exec(app.db()).await.unwrap();
    let keys = instance::Entity::update_many().col_expr(instance::Column::AddressKeys, Expr::value(0));
    keys.exec(app.db()).await.unwrap();
}

#[both_databases]
async fn keys_of_an_earlier_form_are_renewed_at_the_start(place: Place) {
    let app = TestApp::start(&place).await;
    add(&app, "ann", "ann@example.com").await;
    add(&app, "bob", "bob@example.com").await;
    as_version_0_1_0_stored(&app, "ann").await;
    as_version_0_1_0_stored(&app, "bob").await;
    app.app.db.clone().close().await.unwrap();

    let app = TestApp::start(&place).await;
    for spelling in ["ann@m\u{fc}nchen.example", "ann@xn--mnchen-3ya.example"] {
        app.anyone().data(RESET, json!({ "e": spelling })).await;
        let mails = app.mails().await;
        assert_eq!(mails.last().map(|mail| mail.to.as_str()), Some("ann@m\u{fc}nchen.example"), "{spelling}");
    }
    // Two accounts of one mailbox: neither is changed, and the doctor lists them.
    add(&app, "dora", "dora@example.com").await;
    as_version_0_1_0_stored(&app, "dora").await;
    add(&app, "dinah", "dora@m\u{fc}nchen.example").await;
    app.app.db.clone().close().await.unwrap();
    let app = TestApp::start(&place).await;
    let dora = user::Entity::find().filter(user::Column::Username.eq("dora")).one(app.db()).await.unwrap().unwrap();
    assert_eq!(dora.email_key, "dora@xn--mnchen-3ya.example");
    app.anyone().sign_in("dora@m\u{fc}nchen.example", PASSWORD).await;
    let health = operator::health::examine(&app.app.db, &Operator::new()).await.unwrap();
    assert_eq!(health.double_addresses, ["dora@xn--mnchen-3ya.example"]);
}
