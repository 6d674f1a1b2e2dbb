//! Reference figures of single components, on this machine and in this run.

use std::time::{Duration, Instant};

use crate::service::cpu_of;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use futures_util::future::join_all;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseBackend, Statement};

/// Hashes per second of CPU time of one thread with the service's default parameters, for each engine: `argon2` with
/// reused memory, and `argon2-rust` if built in.
pub(crate) fn hashes(span: Duration) -> Vec<(&'static str, f64)> {
    let (password, salt, mut tag) = (b"a rather long phrase", b"sixteen bytes...", [0; 32]);

    let params = Params::new(19_456, 2, 1, None).unwrap();
    let mut memory = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut rates = Vec::new();
    rates.push((
        "portable",
        repeat(span, || {
            argon2.hash_password_into_with_memory(password, salt, &mut tag, &mut memory).unwrap();
        }),
    ));

    #[cfg(feature = "argon2-simd")]
    {
        let params = argon2_rust::Params::builder()
            .memory(argon2_rust::params::Memory::kib(19_456))
            .passes(2)
            .lanes(1)
            .build()
            .unwrap();
        let mut argon2 =
            argon2_rust::Argon2::new(argon2_rust::Algorithm::Argon2id, argon2_rust::Version::V0x13, params).hasher();
        rates.push(("simd", repeat(span, || argon2.hash_into(password, salt, &mut tag).unwrap())));
    }
    rates
}

/// Repetitions per second of CPU time.
fn repeat(span: Duration, mut work: impl FnMut()) -> f64 {
    let started = Instant::now();
    let cpu = cpu_of("self");
    let mut count = 0_u32;
    while started.elapsed() < span {
        work();
        count += 1;
    }
    f64::from(count) / cpu_of("self").saturating_sub(cpu).as_secs_f64()
}

/// Durable row updates per second on SQLite: of a writer that commits each one, and of a writer that commits one per
/// client together.
pub(crate) fn sqlite_commits(span: Duration, clients: u32) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(folder.path().join("bare.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)",
    )
    .unwrap();
    for id in 0..clients {
        db.execute("INSERT INTO t VALUES (?1, 0)", [id]).unwrap();
    }
    let mut update = db.prepare("UPDATE t SET n = n + 1 WHERE id = ?1 RETURNING n").unwrap();
    let mut rate = |together: u32| {
        let started = Instant::now();
        let mut count = 0_u32;
        while started.elapsed() < span {
            db.execute_batch("BEGIN IMMEDIATE").unwrap();
            for id in 0..together {
                let _: i64 = update.query_row([id], |row| row.get(0)).unwrap();
                count += 1;
            }
            db.execute_batch("COMMIT").unwrap();
        }
        f64::from(count) / started.elapsed().as_secs_f64()
    };
    (rate(1), rate(clients))
}

/// Durable row updates per second on PostgreSQL, one statement each, with one connection per client.
pub(crate) async fn postgres_commits(url: &str, span: Duration, clients: usize) -> f64 {
    let prepare = async |sql: &str| {
        let db = Database::connect(url).await.expect("the PostgreSQL server responds");
        db.execute_unprepared(sql).await.unwrap();
        db.close().await.unwrap();
    };
    prepare("CREATE TABLE reference (id integer PRIMARY KEY, n integer NOT NULL)").await;
    prepare(&format!("INSERT INTO reference SELECT id, 0 FROM generate_series(0, {}) id", clients - 1)).await;
    let started = Instant::now();
    let each = (0..clients).map(async |id| {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).test_before_acquire(false).sqlx_logging(false);
        let db = Database::connect(options).await.expect("the PostgreSQL server responds");
        let sql = "UPDATE reference SET n = n + 1 WHERE id = $1 RETURNING n";
        let id = i32::try_from(id).unwrap();
        let mut count = 0_u32;
        while started.elapsed() < span {
            let update = Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, [id.into()]);
            db.query_one_raw(update).await.unwrap();
            count += 1;
        }
        count
    });
    let count: u32 = join_all(each).await.into_iter().sum();
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    prepare("DROP TABLE reference").await;
    rate
}

/// Serves the bare web framework and GraphQL library: a response of two letters at `/`, and a constant field at
/// `/graphql`.
pub(crate) async fn serve() {
    struct Query;
    #[Object]
    impl Query {
        async fn hello(&self) -> &'static str {
            "hello"
        }
    }
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let graphql = post(async move |Json(request): Json<async_graphql::Request>| Json(schema.execute(request).await));
    let router = Router::new().route("/", get(async || "ok")).route("/graphql", graphql);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on http://{}", listener.local_addr().unwrap());
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}
