//! Operations of signed-in users on their own account.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};

use crate::domain::account::change_password::{self, ChangePassword};
use crate::domain::account::delete;
use crate::domain::account::pending_email;
use crate::domain::account::profile::{self, Profile};
use crate::domain::account::undo_email_change::{self, Undo};
use crate::domain::auth::passwords::NewPassword;
use crate::domain::users::details::Details;
use crate::domain::users::remove::Outcome;
use crate::graphql::context::{app, present, request, viewer};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;
use crate::texts::Text;

/// Changes to your account. Omitted fields stay unchanged.
#[derive(InputObject)]
pub(crate) struct UpdateMeInput {
    /// Username; unique, without "@".
    username: Option<String>,
    /// New email address. Requires `currentPassword`, or a recent proof without a password; not by API token. It takes
    /// effect when its owner opens the link mailed to it. A different spelling of the same address (letter case, the
    /// `xn--` form of the domain) takes effect immediately.
    email: Option<String>,
    /// Given name.
    first_name: Option<String>,
    /// Family name.
    last_name: Option<String>,
    /// Telephone number.
    phone: Option<String>,
    /// Postal address; may have several lines.
    address: Option<String>,
    /// Biography written by the user: at most 2000 characters.
    bio: Option<String>,
    /// Current password. Required for a new email address, if you have one.
    #[graphql(secret)]
    current_password: Option<String>,
}

/// Result of `updateMe`.
#[derive(SimpleObject)]
pub(crate) struct UpdateMePayload {
    /// User after the change; null if there are errors.
    user: Option<User>,
    /// Errors per field; PASSWORD_INCORRECT or PASSWORD_EXPIRED for `currentPassword`, REAUTHENTICATION_REQUIRED without
    /// a password.
    errors: Vec<UserError>,
}

/// Result of `withdrawEmailChange`.
#[derive(SimpleObject)]
pub(crate) struct WithdrawEmailChangePayload {
    /// User without a pending address.
    user: Option<User>,
    /// Always empty.
    errors: Vec<UserError>,
}

/// Result of `resendEmailChange`.
#[derive(SimpleObject)]
pub(crate) struct ResendEmailChangePayload {
    /// User with the pending address; null if there are errors.
    user: Option<User>,
    /// NOT_FOUND without a pending address.
    errors: Vec<UserError>,
}

/// Current and new password.
#[derive(InputObject)]
pub(crate) struct ChangePasswordInput {
    /// Current password. Required if you have one.
    #[graphql(secret)]
    old_password: Option<String>,
    /// New password; see `passwordPolicy`.
    #[graphql(secret)]
    new_password: String,
    /// Repeat of the new password. If omitted, no comparison is made.
    #[graphql(secret)]
    new_password_confirm: Option<String>,
}

/// Result of `changePassword`.
#[derive(SimpleObject)]
pub(crate) struct ChangePasswordPayload {
    /// True if the password was changed.
    success: bool,
    /// PASSWORD_INCORRECT for `oldPassword`, REAUTHENTICATION_REQUIRED without a password, or the errors of the new
    /// password.
    errors: Vec<UserError>,
}

/// Confirmation by the owner of the account.
#[derive(InputObject)]
pub(crate) struct DeactivateMeInput {
    /// Current password. Required if you have one; otherwise a recent proof is required.
    #[graphql(secret)]
    current_password: Option<String>,
}

/// Result of `deactivateMe`.
#[derive(SimpleObject)]
pub(crate) struct DeactivateMePayload {
    /// True if the account is deactivated.
    success: bool,
    /// PASSWORD_INCORRECT, PASSWORD_EXPIRED or LAST_SUPERUSER; REAUTHENTICATION_REQUIRED without a password.
    errors: Vec<UserError>,
}

/// Confirmation by the owner of the account.
#[derive(InputObject)]
pub(crate) struct DeleteMeInput {
    /// Current password. Required if you have one; otherwise a recent proof is required.
    #[graphql(secret)]
    current_password: Option<String>,
}

/// Result of `deleteMe`.
#[derive(SimpleObject)]
pub(crate) struct DeleteMePayload {
    /// Result of the deletion; null if there are errors.
    outcome: Option<DeletionOutcome>,
    /// PASSWORD_INCORRECT, PASSWORD_EXPIRED or LAST_SUPERUSER; REAUTHENTICATION_REQUIRED without a password.
    errors: Vec<UserError>,
}

/// Result of a deletion.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Outcome")]
pub(crate) enum DeletionOutcome {
    /// The account no longer exists.
    Deleted,
    /// The row stays without personal data because other records refer to it.
    Anonymized,
}

/// Link of the email that announces a changed address.
#[derive(InputObject)]
pub(crate) struct UndoEmailChangeInput {
    /// `token` of the link in the email to the old address.
    #[graphql(secret)]
    token: String,
}

/// Result of `undoEmailChange`.
#[derive(SimpleObject)]
pub(crate) struct UndoEmailChangePayload {
    /// True if the account has its old address again.
    success: bool,
    /// Text to show to the user, in English; empty if there are errors.
    message: String,
    /// INVALID_TOKEN if the link was used or has expired; ALREADY_EXISTS if another account uses the address now.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Updates your own account. API tokens need the scope WRITE.
    async fn update_me(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Changes.")] input: UpdateMeInput,
    ) -> Answer<Option<UpdateMePayload>> {
        let app = app(ctx);
        let input = Profile {
            details: Details {
                username: input.username,
                first_name: input.first_name,
                last_name: input.last_name,
                phone: input.phone,
                address: input.address,
                bio: input.bio,
            },
            email: input.email,
            current_password: input.current_password,
        };
        let updated = profile::update(&app.db, &request(ctx).now, viewer(ctx)?, &app.passwords, input).await;
        let (user, errors) = outcome(ctx, updated)?;
        Ok(Some(UpdateMePayload { user: user.map(User), errors }))
    }

    /// Withdraws the pending email address (`User.pendingEmail`). Requires a session. The link mailed to it becomes
    /// invalid. Does nothing without a pending address.
    async fn withdraw_email_change(&self, ctx: &Context<'_>) -> Answer<Option<WithdrawEmailChangePayload>> {
        let user = pending_email::withdraw(&app(ctx).db, &request(ctx).now, present(ctx)?).await?;
        Ok(Some(WithdrawEmailChangePayload { user: Some(User(user)), errors: Vec::new() }))
    }

    /// Mails the link to the pending email address again. Requires a session. The earlier link becomes invalid.
    /// RATE_LIMITED after too many emails.
    async fn resend_email_change(&self, ctx: &Context<'_>) -> Answer<Option<ResendEmailChangePayload>> {
        let app = app(ctx);
        let sent = pending_email::resend(&app.db, &request(ctx).now, present(ctx)?, &app.limits).await;
        let (user, errors) = outcome(ctx, sent)?;
        Ok(Some(ResendEmailChangePayload { user: user.map(User), errors }))
    }

    /// Restores the old email address of an account with the link that was mailed there when the address changed.
    /// Public. The link works once, for `VESTIBULE_UNDO_TTL`. It also invalidates the password, all sessions, API
    /// tokens, mailed links and a pending address; offer `requestReset` next. Counts against the limit for mailed links
    /// (RATE_LIMITED).
    async fn undo_email_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Link of the email.")] input: UndoEmailChangeInput,
    ) -> Answer<Option<UndoEmailChangePayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let undo = Undo { token: &input.token, form: None };
        let undone = undo_email_change::undo(&app.db, &request.now, &request.client, &app.limits, undo).await;
        let (undone, errors) = outcome(ctx, undone)?;
        let message = undone.as_ref().map(|_| Text::new("email-change-undone").english()).unwrap_or_default();
        Ok(Some(UndoEmailChangePayload { success: undone.is_some(), message, errors }))
    }

    /// Replaces your password, or sets the first one, for which a recent proof is required. Requires a session. All your
    /// other sessions end, and you are notified by email. API tokens stay valid: check `apiTokens` for unknown ones.
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Current and new password.")] input: ChangePasswordInput,
    ) -> Answer<Option<ChangePasswordPayload>> {
        let app = app(ctx);
        let new = NewPassword {
            password: &input.new_password,
            confirm: input.new_password_confirm.as_deref(),
            fields: ("newPassword", "newPasswordConfirm"),
        };
        let input = ChangePassword { old: input.old_password.as_deref().unwrap_or_default(), new };
        let now = &request(ctx).now;
        let changed = change_password::change_password(&app.db, now, present(ctx)?, &app.passwords, input).await;
        let (changed, errors) = outcome(ctx, changed)?;
        Ok(Some(ChangePasswordPayload { success: changed.is_some(), errors }))
    }

    /// Deactivates your own account. Requires a session. All your sessions end, and only staff can activate the account
    /// again.
    async fn deactivate_me(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Confirmation by the owner.")] input: DeactivateMeInput,
    ) -> Answer<Option<DeactivateMePayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let current = input.current_password.as_deref().unwrap_or_default();
        let left = delete::deactivate(&app.db, &request.now, present(ctx)?, &app.passwords, current).await;
        let (left, errors) = outcome(ctx, left)?;
        if left.is_some() {
            request.forget();
        }
        Ok(Some(DeactivateMePayload { success: left.is_some(), errors }))
    }

    /// Permanently deletes your own account with its sessions, tokens, avatar and queued emails. Requires a session.
    /// The account is anonymized instead if other records refer to it.
    async fn delete_me(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Confirmation by the owner.")] input: DeleteMeInput,
    ) -> Answer<Option<DeleteMePayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let (passwords, media) = (&app.passwords, &app.media);
        let current = input.current_password.as_deref().unwrap_or_default();
        let left = delete::delete(&app.db, &request.now, present(ctx)?, passwords, media, current).await;
        let (left, errors) = outcome(ctx, left)?;
        if left.is_some() {
            request.forget();
        }
        Ok(Some(DeleteMePayload { outcome: left.map(DeletionOutcome::from), errors }))
    }
}
