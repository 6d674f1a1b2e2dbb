//! The rules for passwords.

use async_graphql::{Context, Object, SimpleObject};

use crate::graphql::context::app;
use crate::tools::password::MAX_LENGTH;
use crate::tools::password_policy::MIN_STRENGTH;

/// What a new password must be like.
#[derive(SimpleObject)]
pub(crate) struct PasswordPolicy {
    /// The fewest characters (Unicode code points) it may have.
    min_length: usize,
    /// The most characters (Unicode code points) it may have.
    max_length: usize,
    /// The least strength, from 0 to 4, as zxcvbn measures it with the user's own names and address as context.
    min_strength: u8,
}

#[derive(Default)]
pub(crate) struct PasswordsQuery;

#[Object]
impl PasswordsQuery {
    /// What a new password must be like: anyone may ask.
    async fn password_policy(&self, ctx: &Context<'_>) -> PasswordPolicy {
        let policy = app(ctx).passwords.policy();
        PasswordPolicy { min_length: policy.min_length, max_length: MAX_LENGTH, min_strength: MIN_STRENGTH }
    }
}
