//! Deleting many rows without blocking other writers: in steps, each a separate statement. The rest of a round is left
//! to the next one.

use sea_orm::sea_query::Query;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait, PrimaryKeyToColumn as _, QueryFilter as _,
    QueryTrait as _, StatementBuilder,
};

use crate::database::Db;
use crate::error::Result;

/// Rows per step; takes some hundredths of a second, for which other writers to SQLite wait.
pub(crate) const STEP: u64 = 1000;

/// Maximum number of steps per round for one kind of rows.
const STEPS: usize = 100;

/// Deletes rows by their primary key `key`. Returns their number.
pub(crate) async fn delete<E: EntityTrait>(db: &Db, key: E::PrimaryKey, dead: &Condition) -> Result<u64> {
    in_steps(db, E::delete_many().filter(step::<E>(key, dead)).as_query()).await
}

/// Repeats a statement that changes one [`step`] until no rows are left or the round is over. Returns the number of
/// changed rows.
pub(crate) async fn in_steps(db: &Db, statement: &impl StatementBuilder) -> Result<u64> {
    let mut changed = 0;
    for _ in 0..STEPS {
        let rows = db.writer().execute(statement).await?.rows_affected();
        changed += rows;
        if rows < STEP {
            break;
        }
    }
    Ok(changed)
}

/// One step of these rows. The condition is checked again for each row, because another transaction may have changed
/// it.
pub(crate) fn step<E: EntityTrait>(key: E::PrimaryKey, wanted: &Condition) -> Condition {
    let key = key.into_column();
    let some = Query::select().column(key).from(E::default()).cond_where(wanted.clone()).limit(STEP).take();
    Condition::all().add(key.in_subquery(some)).add(wanted.clone())
}
