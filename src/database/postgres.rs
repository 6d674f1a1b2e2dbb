//! Connections to a PostgreSQL server: opening them, and checking them before use.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgSslMode};
use sea_orm::sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _, raw_sql};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr, SqlxError};
use tokio::time::{sleep, timeout};

use super::pool::Health;
use super::{Channel, Listener, TIMEOUT};
use crate::config::DatabaseUrl;
use crate::tools::certificates::Trust;

/// Timeout for a connection while the server restarts or does not respond.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle time after which a connection is checked.
const TRUST: Duration = Duration::from_secs(1);

/// Timeout of the check of an idle connection.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// Timeout for running work of a released connection: the server ends a statement after [`TIMEOUT`].
const SETTLE_TIMEOUT: Duration = Duration::from_secs(7);

/// Wait between two attempts to reach a starting server.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Purpose of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reads and writes; requires a primary server.
    Serve,
    /// Reads only, on any server.
    ReadOnly,
    /// Reads of another system's database, without a statement timeout.
    Import,
}

/// A server with its connection options.
#[derive(Clone, Debug)]
pub(super) struct Server {
    url: DatabaseUrl,
    connections: u32,
    purpose: Purpose,
    /// PEM certificates, if certificates are verified and the address names no file of them.
    roots: Option<Arc<Vec<u8>>>,
}

impl Server {
    /// The server at this address; `None` for a file.
    pub(super) fn new(url: &DatabaseUrl, connections: u32, purpose: Purpose, trust: &Trust) -> Option<Self> {
        let options = connect_options(url)?;
        let verifies = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
        let roots = (verifies && !url.names_ca()).then(|| Arc::new(trust.to_pem()));
        Some(Self { url: url.clone(), connections, purpose, roots })
    }

    /// The same server with this number of connections.
    pub(super) fn with(&self, connections: u32) -> Self {
        Self { connections, ..self.clone() }
    }

    /// A connection pool; no connection is opened yet. Problems of the server are noted in `health`.
    pub(super) async fn open(&self, health: &Health) -> Result<DatabaseConnection, DbErr> {
        let mut options = ConnectOptions::new(self.url.reveal_postgres().unwrap_or_default());
        options.max_connections(self.connections).acquire_timeout(CONNECT_TIMEOUT).connect_lazy(true);
        // A check takes as long as most statements, so that only idle connections are checked.
        options.sqlx_logging(false).record_stmt_in_spans(false).test_before_acquire(false);
        let roots = self.roots.clone();
        let (health, purpose) = (health.clone(), self.purpose);
        options.map_sqlx_postgres_opts(move |server| adapt(server, purpose, roots.as_deref()));
        options.map_sqlx_postgres_pool_opts(move |pool| {
            let (idle, released) = (health.clone(), health.clone());
            let pool = pool.before_acquire(move |connection, meta| {
                let health = idle.clone();
                Box::pin(async move { Ok(meta.idle_for < TRUST || answers(connection, &health).await) })
            });
            let pool = pool.after_release(move |connection, _| {
                let health = released.clone();
                Box::pin(async move { Ok(settles(connection, &health).await) })
            });
            let opened = health.clone();
            pool.after_connect(move |connection, _| {
                let health = opened.clone();
                Box::pin(async move {
                    let prepared = prepare(connection, purpose).await;
                    if let Err(SqlxError::Configuration(reason)) = &prepared {
                        let is_standby = reason.to_string() == super::STANDBY;
                        health.block(if is_standby { super::STANDBY } else { super::READ_ONLY });
                    }
                    prepared
                })
            })
        });
        Database::connect(options).await
    }

    /// Connects once to get the actual error: a pool would only report a timeout.
    pub(super) async fn try_once(&self) -> Result<(), DbErr> {
        let started = Instant::now();
        loop {
            let left = CONNECT_TIMEOUT.saturating_sub(started.elapsed());
            let error = match timeout(left, self.connect()).await {
                Ok(Ok(connection)) => {
                    let _ = timeout(PING_TIMEOUT, connection.close()).await;
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(_) => SqlxError::PoolTimedOut,
            };
            if !is_starting(&error) || started.elapsed() + RETRY_PAUSE > CONNECT_TIMEOUT {
                return Err(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))));
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, SqlxError> {
        let mut connection = PgConnection::connect_with(&self.connect_options()?).await?;
        prepare(&mut connection, self.purpose).await?;
        Ok(connection)
    }

    /// Listens on a separate connection.
    pub(super) async fn listen(&self, channel: Channel) -> Result<Listener, SqlxError> {
        let own = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = own.acquire_timeout(CONNECT_TIMEOUT).connect_lazy_with(self.connect_options()?);
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(channel.0).await?;
            Ok(Listener(listener))
        };
        timeout(TIMEOUT, listening).await.unwrap_or(Err(SqlxError::PoolTimedOut))
    }

    fn connect_options(&self) -> Result<PgConnectOptions, SqlxError> {
        let options = connect_options(&self.url).ok_or_else(|| SqlxError::Configuration("it is no server".into()))?;
        Ok(adapt(options, self.purpose, self.roots.as_deref()).disable_statement_logging())
    }
}

/// The address as parsed by the library, with the variables of PostgreSQL's tools; `None` for a file.
pub(super) fn connect_options(url: &DatabaseUrl) -> Option<PgConnectOptions> {
    url.reveal_postgres()?.parse().ok()
}

/// Startup parameters are limited to those that every pooler accepts.
fn adapt(options: PgConnectOptions, purpose: Purpose, roots: Option<&Vec<u8>>) -> PgConnectOptions {
    let name = if purpose == Purpose::Serve { super::APPLICATION } else { "vestibule-command" };
    let options = options.application_name(name).extra_float_digits(None);
    match roots {
        Some(pem) => options.ssl_root_cert_from_pem(pem.clone()),
        None => options,
    }
}

/// Sets parameters of the connection, and refuses a read-only server if writes are required. They are set after
/// startup, because a pooler may silently drop startup parameters.
async fn prepare(connection: &mut PgConnection, purpose: Purpose) -> Result<(), SqlxError> {
    let sql = match purpose {
        Purpose::Serve => {
            "SET statement_timeout = 5000; SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean"
        }
        Purpose::ReadOnly => {
            "SET statement_timeout = 5000; SET default_transaction_read_only = on; SELECT pg_is_in_recovery()"
        }
        Purpose::Import => "SET default_transaction_read_only = on; SELECT pg_is_in_recovery()",
    };
    let row = connection.fetch_one(raw_sql(sql)).await?;
    if purpose == Purpose::Serve {
        if row.try_get::<bool, _>(0)? {
            return Err(SqlxError::Configuration(super::STANDBY.into()));
        }
        if row.try_get::<bool, _>(1)? {
            return Err(SqlxError::Configuration(super::READ_ONLY.into()));
        }
    }
    Ok(())
}

/// Checks an idle connection.
async fn answers(connection: &mut PgConnection, health: &Health) -> bool {
    match timeout(PING_TIMEOUT, connection.ping()).await {
        Ok(answered) => answered.is_ok(),
        Err(_) => {
            health.lose("idle connection did not respond");
            false
        }
    }
}

/// Waits for the end of running work on a released connection: an abandoned statement, or a rollback. The library would
/// wait without a limit while the connection occupies the pool.
async fn settles(connection: &mut PgConnection, health: &Health) -> bool {
    match timeout(SETTLE_TIMEOUT, connection.flush()).await {
        Ok(settled) => settled.is_ok(),
        Err(_) => {
            health.lose("connection still busy after its release");
            false
        }
    }
}

/// True if the server may start to listen soon.
fn is_starting(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        SqlxError::Database(error) => error.code().is_some_and(|code| code == "57P03"),
        _ => false,
    }
}
