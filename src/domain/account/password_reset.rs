//! Recovering a forgotten password: ask for a mail, follow its link, set another password.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::config::SessionConfig;
use crate::database::Db;
use crate::domain::account::undo_email_change;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::known_networks;
use crate::domain::auth::passwords::{self, NewPassword, Passwords};
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::auth::sessions;
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits, Purpose as MailPurpose};
use crate::domain::sent_forms::{self, SentForm};
use crate::entity::audit_event::Action;
use crate::entity::one_time_token::{self, Column, Purpose};
use crate::entity::{mail, session, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::{Now, Timestamp};
use crate::tools::identifier;
use crate::tools::secret::Secret;

/// Asks for a mail with a link that replaces the password of the account with this address.
///
/// Whether there is one is not looked up here: the request writes the same rows in both cases, and the worker that
/// delivers the mail finds out. So neither the answer nor its time tells.
///
/// # Errors
/// [`Code::Required`] or [`Code::Invalid`] where it is no address; [`Error::RateLimited`].
pub async fn request(db: &Db, now: &Now, client: &Client, limits: &Limits, email: &str) -> Result<()> {
    let email = identifier::email(email).map_err(|refusal| Error::from(refusal.of("email")))?;
    rate_limits::take_mail(db, now, client, limits, (MailPurpose::Reset, &email)).await?;
    let (txn, ref now) = db.begin(now).await?;
    let id = outbox::enqueue(&txn, now, mail::Kind::ResetPassword, &email, None).await?;
    audit::record_as(&txn, now, id, Event::by_anyone(client, Action::ResetRequested, None)).await?;
    txn.commit().await?;
    Ok(())
}

/// The link in a mail: whose password it replaces, and the secret that proves it.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The user's id.
    pub uid: &'a str,
    /// The secret.
    pub token: &'a str,
}

/// Whether a link is still good; asking does not spend it.
///
/// # Errors
/// [`Error::RateLimited`] after too many wrong ones.
pub async fn is_valid(db: &Db, now: &Now, client: &Client, limits: &Limits, link: Link<'_>) -> Result<bool> {
    Ok(look_up(db, now, client, limits, link).await?.is_some())
}

/// A new password, and the link that allows it.
#[derive(Clone, Copy, Debug)]
pub struct Confirm<'a> {
    /// The link.
    pub link: Link<'a>,
    /// The new password.
    pub new: NewPassword<'a>,
    /// Whether to sign in at once.
    pub login: bool,
    /// The form of a page that was sent; it may come twice.
    pub form: Option<&'a SentForm>,
}

/// Sets the new password, spends the link, and ends all sessions and API tokens of the user: who resets a password may
/// be taking an account back from somebody else. On request it opens a session, but never for staff: whoever reads their
/// mail must not have the rights of staff by that alone.
///
/// # Errors
/// [`Code::InvalidToken`] where the link was used, ran out, or was overtaken by a newer one; the refusal of a weak
/// password, after which the link is still good; [`Error::RateLimited`] after too many wrong links.
pub async fn confirm(
    db: &Db,
    now: &Now,
    client: &Client,
    (passwords, lives): (&Passwords, &SessionConfig),
    input: Confirm<'_>,
) -> Result<Option<(session::Model, user::Model)>> {
    let found = look_up(db, now, client, passwords.limits(), input.link).await?;
    let (user, token) = found.ok_or_else(invalid_link)?;
    passwords.refuse_temporary(&user, input.new).await?;
    let hash = passwords.accept(input.new, &passwords::about(&user)).await?;

    let (txn, _) = db.begin(now).await?;
    // The account comes before its links, in the order in which all lock them.
    user::Entity::find_for_update(user.id).one(&txn).await?;
    // Whoever was waited for may have taken long, and what they did comes first in the trail.
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
    // The owner, who reads the mail, is not locked out by further guesses.
    known_networks::note(&txn, now, client, user.id).await?;
    let event = Event { actor: Some(user.id), ..Event::by_anyone(client, Action::PasswordReset, user.id) };
    audit::record(&txn, now, event).await?;
    outbox::enqueue(&txn, now, mail::Kind::PasswordChanged, &user.email, Some(user.id)).await?;
    sent_forms::note(&txn, now, input.form).await?;
    let session = match input.login && !user.is_staff_member() {
        true => Some(sessions::open(&txn, now, client, lives, user.id).await?),
        false => None,
    };
    txn.commit().await?;
    Ok(session.map(|session| (session, user)))
}

/// Makes the secret of a link that lets this user set a password; the one before it is dead.
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

/// Stores a new password of an active user, whose row is locked and whose address the link has proved by the way, and makes everything that
/// the old one opened worthless: sessions, links and API tokens. None where the user is deactivated or gone.
async fn set_password(txn: &DatabaseTransaction, now: &Now, id: Uuid, hash: String) -> Result<Option<user::Model>> {
    revocation::revoke(txn, &[id], Cause::PasswordReset).await?;
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

/// What [`owner`] tells, as an attempt of the limit of wrong links.
async fn look_up(
    db: &Db,
    now: &Now,
    client: &Client,
    limits: &Limits,
    link: Link<'_>,
) -> Result<Option<(user::Model, one_time_token::Model)>> {
    let attempt = rate_limits::take_link(db, now, client, limits).await?;
    let found = owner(db, now, link).await?;
    if found.is_some() {
        rate_limits::give_back(db.writer(), attempt).await?;
    }
    Ok(found)
}

/// The active user whom a good link belongs to.
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
    Refusal::new(Code::InvalidToken, "This link is no longer good: ask for a new mail.").of("token")
}
