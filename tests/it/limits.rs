//! Limits: atomic, settings, and not for ever.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::json;
use vestibule::domain::limits;
use vestibule::entity::limit;

use crate::app::TestApp;
use crate::engine::Place;

crate::tests![
    of_many_at_once_as_many_get_through_as_the_limit_says,
    a_limit_is_a_setting_and_can_be_lifted,
    behind_a_trusted_proxy_the_client_is_who_it_says,
    what_is_given_back_leaves_no_row,
];

const REQUEST: &str = "mutation($email: String!) { requestReset(input: { email: $email }) { success } }";

async fn of_many_at_once_as_many_get_through_as_the_limit_says(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let clients: Vec<_> = (0..20).map(|number| if number % 2 == 0 { app.anyone() } else { second.anyone() }).collect();
    let attempts = clients.iter().map(|client| client.send(REQUEST, json!({ "email": "ada@example.com" })));
    let answers = join_all(attempts).await;
    assert_eq!(answers.iter().filter(|answer| answer.body["errors"].is_null()).count(), 3);
}

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

async fn behind_a_trusted_proxy_the_client_is_who_it_says(place: Place) {
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

async fn what_is_given_back_leaves_no_row(place: Place) {
    let app = TestApp::start(&place).await;
    app.anyone().data(REQUEST, json!({ "email": "ada@example.com" })).await;
    assert_eq!(limit::Entity::find().count(app.db()).await.unwrap(), 2);
    app.wait(Duration::from_secs(20 * 60));
    limits::sweep(&app.app.db, &app.app.clock.now()).await.unwrap();
    assert_eq!(limit::Entity::find().count(app.db()).await.unwrap(), 0);
}
