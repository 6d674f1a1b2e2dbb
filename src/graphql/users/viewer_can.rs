//! Actions that the signed-in user may perform on another user.

use async_graphql::{Context, Object, SimpleObject};

use crate::domain::users::viewer_can::{self, UserAction};
use crate::entity::user;
use crate::graphql::context::{now, reader};
use crate::graphql::errors::{Answer, UserErrorCode};

/// Target of the actions.
pub(crate) struct UserActions(pub(super) user::Model);

/// Actions that you may perform on a user.
#[Object]
impl UserActions {
    /// `updateUser` for names and similar details; its other changes follow the checks below.
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

    /// `resetFactors`.
    async fn reset_factors(&self, ctx: &Context<'_>) -> Answer<ActionCheck> {
        self.check(ctx, UserAction::ResetFactors)
    }

    /// `deleteUser` and `deleteUsers`.
    async fn delete(&self, ctx: &Context<'_>) -> Answer<ActionCheck> {
        self.check(ctx, UserAction::Delete)
    }

    /// `endUserSessions`.
    async fn end_sessions(&self, ctx: &Context<'_>) -> Answer<ActionCheck> {
        self.check(ctx, UserAction::EndSessions)
    }

    /// `revokeUserApiToken`.
    async fn revoke_api_tokens(&self, ctx: &Context<'_>) -> Answer<ActionCheck> {
        self.check(ctx, UserAction::RevokeApiTokens)
    }

    /// `sendLink`; it also depends on the state of the account.
    async fn send_link(&self, ctx: &Context<'_>) -> Answer<ActionCheck> {
        self.check(ctx, UserAction::SendLink)
    }
}

impl UserActions {
    fn check(&self, ctx: &Context<'_>, deed: UserAction) -> Answer<ActionCheck> {
        let checked = viewer_can::check(reader(ctx)?, &now(ctx), &self.0, deed);
        Ok(ActionCheck { allowed: checked.is_ok(), reason: checked.err().flatten().map(Into::into) })
    }
}

/// Check of an action.
#[derive(SimpleObject)]
pub(crate) struct ActionCheck {
    /// True if the action is allowed.
    allowed: bool,
    /// Code that the mutation would return; null if the action is allowed, or if the mutation would fail with an error
    /// because you are not staff or use an API token.
    reason: Option<UserErrorCode>,
}
