//! What signed-in users do with their own account.

// Replacing one's password.
pub mod change_password;
// Moving to another e-mail address.
pub mod email_move;
// Deactivating and deleting one's account.
pub mod leaving;
// Changing one's names and other details.
pub mod profile;

use crate::domain::passwords::Passwords;
use crate::entity::user;
use crate::error::{Code, Refusal, Result};

/// Asks for the present password once more before something that cannot be undone, or that would let a thief of the
/// session take over the account.
///
/// # Errors
/// [`Code::PasswordIncorrect`] of this field.
async fn prove(passwords: &Passwords, user: &user::Model, typed: &str, field: &'static str) -> Result<()> {
    let verdict = passwords.verify(typed, Some(user)).await?;
    if verdict.matches { Ok(()) } else { Err(incorrect(field).into()) }
}

fn incorrect(field: &'static str) -> Refusal {
    Refusal::new(Code::PasswordIncorrect, "This is not your present password.").of(field)
}
