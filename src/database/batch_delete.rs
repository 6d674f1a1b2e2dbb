//! Removing many rows without keeping anybody from writing: in steps, each a statement of its own. What is left after a
//! round is for the next one.

use sea_orm::sea_query::Query;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait, PrimaryKeyToColumn as _, QueryFilter as _,
    QueryTrait as _, StatementBuilder,
};

use crate::database::Db;
use crate::error::Result;

/// How many rows a step changes: some hundredths of a second, which others wait who want to write to SQLite.
pub(crate) const STEP: u64 = 1000;

/// How many steps a round takes of one kind.
const STEPS: usize = 100;

/// Deletes rows, looked up by their primary key `key`, and says how many.
pub(crate) async fn delete<E: EntityTrait>(db: &Db, key: E::PrimaryKey, dead: &Condition) -> Result<u64> {
    in_steps(db, E::delete_many().filter(step::<E>(key, dead)).as_query()).await
}

/// Executes a statement that changes one [`step`], until there is no more to change or the round is over. Returns how many
/// rows were changed.
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

/// As many of these rows as a step changes. Each is asked once more when it is its turn, as another transaction may have
/// changed it meanwhile.
pub(crate) fn step<E: EntityTrait>(key: E::PrimaryKey, wanted: &Condition) -> Condition {
    let key = key.into_column();
    let some = Query::select().column(key).from(E::default()).cond_where(wanted.clone()).limit(STEP).take();
    Condition::all().add(key.in_subquery(some)).add(wanted.clone())
}
