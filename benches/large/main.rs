//! Latencies for staff on a large service.
//!
//! `cargo bench --bench large -- [USERS] [EVENTS]` starts the release binary on a fresh SQLite file and, where
//! `VESTIBULE_TEST_POSTGRES_URL` names a server, on a fresh PostgreSQL database. It fills them with a thousand users
//! and a tenth of the audit events, measures, fills them up (by default to a million users with a session each, and ten
//! million events), and measures again. It prints the latency of each kind of page for both sizes: over one keep-alive
//! connection, as staff without superuser rights, the lowest median and 99th percentile of three rounds. Then it
//! exports, imports, and measures sign-ins while the service deletes expired data.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers may print and panic")]

#[path = "../load/cores.rs"]
mod cores;
mod fill;
#[expect(dead_code, reason = "each driver uses a different part of it")]
#[path = "../load/service.rs"]
mod service;
mod transfer;
#[expect(dead_code, reason = "each driver uses a different part of it")]
#[path = "../load/wire.rs"]
mod wire;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use fill::Store;
use service::Service;
use wire::Wire;

const PASSWORD: &str = "a rather long phrase of mine";

/// Number of rounds, and requests per page in each.
const ROUNDS: [usize; 2] = [3, 100];

/// Number of users of the small service.
const FEW: u64 = 1000;

/// Number of events with a client address to delete.
const OVERDUE: u64 = 100_000;

const USERS: &str =
    "query($search: String, $filter: UserFilter, $orderBy: [UserOrder!], $after: String, $offset: Int) {
    users(search: $search, filter: $filter, orderBy: $orderBy, after: $after, offset: $offset) {
        nodes { id username email firstName lastName role isActive } pageInfo { endCursor hasNextPage }
    }
}";

const COUNT: &str = "query($search: String, $filter: UserFilter) {
    users(first: 0, search: $search, filter: $filter) { totalCount }
}";

const TRAIL: &str = "query($filter: AuditEventFilter, $after: String) {
    auditEvents(filter: $filter, after: $after) { nodes { id action createdAt } pageInfo { endCursor } }
}";

const LOGIN: &str = "mutation($name: String!, $password: String!) {
    login(input: { identifier: $name, password: $password }) { tokens { accessToken } }
}";

const CREATE: &str = "mutation($email: String!) {
    createUser(input: { email: $email }) { user { id } errors { message } }
}";

/// Latency of a kind of request in milliseconds.
#[derive(Clone, Copy)]
struct Took {
    p50: f64,
    p99: f64,
}

/// A request to measure.
struct Case {
    name: &'static str,
    document: &'static str,
    variables: Value,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut sizes = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let (users, events) = (sizes.next().unwrap_or(1_000_000), sizes.next().unwrap_or(10_000_000));
    measure("SQLite", Service::on_sqlite(), users, events).await;
    match service::postgres_url() {
        Some(server) => measure("PostgreSQL", Service::on_postgres(&server).await, users, events).await,
        None => println!("PostgreSQL skipped: set VESTIBULE_TEST_POSTGRES_URL to a server to measure it as well"),
    }
}

async fn measure(name: &str, service: Service, users: u64, events: u64) {
    let mut store = Store::connect(&service.database_url()).await;
    let mut columns = Vec::new();
    for (users, events) in [(FEW, events / 10), (users, events)] {
        let began = Instant::now();
        store.fill(users, events, now()).await;
        let (memory, size) = (service.memory(), database_size(&store).await);
        println!(
            "{name}: {users} users and {events} events created in {:.0?}, {size} MiB; the service uses {memory} MiB",
            began.elapsed()
        );
        let staff = appoint(&store).await;
        columns.push(pages(&service, &staff, users).await);
    }
    let (small, large) = (&columns[0], &columns[1]);
    println!("{name:<48}{:>20}{:>20}{:>8}", "small p50     p99", "large p50     p99", "ratio");
    for ((case, small), (_, large)) in small.iter().zip(large) {
        let ratio = large.p50 / small.p50;
        println!("  {case:<46}{:>11.2}{:>9.2}{:>11.2}{:>9.2}{ratio:>8.1}", small.p50, small.p99, large.p50, large.p99);
    }
    println!("  the service uses {} MiB", service.memory());
    let access = sign_in(&service, "admin").await;
    transfer::measure(&service, &access, users).await;
    sweep(&service, &store).await;
    println!("{name}: {} MiB afterwards", service.memory());
    drop(store);
    service.stop().await;
}

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a driver uses the same clock as the service")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Size of the database in MiB.
async fn database_size(store: &Store) -> i64 {
    let bytes = match store.db.get_database_backend() {
        sea_orm::DatabaseBackend::Sqlite => "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
        _ => "SELECT pg_database_size(current_database())",
    };
    store.number(bytes).await / (1024 * 1024)
}

/// Gives the first synthetic staff user the administrator's password, and returns the username.
async fn appoint(store: &Store) -> String {
    store
        .run("UPDATE users SET username_key = 'boss', password_hash = (SELECT password_hash FROM users WHERE username_key = 'admin')
              WHERE is_staff AND date_joined = 1600001260000")
        .await;
    "boss".to_owned()
}

async fn sign_in(service: &Service, name: &str) -> String {
    let request = wire::post_with(None, LOGIN, &json!({ "name": name, "password": PASSWORD }));
    let answer = Wire::connect(service).await.ask_json(&request).await;
    answer["data"]["login"]["tokens"]["accessToken"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn pages(service: &Service, staff: &str, size: u64) -> Vec<(&'static str, Took)> {
    let access = sign_in(service, staff).await;
    let mut wire = Wire::connect(service).await;
    let me = answer(&mut wire, &access, "{ me { id } }", &json!({})).await["me"]["id"].clone();
    let users = json!({ "offset": size / 2 });
    let middle = answer(&mut wire, &access, USERS, &users).await["users"]["pageInfo"]["endCursor"].clone();
    let past = json!({ "filter": { "createdBefore": rfc3339(now() - 180 * 24 * 60 * 60 * 1000) } });
    let page = answer(&mut wire, &access, TRAIL, &past).await;
    let deep = page["auditEvents"]["pageInfo"]["endCursor"].clone();
    let someone =
        answer(&mut wire, &access, USERS, &json!({ "offset": size / 3 })).await["users"]["nodes"][0]["id"].clone();

    let mut cases = user_cases(size, &middle);
    cases.extend(trail_cases(&me, &someone, &deep, past));
    let mut figures = Vec::new();
    for case in cases {
        figures.push((case.name, time(&mut wire, &access, &case).await));
    }
    let me = Case { name: "me", document: "{ me { id username } }", variables: json!({}) };
    figures.push((me.name, time(&mut wire, &access, &me).await));
    figures.push(("createUser", creations(&mut wire, &access, size).await));
    // Measured last, because a user has at most fifty sessions.
    figures.push(("signing in", logins(&mut wire, 100).await));
    figures
}

fn user_cases(size: u64, middle: &Value) -> Vec<Case> {
    let order = |field: &str, direction: &str| json!([{ "field": field, "direction": direction }]);
    let users = |name, variables| Case { name, document: USERS, variables };
    let count = |name, variables| Case { name, document: COUNT, variables };
    let by_name = order("LAST_NAME", "ASC");
    vec![
        users("the first page", json!({})),
        users("a page in the middle, by cursor", json!({ "after": middle })),
        users("a page in the middle, by number", json!({ "offset": size / 2 })),
        users("by last and first name", json!({ "orderBy": [{ "field": "LAST_NAME" }, { "field": "FIRST_NAME" }] })),
        users("by last activity", json!({ "orderBy": order("LAST_ACTIVITY", "DESC") })),
        users("inactive (1 of 100)", json!({ "filter": { "isActive": false } })),
        users("inactive, by last name", json!({ "filter": { "isActive": false }, "orderBy": by_name })),
        users("staff (1 of 20,000)", json!({ "filter": { "isStaff": true } })),
        users("staff, by last name", json!({ "filter": { "isStaff": true }, "orderBy": by_name })),
        users("managers who are not verified", json!({ "filter": { "role": "MANAGER", "isVerified": false } })),
        users("managers who are verified: nobody", json!({ "filter": { "role": "MANAGER", "isVerified": true } })),
        users("joined on one day", json!({ "filter": { "joinedOn": "2020-09-13" } })),
        users("joined on one day, by last name", json!({ "filter": { "joinedOn": "2020-09-13" }, "orderBy": by_name })),
        users(
            "inactive and verified, by last name: nobody",
            json!({ "filter": { "isActive": false, "isVerified": true }, "orderBy": by_name }),
        ),
        users("online", json!({ "filter": { "isOnline": true } })),
        users("search: many hits", json!({ "search": "EXAMPLE" })),
        users("search: one hit", json!({ "search": ".777" })),
        users("search: hits of frequent letters", json!({ "search": "bababa" })),
        users("search: no hit", json!({ "search": "zzzyyy" })),
        users("search: many hits, by last name", json!({ "search": "ba", "orderBy": by_name })),
        users("search: first and last name", json!({ "search": "bababa ba" })),
        users("search: last and first name", json!({ "search": "febababa gobaba" })),
        users("search: two frequent words, by last name", json!({ "search": "beba goba", "orderBy": by_name })),
        users("search: two frequent words, no hit", json!({ "search": "bababa zzzyyy" })),
        users("search: another spelling", json!({ "search": "fäbäbaba" })),
        users("search: telephone number", json!({ "search": "0170 1000 777" })),
        users("search: inactive", json!({ "search": "vu", "filter": { "isActive": false } })),
        users("search: inactive, no hit", json!({ "search": "zzzyyy", "filter": { "isActive": false } })),
        users(
            "search: staff, by last name",
            json!({ "search": "be", "filter": { "isStaff": true }, "orderBy": by_name }),
        ),
        users("one letter: many hits", json!({ "search": "a" })),
        users("one letter: no hit", json!({ "search": "q" })),
        users("two letters: many hits", json!({ "search": "be" })),
        users("two letters: few hits", json!({ "search": "e." })),
        users("two letters: no hit", json!({ "search": "zz" })),
        count("the total", json!({})),
        count("the total of the inactive", json!({ "filter": { "isActive": false } })),
    ]
}

fn trail_cases(staff: &Value, someone: &Value, deep: &Value, past: Value) -> Vec<Case> {
    let trail = |name, variables| Case { name, document: TRAIL, variables };
    vec![
        trail("the trail", json!({})),
        trail("the trail, half a year back, by cursor", json!({ "after": deep })),
        trail("the trail, half a year back, by time", past),
        trail("the trail of sign-ins", json!({ "filter": { "action": "LOGIN" } })),
        trail("the trail of what is rare (1 of 100,000)", json!({ "filter": { "action": "STAFF_GRANTED" } })),
        trail("the trail of what never happened", json!({ "filter": { "action": "ANONYMIZED" } })),
        trail("the trail of a user", json!({ "filter": { "userId": someone } })),
        trail("the trail of staff (1 of 10)", json!({ "filter": { "userId": staff } })),
        trail("the trail of staff: what is rare", json!({ "filter": { "userId": staff, "action": "STAFF_GRANTED" } })),
        trail("the trail of staff: what never happened", json!({ "filter": { "userId": staff, "action": "DELETED" } })),
        trail("the trail of a user: sign-ins", json!({ "filter": { "userId": someone, "action": "LOGIN" } })),
    ]
}

fn rfc3339(millis: u64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).unwrap();
    time.format(&time::format_description::well_known::Rfc3339).unwrap()
}

async fn answer(wire: &mut Wire, access: &str, document: &str, variables: &Value) -> Value {
    let mut answer = wire.ask_json(&wire::post_with(Some(access), document, variables)).await;
    assert!(answer["errors"].is_null(), "{variables}: {answer}");
    answer["data"].take()
}

/// Lowest figures of all rounds, because other load on the machine only raises them.
async fn time(wire: &mut Wire, access: &str, case: &Case) -> Took {
    let request = wire::post_with(Some(access), case.document, &case.variables);
    let mut best = Took { p50: f64::MAX, p99: f64::MAX };
    for _ in 0..ROUNDS[0] {
        let began = Instant::now();
        let mut took = Vec::new();
        // Slow requests are repeated less often.
        while took.len() < ROUNDS[1] && (took.len() < 10 || began.elapsed() < Duration::from_secs(3)) {
            let asked = Instant::now();
            let answer = wire.ask_json(&request).await;
            took.push(asked.elapsed());
            assert!(answer["errors"].is_null(), "{}: {answer}", case.name);
        }
        let round = figures(took);
        best = Took { p50: best.p50.min(round.p50), p99: best.p99.min(round.p99) };
    }
    best
}

fn figures(mut took: Vec<Duration>) -> Took {
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    Took { p50: at(50), p99: at(99) }
}

async fn logins(wire: &mut Wire, number: usize) -> Took {
    let request = wire::post_with(None, LOGIN, &json!({ "name": "boss", "password": PASSWORD }));
    let mut took = Vec::new();
    for _ in 0..number {
        let asked = Instant::now();
        let answer = wire.ask_json(&request).await;
        took.push(asked.elapsed());
        assert!(answer["errors"].is_null(), "{answer}");
    }
    figures(took)
}

async fn creations(wire: &mut Wire, access: &str, size: u64) -> Took {
    let mut took = Vec::new();
    for number in 0..100 {
        let email = format!("new{number}.{size}@example.org");
        let asked = Instant::now();
        let answer = answer(wire, access, CREATE, &json!({ "email": email })).await;
        took.push(asked.elapsed());
        assert_eq!(answer["createUser"]["errors"], json!([]), "{answer}");
    }
    figures(took)
}

/// Latency of sign-ins while the worker deletes client addresses of events.
async fn sweep(service: &Service, store: &Store) {
    let now = now();
    store.add_overdue(OVERDUE, now).await;
    // The worker runs once a minute.
    let waited = Instant::now();
    while store.overdue(now).await == i64::try_from(OVERDUE).unwrap() && waited.elapsed() < Duration::from_secs(100) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let began = Instant::now();
    let mut wire = Wire::connect(service).await;
    let request = wire::post_with(None, LOGIN, &json!({ "name": "boss", "password": PASSWORD }));
    let mut took = Vec::new();
    while store.overdue(now).await > 0 && began.elapsed() < Duration::from_secs(100) {
        let asked = Instant::now();
        wire.ask_json(&request).await;
        took.push(asked.elapsed());
    }
    let slowest = took.iter().max().copied().unwrap_or_default();
    let figures = if took.is_empty() { Took { p50: 0.0, p99: 0.0 } } else { figures(took) };
    println!(
        "  deleting the client addresses of {OVERDUE} events took {:.1?}; sign-in meanwhile: {:.1} ms, p99 {:.1}, max {:.1?}",
        began.elapsed(),
        figures.p50,
        figures.p99,
        slowest
    );
}
