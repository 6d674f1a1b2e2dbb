//! What the parts can do alone, on this machine and in this run.

use std::time::{Duration, Instant};

use crate::service::cpu_of;
use argon2::{Algorithm, Argon2, Params, Version};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};

/// Hashes that one thread makes in a second of processor time with the service's default parameters.
pub(crate) fn hashes(span: Duration) -> f64 {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19_456, 2, 1, None).unwrap());
    let started = Instant::now();
    let cpu = cpu_of("self");
    let mut count = 0_u32;
    while started.elapsed() < span {
        argon2.hash_password_into(b"a rather long phrase", b"sixteen bytes...", &mut [0; 32]).unwrap();
        count += 1;
    }
    f64::from(count) / cpu_of("self").saturating_sub(cpu).as_secs_f64()
}

/// Durable commits of one changed row in a second, one after the other, as the service's writer has them.
pub(crate) async fn sqlite_commits(span: Duration) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ConnectOptions::new(format!("sqlite://{}/bare.db?mode=rwc", folder.path().display()));
    options.max_connections(1).sqlx_logging(false);
    options.map_sqlx_sqlite_opts(|file| file.pragma("journal_mode", "WAL").pragma("synchronous", "FULL"));
    let db = Database::connect(options).await.unwrap();
    db.execute_unprepared("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)").await.unwrap();
    db.execute_unprepared("INSERT INTO t VALUES (1, 0)").await.unwrap();
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < span {
        db.execute_unprepared("UPDATE t SET n = n + 1 WHERE id = 1").await.unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}
