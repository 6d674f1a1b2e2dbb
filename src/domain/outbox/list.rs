//! Reading the outbox, and retrying failed mails. Neither exposes text or secrets: a row contains only the sealed
//! secret of its link.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
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

/// Selection of mails.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Mails with this status.
    pub status: Option<Status>,
    /// Mails to this address, in any spelling.
    pub recipient: Option<String>,
    /// Mails of this kind.
    pub kind: Option<Kind>,
    /// Mails to this user, also at a former address. Requests that were not looked up yet have no user.
    pub user: Option<Uuid>,
}

impl Filter {
    /// The selection as a condition.
    pub(in crate::domain) fn condition(&self) -> Condition {
        let recipient = self.recipient.as_ref().map(|address| Column::RecipientKey.eq(identifier::fold(address)));
        Condition::all()
            .add_option(self.status.map(|status| Column::Status.eq(status)))
            .add_option(recipient)
            .add_option(self.kind.map(|kind| Column::Kind.eq(kind)))
            .add_option(self.user.map(|user| Column::UserId.eq(user)))
    }
}

/// All mails that these staff may see.
pub(in crate::domain) fn visible_to(staff: Staff<'_>) -> Condition {
    visible(staff, &Filter::default())
}

/// The mails that match a filter and that these staff may see. Mails to superusers are visible to superusers only, also those queued before
/// their account existed, which refer to no user.
fn visible(staff: Staff<'_>, filter: &Filter) -> Condition {
    let superusers = |column| Query::select().column(column).from(user::Entity).and_where(user::superusers()).take();
    let is_users = Column::UserId.not_in_subquery(superusers(user::Column::Id));
    let is_nobodys = Column::RecipientKey.not_in_subquery(superusers(user::Column::EmailKey));
    let others = Condition::any().add(is_users).add(Column::UserId.is_null().and(is_nobodys));
    filter.condition().add_option((!staff.user().is_superuser).then_some(others))
}

/// A page of the outbox, newest mails first.
///
/// # Errors
/// [`crate::error::Error::BadInput`] if the page arguments are invalid.
pub async fn page(db: &Db, staff: Staff<'_>, filter: &Filter, page: &PageArgs) -> Result<Page<mail::Model>> {
    page_of(db, visible(staff, filter), page).await
}

/// A page of the mails that match a condition.
pub(in crate::domain) async fn page_of(db: &Db, seen: Condition, page: &PageArgs) -> Result<Page<mail::Model>> {
    let id = OrderTerm {
        tag: 0,
        descends: true,
        sql: Expr::col((mail::Entity, Column::Id)),
        key: Key::Id(|mail: &mail::Model| mail.id),
    };
    paging::page(db, mail::Entity::find().filter(seen), page, OrderBy(vec![id])).await
}

/// The visible ones of these mails, in one statement.
pub async fn find_many(db: &Db, staff: Staff<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, mail::Model>> {
    let seen = visible(staff, &Filter::default()).add(Column::Id.is_in(ids.iter().copied()));
    let found = mail::Entity::find().filter(seen).all(db.reader()).await?;
    Ok(found.into_iter().map(|mail| (mail.id, mail)).collect())
}

/// Counts these mails.
pub async fn count(db: &Db, staff: Staff<'_>, filter: &Filter) -> Result<u64> {
    Ok(mail::Entity::find().filter(visible(staff, filter)).count(db.reader()).await?)
}

/// Schedules a failed or waiting mail for immediate delivery. A failed one gets as many attempts as a new one.
///
/// # Errors
/// [`Code::NotFound`] of `id`; [`Code::Invalid`] if it was already sent, or its link is no longer valid;
/// [`crate::error::Error::RateLimited`] if too many mails were retried to the address.
pub async fn retry(db: &Db, now: &Now, staff: Manager<'_>, limits: &Limits, id: &str) -> Result<mail::Model> {
    let missing = || Refusal::new(Code::NotFound, "outbox-mail-missing").of("id");
    let id = Uuid::parse_str(id).map_err(|_| missing())?;
    let seen = visible(*staff, &Filter::default()).add(Column::Id.eq(id));
    let authorized = staff.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let mail = mail::Entity::find().filter(seen).one(txn).await?.ok_or_else(missing)?;
    let mail = retry_one(txn, now, &mail).await.map_err(|error| match error {
        Error::Refused(refusals) => Error::Refused(refusals.into_iter().map(|refusal| refusal.of("id")).collect()),
        error => error,
    })?;
    rate_limits::take_address(txn, now, limits, Purpose::Retry, &mail.recipient).await?;
    authorized.commit().await?;
    Ok(mail)
}

/// Queues a mail again if its link is still valid.
///
/// # Errors
/// [`Code::Invalid`] if it was already sent, is held, or its link has no owner any more.
pub(in crate::domain) async fn retry_one(
    txn: &DatabaseTransaction,
    now: &Now,
    mail: &mail::Model,
) -> Result<mail::Model> {
    if mail.status == Status::Cancelled || !has_owner(txn, now, mail).await? {
        return Err(Refusal::new(Code::Invalid, "outbox-mail-outdated").into());
    }
    if mail.status == Status::Held {
        return Err(Refusal::new(Code::Invalid, "outbox-mail-held").into());
    }
    let waiting = Column::Status.is_in([Status::Queued, Status::Failed]);
    let retried = requeue(now).filter(Column::Id.eq(mail.id)).filter(waiting).exec_with_returning(txn).await?;
    let sent = || Refusal::new(Code::Invalid, "outbox-mail-sent");
    Ok(retried.into_iter().next().ok_or_else(sent)?)
}

/// True if the account, address or registration of the mail still expects it.
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
        // The account is looked up at delivery.
        Kind::ResetPassword if mail.user_id.is_none() => true,
        // Links of inactive accounts are invalid.
        Kind::ResetPassword | Kind::Welcome => user.is_some_and(|user| user.is_active),
        // Notices also go to deactivated accounts, because a thief may have deactivated them.
        _ => user.is_some(),
    })
}

/// Queues mails for immediate delivery. The caller selects mails that were not sent yet.
fn requeue(now: &Now) -> UpdateMany<mail::Entity> {
    let attempts = Expr::case(Column::Status.eq(Status::Failed), 0).finally(Expr::col(Column::Attempts));
    mail::Entity::update_many()
        .col_expr(Column::Attempts, attempts.into())
        .col_expr(Column::Status, Expr::value(Status::Queued))
        .col_expr(Column::QueuedAt, Expr::value(now.at))
        .col_expr(Column::NextAttemptAt, Expr::value(now.at))
}
