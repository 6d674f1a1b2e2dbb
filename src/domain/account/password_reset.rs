//! Resetting a forgotten password: request a mail, follow its link, set a new password.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::account::undo_email_change;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::known_networks;
use crate::domain::auth::passwords::{self, NewPassword, Passwords};
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::auth::second_factor::Proven;
use crate::domain::auth::second_factor::challenge::{self, FirstProofs};
use crate::domain::auth::sessions;
use crate::domain::auth::sign_in::{SignInRules, SignedIn};
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Attempt, Limits, Purpose as MailPurpose, Requester};
use crate::domain::sent_forms::{self, SentForm};
use crate::entity::audit_event::Action;
use crate::entity::one_time_token::{self, Column, Purpose};
use crate::entity::session::Method;
use crate::entity::{mail, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::{Now, Timestamp};
use crate::tools::identifier;
use crate::tools::secret::Secret;

/// Requests a mail with a link that resets the password of the account with this address.
///
/// The account is not looked up here. The request writes the same rows in both cases, and the mail worker does the
/// lookup. So neither the response nor its timing reveals whether an account exists.
///
/// # Errors
/// [`Code::Required`] or [`Code::Invalid`] if the text is not an address; [`Error::RateLimited`].
pub async fn request(db: &Db, now: &Now, client: &Client, limits: &Limits, email: &str) -> Result<()> {
    let email = identifier::email(email).map_err(|refusal| Error::from(refusal.of("email")))?;
    rate_limits::take_mail(db, now, Requester::Anyone(client), limits, MailPurpose::Reset, &email).await?;
    let (txn, ref now) = db.begin(now).await?;
    let id = outbox::enqueue(&txn, now, mail::Kind::ResetPassword, &email, None).await?;
    audit::record_with_mail(&txn, now, id, Event::by_anyone(client, Action::ResetRequested, None)).await?;
    txn.commit().await?;
    Ok(())
}

/// A mailed link: the user whose password it resets, and the secret that proves it.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The user's id.
    pub uid: &'a str,
    /// The secret.
    pub token: &'a str,
}

/// Checks that a link is valid, without spending it.
///
/// # Errors
/// [`Error::RateLimited`] after too many invalid links.
pub async fn is_valid(db: &Db, now: &Now, client: &Client, limits: &Limits, link: Link<'_>) -> Result<bool> {
    let attempt = rate_limits::take_link(db, now, client, limits).await?;
    is_valid_as(db, now, attempt, link).await
}

/// The same for a page that is opened.
///
/// # Errors
/// [`Error::RateLimited`] after too many invalid links of opened pages.
pub async fn is_valid_when_opened(
    db: &Db,
    now: &Now,
    client: &Client,
    limits: &Limits,
    link: Link<'_>,
) -> Result<bool> {
    let attempt = rate_limits::take_opened_link(db, now, client, limits).await?;
    is_valid_as(db, now, attempt, link).await
}

/// Looks up a link, and gives the attempt back for a valid one.
async fn is_valid_as(db: &Db, now: &Now, attempt: Attempt, link: Link<'_>) -> Result<bool> {
    let is_valid = owner(db, now, link).await?.is_some();
    if is_valid {
        rate_limits::give_back(db.writer(), attempt).await?;
    }
    Ok(is_valid)
}

/// A new password, and the link that authorizes it.
#[derive(Clone, Copy, Debug)]
pub struct Confirm<'a> {
    /// The link.
    pub link: Link<'a>,
    /// The new password.
    pub new: NewPassword<'a>,
    /// True to sign in as well.
    pub login: bool,
    /// The submitted form of a page; a repeated submission is recognized by it.
    pub form: Option<&'a SentForm>,
}

/// Sets the new password, spends the link, and ends all sessions and API tokens of the user, because the owner may be
/// recovering a stolen account. Signs in on request, but never staff: access to a mailbox alone must not give staff
/// rights. If the account has a second factor, the result is a challenge; its factors stay. `None` without a sign-in.
///
/// # Errors
/// [`Code::InvalidToken`] if the link was used, has expired, or was replaced by a newer one; the refusal of a weak
/// password, after which the link stays valid; [`Error::RateLimited`] after too many invalid links and too many passwords
/// that were estimated and refused.
pub async fn confirm(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: SignInRules<'_>,
    input: Confirm<'_>,
) -> Result<Option<SignedIn>> {
    let SignInRules { passwords, lives, second_factor } = rules;
    let attempt = rate_limits::take_link(db, now, client, passwords.limits()).await?;
    let (user, token) = owner(db, now, input.link).await?.ok_or_else(invalid_link)?;
    if let Err(refusal) = passwords.check_form(input.new) {
        rate_limits::give_back(db.writer(), attempt).await?;
        return Err(refusal.into());
    }
    let accepted = accept(passwords, &user, input.new).await;
    // Each refused password costs an estimate, or a hash.
    if !matches!(accepted, Err(Error::Refused(_))) {
        rate_limits::give_back(db.writer(), attempt).await?;
    }
    let hash = accepted?;

    let (txn, _) = db.begin(now).await?;
    // Every transaction locks the account before its links.
    user::Entity::find_for_update(user.id).one(&txn).await?;
    // Waiting for the locks may have taken long; events of the other transactions come first in the trail.
    let now = &now.anew();
    let spent = one_time_token::Entity::delete_many()
        .filter(Column::Digest.eq(token.digest))
        .filter(Column::ExpiresAt.gt(now.at))
        .exec(&txn)
        .await?;
    if spent.rows_affected == 0 {
        return Err(invalid_link().into());
    }
    let user = set_password(&txn, now, user.id, hash).await?.ok_or_else(invalid_link)?;
    // Further guesses by others must not lock out the owner, who has just proved access to the mailbox.
    known_networks::note(&txn, now, client, user.id).await?;
    let event = Event::by_owner(client, Action::PasswordReset, user.id);
    audit::record(&txn, now, event).await?;
    outbox::enqueue(&txn, now, mail::Kind::PasswordChanged, &user.email, Some(user.id)).await?;
    sent_forms::note(&txn, now, input.form).await?;
    let methods = [Method::EmailLink];
    let signed_in = match (input.login && !user.is_staff_member(), Proven::first(second_factor.policy, &user, methods))
    {
        (false, _) => None,
        (true, Some(proven)) => {
            let session = sessions::open(&txn, now, client, lives, &proven).await?;
            Some(SignedIn::Session(Box::new(session), Box::new(user)))
        }
        (true, None) => {
            let first = FirstProofs { user: &user, methods: methods.to_vec(), new_hash: None };
            Some(SignedIn::Challenge(challenge::make(&txn, now, second_factor, first).await?))
        }
    };
    txn.commit().await?;
    Ok(signed_in)
}

/// The hash of a new password of this user.
async fn accept(passwords: &Passwords, user: &user::Model, new: NewPassword<'_>) -> Result<String> {
    passwords.refuse_temporary(user, new).await?;
    passwords.accept(new, &passwords::about(user)).await
}

/// Creates the secret of a link that lets this user set a password; the previous link becomes invalid.
pub async fn make_link(
    txn: &DatabaseTransaction,
    now: &Now,
    user: Uuid,
    purpose: Purpose,
    expires_at: Timestamp,
) -> Result<Secret> {
    let secret = now.secret();
    let row = one_time_token::ActiveModel {
        digest: sea_orm::ActiveValue::Set(secret.digest()),
        user_id: sea_orm::ActiveValue::Set(user),
        purpose: sea_orm::ActiveValue::Set(purpose),
        created_at: sea_orm::ActiveValue::Set(now.at),
        expires_at: sea_orm::ActiveValue::Set(expires_at),
    };
    let replace = sea_orm::sea_query::OnConflict::columns([Column::UserId, Column::Purpose])
        .update_columns([Column::Digest, Column::CreatedAt, Column::ExpiresAt])
        .to_owned();
    one_time_token::Entity::insert(row).on_conflict(replace).exec_without_returning(txn).await?;
    Ok(secret)
}

/// Stores a new password of an active user, whose row is locked and whose address is proved by the link. Ends sessions,
/// links and API tokens that the old password gave access to. Returns `None` if the user is deactivated or deleted.
async fn set_password(txn: &DatabaseTransaction, now: &Now, id: Uuid, hash: String) -> Result<Option<user::Model>> {
    revocation::revoke(txn, now, &[id], Cause::PasswordReset).await?;
    undo_email_change::confirm_changes_of_staff(txn, now, id).await?;
    let changed = user::Entity::update_many()
        .col_expr(user::Column::PasswordHash, Expr::value(hash))
        .col_expr(user::Column::TemporaryPasswordAt, Expr::value(Option::<Timestamp>::None))
        .col_expr(user::Column::IsVerified, Expr::value(true))
        .col_expr(user::Column::EmailProved, Expr::value(true))
        .col_expr(user::Column::PasswordByStaff, Expr::value(false))
        .col_expr(user::Column::UpdatedAt, Expr::value(now.at))
        .filter(user::Column::Id.eq(id))
        .filter(user::Column::IsActive.eq(true))
        .exec_with_returning(txn)
        .await?;
    Ok(changed.into_iter().next())
}

/// Active owner of a valid link.
async fn owner(db: &Db, now: &Now, link: Link<'_>) -> Result<Option<(user::Model, one_time_token::Model)>> {
    let Some(secret) = Secret::<32>::from_text(link.token) else { return Ok(None) };
    let good = Condition::all()
        .add(Column::Digest.eq(secret.digest()))
        .add(Column::ExpiresAt.gt(now.at))
        .add(Column::Purpose.is_in([Purpose::Reset, Purpose::Invite]));
    let Some(token) = one_time_token::Entity::find().filter(good).one(db.reader()).await? else { return Ok(None) };
    if Uuid::parse_str(link.uid).ok() != Some(token.user_id) {
        return Ok(None);
    }
    let user = user::Entity::find_by_id(token.user_id).filter(user::Column::IsActive.eq(true)).one(db.reader()).await?;
    Ok(user.map(|user| (user, token)))
}

fn invalid_link() -> Refusal {
    Refusal::new(Code::InvalidToken, "link-invalid").of("token")
}
