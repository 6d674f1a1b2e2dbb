//! Removing traces of deleted rows from the files of SQLite. Its writer overwrites deleted data in the file
//! (`secure_delete`); earlier versions of pages stay in the write-ahead log until it is emptied.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Db;

/// Timeout for readers of earlier pages. Writes wait meanwhile.
const READERS_TIMEOUT: Duration = Duration::from_millis(100);

impl Db {
    /// Empties SQLite's write-ahead log after personal data was deleted. If readers still need it, the next
    /// [`scrub_again`](Self::scrub_again) does so.
    pub async fn scrub(&self) {
        self.is_unscrubbed.store(true, Ordering::Relaxed);
        self.scrub_again().await;
    }

    /// Empties the log if an earlier attempt failed.
    pub async fn scrub_again(&self) {
        let Some(inline) = &self.inline else { return };
        if !self.is_unscrubbed.swap(false, Ordering::Relaxed) {
            return;
        }
        let path = inline.path().to_owned();
        let emptied = tokio::task::spawn_blocking(move || empty_log(&path)).await;
        if !matches!(emptied, Ok(Ok(true))) {
            tracing::debug!(?emptied, "write-ahead log busy; will empty it later");
            self.is_unscrubbed.store(true, Ordering::Relaxed);
        }
    }
}

/// Writes the log into the file and truncates it; false if a reader still needs it.
fn empty_log(path: &Path) -> rusqlite::Result<bool> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(READERS_TIMEOUT)?;
    let is_busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(is_busy == 0)
}
