//! The whole service from one database to another, of either kind: all rows of all tables as they were at one moment, in one
//! transaction of the target, which commits only once everything was read back from it and is the same. So whatever
//! interrupts a copy, the target holds all of it or nothing.
//!
//! The target's schema is made by its own migrations, and with it what databases keep for themselves: generated columns and
//! the indexes of searching fill themselves as rows come.

// Whether two tables hold the same.
mod checksum;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityName as _, EntityTrait, IntoActiveModel,
    Iterable as _, ModelTrait, PaginatorTrait as _, PrimaryKeyToColumn as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Value,
};

use self::checksum::TableChecksum;
use crate::database::Db;
use crate::entity::{
    api_token, audit_event, email_undo, former_username, imported_id, instance, known_network, limit, mail,
    one_time_token, pending_deletion, registration, sample, sent_form, session, signing_key, user,
};
use crate::error::{Error, Result};

/// How many rows are in memory at a time. A user has 27 columns, and SQLite takes 32,766 values in a statement.
const BATCH: u64 = 500;

/// What has happened so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many of so many rows were written, or read back.
    Rows {
        /// Of which table.
        table: &'static str,
        /// How many were dealt with; each row is once when it is written, and once when it is read back.
        done: u64,
        /// Of how many.
        of: u64,
    },
    /// A table was written, and is the same on both sides.
    Table(Copied),
}

/// A table that is the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// A digest of all that is in them; it does not depend on their order, nor on the kind of the database.
    pub digest: String,
}

/// A table, as it is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns that are copied.
    pub columns: Vec<String>,
}

/// Calls a generic function for each table, in an order in which no row names one that is not there yet.
macro_rules! each_table {
    ($entity:ident => $call:expr) => {
        each_table!($entity => $call;
            user, signing_key, session, one_time_token, email_undo, former_username, api_token, registration, mail, sample,
            audit_event, limit, pending_deletion, imported_id, known_network, sent_form, instance)
    };
    ($entity:ident => $call:expr; $($module:ident),+) => {
        [$({ use $module::Entity as $entity; $call }),+]
    };
}

/// The tables that are copied: all but the list of migrations, what a database keeps for itself, and turns at work, which
/// instances on the source hold.
pub fn tables() -> Vec<Table> {
    each_table!(Entity => table::<Entity>()).into()
}

/// Copies everything from one database to another, which must be empty; its schema is made on the way.
///
/// # Errors
/// [`Error::BadInput`] where the source lacks migrations or the target holds rows already; [`Error::Internal`] where what was
/// read back is not what was written, or where either database was changed by a newer version. The target is then as before.
pub async fn copy(source: &Db, target: &Db, watch: &(dyn Fn(Progress) + Sync)) -> Result<Vec<Copied>> {
    if !source.is_migrated().await? {
        return Err(Error::BadInput("the source is not up to date: run `vestibule migrate` on it first".to_owned()));
    }
    let from = source.snapshot().await?;
    // Nobody else migrates or starts to serve on the target meanwhile.
    let to = target.begin_alone().await?;
    Db::migrate(&to).await?;
    for (table, rows) in each_table!(Entity => (Entity.table_name(), count::<Entity>(&to).await?)) {
        if rows > 0 {
            let message = format!("there are rows in {table} of the target already: give a database that is empty");
            return Err(Error::BadInput(message));
        }
    }
    let copied = each_table!(Entity => copy_table::<Entity>(&from, &to, watch).await?);
    if target.backend() == sea_orm::DatabaseBackend::Postgres {
        // Else the first requests would be planned as for an empty database.
        let tables: Vec<&str> = copied.iter().map(|copied| copied.table).collect();
        to.execute_unprepared(&format!("ANALYZE {}", tables.join(", "))).await?;
    }
    to.commit().await?;
    Ok(copied.into())
}

/// Copies a table, and compares it.
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
            "{table} came to differ: written were {} rows ({}), read back {} ({}); nothing was kept",
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

/// The next rows by their key, after this one.
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
