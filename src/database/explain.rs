//! Messages for database errors: each says what to do and contains no address.

use std::io;

use rustls::Error as TlsError;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::sqlx::sqlite::SqliteError;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, SqlxError};

use crate::tools::certificates;

/// Message for an error that prevents a database from being opened or used.
pub fn explain(error: &DbErr) -> String {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => of_driver(error),
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => SILENT.to_owned(),
        DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) => "the connection was closed".to_owned(),
        // The library's message may quote the address with its password.
        DbErr::Conn(_) => "the address cannot be used".to_owned(),
        other => other.to_string(),
    }
}

/// True if another connection has locked an SQLite file.
pub(super) fn is_locked(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else { return false };
    let SqlxError::Database(error) = error.as_ref() else { return false };
    let code = error.try_downcast_ref::<SqliteError>().and_then(|_| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

const SILENT: &str =
    "the server did not answer in time. See that it runs, can be reached from here, and has connections left";

fn of_driver(error: &SqlxError) -> String {
    match error {
        SqlxError::Io(error) => of_io(error),
        SqlxError::Tls(error) => match error.downcast_ref::<TlsError>() {
            Some(error) => certificates::explain(error),
            None => format!("encrypted connection failed: {error}"),
        },
        SqlxError::PoolTimedOut => SILENT.to_owned(),
        SqlxError::Configuration(error) => error.to_string(),
        SqlxError::Protocol(_) => {
            "the server does not speak PostgreSQL's protocol. See host and port of the address".to_owned()
        }
        SqlxError::Database(error) => {
            if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
                return of_postgres(error.code(), error.message());
            }
            let code = error.try_downcast_ref::<SqliteError>().and_then(|_| error.code()?.parse::<u32>().ok());
            of_sqlite(code.unwrap_or_default(), error.message())
        }
        other => other.to_string(),
    }
}

fn of_io(error: &io::Error) -> String {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        return certificates::explain(error);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "no server listens there. See that it runs, and the host and port of the address".to_owned()
        }
        io::ErrorKind::NotFound => {
            "there is no server socket there. See that the server runs, and check the folder".to_owned()
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "the connection was closed by the other side. See that it is a PostgreSQL server".to_owned()
        }
        _ => format!("the connection failed: {error}"),
    }
}

fn of_postgres(code: &str, message: &str) -> String {
    let advice = match code {
        "28000" | "28P01" => "See user and password in the address, and pg_hba.conf",
        "3D000" => "Create it: createdb --encoding=UTF8 --template=template0 --owner=USER DATABASE",
        "53300" => "Raise max_connections, or run fewer instances",
        "57P03" => "The server is starting or stopping. Try again",
        "25006" => "It is read-only: see default_transaction_read_only, and whether the server is a standby",
        "42501" if message.contains("for schema") => {
            "Grant the role the use of the schema: GRANT USAGE ON SCHEMA SCHEMA TO ROLE"
        }
        // The message repeats the parameters of the address.
        "42601" if message.contains("command-line") => {
            return "PostgreSQL refuses the options of the address (42601)".to_owned();
        }
        "26000" | "42P05" => {
            "A pooler gives each transaction another connection: set pool_mode = session for this database in PgBouncer"
        }
        "42501" => "Let the role own the database: ALTER DATABASE DATABASE OWNER TO USER",
        "08P01" if message.contains("startup parameter") => "A pooler refuses it: see ignore_startup_parameters there",
        _ => "See the server's log",
    };
    format!("PostgreSQL says: {message} ({code}). {advice}")
}

/// Messages by SQLite's primary result codes (sqlite.org/rescode.html), the last eight bits of each code.
fn of_sqlite(code: u32, message: &str) -> String {
    match code & 0xff {
        5 | 6 => "another process is writing to the file. Stop it, or try again".to_owned(),
        8 => "the file is read-only. See the rights of the file and its folder, and how its disk is mounted".to_owned(),
        10 => "the disk cannot be read or written. See the system's log".to_owned(),
        11 => "the file is damaged. Restore a backup".to_owned(),
        13 => "the disk is full. Make room".to_owned(),
        14 => "the file cannot be opened. See that its folder is there, and the rights of both".to_owned(),
        26 => "the file is not an SQLite database".to_owned(),
        _ => format!("SQLite says: {message}"),
    }
}
