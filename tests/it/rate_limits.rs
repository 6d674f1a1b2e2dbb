//! Rate limits: atomic, configurable, temporary.

use std::time::Duration;
use test_macros::both_databases;

use futures_util::future::join_all;
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use vestibule::domain::operator::limits::{self, LimitOwner};
use vestibule::domain::operator::{Operator, users};
use vestibule::domain::rate_limits::{self, LimitKind};
use vestibule::entity::limit;

use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const REQUEST: &str = "mutation($email: String!) { requestReset(input: { email: $email }) { success } }";

#[both_databases]
async fn concurrent_requests_do_not_exceed_the_limit(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let clients: Vec<_> = (0..20).map(|number| if number % 2 == 0 { app.anyone() } else { second.anyone() }).collect();
    let attempts = clients.iter().map(|client| client.send(REQUEST, json!({ "email": "ada@example.com" })));
    let answers = join_all(attempts).await;
    assert_eq!(answers.iter().filter(|answer| answer.body["errors"].is_null()).count(), 3);
}

#[both_databases]
async fn a_limit_is_a_setting_and_can_be_lifted(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.limits.limit_mail_address = "1/10m".parse().unwrap();
    })
    .await;
    app.anyone().data(REQUEST, json!({ "email": "ada@example.com" })).await;
    let refused = app.anyone().send(REQUEST, json!({ "email": "ada@example.com" })).await;
    assert_eq!(refused.body["errors"][0]["extensions"]["retryAfter"], 600);

    let lifted = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    for _ in 0..50 {
        lifted.anyone().data(REQUEST, json!({ "email": "ada@example.com" })).await;
    }
}

#[both_databases]
async fn behind_a_trusted_proxy_the_client_is_the_forwarded_one(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.limits.limit_mail_client = "1/1h".parse().unwrap();
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let from = |address: &str| app.anyone().with_header("x-forwarded-for", format!("6.6.6.6, {address}"));
    let mut number = 0;
    let mut code = async |address: &str| {
        number += 1;
        let email = format!("user{number}@example.com");
        let answer = from(address).send(REQUEST, json!({ "email": email })).await;
        answer.body["errors"][0]["extensions"]["code"].as_str().unwrap_or("fine").to_owned()
    };
    assert_eq!(code("198.51.100.7").await, "fine");
    assert_eq!(code("198.51.100.7").await, "RATE_LIMITED");
    assert_eq!(code("198.51.100.8").await, "fine");
    assert_eq!(code("2001:db8:1:2::1").await, "fine");
    assert_eq!(code("2001:db8:1:2:ffff::9").await, "RATE_LIMITED", "one network of 64 bits is one client");
    assert_eq!(code("2001:db8:1:3::1").await, "fine");
}

#[both_databases]
async fn refilled_limits_leave_no_row(place: Place) {
    let app = TestApp::start(&place).await;
    app.anyone().data(REQUEST, json!({ "email": "ada@example.com" })).await;
    assert_eq!(limit::Entity::find().count(app.db()).await.unwrap(), 2);
    app.wait(Duration::from_secs(20 * 60));
    rate_limits::sweep(&app.app.db, &app.app.clock.now()).await.unwrap();
    assert_eq!(limit::Entity::find().count(app.db()).await.unwrap(), 0);
}

const LOGIN: &str = "mutation($name: String!, $password: String!) {
    login(input: { identifier: $name, password: $password }) { tokens { accessToken } errors { code } }
}";

/// Result of a sign-in attempt: `in`, or the error code.
async fn attempt(client: &Client, name: &str, password: &str) -> String {
    let answer = client.send(LOGIN, json!({ "name": name, "password": password })).await;
    let code = |value: &Value| value.as_str().map(str::to_owned);
    code(&answer.body["errors"][0]["extensions"]["code"])
        .or_else(|| code(&answer.body["data"]["login"]["errors"][0]["code"]))
        .unwrap_or_else(|| "in".to_owned())
}

/// A service that trusts this machine as a proxy.
async fn behind_a_proxy(place: &Place) -> TestApp {
    TestApp::start_with(place, |config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await
}

#[both_databases]
async fn ten_wrong_passwords_in_a_row_and_no_more_are_looked_at(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    for name in ["ada", "nobody"] {
        for _ in 0..10 {
            assert_eq!(attempt(&app.anyone(), name, "wrong").await, "INVALID_CREDENTIALS");
        }
        assert_eq!(attempt(&app.anyone(), name, "wrong").await, "RATE_LIMITED");
    }
    // By either identifier and with the right password, until the wait is over. The other identifier gets no such
    // error, because it would reveal to anyone with the username the address that belongs to it.
    for address in ["ADA@example.com", "bob@example.com"] {
        assert_eq!(attempt(&app.anyone(), address, PASSWORD).await, "INVALID_CREDENTIALS", "{address}");
    }
    let refused = app.anyone().send(LOGIN, json!({ "name": "ada", "password": PASSWORD })).await;
    assert_eq!(refused.body["errors"][0]["extensions"]["retryAfter"], 90);
    app.wait(Duration::from_secs(90));
    assert_eq!(attempt(&app.anyone(), "ada", PASSWORD).await, "in");
    app.wait(Duration::from_secs(90));
    assert_eq!(attempt(&app.anyone(), "ada@example.com", PASSWORD).await, "in");
}

#[both_databases]
async fn a_username_at_its_limit_does_not_reveal_its_address(place: Place) {
    let app = behind_a_proxy(&place).await;
    app.add_user("ada").await;
    for host in 1..=10 {
        let client = app.anyone().with_header("x-forwarded-for", format!("198.51.100.{host}"));
        for _ in 0..10 {
            attempt(&client, "ada", "wrong").await;
        }
    }
    // All guesses for this account are used up; a stranger tries two addresses.
    let elsewhere = app.anyone().with_header("x-forwarded-for", "203.0.113.1");
    assert_eq!(attempt(&elsewhere, "ada", PASSWORD).await, "RATE_LIMITED");
    for address in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..10 {
            assert_eq!(attempt(&elsewhere, address, PASSWORD).await, "INVALID_CREDENTIALS", "{address}");
        }
        assert_eq!(attempt(&elsewhere, address, PASSWORD).await, "RATE_LIMITED", "{address}");
    }
}

#[both_databases]
async fn of_eighty_guesses_at_once_ten_are_looked_at(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let second = app.start_second(&place).await;
    let clients: Vec<_> = (0..80).map(|number| if number % 2 == 0 { app.anyone() } else { second.anyone() }).collect();
    let answers = join_all(clients.iter().map(|client| attempt(client, "ada", "wrong"))).await;
    assert_eq!(answers.iter().filter(|answer| *answer == "INVALID_CREDENTIALS").count(), 10, "{answers:?}");
    let others = answers.iter().filter(|answer| !["INVALID_CREDENTIALS", "RATE_LIMITED"].contains(&answer.as_str()));
    assert_eq!(others.count(), 0, "{answers:?}");
}

#[both_databases]
async fn from_many_addresses_a_hundred_guesses_are_looked_at(place: Place) {
    let app = behind_a_proxy(&place).await;
    app.add_user("ada").await;
    let mut looked_at = 0;
    for host in 1..=40 {
        let client = app.anyone().with_header("x-forwarded-for", format!("198.51.100.{host}"));
        for _ in 0..4 {
            looked_at += usize::from(attempt(&client, "ada", "wrong").await == "INVALID_CREDENTIALS");
        }
    }
    assert_eq!(looked_at, 100);
}

#[both_databases]
async fn a_known_network_is_not_locked_out_by_others(place: Place) {
    let app = behind_a_proxy(&place).await;
    let at = |address: &str| app.anyone().with_header("x-forwarded-for", address);
    app.add_user("ada").await;
    let home = at("2001:db8:1:2::7");
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
    for host in 1..=10 {
        for _ in 0..10 {
            attempt(&at(&format!("198.51.100.{host}")), "ada", "wrong").await;
        }
    }
    assert_eq!(attempt(&at("198.51.100.99"), "ada", PASSWORD).await, "RATE_LIMITED");
    assert_eq!(attempt(&home, "ada", "wrong").await, "INVALID_CREDENTIALS");
    assert_eq!(attempt(&at("2001:db8:1:2:ffff::1"), "ada", PASSWORD).await, "in", "the same household");
    app.wait(Duration::from_secs(91 * 24 * 60 * 60));
    assert_eq!(attempt(&at("198.51.100.99"), "ada", PASSWORD).await, "in");
}

#[both_databases]
async fn one_client_cannot_try_many_accounts(place: Place) {
    let app = TestApp::start(&place).await;
    for number in 0..50 {
        assert_eq!(attempt(&app.anyone(), &format!("user{number}"), "wrong").await, "INVALID_CREDENTIALS");
    }
    assert_eq!(attempt(&app.anyone(), "user50", "wrong").await, "RATE_LIMITED");
}

#[both_databases]
async fn right_passwords_are_not_counted(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let count = async || {
        rate_limits::sweep(&app.app.db, &app.app.clock.now()).await.unwrap();
        limit::Entity::find().count(app.db()).await.unwrap()
    };
    // Creating the account counted as a change and for its welcome mail.
    let before = count().await;
    for _ in 0..60 {
        assert_eq!(attempt(&app.anyone(), "ada", PASSWORD).await, "in");
    }
    assert_eq!(count().await, before);
}

#[both_databases]
async fn guesses_by_a_stolen_session_are_counted(place: Place) {
    let app = TestApp::start(&place).await;
    let thief = app.add_user("ada").await.sign_in(&app).await;
    let change =
        "mutation { changePassword(input: { oldPassword: \"wrong\", newPassword: \"a phrase of the thief\" }) {
        errors { code field }
    } }";
    for _ in 0..10 {
        assert_eq!(thief.refusals(change, json!({})).await, ["PASSWORD_INCORRECT oldPassword"]);
    }
    assert_eq!(thief.code(change, json!({})).await, "RATE_LIMITED");
    let delete = "mutation { deleteMe(input: { currentPassword: \"wrong\" }) { errors { code } } }";
    assert_eq!(thief.code(delete, json!({})).await, "RATE_LIMITED");
}

#[both_databases]
async fn no_header_makes_another_client_of_one(place: Place) {
    let first = TestApp::start(&place).await;
    for trusted in [None, Some("10.0.0.0/8")] {
        let app = first
            .start_second_with(&place, |config| {
                config.trusted_proxies = trusted.map(|network| network.parse().unwrap()).into_iter().collect();
            })
            .await;
        for header in ["x-forwarded-for", "forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip"]
        {
            let name = format!("{header} {}", trusted.unwrap_or_default());
            let mut looked_at = 0;
            for host in 0..20 {
                let value =
                    if header == "forwarded" { format!("for=203.0.113.{host}") } else { format!("203.0.113.{host}") };
                let client = app.anyone().with_header(header, value);
                looked_at += usize::from(attempt(&client, &name, "wrong").await == "INVALID_CREDENTIALS");
            }
            assert_eq!(looked_at, 10, "{name}");
            app.wait(Duration::from_hours(24));
        }
    }
    // A trusted proxy is trusted only for the header it writes, and for its own entry there.
    let app =
        first.start_second_with(&place, |config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let mut looked_at = 0;
    for host in 0..20 {
        let client = app.anyone().with_header("x-forwarded-for", format!("203.0.113.{host}, 198.51.100.7"));
        let client = client.with_header("x-real-ip", format!("203.0.113.{host}"));
        looked_at += usize::from(attempt(&client, "nobody", "wrong").await == "INVALID_CREDENTIALS");
    }
    assert_eq!(looked_at, 10);
}

#[both_databases]
async fn nobody_is_let_through_where_attempts_cannot_be_counted(place: Place) {
    use sea_orm::ConnectionTrait as _;
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    app.db().execute_unprepared("ALTER TABLE limits RENAME TO elsewhere").await.unwrap();
    let mails = vestibule::entity::mail::Entity::find().count(app.db()).await.unwrap();
    assert_eq!(attempt(&app.anyone(), "boss", PASSWORD).await, "INTERNAL_SERVER_ERROR");
    assert_eq!(app.anyone().code(REQUEST, json!({ "email": "boss@example.com" })).await, "INTERNAL_SERVER_ERROR");
    let valid = "{ resetTokenIsValid(uid: \"x\", token: \"x\") }";
    assert_eq!(app.anyone().code(valid, json!({})).await, "INTERNAL_SERVER_ERROR");
    assert_eq!(staff.code("{ allEmails }", json!({})).await, "INTERNAL_SERVER_ERROR");
    assert_eq!(staff.get("/export/users.csv").await.status, 500);
    assert_eq!(vestibule::entity::mail::Entity::find().count(app.db()).await.unwrap(), mails);
    staff.data("{ me { id } }", json!({})).await;
}

#[both_databases]
async fn mails_to_new_addresses_and_retries_are_counted(place: Place) {
    use vestibule::tools::mail::SendError;
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let update = "mutation($e: String!, $p: String!) { updateMe(input: { email: $e, currentPassword: $p }) { errors { code } } }";
    for _ in 0..3 {
        assert_eq!(ada.refusals(update, json!({ "e": "victim@example.com", "p": PASSWORD })).await, [""; 0]);
    }
    assert_eq!(ada.code(update, json!({ "e": "Victim@example.com", "p": PASSWORD })).await, "RATE_LIMITED");
    // Each new request replaces the previous one and its unsent mail.
    assert_eq!(app.mails().await.len(), 1);
    // Another spelling of the current address sends no mail.
    assert_eq!(ada.refusals(update, json!({ "e": "ADA@example.com", "p": PASSWORD })).await, [""; 0]);

    app.wait(Duration::from_hours(2));
    app.transport().fail_next(9, &SendError::permanent("550 no"));
    app.anyone().data(REQUEST, json!({ "email": "ada@example.com" })).await;
    app.deliver().await;
    let admin = app.admin().await;
    let mails = "{ outgoingMails(status: FAILED) { nodes { id } } }";
    let id = admin.data(mails, json!({})).await["outgoingMails"]["nodes"][0]["id"].clone();
    let retry = "mutation($id: ID!) { retryMail(input: { id: $id }) { mail { id } errors { code } } }";
    for _ in 0..3 {
        assert_eq!(admin.refusals(retry, json!({ "id": id })).await, [""; 0]);
        app.deliver().await;
    }
    assert_eq!(admin.code(retry, json!({ "id": id })).await, "RATE_LIMITED");
    let mail = vestibule::entity::mail::Entity::find_by_id(id.as_str().unwrap().parse::<uuid::Uuid>().unwrap());
    let mail = mail.one(app.db()).await.unwrap().unwrap();
    assert_eq!(mail.status, vestibule::entity::mail::Status::Failed, "what is refused changes nothing");
}

const CREATE_USER: &str = "mutation($email: String!) { createUser(input: { email: $email }) {
    user { id } errors { code field } } }";

#[both_databases]
async fn welcome_mails_are_counted_by_sender(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let (_, token) = crate::api_tokens::make(&boss, &["MANAGE_USERS"]).await;
    let script = app.anyone().with_token(token);
    // Refused operations send and count nothing.
    assert_eq!(script.refusals(CREATE_USER, json!({ "email": "boss@example.com" })).await, ["ALREADY_EXISTS email"]);
    app.mails().await;
    let mut created = 0;
    for number in 0..120 {
        let email = json!({ "email": format!("user{number}@example.com") });
        match script.send(CREATE_USER, email).await.body["errors"].is_null() {
            true => created += 1,
            false => break,
        }
    }
    assert_eq!(created, 100);
    assert_eq!(app.mails().await.len(), 100);
    let more = json!({ "email": "more@example.com" });
    // The token and its owner's session share one limit.
    let boss = app.anyone().sign_in("boss", PASSWORD).await;
    assert_eq!(boss.code(CREATE_USER, more.clone()).await, "RATE_LIMITED");
    let found = "{ users(search: \"more@example.com\") { totalCount } }";
    assert_eq!(boss.data(found, json!({})).await["users"]["totalCount"], 0, "what is refused creates nobody");
    assert_eq!(app.admin().await.refusals(CREATE_USER, more).await, [""; 0]);
    app.wait(Duration::from_secs(36));
    assert_eq!(script.refusals(CREATE_USER, json!({ "email": "again@example.com" })).await, [""; 0]);
}

#[both_databases]
async fn no_address_receives_more_welcome_mails_than_it_may(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let delete = "mutation($id: ID!) { deleteUser(input: { id: $id }) { errors { code } } }";
    for email in ["victim@example.com", "VICTIM@example.com", "victim@example.com"] {
        let data = admin.data(CREATE_USER, json!({ "email": email })).await;
        app.mails().await;
        let id = data["createUser"]["user"]["id"].clone();
        assert_eq!(admin.refusals(delete, json!({ "id": id })).await, [""; 0]);
    }
    let again = json!({ "email": "victim@example.com" });
    assert_eq!(admin.code(CREATE_USER, again.clone()).await, "RATE_LIMITED");
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    assert_eq!(boss.code(CREATE_USER, again.clone()).await, "RATE_LIMITED", "whoever asks");
    assert_eq!(admin.refusals(CREATE_USER, json!({ "email": "other@example.com" })).await, [""; 0]);
    // They are independent of resets.
    app.anyone().data(REQUEST, again.clone()).await;
    app.wait(Duration::from_mins(20));
    assert_eq!(app.admin().await.refusals(CREATE_USER, again).await, [""; 0]);
}

#[both_databases]
async fn no_import_sends_an_address_more_welcome_mails_than_it_may(place: Place) {
    use crate::spreadsheet_import::{counts, import, post};
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let rows: String = (0..600).map(|number| format!("user{number}@example.com\n")).collect();
    let file = format!("email\nvictim@example.com\n{rows}");
    let delete = "mutation($ids: [ID!]!) { deleteUsers(input: { ids: $ids }) { errors { code } } }";
    let find = "{ users(search: \"victim@example.com\") { nodes { id } } }";
    for round in 0..3 {
        let payload =
            import(&admin, if round == 0 { file.clone() } else { "email\nvictim@example.com\n".to_owned() }).await;
        assert_eq!(counts(&payload).0, if round == 0 { 601 } else { 1 });
        let found = admin.data(find, json!({})).await["users"]["nodes"][0]["id"].clone();
        assert_eq!(admin.refusals(delete, json!({ "ids": [found] })).await, [""; 0]);
    }
    app.mails().await;
    let payload = import(&admin, "email\nnew@example.com\nVictim@example.com\n").await;
    assert_eq!(payload["rowErrors"][0]["row"], 3, "{payload}");
    assert_eq!(
        (&payload["rowErrors"][0]["column"], &payload["rowErrors"][0]["code"]),
        (&json!("email"), &json!("INVALID"))
    );
    assert!(payload["created"].is_null());
    assert!(app.mails().await.is_empty(), "all rows or none");
    // A refused import counts nothing; without welcome mails it is accepted.
    let silent =
        post(&admin, b"email\nnew@example.com\nvictim@example.com\n".to_vec(), json!({ "sendWelcome": false })).await;
    assert_eq!(silent.body["data"]["importUsers"]["created"], 2, "{}", silent.body);
    assert!(app.mails().await.is_empty());
    // Users created by hand share the limit.
    let found = admin.data(find, json!({})).await["users"]["nodes"][0]["id"].clone();
    admin.refusals(delete, json!({ "ids": [found] })).await;
    assert_eq!(admin.code(CREATE_USER, json!({ "email": "victim@example.com" })).await, "RATE_LIMITED");
}

#[both_databases]
async fn limits_outlive_a_restart(place: Place) {
    let first = TestApp::start(&place).await;
    for _ in 0..10 {
        assert_eq!(attempt(&first.anyone(), "nobody", "wrong").await, "INVALID_CREDENTIALS");
    }
    let again = first.start_second(&place).await;
    first.app.db.clone().close().await.unwrap();
    assert_eq!(attempt(&again.anyone(), "nobody", "wrong").await, "RATE_LIMITED");
}

#[both_databases]
async fn exports_and_imports_are_counted_by_user(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_bulk = "3/1h".parse().unwrap()).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    for path in ["/export/users.csv", "/export/samples.csv", "/import/users.xlsx"] {
        assert_eq!(staff.get(path).await.status, 200);
    }
    let refused = staff.get("/export/users.xlsx").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMITED"));
    assert_eq!(refused.header("retry-after"), "1200");
    assert_eq!(staff.code("{ allEmails }", json!({})).await, "RATE_LIMITED");
    assert_eq!(app.admin().await.get("/export/users.csv").await.status, 200);
}

#[both_databases]
async fn a_limit_neither_ends_nor_lasts_because_the_clock_was_set_back(place: Place) {
    let app = TestApp::start(&place).await;
    let ask = async || app.anyone().send(REQUEST, json!({ "email": "ada@example.com" })).await;
    let ask_thrice = async || {
        for _ in 0..3 {
            assert!(ask().await.body["errors"].is_null());
        }
    };
    ask_thrice().await;
    // Instances with small clock skew share the limit.
    app.clock.step_back(Duration::from_secs(60));
    assert_eq!(ask().await.code(), "RATE_LIMITED");
    app.clock.step_back(Duration::from_hours(2));
    ask_thrice().await;
    let refused = ask().await;
    assert_eq!(refused.code(), "RATE_LIMITED");
    assert_eq!(refused.body["errors"][0]["extensions"]["retryAfter"], 1200);
}

#[both_databases]
async fn changes_are_counted_by_user_over_sessions_and_tokens(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_writes = "4/1h".parse().unwrap()).await;
    let (ada, bob) = (app.add_user("ada").await, app.add_user("bob").await.sign_in(&app).await);
    let mut phone = ada.sign_in(&app).await;
    let laptop = ada.sign_in(&app).await;
    let make = "mutation { createApiToken(input: { name: \"x\", scopes: [READ, WRITE] }) { secret } }";
    let secret = laptop.data(make, json!({})).await["createApiToken"]["secret"].clone();
    let script = app.anyone().with_token(secret.as_str().unwrap());
    let rename = "mutation($n: String!) { updateMe(input: { firstName: $n }) { errors { code } } }";
    let record = "mutation($n: String!) { recordSample(input: { key: $n, title: \"t\" }) { errors { code } } }";
    // Refused and ineffective operations count nothing.
    for _ in 0..10 {
        assert_eq!(phone.refusals(rename, json!({ "n": "" })).await, [""; 0]);
        assert_eq!(phone.refusals(rename, json!({ "n": "x".repeat(200) })).await, ["TOO_LONG"]);
    }
    assert_eq!(phone.refusals(rename, json!({ "n": "one" })).await, [""; 0]);
    assert_eq!(laptop.refusals(rename, json!({ "n": "two" })).await, [""; 0]);
    assert_eq!(script.refusals(record, json!({ "n": "three" })).await, [""; 0]);
    let refused = phone.send(rename, json!({ "n": "four" })).await;
    assert_eq!(refused.code(), "RATE_LIMITED");
    assert_eq!(refused.body["errors"][0]["extensions"]["retryAfter"], 900);
    assert_eq!(script.code(record, json!({ "n": "four" })).await, "RATE_LIMITED");
    assert_eq!(laptop.code(make, json!({})).await, "RATE_LIMITED");
    assert_eq!(phone.data("{ me { firstName } }", json!({})).await["me"]["firstName"], "two");
    // Signing in and refreshing are no changes, and other users are unaffected.
    phone.refresh().await.unwrap();
    ada.sign_in(&app).await;
    assert_eq!(bob.refusals(rename, json!({ "n": "one" })).await, [""; 0]);
    app.wait(Duration::from_secs(900));
    let later = ada.sign_in(&app).await;
    assert_eq!(later.refusals(rename, json!({ "n": "four" })).await, [""; 0]);
    assert_eq!(later.code(rename, json!({ "n": "five" })).await, "RATE_LIMITED");
}

#[both_databases]
async fn nothing_expensive_is_done_for_changes_beyond_the_limit(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_writes = "2/1h".parse().unwrap()).await;
    let (ada, _) = (app.add_user("ada").await, app.add_staff("boss").await);
    app.wait(Duration::from_secs(3600));
    let bob = app.add_user("bob").await;
    let boss = app.anyone().sign_in("boss", PASSWORD).await;
    let rename = "mutation($n: String!) { updateMe(input: { firstName: $n }) { errors { code } } }";
    let broken = async || crate::avatars::send(&boss, crate::avatars::form(b"no picture".to_vec())).await;
    let create = "mutation { createUser(input: { email: \"cy@example.com\", password: \"password123\" }) {
        errors { code } } }";
    let set =
        "mutation($id: ID!) { setUserPassword(input: { id: $id, password: \"password123\" }) { errors { code } } }";
    let change = "mutation { changePassword(input: { oldPassword: \"wrong\", newPassword: \"password123\" }) {
        errors { code } } }";
    for name in ["one", "two"] {
        assert_eq!(boss.refusals(rename, json!({ "n": name })).await, [""; 0]);
    }
    assert_eq!(broken().await.code(), "RATE_LIMITED");
    assert_eq!(boss.code(create, json!({})).await, "RATE_LIMITED");
    assert_eq!(boss.code(set, json!({ "id": ada.id })).await, "RATE_LIMITED");
    // Its own reserve is not used up yet.
    assert_eq!(boss.refusals(change, json!({})).await, ["PASSWORD_INCORRECT"]);
    let end = "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: false }) { errors { code } } }";
    for other in [&ada, &bob] {
        assert_eq!(boss.refusals(end, json!({ "id": other.id })).await, [""; 0]);
    }
    assert_eq!(boss.code(change, json!({})).await, "RATE_LIMITED");
    app.wait(Duration::from_secs(1800));
    let boss = app.anyone().sign_in("boss", PASSWORD).await;
    assert_eq!(boss.refusals(create, json!({})).await, ["PASSWORD_TOO_COMMON"]);
}

/// Number of exhausted budgets of changes that `vestibule limits show` lists for this user.
pub(crate) async fn exhausted_budgets_of_changes(app: &TestApp, who: &str) -> usize {
    let (operator, now) = (Operator::new(), app.app.clock.now());
    let whose = LimitOwner::User(Box::new(users::find(&app.app.db, &operator, who).await.unwrap()));
    let used = limits::list(&app.app.db, &now, &operator, &app.app.limits, &whose).await.unwrap();
    used.iter().filter(|usage| usage.what == LimitKind::Writes && usage.exhausted_until.is_some()).count()
}

#[both_databases]
async fn a_leaked_token_does_not_keep_its_owner_from_ending_it(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_writes = "4/1h".parse().unwrap()).await;
    let (boss, bob) = (app.add_staff("boss").await, app.add_user("bob").await);
    let owner = boss.sign_in(&app).await;
    let thief = boss.sign_in(&app).await;
    let (token, secret) = crate::api_tokens::make(&owner, &["WRITE"]).await;
    let script = app.anyone().with_token(secret);
    let record = "mutation($n: String!) { recordSample(input: { key: $n, title: \"t\" }) { errors { code } } }";
    for number in 0..3 {
        assert_eq!(script.refusals(record, json!({ "n": number.to_string() })).await, [""; 0]);
    }
    assert_eq!(script.code(record, json!({ "n": "four" })).await, "RATE_LIMITED");
    let sessions = owner.data("{ sessions { id isCurrent } }", json!({})).await["sessions"].clone();
    let other =
        sessions.as_array().unwrap().iter().find(|session| session["isCurrent"] == false).unwrap()["id"].clone();
    let toggle =
        "mutation($id: ID!, $to: Boolean!) { toggleActive(input: { id: $id, isActive: $to }) { errors { code } } }";
    assert_eq!(owner.refusals(toggle, json!({ "id": bob.id, "to": false })).await, [""; 0]);
    assert_eq!(owner.code(toggle, json!({ "id": bob.id, "to": true })).await, "RATE_LIMITED", "that ends nothing");
    // Revocations by the attacker's session have a separate limit.
    for _ in 0..4 {
        let extra = boss.sign_in(&app).await;
        let extra = extra.data("{ sessions { id isCurrent } }", json!({})).await["sessions"].clone();
        let extra =
            extra.as_array().unwrap().iter().find(|session| session["isCurrent"] == true).unwrap()["id"].clone();
        let revoke = "mutation($id: ID!) { revokeSession(input: { id: $id }) { errors { code } } }";
        assert_eq!(thief.refusals(revoke, json!({ "id": extra })).await, [""; 0]);
    }
    let revoke = "mutation($id: ID!) { revokeSession(input: { id: $id }) { errors { code } } }";
    assert_eq!(thief.code(revoke, json!({ "id": other })).await, "RATE_LIMITED");
    assert_eq!(exhausted_budgets_of_changes(&app, "boss").await, 2, "of the user, and of the thief's session");
    assert_eq!(owner.refusals(revoke, json!({ "id": other })).await, [""; 0]);
    assert!(thief.code("{ me { id } }", json!({})).await.starts_with("UNAUTHENTICATED"));
    let delete = "mutation($id: ID!) { deleteApiToken(input: { id: $id }) { errors { code } } }";
    assert_eq!(owner.refusals(delete, json!({ "id": token })).await, [""; 0]);
    assert!(script.code(record, json!({ "n": "five" })).await.starts_with("UNAUTHENTICATED"));
    let change = "mutation($p: String!) { changePassword(input: { oldPassword: $p, newPassword: \"a phrase of the owner's own\" }) {
        errors { code } } }";
    assert_eq!(owner.refusals(change, json!({ "p": PASSWORD })).await, [""; 0]);
}

#[both_databases]
async fn guesses_at_an_address_are_forgotten_where_the_account_gets_it(place: Place) {
    let app = behind_a_proxy(&place).await;
    let at = |host: u8| app.anyone().with_header("x-forwarded-for", format!("198.51.100.{host}"));
    let guess = async |name: &str| {
        for number in 0..120_u8 {
            attempt(&at(number / 8), name, "wrong").await;
        }
        assert_eq!(attempt(&at(99), name, PASSWORD).await, "RATE_LIMITED", "{name}");
    };
    // Staff change an account's address to one that strangers guessed at.
    let (ada, admin) = (app.add_user("ada").await, app.admin().await);
    guess("new@example.com").await;
    let update =
        "mutation($id: ID!) { updateUser(input: { id: $id, email: \"new@example.com\" }) { errors { code } } }";
    assert_eq!(admin.refusals(update, json!({ "id": ada.id })).await, [""; 0]);
    assert_eq!(attempt(&at(99), "new@example.com", PASSWORD).await, "in");

    // An undo restores an address.
    let bob = app.add_reader("bob").await;
    app.mails().await;
    let moved = crate::undo_email_change::move_by_staff(&app, &bob, "thief@example.com").await;
    guess("bob@example.com").await;
    let undo = "mutation($t: String!) { undoEmailChange(input: { token: $t }) { errors { code } } }";
    let token = crate::undo_email_change::undo_token(&moved);
    assert_eq!(app.anyone().refusals(undo, json!({ "t": token })).await, [""; 0]);
    let (uid, token) = crate::parity::recovery::reset_link(&app, "bob@example.com").await;
    let reset = "mutation($u: ID!, $t: String!, $p: String!) {
        confirmReset(input: { uid: $u, token: $t, newPassword: $p }) { errors { code } } }";
    assert_eq!(app.anyone().refusals(reset, json!({ "u": uid, "t": token, "p": PASSWORD })).await, [""; 0]);
    assert_eq!(attempt(&at(99), "bob@example.com", PASSWORD).await, "in");
}

#[both_databases]
async fn a_new_account_is_not_locked_out_by_guesses_at_its_address(place: Place) {
    let app = behind_a_proxy(&place).await;
    let at = |host: u8| app.anyone().with_header("x-forwarded-for", format!("198.51.100.{host}"));
    for number in 0..120_u8 {
        attempt(&at(number / 8), "neo@example.com", "wrong").await;
    }
    assert_eq!(attempt(&at(99), "neo@example.com", PASSWORD).await, "RATE_LIMITED");
    app.add(json!({ "email": "neo@example.com", "password": PASSWORD })).await;
    assert_eq!(attempt(&at(99), "neo@example.com", PASSWORD).await, "in");
}

#[both_databases]
async fn an_api_token_does_not_reset_the_limit_of_guesses(place: Place) {
    let app = behind_a_proxy(&place).await;
    let at = |host: u8| app.anyone().with_header("x-forwarded-for", format!("198.51.100.{host}"));
    let (ada, boss) = (app.add_user("ada").await, app.add_staff("boss").await.sign_in(&app).await);
    let (_, secret) = crate::api_tokens::make(&boss, &["READ", "WRITE", "MANAGE_USERS"]).await;
    let token = app.anyone().with_token(secret);
    for number in 0..120_u8 {
        attempt(&at(number / 8), "ada@example.com", "wrong").await;
    }
    let toggle =
        "mutation($id: ID!, $to: Boolean!) { toggleActive(input: { id: $id, isActive: $to }) { errors { code } } }";
    let toggle = async |client: &Client| {
        for to in [false, true] {
            assert_eq!(client.refusals(toggle, json!({ "id": ada.id, "to": to })).await, [""; 0]);
        }
    };
    toggle(&token).await;
    assert_eq!(attempt(&at(99), "ada@example.com", PASSWORD).await, "RATE_LIMITED");
    toggle(&boss).await;
    assert_eq!(attempt(&at(99), "ada@example.com", PASSWORD).await, "in");
}
