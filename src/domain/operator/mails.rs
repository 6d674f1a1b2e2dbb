//! Looking through the outbox, and sending what was given up once more.

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

/// A page of these mails, the newest first.
///
/// # Errors
/// [`crate::error::Error::BadInput`] where the window makes no sense.
pub async fn page(db: &Db, _operator: &Operator, filter: &Filter, window: &PageArgs) -> Result<Page<mail::Model>> {
    list::page_of(db, filter.condition(), window).await
}

/// The mail with this id.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn find(db: &Db, _operator: &Operator, id: &str) -> Result<mail::Model> {
    let id = Uuid::parse_str(id).map_err(|_| missing())?;
    Ok(mail::Entity::find_by_id(id).one(db.reader()).await?.ok_or_else(missing)?)
}

/// Lets a mail that was given up, or waits, be sent at the next opportunity, with as many attempts as a new one if it was
/// given up. No limit holds it back.
///
/// # Errors
/// [`Code::NotFound`]; [`Code::Invalid`] where it was sent already, or its link would be worthless.
pub async fn retry(db: &Db, now: &Now, operator: &Operator, id: &str) -> Result<mail::Model> {
    let mail = find(db, operator, id).await?;
    let (txn, ref now) = db.begin(now).await?;
    let mail = list::retry_one(&txn, now, &mail).await?;
    txn.commit().await?;
    Ok(mail)
}

/// The same of all mails that were given up, but for those whose link would be worthless, and of all that wait for another
/// attempt; returns how many are sent at the next opportunity by that.
pub async fn retry_all(db: &Db, now: &Now, _operator: &Operator) -> Result<u64> {
    let failed = mail::Entity::find().filter(Column::Status.eq(Status::Failed)).order_by_asc(Column::Id);
    let waiting = mail::Entity::update_many()
        .col_expr(Column::NextAttemptAt, Expr::value(now.at))
        .filter(Column::Status.eq(Status::Queued))
        .filter(Column::NextAttemptAt.gt(now.at));
    let mut put_back = waiting.exec(db.writer()).await?.rows_affected;
    for mail in failed.all(db.reader()).await? {
        let (txn, ref now) = db.begin(now).await?;
        match list::retry_one(&txn, now, &mail).await {
            Ok(_) => put_back += 1,
            Err(Error::Refused(_)) => {}
            Err(error) => return Err(error),
        }
        txn.commit().await?;
    }
    Ok(put_back)
}

/// Holds the mails of this kind that wait; returns how many.
pub async fn hold(db: &Db, now: &Now, _operator: &Operator, kind: Kind) -> Result<u64> {
    by_kind::hold(db, now, kind).await
}

/// Puts the mails of this kind that were held in line again; returns how many.
pub async fn release(db: &Db, now: &Now, _operator: &Operator, kind: Kind) -> Result<u64> {
    by_kind::release(db, now, kind).await
}

/// Cancels the mails of this kind that wait or are held; returns how many.
pub async fn cancel(db: &Db, now: &Now, _operator: &Operator, kind: Kind) -> Result<u64> {
    by_kind::cancel(db, now, kind).await
}

fn missing() -> Refusal {
    Refusal::new(Code::NotFound, "There is no such mail.")
}
