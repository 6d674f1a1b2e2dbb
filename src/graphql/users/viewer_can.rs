//! What the signed-in user may do to another.

use async_graphql::{Context, Object, SimpleObject};

use crate::domain::users::viewer_can::{self, UserAction};
use crate::entity::user;
use crate::graphql::context::reader;
use crate::graphql::errors::{Answer, UserErrorCode};

/// The user to whom it would be done.
pub(crate) struct UserActions(pub(super) user::Model);

/// What the signed-in user may do to a user.
#[Object]
impl UserActions {
    /// `updateUser`, as far as it concerns names and the like: what else it changes has the rules below.
    async fn update(&self, ctx: &Context<'_>) -> Answer<ActionCheck> {
        self.check(ctx, UserAction::Update)
    }

    /// `toggleStaff`.
    async fn toggle_staff(&self, ctx: &Context<'_>) -> Answer<ActionCheck> {
        self.check(ctx, UserAction::ToggleStaff)
    }

    /// `toggleActive`.
    async fn toggle_active(&self, ctx: &Context<'_>) -> Answer<ActionCheck> {
        self.check(ctx, UserAction::ToggleActive)
    }

    /// `setUserPassword`.
    async fn set_password(&self, ctx: &Context<'_>) -> Answer<ActionCheck> {
        self.check(ctx, UserAction::SetPassword)
    }

    /// `deleteUser` and `deleteUsers`.
    async fn delete(&self, ctx: &Context<'_>) -> Answer<ActionCheck> {
        self.check(ctx, UserAction::Delete)
    }
}

impl UserActions {
    fn check(&self, ctx: &Context<'_>, deed: UserAction) -> Answer<ActionCheck> {
        let checked = viewer_can::check(reader(ctx)?, &self.0, deed);
        Ok(ActionCheck { allowed: checked.is_ok(), reason: checked.err().flatten().map(Into::into) })
    }
}

/// Whether something may be done.
#[derive(SimpleObject)]
pub(crate) struct ActionCheck {
    /// Whether it may be done.
    allowed: bool,
    /// The code that the mutation would answer with; null where it is allowed, or where the mutation would be an error,
    /// because the signed-in user is not staff, or an API token.
    reason: Option<UserErrorCode>,
}
