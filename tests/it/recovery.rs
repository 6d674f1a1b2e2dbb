//! Links in mails: URLs, single use, and revoked credentials.

use std::time::Duration;
use test_macros::both_databases;

use futures_util::future::join_all;
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use vestibule::entity::{api_token, one_time_token, session};

use crate::api_tokens::make;
use crate::pages::Browser;
use crate::parity::recovery::{link, reset_link};
use crate::parity::registration::{REGISTER, VERIFY, wanted};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const CONFIRM: &str = "mutation($input: ConfirmResetInput!) { confirmReset(input: $input) { errors { code field } } }";

const VALID: &str = "query($uid: ID!, $token: String!) { resetTokenIsValid(uid: $uid, token: $token) }";

const REQUEST: &str = "mutation($email: String!) { requestReset(input: { email: $email }) { success } }";

const CHANGE: &str = "mutation($old: String!, $new: String!) {
    changePassword(input: { oldPassword: $old, newPassword: $new }) { errors { code field } }
}";

const SET: &str =
    "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) { errors { code } } }";

const NEW: &str = "quite a new long phrase";

/// Valid id without a user.
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

fn confirm((uid, token): &(String, String), password: &str) -> Value {
    json!({ "input": { "uid": uid, "token": token, "newPassword": password } })
}

async fn is_good(app: &TestApp, (uid, token): &(String, String)) -> bool {
    app.anyone().data(VALID, json!({ "uid": uid, "token": token })).await["resetTokenIsValid"] == true
}

#[both_databases]
async fn a_link_works_once_however_many_use_it_at_once(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let ada = app.add_user("ada").await;
    for round in 0..3 {
        app.wait(Duration::from_hours(2));
        let link = reset_link(&app, &ada.email).await;
        let attempts = (0..20).map(|number| {
            let client = if number % 2 == 0 { app.anyone() } else { second.anyone() };
            let input = confirm(&link, &format!("{NEW} {round} {number}"));
            async move { (number, client.refusals(CONFIRM, input).await) }
        });
        let answers = join_all(attempts).await;
        let winners: Vec<_> = answers.iter().filter(|(_, refusals)| refusals.is_empty()).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let others = answers.iter().filter(|(_, refusals)| *refusals == ["INVALID_TOKEN token"]);
        assert_eq!(others.count(), 19, "{answers:?}");
        app.anyone().sign_in("ada", &format!("{NEW} {round} {}", winners[0].0)).await;
        app.mails().await;
    }
}

#[both_databases]
async fn a_welcome_link_works_once_and_for_three_days(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let create = "mutation($e: String!) { createUser(input: { email: $e }) { errors { code } } }";
    let invite = async |email: &str| {
        admin.data(create, json!({ "e": email })).await;
        let mails = app.mails().await;
        assert_eq!(mails.len(), 1);
        assert!(!mails[0].text.to_lowercase().contains("password is"), "no password is ever mailed: {}", mails[0].text);
        link(&mails[0])
    };
    let first = invite("ada@example.com").await;
    assert_eq!(app.anyone().refusals(CONFIRM, confirm(&first, NEW)).await, [""; 0]);
    assert_eq!(
        app.anyone().refusals(CONFIRM, confirm(&first, "another new long phrase")).await,
        ["INVALID_TOKEN token"]
    );
    app.mails().await;
    let second = invite("bob@example.com").await;
    app.wait(Duration::from_hours(72) - Duration::from_mins(1));
    assert!(is_good(&app, &second).await);
    app.wait(Duration::from_mins(2));
    assert_eq!(app.anyone().refusals(CONFIRM, confirm(&second, NEW)).await, ["INVALID_TOKEN token"]);
}

#[both_databases]
async fn a_link_is_revoked_with_the_state_it_was_sent_for(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let toggle =
        "mutation($id: ID!, $on: Boolean!) { toggleActive(input: { id: $id, isActive: $on }) { errors { code } } }";
    let update = "mutation($id: ID!, $e: String!) { updateUser(input: { id: $id, email: $e }) { errors { code } } }";
    for (name, what) in [("ada", "newer"), ("bob", "changed"), ("cy", "set"), ("dora", "moved"), ("eve", "deactivated")]
    {
        let person = app.add_user(name).await;
        let client = person.sign_in(&app).await;
        let link = reset_link(&app, &person.email).await;
        assert!(is_good(&app, &link).await);
        match what {
            "newer" => drop(reset_link(&app, &person.email).await),
            "changed" => drop(client.data(CHANGE, json!({ "old": PASSWORD, "new": NEW })).await),
            "set" => drop(admin.data(SET, json!({ "id": person.id, "p": NEW })).await),
            "moved" => drop(admin.data(update, json!({ "id": person.id, "e": "else@example.com" })).await),
            _ => {
                admin.data(toggle, json!({ "id": person.id, "on": false })).await;
                admin.data(toggle, json!({ "id": person.id, "on": true })).await;
            }
        }
        app.mails().await;
        assert!(!is_good(&app, &link).await, "{what}");
        assert_eq!(app.anyone().refusals(CONFIRM, confirm(&link, NEW)).await, ["INVALID_TOKEN token"], "{what}");
    }
}

#[both_databases]
async fn after_thirty_wrong_links_no_more_are_looked_at(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let ada = app.add_user("ada").await;
    let good = reset_link(&app, &ada.email).await;
    let mut looked_at = 0;
    for number in 0..60 {
        let client = if number % 2 == 0 { app.anyone() } else { second.anyone() };
        let wrong = format!("{:A>43}", number % 10);
        let answer = match number % 3 {
            0 => client.send(VALID, json!({ "uid": ada.id, "token": wrong })).await,
            1 => client.send(VERIFY, json!({ "token": wrong })).await,
            _ => client.send(CONFIRM, confirm(&(ada.id.clone(), wrong), NEW)).await,
        };
        match answer.body["errors"].is_null() {
            true => looked_at += 1,
            false => assert_eq!(answer.code(), "RATE_LIMITED"),
        }
    }
    assert_eq!(looked_at, 30);
    let refused = app.anyone().send(CONFIRM, confirm(&good, NEW)).await;
    assert_eq!(refused.body["errors"][0]["extensions"]["retryAfter"], 30, "the right one has to wait as well");
    let page = app.anyone().get(&format!("/account/reset?uid={}&token={}", good.0, good.1)).await;
    assert_eq!(page.status, 200, "opened pages have a separate count");
    app.wait(Duration::from_secs(30));
    assert_eq!(app.anyone().refusals(CONFIRM, confirm(&good, NEW)).await, [""; 0]);
}

#[both_databases]
async fn pages_of_others_turn_off_no_links(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let good = reset_link(&app, &ada.email).await;
    let right = format!("/account/reset?uid={}&token={}", good.0, good.1);
    let wrong = |number: usize| match number % 2 {
        0 => format!("/account/verify?token={number:A>43}"),
        _ => format!("/account/reset?uid={}&token={number:A>43}", ada.id),
    };
    // What a browser sends for images, frames and scripts of any page, and for prefetches.
    for (name, value) in [
        ("sec-fetch-dest", "image"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-dest", "empty"),
        ("sec-purpose", "prefetch;prerender"),
    ] {
        let foreign = app.anyone().with_header(name, value);
        for number in 0..40 {
            assert_eq!(foreign.get(&wrong(number)).await.status, 403, "{name}: {value}");
        }
        assert_eq!(foreign.get(&right).await.status, 403, "it learns nothing about a link");
    }
    for number in 0..40 {
        let head = app.anyone().request("HEAD", &wrong(number));
        assert_eq!(app.anyone().finish(head).await.status, 200);
    }
    let opened = app.anyone().with_header("sec-fetch-dest", "document");
    assert_eq!((opened.get(&right).await.status, app.anyone().get(&right).await.status), (200, 200));

    // Pages that are opened, or by browsers that send no such header.
    for number in 0..30 {
        let client = if number % 3 == 0 { &opened } else { &app.anyone() };
        assert_eq!(client.get(&wrong(number)).await.status, 422);
    }
    assert_eq!((opened.get(&wrong(0)).await.status, opened.get(&right).await.status), (429, 429));
    let nobody = json!({ "uid": ada.id, "token": format!("{:A>43}", 1) });
    assert_eq!(app.anyone().data(VALID, nobody).await["resetTokenIsValid"], false);
    assert_eq!(app.anyone().refusals(CONFIRM, confirm(&good, NEW)).await, [""; 0]);
    app.wait(Duration::from_secs(30));
    assert_eq!(opened.get(&wrong(0)).await.status, 422);
}

#[both_databases]
async fn refused_passwords_at_a_reset_link_are_limited(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let link = reset_link(&app, &ada.email).await;
    for _ in 0..30 {
        let refused = app.anyone().refusals(CONFIRM, confirm(&link, "password123")).await;
        assert_eq!(refused, ["PASSWORD_TOO_COMMON newPassword"]);
    }
    assert_eq!(app.anyone().code(CONFIRM, confirm(&link, "password123")).await, "RATE_LIMITED");
    app.wait(Duration::from_mins(15));
    assert_eq!(app.anyone().refusals(CONFIRM, confirm(&link, NEW)).await, [""; 0]);
}

#[both_databases]
async fn right_links_are_not_counted(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let good = reset_link(&app, &ada.email).await;
    for _ in 0..40 {
        assert!(is_good(&app, &good).await);
        assert_eq!(app.anyone().refusals(CONFIRM, confirm(&good, "short")).await, ["PASSWORD_TOO_SHORT newPassword"]);
    }
    assert_eq!(app.anyone().refusals(CONFIRM, confirm(&good, NEW)).await, [""; 0]);
}

#[both_databases]
async fn a_links_secret_is_not_asked_about_by_get(place: Place) {
    let app = TestApp::start(&place).await;
    let document = "{ ...f } fragment f on Query { a: resetTokenIsValid(uid: \"u\", token: \"t\") }";
    let query: String = url::form_urlencoded::byte_serialize(document.as_bytes()).collect();
    for method in ["GET", "HEAD"] {
        let answer = app.anyone().finish(app.anyone().request(method, &format!("/graphql?query={query}"))).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"), "{method}");
    }
    assert_eq!(app.anyone().data(document, json!({})).await["a"], false);
}

#[both_databases]
async fn links_are_built_from_the_configuration_and_never_from_a_request(place: Place) {
    for trusted in [None, Some("127.0.0.0/8")] {
        let app = TestApp::start_with(&place, |config| {
            config.limits.limits = false;
            config.trusted_proxies = trusted.map(|network| network.parse().unwrap()).into_iter().collect();
        })
        .await;
        let name = if trusted.is_some() { "ada" } else { "bob" };
        let person = app.add_user(name).await;
        for (header, value) in [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-server", "evil.example"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-port", "666"),
            ("x-forwarded-prefix", "/evil.example"),
            ("x-forwarded-for", "evil.example"),
            ("forwarded", "for=1.2.3.4;host=evil.example;proto=gopher"),
            ("x-host", "evil.example"),
            ("x-http-host-override", "evil.example"),
            ("x-original-host", "evil.example"),
            ("x-original-url", "/evil.example"),
            ("x-rewrite-url", "/evil.example"),
            ("origin", "https://evil.example"),
            ("referer", "https://evil.example/"),
        ] {
            let client = app.anyone().with_header(header, value);
            client.send(REQUEST, json!({ "email": person.email })).await;
            client.send(REGISTER, wanted(&format!("{name}2@example.com"))).await;
            let mails = app.mails().await;
            assert_eq!(mails.len(), 2, "{header}");
            for mail in mails {
                for word in mail.text.split_whitespace().filter(|word| word.contains("://")) {
                    assert!(word.starts_with(&format!("{}/account/", app.url)), "{header}: {word}");
                }
                assert!(!format!("{}{}{}", mail.subject, mail.text, mail.html).contains("evil"), "{header}");
            }
        }
        // The pages write the same rows.
        let mut browser = Browser::new(&app);
        let page = browser.open("/account/forgot").await;
        browser.submit(&page, &[("email", &person.email)]).await;
        assert!(app.mails().await[0].text.contains(&format!("{}/account/reset?uid=", app.url)));
    }
}

/// A signed-in user, and a client with one of their API tokens.
async fn with_token(app: &TestApp, name: &str) -> (crate::test_app::Person, Client, Client) {
    let person = app.add_user(name).await;
    let client = person.sign_in(app).await;
    let (_, secret) = make(&client, &["READ"]).await;
    let script = app.anyone().with_token(secret);
    script.data("{ me { id } }", json!({})).await;
    (person, client, script)
}

#[both_databases]
async fn a_reset_ends_every_api_token_and_a_change_of_password_none(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, client, script) = with_token(&app, "ada").await;
    let (_, _, others) = with_token(&app, "bob").await;
    assert_eq!(client.refusals(CHANGE, json!({ "old": PASSWORD, "new": NEW })).await, [""; 0]);
    app.mails().await;
    script.data("{ me { id } }", json!({})).await;

    let link = reset_link(&app, &ada.email).await;
    assert_eq!(app.anyone().refusals(CONFIRM, confirm(&link, "weak")).await.len(), 1);
    script.data("{ me { id } }", json!({})).await;
    assert_eq!(app.anyone().refusals(CONFIRM, confirm(&link, "yet another long phrase")).await, [""; 0]);
    assert_eq!(script.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED INVALID");
    assert_eq!(client.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    others.data("{ me { id } }", json!({})).await;
    assert_eq!(api_token::Entity::find().count(app.db()).await.unwrap(), 1);
}

#[both_databases]
async fn a_password_set_by_staff_ends_every_api_token(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let (ada, _, script) = with_token(&app, "ada").await;
    assert_eq!(admin.refusals(SET, json!({ "id": ada.id, "p": NEW })).await, [""; 0]);
    assert_eq!(script.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED INVALID");

    let (bob, _, script) = with_token(&app, "bob").await;
    let update = "mutation($id: ID!, $p: String!) { updateUser(input: { id: $id, password: $p }) { errors { code } } }";
    assert_eq!(admin.refusals(update, json!({ "id": bob.id, "p": NEW })).await, [""; 0]);
    assert_eq!(script.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED INVALID");
}

#[both_databases]
async fn the_owner_is_notified_once_of_each_change_of_a_credential(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let admin = app.admin().await;
    let told = async |subject: &str, address: &str| {
        let mails = app.mails().await;
        let seen: Vec<_> = mails.iter().map(|mail| (mail.subject.as_str(), mail.to.as_str())).collect();
        assert_eq!(seen, [(subject, address)]);
    };
    let client = ada.sign_in(&app).await;
    client.data(CHANGE, json!({ "old": PASSWORD, "new": NEW })).await;
    told("Your password at Vestibule was changed", &ada.email).await;

    let link = reset_link(&app, &ada.email).await;
    app.anyone().data(CONFIRM, confirm(&link, PASSWORD)).await;
    told("Your password at Vestibule was changed", &ada.email).await;

    admin.data(SET, json!({ "id": ada.id, "p": NEW })).await;
    assert_eq!(
        session::Entity::find().count(app.db()).await.unwrap(),
        1 + 1,
        "nobody is left but the superuser, twice"
    );
    told("Your password at Vestibule was changed", &ada.email).await;

    let mut stolen = app.anyone().sign_in("ada", NEW).await;
    let mut thief = stolen.clone();
    stolen.refresh().await.unwrap();
    stolen.data("{ me { id } }", json!({})).await;
    app.wait(Duration::from_secs(11));
    for _ in 0..3 {
        thief.refresh().await.unwrap_err();
    }
    told("One of your devices was signed out at Vestibule", &ada.email).await;

    let update = "mutation($id: ID!, $e: String!) { updateUser(input: { id: $id, email: $e }) { errors { code } } }";
    admin.data(update, json!({ "id": ada.id, "e": "new@example.com" })).await;
    told("Your email address at Vestibule was changed", &ada.email).await;
    let nobody = json!({ "id": NOBODY, "e": "x@example.com" });
    assert_eq!(admin.refusals(update, nobody).await, ["NOT_FOUND"]);
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(one_time_token::Entity::find().count(app.db()).await.unwrap(), 0);
}
