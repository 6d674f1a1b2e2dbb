//! Group commit of single statements. Each commit on SQLite waits for the disk, so that statements that arrive
//! meanwhile are committed together.

use std::sync::Arc;

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, ExecResult, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions,
};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use super::pool::Pool;
use crate::error::is_transient;

/// Maximum number of statements per commit.
const MANY: usize = 64;

/// Runs single statements that change data. A returned result is committed.
#[derive(Clone, Debug)]
pub struct Writer {
    pool: Pool,
    /// Queue of statements on SQLite, which has one connection for all; on PostgreSQL each statement has its own.
    line: Option<mpsc::UnboundedSender<Job>>,
}

impl Writer {
    /// A writer on this pool.
    pub(super) fn new(pool: Pool) -> Self {
        let line = (pool.get_database_backend() == DatabaseBackend::Sqlite).then(|| {
            let (line, waiting) = mpsc::unbounded_channel();
            tokio::spawn(write(pool.clone(), waiting));
            line
        });
        Self { pool, line }
    }

    /// The same writer, with a callback for each statement.
    pub(super) fn watched(&self, call: Arc<dyn Fn(&Statement) + Send + Sync>) -> Self {
        Self::new(self.pool.watched(call))
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Begins a transaction of several statements.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        begin(&self.pool).await
    }

    /// Finishes running statements and closes the connections.
    pub(super) async fn close(self) -> Result<(), DbErr> {
        self.pool.close().await
    }
}

#[async_trait]
impl ConnectionTrait for Writer {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match &self.line {
            Some(line) => wait(line, statement, Job::Count).await,
            None => self.pool.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.pool.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.line {
            Some(line) => wait(line, statement, Job::Rows).await,
            None => self.pool.query_all_raw(statement).await,
        }
    }
}

/// Queues a statement and waits until it is committed.
async fn wait<T>(
    line: &mpsc::UnboundedSender<Job>,
    statement: Statement,
    job: impl FnOnce(Waiting<T>) -> Job,
) -> Result<T, DbErr> {
    let closed = || DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed);
    let (answer, answered) = oneshot::channel();
    line.send(job(Waiting { statement, outcome: Err(closed()), answer })).map_err(|_| closed())?;
    answered.instrument(tracing::debug_span!("write")).await.map_err(|_| closed())?
}

/// A queued statement.
#[derive(Debug)]
enum Job {
    /// Returns the number of changed rows.
    Count(Waiting<ExecResult>),
    /// Returns rows.
    Rows(Waiting<Vec<QueryResult>>),
}

#[derive(Debug)]
struct Waiting<T> {
    statement: Statement,
    outcome: Result<T, DbErr>,
    answer: oneshot::Sender<Result<T, DbErr>>,
}

impl Job {
    /// True if the caller still waits for the result.
    fn is_wanted(&self) -> bool {
        match self {
            Self::Count(Waiting { answer, .. }) => !answer.is_closed(),
            Self::Rows(Waiting { answer, .. }) => !answer.is_closed(),
        }
    }

    /// Runs the statement and returns its error, if any.
    async fn run(&mut self, db: &impl ConnectionTrait) -> Option<DbErr> {
        match self {
            Self::Count(Waiting { statement, outcome, .. }) => {
                *outcome = db.execute_raw(statement.clone()).await;
                outcome.as_ref().err().cloned()
            }
            Self::Rows(Waiting { statement, outcome, .. }) => {
                *outcome = db.query_all_raw(statement.clone()).await;
                outcome.as_ref().err().cloned()
            }
        }
    }

    fn fail(&mut self, error: &DbErr) {
        match self {
            Self::Count(Waiting { outcome, .. }) => *outcome = Err(error.clone()),
            Self::Rows(Waiting { outcome, .. }) => *outcome = Err(error.clone()),
        }
    }

    fn finish(self) {
        // The caller may have stopped waiting.
        match self {
            Self::Count(Waiting { outcome, answer, .. }) => drop(answer.send(outcome)),
            Self::Rows(Waiting { outcome, answer, .. }) => drop(answer.send(outcome)),
        }
    }
}

/// Writes queued statements until the queue is closed.
async fn write(pool: Pool, mut line: mpsc::UnboundedReceiver<Job>) {
    let mut jobs = Vec::new();
    while line.recv_many(&mut jobs, MANY).await > 0 {
        // Lets tasks that are about to write join this commit.
        tokio::task::yield_now().await;
        while jobs.len() < MANY
            && let Ok(job) = line.try_recv()
        {
            jobs.push(job);
        }
        jobs.retain(Job::is_wanted);
        if let Some(error) = run(&pool, &mut jobs).await {
            // Takes statements that arrived meanwhile, which would otherwise wait for another commit.
            while let Ok(mut job) = line.try_recv() {
                job.fail(&error);
                jobs.push(job);
            }
        }
        jobs.drain(..).for_each(Job::finish);
    }
}

/// Runs these statements. Returns an error that prevents the database from continuing.
async fn run(pool: &Pool, jobs: &mut [Job]) -> Option<DbErr> {
    if jobs.len() > 1 {
        match run_together(pool, jobs).await {
            Ok(()) => return None,
            Err(error) if is_transient(&error) => {
                for job in jobs {
                    job.fail(&error);
                }
                return Some(error);
            }
            // A failing statement must not fail the others.
            Err(_) => {}
        }
    }
    for index in 0..jobs.len() {
        if let Some(error) = jobs[index].run(pool).await
            && is_transient(&error)
        {
            for job in &mut jobs[index..] {
                job.fail(&error);
            }
            return Some(error);
        }
    }
    None
}

/// Commits all statements or none. A statement that violates a constraint changes nothing and does not affect the
/// others.
async fn run_together(pool: &Pool, jobs: &mut [Job]) -> Result<(), DbErr> {
    let txn = begin(pool).await?;
    for job in jobs {
        if let Some(error) = job.run(&txn).await
            && error.sql_err().is_none()
        {
            return Err(error);
        }
    }
    txn.commit().await
}

async fn begin(pool: &Pool) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    pool.begin(options).await
}
