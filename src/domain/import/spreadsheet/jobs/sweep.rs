//! Deletion of files and rows after their retention period, and the end of steps whose process died.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryTrait as _};

use super::{HISTORY, Jobs};
use crate::database::batch_delete;
use crate::domain::leases::LEASE;
use crate::entity::import_file;
use crate::entity::import_job::{self, Column, State};
use crate::error::Result;
use crate::texts::Text;
use crate::tools::clock::Now;

/// Deletes expired files and old rows, and ends steps of other processes that gave no sign for a minute.
pub async fn sweep(jobs: &Jobs, now: &Now) -> Result<()> {
    let db = &jobs.db;
    let dead = Condition::all()
        .add(Column::State.is_in(State::UNDER_WAY))
        .add(Column::SeenAt.lte(now.at.minus(LEASE)))
        .add(Column::Id.is_not_in(jobs.importer.under_way.ids()));
    let ended = import_job::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Failed))
        .col_expr(Column::Failure, Expr::value(Text::new("import-interrupted").english()))
        .filter(batch_delete::step::<import_job::Entity>(import_job::PrimaryKey::Id, &dead));
    batch_delete::in_steps(db, ended.as_query()).await?;
    let expired = Condition::all().add(import_file::Column::ExpiresAt.lte(now.at));
    let deleted = batch_delete::delete::<import_file::Entity>(db, import_file::PrimaryKey::JobId, &expired).await?;
    if deleted > 0 {
        db.scrub().await;
    }
    // Ids are in the order of creation.
    let old = Condition::all().add(Column::Id.lt(now.at.minus(HISTORY).first_id()));
    batch_delete::delete::<import_job::Entity>(db, import_job::PrimaryKey::Id, &old).await?;
    Ok(())
}
