//! What signed-in users do with their own account.

// Replacing one's password.
pub mod change_password;
// Changing one's names and other details.
pub mod profile;
// Undoing a change of address.
pub mod undo_email_change;
// Making an account for oneself.
pub mod registration;
// Recovering a forgotten password.
pub mod password_reset;
// Confirming an address with the link that was mailed to it.
pub mod verify_email;
// Moving to another e-mail address.
pub(in crate::domain) mod email_change;
// Deactivating and deleting one's account.
pub mod delete;

use crate::database::Db;
use crate::domain::auth::authorize::Authorized;
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::passwords::Passwords;
use crate::domain::rate_limits::{self, Account};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// Asks for the present password once more before something that cannot be undone, or that would let a thief of the
/// session take over the account.
///
/// # Errors
/// [`Code::PasswordIncorrect`] of this field; [`crate::error::Error::RateLimited`] after too many wrong ones.
async fn prove<'a>(
    db: &Db,
    now: &Now,
    owner: SessionUser<'a>,
    passwords: &Passwords,
    (typed, field): (&str, &'static str),
) -> Result<Proof<'a>> {
    let account = Account::Own(owner.user().id);
    let (verdict, attempt) = passwords.verify(db, now, owner.client(), (account, Some(owner.user())), typed).await?;
    if !verdict.matches {
        return Err(incorrect(field).into());
    }
    rate_limits::give_back(db.writer(), attempt).await?;
    Ok(Proof { hash: owner.into_viewer().user().password_hash.as_deref(), field })
}

/// The proof of a password that was present when the request came.
#[derive(Clone, Copy, Debug)]
struct Proof<'a> {
    hash: Option<&'a str>,
    field: &'static str,
}

impl Proof<'_> {
    /// Checks in the transaction of what the password was asked for that nobody replaced it meanwhile.
    ///
    /// # Errors
    /// [`Code::PasswordIncorrect`] of its field.
    fn check(self, authorized: &Authorized) -> Result<(), Refusal> {
        let is_present = self.hash == authorized.user().password_hash.as_deref();
        if is_present { Ok(()) } else { Err(incorrect(self.field)) }
    }
}

fn incorrect(field: &'static str) -> Refusal {
    Refusal::new(Code::PasswordIncorrect, "This is not your present password.").of(field)
}
