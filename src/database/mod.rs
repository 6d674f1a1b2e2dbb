//! The connections: one way in for readers, one for writers.

// What a database tells about itself.
mod facts;
// Rows by their key, read at once.
mod inline;
// Traces of deleted rows.
mod scrub;
// Single statements that change something.
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use migration::{Migrator, MigratorTrait as _};
use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgSslMode};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction,
    DbErr, EntityTrait, IsolationLevel, PrimaryKeyTrait, Related, RuntimeErr, Statement, TransactionTrait as _,
    TryIntoModel,
};
use tracing::Instrument as _;
use uuid::Uuid;

pub use self::facts::Facts;
use self::inline::Inline;
pub use self::inline::{ByKey, Found};
pub use self::writer::Writer;

use crate::config::{DatabaseUrl, is_loopback};
use crate::error::{Error, Result};
use crate::tools::clock::Moment;
use crate::tools::metrics::{self, Histogram, Label, Registry, Unit};

/// How long a request waits for its turn to write on SQLite, or for another process that writes to the file; and how long a
/// statement may take on PostgreSQL.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an instance that starts waits for another one that migrates.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long a request waits for a connection to PostgreSQL, as long as that starts again or does not answer.
const POSTGRES_PATIENCE: Duration = Duration::from_secs(3);

/// For how long a connection to PostgreSQL of which nothing was heard is taken to be there still.
const TRUST: Duration = Duration::from_secs(1);

/// An open database. On SQLite, writers share one connection and so wait in line instead of fighting for the file's
/// lock, while readers have several and wait for nobody; on PostgreSQL both are one pool.
#[derive(Clone, Debug)]
pub struct Db {
    reader: DatabaseConnection,
    writer: Writer,
    inline: Option<Arc<Inline>>,
    /// On SQLite, whether the write-ahead log still holds what was deleted and is to be gone.
    is_unscrubbed: Arc<AtomicBool>,
    waits: Histogram,
}

impl Db {
    /// Opens the database, making the SQLite file where there is none.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, DbErr> {
        if !url.is_sqlite() {
            let mut pool = options(url, 10);
            // To ask whether a connection is still there takes as long as most statements: it is asked only where nothing
            // was heard of it for a while.
            pool.test_before_acquire(false);
            pool.map_sqlx_postgres_pool_opts(|pool| {
                pool.before_acquire(|connection, meta| {
                    Box::pin(async move { Ok(meta.idle_for < TRUST || connection.ping().await.is_ok()) })
                })
            });
            let pool = Database::connect(pool).await?;
            return Ok(Self::of(pool.clone(), Writer::new(pool), None));
        }
        url.sqlite_path().into_iter().for_each(make_private);
        let mut writer = options(url, 1);
        // A file does not hang up: to ask before each statement would cost as much as the statement itself.
        writer.test_before_acquire(false);
        let path = url.sqlite_path().map(Path::to_owned).unwrap_or_default();
        let named = path.clone();
        writer.map_sqlx_sqlite_opts(move |file| {
            let file = file.filename(&named).create_if_missing(true).foreign_keys(true).busy_timeout(PATIENCE);
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
        let writer = Writer::new(Database::connect(writer).await?);
        let mut reader = options(url, 4);
        reader.test_before_acquire(false);
        reader.map_sqlx_sqlite_opts(move |file| file.filename(&path).busy_timeout(PATIENCE).pragma("query_only", "ON"));
        let inline = url.sqlite_path().map(Inline::new).map(Arc::new);
        Ok(Self::of(Database::connect(reader).await?, writer, inline))
    }

    fn of(reader: DatabaseConnection, writer: Writer, inline: Option<Arc<Inline>>) -> Self {
        Self { reader, writer, inline, is_unscrubbed: Arc::default(), waits: metrics::times() }
    }

    /// Opens a database only to read it: nothing is made, migrated or changed, and a file must be there.
    pub async fn look(url: &DatabaseUrl) -> Result<Self, DbErr> {
        let pool = match Database::connect(reading(url, options(url, 2))).await {
            Ok(pool) => pool,
            // A pool tries again and again, and then tells no more than that the time is over.
            Err(error) => return Err(Self::refusal(url).await.unwrap_or(error)),
        };
        Ok(Self::of(pool.clone(), Writer::new(pool), None))
    }

    /// What a PostgreSQL server, or the way to it, says to a single attempt; none where that succeeds or nobody answers.
    async fn refusal(url: &DatabaseUrl) -> Option<DbErr> {
        let attempt = async { PgConnection::connect(url.reveal_postgres()?).await.err() };
        let error = tokio::time::timeout(POSTGRES_PATIENCE, attempt).await.ok()??;
        Some(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
    }

    /// Calls this at each statement: for metrics, and for tests that count.
    pub fn on_statement(&mut self, call: impl Fn(&Statement) + Clone + Send + Sync + 'static) {
        let (other, third) = (call.clone(), call.clone());
        self.inline = self.inline.as_ref().map(|inline| Arc::new(inline.watched(Arc::new(third))));
        self.reader.set_metric_callback(move |info| call(info.statement));
        self.writer = self.writer.watched(other);
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
    pub async fn find<E, R>(&self, query: &ByKey<E, R>, key: Uuid) -> Result<Found<E, R>>
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
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For a single statement that changes something.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Begins a transaction that may write; dropped without a commit, it leaves nothing behind. With it comes the moment
    /// when it began, which counts for all that it writes: the request may have waited since it came.
    pub async fn begin(&self, now: &Moment) -> Result<(DatabaseTransaction, Moment)> {
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

    /// Its connections at present: on SQLite those for reading and the one for writing, on PostgreSQL those for both.
    pub fn pools(&self) -> Vec<PoolState> {
        let sqlite = |name, pool: &DatabaseConnection| {
            let pool = pool.get_sqlite_connection_pool();
            PoolState { name, open: pool.size(), idle: pool.num_idle(), most: pool.options().get_max_connections() }
        };
        if self.backend() == DatabaseBackend::Sqlite {
            return vec![sqlite("read", &self.reader), sqlite("write", self.writer.pool())];
        }
        let pool = self.reader.get_postgres_connection_pool();
        let most = pool.options().get_max_connections();
        vec![PoolState { name: "all", open: pool.size(), idle: pool.num_idle(), most }]
    }

    /// Begins a transaction that no other instance can run at the same time: for what is done once, at the start.
    pub async fn begin_alone(&self) -> Result<DatabaseTransaction> {
        let started = Instant::now();
        loop {
            let attempt = Instant::now();
            match self.begin_alone_soon().await {
                // It waited for all of its time, behind an instance that is still at it, and does not merely fail.
                Err(Error::Unavailable(_)) if attempt.elapsed() >= PATIENCE && started.elapsed() < START_PATIENCE => {}
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
            return Ok(self.reader.begin().await?);
        }
        let txn =
            self.reader.begin_with_config(Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)).await?;
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
        if self.reader.get_database_backend() != sea_orm::DatabaseBackend::Postgres {
            return Ok(None);
        }
        let options = self.reader.get_postgres_connection_pool().connect_options();
        let own = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = own.connect_lazy_with(options.as_ref().clone());
        let mut listener = PgListener::connect_with(&pool).await.map_err(Error::internal)?;
        listener.listen(channel.0).await.map_err(Error::internal)?;
        Ok(Some(Listener(listener)))
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

    /// How many migrations of this version have not run yet.
    ///
    /// # Errors
    /// [`Error::Internal`] where a newer version has changed the database.
    pub async fn pending_migrations(&self) -> Result<usize> {
        Ok(Migrator::get_pending_migrations_read_only(&self.reader).await.map_err(of_migrations)?.len())
    }

    /// Waits for what is under way and closes all connections.
    pub async fn close(self) -> Result<()> {
        self.reader.close().await?;
        Ok(self.writer.close().await?)
    }
}

/// The connections of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolState {
    /// What they are for: `read`, `write` or `all`.
    pub name: Label,
    /// How many are open.
    pub open: u32,
    /// How many of these are not in use.
    pub idle: usize,
    /// How many there may be.
    pub most: u32,
}

/// What instances tell each other about, by the name that PostgreSQL knows it by.
#[derive(Clone, Copy, Debug)]
pub struct Channel(pub &'static str);

/// What other instances say.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// The next thing that is said, by this instance perhaps; none where something may have been missed because the
    /// connection was lost meanwhile.
    pub async fn next(&mut self) -> Result<Option<String>> {
        let said = self.0.try_recv().await.map_err(Error::internal)?;
        Ok(said.map(|said| said.payload().to_owned()))
    }
}

/// The way to a PostgreSQL server on another machine, where somebody on the way could read or take over connections; none where
/// TLS and a verified name protect them, or they stay on this machine. The library's own view counts, which knows the
/// variables of PostgreSQL's tools as well.
pub fn exposed_way(url: &DatabaseUrl) -> Option<String> {
    let options = url.reveal_postgres()?.parse::<PgConnectOptions>().ok()?;
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

/// Opens a database of another system, of which nothing is to be changed: reading is all that the connection can do.
pub async fn open_to_read(url: &DatabaseUrl) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(library_text(url));
    options.max_connections(1).acquire_timeout(PATIENCE).sqlx_logging(false).record_stmt_in_spans(false);
    Database::connect(reading(url, options)).await
}

/// The same, for connections that can change nothing; a file must be there.
fn reading(url: &DatabaseUrl, mut options: ConnectOptions) -> ConnectOptions {
    let path = url.sqlite_path().map(Path::to_owned).unwrap_or_default();
    options.map_sqlx_sqlite_opts(move |file| {
        file.filename(&path).read_only(true).create_if_missing(false).busy_timeout(PATIENCE)
    });
    options.map_sqlx_postgres_opts(|server| server.options([("default_transaction_read_only", "on")]));
    options
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

/// The address as the libraries read it. A file's is set apart from it, for they would decode its name.
fn library_text(url: &DatabaseUrl) -> &str {
    url.reveal_postgres().unwrap_or("sqlite://vestibule.db")
}

fn options(url: &DatabaseUrl, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(library_text(url));
    options.max_connections(connections).acquire_timeout(PATIENCE).sqlx_logging(false).record_stmt_in_spans(false);
    if !url.is_sqlite() {
        options.acquire_timeout(POSTGRES_PATIENCE).set_application_name("vestibule").statement_timeout(PATIENCE);
    }
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
