//! Requirements for a usable database.

use std::time::Duration;

use sea_orm::sqlx::{Connection as _, Executor as _, Row as _};
use sea_orm::{ConnectionTrait as _, DatabaseBackend, Statement, TransactionOptions};
use tokio::time::timeout;

use super::postgres::CONNECT_TIMEOUT;
use super::{Db, STANDBY};
use crate::error::Result;
use crate::tools::secret::Secret;

/// Attempts to detect a pooler: other clients may use its connections in between.
const ATTEMPTS: usize = 3;

/// Timeout of a separate connection.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// An unmet requirement and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The problem.
    pub found: String,
    /// The remedy.
    pub remedy: String,
}

impl Db {
    /// The first unmet requirement: encoding, primary server, write access, extension, or a pooler that keeps
    /// connections apart. `None` if all are met, and on SQLite. Reads only.
    pub async fn unfit(&self) -> Result<Option<Unfit>> {
        if self.backend() == DatabaseBackend::Sqlite {
            return Ok(None);
        }
        // Behind such a pooler, any other query may fail.
        if self.is_pooled_by_transaction().await? {
            let found =
                "a pooler gives each transaction another connection, and prepared statements get mixed up".to_owned();
            let remedy =
                "set pool_mode = session for this database in PgBouncer, or connect to PostgreSQL itself".to_owned();
            return Ok(Some(Unfit { found, remedy }));
        }
        let name = self.text("SELECT current_database()::text").await?;
        let encoding = self.text("SELECT current_setting('server_encoding')").await?;
        if encoding != "UTF8" {
            let found =
                format!("the database {name} has the encoding {encoding}, in which not every name can be written");
            let owner = self.text("SELECT current_user::text").await?;
            let remedy =
                format!("createdb --encoding=UTF8 --template=template0 --owner={owner} NAME, and use that one");
            return Ok(Some(Unfit { found, remedy }));
        }
        if self.is_standby().await? {
            let remedy = "name the primary in VESTIBULE_DATABASE_URL, or promote this server".to_owned();
            return Ok(Some(Unfit { found: STANDBY.to_owned(), remedy }));
        }
        // Read-only connections of the service set this parameter themselves, so that the default of new sessions is
        // queried.
        let read_only = "SELECT (reset_val = 'on')::text FROM pg_settings WHERE name = 'default_transaction_read_only'";
        if self.text(read_only).await? == "true" {
            let remedy =
                format!("ALTER DATABASE {name} RESET default_transaction_read_only, also for the role and the server");
            return Ok(Some(Unfit { found: "the database is read-only".to_owned(), remedy }));
        }
        self.missing_extension(&name).await
    }

    /// True for a standby, which is read-only.
    pub async fn is_standby(&self) -> Result<bool> {
        if self.backend() == DatabaseBackend::Sqlite {
            return Ok(false);
        }
        Ok(self.text("SELECT pg_is_in_recovery()::text").await? == "true")
    }

    /// True if the search extension exists or can be created.
    async fn missing_extension(&self, database: &str) -> Result<Option<Unfit>> {
        let there = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'";
        if self.number(there).await? > 0 {
            return self.unusable_extension().await;
        }
        let found = "the extension pg_trgm, by which users are searched, is not in the database".to_owned();
        let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'";
        if self.number(available).await? == 0 {
            let remedy = "install PostgreSQL's own extensions (on Debian and Ubuntu in postgresql, elsewhere \
                          postgresql-contrib)";
            return Ok(Some(Unfit { found, remedy: remedy.to_owned() }));
        }
        let may = "SELECT has_database_privilege(current_database(), 'CREATE')::int::bigint";
        if self.number(may).await? == 0 {
            let remedy = format!("as a superuser: psql {database} -c 'CREATE EXTENSION pg_trgm'");
            return Ok(Some(Unfit { found, remedy }));
        }
        Ok(None)
    }

    /// Checks the right to use the schema of the extension.
    async fn unusable_extension(&self) -> Result<Option<Unfit>> {
        let schema = "SELECT coalesce((SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
                      WHERE e.extname = 'pg_trgm' AND NOT has_schema_privilege(n.oid, 'USAGE')), '')";
        let schema = self.text(schema).await?;
        if schema.is_empty() {
            return Ok(None);
        }
        let role = self.text("SELECT current_user::text").await?;
        let found = format!("the extension pg_trgm is in the schema {schema}, which the role {role} must not use");
        Ok(Some(Unfit { found, remedy: format!("as a superuser: GRANT USAGE ON SCHEMA {schema} TO {role}") }))
    }

    /// True if a parameter set on a connection is lost while another connection is in a transaction: a pooler has
    /// reassigned its server connection.
    async fn is_pooled_by_transaction(&self) -> Result<bool> {
        let Some(server) = self.writer.pool().server() else { return Ok(false) };
        let attempt = async {
            let mut one = server.connect().await?;
            for _ in 0..ATTEMPTS {
                let mark = Secret::<8>::random().to_text();
                one.execute(sea_orm::sqlx::AssertSqlSafe(format!("SET vestibule.mark = '{mark}'"))).await?;
                let holding = self.reader.begin(TransactionOptions::default()).await;
                if let Ok(holding) = &holding {
                    let _ = holding.execute_unprepared("SELECT 1").await;
                }
                let read = one.fetch_one("SELECT current_setting('vestibule.mark', true) AS mark");
                let is_kept = match timeout(READ_TIMEOUT, read).await {
                    Ok(row) => row?.try_get::<Option<String>, _>("mark")?.as_deref() == Some(&mark),
                    // The pooler's only connection is in that transaction.
                    Err(_) => holding.is_err(),
                };
                if !is_kept {
                    return Ok(true);
                }
            }
            one.close().await?;
            Ok::<_, sea_orm::SqlxError>(false)
        };
        // If the test fails, other checks will report it.
        Ok(matches!(timeout(2 * CONNECT_TIMEOUT, attempt).await, Ok(Ok(true))))
    }

    pub(super) async fn text(&self, sql: &str) -> Result<String> {
        let row = self.reader.query_one_raw(Statement::from_string(self.backend(), sql)).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
    }

    pub(super) async fn number(&self, sql: &str) -> Result<i64> {
        let row = self.reader.query_one_raw(Statement::from_string(self.backend(), sql)).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
    }
}
