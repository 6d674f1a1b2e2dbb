//! What staff wait for in front of a large table.
//!
//! `cargo bench --bench large -- [USERS]` starts the release binary on a fresh SQLite file and, where
//! `VESTIBULE_TEST_POSTGRES_URL` names a server, on a fresh PostgreSQL database; fills them with a thousand users and then
//! with so many (a million by default); and prints how long each kind of page takes over one kept connection.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers may say what it finds, or end")]

#[path = "../load/cores.rs"]
mod cores;
#[expect(dead_code, reason = "each driver needs another part of it")]
#[path = "../load/service.rs"]
mod service;
#[expect(dead_code, reason = "each driver needs another part of it")]
#[path = "../load/wire.rs"]
mod wire;

use std::time::{Duration, Instant};

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};
use serde_json::{Value, json};

use service::Service;
use wire::Wire;

const PASSWORD: &str = "a rather long phrase of mine";

/// How often each page is asked for.
const ROUNDS: usize = 200;

const USERS: &str =
    "query($search: String, $filter: UserFilter, $orderBy: [UserOrder!], $after: String, $offset: Int) {
    users(search: $search, filter: $filter, orderBy: $orderBy, after: $after, offset: $offset) {
        nodes { id username email firstName lastName role isActive } pageInfo { endCursor hasNextPage }
    }
}";

const COUNT: &str = "{ users(first: 0) { totalCount } }";

const TRAIL: &str = "{ auditEvents { nodes { id action createdAt } } }";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let users = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    measure("SQLite", Service::on_sqlite(), users).await;
    match service::postgres_url() {
        Some(server) => measure("PostgreSQL", Service::on_postgres(&server).await, users).await,
        None => println!("PostgreSQL was left out: set VESTIBULE_TEST_POSTGRES_URL to a server to measure it as well"),
    }
}

async fn measure(name: &str, service: Service, users: u64) {
    let mut options = ConnectOptions::new(service.database_url());
    options.max_connections(1);
    let db = Database::connect(options).await.expect("the database can be reached");
    if db.get_database_backend() == sea_orm::DatabaseBackend::Sqlite {
        // Made-up users need not outlive a power cut.
        db.execute_unprepared("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000").await.unwrap();
    }
    let access = Wire::connect(&service).await.sign_in(PASSWORD).await.access;
    println!("{name}{:<44}{:>10}{:>9}{:>9}{:>9}", "", "users", "p50 ms", "p99 ms", "max ms");
    let mut there = 0;
    for size in [1000, users] {
        let began = Instant::now();
        fill(&db, there, size).await;
        there = size;
        println!("  {size} users are there after {:.1?}, the service has {} MiB", began.elapsed(), service.memory());
        pages(&service, &access, size).await;
    }
    println!("{name}: {} MiB afterwards", service.memory());
    service.stop().await;
}

/// Adds made-up users with numbers from one to another.
async fn fill(db: &DatabaseConnection, from: u64, to: u64) {
    let is_postgres = db.get_database_backend() == sea_orm::DatabaseBackend::Postgres;
    let (id, flag) = if is_postgres { ("gen_random_uuid()", "") } else { ("randomblob(16)", "0 + ") };
    let syllable = |of: &str| format!("substr('babecibodafemigorukalesitovuwaxe', 1 + 2 * (({of}) % 16), 2)");
    let first = [syllable("i * 7"), syllable("i / 16"), syllable("i / 16 / 5")].join(" || ");
    let last = [syllable("i * 5"), syllable("i / 3"), syllable("i / 48"), syllable("i / 768")].join(" || ");
    // In parts, as a statement may not take longer than five seconds.
    let mut begin = from;
    while begin < to {
        let end = to.min(begin + 20_000);
        let statement = format!(
            "WITH RECURSIVE numbers(i) AS (SELECT {begin} UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {end}),
             named AS (SELECT i, {first} AS first, {last} AS last FROM numbers)
             INSERT INTO users (id, username, username_key, email, email_key, first_name, last_name, first_name_key,
                 last_name_key, phone, address, bio, role, permission, is_active, is_staff, is_superuser, is_verified,
                 date_joined, updated_at)
             SELECT {id}, first || '.' || i, first || '.' || i, first || i || '@example.com', first || i || '@example.com',
                 first, last, first, last, '', '', '', CASE WHEN i % 50 = 0 THEN 'MANAGER' ELSE 'MEMBER' END, 'ONLY_VIEW',
                 {flag}(i % 100 <> 0), {flag}(i % 20000 = 7), {flag}(1 = 0), {flag}(i % 10 <> 0),
                 1600000000000 + CAST(i AS bigint) * 180000, 1600000000000 FROM named"
        );
        db.execute_unprepared(&statement).await.expect("the rows fit");
        begin = end;
    }
    if is_postgres {
        db.execute_unprepared("ANALYZE users").await.unwrap();
    }
}

async fn pages(service: &Service, access: &str, size: u64) {
    let order = |field: &str, direction: &str| json!([{ "field": field, "direction": direction }]);
    let middle = deep(service, access, size / 2).await;
    let pages = [
        ("the first page", json!({})),
        ("a page in the middle, by cursor", json!({ "after": middle })),
        ("a page in the middle, by number", json!({ "offset": size / 2 })),
        ("by last and first name", json!({ "orderBy": [{ "field": "LAST_NAME" }, { "field": "FIRST_NAME" }] })),
        ("by last activity", json!({ "orderBy": order("LAST_ACTIVITY", "DESC") })),
        ("inactive (1 of 100)", json!({ "filter": { "isActive": false } })),
        ("staff (1 of 20,000)", json!({ "filter": { "isStaff": true } })),
        ("managers who are not verified", json!({ "filter": { "role": "MANAGER", "isVerified": false } })),
        ("joined on one day", json!({ "filter": { "joinedOn": "2020-09-13" } })),
        (
            "joined on one day, by last name",
            json!({ "filter": { "joinedOn": "2020-09-13" }, "orderBy": order("LAST_NAME", "ASC") }),
        ),
        (
            "inactive and verified, by last name",
            json!({ "filter": { "isActive": false, "isVerified": true }, "orderBy": order("LAST_NAME", "ASC") }),
        ),
        ("online", json!({ "filter": { "isOnline": true } })),
        ("search: many hits", json!({ "search": "EXAMPLE" })),
        ("search: one hit", json!({ "search": ".777" })),
        ("search: a hundred hits", json!({ "search": "bababa" })),
        ("search: no hit", json!({ "search": "zzzyyy" })),
        ("search: many hits, by last name", json!({ "search": "ba", "orderBy": order("LAST_NAME", "ASC") })),
        ("search: first and last name", json!({ "search": "bababa ba" })),
        ("search: inactive", json!({ "search": "vu", "filter": { "isActive": false } })),
        ("one letter: many hits", json!({ "search": "a" })),
        ("one letter: no hit", json!({ "search": "q" })),
        ("two letters: many hits", json!({ "search": "be" })),
        ("two letters: few hits", json!({ "search": "e." })),
        ("two letters: no hit", json!({ "search": "zz" })),
    ];
    let mut wire = Wire::connect(service).await;
    for (name, variables) in pages {
        time(&mut wire, access, size, name, USERS, &variables, ROUNDS).await;
    }
    time(&mut wire, access, size, "the total", COUNT, &json!({}), 20).await;
    time(&mut wire, access, size, "the trail", TRAIL, &json!({}), ROUNDS).await;
}

/// The cursor of a row far down the list.
async fn deep(service: &Service, access: &str, offset: u64) -> Value {
    let request = wire::post_with(Some(access), USERS, &json!({ "offset": offset }));
    let answer = Wire::connect(service).await.ask_json(&request).await;
    answer["data"]["users"]["pageInfo"]["endCursor"].clone()
}

async fn time(wire: &mut Wire, access: &str, size: u64, name: &str, document: &str, variables: &Value, rounds: usize) {
    let request = wire::post_with(Some(access), document, variables);
    let mut took: Vec<Duration> = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let began = Instant::now();
        let answer = wire.ask_json(&request).await;
        took.push(began.elapsed());
        assert!(answer["errors"].is_null(), "{name}: {answer}");
    }
    took.sort();
    let at = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    println!("  {name:<48}{size:>10}{:>9.2}{:>9.2}{:>9.2}", at(50), at(99), at(100));
}
