//! Undoing a change of address by the link that is mailed to the old address.
//!
//! A row of `email_undos` is written in the transaction of the change, whoever made it: the user, staff, or an import. It
//! ends with its time, its use, the undo of an earlier change, a return to its address, a password that staff set, and the
//! account. So it survives whatever a thief does who holds the account: another change of address, another password. The row of
//! a change that staff made also ends when the reader of the new address resets the password, but only where an earlier
//! change can still be undone: then the address that it returns to is itself in question. The earliest row never ends so,
//! whoever persuaded staff of the change.

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
use crate::domain::users::reserved::{self, ReservationHolder};
use crate::entity::audit_event::Action;
use crate::entity::email_undo::{self, Column};
use crate::entity::mail::Kind;
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result, on_conflict};
use crate::tools::clock::{Now, Timestamp};
use crate::tools::identifier;
use crate::tools::secret::Secret;

/// The time within which the mail must have gone out; from then on the setting counts.
const MAILED_WITHIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The maker of a change of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) enum MadeBy {
    /// The user, who confirmed the new address.
    User,
    /// Staff, or an import.
    Staff {
        /// True where they set a password with it, to take the account out of wrong hands.
        sets_password: bool,
    },
}

/// Announces a change of address to the old address, with a link that undoes it where the old address was confirmed. The
/// account's row is locked. Another spelling of the same address is not announced. There is no link where the account is
/// taken back: it returns to an address whose own undo link is still good, or staff set a password with the change or before
/// it, and nobody proved since to read the address.
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
    // An address that nobody proved to read may be a stranger's by a typing error.
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

/// Makes the secret of the link in this mail, which lives until `expires_at`. None where there is nothing to undo.
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

/// Returns the account to the old address and spends the link. Whoever changed the address knew the password, so the
/// password, all sessions, API tokens, mailed links, the pending address and the undo links of later changes end with it;
/// the owner sets a new password by a reset. The address that is taken away is told by mail. `form` is the form of a page that
/// was sent, which may come twice.
///
/// # Errors
/// [`Code::InvalidToken`] where the link was used, has expired or never existed; [`Code::AlreadyExists`] of `token` where
/// another account has the address, after which the link is still good; [`Error::RateLimited`] after too many wrong links.
pub async fn undo(
    db: &Db,
    now: &Now,
    client: &Client,
    limits: &Limits,
    (token, form): (&str, Option<&SentForm>),
) -> Result<user::Model> {
    let attempt = rate_limits::take_link(db, now, client, limits).await?;
    let undone = carry_out(db, now, client, (token, form)).await?;
    rate_limits::give_back(db.writer(), attempt).await?;
    Ok(undone)
}

async fn carry_out(
    db: &Db,
    now: &Now,
    client: &Client,
    (token, form): (&str, Option<&SentForm>),
) -> Result<user::Model> {
    let secret = Secret::from_text(token).ok_or_else(invalid_link)?;
    let (txn, ref now) = db.begin(now).await?;
    // The account is locked first, as by every change of address.
    let known = email_undo::Entity::find().filter(good(now, &secret)).one(&txn).await?.ok_or_else(invalid_link)?;
    let before = user::Entity::find_for_update(known.user_id).one(&txn).await?.ok_or_else(invalid_link)?;
    // Whoever was waited for may have taken long, and what they did comes first in the trail.
    let now = &now.anew();
    let spent = email_undo::Entity::delete_many().filter(good(now, &secret)).exec(&txn).await?;
    if spent.rows_affected == 0 {
        return Err(invalid_link().into());
    }
    revocation::revoke(&txn, &[before.id], Cause::EmailChangeUndone).await?;
    // The owner, who reads the mail, asks for a reset next: strangers must not use that up.
    known_networks::note(&txn, now, client, before.id).await?;
    let changed = user::Entity::update_many()
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
    reserved::claim(&txn, now, (Some(&before), &after), ReservationHolder::Reader).await.map_err(
        |error| match error {
            Error::Refused(_) => taken().into(),
            error => error,
        },
    )?;

    end_since(&txn, before.id, known.step).await?;
    let event = Event { actor: Some(before.id), ..Event::by_anyone(client, Action::EmailChangeUndone, before.id) };
    audit::record(&txn, now, event.changing(&before, &after)).await?;
    if !identifier::same_address(&before.email, &after.email) {
        outbox::enqueue(&txn, now, Kind::EmailChangeUndone, &before.email, Some(before.id)).await?;
    }
    sent_forms::note(&txn, now, form).await?;
    txn.commit().await?;
    Ok(after)
}

/// Ends the undo links of this change and of all later ones.
async fn end_since(txn: &DatabaseTransaction, user: Uuid, step: i32) -> Result<()> {
    let later = Condition::all().add(Column::UserId.eq(user)).add(Column::Step.gte(step));
    email_undo::Entity::delete_many().filter(later).exec(txn).await?;
    Ok(())
}

/// Ends the undo links of changes that staff made after another change which can still be undone: staff helped an owner whose
/// account a thief had moved, and the reader of the present address proved it. The link of the earliest change stays, since it
/// may be the owner's whom somebody robbed with the help of staff.
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

/// Removes the rows of links that have expired.
pub(in crate::domain) async fn sweep(db: &Db, now: &Now) -> Result<()> {
    let dead = Condition::all().add(Column::ExpiresAt.lte(now.at));
    batch_delete::delete::<email_undo::Entity>(db, email_undo::PrimaryKey::MailId, &dead).await?;
    Ok(())
}

fn good(now: &Now, secret: &Secret) -> Condition {
    Condition::all().add(Column::Digest.eq(secret.digest())).add(Column::ExpiresAt.gt(now.at))
}

fn invalid_link() -> Refusal {
    Refusal::new(Code::InvalidToken, "This link is no longer valid. Ask support for help.").of("token")
}

fn taken() -> Refusal {
    let message = "Another account uses this email address now. Ask support for help.";
    Refusal::new(Code::AlreadyExists, message).of("token")
}
