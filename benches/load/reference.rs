//! What the parts can do alone, on this machine and in this run.

use std::time::{Duration, Instant};

use crate::service::cpu_of;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use argon2_rust::params::Memory;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};

/// Hashes that one thread makes in a second of processor time with the service's default parameters and memory that is
/// kept: by the `argon2` crate, and by `argon2-rust`.
pub(crate) fn hashes(span: Duration) -> (f64, f64) {
    let (password, salt, mut tag) = (b"a rather long phrase", b"sixteen bytes...", [0; 32]);

    let params = Params::new(19_456, 2, 1, None).unwrap();
    let mut memory = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let plain = repeat(span, || {
        argon2.hash_password_into_with_memory(password, salt, &mut tag, &mut memory).unwrap();
    });

    let params = argon2_rust::Params::builder().memory(Memory::kib(19_456)).passes(2).lanes(1).build().unwrap();
    let mut argon2 =
        argon2_rust::Argon2::new(argon2_rust::Algorithm::Argon2id, argon2_rust::Version::V0x13, params).hasher();
    let simd = repeat(span, || argon2.hash_into(password, salt, &mut tag).unwrap());
    (plain, simd)
}

/// How often this can be done in a second of processor time.
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
