//! Looking through the outbox, and sending what was given up once more.

use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use super::Operator;
use crate::database::Db;
use crate::domain::outbox::list;
use crate::domain::paging::{Page, Window};
use crate::entity::mail::{self, Column, Status};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Moment;

/// A page of the mails of one status, or of all, the newest first.
///
/// # Errors
/// [`crate::error::Error::BadInput`] where the window makes no sense.
pub async fn page(db: &Db, _operator: &Operator, status: Option<Status>, window: &Window) -> Result<Page<mail::Model>> {
    list::page_of(db, Condition::all().add_option(status.map(|status| Column::Status.eq(status))), window).await
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
pub async fn retry(db: &Db, now: &Moment, operator: &Operator, id: &str) -> Result<mail::Model> {
    let mail = find(db, operator, id).await?;
    let (txn, ref now) = db.begin(now).await?;
    let mail = list::retry_one(&txn, now, &mail).await?;
    txn.commit().await?;
    Ok(mail)
}

/// The same of all mails that were given up, but for those whose link would be worthless; returns how many were put back.
pub async fn retry_all(db: &Db, now: &Moment, _operator: &Operator) -> Result<u64> {
    let failed = mail::Entity::find().filter(Column::Status.eq(Status::Failed)).order_by_asc(Column::Id);
    let mut put_back = 0;
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

fn missing() -> Refusal {
    Refusal::new(Code::NotFound, "There is no such mail.")
}
