//! Looking through the outbox, and sending what was given up once more. Neither shows a text or a secret: a row has none,
//! but for the sealed one of a link, which stays sealed.

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    UpdateMany,
};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::account::registration::pending;
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::{Manager, Staff};
use crate::domain::paging::{self, Key, OrderBy, OrderTerm, Page, PageArgs};
use crate::domain::rate_limits::{self, Limits, Purpose};
use crate::entity::mail::{self, Column, Kind, Status};
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;

/// The mails to look at.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this status.
    pub status: Option<Status>,
    /// To this address, in any spelling of it.
    pub recipient: Option<String>,
}

impl Filter {
    /// The same as a condition.
    pub(in crate::domain) fn condition(&self) -> Condition {
        let recipient = self.recipient.as_ref().map(|address| Column::RecipientKey.eq(identifier::fold(address)));
        Condition::all().add_option(self.status.map(|status| Column::Status.eq(status))).add_option(recipient)
    }
}

/// The mails that these staff may see: those to superusers show to superusers only, as they do themselves.
fn visible(staff: Staff<'_>, filter: &Filter) -> Condition {
    let superusers = Query::select().column(user::Column::Id).from(user::Entity).and_where(user::superusers()).take();
    let others = Condition::any().add(Column::UserId.is_null()).add(Column::UserId.not_in_subquery(superusers));
    filter.condition().add_option((!staff.user().is_superuser).then_some(others))
}

/// A page of the outbox, the newest mails first.
///
/// # Errors
/// [`crate::error::Error::BadInput`] where the window makes no sense.
pub async fn page(db: &Db, staff: Staff<'_>, filter: &Filter, window: &PageArgs) -> Result<Page<mail::Model>> {
    page_of(db, visible(staff, filter), window).await
}

/// The same of the mails that may be seen.
pub(in crate::domain) async fn page_of(db: &Db, seen: Condition, window: &PageArgs) -> Result<Page<mail::Model>> {
    let id = OrderTerm {
        tag: 0,
        descends: true,
        sql: Expr::col((mail::Entity, Column::Id)),
        key: Key::Id(|mail: &mail::Model| mail.id),
    };
    paging::page(db, mail::Entity::find().filter(seen), window, OrderBy(vec![id])).await
}

/// Counts these mails.
pub async fn count(db: &Db, staff: Staff<'_>, filter: &Filter) -> Result<u64> {
    Ok(mail::Entity::find().filter(visible(staff, filter)).count(db.reader()).await?)
}

/// Lets a mail that was given up, or waits for its next attempt, be sent at the next opportunity. One that was given up
/// gets as many attempts as a new one.
///
/// # Errors
/// [`Code::NotFound`] of `id`; [`Code::Invalid`] where it was sent already, or its link would be worthless; [`crate::error::Error::RateLimited`] where the
/// address was sent too many mails by retries.
pub async fn retry(db: &Db, now: &Now, staff: Manager<'_>, limits: &Limits, id: &str) -> Result<mail::Model> {
    let missing = || Refusal::new(Code::NotFound, "There is no such mail.").of("id");
    let id = Uuid::parse_str(id).map_err(|_| missing())?;
    let seen = visible(*staff, &Filter::default()).add(Column::Id.eq(id));
    let authorized = staff.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let mail = mail::Entity::find().filter(seen).one(txn).await?.ok_or_else(missing)?;
    let mail = retry_one(txn, now, &mail).await.map_err(|error| match error {
        Error::Refused(refusals) => Error::Refused(refusals.into_iter().map(|refusal| refusal.of("id")).collect()),
        error => error,
    })?;
    rate_limits::take_address(txn, now, limits, (Purpose::Retry, &mail.recipient)).await?;
    authorized.commit().await?;
    Ok(mail)
}

/// Puts a mail back in line whose link would still lead somewhere.
///
/// # Errors
/// [`Code::Invalid`] where it was sent already or is held back, or nobody is left for its link.
pub(in crate::domain) async fn retry_one(
    txn: &DatabaseTransaction,
    now: &Now,
    mail: &mail::Model,
) -> Result<mail::Model> {
    if mail.status == Status::Cancelled || !has_owner(txn, now, mail).await? {
        let message = "This email is out of date: its link would no longer be valid. Request a new one.";
        return Err(Refusal::new(Code::Invalid, message).into());
    }
    if mail.status == Status::Held {
        let message = "An operator holds this email back. It is sent once they release it.";
        return Err(Refusal::new(Code::Invalid, message).into());
    }
    let waiting = Column::Status.is_in([Status::Queued, Status::Failed]);
    let retried = put_back(now).filter(Column::Id.eq(mail.id)).filter(waiting).exec_with_returning(txn).await?;
    let sent = || Refusal::new(Code::Invalid, "This email was already sent.");
    Ok(retried.into_iter().next().ok_or_else(sent)?)
}

/// Whether the account, the address or the registration that a mail is for still waits for it.
async fn has_owner(txn: &DatabaseTransaction, now: &Now, mail: &mail::Model) -> Result<bool> {
    let user = match mail.user_id {
        Some(id) => user::Entity::find_by_id(id).one(txn).await?,
        None => None,
    };
    Ok(match mail.kind {
        Kind::ConfirmNewEmail => user.and_then(|user| user.pending_email).as_ref() == Some(&mail.recipient),
        Kind::VerifyEmail => match mail.registration_id {
            Some(id) => pending::find(txn, now, id).await?.is_some(),
            None => true,
        },
        // Whose it is turns out when it is sent.
        Kind::ResetPassword if mail.user_id.is_none() => true,
        // Their links would be dead.
        Kind::ResetPassword | Kind::Welcome => user.is_some_and(|user| user.is_active),
        // The others are sent to a deactivated account, too, which a thief may have deactivated.
        _ => user.is_some(),
    })
}

/// Puts mails in line for the next opportunity; which ones, and that none was sent already, is for the caller to say.
fn put_back(now: &Now) -> UpdateMany<mail::Entity> {
    let attempts = Expr::case(Column::Status.eq(Status::Failed), 0).finally(Expr::col(Column::Attempts));
    mail::Entity::update_many()
        .col_expr(Column::Attempts, attempts.into())
        .col_expr(Column::Status, Expr::value(Status::Queued))
        .col_expr(Column::QueuedAt, Expr::value(now.at))
        .col_expr(Column::NextAttemptAt, Expr::value(now.at))
}
