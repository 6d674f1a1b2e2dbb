//! Reads of single rows of an SQLite file by key, on the calling thread.
//!
//! The pool has a thread for each connection, and passing a statement and its row between threads takes longer than the
//! read. Lookups of every request are done here instead; all other statements use the pool.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use sea_orm::prelude::*;
use sea_orm::sea_query::{ColumnType, Value};
use sea_orm::{DatabaseBackend, Iterable as _, QueryTrait as _, Related, Statement, TryIntoModel};

/// Time limit for a lock of the file; slower reads are left to the pool, which waits on other threads.
const TIMEOUT: Duration = Duration::from_millis(5);

/// A prepared query for an entity by its key, with a related entity.
#[derive(Debug)]
pub struct PrimaryKeyQuery<E: EntityTrait, R: EntityTrait> {
    sql: String,
    own: Vec<(E::Column, Kind)>,
    related: Vec<(R::Column, Kind)>,
}

impl<E: EntityTrait + Related<R>, R: EntityTrait> PrimaryKeyQuery<E, R>
where
    <E::PrimaryKey as PrimaryKeyTrait>::ValueType: From<Uuid>,
{
    /// The query as written by SeaORM.
    ///
    /// # Panics
    /// If a column has an unsupported type. This depends only on the entities, so that the first test of a query
    /// reveals it.
    #[expect(clippy::new_without_default, reason = "a query has no default")]
    pub fn new() -> Self {
        let query = E::find_by_id(Uuid::nil()).find_also_related(R::default());
        Self {
            sql: query.build(DatabaseBackend::Sqlite).sql,
            own: E::Column::iter().map(|column| (column, Kind::of(&column))).collect(),
            related: R::Column::iter().map(|column| (column, Kind::of(&column))).collect(),
        }
    }
}

/// A row and its related row; `None` if there is no row.
pub type Found<E, R> = Option<(<E as EntityTrait>::Model, Option<<R as EntityTrait>::Model>)>;

/// Callback for each statement.
type Watcher = Arc<dyn Fn(&Statement) + Send + Sync>;

/// Idle connections to the file. There are as many as concurrent callers so far.
pub(super) struct PointReads {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    watcher: Option<Watcher>,
}

impl PointReads {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default(), watcher: None }
    }

    /// Path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// True if another connection to the file is open, so that it cannot be locked exclusively.
    pub(super) fn is_in_use(path: &Path) -> bool {
        let alone = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(TIMEOUT)?;
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.execute_batch("BEGIN EXCLUSIVE; ROLLBACK")
        };
        let code = alone().err().and_then(|error| error.sqlite_error_code());
        matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    /// The same reads, with a callback for each statement.
    pub(super) fn watched(&self, watcher: Watcher) -> Self {
        Self { watcher: Some(watcher), ..Self::new(&self.path) }
    }

    /// Reads the row with this key and its related row. On errors, the caller uses the pool, which waits and reports
    /// errors properly.
    pub(super) fn find<E: EntityTrait, R: EntityTrait>(
        &self,
        query: &PrimaryKeyQuery<E, R>,
        key: Uuid,
    ) -> rusqlite::Result<Found<E, R>>
    where
        E::ActiveModel: TryIntoModel<E::Model>,
        R::ActiveModel: TryIntoModel<R::Model>,
    {
        if let Some(watcher) = &self.watcher {
            watcher(&Statement::from_sql_and_values(DatabaseBackend::Sqlite, &query.sql, [key.into()]));
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = idle.map_or_else(|| open(&self.path), Ok)?;
        let found = {
            let mut statement = connection.prepare_cached(&query.sql)?;
            let mut rows = statement.query([key.as_bytes().as_slice()])?;
            match rows.next()? {
                Some(row) => {
                    let own = model::<E>(row, 0, &query.own)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
                    Some((own, model::<R>(row, query.own.len(), &query.related)?))
                }
                None => None,
            }
        };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(found)
    }
}

impl fmt::Debug for PointReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PointReads({})", self.path.display())
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(TIMEOUT)?;
    Ok(connection)
}

/// The model whose columns start at this index; `None` if all are null, as for a missing row.
fn model<E: EntityTrait>(
    row: &Row<'_>,
    first: usize,
    columns: &[(E::Column, Kind)],
) -> rusqlite::Result<Option<E::Model>>
where
    E::ActiveModel: TryIntoModel<E::Model>,
{
    let unfit = |error: DbErr| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    let mut active = <E::ActiveModel as ActiveModelTrait>::default();
    let mut is_there = false;
    for (index, (column, kind)) in columns.iter().enumerate() {
        let value = row.get_ref(first + index)?;
        is_there |= value != ValueRef::Null;
        let value = kind.read(value).ok_or_else(|| {
            rusqlite::Error::InvalidColumnType(first + index, format!("{column:?}"), value.data_type())
        })?;
        if is_there {
            active.try_set(*column, value).map_err(unfit)?;
        }
    }
    if is_there { active.try_into_model().map(Some).map_err(unfit) } else { Ok(None) }
}

/// Value of a column.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Bool,
    Int,
    BigInt,
    Text,
    Uuid,
}

impl Kind {
    fn of(column: &impl ColumnTrait) -> Self {
        match column.def().get_column_type() {
            ColumnType::Boolean => Self::Bool,
            ColumnType::Integer => Self::Int,
            ColumnType::BigInteger => Self::BigInt,
            ColumnType::Text | ColumnType::String(_) => Self::Text,
            ColumnType::Uuid => Self::Uuid,
            other => panic!("{column:?} is of a type that is not read by key: {other:?}"),
        }
    }

    fn read(self, value: ValueRef<'_>) -> Option<Value> {
        Some(match (self, value) {
            (Self::Bool, ValueRef::Null) => None::<bool>.into(),
            (Self::Int, ValueRef::Null) => None::<i32>.into(),
            (Self::BigInt, ValueRef::Null) => None::<i64>.into(),
            (Self::Text, ValueRef::Null) => None::<String>.into(),
            (Self::Uuid, ValueRef::Null) => None::<Uuid>.into(),
            (Self::Bool, ValueRef::Integer(number)) => (number != 0).into(),
            (Self::Int, ValueRef::Integer(number)) => i32::try_from(number).ok()?.into(),
            (Self::BigInt, ValueRef::Integer(number)) => number.into(),
            (Self::Text, ValueRef::Text(text)) => std::str::from_utf8(text).ok()?.into(),
            (Self::Uuid, ValueRef::Blob(bytes)) => Uuid::from_slice(bytes).ok()?.into(),
            _ => return None,
        })
    }
}
