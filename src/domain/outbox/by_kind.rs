//! Holding, releasing and cancelling all waiting mails of one kind.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _};

use crate::database::Db;
use crate::entity::mail::{self, Column, Kind, Status};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};

/// Holds the waiting mails of this kind until they are released. Later mails, and mails that are being sent at this
/// moment, are not held. Returns the number of held mails.
pub async fn hold(db: &Db, now: &Now, kind: Kind) -> Result<u64> {
    let held = mail::Entity::update_many().col_expr(Column::Status, Expr::value(Status::Held));
    Ok(held.filter(waiting(now, kind)).exec(db.writer()).await?.rows_affected)
}

/// Queues the held mails of this kind again. Returns their number.
pub async fn release(db: &Db, now: &Now, kind: Kind) -> Result<u64> {
    let released = mail::Entity::update_many()
        .col_expr(Column::Status, Expr::value(Status::Queued))
        .col_expr(Column::QueuedAt, Expr::value(now.at))
        .col_expr(Column::NextAttemptAt, Expr::value(now.at))
        .filter(of(kind, Status::Held));
    Ok(released.exec(db.writer()).await?.rows_affected)
}

/// Cancels the waiting and held mails of this kind; they are no longer sent. Returns their number.
pub async fn cancel(db: &Db, now: &Now, kind: Kind) -> Result<u64> {
    let cancelled = mail::Entity::update_many()
        .col_expr(Column::Status, Expr::value(Status::Cancelled))
        .col_expr(Column::NextAttemptAt, Expr::value(Option::<Timestamp>::None))
        .col_expr(Column::SealedToken, Expr::value(Option::<Vec<u8>>::None))
        .filter(Condition::any().add(waiting(now, kind)).add(of(kind, Status::Held)));
    Ok(cancelled.exec(db.writer()).await?.rows_affected)
}

/// Waiting mails of this kind that no worker has leased.
fn waiting(now: &Now, kind: Kind) -> Condition {
    let free = Condition::any().add(Column::LeasedUntil.is_null()).add(Column::LeasedUntil.lte(now.at));
    of(kind, Status::Queued).add(free)
}

fn of(kind: Kind, status: Status) -> Condition {
    Condition::all().add(Column::Status.eq(status)).add(Column::Kind.eq(kind))
}
