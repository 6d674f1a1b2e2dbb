//! Every refusal with its code, and the faults that are ours.
//!
//! [`Error::Refused`] is for what the person in front of the client can mend; it reaches clients as data, in a payload's
//! `errors`. All others become GraphQL errors with `extensions.code`, or an HTTP status. [`Error::Internal`] is logged
//! where it leaves the service and never shown.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, SqlErr, SqlxError, SqlxPostgresError, SqlxSqliteError};

/// What every fallible operation of the service returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was not carried out. Nothing was changed where one is returned.
#[derive(Clone, Debug)]
pub enum Error {
    /// What the person can mend, one entry for each thing that is wrong; never empty.
    Refused(Vec<Refusal>),
    /// The operation needs a signed-in user, and the request did not prove one.
    Unauthenticated(Reason),
    /// The signed-in user has no right to this.
    Forbidden,
    /// The request makes no sense; the text says what to change.
    BadInput(String),
    /// It was asked for too often; try again after this time.
    RateLimited(Duration),
    /// The service cannot do it now; try again after this time.
    Unavailable(Duration),
    /// A fault of ours; it is logged, and clients learn only a number.
    Internal(Arc<dyn StdError + Send + Sync>),
}

/// One thing that is wrong with the input, told so that the person can mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which rule was broken.
    pub code: Code,
    /// The input field it concerns, as the schema names it; `None` where it is no single one.
    pub field: Option<&'static str>,
    /// What to do about it, in a sentence.
    pub message: String,
}

impl Refusal {
    /// A refusal that concerns no single field.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into() }
    }

    /// The same refusal, of this field.
    #[must_use]
    pub fn of(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }
}

/// Which rule a [`Refusal`] is about. The schema's `UserErrorCode` describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "graphql/errors.rs describes each for those who meet it")]
pub enum Code {
    InvalidCredentials,
    AccountInactive,
    EmailNotVerified,
    InvalidToken,
    Required,
    Invalid,
    TooLong,
    AlreadyExists,
    NotFound,
    PasswordTooShort,
    PasswordTooCommon,
    PasswordTooSimilar,
    PasswordMismatch,
    PasswordIncorrect,
    PasswordRequired,
    PasswordExpired,
    CannotDemoteSelf,
    CannotDeactivateSelf,
    CannotDeleteSelf,
    CannotEditSuperuser,
    LastSuperuser,
    FileTooLarge,
    FileUnsupported,
}

/// Why a request counts as not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It carried no access token.
    Missing,
    /// What it carried is no access token of this service.
    Invalid,
    /// The access token has run out; refreshing gives a new one.
    Expired,
    /// The session has ended: signed out, revoked, or run out.
    Revoked,
    /// The account is deactivated.
    Disabled,
}

impl Error {
    /// A fault of ours from any error or text.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(source.into().into())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(vec![refusal])
    }
}

/// A database that cannot be reached, is busy, or has no room left is a matter of time; everything else it says is a
/// fault of ours.
impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        departed(&error);
        if is_transient(&error) {
            tracing::error!(%error, "the database cannot do it at present");
            Self::Unavailable(Duration::from_secs(1))
        } else {
            Self::internal(error)
        }
    }
}

/// Number of answers by which a server said that it goes, or may not be written to any more.
static DEPARTURES: AtomicU64 = AtomicU64::new(0);

/// Number of those answers so far: connections from before the last one are no good.
pub(crate) fn departures() -> u64 {
    DEPARTURES.load(Ordering::Relaxed)
}

/// Notes an error by which a PostgreSQL server says that it is the wrong one from now on: it became a standby, or shuts
/// down.
pub(crate) fn departed(error: &DbErr) {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return;
    };
    let SqlxError::Database(error) = error.as_ref() else { return };
    if let Some(error) = error.try_downcast_ref::<SqlxPostgresError>()
        && matches!(error.code(), "25006" | "57P01" | "57P02" | "57P03")
    {
        DEPARTURES.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the same statement may succeed a little later, once the database is back or whoever runs it has helped.
pub fn is_transient(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_));
    };
    let error = match error.as_ref() {
        SqlxError::Database(error) => error,
        SqlxError::Io(_) | SqlxError::Tls(_) | SqlxError::PoolTimedOut | SqlxError::PoolClosed => return true,
        other => return matches!(other, SqlxError::WorkerCrashed),
    };
    if let Some(error) = error.try_downcast_ref::<SqlxPostgresError>() {
        return postgres_passes(error.code());
    }
    let code = error.try_downcast_ref::<SqlxSqliteError>().and_then(|_| error.code()?.parse::<u32>().ok());
    code.is_some_and(sqlite_passes)
}

/// PostgreSQL's codes (its manual, appendix A): the connection broke (08), resources are short (53), it is told to stop,
/// stops, starts, or took too long (57), its machine fails (58), another transaction was in the way, or it is a standby.
fn postgres_passes(code: &str) -> bool {
    matches!(code.get(..2), Some("08" | "53" | "57" | "58"))
        || matches!(code, "25006" | "25P03" | "40001" | "40P01" | "55P03")
}

/// SQLite's primary result codes (sqlite.org/rescode.html), the last eight bits of any: BUSY, LOCKED, READONLY, IOERR, FULL,
/// CANTOPEN.
fn sqlite_passes(code: u32) -> bool {
    matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14)
}

/// Turns the violation of a unique constraint into the refusal that it means; other errors stay what they are.
pub fn on_conflict(error: DbErr, refusal: impl FnOnce() -> Refusal) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => refusal().into(),
        _ => error.into(),
    }
}
