//! A connection pool that is replaced if its server is gone: if it hangs, or has become read-only. Hanging connections
//! would otherwise occupy the pool for as long as they hang.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, ExecResult,
    QueryResult, Statement, TransactionOptions, TransactionTrait as _,
};
use tokio::sync::watch;
use tokio::time::timeout;

use super::postgres::Server;
use super::{PoolState, READ_ONLY, STANDBY};
use crate::error::{departed, departures};
use crate::tools::metrics::Label;

/// Time limit for a statement, including the wait for a connection: PostgreSQL ends a statement after five seconds, and
/// the wait for a connection ends after three.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(9);

/// Minimum time between two replacements, so that a failing server is not flooded with connections.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// Time limit for the statements of a replaced pool.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(30);

/// Callback for each statement.
type Watcher = Arc<dyn Fn(&Statement) + Send + Sync>;

/// Work that runs on a pool. Boxed, because the compiler would otherwise inspect all of it in each resolver.
type Running<'a, T> = Pin<Box<dyn Future<Output = Result<T, DbErr>> + Send + 'a>>;

/// A connection pool. Clones share it.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
    watcher: Option<Watcher>,
}

struct Shared {
    /// The server; `None` on SQLite, whose connections are never replaced.
    server: Option<Server>,
    current: RwLock<Generation>,
}

/// The connections between two replacements.
#[derive(Clone)]
struct Generation {
    pool: DatabaseConnection,
    health: Health,
}

/// Health of the server of a pool.
#[derive(Clone, Debug)]
pub(super) struct Health {
    is_lost: Arc<AtomicBool>,
    /// The reason why the server cannot be written to.
    obstacle: Arc<watch::Sender<Option<&'static str>>>,
    departures: u64,
    since: Instant,
}

impl Health {
    pub(super) fn new() -> Self {
        Self { is_lost: Arc::default(), obstacle: Arc::default(), departures: departures(), since: Instant::now() }
    }

    /// Marks the server as unresponsive or unsuitable.
    pub(super) fn lose(&self, reason: &'static str) {
        if !self.is_lost.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason, "replacing database connections");
        }
    }

    /// Marks the server as one that cannot be written to.
    pub(super) fn block(&self, obstacle: &'static str) {
        self.lose(obstacle);
        self.obstacle.send_replace(Some(obstacle));
    }

    /// Waits for the reason why the server cannot be written to.
    async fn obstacle(&self) -> Option<&'static str> {
        let mut obstacle = self.obstacle.subscribe();
        obstacle.wait_for(Option::is_some).await.ok().and_then(|found| *found)
    }

    fn is_lost(&self) -> bool {
        let is_lost = self.is_lost.load(Ordering::Relaxed) || self.departures != departures();
        is_lost && self.since.elapsed() >= RENEWAL_PAUSE
    }
}

impl Pool {
    /// A pool of connections to a file.
    pub(super) fn of_file(pool: DatabaseConnection) -> Self {
        Self::new(None, Generation { pool, health: Health::new() })
    }

    /// A pool of connections to a server; none is opened yet.
    pub(super) async fn of_server(server: Server) -> Result<Self, DbErr> {
        let health = Health::new();
        let pool = server.open(&health).await?;
        Ok(Self::new(Some(server), Generation { pool, health }))
    }

    fn new(server: Option<Server>, generation: Generation) -> Self {
        Self { shared: Arc::new(Shared { server, current: RwLock::new(generation) }), watcher: None }
    }

    /// The same pool, with a callback for each statement.
    pub(super) fn watched(&self, watcher: Watcher) -> Self {
        Self { shared: Arc::clone(&self.shared), watcher: Some(watcher) }
    }

    /// The server; `None` on SQLite.
    pub(super) fn server(&self) -> Option<&Server> {
        self.shared.server.as_ref()
    }

    /// Reason why the server cannot be written to. Connections to such a server are replaced, which may lead to another
    /// server.
    pub(super) async fn write_obstacle(&self) -> Result<Option<&'static str>, DbErr> {
        let health = self.current().await.health;
        let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN 1 \
                   WHEN current_setting('transaction_read_only')::boolean THEN 2 ELSE 0 END";
        let row = tokio::select! {
            row = self.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, sql)) => row?,
            // A new connection to such a server is refused, so that the statement only waits for another one.
            obstacle = health.obstacle() => return Ok(obstacle),
        };
        let found = match row.map(|row| row.try_get_by_index::<i32>(0)).transpose()? {
            Some(1) => STANDBY,
            Some(2) => READ_ONLY,
            _ => return Ok(None),
        };
        self.read().health.block(found);
        Ok(Some(found))
    }

    /// Current state of the pool.
    pub(super) fn state(&self, name: Label) -> PoolState {
        let pool = self.read().pool;
        let (open, idle, most) = if self.get_database_backend() == DatabaseBackend::Sqlite {
            let pool = pool.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        } else {
            let pool = pool.get_postgres_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        };
        PoolState { name, open, idle, most }
    }

    /// Begins a transaction; on SQLite a write transaction if `options` say so.
    pub(super) fn begin(&self, options: TransactionOptions) -> Running<'_, DatabaseTransaction> {
        let begin = move |pool: DatabaseConnection| {
            Box::pin(async move { pool.begin_with_options(options).await }) as Running<'_, _>
        };
        Box::pin(self.limited(begin))
    }

    /// Closes the connections after running statements.
    pub(super) async fn close(self) -> Result<(), DbErr> {
        self.read().pool.close().await
    }

    fn read(&self) -> Generation {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connections to use, replaced if the previous ones are lost.
    async fn current(&self) -> Generation {
        let mut current = self.read();
        if let Some(server) = self.server().filter(|_| current.health.is_lost()) {
            let health = Health::new();
            match Box::pin(server.open(&health)).await {
                Ok(pool) => current = self.replace(Generation { pool, health }),
                Err(error) => tracing::error!(%error, "replacing database connections failed"),
            }
        }
        if let Some(watcher) = self.watcher.clone() {
            current.pool.set_metric_callback(move |info| watcher(info.statement));
        }
        current
    }

    /// Replaces lost connections, unless another task has done so.
    fn replace(&self, new: Generation) -> Generation {
        let mut current = self.shared.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.health.is_lost() {
            let old = mem::replace(&mut *current, new);
            // Tasks that wait for an old connection ask again; running statements may finish.
            tokio::spawn(async move { timeout(FAREWELL_TIMEOUT, old.pool.close()).await });
        }
        current.clone()
    }

    /// Runs work on the pool, on PostgreSQL with a time limit: a statement that exceeds the server's own limit waits
    /// for a server that is gone.
    async fn limited<'a, T>(&self, run: impl Fn(DatabaseConnection) -> Running<'a, T>) -> Result<T, DbErr> {
        let Generation { pool, health } = self.current().await;
        if self.server().is_none() {
            return run(pool).await;
        }
        let limited = async |pool, health: &Health| {
            timeout(STATEMENT_TIMEOUT, run(pool)).await.unwrap_or_else(|_| {
                health.lose("statement timed out");
                Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
            })
        };
        let mut outcome = limited(pool, &health).await;
        if matches!(outcome, Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))) {
            // The pool was replaced meanwhile, and nothing was sent.
            let Generation { pool, health } = self.current().await;
            outcome = limited(pool, &health).await;
        }
        if let Err(error) = &outcome {
            departed(error);
        }
        outcome
    }
}

#[async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DatabaseBackend {
        if self.shared.server.is_some() { DatabaseBackend::Postgres } else { DatabaseBackend::Sqlite }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let run = |pool: DatabaseConnection| {
            let statement = statement.clone();
            Box::pin(async move { pool.execute_raw(statement).await }) as Running<'_, _>
        };
        self.limited(run).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let run =
            |pool: DatabaseConnection| Box::pin(async move { pool.execute_unprepared(sql).await }) as Running<'_, _>;
        self.limited(run).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let run = |pool: DatabaseConnection| {
            let statement = statement.clone();
            Box::pin(async move { pool.query_one_raw(statement).await }) as Running<'_, _>
        };
        self.limited(run).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let run = |pool: DatabaseConnection| {
            let statement = statement.clone();
            Box::pin(async move { pool.query_all_raw(statement).await }) as Running<'_, _>
        };
        self.limited(run).await
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?})", self.get_database_backend())
    }
}
