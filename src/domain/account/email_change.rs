//! Changing the email address: stored as pending first, carried out when the owner of the new address follows the link.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::domain::account::undo_email_change::{self, MadeBy};
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::outbox;
use crate::domain::users::reserved::{self, ReservationHolder, WrittenAccount};
use crate::domain::users::search_terms;
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::one_time_token::{self, Purpose};
use crate::entity::user::{self, Column};
use crate::error::{Code, Error, Refusal, Result, on_conflict};
use crate::tools::clock::Now;
use crate::tools::identifier;
use crate::tools::secret::Secret;

/// Requests another address for the account, which the caller writes: the address is pending until its owner follows
/// the link in the queued mail. An earlier link becomes invalid, because it was sent to another address. A different
/// spelling of the same address takes effect immediately.
pub(super) async fn request(
    txn: &DatabaseTransaction,
    now: &Now,
    account: &mut user::Model,
    email: String,
) -> Result<()> {
    cancel(txn, account.id).await?;
    if identifier::same_address(&email, &account.email) {
        account.email = email;
        account.pending_email = None;
    } else {
        outbox::enqueue(txn, now, Kind::ConfirmNewEmail, &email, Some(account.id)).await?;
        account.pending_email = Some(email);
    }
    Ok(())
}

/// Invalidates the link to the pending address of this account, which is locked, and cancels its unsent mail.
pub(super) async fn cancel(txn: &DatabaseTransaction, account: Uuid) -> Result<()> {
    let earlier = Condition::all()
        .add(one_time_token::Column::UserId.eq(account))
        .add(one_time_token::Column::Purpose.eq(Purpose::EmailChange));
    one_time_token::Entity::delete_many().filter(earlier).exec(txn).await?;
    revocation::cancel_mails(txn, &[account], &[Kind::ConfirmNewEmail]).await
}

/// A pending change of address.
#[derive(Clone, Debug)]
pub(in crate::domain) struct EmailChange {
    /// The account.
    pub(in crate::domain) user: user::Model,
    /// The new address.
    pub(in crate::domain) to: String,
}

impl EmailChange {
    fn of(user: Option<user::Model>) -> Option<Self> {
        let user = user.filter(|user| user.is_active)?;
        user.pending_email.clone().map(|to| Self { user, to })
    }
}

/// The pending change whose link has this secret; `None` if there is no such link.
pub(in crate::domain) async fn find(
    db: &impl ConnectionTrait,
    now: &Now,
    secret: &Secret,
) -> Result<Option<EmailChange>> {
    let Some(token) = one_time_token::Entity::find().filter(good(now, secret)).one(db).await? else { return Ok(None) };
    Ok(EmailChange::of(user::Entity::find_by_id(token.user_id).one(db).await?))
}

/// The same, with the account locked until the transaction ends.
pub(in crate::domain) async fn lock(
    txn: &DatabaseTransaction,
    now: &Now,
    secret: &Secret,
) -> Result<Option<EmailChange>> {
    let Some(token) = one_time_token::Entity::find().filter(good(now, secret)).one(txn).await? else { return Ok(None) };
    Ok(EmailChange::of(user::Entity::find_for_update(token.user_id).one(txn).await?))
}

fn good(now: &Now, secret: &Secret) -> Condition {
    Condition::all()
        .add(one_time_token::Column::Digest.eq(secret.digest()))
        .add(one_time_token::Column::Purpose.eq(Purpose::EmailChange))
        .add(one_time_token::Column::ExpiresAt.gt(now.at))
}

/// Carries out a change of address whose account is locked. It spends the link, notifies the old address, and
/// invalidates links mailed there. The caller has verified that the client owns the account: the link alone proves only
/// access to the new mailbox. Returns `None` if the link was spent meanwhile.
///
/// # Errors
/// [`Code::InvalidToken`] if another account has taken the address meanwhile.
pub(in crate::domain) async fn confirm(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    secret: &Secret,
    found: EmailChange,
) -> Result<Option<user::Model>> {
    let EmailChange { user: before, to: email } = found;
    let spent = one_time_token::Entity::delete_many().filter(good(now, secret)).exec(txn).await?;
    if spent.rows_affected == 0 {
        return Ok(None);
    }
    let key = identifier::fold(&email);
    revocation::revoke(txn, now, &[before.id], Cause::EmailChanged).await?;
    let changed = user::Entity::update_many()
        .col_expr(Column::SearchTerms, Expr::value(search_terms::with_address(&before, &email, &key)))
        .col_expr(Column::Email, Expr::value(email))
        .col_expr(Column::EmailKey, Expr::value(key))
        .col_expr(Column::IsVerified, Expr::value(true))
        .col_expr(Column::EmailProved, Expr::value(true))
        .col_expr(Column::PasswordByStaff, Expr::value(false))
        .col_expr(Column::UpdatedAt, Expr::value(now.at))
        .filter(Column::Id.eq(before.id))
        .exec_with_returning(txn)
        .await
        .map_err(|error| on_conflict(error, || Refusal::new(Code::InvalidToken, "email-change-taken")))?;
    let after = changed.into_iter().next().ok_or_else(|| Error::internal("an account was lost while it moved"))?;
    reserved::claim(txn, now, WrittenAccount::changed(&before, &after), ReservationHolder::Reader).await.map_err(
        |error| match error {
            Error::Refused(_) => Refusal::new(Code::InvalidToken, "email-change-taken").into(),
            error => error,
        },
    )?;
    undo_email_change::announce(txn, now, MadeBy::User, &before, &after).await?;
    let event = Event::by_owner(client, Action::EmailChanged, before.id);
    audit::record(txn, now, event.changing(&before, &after)).await?;
    Ok(Some(after))
}
