//! Undoing a change of address by the link mailed to the old address.
//!
//! The transaction of every change writes a row of `email_undos`, whether the user, staff, or an import makes the
//! change. The row ends with its expiry, its use, the undo of an earlier change, a return to its address, a password
//! set by staff, or the account. So it survives everything that a thief of the account can do: another change of
//! address, another password. The row of a change by staff also ends when the reader of the new address resets the
//! password, but only while an earlier change can still be undone: then the address it returns to is itself in
//! question. The earliest row never ends this way, even if staff were deceived into the change.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _,
};
use uuid::Uuid;

use crate::database::Db;
use crate::database::batch_delete;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::known_networks;
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits};
use crate::domain::sent_forms::{self, SentForm};
use crate::domain::users::reserved::{self, ReservationHolder, WrittenAccount};
use crate::domain::users::search_terms;
use crate::entity::audit_event::Action;
use crate::entity::email_undo::{self, Column};
use crate::entity::mail::Kind;
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result, on_conflict};
use crate::tools::clock::{Now, Timestamp};
use crate::tools::identifier;
use crate::tools::secret::Secret;

/// Time within which the mail must have been sent; afterwards, the configured lifetime applies.
const MAILED_WITHIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Author of a change of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) enum MadeBy {
    /// The user, who confirmed the new address.
    User,
    /// Staff, or an import.
    Staff {
        /// True if they set a password as well, to recover a stolen account.
        sets_password: bool,
    },
}

/// Announces a change of address to the old address, with an undo link if the old address was confirmed. The account's
/// row is locked. A different spelling of the same address is not announced. The mail has no link if the change
/// recovers the account. This is so if it returns to an address whose own undo link is still valid. It is also so if
/// staff set a password with or before the change, and nobody proved access to the mailbox since.
pub(in crate::domain) async fn announce(
    txn: &DatabaseTransaction,
    now: &Now,
    by: MadeBy,
    before: &user::Model,
    after: &user::Model,
) -> Result<()> {
    if identifier::same_address(&before.email, &after.email) {
        return Ok(());
    }
    let mail_id = outbox::enqueue(txn, now, Kind::EmailChanged, &before.email, Some(before.id)).await?;
    let undos = email_undo::Entity::find().filter(Column::UserId.eq(before.id)).order_by_asc(Column::Step);
    let undos = undos.all(txn).await?;
    let is_old = |row: &&email_undo::Model| identifier::same_address(&row.email, &after.email);
    if let Some(row) = undos.iter().filter(|row| row.expires_at > now.at).find(is_old) {
        return end_since(txn, before.id, row.step).await;
    }
    let takes_back = match by {
        MadeBy::User => false,
        MadeBy::Staff { sets_password } => sets_password || before.password_by_staff,
    };
    // An unconfirmed address may belong to a stranger because of a typing error.
    if !before.email_proved || takes_back {
        return Ok(());
    }
    let step = undos.last().map_or(0, |row| row.step).saturating_add(1);
    let row = email_undo::ActiveModel {
        mail_id: Set(mail_id),
        user_id: Set(before.id),
        step: Set(step),
        by_staff: Set(by != MadeBy::User),
        email: Set(before.email.clone()),
        email_key: Set(before.email_key.clone()),
        digest: Set(None),
        expires_at: Set(now.at.plus(MAILED_WITHIN)),
    };
    email_undo::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(())
}

/// Creates the secret of the link in this mail, valid until `expires_at`. Returns `None` if there is nothing to undo.
pub(in crate::domain) async fn make_link(
    txn: &DatabaseTransaction,
    now: &Now,
    mail: Uuid,
    expires_at: Timestamp,
) -> Result<Option<Secret>> {
    let secret = now.secret();
    let made = email_undo::Entity::update_many()
        .col_expr(Column::Digest, Expr::value(secret.digest()))
        .col_expr(Column::ExpiresAt, Expr::value(expires_at))
        .filter(Column::MailId.eq(mail))
        .filter(Column::ExpiresAt.gt(now.at))
        .exec(txn)
        .await?;
    Ok((made.rows_affected > 0).then_some(secret))
}

/// Checks that the link with this secret is still valid.
pub(in crate::domain) async fn is_good(txn: &DatabaseTransaction, now: &Now, secret: &Secret) -> Result<bool> {
    Ok(email_undo::Entity::find().filter(good(now, secret)).one(txn).await?.is_some())
}

/// Input of an undo.
#[derive(Clone, Copy, Debug)]
pub struct Undo<'a> {
    /// The secret of the link.
    pub token: &'a str,
    /// The submitted form of a page; a repeated submission is recognized by it.
    pub form: Option<&'a SentForm>,
}

/// Returns the account to the old address and spends the link. The author of the change may have known the password. So
/// the password, all sessions, API tokens, mailed links, the pending address and the undo links of later changes end.
/// The owner sets a new password by a reset. A deactivated account stays so: only staff know if they decided that. The
/// removed address is notified by mail.
///
/// # Errors
/// [`Code::InvalidToken`] if the link was used, has expired or never existed; [`Code::AlreadyExists`] of `token` if
/// another account has the address, after which the link stays valid; [`Error::RateLimited`] after too many invalid
/// links.
pub async fn undo(db: &Db, now: &Now, client: &Client, limits: &Limits, input: Undo<'_>) -> Result<user::Model> {
    let attempt = rate_limits::take_link(db, now, client, limits).await?;
    let undone = carry_out(db, now, client, input).await?;
    rate_limits::give_back(db.writer(), attempt).await?;
    Ok(undone)
}

async fn carry_out(db: &Db, now: &Now, client: &Client, input: Undo<'_>) -> Result<user::Model> {
    let secret = Secret::from_text(input.token).ok_or_else(invalid_link)?;
    let (txn, ref now) = db.begin(now).await?;
    // The account is locked first, as in every change of address.
    let known = email_undo::Entity::find().filter(good(now, &secret)).one(&txn).await?.ok_or_else(invalid_link)?;
    let before = user::Entity::find_for_update(known.user_id).one(&txn).await?.ok_or_else(invalid_link)?;
    // Waiting for the locks may have taken long; events of the other transactions come first in the trail.
    let now = &now.anew();
    let spent = email_undo::Entity::delete_many().filter(good(now, &secret)).exec(&txn).await?;
    if spent.rows_affected == 0 {
        return Err(invalid_link().into());
    }
    revocation::revoke(&txn, now, &[before.id], Cause::EmailChangeUndone).await?;
    // The owner requests a reset next; strangers must not use up that limit.
    known_networks::note(&txn, now, client, before.id).await?;
    let terms = search_terms::with_address(&before, &known.email, &known.email_key);
    let changed = user::Entity::update_many()
        .col_expr(user::Column::SearchTerms, Expr::value(terms))
        .col_expr(user::Column::Email, Expr::value(known.email))
        .col_expr(user::Column::EmailKey, Expr::value(known.email_key))
        .col_expr(user::Column::PasswordHash, Expr::value(Option::<String>::None))
        .col_expr(user::Column::IsVerified, Expr::value(true))
        .col_expr(user::Column::EmailProved, Expr::value(true))
        .col_expr(user::Column::PasswordByStaff, Expr::value(false))
        .col_expr(user::Column::UpdatedAt, Expr::value(now.at))
        .filter(user::Column::Id.eq(before.id))
        .exec_with_returning(&txn)
        .await
        .map_err(|error| on_conflict(error, taken))?;
    let after = changed.into_iter().next().ok_or_else(|| Error::internal("an account was lost while it moved"))?;
    reserved::claim(&txn, now, WrittenAccount::changed(&before, &after), ReservationHolder::Reader).await.map_err(
        |error| match error {
            Error::Refused(_) => taken().into(),
            error => error,
        },
    )?;

    // Again for the address that the account has back.
    rate_limits::forget_guesses(&txn, &[before.id]).await?;
    end_since(&txn, before.id, known.step).await?;
    let event = Event::by_owner(client, Action::EmailChangeUndone, before.id);
    audit::record(&txn, now, event.changing(&before, &after)).await?;
    if !identifier::same_address(&before.email, &after.email) {
        outbox::enqueue(&txn, now, Kind::EmailChangeUndone, &before.email, Some(before.id)).await?;
    }
    sent_forms::note(&txn, now, input.form).await?;
    txn.commit().await?;
    Ok(after)
}

/// Ends the undo links of this and all later changes.
async fn end_since(txn: &DatabaseTransaction, user: Uuid, step: i32) -> Result<()> {
    let later = Condition::all().add(Column::UserId.eq(user)).add(Column::Step.gte(step));
    email_undo::Entity::delete_many().filter(later).exec(txn).await?;
    Ok(())
}

/// Ends the undo links of changes made by staff after another change that can still be undone. Staff helped the owner
/// of a stolen account, and the reader of the current address proved access to it. The link of the earliest change
/// stays: it may belong to an owner who was robbed with the help of staff.
pub(in crate::domain) async fn confirm_changes_of_staff(
    txn: &DatabaseTransaction,
    now: &Now,
    user: Uuid,
) -> Result<()> {
    let open = Condition::all().add(Column::UserId.eq(user)).add(Column::ExpiresAt.gt(now.at));
    let Some(first) = email_undo::Entity::find().filter(open).order_by_asc(Column::Step).one(txn).await? else {
        return Ok(());
    };
    let later = Condition::all().add(Column::UserId.eq(user)).add(Column::Step.gt(first.step));
    email_undo::Entity::delete_many().filter(later.add(Column::ByStaff.eq(true))).exec(txn).await?;
    Ok(())
}

/// Removes the rows of expired links.
pub(in crate::domain) async fn sweep(db: &Db, now: &Now) -> Result<()> {
    let dead = Condition::all().add(Column::ExpiresAt.lte(now.at));
    batch_delete::delete::<email_undo::Entity>(db, email_undo::PrimaryKey::MailId, &dead).await?;
    Ok(())
}

fn good(now: &Now, secret: &Secret) -> Condition {
    Condition::all().add(Column::Digest.eq(secret.digest())).add(Column::ExpiresAt.gt(now.at))
}

fn invalid_link() -> Refusal {
    Refusal::new(Code::InvalidToken, "undo-link-invalid").of("token")
}

fn taken() -> Refusal {
    Refusal::new(Code::AlreadyExists, "undo-address-taken").of("token")
}
