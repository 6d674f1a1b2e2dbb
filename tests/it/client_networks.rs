//! Client networks: limits per network, and recently used networks of an account.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::json;
use vestibule::config::Config;
use vestibule::entity::{known_network, limit};
use vestibule::worker;

use crate::parity::recovery::{CONFIRM, REQUEST, link};
use crate::parity::registration::{REGISTER, VERIFY, wanted};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;
use crate::undo_email_change::{UNDO, move_to, undo_token};

const LOGIN: &str = "mutation($name: String!, $password: String!) {
    login(input: { identifier: $name, password: $password }) { tokens { accessToken } errors { code } }
}";

/// A service that trusts this machine as a proxy.
async fn behind_a_proxy(place: &Place) -> TestApp {
    behind_a_proxy_with(place, |_| {}).await
}

async fn behind_a_proxy_with(place: &Place, change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::start_with(place, |config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        change(config);
    })
    .await
}

fn at(app: &TestApp, address: &str) -> Client {
    app.anyone().with_header("x-forwarded-for", address)
}

/// Error code of a response, or `fine`.
async fn answer(client: &Client, document: &str, variables: serde_json::Value) -> String {
    let answer = client.send(document, variables).await;
    answer.body["errors"][0]["extensions"]["code"].as_str().unwrap_or("fine").to_owned()
}

async fn ask(client: &Client, email: &str) -> String {
    answer(client, REQUEST, json!({ "email": email })).await
}

/// Result of a sign-in attempt: `in`, or the error code.
async fn attempt(client: &Client, name: &str, password: &str) -> String {
    let answer = client.send(LOGIN, json!({ "name": name, "password": password })).await;
    let code = answer.body["errors"][0]["extensions"]["code"].as_str();
    code.or(answer.body["data"]["login"]["errors"][0]["code"].as_str()).unwrap_or("in").to_owned()
}

/// Requests resets from different networks until the limit of the address is reached.
async fn use_up(app: &TestApp, email: &str) {
    for host in 1..=3 {
        assert_eq!(ask(&at(app, &format!("198.51.100.{host}")), email).await, "fine");
    }
    assert_eq!(ask(&at(app, "198.51.100.4"), email).await, "RATE_LIMITED");
}

#[both_databases]
async fn registrations_never_use_up_the_resets_of_an_address(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    for _ in 0..3 {
        assert_eq!(answer(&app.anyone(), REGISTER, wanted(&ada.email)).await, "fine");
    }
    for _ in 0..72 {
        app.wait(Duration::from_secs(20 * 60));
        assert_eq!(answer(&app.anyone(), REGISTER, wanted(&ada.email)).await, "fine");
        assert_eq!(answer(&app.anyone(), REGISTER, wanted(&ada.email)).await, "RATE_LIMITED");
    }
    app.mails().await;
    assert_eq!(ask(&app.anyone(), &ada.email).await, "fine");
    let mails = app.mails().await;
    assert_eq!(mails.iter().filter(|mail| mail.text.contains("/account/reset?uid=")).count(), 1);
}

#[both_databases]
async fn each_purpose_of_mails_has_its_own_budget_at_an_address(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let email = "victim@example.com";
    let update = "mutation($e: String!, $p: String!) { updateMe(input: { email: $e, currentPassword: $p }) { errors { code } } }";
    let resend = "mutation($email: String!) { resendVerification(input: { email: $email }) { success } }";
    let anyone = app.anyone();
    for _ in 0..2 {
        assert_eq!(answer(&anyone, REGISTER, wanted(email)).await, "fine");
    }
    assert_eq!(answer(&anyone, resend, json!({ "email": email })).await, "fine");
    assert_eq!(answer(&anyone, resend, json!({ "email": email })).await, "RATE_LIMITED");
    assert_eq!(answer(&anyone, REGISTER, wanted(email)).await, "RATE_LIMITED");
    for _ in 0..3 {
        assert_eq!(answer(&ada, update, json!({ "e": email, "p": PASSWORD })).await, "fine");
    }
    assert_eq!(answer(&ada, update, json!({ "e": email, "p": PASSWORD })).await, "RATE_LIMITED");
    for _ in 0..3 {
        assert_eq!(ask(&anyone, email).await, "fine");
    }
    assert_eq!(ask(&anyone, email).await, "RATE_LIMITED");
}

#[both_databases]
async fn strangers_cannot_use_up_the_resets_of_a_known_network(place: Place) {
    let app = behind_a_proxy(&place).await;
    let (ada, bob) = (app.add_user("ada").await, app.add_user("bob").await);
    let home = at(&app, "203.0.113.9");
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
    for email in [ada.email.as_str(), &bob.email, "nobody@example.com"] {
        use_up(&app, email).await;
    }
    app.mails().await;
    // The reserve has the same size, and is for this account's address only.
    for _ in 0..3 {
        assert_eq!(ask(&home, &ada.email).await, "fine");
        assert!(app.mails().await[0].text.contains("/account/reset?uid="));
    }
    let refused = home.send(REQUEST, json!({ "email": ada.email })).await;
    assert_eq!(refused.code(), "RATE_LIMITED");
    assert_eq!(refused.body["errors"][0]["extensions"]["retryAfter"], 1200);
    for email in [bob.email.as_str(), "nobody@example.com"] {
        assert_eq!(ask(&home, email).await, "RATE_LIMITED", "{email}");
    }
    // Responses to strangers do not depend on any of this.
    let mut strangers = Vec::new();
    for email in [ada.email.as_str(), &bob.email, "nobody@example.com"] {
        strangers.push(at(&app, "198.51.100.200").send(REQUEST, json!({ "email": email })).await.body);
    }
    assert!(strangers.iter().all(|body| *body == strangers[0]), "{strangers:?}");
}

#[both_databases]
async fn strangers_of_the_same_site_lock_out_no_known_network(place: Place) {
    let app = behind_a_proxy(&place).await;
    let ada = app.add_user("ada").await;
    let home = at(&app, "2001:db8:1:2::7");
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
    for subnet in 0x10..0x18 {
        let neighbour = at(&app, &format!("2001:db8:1:{subnet:x}::1"));
        for number in 0..30 {
            assert_eq!(ask(&neighbour, &format!("user{subnet}-{number}@example.com")).await, "fine");
        }
        for number in 0..50 {
            assert_eq!(attempt(&neighbour, &format!("name{number}"), "wrong").await, "INVALID_CREDENTIALS");
        }
    }
    let neighbour = at(&app, "2001:db8:1:99::1");
    assert_eq!(ask(&neighbour, &ada.email).await, "RATE_LIMITED");
    assert_eq!(attempt(&neighbour, "ada", PASSWORD).await, "RATE_LIMITED");
    assert_eq!(ask(&home, &ada.email).await, "fine");
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
}

#[both_databases]
async fn a_reset_request_costs_the_same_with_and_without_an_account(place: Place) {
    let statements = Arc::new(AtomicUsize::new(0));
    let app = TestApp::start_counting_with(&place, Arc::clone(&statements), |config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let ada = app.add_user("ada").await;
    assert_eq!(attempt(&at(&app, "203.0.113.9"), "ada", PASSWORD).await, "in");
    app.add_user("bob").await;
    // IPv4 and IPv6, below and at the limit.
    for client in [at(&app, "198.51.100.7"), at(&app, "2001:db8:7:7::7")] {
        let mut costs = Vec::new();
        for email in [ada.email.as_str(), "bob@example.com", "nobody@example.com"] {
            let mut cost = Vec::new();
            for _ in 0..5 {
                let before = statements.load(Ordering::SeqCst);
                let answer = client.send(REQUEST, json!({ "email": email })).await;
                cost.push((answer.status, answer.body, statements.load(Ordering::SeqCst) - before));
            }
            costs.push(cost);
        }
        assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
        app.wait(Duration::from_hours(2));
    }
}

#[both_databases]
async fn a_network_is_known_for_ninety_days_after_the_last_sign_in(place: Place) {
    let app = behind_a_proxy(&place).await;
    let ada = app.add_user("ada").await;
    let home = at(&app, "203.0.113.9");
    let count = async || known_network::Entity::find().count(app.db()).await.unwrap();
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
    assert_eq!(attempt(&home, "ada", "wrong").await, "INVALID_CREDENTIALS");
    let rows = known_network::Entity::find().all(app.db()).await.unwrap();
    let of_ada: Vec<_> = rows.iter().filter(|row| row.user_id.to_string() == ada.id).collect();
    assert_eq!(of_ada.len(), 1, "{rows:?}");
    assert!(!of_ada[0].network.contains("203.0"), "the table tells no address");

    app.wait(Duration::from_hours(89 * 24));
    use_up(&app, &ada.email).await;
    assert_eq!(ask(&home, &ada.email).await, "fine");
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
    app.wait(Duration::from_hours(89 * 24));
    use_up(&app, &ada.email).await;
    assert_eq!(ask(&home, &ada.email).await, "fine");
    app.wait(Duration::from_hours(2 * 24));
    use_up(&app, &ada.email).await;
    assert_eq!(ask(&home, &ada.email).await, "RATE_LIMITED");
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(count().await, 0);
}

#[both_databases]
async fn a_network_stays_known_when_the_trail_forgets_clients(place: Place) {
    let app = behind_a_proxy_with(&place, |config| config.retention.keep_clients = Duration::from_hours(1)).await;
    let ada = app.add_user("ada").await;
    let home = at(&app, "203.0.113.9");
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
    app.wait(Duration::from_hours(24));
    worker::run_maintenance(&app.app).await.unwrap();
    use_up(&app, &ada.email).await;
    assert_eq!(ask(&home, &ada.email).await, "fine");
}

#[both_databases]
async fn a_network_stays_known_after_hundreds_of_sign_ins_from_elsewhere(place: Place) {
    let app = behind_a_proxy(&place).await;
    app.add_user("ada").await;
    let home = at(&app, "203.0.113.9");
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
    let script = at(&app, "192.0.2.1");
    for _ in 0..210 {
        assert_eq!(attempt(&script, "ada", PASSWORD).await, "in");
    }
    for host in 1..=10 {
        for _ in 0..10 {
            attempt(&at(&app, &format!("198.51.100.{host}")), "ada", "wrong").await;
        }
    }
    assert_eq!(attempt(&at(&app, "198.51.100.99"), "ada", PASSWORD).await, "RATE_LIMITED");
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
}

#[both_databases]
async fn a_reset_forgets_the_networks_of_an_intruder(place: Place) {
    const NEW: &str = "quite a new long phrase";
    let app = behind_a_proxy(&place).await;
    let ada = app.add_user("ada").await;
    let (thief, owner) = (at(&app, "192.0.2.66"), at(&app, "203.0.113.9"));
    assert_eq!(attempt(&thief, "ada", PASSWORD).await, "in");
    assert_eq!(ask(&owner, &ada.email).await, "fine");
    let (uid, token) = link(&app.mails().await[0]);
    let input = json!({ "input": { "uid": uid, "token": token, "newPassword": NEW, "newPasswordConfirm": NEW } });
    assert_eq!(answer(&owner, CONFIRM, input).await, "fine");
    for host in 1..=10 {
        for _ in 0..10 {
            attempt(&at(&app, &format!("198.51.100.{host}")), "ada", "wrong").await;
        }
    }
    assert_eq!(attempt(&thief, "ada", "wrong").await, "RATE_LIMITED");
    assert_eq!(attempt(&owner, "ada", NEW).await, "in", "the guesses do not lock out who followed the link");
}

#[both_databases]
async fn known_networks_go_with_the_account(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let [ada, bob] = [app.add_user("ada").await, app.add_user("bob").await];
    let record = "mutation { recordSample(input: { key: \"k\", title: \"t\" }) { errors { code } } }";
    ada.sign_in(&app).await.data(record, json!({})).await;
    bob.sign_in(&app).await;
    let remove = "mutation($id: ID!) { deleteUser(input: { id: $id }) { outcome errors { code } } }";
    for (person, outcome) in [(&ada, "ANONYMIZED"), (&bob, "DELETED")] {
        let deleted = admin.data(remove, json!({ "id": person.id })).await;
        assert_eq!(deleted["deleteUser"]["outcome"], outcome);
        let rows = known_network::Entity::find().all(app.db()).await.unwrap();
        assert!(rows.iter().all(|row| row.user_id.to_string() != person.id));
    }
}

#[both_databases]
async fn look_alikes_of_an_address_use_up_none_of_its_mails(place: Place) {
    let app = behind_a_proxy(&place).await;
    let ada = app.add_user("ada").await;
    let eve = app.add_user("eve").await.sign_in(&app).await;
    let look_alike = "\u{430}da@example.com";
    let (home, elsewhere) = (at(&app, "203.0.113.9"), at(&app, "203.0.113.77"));
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
    use_up(&app, look_alike).await;
    assert_eq!(ask(&home, look_alike).await, "RATE_LIMITED", "a look-alike has no account and no reserve");
    assert_eq!(ask(&elsewhere, &ada.email).await, "fine");
    let mails = app.mails().await;
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [ada.email.as_str()]);

    let resend = "mutation($email: String!) { resendVerification(input: { email: $email }) { success } }";
    let update = "mutation($e: String!, $p: String!) { updateMe(input: { email: $e, currentPassword: $p }) { errors { code } } }";
    for _ in 0..3 {
        assert_eq!(answer(&home, REGISTER, wanted("n\u{435}w@example.com")).await, "fine");
        assert_eq!(answer(&eve, update, json!({ "e": "n\u{435}w@example.com", "p": PASSWORD })).await, "fine");
    }
    assert_eq!(answer(&home, resend, json!({ "email": "n\u{435}w@example.com" })).await, "RATE_LIMITED");
    app.mails().await;
    assert_eq!(answer(&elsewhere, REGISTER, wanted("new@example.com")).await, "fine");
    assert_eq!(answer(&eve, update, json!({ "e": "new@example.com", "p": PASSWORD })).await, "fine");
    assert_eq!(app.mails().await.len(), 2);
    // Another spelling of the same address is the same mailbox.
    for _ in 0..2 {
        assert_eq!(answer(&home, resend, json!({ "email": "NEW@example.com" })).await, "fine");
    }
    assert_eq!(answer(&home, resend, json!({ "email": "new@EXAMPLE.com" })).await, "RATE_LIMITED");
}

#[both_databases]
async fn an_undo_knows_the_network_that_confirmed_it(place: Place) {
    let app = behind_a_proxy(&place).await;
    let ada = app.add_reader("ada").await;
    let (thief, owner) = (at(&app, "192.0.2.66"), at(&app, "203.0.113.9"));
    let told = move_to(&app, &thief.clone().sign_in("ada", PASSWORD).await, PASSWORD, "evil@example.com").await;
    assert_eq!(owner.refusals(UNDO, json!({ "t": undo_token(&told) })).await, [""; 0]);
    app.mails().await;
    use_up(&app, &ada.email).await;
    app.mails().await;
    assert_eq!(ask(&thief, &ada.email).await, "RATE_LIMITED");
    assert_eq!(ask(&owner, &ada.email).await, "fine");
    assert_eq!(app.mails().await.len(), 1);
}

#[both_databases]
async fn a_site_of_ipv6_has_eight_times_the_budget_of_a_subnet(place: Place) {
    let app = behind_a_proxy_with(&place, |config| {
        config.limits.limit_mail_client = "2/1h".parse().unwrap();
        config.limits.limit_sign_in = "2/1h".parse().unwrap();
        config.limits.limit_sign_in_client = "4/1h".parse().unwrap();
        config.limits.limit_link = "2/1h".parse().unwrap();
    })
    .await;
    let number = AtomicUsize::new(0);
    let next = || number.fetch_add(1, Ordering::SeqCst);
    let mail = async |client: &Client| ask(client, &format!("user{}@example.com", next())).await == "fine";
    let guess = async |client: &Client| attempt(client, "nobody", "wrong").await == "INVALID_CREDENTIALS";
    let guess_each =
        async |client: &Client| attempt(client, &format!("name{}", next()), "wrong").await == "INVALID_CREDENTIALS";
    let follow = async |client: &Client| {
        let wrong = client.send(VERIFY, json!({ "token": "x".repeat(43) })).await;
        wrong.body["errors"].is_null()
    };
    macro_rules! holds {
        ($let_through:expr, $subnet:literal) => {{
            let mut in_site = 0;
            for subnet in 0..20 {
                let mut in_subnet = 0;
                for host in 0..$subnet + 2 {
                    let client = at(&app, &format!("2001:db8:1:{subnet:x}::{host:x}"));
                    in_subnet += usize::from($let_through(&client).await);
                }
                assert!(in_subnet <= $subnet, "{subnet}: {in_subnet}");
                in_site += in_subnet;
            }
            assert_eq!(in_site, 8 * $subnet);
            assert!($let_through(&at(&app, "2001:db8:2::1")).await, "another site");
            app.wait(Duration::from_hours(24));
        }};
    }
    holds!(mail, 2);
    holds!(guess, 2);
    holds!(guess_each, 4);
    holds!(follow, 2);
}

#[both_databases]
async fn addresses_that_stand_for_ipv4_share_its_budget(place: Place) {
    let app = behind_a_proxy_with(&place, |config| config.limits.limit_mail_client = "1/1h".parse().unwrap()).await;
    assert_eq!(ask(&at(&app, "198.51.100.7"), "user0@example.com").await, "fine");
    let same =
        ["::ffff:198.51.100.7", "64:ff9b::198.51.100.7", "2002:c633:6407::1", "2001:0:4136:e378:8000:63bf:39cc:9bf8"];
    for (number, address) in (1..).zip(same) {
        let code = ask(&at(&app, address), &format!("user{number}@example.com")).await;
        assert_eq!(code, "RATE_LIMITED", "{address}");
    }
    let rows = limit::Entity::find().count(app.db()).await.unwrap();
    assert!(rows <= 3, "the client, the address and the superuser: {rows}");
}

#[both_databases]
async fn earlier_guesses_do_not_lock_out_users_let_in_by_staff(place: Place) {
    const NEW: &str = "quite a new long phrase";
    let app = behind_a_proxy(&place).await;
    let ada = app.add_user("ada").await;
    let home = at(&app, "203.0.113.9");
    assert_eq!(attempt(&home, "ada", PASSWORD).await, "in");
    let guess = async |subnet: u8| {
        for name in ["ada", ada.email.as_str()] {
            for host in 1..=10 {
                for _ in 0..10 {
                    attempt(&at(&app, &format!("198.51.{subnet}.{host}")), name, "wrong").await;
                }
            }
        }
        assert_eq!(attempt(&at(&app, "192.0.2.1"), "ada", "wrong").await, "RATE_LIMITED");
    };
    guess(100).await;
    let admin = app.admin().await;
    let set =
        "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) { errors { code } } }";
    assert_eq!(admin.refusals(set, json!({ "id": ada.id, "p": NEW })).await, [""; 0]);
    assert_eq!(attempt(&at(&app, "203.0.113.77"), "ada", NEW).await, "in");

    let toggle =
        "mutation($id: ID!, $to: Boolean) { toggleActive(input: { id: $id, isActive: $to }) { errors { code } } }";
    assert_eq!(admin.refusals(toggle, json!({ "id": ada.id, "to": false })).await, [""; 0]);
    guess(101).await;
    assert_eq!(admin.refusals(toggle, json!({ "id": ada.id, "to": true })).await, [""; 0]);
    assert_eq!(attempt(&home, &ada.email, NEW).await, "in");
}
