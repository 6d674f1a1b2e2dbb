//! Activating and deactivating many users.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::User;
use crate::domain::users::set_active;
use crate::graphql::context::{app, manager, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::user_errors::outcome;

/// Accounts to activate or deactivate.
#[derive(InputObject)]
pub(crate) struct SetUsersActiveInput {
    /// Ids of the users: at most 500.
    ids: Vec<ID>,
    /// New value.
    is_active: bool,
}

/// Outcome for one user.
#[derive(SimpleObject)]
pub(crate) struct SetUserActiveOutcome {
    /// Id of the user.
    id: ID,
    /// User; null if there is an error.
    user: Option<User>,
    /// NOT_FOUND, CANNOT_DEACTIVATE_SELF or CANNOT_EDIT_SUPERUSER; null for a user with the new value.
    error: Option<UserError>,
}

/// Result of `setUsersActive`.
#[derive(SimpleObject)]
pub(crate) struct SetUsersActivePayload {
    /// Outcome for each id, in the order of the input; null if there are errors.
    outcomes: Option<Vec<SetUserActiveOutcome>>,
    /// REQUIRED or TOO_LONG for no ids or too many; REAUTHENTICATION_REQUIRED to activate staff.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct SetActiveMutation;

#[Object]
impl SetActiveMutation {
    /// Activates or deactivates many accounts; one that cannot be changed does not stop the others. Staff only. API tokens
    /// need the scope MANAGE_USERS, and apply only to other users without staff rights. Deactivated users are signed out
    /// everywhere immediately.
    async fn set_users_active(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Accounts and new value.")] input: SetUsersActiveInput,
    ) -> Answer<Option<SetUsersActivePayload>> {
        let ids: Vec<String> = input.ids.into_iter().map(|id| id.0).collect();
        let (db, now) = (&app(ctx).db, &request(ctx).now);
        let set = set_active::set_active(db, now, manager(ctx)?, &ids, input.is_active).await;
        let (outcomes, errors) = outcome(ctx, set)?;
        let show = |(id, outcome): (String, set_active::Outcome)| {
            let (user, error) = match outcome {
                Ok(user) => (Some(User(user)), None),
                Err(refusal) => (None, Some(refusal.into())),
            };
            SetUserActiveOutcome { id: id.into(), user, error }
        };
        let outcomes = outcomes.map(|outcomes| outcomes.into_iter().map(show).collect());
        Ok(Some(SetUsersActivePayload { outcomes, errors }))
    }
}
