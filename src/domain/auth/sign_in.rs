//! Signing in with a password.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::config::SessionConfig;
use crate::database::Db;
use crate::domain::account::change_password;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::passwords::{self, NewPassword, Passwords, TypedPassword};
use crate::domain::auth::second_factor::challenge::{self, Challenge, FirstProofs};
use crate::domain::auth::second_factor::{self, Proven, SecondFactorRules};
use crate::domain::auth::sessions;
use crate::domain::rate_limits::{self, Account, Attempt};
use crate::domain::sent_forms::{self, SentForm};
use crate::domain::users::lookup;
use crate::entity::audit_event::{Action, Reason};
use crate::entity::session::Method;
use crate::entity::user::Column;
use crate::entity::{session, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;
use crate::tools::token::RefreshToken;

/// Maximum length of an identifier, in bytes; longer ones are not folded, because no address or username is longer.
const MAX_IDENTIFIER: usize = 1000;

/// Dependencies of operations that open a session.
#[derive(Clone, Copy, Debug)]
pub struct SignInRules<'a> {
    /// The rules for passwords, and the limits of attempts.
    pub passwords: &'a Passwords,
    /// Lifetimes of sessions.
    pub lives: &'a SessionConfig,
    /// The rules for second factors.
    pub second_factor: SecondFactorRules<'a>,
}

/// Result of a sign-in.
#[derive(Clone, Debug)]
pub enum SignedIn {
    /// A new session, and its user.
    Session(Box<session::Model>, Box<user::Model>),
    /// The second factor is due; nothing was written.
    Challenge(Challenge),
}

impl SignedIn {
    fn new(session: session::Model, user: user::Model) -> Self {
        Self::Session(Box::new(session), Box::new(user))
    }
}

/// Input of a sign-in.
#[derive(Clone, Copy, Debug)]
pub struct SignIn<'a> {
    /// An email address or a username, in any case.
    pub identifier: &'a str,
    /// The password.
    pub password: &'a str,
    /// The refresh token of the request's cookie; the new session replaces its session.
    pub replaces: Option<RefreshToken>,
    /// A password to set in the same transaction.
    pub replacement: Option<Replacement<'a>>,
}

/// A password that replaces the one used to sign in.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'a> {
    /// The new password.
    pub new: NewPassword<'a>,
    /// The submitted form; a repeated submission is recognized by it.
    pub form: &'a SentForm,
}

/// Opens a session for a client with the password of the account. If the account has a second factor, the result is a
/// challenge, which also carries the replacement of the password; neither a session nor an event exists then.
///
/// # Errors
/// [`Code::InvalidCredentials`], the same whether the account or the password is wrong; with the right password
/// [`Code::AccountInactive`], [`Code::EmailNotVerified`] or [`Code::PasswordExpired`], or the refusal of the
/// replacement; [`crate::error::Error::RateLimited`] after too many wrong passwords. A refusal leaves the session in
/// `replaces` alone.
pub async fn sign_in(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: SignInRules<'_>,
    input: SignIn<'_>,
) -> Result<SignedIn> {
    let SignInRules { passwords, lives, second_factor } = rules;
    if let Some(Replacement { new, .. }) = input.replacement {
        // Before the password is compared, so that the answer says nothing about it.
        passwords.check_form(new)?;
    }
    let typed = if input.identifier.len() <= MAX_IDENTIFIER { input.identifier } else { "" };
    let found = lookup::by_identifier(db.reader(), typed).await?;
    // Attempts count by the key, so another spelling of the name has no attempts of its own.
    let key = identifier::fold(typed);
    let account = Account::Named(&key, found.as_ref().map(|user| user.id));
    let entered = TypedPassword { account, user: found.as_ref(), text: input.password };
    let (verdict, attempt) = passwords.verify(db, now, client, entered).await?;
    let user = match found {
        Some(user) if verdict.matches => user,
        other => {
            let reason = match &other {
                None => Reason::UnknownAccount,
                Some(_) if attempt.is_void => Reason::TooManyAttempts,
                Some(user) => wrong_password(user),
            };
            let failure = Failure { user: other.as_ref(), right: None, reason };
            return refuse(db, now, client, failure, invalid_credentials()).await;
        }
    };
    if !user.is_active {
        let refusal = Refusal::new(Code::AccountInactive, "account-inactive");
        return refuse(db, now, client, Failure::of(&user, attempt, Reason::AccountInactive), refusal).await;
    }
    if !user.is_verified {
        let refusal = Refusal::new(Code::EmailNotVerified, "email-unverified");
        return refuse(db, now, client, Failure::of(&user, attempt, Reason::EmailNotVerified), refusal).await;
    }
    if passwords.has_expired(&user, now) {
        let failure = Failure::of(&user, attempt, Reason::PasswordExpired);
        return refuse(db, now, client, failure, password_expired()).await;
    }
    let new_hash = match accept_replacement(passwords, &user, input.replacement).await {
        Ok(hash) => hash,
        Err(Error::Refused(refusals)) => {
            record_failure(db, now, client, Failure::of(&user, attempt, Reason::NewPasswordRefused)).await?;
            return Err(Error::Refused(refusals));
        }
        Err(error) => {
            rate_limits::give_back(db.writer(), attempt).await?;
            return Err(error);
        }
    };
    let is_outdated = verdict.outdated && new_hash.is_none();
    // A sign-in does not fail for the sake of newer parameters.
    let fresh_hash = if is_outdated { passwords.rehash(input.password).await.ok() } else { None };
    if second_factor::is_due(second_factor.policy, &user) {
        rate_limits::give_back(db.writer(), attempt).await?;
        let user = renew_hash(db, &user, fresh_hash).await?;
        let first = FirstProofs { user: &user, methods: vec![Method::Password], new_hash };
        return Ok(SignedIn::Challenge(challenge::make(db.reader(), now, second_factor, first).await?));
    }

    let (txn, _) = db.begin(now).await?;
    sessions::lock_owners(&txn, Some(user.id), input.replaces.map(|token| token.session)).await?;
    // Waiting for the locks may have taken long; events of the other transactions come first in the trail.
    let now = &now.anew();
    let mut update = user::Entity::update_many().col_expr(Column::LastLogin, Expr::value(now.at));
    if fresh_hash.is_some() {
        update = update.col_expr(Column::PasswordHash, Expr::value(fresh_hash));
    }
    // A user deactivated, or given another password or a second factor, since the row was read must not get in.
    let unchanged = update
        .filter(Column::Id.eq(user.id))
        .filter(Column::IsActive.eq(true))
        .filter(Column::PasswordHash.eq(user.password_hash.clone()));
    let changed = unchanged.exec_with_returning(&txn).await?.into_iter().next();
    let proven = changed.and_then(|user| {
        let proven = Proven::first(second_factor.policy, &user, [Method::Password])?;
        Some((proven, user))
    });
    let Some((proven, user)) = proven else {
        txn.rollback().await?;
        let failure = Failure::of(&user, attempt, Reason::ChangedMeanwhile);
        return refuse(db, now, client, failure, invalid_credentials()).await;
    };
    if new_hash.is_some()
        && let Err(limited) = rate_limits::take_own_password(&txn, now, user.id, client, passwords.limits()).await
    {
        txn.rollback().await?;
        record_failure(db, now, client, Failure::of(&user, attempt, Reason::LimitWrites)).await?;
        return Err(limited);
    }
    if let Some(replaced) = input.replaces {
        sessions::replace(&txn, now, client, lives, replaced).await?;
    }
    rate_limits::give_back(&txn, attempt).await?;
    let session = sessions::open(&txn, now, client, lives, &proven).await?;
    let event = Event::by_owner(client, Action::Login, user.id);
    audit::record(&txn, now, event).await?;
    if let (Some(hash), Some(replacement)) = (new_hash, input.replacement) {
        let event = Event::by_owner(client, Action::PasswordChanged, user.id);
        change_password::store(&txn, now, &user, session.id, hash, event).await?;
        sent_forms::note(&txn, now, Some(replacement.form)).await?;
    }
    txn.commit().await?;
    Ok(SignedIn::new(session, user))
}

/// Stores a hash with the current parameters, unless the password changed meanwhile. Returns the user as stored.
async fn renew_hash(db: &Db, user: &user::Model, fresh_hash: Option<String>) -> Result<user::Model> {
    let Some(fresh_hash) = fresh_hash else { return Ok(user.clone()) };
    let renewed = user::Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(fresh_hash))
        .filter(Column::Id.eq(user.id))
        .filter(Column::PasswordHash.eq(user.password_hash.clone()))
        .exec_with_returning(db.writer())
        .await?;
    Ok(renewed.into_iter().next().unwrap_or_else(|| user.clone()))
}

/// The reason for which a password is not this user's.
fn wrong_password(user: &user::Model) -> Reason {
    if user.password_hash.is_none() { Reason::NoPassword } else { Reason::WrongPassword }
}

/// A failed sign-in, or a failed proof of identity after it.
#[derive(Debug)]
pub(in crate::domain) struct Failure<'a> {
    user: Option<&'a user::Model>,
    /// The attempt, if the password was right.
    right: Option<Attempt>,
    reason: Reason,
}

impl<'a> Failure<'a> {
    /// A failure of this user with a wrong password.
    pub(in crate::domain) fn of_wrong_password(user: &'a user::Model) -> Self {
        Self { user: Some(user), right: None, reason: wrong_password(user) }
    }

    /// A failure of this user with the right password.
    pub(in crate::domain) fn of(user: &'a user::Model, attempt: Attempt, reason: Reason) -> Self {
        Self { user: Some(user), right: Some(attempt), reason }
    }
}

async fn refuse<T>(db: &Db, now: &Now, client: &Client, failure: Failure<'_>, refusal: Refusal) -> Result<T> {
    record_failure(db, now, client, failure).await?;
    Err(refusal.into())
}

/// Records a failed sign-in, or a failed proof, at the current time, which may be long after the start of the request.
/// The attempt of a right password is given back.
pub(in crate::domain) async fn record_failure(db: &Db, now: &Now, client: &Client, failure: Failure<'_>) -> Result<()> {
    let Failure { user, right, reason } = failure;
    let (txn, now) = db.begin(now).await?;
    if let Some(attempt) = right {
        rate_limits::give_back(&txn, attempt).await?;
    }
    let event = Event::by_anyone(client, Action::LoginFailed, user.map(|user| user.id));
    audit::record(&txn, &now, event.because(reason)).await?;
    Ok(txn.commit().await?)
}

/// The hash of the replacement password, if there is one.
async fn accept_replacement(
    passwords: &Passwords,
    user: &user::Model,
    replacement: Option<Replacement<'_>>,
) -> Result<Option<String>> {
    let Some(Replacement { new, .. }) = replacement else { return Ok(None) };
    passwords.refuse_temporary(user, new).await?;
    Ok(Some(passwords.accept(new, &passwords::about(user)).await?))
}

pub(in crate::domain) fn password_expired() -> Refusal {
    Refusal::new(Code::PasswordExpired, "password-expired")
}

fn invalid_credentials() -> Refusal {
    Refusal::new(Code::InvalidCredentials, "credentials-wrong")
}
