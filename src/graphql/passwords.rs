//! Password policy.

use async_graphql::{Context, Object, SimpleObject};

use crate::graphql::context::app;
use crate::tools::password::MAX_LENGTH;
use crate::tools::password_policy::MIN_STRENGTH;

/// Requirements for a new password.
#[derive(SimpleObject)]
pub(crate) struct PasswordPolicy {
    /// Minimum length in characters (Unicode code points).
    min_length: usize,
    /// Maximum length in characters (Unicode code points).
    max_length: usize,
    /// Minimum strength from 0 to 4, as measured by zxcvbn with the user's names and address as context.
    min_strength: u8,
    /// True if passwords in lists of stolen passwords are refused with PASSWORD_BREACHED.
    rejects_breached: bool,
}

#[derive(Default)]
pub(crate) struct PasswordsQuery;

#[Object]
impl PasswordsQuery {
    /// Returns the requirements for new passwords. Public.
    async fn password_policy(&self, ctx: &Context<'_>) -> PasswordPolicy {
        let passwords = &app(ctx).passwords;
        PasswordPolicy {
            min_length: passwords.policy().min_length,
            max_length: MAX_LENGTH,
            min_strength: MIN_STRENGTH,
            rejects_breached: passwords.rejects_breached(),
        }
    }
}
