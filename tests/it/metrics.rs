//! Metrics: separate listener, and values that match events.

use std::time::Duration;
use test_macros::both_databases;

use serde_json::json;
use tokio::net::TcpListener;
use vestibule::http;
use vestibule::tools::request_metrics::RequestMetrics;

use crate::process::{Serving, command};
use crate::socket::Socket;
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

/// Timeout of expected events, which normally take much less.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Client of the metrics endpoint.
pub(crate) struct Watcher {
    url: String,
}

impl Watcher {
    pub(crate) async fn of(app: &TestApp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let wire = http::ServerOptions::of(&app.app.config, &RequestMetrics::default());
        tokio::spawn(http::serve(listener, http::routes::metrics::router(&app.app), wire, std::future::pending()));
        Self { url }
    }

    pub(crate) async fn look(&self) -> Figures {
        let plain = reqwest::get(&self.url).await.unwrap();
        assert_eq!(plain.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        assert!(plain.text().await.unwrap().contains("# TYPE vestibule_mail_attempts_total counter\n"));
        let asked = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.6";
        let answer = reqwest::Client::new().get(&self.url).header("accept", asked).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
        Figures(answer.text().await.unwrap())
    }
}

/// Response of the metrics endpoint.
pub(crate) struct Figures(String);

impl Figures {
    /// Value of a series; `None` if it is missing.
    pub(crate) fn get(&self, series: &str) -> Option<f64> {
        let value = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map(|value| value.parse().unwrap())
    }

    /// Number of operations of this kind with this field and code.
    fn operations(&self, kind: &str, operation: &str, code: &str) -> Option<f64> {
        let labels = format!(r#"kind="{kind}",operation="{operation}",code="{code}""#);
        self.get(&format!("vestibule_graphql_operations_total{{{labels}}}"))
    }
}

#[both_databases]
async fn operations_are_counted_by_field_and_result(place: Place) {
    let app = TestApp::start(&place).await;
    let watcher = Watcher::of(&app).await;
    let admin = app.admin().await;
    for _ in 0..3 {
        admin.data("query Mine { mine: me { id } }", json!({})).await;
    }
    assert_eq!(app.anyone().code("{ users { totalCount } }", json!({})).await, "UNAUTHENTICATED MISSING");
    let login = "mutation($p: String!) { login(input: { identifier: \"admin@localhost\", password: $p }) { tokens { tokenType } } }";
    app.anyone().data(login, json!({ "p": "not the phrase" })).await;
    assert_eq!(app.anyone().code("{ me {", json!({})).await, "GRAPHQL_PARSE_FAILED");
    assert_eq!(app.anyone().code("{ me { id } users { totalCount } }", json!({})).await, "UNAUTHENTICATED MISSING");

    let told = watcher.look().await;
    assert_eq!(told.operations("query", "me", "OK"), Some(3.0));
    assert_eq!(told.operations("query", "users", "UNAUTHENTICATED"), Some(1.0));
    assert_eq!(told.operations("query", "several", "UNAUTHENTICATED"), Some(1.0));
    assert_eq!(told.operations("mutation", "login", "OK"), Some(1.0));
    let refused = told.operations("mutation", "login", "INVALID_CREDENTIALS");
    assert_eq!(refused, Some(1.0), "the payload's code counts, whether or not it was asked for");
    assert_eq!(told.operations("none", "none", "GRAPHQL_PARSE_FAILED"), Some(1.0));
    let timed = r#"vestibule_graphql_operation_duration_seconds_count{kind="query",operation="me"}"#;
    assert_eq!(told.get(timed), Some(3.0));
    let answered = r#"vestibule_http_request_duration_seconds_count{method="POST",route="/graphql",status="200"}"#;
    assert!(told.get(answered) >= Some(5.0), "{}", told.0);
}

#[both_databases]
async fn nothing_that_a_client_makes_up_is_kept(place: Place) {
    let app = TestApp::start(&place).await;
    let watcher = Watcher::of(&app).await;
    let make_up = async |names: std::ops::Range<u32>| {
        for n in names {
            let client = app.anyone();
            client.send(&format!("query Up{n} {{ up{n} }}"), json!({})).await;
            client.send(&format!("{{ a{n}: __typename }}"), json!({})).await;
            client.get(&format!("/up/{n}")).await;
            client.get(&format!("/media/avatars/up{n}")).await;
            let method = reqwest::Method::from_bytes(format!("UP{n}").as_bytes()).unwrap();
            client.finish(reqwest::Client::new().request(method, format!("{}/graphql", app.url))).await;
        }
    };
    make_up(0..2).await;
    let before = watcher.look().await.0.lines().count();
    make_up(2..30).await;
    let after = watcher.look().await.0;
    assert_eq!(after.lines().count(), before, "{after}");
    assert!(!after.to_lowercase().contains("up1"), "{after}");
}

#[both_databases]
async fn connections_and_subscriptions_are_counted_while_they_last(place: Place) {
    let app = TestApp::start_with(&place, |config| config.sockets.sockets_per_client = 1).await;
    let watcher = Watcher::of(&app).await;
    let admin = app.admin().await;
    let mut socket = Socket::sign_in(&app.url, &admin).await;
    socket.subscribe("1", "subscription { onlineUsers { id } }").await;
    socket.data("1").await;
    assert_eq!(
        Socket::open_with(&app.url, &[("sec-websocket-protocol", "graphql-transport-ws")]).await.err().unwrap().0,
        429
    );
    let told = watcher.look().await;
    assert_eq!(told.get("vestibule_websockets"), Some(1.0));
    assert_eq!(told.get("vestibule_subscriptions"), Some(1.0));
    assert!(told.get("vestibule_connections") >= Some(1.0));
    assert_eq!(told.get(r#"vestibule_connections_refused_total{reason="sockets_client"}"#), Some(1.0));
    assert_eq!(told.operations("subscription", "onlineUsers", "OK"), Some(1.0));

    socket.leave().await;
    let both_end = async {
        loop {
            let told = watcher.look().await;
            if told.get("vestibule_websockets") == Some(0.0) && told.get("vestibule_subscriptions") == Some(0.0) {
                return;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, both_end).await.expect("ended connections are not counted");
}

#[both_databases]
async fn limits_have_separate_counters(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.limits.limit_sign_in = "1/1h".parse().unwrap();
        config.limits.limit_mail_address = "1/1h".parse().unwrap();
    })
    .await;
    let watcher = Watcher::of(&app).await;
    let reached =
        |told: &Figures, limit: &str| told.get(&format!(r#"vestibule_limits_reached_total{{limit="{limit}"}}"#));
    let before = watcher.look().await;
    for limit in [
        "mail_address",
        "mail_client",
        "sign_in",
        "sign_in_client",
        "sign_in_account",
        "link",
        "register",
        "bulk",
        "welcome",
        "api_token",
        "writes",
    ] {
        assert_eq!(reached(&before, limit), Some(0.0), "{limit}");
    }
    let login =
        "mutation { login(input: { identifier: \"nobody\", password: \"a guess of mine\" }) { errors { code } } }";
    let reset = "mutation { requestReset(input: { email: \"somebody@example.com\" }) { success } }";
    for document in [login, login, login, reset, reset] {
        app.anyone().send(document, json!({})).await;
    }
    let told = watcher.look().await;
    assert_eq!(reached(&told, "sign_in"), Some(2.0));
    assert_eq!(reached(&told, "mail_address"), Some(1.0));
    assert_eq!(reached(&told, "sign_in_client"), Some(0.0));
    assert_eq!(told.operations("mutation", "login", "RATE_LIMITED"), Some(2.0));
}

#[both_databases]
async fn rows_in_the_database_are_counted(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("anna").await;
    let ben = app.add_user("ben").await;
    let admin = app.admin().await;
    let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: false }) { errors { code } } }";
    admin.data(toggle, json!({ "id": ben.id })).await;
    app.anyone().sign_in("anna", PASSWORD).await.data("{ me { id } }", json!({})).await;
    app.anyone().data("mutation { requestReset(input: { email: \"anna@example.com\" }) { success } }", json!({})).await;
    app.clock.advance(Duration::from_secs(30));

    let watcher = Watcher::of(&app).await;
    let told = watcher.look().await;
    assert_eq!(told.get(r#"vestibule_users{state="active"}"#), Some(2.0));
    assert_eq!(told.get(r#"vestibule_users{state="inactive"}"#), Some(1.0));
    assert_eq!(told.get("vestibule_users_online"), Some(2.0));
    assert!(told.get("vestibule_sessions") >= Some(2.0));
    assert_eq!(told.get(r#"vestibule_mails{state="queued"}"#), Some(1.0));
    assert_eq!(told.get("vestibule_mail_overdue_seconds"), Some(30.0));
    assert_eq!(told.get("vestibule_registrations"), Some(0.0));

    app.deliver().await;
    // Counts are cached for some seconds, so a new endpoint is read.
    let told = Watcher::of(&app).await.look().await;
    assert_eq!(told.get(r#"vestibule_mails{state="queued"}"#), Some(0.0));
    assert_eq!(told.get("vestibule_mail_overdue_seconds"), Some(0.0));
    assert!(told.get(r#"vestibule_mail_attempts_total{outcome="sent"}"#) >= Some(1.0));
}

#[both_databases]
async fn an_unavailable_database_is_reported_beside_everything_else(place: Place) {
    let app = TestApp::start(&place).await;
    app.admin().await;
    let up = Watcher::of(&app).await.look().await;
    assert_eq!(up.get("vestibule_database_up"), Some(1.0));

    app.app.db.clone().close().await.unwrap();
    let told = Watcher::of(&app).await.look().await;
    assert_eq!(told.get("vestibule_database_up"), Some(0.0));
    assert_eq!(told.get("vestibule_sessions"), None, "an old figure would be taken for a new one");
    assert_eq!(told.operations("mutation", "login", "OK"), Some(1.0));
    assert!(told.get("process_resident_memory_bytes") > Some(1_000_000.0));
}

#[both_databases]
async fn they_are_served_at_an_address_of_their_own(place: Place) {
    let mut told = command(&place);
    told.env("VESTIBULE_METRICS_LISTEN", "127.0.0.1:0");
    let serving = Serving::start(told);
    let line = serving
        .printed
        .iter()
        .find_map(|line| line.strip_prefix("metrics on "))
        .expect("the process prints the address");
    let watcher = Client::new(line.strip_suffix("/metrics").unwrap());
    assert_eq!(reqwest::get(line).await.unwrap().status(), 200);
    assert_eq!(watcher.get("/graphql").await.status, 404);
    let clients = Client::new(&serving.url);
    assert_eq!(clients.get("/metrics").await.status, 404);

    let mut taken = command(&place);
    taken.env("VESTIBULE_METRICS_LISTEN", line.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap());
    let output = taken.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("VESTIBULE_METRICS_LISTEN: 127.0.0.1:"), "{error}");
}

#[both_databases]
async fn traces_that_nobody_takes_keep_nobody_waiting(place: Place) {
    let mut command = command(&place);
    // The discard port: nothing listens there.
    command.env("VESTIBULE_OTLP_ENDPOINT", "http://127.0.0.1:9").env("VESTIBULE_ADMIN_PASSWORD", ADMIN.1);
    let serving = Serving::start(command);
    let admin = Client::new(&serving.url).sign_in(ADMIN.0, ADMIN.1).await;
    assert_eq!(admin.data("{ me { email } }", json!({})).await["me"]["email"], ADMIN.0);
    let stderr = serving.stop();
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[both_databases]
async fn the_manual_lists_every_metric(place: Place) {
    let app = TestApp::start(&place).await;
    app.admin().await;
    let told = Watcher::of(&app).await.look().await.0;
    let manual = include_str!("../../docs/watching.md");
    let names = told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names: Vec<String> = names
        .map(|(name, kind)| if kind == "counter" { format!("`{name}_total`") } else { format!("`{name}`") })
        .collect();
    assert!(names.len() > 25, "{names:?}");
    let untold: Vec<_> = names.iter().filter(|name| !manual.contains(*name)).collect();
    assert!(untold.is_empty(), "{untold:?}");
}
