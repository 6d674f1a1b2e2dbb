//! Connections to a PostgreSQL server: how they are opened, and what is asked of one before it is used.

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

/// Longest wait for a connection, as long as the server starts again or does not answer.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// For how long a connection of which nothing was heard is taken to be there still.
const TRUST: Duration = Duration::from_secs(1);

/// Longest wait for the answer of a connection that was idle.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest wait for what a connection that is given back was still at: the server ends a statement after [`TIMEOUT`].
const SETTLE_TIMEOUT: Duration = Duration::from_secs(7);

/// Between two attempts to reach a server that starts.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Purpose of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Everything; only a primary server will do.
    Serve,
    /// Reading only, on any server.
    Look,
    /// Reading another system's database, whose statements may take their time.
    Import,
}

/// A server as it is addressed, and how connections to it are opened.
#[derive(Clone, Debug)]
pub(super) struct Server {
    url: DatabaseUrl,
    connections: u32,
    purpose: Purpose,
    /// Certificates in PEM, where the address names no file of them and certificates are verified.
    roots: Option<Arc<Vec<u8>>>,
}

impl Server {
    /// The server at this address; none for a file.
    pub(super) fn new(url: &DatabaseUrl, connections: u32, purpose: Purpose, trust: &Trust) -> Option<Self> {
        let options = connect_options(url)?;
        let verifies = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
        let roots = (verifies && !url.names_ca()).then(|| Arc::new(trust.to_pem()));
        Some(Self { url: url.clone(), connections, purpose, roots })
    }

    /// The same server with so many connections.
    pub(super) fn with(&self, connections: u32) -> Self {
        Self { connections, ..self.clone() }
    }

    /// A pool of connections, none of which is opened yet. What is found out about the server is noted in `health`.
    pub(super) async fn open(&self, health: &Health) -> Result<DatabaseConnection, DbErr> {
        let mut options = ConnectOptions::new(self.url.reveal_postgres().unwrap_or_default());
        options.max_connections(self.connections).acquire_timeout(CONNECT_TIMEOUT).connect_lazy(true);
        // To ask whether a connection is still there takes as long as most statements: it is asked only where nothing
        // was heard of it for a while.
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
                    if matches!(prepared, Err(SqlxError::Configuration(_))) {
                        health.lose(super::STANDBY);
                    }
                    prepared
                })
            })
        });
        Database::connect(options).await
    }

    /// Connects once, and so learns what a pool would not tell: that only knows that its time is over.
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

    /// Listens on a connection of its own.
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

/// The address as the library understands it, with the variables of PostgreSQL's own tools; none for a file.
pub(super) fn connect_options(url: &DatabaseUrl) -> Option<PgConnectOptions> {
    url.reveal_postgres()?.parse().ok()
}

/// The parameters of a start are those that every pooler lets through.
fn adapt(options: PgConnectOptions, purpose: Purpose, roots: Option<&Vec<u8>>) -> PgConnectOptions {
    let name = if purpose == Purpose::Serve { super::APPLICATION } else { "vestibule-command" };
    let options = options.application_name(name).extra_float_digits(None);
    match roots {
        Some(pem) => options.ssl_root_cert_from_pem(pem.clone()),
        None => options,
    }
}

/// Sets what holds for the whole connection, and refuses a server that cannot be written to where that is needed. It is set
/// afterwards because a pooler may drop the parameters of a start without a word.
async fn prepare(connection: &mut PgConnection, purpose: Purpose) -> Result<(), SqlxError> {
    let sql = match purpose {
        Purpose::Serve => "SET statement_timeout = 5000; SELECT pg_is_in_recovery()",
        Purpose::Look => {
            "SET statement_timeout = 5000; SET default_transaction_read_only = on; SELECT pg_is_in_recovery()"
        }
        Purpose::Import => "SET default_transaction_read_only = on; SELECT pg_is_in_recovery()",
    };
    let row = connection.fetch_one(raw_sql(sql)).await?;
    if purpose == Purpose::Serve && row.try_get::<bool, _>(0)? {
        return Err(SqlxError::Configuration(super::STANDBY.into()));
    }
    Ok(())
}

/// Asks an idle connection whether it is still there.
async fn answers(connection: &mut PgConnection, health: &Health) -> bool {
    match timeout(PING_TIMEOUT, connection.ping()).await {
        Ok(answered) => answered.is_ok(),
        Err(_) => {
            health.lose("an idle connection did not answer");
            false
        }
    }
}

/// Waits for the end of what a connection was still at: a statement that nobody waits for any more, or a rollback. The
/// library would wait for as long as that takes, and the connection keep its place.
async fn settles(connection: &mut PgConnection, health: &Health) -> bool {
    match timeout(SETTLE_TIMEOUT, connection.flush()).await {
        Ok(settled) => settled.is_ok(),
        Err(_) => {
            health.lose("a connection did not come to rest");
            false
        }
    }
}

/// True where a server may be about to listen.
fn is_starting(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        SqlxError::Database(error) => error.code().is_some_and(|code| code == "57P03"),
        _ => false,
    }
}
