//! The connections: one way in for readers, one for writers.

// What an error means to the people who run the database.
mod explain;
// Hearing other instances.
mod listener;
// Connections that are replaced when their server is gone.
mod pool;
// Connections to a PostgreSQL server.
mod postgres;
// Removing many rows without keeping anybody from writing.
pub(crate) mod batch_delete;
// Rows by their key, read at once.
mod point_reads;
// Single statements that change something.
mod group_commit;
// What a database tells about itself.
mod server_info;
// What keeps a database from being used.
mod requirements;
// Traces of deleted rows.
mod secure_delete;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use migration::{Migrator, MigratorTrait as _};
use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::postgres::PgSslMode;
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait,
    IsolationLevel, PrimaryKeyTrait, Related, Statement, TransactionOptions, TryIntoModel,
};
use tokio::time::timeout;
use tracing::Instrument as _;
use uuid::Uuid;

pub use self::explain::explain;
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

/// How long a request waits for its turn to write on SQLite, or for another process that writes to the file; and how long a
/// statement may take on PostgreSQL.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long an instance that starts waits for another one that migrates.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Time limit on closing connections, whatever they are at.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The name by which a PostgreSQL server knows the service.
const APPLICATION: &str = "vestibule";

/// Message about a database whose transactions cannot write.
const READ_ONLY: &str = "the database is read-only. See default_transaction_read_only of the server, database and role";

/// Message about a server that cannot be written to.
const STANDBY: &str = "the database server is a standby, which cannot be written to";

/// An open database. On SQLite, writers share one connection and so wait in line instead of fighting for the file's
/// lock, while readers have several and wait for nobody. On PostgreSQL each has a pool, so that commits that wait for a
/// standby keep nobody from reading.
#[derive(Clone, Debug)]
pub struct Db {
    reader: Pool,
    writer: Writer,
    inline: Option<Arc<PointReads>>,
    /// On SQLite, whether the write-ahead log still holds what was deleted and is to be gone.
    is_unscrubbed: Arc<AtomicBool>,
    waits: Histogram,
}

/// Options of connections to a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections for statements that only read.
    pub readers: u32,
    /// Connections for statements and transactions that write.
    pub writers: u32,
    /// Authorities that vouch for the server.
    pub trust: Trust,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 10, writers: 10, trust: Trust::default() }
    }
}

impl Options {
    /// By the settings.
    ///
    /// # Errors
    /// A sentence that names the setting and the file of certificates.
    pub fn of(config: &Config) -> Result<Self, String> {
        let connections = config.database;
        let trust = Trust::read(config.ca_file.as_ref()).map_err(|problem| format!("VESTIBULE_CA_FILE: {problem}"))?;
        Ok(Self { readers: connections.database_readers, writers: connections.database_writers, trust })
    }
}

impl Db {
    /// Opens the database, making the SQLite file where there is none.
    ///
    /// # Errors
    /// A sentence for the operator, without the address.
    pub async fn connect(url: &DatabaseUrl, options: &Options) -> Result<Self, String> {
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
        // A file does not hang up: to ask before each statement would cost as much as the statement itself.
        writer.test_before_acquire(false);
        let named = path.to_owned();
        writer.map_sqlx_sqlite_opts(move |file| {
            let file = file.filename(&named).create_if_missing(true).foreign_keys(true).busy_timeout(TIMEOUT);
            // A commit that was acknowledged must outlive a power cut: in WAL mode only FULL syncs each one.
            let file = file.pragma("journal_mode", "WAL").pragma("synchronous", "FULL");
            // What is deleted is overwritten, so that no free page holds an address any more.
            let file = file.pragma("secure_delete", "ON");
            // In KiB. An import touches all indexes in one transaction: with less, it writes the same pages many times.
            file.pragma("cache_size", "-32768")
        });
        // SQLite itself rolls back where the disk is full, and the driver's own ROLLBACK fails then: it would take every later
        // transaction for a part of the one that is gone, and never commit it. Such a connection is not used again.
        writer.map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| {
                Box::pin(async move {
                    // A rollback may still wait in line.
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
        });
        let writer = Writer::new(Pool::of_file(Database::connect(writer).await?));
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

    /// Finds out why a database cannot be used at present; none where it can.
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
            // A file that may only be read shows by a write alone, which is rolled back.
            Ok(txn) => {
                let written = txn.execute_unprepared("CREATE TABLE a_table_to_try_writing (x INTEGER)").await;
                written.err().map(|error| explain(&error))
            }
        };
        // What could not be used may not close either.
        let _ = db.close().await;
        problem
    }

    /// Opens a database only to read it: nothing is made, migrated or changed, and a file must be there.
    ///
    /// # Errors
    /// A sentence for the operator, without the address.
    pub async fn look(url: &DatabaseUrl, trust: &Trust) -> Result<Self, String> {
        let pool = open_pool_to_read(url, 2, Purpose::Look, trust).await?;
        Ok(Self::of(pool.clone(), Writer::new(pool), None))
    }

    /// Calls this at each statement: for metrics, and for tests that count.
    pub fn on_statement(&mut self, call: impl Fn(&Statement) + Clone + Send + Sync + 'static) {
        let (other, third) = (call.clone(), call.clone());
        self.inline = self.inline.as_ref().map(|inline| Arc::new(inline.watched(Arc::new(third))));
        self.reader = self.reader.watched(Arc::new(call));
        self.writer = self.writer.watched(Arc::new(other));
    }

    /// Which of the two databases it is, for the few statements that differ.
    pub fn backend(&self) -> DatabaseBackend {
        self.reader.get_database_backend()
    }

    /// What it is called: `sqlite` or `postgres`.
    pub fn name(&self) -> Label {
        if self.backend() == DatabaseBackend::Sqlite { "sqlite" } else { "postgres" }
    }

    /// The row with this key, and the one that it belongs to: for what every request asks for.
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

    /// For statements that change nothing. Where every request asks for what a key allows one row of, ask for all of them:
    /// the LIMIT of `one` is a parameter, for which SQLite plans the statement anew each time.
    pub fn reader(&self) -> &Pool {
        &self.reader
    }

    /// For a single statement that changes something.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Begins a transaction that may write; dropped without a commit, it leaves nothing behind. With it comes the moment
    /// when it began, which counts for all that it writes: the request may have waited since it came.
    pub async fn begin(&self, now: &Now) -> Result<(DatabaseTransaction, Now)> {
        Ok((self.begin_writing().await?, now.anew()))
    }

    async fn begin_writing(&self) -> Result<DatabaseTransaction> {
        let came = Instant::now();
        let begun = self.writer.begin().instrument(tracing::debug_span!("begin")).await;
        self.waits.observe(came.elapsed().as_secs_f64());
        Ok(begun?)
    }

    /// Puts what is timed among what is told to those who watch.
    pub fn register(&self, registry: &mut Registry) {
        let help =
            "How long transactions that may write waited to begin: for a connection, and on SQLite for their turn";
        registry.register_with_unit("database_begin_wait", help, Unit::Seconds, self.waits.clone());
    }

    /// Its connections at present, for reading and for writing.
    pub fn pools(&self) -> Vec<PoolState> {
        vec![self.reader.state("read"), self.writer.pool().state("write")]
    }

    /// Looks whether the server that is connected can be written to. Where it cannot, new connections are opened, which may
    /// lead to another server.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it does not answer.
    pub async fn is_writable(&self) -> Result<bool> {
        if self.backend() == DatabaseBackend::Sqlite {
            return Ok(true);
        }
        let mut is_writable = true;
        for pool in [&self.reader, self.writer.pool()] {
            let sql = "SELECT pg_is_in_recovery()";
            let row = pool.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, sql)).await?;
            if row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(false) {
                pool.lose(STANDBY);
                is_writable = false;
            }
        }
        Ok(is_writable)
    }

    /// Begins a transaction that no other instance can run at the same time: for what is done once, at the start.
    pub async fn begin_alone(&self) -> Result<DatabaseTransaction> {
        let started = Instant::now();
        loop {
            let attempt = Instant::now();
            match self.begin_alone_soon().await {
                // It waited for all of its time, behind an instance that is still at it, and does not merely fail.
                Err(Error::Unavailable(_)) if attempt.elapsed() >= TIMEOUT && started.elapsed() < START_TIMEOUT => {}
                begun => return begun,
            }
        }
    }

    async fn begin_alone_soon(&self) -> Result<DatabaseTransaction> {
        let txn = self.begin_writing().await?;
        if txn.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
            // Any fixed number will do; this one spells "vestib".
            txn.execute_unprepared("SELECT pg_advisory_xact_lock(130176417687906)").await?;
        }
        Ok(txn)
    }

    /// Begins a transaction that reads the database as it is at its first statement, whatever others write meanwhile, and for
    /// as long as it takes.
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

    /// Writes an SQLite database as it is at this moment into a file that is empty or not there yet. Others may write to the
    /// database meanwhile.
    pub async fn write_into(&self, file: &Path) -> Result<()> {
        let file = file.to_str().ok_or_else(|| Error::BadInput("the path of the file must be UTF-8".to_owned()))?;
        let statement = Statement::from_sql_and_values(DatabaseBackend::Sqlite, "VACUUM INTO $1", [file.into()]);
        self.reader.execute_raw(statement).await?;
        Ok(())
    }

    /// What SQLite finds wrong with its own file; none where nothing is.
    pub async fn damage(&self) -> Result<Option<String>> {
        let check = Statement::from_string(DatabaseBackend::Sqlite, "PRAGMA integrity_check");
        let found = self.reader.query_all_raw(check).await?;
        let found: Result<Vec<String>, DbErr> = found.iter().map(|row| row.try_get_by_index(0)).collect();
        let found = found?.join("; ");
        Ok((found != "ok").then_some(found))
    }

    /// Tells the other instances on this database; there are none on SQLite.
    pub async fn notify(&self, channel: Channel, text: &str) -> Result<()> {
        if self.writer.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
            let values = [channel.0.into(), text.into()];
            let statement =
                Statement::from_sql_and_values(sea_orm::DatabaseBackend::Postgres, "SELECT pg_notify($1, $2)", values);
            self.writer.execute_raw(statement).await?;
        }
        Ok(())
    }

    /// Listens to the other instances, on a connection of its own; none on SQLite.
    pub async fn listen(&self, channel: Channel) -> Result<Option<Listener>> {
        let Some(server) = self.writer.pool().server() else { return Ok(None) };
        server.listen(channel).await.map(Some).map_err(|error| listener::gone(&error))
    }

    /// Brings the schema up to date, all steps or none. A database that a newer version has changed is refused.
    pub async fn migrate(txn: &DatabaseTransaction) -> Result<()> {
        if txn.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
            // A step over a large table may take longer than any request may.
            txn.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        }
        Migrator::up(txn, None).await.map_err(of_migrations)
    }

    /// Whether every migration of this version has run.
    pub async fn is_migrated(&self) -> Result<bool> {
        Ok(self.pending_migrations().await? == 0)
    }

    /// True where no migration has ever run.
    ///
    /// # Errors
    /// As for [`Db::pending_migrations`].
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.pending_migrations().await? == Migrator::migrations().len())
    }

    /// Whether the service is connected to this PostgreSQL database now; false on SQLite, see [`is_open_elsewhere`].
    pub async fn is_served(&self) -> Result<bool> {
        if self.backend() == DatabaseBackend::Sqlite {
            return Ok(false);
        }
        let here = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name";
        Ok(self.number(&format!("{here} = '{APPLICATION}'")).await? > 0)
    }

    /// How many migrations of this version have not run yet.
    ///
    /// # Errors
    /// [`Error::Internal`] where a newer version has changed the database.
    pub async fn pending_migrations(&self) -> Result<usize> {
        Ok(Migrator::get_pending_migrations_read_only(&self.reader).await.map_err(of_migrations)?.len())
    }

    /// Waits for what is under way, for a time, and closes all connections.
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

/// The connections of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolState {
    /// What they are for: `read` or `write`.
    pub name: Label,
    /// How many are open.
    pub open: u32,
    /// How many of these are not in use.
    pub idle: usize,
    /// How many there may be.
    pub most: u32,
}

/// The way to a PostgreSQL server on another machine, where somebody on the way could read or take over connections; none where
/// TLS and a verified name protect them, or they stay on this machine. The library's own view counts, which knows the
/// variables of PostgreSQL's tools as well.
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
    let found = format!("connections to PostgreSQL on {host} can be read or taken over on the way (sslmode={mode})");
    (!is_here).then_some(found)
}

/// Whether a connection to this SQLite file is open, of the service or of another program.
pub fn is_open_elsewhere(file: &Path) -> bool {
    PointReads::is_in_use(file)
}

/// Opens a database of another system, of which nothing is to be changed: reading is all that the connection can do.
///
/// # Errors
/// A sentence for the operator, without the address.
pub async fn open_to_read(url: &DatabaseUrl, trust: &Trust) -> Result<Pool, String> {
    open_pool_to_read(url, 1, Purpose::Import, trust).await
}

/// Connections that can change nothing; a file must be there.
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

/// Makes the file where there is none, for its owner alone: SQLite would let everybody read it, and gives the files beside it
/// the same rights. What goes wrong shows when it is opened.
fn make_private(file: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(file);
}

/// What it means that the migrations and the database do not fit together.
fn of_migrations(error: DbErr) -> Error {
    match error {
        DbErr::Custom(_) => Error::internal("the database was changed by a newer version of Vestibule: run that one"),
        error => error.into(),
    }
}

/// For so many connections to a file, whose name is set apart: the library would decode it.
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
