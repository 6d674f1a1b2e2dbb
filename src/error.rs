//! Errors of the service and their codes.
//!
//! [`Error::Refused`] is for problems that the user can fix; clients get it as data, in a payload's `errors`. All
//! others become GraphQL errors with `extensions.code`, or an HTTP status. [`Error::Internal`] is logged where it
//! leaves the service and never shown.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, SqlErr, SqlxError, SqlxPostgresError, SqlxSqliteError};
use serde::{Deserialize, Serialize};

use crate::texts::{Param, Text};

/// Result of the fallible operations of the service.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Reason why an operation failed. A failed operation changes nothing.
#[derive(Clone, Debug)]
pub enum Error {
    /// Problems that the user can fix, one entry each; never empty.
    Refused(Vec<Refusal>),
    /// The operation needs a signed-in user, and the request has no valid credential.
    Unauthenticated(Reason),
    /// The signed-in user lacks the right.
    Forbidden,
    /// The signed-in user must first enrol a second factor.
    EnrollmentRequired,
    /// The request is invalid; the text says what to change.
    BadInput(Text),
    /// A command or the start failed; the message tells the operator the reason.
    Command(String),
    /// A rate limit is exceeded; retry after this time.
    RateLimited(Duration),
    /// A temporary failure; retry after this time.
    Unavailable(Duration),
    /// Another import is running; try again after this time.
    ImportRunning(Duration),
    /// Internal error: logged; clients see only the request id.
    Internal(Arc<dyn StdError + Send + Sync>),
}

/// One problem with the input, described so that the user can fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The broken rule.
    pub code: Code,
    /// The input field as named in the schema; `None` if the problem concerns no single field.
    pub field: Option<&'static str>,
    /// The text of the catalogue and its parameters.
    pub text: Text,
}

impl Refusal {
    /// A refusal without a field, with the id of its text.
    pub fn new(code: Code, text: impl Into<Text>) -> Self {
        Self { code, field: None, text: text.into() }
    }

    /// The same refusal with a parameter of its text.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl Into<Param>) -> Self {
        Self { text: self.text.with(name, value), ..self }
    }

    /// The message in English.
    pub fn message(&self) -> String {
        self.text.english()
    }

    /// The same refusal with this field.
    #[must_use]
    pub fn of(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }
}

/// The rule that a [`Refusal`] is about. The schema's `UserErrorCode` describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "graphql/errors.rs describes each code")]
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
    Conflict,
    PasswordTooShort,
    PasswordTooCommon,
    PasswordTooSimilar,
    PasswordBreached,
    PasswordMismatch,
    PasswordIncorrect,
    PasswordRequired,
    PasswordExpired,
    ReauthenticationRequired,
    SecondFactorRequired,
    SecondFactorIncorrect,
    TotpStopped,
    CannotDemoteSelf,
    CannotDeactivateSelf,
    CannotDeleteSelf,
    CannotEditSuperuser,
    LastSuperuser,
    FileTooLarge,
    FileUnsupported,
}

/// Reason why a request counts as not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request has no access token.
    Missing,
    /// The token is not an access token of this service.
    Invalid,
    /// The access token has expired; a refresh gives a new one.
    Expired,
    /// The session has ended: signed out, revoked, or expired.
    Revoked,
    /// The account is deactivated.
    Disabled,
}

impl Error {
    /// An internal error from any error or text.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(source.into().into())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(vec![refusal])
    }
}

/// Transient failures of the database (unreachable, busy, or full) become [`Error::Unavailable`]; all others are
/// internal errors.
impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        departed(&error);
        let error = DatabaseError(error);
        if is_transient(&error.0) {
            tracing::error!(%error, "database temporarily unavailable");
            Self::Unavailable(Duration::from_secs(1))
        } else {
            Self::internal(error)
        }
    }
}

/// A database error. Its text has the message, code, table and constraint, but neither row values nor source locations
/// of the server.
#[derive(Clone)]
pub struct DatabaseError(pub DbErr);

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => describe_driver(error, f),
            other => fmt::Display::fmt(other, f),
        }
    }
}

impl fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for DatabaseError {}

fn describe_driver(error: &SqlxError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        SqlxError::Database(error) => {
            write!(f, "{} ({})", error.message(), error.code().unwrap_or_default())?;
            if let Some(table) = error.table() {
                write!(f, ", table {table}")?;
            }
            error.constraint().map_or(Ok(()), |constraint| write!(f, ", constraint {constraint}"))
        }
        SqlxError::ColumnDecode { index, .. } => write!(f, "column {index} cannot be read"),
        SqlxError::Protocol(_) => f.write_str("the server does not speak PostgreSQL's protocol"),
        other => fmt::Display::fmt(other, f),
    }
}

/// Number of replies by which a server announced its shutdown or refused writes.
static DEPARTURES: AtomicU64 = AtomicU64::new(0);

/// Number of those replies so far: connections opened before the last one are stale.
pub(crate) fn departures() -> u64 {
    DEPARTURES.load(Ordering::Relaxed)
}

/// Counts an error by which a PostgreSQL server says that it is no longer usable: it became a standby, or is shutting
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

/// True for transient errors: the same statement may succeed later, once the database is back or its operator has fixed
/// it.
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
        return is_transient_postgres(error.code());
    }
    let code = error.try_downcast_ref::<SqlxSqliteError>().and_then(|_| error.code()?.parse::<u32>().ok());
    code.is_some_and(is_transient_sqlite)
}

/// PostgreSQL's codes (its manual, appendix A): broken connection (08), insufficient resources (53), operator
/// intervention, shutdown, startup or timeout (57), system error (58), a conflict with another transaction, or a
/// standby.
fn is_transient_postgres(code: &str) -> bool {
    matches!(code.get(..2), Some("08" | "53" | "57" | "58"))
        || matches!(code, "25006" | "25P03" | "40001" | "40P01" | "55P03")
}

/// SQLite's primary result codes (sqlite.org/rescode.html), the last eight bits of each: BUSY, LOCKED, READONLY, IOERR,
/// FULL, CANTOPEN.
fn is_transient_sqlite(code: u32) -> bool {
    matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14)
}

/// Turns the violation of a unique constraint into the given refusal; other errors stay unchanged.
pub fn on_conflict(error: DbErr, refusal: impl FnOnce() -> Refusal) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => refusal().into(),
        _ => error.into(),
    }
}
