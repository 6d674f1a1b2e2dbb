//! Welcome mails of deactivated accounts: they wait until the account is activated, because their link would be invalid
//! before. Such a mail is queued without a time.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, UpdateMany};
use uuid::Uuid;

use crate::entity::mail::{self, Column, Kind, Status};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};

/// Delays the welcome mails to these users until they are activated. A worker that has leased one loses its lease.
pub async fn hold(txn: &DatabaseTransaction, users: &[Uuid]) -> Result<()> {
    let none = || Expr::value(Option::<Timestamp>::None);
    welcomes(users)
        .col_expr(Column::NextAttemptAt, none())
        .col_expr(Column::LeasedUntil, none())
        .col_expr(Column::SealedToken, Expr::value(Option::<Vec<u8>>::None))
        .col_expr(Column::Attempts, Expr::value(0))
        .exec(txn)
        .await?;
    Ok(())
}

/// Schedules the delayed welcome mails of these users, who are active now.
pub async fn release(txn: &DatabaseTransaction, now: &Now, users: &[Uuid]) -> Result<()> {
    if !users.is_empty() {
        let held = welcomes(users).filter(Column::NextAttemptAt.is_null());
        held.col_expr(Column::NextAttemptAt, Expr::value(now.at)).exec(txn).await?;
    }
    Ok(())
}

fn welcomes(users: &[Uuid]) -> UpdateMany<mail::Entity> {
    mail::Entity::update_many()
        .filter(Column::UserId.is_in(users.iter().copied()))
        .filter(Column::Kind.eq(Kind::Welcome))
        .filter(Column::Status.eq(Status::Queued))
}
