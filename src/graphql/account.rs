//! What signed-in users do with their own account.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};

use crate::domain::account::change_password::{self, ChangePassword};
use crate::domain::account::delete;
use crate::domain::account::profile::{self, Profile};
use crate::domain::account::undo_email_change;
use crate::domain::auth::passwords::NewPassword;
use crate::domain::users::details::Details;
use crate::domain::users::remove::Outcome;
use crate::graphql::context::{app, present, request, viewer};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;

/// What to change about oneself. What is left out stays as it is.
#[derive(InputObject)]
pub(crate) struct UpdateMeInput {
    /// The username; unique, without "@".
    username: Option<String>,
    /// The email address to move to. Needs `currentPassword`. Holds once its owner follows the link mailed to it; only
    /// another spelling of the same address (upper and lower case, the `xn--` form of the domain) holds at once.
    email: Option<String>,
    /// Given name.
    first_name: Option<String>,
    /// Family name.
    last_name: Option<String>,
    /// Telephone number.
    phone: Option<String>,
    /// Postal address; may have several lines.
    address: Option<String>,
    /// What the user tells about themself: 2000 characters at most.
    bio: Option<String>,
    /// The present password, for a new e-mail address.
    #[graphql(secret)]
    current_password: Option<String>,
}

/// The outcome of `updateMe`.
#[derive(SimpleObject)]
pub(crate) struct UpdateMePayload {
    /// The user after the change; null where there are errors.
    user: Option<User>,
    /// What is wrong with each field; PASSWORD_INCORRECT of `currentPassword`.
    errors: Vec<UserError>,
}

/// The present password and the next.
#[derive(InputObject)]
pub(crate) struct ChangePasswordInput {
    /// The present password.
    #[graphql(secret)]
    old_password: String,
    /// The next password; see `passwordPolicy`.
    #[graphql(secret)]
    new_password: String,
    /// The next password, typed a second time; left out, it is not compared.
    #[graphql(secret)]
    new_password_confirm: Option<String>,
}

/// The outcome of `changePassword`.
#[derive(SimpleObject)]
pub(crate) struct ChangePasswordPayload {
    /// Whether the new password holds.
    success: bool,
    /// PASSWORD_INCORRECT of `oldPassword`, or what is wrong with the new one.
    errors: Vec<UserError>,
}

/// The proof that it is the owner who wants to deactivate the account.
#[derive(InputObject)]
pub(crate) struct DeactivateMeInput {
    /// The present password.
    #[graphql(secret)]
    current_password: String,
}

/// The outcome of `deactivateMe`.
#[derive(SimpleObject)]
pub(crate) struct DeactivateMePayload {
    /// Whether the account is deactivated.
    success: bool,
    /// PASSWORD_INCORRECT or LAST_SUPERUSER.
    errors: Vec<UserError>,
}

/// The proof that it is the owner who wants to delete the account.
#[derive(InputObject)]
pub(crate) struct DeleteMeInput {
    /// The present password.
    #[graphql(secret)]
    current_password: String,
}

/// The outcome of `deleteMe`.
#[derive(SimpleObject)]
pub(crate) struct DeleteMePayload {
    /// What became of the account; null where there are errors.
    outcome: Option<DeletionOutcome>,
    /// PASSWORD_INCORRECT or LAST_SUPERUSER.
    errors: Vec<UserError>,
}

/// What becomes of a deleted account.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Outcome")]
pub(crate) enum DeletionOutcome {
    /// It is gone.
    Deleted,
    /// Other records still name it, so its row stays, with nothing personal in it.
    Anonymized,
}

/// The link of a mail that announces a change of address.
#[derive(InputObject)]
pub(crate) struct UndoEmailChangeInput {
    /// The `token` of the link in the mail to the old address.
    #[graphql(secret)]
    token: String,
}

/// The outcome of `undoEmailChange`.
#[derive(SimpleObject)]
pub(crate) struct UndoEmailChangePayload {
    /// Whether the account has its old address again.
    success: bool,
    /// Text for the person, an English sentence; empty where there are errors.
    message: String,
    /// INVALID_TOKEN where the link was used or has expired; ALREADY_EXISTS where another account has the address now.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Changes the signed-in user's own details.
    async fn update_me(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateMeInput,
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

    /// Returns an account to its old email address with the link that was mailed there when the address changed: anyone may
    /// call it. The link works once, for `VESTIBULE_UNDO_TTL`. The password, all sessions, API tokens, mailed links and a
    /// pending address end; offer `requestReset` next. Counts as an attempt at a mailed link.
    async fn undo_email_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The link of the mail.")] input: UndoEmailChangeInput,
    ) -> Answer<Option<UndoEmailChangePayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let undone =
            undo_email_change::undo(&app.db, &request.now, &request.client, &app.limits, (&input.token, None)).await;
        let (undone, errors) = outcome(ctx, undone)?;
        let message = undone.as_ref().map_or(
            "",
            |_| "Your account uses your old email address again, and everyone was signed out. Now reset your password.",
        );
        Ok(Some(UndoEmailChangePayload { success: undone.is_some(), message: message.to_owned(), errors }))
    }

    /// Replaces the signed-in user's password. The present session goes on, all others end, and a mail tells the user. API
    /// tokens stay: see `apiTokens` for some that you do not know.
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The present password and the next.")] input: ChangePasswordInput,
    ) -> Answer<Option<ChangePasswordPayload>> {
        let app = app(ctx);
        let new = NewPassword {
            password: &input.new_password,
            confirm: input.new_password_confirm.as_deref(),
            fields: ("newPassword", "newPasswordConfirm"),
        };
        let input = ChangePassword { old: &input.old_password, new };
        let now = &request(ctx).now;
        let changed = change_password::change_password(&app.db, now, present(ctx)?, &app.passwords, input).await;
        let (changed, errors) = outcome(ctx, changed)?;
        Ok(Some(ChangePasswordPayload { success: changed.is_some(), errors }))
    }

    /// Deactivates the signed-in user's own account: all sessions end, and only staff can activate it again.
    async fn deactivate_me(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof that it is the owner.")] input: DeactivateMeInput,
    ) -> Answer<Option<DeactivateMePayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let left =
            delete::deactivate(&app.db, &request.now, present(ctx)?, &app.passwords, &input.current_password).await;
        let (left, errors) = outcome(ctx, left)?;
        if left.is_some() {
            request.forget();
        }
        Ok(Some(DeactivateMePayload { success: left.is_some(), errors }))
    }

    /// Deletes the signed-in user's own account for good, with sessions, tokens, avatar and waiting mails. Where other
    /// records still name the user, the account is anonymized instead.
    async fn delete_me(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof that it is the owner.")] input: DeleteMeInput,
    ) -> Answer<Option<DeleteMePayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let left =
            delete::delete(&app.db, &request.now, present(ctx)?, (&app.passwords, &app.media), &input.current_password)
                .await;
        let (left, errors) = outcome(ctx, left)?;
        if left.is_some() {
            request.forget();
        }
        Ok(Some(DeleteMePayload { outcome: left.map(DeletionOutcome::from), errors }))
    }
}
