//! Registration, password reset, and changes by users to their own account.

// Changing the password.
pub mod change_password;
// A new proof of identity within a session.
pub mod reauthenticate;
// Second factors.
pub mod second_factor;
// Passkeys of the signed-in user.
pub mod passkeys;
// Changing names and other details.
pub mod profile;
// Undoing a change of address.
pub mod undo_email_change;
// Registration.
pub mod registration;
// Resetting a forgotten password.
pub mod password_reset;
// Confirming an address by a mailed link.
pub mod verify_email;
// Withdrawing a pending address, and sending its link again.
pub mod pending_email;
// The user's own data as files.
pub mod own_data;
// Changing the email address.
pub(in crate::domain) mod email_change;
// Deactivating and deleting the account.
pub mod delete;

use crate::database::Db;
use crate::domain::auth::authorize::Authorized;
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::passwords::{Passwords, TypedPassword};
use crate::domain::auth::sign_in::{self, Failure, password_expired};
use crate::domain::rate_limits::{self, Account, Attempt};
use crate::entity::audit_event::Reason;
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// A typed current password of an account.
#[derive(Clone, Copy, Debug)]
struct CurrentPassword<'a> {
    /// The password.
    typed: &'a str,
    /// Its input field, as named in the schema.
    field: &'static str,
}

/// Verifies the current password before an operation that cannot be undone, or that would let the thief of a session
/// take over the account. An account without a password needs a recent proof by other means instead.
///
/// # Errors
/// [`Code::PasswordIncorrect`] of this field, and [`Code::PasswordExpired`] for a temporary password that was not
/// replaced in time; [`crate::error::Error::RateLimited`] after too many wrong ones;
/// [`Code::ReauthenticationRequired`] without a password.
async fn prove<'a>(
    db: &Db,
    now: &Now,
    owner: SessionUser<'a>,
    passwords: &Passwords,
    current: CurrentPassword<'_>,
) -> Result<Proof<'a>> {
    match owner.user().password_hash {
        Some(_) => prove_by_password(db, now, owner, passwords, current).await,
        None => Proof::without_password(now, owner, current.field),
    }
}

/// The same for the operation that replaces the password, which an expired one may still do.
///
/// # Errors
/// As for [`prove`], except [`Code::PasswordExpired`].
async fn prove_with_any<'a>(
    db: &Db,
    now: &Now,
    owner: SessionUser<'a>,
    passwords: &Passwords,
    current: CurrentPassword<'_>,
) -> Result<Proof<'a>> {
    match owner.user().password_hash {
        Some(_) => verify(db, now, owner, passwords, current).await,
        None => Proof::without_password(now, owner, current.field),
    }
}

/// The same for a proof that is a password in every case.
///
/// # Errors
/// As for [`prove`], except [`Code::ReauthenticationRequired`].
async fn prove_by_password<'a>(
    db: &Db,
    now: &Now,
    owner: SessionUser<'a>,
    passwords: &Passwords,
    current: CurrentPassword<'_>,
) -> Result<Proof<'a>> {
    let proof = verify(db, now, owner, passwords, current).await?;
    let user = owner.user();
    if passwords.has_expired(user, now) {
        let failure = Failure::of(user, Attempt::default(), Reason::PasswordExpired);
        sign_in::record_failure(db, now, owner.client(), failure).await?;
        return Err(password_expired().of(current.field).into());
    }
    Ok(proof)
}

async fn verify<'a>(
    db: &Db,
    now: &Now,
    owner: SessionUser<'a>,
    passwords: &Passwords,
    current: CurrentPassword<'_>,
) -> Result<Proof<'a>> {
    let CurrentPassword { typed, field } = current;
    let user = owner.user();
    let entered = TypedPassword { account: Account::Own(&owner), user: Some(user), text: typed };
    let (verdict, attempt) = passwords.verify(db, now, owner.client(), entered).await?;
    if !verdict.matches {
        sign_in::record_failure(db, now, owner.client(), Failure::of_wrong_password(user)).await?;
        return Err(incorrect(field, typed).into());
    }
    rate_limits::give_back(db.writer(), attempt).await?;
    Ok(Proof { hash: owner.into_viewer().user().password_hash.as_deref(), field })
}

/// Proof that the password was correct at the start of the request, or that there was none.
#[derive(Clone, Copy, Debug)]
struct Proof<'a> {
    hash: Option<&'a str>,
    field: &'static str,
}

impl<'a> Proof<'a> {
    /// Proof of an account without a password, by a recent proof of the session.
    ///
    /// # Errors
    /// [`Code::ReauthenticationRequired`].
    fn without_password(now: &Now, owner: SessionUser<'a>, field: &'static str) -> Result<Self> {
        owner.check_recent_proof(now)?;
        Ok(Self { hash: None, field })
    }

    /// Checks, in the transaction of the protected operation, that the password was not replaced meanwhile, and that the
    /// proof without one is still recent.
    ///
    /// # Errors
    /// [`Code::PasswordIncorrect`] of its field; [`Code::ReauthenticationRequired`] without a password.
    fn check(self, authorized: &Authorized) -> Result<(), Refusal> {
        if self.hash.is_none() {
            let (_, now) = authorized.parts();
            authorized.check_recent_proof(now)?;
        }
        let is_present = self.hash == authorized.user().password_hash.as_deref();
        if is_present {
            Ok(())
        } else {
            Err(Refusal::new(Code::PasswordIncorrect, "password-incorrect").of(self.field))
        }
    }
}

fn incorrect(field: &'static str, typed: &str) -> Refusal {
    match typed.is_empty() {
        true => Refusal::new(Code::PasswordIncorrect, "password-missing"),
        false => Refusal::new(Code::PasswordIncorrect, "password-incorrect"),
    }
    .of(field)
}
