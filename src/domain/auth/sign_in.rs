//! Signing in with a password.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::config::SessionConfig;
use crate::database::Db;
use crate::domain::account::change_password;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::passwords::{self, NewPassword, Passwords};
use crate::domain::auth::sessions;
use crate::domain::rate_limits::{self, Account};
use crate::domain::sent_forms::{self, SentForm};
use crate::domain::users::lookup;
use crate::entity::audit_event::{Action, Reason};
use crate::entity::user::Column;
use crate::entity::{session, user};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;
use crate::tools::token::RefreshToken;

/// No address and no username is longer than this, in bytes; whatever is, is not worth folding.
const MAX_IDENTIFIER: usize = 1000;

/// Somebody who wants to sign in.
#[derive(Clone, Copy, Debug)]
pub struct SignIn<'a> {
    /// An e-mail address or a username, in any case.
    pub identifier: &'a str,
    /// The password.
    pub password: &'a str,
    /// The refresh token that came along in a cookie; the new session takes the place of its session.
    pub replaces: Option<RefreshToken>,
    /// A password to set in the same transaction.
    pub replacement: Option<Replacement<'a>>,
}

/// A password that replaces the one its owner signs in with.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'a> {
    /// The next password.
    pub new: NewPassword<'a>,
    /// The form that was sent; it may come twice.
    pub form: &'a SentForm,
}

/// Opens a session for whoever knows the password of the account.
///
/// # Errors
/// [`Code::InvalidCredentials`], the same whether the account or the password is wrong; with the right password
/// [`Code::AccountInactive`], [`Code::EmailNotVerified`] or [`Code::PasswordExpired`], or the refusal of the replacement;
/// [`crate::error::Error::RateLimited`] after too many wrong passwords. A refusal leaves the session in `replaces` alone.
pub async fn sign_in(
    db: &Db,
    now: &Now,
    client: &Client,
    (passwords, lives): (&Passwords, &SessionConfig),
    input: SignIn<'_>,
) -> Result<(session::Model, user::Model)> {
    let typed = if input.identifier.len() <= MAX_IDENTIFIER { input.identifier } else { "" };
    let found = lookup::by_identifier(db.reader(), typed).await?;
    // Attempts count by the key, so that another spelling of the name has no attempts of its own.
    let key = identifier::fold(typed);
    let account = Account::Named(&key, found.as_ref().map(|user| user.id));
    let (verdict, attempt) = passwords.verify(db, now, client, (account, found.as_ref()), input.password).await?;
    let user = match found {
        Some(user) if verdict.matches => user,
        other => {
            let reason = match &other {
                None => Reason::UnknownAccount,
                Some(_) if attempt.is_void => Reason::TooManyAttempts,
                Some(user) if user.password_hash.is_none() => Reason::NoPassword,
                Some(_) => Reason::WrongPassword,
            };
            return refuse(db, now, client, (other.as_ref(), reason), invalid_credentials()).await;
        }
    };
    if !user.is_active {
        let refusal =
            Refusal::new(Code::AccountInactive, "This account is deactivated: ask the people who run this site.");
        return refuse(db, now, client, (Some(&user), Reason::AccountInactive), refusal).await;
    }
    if !user.is_verified {
        let refusal =
            Refusal::new(Code::EmailNotVerified, "Confirm your e-mail address first: follow the link that was mailed.");
        return refuse(db, now, client, (Some(&user), Reason::EmailNotVerified), refusal).await;
    }
    if passwords.has_expired(&user, now) {
        return refuse(db, now, client, (Some(&user), Reason::PasswordExpired), password_expired()).await;
    }
    let new_hash = match input.replacement {
        Some(Replacement { new, .. }) => {
            passwords.refuse_temporary(&user, new).await?;
            Some(passwords.accept(new, &passwords::about(&user)).await?)
        }
        None => None,
    };
    let is_outdated = verdict.outdated && new_hash.is_none();
    let fresh_hash = if is_outdated { Some(passwords.rehash(input.password).await?) } else { None };

    let (txn, _) = db.begin(now).await?;
    sessions::lock_owners(&txn, Some(user.id), input.replaces.map(|token| token.session)).await?;
    // Whoever was waited for may have taken long, and what they did comes first in the trail.
    let now = &now.anew();
    let mut update = user::Entity::update_many().col_expr(Column::LastLogin, Expr::value(now.at));
    if fresh_hash.is_some() {
        update = update.col_expr(Column::PasswordHash, Expr::value(fresh_hash));
    }
    // Whoever was deactivated, or given another password, since the row was read does not get in.
    let unchanged = update
        .filter(Column::Id.eq(user.id))
        .filter(Column::IsActive.eq(true))
        .filter(Column::PasswordHash.eq(user.password_hash.clone()));
    let Some(user) = unchanged.exec_with_returning(&txn).await?.into_iter().next() else {
        return Err(invalid_credentials().into());
    };
    if let Some(replaced) = input.replaces {
        sessions::replace(&txn, now, client, lives, replaced).await?;
    }
    rate_limits::give_back(&txn, attempt).await?;
    let session = sessions::open(&txn, now, client, lives, user.id).await?;
    let event = Event { actor: Some(user.id), ..Event::by_anyone(client, Action::Login, user.id) };
    audit::record(&txn, now, event).await?;
    if let (Some(hash), Some(replacement)) = (new_hash, input.replacement) {
        let event = Event { actor: Some(user.id), ..Event::by_anyone(client, Action::PasswordChanged, user.id) };
        change_password::store(&txn, now, (&user, session.id), hash, event).await?;
        sent_forms::note(&txn, now, Some(replacement.form)).await?;
    }
    txn.commit().await?;
    Ok((session, user))
}

async fn refuse<T>(
    db: &Db,
    now: &Now,
    client: &Client,
    (user, reason): (Option<&user::Model>, Reason),
    refusal: Refusal,
) -> Result<T> {
    let event = Event::by_anyone(client, Action::LoginFailed, user.map(|user| user.id));
    audit::record(db.writer(), now, event.because(reason)).await?;
    Err(refusal.into())
}

pub(in crate::domain) fn password_expired() -> Refusal {
    let message = "This temporary password has expired. Ask the operator for a link to set a new one \
                   (`vestibule users reset`), or request one by email.";
    Refusal::new(Code::PasswordExpired, message)
}

fn invalid_credentials() -> Refusal {
    Refusal::new(Code::InvalidCredentials, "There is no account with this name and password.")
}
