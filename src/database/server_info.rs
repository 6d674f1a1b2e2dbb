//! Version, size and clock of the database.

use std::time::{Duration, Instant};

use sea_orm::DatabaseBackend;

use super::Db;
use crate::error::Result;
use crate::tools::clock::Timestamp;

/// Facts about a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Kind and version.
    pub version: String,
    /// Duration of a statement that does nothing.
    pub latency: Duration,
    /// On PostgreSQL, the number of open connections and its maximum.
    pub connections: Option<(i64, i64)>,
    /// Size in bytes.
    pub size: i64,
    /// On SQLite, true in write-ahead mode, which the service sets.
    pub is_wal: bool,
}

impl Db {
    /// Reads facts about the database.
    pub async fn facts(&self) -> Result<ServerInfo> {
        let mut latency = Duration::MAX;
        // The first statement opens a connection.
        for _ in 0..3 {
            let started = Instant::now();
            self.text("SELECT '1'").await?;
            latency = latency.min(started.elapsed());
        }
        if self.backend() == DatabaseBackend::Sqlite {
            return Ok(ServerInfo {
                version: format!("SQLite {}", self.text("SELECT sqlite_version()").await?),
                latency,
                connections: None,
                size: self.number("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()").await?,
                is_wal: self.text("PRAGMA journal_mode").await? == "wal",
            });
        }
        let open = self.number("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'").await?;
        let most = self.number("SELECT current_setting('max_connections')::bigint").await?;
        Ok(ServerInfo {
            version: format!("PostgreSQL {}", self.text("SELECT current_setting('server_version')").await?),
            latency,
            connections: Some((open, most)),
            size: self.number("SELECT pg_database_size(current_database())").await?,
            is_wal: true,
        })
    }

    /// Clock of the database server; `None` on SQLite.
    pub async fn clock(&self) -> Result<Option<Timestamp>> {
        if self.backend() == DatabaseBackend::Sqlite {
            return Ok(None);
        }
        let millis = self.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").await?;
        Ok(Some(Timestamp::from_millis(millis)))
    }
}
