//! Database connections: one way for reads, one for writes.

// Messages for database errors.
mod explain;
// Notifications from other instances.
mod listener;
// Connection pools that are replaced if their server is gone.
mod pool;
// Connections to a PostgreSQL server.
mod postgres;
// Deleting many rows without blocking other writers.
pub(crate) mod batch_delete;
// Fast reads of single rows by key.
mod point_reads;
// Group commit of single statements.
mod group_commit;
// Version, size and clock of the database.
mod server_info;
// Requirements for a usable database.
mod requirements;
// Removing traces of deleted rows.
mod secure_delete;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use migration::{Migrator, MigratorTrait as _};
use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::postgres::PgSslMode;
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction,
    DbErr, EntityTrait, IsolationLevel, PrimaryKeyTrait, Related, Statement, TransactionOptions, TryIntoModel,
};
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;
use uuid::Uuid;

pub use self::explain::explain;
use self::explain::is_locked;
pub use self::group_commit::Writer;
pub use self::listener::{Channel, Listener};
use self::point_reads::PointReads;
pub use self::point_reads::{Found, PrimaryKeyQuery};
pub use self::pool::Pool;
use self::postgres::{Purpose, Server};
pub use self::requirements::Unfit;
pub use self::server_info::ServerInfo;

use crate::config::{Config, DatabaseUrl, is_loopback};
use crate::error::{Error, Result};
use crate::tools::certificates::Trust;
use crate::tools::clock::Now;
use crate::tools::metrics::{self, Histogram, Label, Registry, Unit};

/// Timeout of a write on SQLite, for its turn or for another process that writes to the file; and of a statement on
/// PostgreSQL.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for an instance at start, while another one migrates.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Time limit for closing connections, even if they are in use.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Wait between two attempts to open a file that another connection has locked.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Application name shown to PostgreSQL servers.
const APPLICATION: &str = "vestibule";

/// Message about a database that only allows read-only transactions.
const READ_ONLY: &str = "the database is read-only. See default_transaction_read_only of the server, database and role";

/// Message about an SQLite file without write permission.
const READ_ONLY_FILE: &str =
    "the file is read-only. Check the permissions of the file and its folder, and how its disk is mounted";

/// Message about a standby server.
const STANDBY: &str = "the database server is a standby, which cannot be written to";

/// An open database. On SQLite, writers share one connection and queue for it instead of competing for the file's lock;
/// readers have several connections and wait for nobody. On PostgreSQL each has a pool, so that commits that wait for a
/// standby do not block readers.
#[derive(Clone, Debug)]
pub struct Db {
    reader: Pool,
    writer: Writer,
    inline: Option<Arc<PointReads>>,
    /// True on SQLite if the write-ahead log still contains deleted data that must be removed.
    is_unscrubbed: Arc<AtomicBool>,
    waits: Histogram,
}

/// Reason why an SQLite file cannot be written to, according to the permissions of the file and its folder.
pub fn file_obstacle(path: &Path) -> Option<&'static str> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    (!is_writable(path) || !is_writable(folder)).then_some(READ_ONLY_FILE)
}

/// Options of connections to a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections for reads.
    pub readers: u32,
    /// Connections for writes.
    pub writers: u32,
    /// Trusted authorities for the server's certificate.
    pub trust: Trust,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 10, writers: 10, trust: Trust::default() }
    }
}

impl Options {
    /// The options according to the settings.
    ///
    /// # Errors
    /// A message that names the setting and the file of certificates.
    pub fn of(config: &Config) -> Result<Self, String> {
        let connections = config.database;
        let trust = Trust::read(config.ca_file.as_ref()).map_err(|problem| format!("VESTIBULE_CA_FILE: {problem}"))?;
        Ok(Self { readers: connections.database_readers, writers: connections.database_writers, trust })
    }
}

impl Db {
    /// Opens the database. Creates a missing SQLite file.
    ///
    /// # Errors
    /// A message for the operator, without the address.
    pub async fn connect(url: &DatabaseUrl, options: &Options) -> Result<Self, String> {
        if let Some(obstacle) = url.sqlite_path().filter(|file| file.exists()).and_then(file_obstacle) {
            return Err(obstacle.to_owned());
        }
        match Server::new(url, options.readers, Purpose::Serve, &options.trust) {
            Some(server) => Self::connect_server(server, options.writers).await,
            None => Self::connect_file(url.sqlite_path().unwrap_or(Path::new(""))).await,
        }
        .map_err(|error| explain(&error))
    }

    async fn connect_server(server: Server, writers: u32) -> Result<Self, DbErr> {
        server.try_once().await?;
        let writer = Writer::new(Pool::of_server(server.with(writers)).await?);
        Ok(Self::of(Pool::of_server(server).await?, writer, None))
    }

    async fn connect_file(path: &Path) -> Result<Self, DbErr> {
        make_private(path);
        let mut writer = file_options(1);
        // A file does not disconnect, and a check would cost as much as a statement.
        writer.test_before_acquire(false);
        let named = path.to_owned();
        writer.map_sqlx_sqlite_opts(move |file| {
            let file = file.filename(&named).create_if_missing(true).foreign_keys(true).busy_timeout(TIMEOUT);
            // An acknowledged commit must survive a power failure: in WAL mode, only FULL syncs each commit.
            let file = file.pragma("journal_mode", "WAL").pragma("synchronous", "FULL");
            // Deleted data is overwritten, so that free pages contain no addresses.
            let file = file.pragma("secure_delete", "ON");
            // In KiB. An import touches all indexes in one transaction; a smaller cache would write the same pages
            // repeatedly.
            file.pragma("cache_size", "-32768")
        });
        // SQLite rolls back by itself if the disk is full, and then the driver's ROLLBACK fails. The driver would treat
        // later transactions as part of the failed one and never commit them. Such a connection is discarded.
        writer.map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| {
                Box::pin(async move {
                    // A rollback may still be queued.
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
        });
        let writer = Writer::new(Pool::of_file(open_to_write(writer).await?));
        let mut reader = file_options(4);
        reader.test_before_acquire(false);
        let named = path.to_owned();
        reader.map_sqlx_sqlite_opts(move |file| file.filename(&named).busy_timeout(TIMEOUT).pragma("query_only", "ON"));
        let inline = Some(Arc::new(PointReads::new(path)));
        Ok(Self::of(Pool::of_file(Database::connect(reader).await?), writer, inline))
    }

    fn of(reader: Pool, writer: Writer, inline: Option<Arc<PointReads>>) -> Self {
        Self { reader, writer, inline, is_unscrubbed: Arc::default(), waits: metrics::times() }
    }

    /// Finds out why a database cannot be used; `None` if it can.
    pub async fn diagnose(url: &DatabaseUrl, options: &Options) -> Option<String> {
        let db = match Self::connect(url, options).await {
            Ok(db) => db,
            Err(problem) => return Some(problem),
        };
        let problem = match db.writer.begin().await {
            Err(error) => Some(explain(&error)),
            Ok(txn) if db.backend() == DatabaseBackend::Postgres => {
                let sql = "SELECT current_setting('transaction_read_only')";
                let row = txn.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, sql)).await;
                let setting = row.and_then(|row| row.map(|row| row.try_get_by_index::<String>(0)).transpose());
                match setting {
                    Err(error) => Some(explain(&error)),
                    Ok(setting) => (setting.as_deref() == Some("on")).then(|| READ_ONLY.to_owned()),
                }
            }
            // Only a write reveals a read-only file; it is rolled back.
            Ok(txn) => {
                let written = txn.execute_unprepared("CREATE TABLE a_table_to_try_writing (x INTEGER)").await;
                written.err().map(|error| explain(&error))
            }
        };
        // An unusable database may not close either.
        let _ = db.close().await;
        problem
    }

    /// Opens a database for reading only: it is not created, migrated or changed.
    ///
    /// # Errors
    /// A message for the operator, without the address.
    pub async fn open_read_only(url: &DatabaseUrl, trust: &Trust) -> Result<Self, String> {
        let pool = open_pool_to_read(url, 2, Purpose::ReadOnly, trust).await?;
        Ok(Self::of(pool.clone(), Writer::new(pool), None))
    }

    /// Sets a callback for each statement: for metrics, and for tests that count statements.
    pub fn on_statement(&mut self, call: impl Fn(&Statement) + Clone + Send + Sync + 'static) {
        let (other, third) = (call.clone(), call.clone());
        self.inline = self.inline.as_ref().map(|inline| Arc::new(inline.watched(Arc::new(third))));
        self.reader = self.reader.watched(Arc::new(call));
        self.writer = self.writer.watched(Arc::new(other));
    }

    /// The kind of database, for the few statements that differ.
    pub fn backend(&self) -> DatabaseBackend {
        self.reader.get_database_backend()
    }

    /// Name of the kind: `sqlite` or `postgres`.
    pub fn name(&self) -> Label {
        if self.backend() == DatabaseBackend::Sqlite { "sqlite" } else { "postgres" }
    }

    /// Reads the row with this key and its related row: for lookups of every request.
    pub async fn find<E, R>(&self, query: &PrimaryKeyQuery<E, R>, key: Uuid) -> Result<Found<E, R>>
    where
        E: EntityTrait + Related<R>,
        E::ActiveModel: TryIntoModel<E::Model>,
        <E::PrimaryKey as PrimaryKeyTrait>::ValueType: From<Uuid>,
        R: EntityTrait,
        R::ActiveModel: TryIntoModel<R::Model>,
    {
        if let Some(inline) = &self.inline
            && let Ok(found) = inline.find(query, key)
        {
            return Ok(found);
        }
        Ok(E::find_by_id(key).find_also_related(R::default()).one(&self.reader).await?)
    }

    /// Connection for statements that only read. Lookups of every request by a unique key should use `all`: the LIMIT
    /// of `one` is a parameter, and SQLite plans such a statement anew each time.
    pub fn reader(&self) -> &Pool {
        &self.reader
    }

    /// Connection for a single statement that changes data.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Begins a write transaction; without a commit, it is rolled back. Also returns the time at which it began, which
    /// applies to all its writes, because the request may have waited.
    pub async fn begin(&self, now: &Now) -> Result<(DatabaseTransaction, Now)> {
        Ok((self.begin_writing().await?, now.anew()))
    }

    async fn begin_writing(&self) -> Result<DatabaseTransaction> {
        let came = Instant::now();
        let begun = self.writer.begin().instrument(tracing::debug_span!("begin")).await;
        self.waits.observe(came.elapsed().as_secs_f64());
        Ok(begun?)
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Wait of write transactions for a connection, and on SQLite for their turn";
        registry.register_with_unit("database_begin_wait", help, Unit::Seconds, self.waits.clone());
    }

    /// Current state of the pools, for reading and for writing.
    pub fn pools(&self) -> Vec<PoolState> {
        vec![self.reader.state("read"), self.writer.pool().state("write")]
    }

    /// Reason why writes are currently impossible: a standby, a read-only database, or a read-only file.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not respond.
    pub async fn write_obstacle(&self) -> Result<Option<&'static str>> {
        if let Some(inline) = &self.inline {
            return Ok(file_obstacle(inline.path()));
        }
        let mut obstacle = None;
        for pool in [&self.reader, self.writer.pool()] {
            obstacle = pool.write_obstacle().await?.or(obstacle);
        }
        Ok(obstacle)
    }

    /// Begins a transaction that excludes those of other instances: for one-time work at the start.
    pub async fn begin_alone(&self) -> Result<DatabaseTransaction> {
        let started = Instant::now();
        loop {
            let attempt = Instant::now();
            match self.begin_alone_soon().await {
                // Retries only after a full timeout, caused by another instance at work; other errors are returned.
                Err(Error::Unavailable(_)) if attempt.elapsed() >= TIMEOUT && started.elapsed() < START_TIMEOUT => {}
                begun => return begun,
            }
        }
    }

    async fn begin_alone_soon(&self) -> Result<DatabaseTransaction> {
        let txn = self.begin_writing().await?;
        if txn.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
            // An arbitrary number; this one spells "vestib".
            txn.execute_unprepared("SELECT pg_advisory_xact_lock(130176417687906)").await?;
        }
        Ok(txn)
    }

    /// Begins a transaction that reads a consistent snapshot, regardless of concurrent writes and without a timeout.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction> {
        if self.backend() != DatabaseBackend::Postgres {
            return Ok(self.reader.begin(TransactionOptions::default()).await?);
        }
        let options = TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        };
        let txn = self.reader.begin(options).await?;
        txn.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        Ok(txn)
    }

    /// Writes a snapshot of an SQLite database into an empty or new file. Concurrent writes are possible.
    pub async fn write_into(&self, file: &Path) -> Result<()> {
        let file = file.to_str().ok_or_else(|| Error::Command("the path of the file must be UTF-8".to_owned()))?;
        let statement = Statement::from_sql_and_values(DatabaseBackend::Sqlite, "VACUUM INTO $1", [file.into()]);
        self.reader.execute_raw(statement).await?;
        Ok(())
    }

    /// Result of SQLite's integrity check; `None` if the file is intact.
    pub async fn damage(&self) -> Result<Option<String>> {
        let check = Statement::from_string(DatabaseBackend::Sqlite, "PRAGMA integrity_check");
        let found = self.reader.query_all_raw(check).await?;
        let found: Result<Vec<String>, DbErr> = found.iter().map(|row| row.try_get_by_index(0)).collect();
        let found = found?.join("; ");
        Ok((found != "ok").then_some(found))
    }

    /// Notifies the other instances on this database; does nothing on SQLite.
    pub async fn notify(&self, channel: Channel, text: &str) -> Result<()> {
        if self.writer.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
            let values = [channel.0.into(), text.into()];
            let statement =
                Statement::from_sql_and_values(sea_orm::DatabaseBackend::Postgres, "SELECT pg_notify($1, $2)", values);
            self.writer.execute_raw(statement).await?;
        }
        Ok(())
    }

    /// Listens for other instances, on a separate connection; `None` on SQLite.
    pub async fn listen(&self, channel: Channel) -> Result<Option<Listener>> {
        let Some(server) = self.writer.pool().server() else { return Ok(None) };
        server.listen(channel).await.map(Some).map_err(|error| listener::gone(&error))
    }

    /// Applies pending migrations, all or none. Refuses a database that a newer version has changed.
    pub async fn migrate(txn: &DatabaseTransaction) -> Result<()> {
        if txn.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
            // A migration of a large table may exceed the timeout of requests.
            txn.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        }
        Migrator::up(txn, None).await.map_err(of_migrations)
    }

    /// True if every migration of this version has run.
    pub async fn is_migrated(&self) -> Result<bool> {
        Ok(self.pending_migrations().await? == 0)
    }

    /// True if no migration has ever run.
    ///
    /// # Errors
    /// As for [`Db::pending_migrations`].
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.pending_migrations().await? == Migrator::migrations().len())
    }

    /// True if the service is connected to this PostgreSQL database; false on SQLite, see [`is_open_elsewhere`].
    pub async fn is_served(&self) -> Result<bool> {
        if self.backend() == DatabaseBackend::Sqlite {
            return Ok(false);
        }
        let here = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name";
        Ok(self.number(&format!("{here} = '{APPLICATION}'")).await? > 0)
    }

    /// Number of pending migrations.
    ///
    /// # Errors
    /// [`Error::Internal`] if a newer version has changed the database.
    pub async fn pending_migrations(&self) -> Result<usize> {
        Ok(Migrator::get_pending_migrations_read_only(&self.reader).await.map_err(of_migrations)?.len())
    }

    /// Waits for running statements up to a time limit, and closes all connections.
    pub async fn close(self) -> Result<()> {
        let close = async {
            self.reader.close().await?;
            self.writer.close().await
        };
        match timeout(CLOSE_TIMEOUT, close).await {
            Ok(closed) => Ok(closed?),
            Err(_) => Err(Error::Unavailable(Duration::from_secs(1))),
        }
    }
}

/// State of a connection pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolState {
    /// Purpose of the pool: `read` or `write`.
    pub name: Label,
    /// Number of open connections.
    pub open: u32,
    /// Number of idle connections.
    pub idle: usize,
    /// Maximum number of connections.
    pub most: u32,
}

/// Description of an unprotected path to a PostgreSQL server on another machine, where connections can be read or
/// hijacked. `None` if TLS with a verified name protects them, or the server is on this machine. Uses the driver's
/// parsed options, which include the variables of PostgreSQL's tools.
pub fn exposed_way(url: &DatabaseUrl) -> Option<String> {
    let options = postgres::connect_options(url)?;
    let host = options.get_host();
    let is_here = options.get_socket().is_some() || host.starts_with('/') || is_loopback(host);
    let mode = match options.get_ssl_mode() {
        PgSslMode::VerifyFull => return None,
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
    };
    let found = format!("connections to PostgreSQL on {host} can be read or hijacked on the network (sslmode={mode})");
    (!is_here).then_some(found)
}

/// True if the service or another program has this SQLite file open.
pub fn is_open_elsewhere(file: &Path) -> bool {
    PointReads::is_in_use(file)
}

/// Opens the database of another system, for reading only.
///
/// # Errors
/// A message for the operator, without the address.
pub async fn open_to_read(url: &DatabaseUrl, trust: &Trust) -> Result<Pool, String> {
    open_pool_to_read(url, 1, Purpose::Import, trust).await
}

/// Read-only connections; a file must exist.
async fn open_pool_to_read(url: &DatabaseUrl, most: u32, purpose: Purpose, trust: &Trust) -> Result<Pool, String> {
    let opened = match Server::new(url, most, purpose, trust) {
        Some(server) => match server.try_once().await {
            Ok(()) => Pool::of_server(server).await,
            Err(error) => Err(error),
        },
        None => {
            let path = url.sqlite_path().map(Path::to_owned).unwrap_or_default();
            let mut options = file_options(most);
            options.map_sqlx_sqlite_opts(move |file| {
                file.filename(&path).read_only(true).create_if_missing(false).busy_timeout(TIMEOUT)
            });
            Database::connect(options).await.map(Pool::of_file)
        }
    };
    opened.map_err(|error| explain(&error))
}

/// Creates a missing file with permissions for its owner only: SQLite would let everybody read it, and uses the same
/// permissions for the files beside it. Errors surface when the file is opened.
fn make_private(file: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(file);
}

/// Error for migrations that do not match the database.
fn of_migrations(error: DbErr) -> Error {
    match error {
        DbErr::Custom(_) => {
            Error::internal("the database was changed by a newer version of Vestibule. Run that version")
        }
        error => error.into(),
    }
}

/// Options for this many connections to a file. Its name is set separately, because the library would decode it.
/// Opens the connection that sets the journal mode of a file. Connections that switch a new file at the same time refuse
/// each other without waiting, so each tries again.
async fn open_to_write(options: ConnectOptions) -> Result<DatabaseConnection, DbErr> {
    let started = Instant::now();
    loop {
        match Database::connect(options.clone()).await {
            Err(error) if is_locked(&error) && started.elapsed() < TIMEOUT => sleep(LOCK_PAUSE).await,
            opened => return opened,
        }
    }
}

fn file_options(connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new("sqlite://vestibule.db");
    options.max_connections(connections).acquire_timeout(TIMEOUT).sqlx_logging(false).record_stmt_in_spans(false);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_verified_name_protects_the_way_to_another_machine() {
        let way = |text: &str| exposed_way(&text.parse().unwrap());
        for (mode, told) in [
            ("", "prefer"),
            ("?sslmode=disable", "disable"),
            ("?sslmode=allow", "allow"),
            ("?ssl-mode=prefer", "prefer"),
            ("?sslmode=require", "require"),
            ("?sslmode=verify-ca", "verify-ca"),
        ] {
            let found = way(&format!("postgres://u:geheim@db.example.com/x{mode}")).unwrap();
            assert!(found.contains("on db.example.com") && found.ends_with(&format!("(sslmode={told})")), "{found}");
            assert!(!found.contains("geheim"));
        }
        assert!(way("postgres://u@localhost/x?host=db.example.com").is_some());
        for safe in [
            "postgres://u@db.example.com/x?sslmode=verify-full",
            "postgres://u@localhost/x",
            "postgres://u@127.0.0.1:5433/x?sslmode=prefer",
            "postgres://u@[::1]/x",
            "postgres://u@%2Frun%2Fpostgresql/x",
            "postgres://u@db.example.com/x?host=/run/postgresql",
            "sqlite://data/vestibule.db",
        ] {
            assert_eq!(way(safe), None, "{safe}");
        }
    }
}
