//! Reading the outbox, and retrying failed mails.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use super::Operator;
use crate::database::Db;
use crate::domain::outbox::by_kind;
use crate::domain::outbox::list::{self, Filter};
use crate::domain::paging::{Page, PageArgs};
use crate::entity::mail::{self, Column, Kind, Status};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;

/// A page of mails, newest first.
///
/// # Errors
/// [`crate::error::Error::BadInput`] if the page arguments are invalid.
pub async fn page(db: &Db, _operator: &Operator, filter: &Filter, page: &PageArgs) -> Result<Page<mail::Model>> {
    list::page_of(db, filter.condition(), page).await
}

/// The mail with this id.
///
/// # Errors
/// [`Code::NotFound`] if no mail has this id.
pub async fn find(db: &Db, _operator: &Operator, id: &str) -> Result<mail::Model> {
    let id = Uuid::parse_str(id).map_err(|_| missing())?;
    Ok(mail::Entity::find_by_id(id).one(db.reader()).await?.ok_or_else(missing)?)
}

/// Schedules a failed or waiting mail for immediate delivery. A failed one gets as many attempts as a new one. No rate
/// limit applies.
///
/// # Errors
/// [`Code::NotFound`]; [`Code::Invalid`] if it was already sent, or its link is no longer valid.
pub async fn retry(db: &Db, now: &Now, operator: &Operator, id: &str) -> Result<mail::Model> {
    let mail = find(db, operator, id).await?;
    let (txn, ref now) = db.begin(now).await?;
    let mail = list::retry_one(&txn, now, &mail).await?;
    txn.commit().await?;
    Ok(mail)
}

/// Does the same for all failed mails whose link is still valid, and for all mails that wait for another attempt.
/// Returns the number of mails that are sent earlier as a result.
pub async fn retry_all(db: &Db, now: &Now, _operator: &Operator) -> Result<u64> {
    let failed = mail::Entity::find().filter(Column::Status.eq(Status::Failed)).order_by_asc(Column::Id);
    let waiting = mail::Entity::update_many()
        .col_expr(Column::NextAttemptAt, Expr::value(now.at))
        .filter(Column::Status.eq(Status::Queued))
        .filter(Column::NextAttemptAt.gt(now.at));
    let mut requeued = waiting.exec(db.writer()).await?.rows_affected;
    for mail in failed.all(db.reader()).await? {
        let (txn, ref now) = db.begin(now).await?;
        match list::retry_one(&txn, now, &mail).await {
            Ok(_) => requeued += 1,
            Err(Error::Refused(_)) => {}
            Err(error) => return Err(error),
        }
        txn.commit().await?;
    }
    Ok(requeued)
}

/// Holds the waiting mails of this kind. Returns their number.
pub async fn hold(db: &Db, now: &Now, _operator: &Operator, kind: Kind) -> Result<u64> {
    by_kind::hold(db, now, kind).await
}

/// Queues the held mails of this kind again. Returns their number.
pub async fn release(db: &Db, now: &Now, _operator: &Operator, kind: Kind) -> Result<u64> {
    by_kind::release(db, now, kind).await
}

/// Cancels the waiting and held mails of this kind. Returns their number.
pub async fn cancel(db: &Db, now: &Now, _operator: &Operator, kind: Kind) -> Result<u64> {
    by_kind::cancel(db, now, kind).await
}

fn missing() -> Refusal {
    Refusal::new(Code::NotFound, "outbox-mail-missing")
}
