//! The connections: one way in for readers, one for writers.

// Rows by their key, read at once.
mod inline;

use std::sync::Arc;
use std::time::Duration;

use migration::{Migrator, MigratorTrait as _};
use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr,
    EntityTrait, PrimaryKeyTrait, Related, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait as _,
    TryIntoModel,
};
use uuid::Uuid;

use self::inline::Inline;
pub use self::inline::{ByKey, Found};

use crate::config::DatabaseUrl;
use crate::error::{Error, Result};

/// How long a request waits for its turn to write on SQLite, or for another process that writes to the file; and how long a
/// statement may take on PostgreSQL.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a request waits for a connection to PostgreSQL, as long as that starts again or does not answer.
const POSTGRES_PATIENCE: Duration = Duration::from_secs(3);

/// An open database. On SQLite, writers share one connection and so wait in line instead of fighting for the file's
/// lock, while readers have several and wait for nobody; on PostgreSQL both are one pool.
#[derive(Clone, Debug)]
pub struct Db {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    inline: Option<Arc<Inline>>,
}

impl Db {
    /// Opens the database, making the SQLite file where there is none.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, DbErr> {
        if !url.is_sqlite() {
            let pool = Database::connect(options(url, 10)).await?;
            return Ok(Self { reader: pool.clone(), writer: pool, inline: None });
        }
        let mut writer = options(url, 1);
        // A file does not hang up: to ask before each statement would cost as much as the statement itself.
        writer.test_before_acquire(false);
        writer.map_sqlx_sqlite_opts(|file| {
            let file = file.create_if_missing(true).foreign_keys(true).busy_timeout(PATIENCE);
            // A commit that was acknowledged must outlive a power cut: in WAL mode only FULL syncs each one.
            let file = file.pragma("journal_mode", "WAL").pragma("synchronous", "FULL");
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
        let writer = Database::connect(writer).await?;
        let mut reader = options(url, 4);
        reader.test_before_acquire(false);
        reader.map_sqlx_sqlite_opts(|file| file.busy_timeout(PATIENCE).pragma("query_only", "ON"));
        let inline = url.sqlite_path().map(Inline::new).map(Arc::new);
        Ok(Self { reader: Database::connect(reader).await?, writer, inline })
    }

    /// Calls this at each statement: for metrics, and for tests that count.
    pub fn on_statement(&mut self, call: impl Fn(&Statement) + Clone + Send + Sync + 'static) {
        let (other, third) = (call.clone(), call.clone());
        self.inline = self.inline.as_ref().map(|inline| Arc::new(inline.watched(Arc::new(third))));
        self.reader.set_metric_callback(move |info| call(info.statement));
        self.writer.set_metric_callback(move |info| other(info.statement));
    }

    /// Which of the two databases it is, for the few statements that differ.
    pub fn backend(&self) -> DatabaseBackend {
        self.reader.get_database_backend()
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
    pub fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Begins a transaction that may write; dropped without a commit, it leaves nothing behind.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.writer.begin_with_options(options).await?)
    }

    /// Begins a transaction that no other instance can run at the same time: for what is done once, at the start.
    pub async fn begin_alone(&self) -> Result<DatabaseTransaction> {
        let txn = self.begin().await?;
        if txn.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
            // Any fixed number will do; this one spells "vestib".
            txn.execute_unprepared("SELECT pg_advisory_xact_lock(130176417687906)").await?;
        }
        Ok(txn)
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
        Migrator::up(txn, None).await.map_err(|error| match error {
            DbErr::Custom(_) => {
                Error::internal("the database was changed by a newer version of Vestibule: run that one")
            }
            error => error.into(),
        })
    }

    /// Whether every migration of this version has run.
    pub async fn is_migrated(&self) -> Result<bool> {
        Ok(Migrator::get_pending_migrations_read_only(&self.reader).await?.is_empty())
    }

    /// Waits for what is under way and closes all connections.
    pub async fn close(self) -> Result<()> {
        self.reader.close().await?;
        Ok(self.writer.close().await?)
    }
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

/// Opens a database of another system, of which nothing is to be changed: reading is all that the connection can do.
pub async fn open_to_read(url: &DatabaseUrl) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url.reveal());
    options.max_connections(1).acquire_timeout(PATIENCE).sqlx_logging(false).record_stmt_in_spans(false);
    options.map_sqlx_sqlite_opts(|file| file.read_only(true).create_if_missing(false).busy_timeout(PATIENCE));
    options.map_sqlx_postgres_opts(|server| server.options([("default_transaction_read_only", "on")]));
    Database::connect(options).await
}

fn options(url: &DatabaseUrl, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url.reveal());
    options.max_connections(connections).acquire_timeout(PATIENCE).sqlx_logging(false).record_stmt_in_spans(false);
    if !url.is_sqlite() {
        options.acquire_timeout(POSTGRES_PATIENCE).set_application_name("vestibule").statement_timeout(PATIENCE);
    }
    options
}
