//! Copies all tables from one database to another, of either kind, as they were at one moment. The target is written in
//! one transaction. It commits only after everything was read back and compared, so that an interrupted copy leaves the
//! target unchanged.
//!
//! The target's schema is created by its own migrations. Generated columns and search indexes are filled by the
//! database as rows are inserted.

// Comparison of two tables.
mod checksum;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityName as _, EntityTrait, IntoActiveModel,
    Iterable as _, ModelTrait, PaginatorTrait as _, PrimaryKeyToColumn as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Value,
};

use self::checksum::TableChecksum;
use crate::database::Db;
use crate::entity::{
    api_token, audit_event, email_undo, factor, former_username, import_file, import_job, import_mapping, imported_id,
    instance, known_device, known_network, limit, mail, one_time_token, passkey, pending_deletion, recovery_code,
    registration, sample, sent_form, session, sign_in_challenge, signing_key, user,
};
use crate::error::{Error, Result};
use crate::texts::Text;

/// Rows in memory at a time. A user has 33 columns, and SQLite accepts 32,766 values per statement.
const BATCH: u64 = 500;

/// Progress of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Rows were written, or read back.
    Rows {
        /// Name of the table.
        table: &'static str,
        /// Number of processed rows; each row counts once when it is written and once when it is read back.
        done: u64,
        /// Total of `done`.
        of: u64,
    },
    /// A table was written and compared.
    Table(Copied),
}

/// A copied table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: &'static str,
    /// Number of rows.
    pub rows: u64,
    /// Digest of its content, independent of the order of rows and the kind of database.
    pub digest: String,
}

/// A table to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Copied columns.
    pub columns: Vec<String>,
}

/// Calls a generic function for each table, in an order in which rows refer only to rows of earlier tables.
macro_rules! each_table {
    ($entity:ident => $call:expr) => {
        each_table!($entity => $call;
            user, signing_key, session, factor, passkey, recovery_code, one_time_token, email_undo, former_username, api_token,
            registration, mail, sample, audit_event, limit, pending_deletion, imported_id, known_network, known_device,
            sent_form, sign_in_challenge, instance, import_job, import_file, import_mapping)
    };
    ($entity:ident => $call:expr; $($module:ident),+) => {
        [$({ use $module::Entity as $entity; $call }),+]
    };
}

/// Tables that are copied: all except the list of migrations, internal tables of the database, and leases, which belong
/// to instances on the source.
pub fn tables() -> Vec<Table> {
    each_table!(Entity => table::<Entity>()).into()
}

/// Copies everything from one database to another, which must be empty. Creates the target's schema.
///
/// # Errors
/// [`Error::BadInput`] if the source lacks migrations or the target contains rows; [`Error::Internal`] if the rows read
/// back differ from those written, or a newer version has changed either database. The target is unchanged.
pub async fn copy(source: &Db, target: &Db, watch: &(dyn Fn(Progress) + Sync)) -> Result<Vec<Copied>> {
    if !source.is_migrated().await? {
        return Err(Error::BadInput(Text::new("copy-source-outdated")));
    }
    let from = source.snapshot().await?;
    // No other instance migrates the target or starts to serve on it meanwhile.
    let to = target.begin_alone().await?;
    Db::migrate(&to).await?;
    for (table, rows) in each_table!(Entity => (Entity.table_name(), count::<Entity>(&to).await?)) {
        if rows > 0 {
            return Err(Error::BadInput(Text::new("copy-target-not-empty").with("table", table)));
        }
    }
    let copied = each_table!(Entity => copy_table::<Entity>(&from, &to, watch).await?);
    if target.backend() == sea_orm::DatabaseBackend::Postgres {
        // Without statistics, the first requests would be planned as for an empty database.
        let tables: Vec<&str> = copied.iter().map(|copied| copied.table).collect();
        to.execute_unprepared(&format!("ANALYZE {}", tables.join(", "))).await?;
    }
    to.commit().await?;
    Ok(copied.into())
}

/// Copies a table and compares it.
async fn copy_table<E: EntityTrait>(
    from: &DatabaseTransaction,
    to: &DatabaseTransaction,
    watch: &(dyn Fn(Progress) + Sync),
) -> Result<Copied>
where
    E::Model: IntoActiveModel<E::ActiveModel> + ModelTrait<Entity = E> + Sync,
    E::ActiveModel: Send,
{
    let table = E::default().table_name();
    let of = 2 * count::<E>(from).await?;
    let mut written = TableChecksum::default();
    let mut last = None;
    loop {
        let rows = batch::<E>(from, last).await?;
        let Some(row) = rows.last() else { break };
        last = Some(row.get(key::<E>()));
        rows.iter().try_for_each(|row| written.add(row))?;
        E::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model)).exec_without_returning(to).await?;
        watch(Progress::Rows { table, done: written.rows, of });
    }
    let mut found = TableChecksum::default();
    let mut last = None;
    loop {
        let rows = batch::<E>(to, last).await?;
        let Some(row) = rows.last() else { break };
        last = Some(row.get(key::<E>()));
        rows.iter().try_for_each(|row| found.add(row))?;
        watch(Progress::Rows { table, done: written.rows + found.rows, of });
    }
    if found != written {
        let message = format!(
            "{table} differs after copying: {} rows written ({}), {} read back ({}); nothing was kept",
            written.rows,
            written.to_text(),
            found.rows,
            found.to_text()
        );
        return Err(Error::internal(message));
    }
    let copied = Copied { table, rows: written.rows, digest: written.to_text() };
    watch(Progress::Table(copied.clone()));
    Ok(copied)
}

/// Next batch of rows by primary key, after this key.
async fn batch<E: EntityTrait>(db: &impl ConnectionTrait, after: Option<Value>) -> Result<Vec<E::Model>> {
    let rows = E::find().order_by_asc(key::<E>()).limit(BATCH);
    let rows = match after {
        Some(after) => rows.filter(key::<E>().gt(after)),
        None => rows,
    };
    Ok(rows.all(db).await?)
}

async fn count<E: EntityTrait>(db: &impl ConnectionTrait) -> Result<u64>
where
    E::Model: Sync,
{
    Ok(E::find().count(db).await?)
}

fn key<E: EntityTrait>() -> E::Column {
    let key = E::PrimaryKey::iter().next().expect("every table has a key");
    key.into_column()
}

fn table<E: EntityTrait>() -> Table {
    let columns = E::Column::iter().map(|column| sea_orm::Iden::to_string(&column)).collect();
    Table { name: E::default().table_name(), columns }
}
