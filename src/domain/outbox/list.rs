//! Looking through the outbox, and sending what was given up once more. Neither shows a text or a secret: a row has none,
//! but for the sealed one of a link, which stays sealed.

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, UpdateMany};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::access::Staff;
use crate::domain::limits::{self, Limits};
use crate::domain::paging::{self, Key, Page, Term, Terms, Window};
use crate::entity::mail::{self, Column, Status};
use crate::entity::user;
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Moment;

/// The mails that these staff may see, of one status or all: those to superusers show to superusers only, as they do
/// themselves.
fn visible(staff: Staff<'_>, status: Option<Status>) -> Condition {
    let superusers = Query::select().column(user::Column::Id).from(user::Entity).and_where(user::superusers()).take();
    let others = Condition::any().add(Column::UserId.is_null()).add(Column::UserId.not_in_subquery(superusers));
    Condition::all()
        .add_option(status.map(|status| Column::Status.eq(status)))
        .add_option((!staff.user().is_superuser).then_some(others))
}

/// A page of the outbox, the newest mails first.
///
/// # Errors
/// [`crate::error::Error::BadInput`] where the window makes no sense.
pub async fn page(db: &Db, staff: Staff<'_>, status: Option<Status>, window: &Window) -> Result<Page<mail::Model>> {
    page_of(db, visible(staff, status), window).await
}

/// The same of the mails that may be seen.
pub(in crate::domain) async fn page_of(db: &Db, seen: Condition, window: &Window) -> Result<Page<mail::Model>> {
    let id = Term {
        tag: 0,
        descends: true,
        sql: Expr::col((mail::Entity, Column::Id)),
        key: Key::Id(|mail: &mail::Model| mail.id),
    };
    paging::page(db, mail::Entity::find().filter(seen), window, Terms(vec![id])).await
}

/// How many mails of this status there are, or of all.
pub async fn count(db: &Db, staff: Staff<'_>, status: Option<Status>) -> Result<u64> {
    Ok(mail::Entity::find().filter(visible(staff, status)).count(db.reader()).await?)
}

/// Lets a mail that was given up, or waits for its next attempt, be sent at the next opportunity. One that was given up
/// gets as many attempts as a new one.
///
/// # Errors
/// [`Code::NotFound`] of `id`; [`Code::Invalid`] where it was sent already; [`crate::error::Error::RateLimited`] where the
/// address was sent too many mails, which counts retries and what strangers ask for together.
pub async fn retry(db: &Db, now: &Moment, staff: Staff<'_>, limits: &Limits, id: &str) -> Result<mail::Model> {
    let missing = || Refusal::new(Code::NotFound, "There is no such mail.").of("id");
    let id = Uuid::parse_str(id).map_err(|_| missing())?;
    let seen = visible(staff, None).add(Column::Id.eq(id));
    let txn = db.begin().await?;
    let retried =
        put_back(now).filter(seen.clone().add(Column::Status.ne(Status::Sent))).exec_with_returning(&txn).await?;
    if let Some(mail) = retried.into_iter().next() {
        limits::take_address(&txn, now, limits, &mail.recipient).await?;
        txn.commit().await?;
        return Ok(mail);
    }
    match mail::Entity::find().filter(seen).count(&txn).await? {
        0 => Err(missing().into()),
        _ => Err(Refusal::new(Code::Invalid, "This mail was sent already.").of("id").into()),
    }
}

/// Puts mails in line for the next opportunity; which ones, and that none was sent already, is for the caller to say.
pub(in crate::domain) fn put_back(now: &Moment) -> UpdateMany<mail::Entity> {
    let attempts = Expr::case(Column::Status.eq(Status::Failed), 0).finally(Expr::col(Column::Attempts));
    mail::Entity::update_many()
        .col_expr(Column::Attempts, attempts.into())
        .col_expr(Column::Status, Expr::value(Status::Queued))
        .col_expr(Column::NextAttemptAt, Expr::value(now.at))
}
