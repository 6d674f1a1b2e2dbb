//! Creating, changing and deleting users.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use super::{User, UserPermission, UserRole};
use crate::domain::users::create::{self, Create};
use crate::domain::users::delete;
use crate::domain::users::details::Details;
use crate::domain::users::remove::Outcome;
use crate::domain::users::toggle::{self, Flag, Toggle};
use crate::domain::users::update::{self, Update};
use crate::graphql::account::DeletionOutcome;
use crate::graphql::context::{app, manager, request, staff};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::user_errors::outcome;
/// Account to create.
#[derive(InputObject)]
pub(crate) struct CreateUserInput {
    /// Email address.
    email: String,
    /// Username. If omitted, a neutral one such as `user-7kqm3xvd` is generated; it contains nothing of the address.
    username: Option<String>,
    /// Password. If omitted, the welcome email has a link with which the user sets one. Not by API token.
    #[graphql(secret)]
    password: Option<String>,
    /// Given name.
    #[graphql(default)]
    first_name: String,
    /// Family name.
    #[graphql(default)]
    last_name: String,
    /// Telephone number.
    #[graphql(default)]
    phone: String,
    /// Postal address; may have several lines.
    #[graphql(default)]
    address: String,
    /// Role in the organization. ADMIN includes staff rights. By API token: MEMBER only.
    #[graphql(default_with = "UserRole::Member")]
    role: UserRole,
    /// Permission for data. By API token: ONLY_VIEW only.
    #[graphql(default_with = "UserPermission::OnlyView")]
    permission: UserPermission,
    /// True if the account is active.
    #[graphql(default = true)]
    is_active: bool,
    /// Staff flag. Not by API token.
    #[graphql(default)]
    is_staff: bool,
}

/// Result of `createUser`.
#[derive(SimpleObject)]
pub(crate) struct CreateUserPayload {
    /// New user; null if there are errors.
    user: Option<User>,
    /// ALREADY_EXISTS, REQUIRED, INVALID, TOO_LONG or PASSWORD_… per field; REAUTHENTICATION_REQUIRED for
    /// an account with a password or rights.
    errors: Vec<UserError>,
}

/// Changes to an account. Omitted fields stay unchanged.
#[derive(InputObject)]
pub(crate) struct UpdateUserInput {
    /// Id of the user.
    id: ID,
    /// Email address. The change takes effect immediately, and the old address is notified. A user who was invited and has
    /// not signed in yet gets the invitation at the new address instead. Not by API token.
    email: Option<String>,
    /// Username; unique, without "@".
    username: Option<String>,
    /// Password: see `setUserPassword`.
    #[graphql(secret)]
    password: Option<String>,
    /// Given name.
    first_name: Option<String>,
    /// Family name.
    last_name: Option<String>,
    /// Telephone number.
    phone: Option<String>,
    /// Postal address; may have several lines.
    address: Option<String>,
    /// Biography of the user: at most 2000 characters.
    bio: Option<String>,
    /// Role in the organization. Users cannot change their own. Not by API token.
    role: Option<UserRole>,
    /// Permission for data. Users cannot change their own. Not by API token.
    permission: Option<UserPermission>,
    /// True if the account is active: see `toggleActive`.
    is_active: Option<bool>,
    /// Staff flag: see `toggleStaff`.
    is_staff: Option<bool>,
    /// `User.version` that the changes are based on. Without one, they apply whatever others have changed.
    expected_version: Option<String>,
}

/// Result of `updateUser`.
#[derive(SimpleObject)]
pub(crate) struct UpdateUserPayload {
    /// Changed user; null if there are errors.
    user: Option<User>,
    /// NOT_FOUND, ALREADY_EXISTS, REQUIRED, INVALID, TOO_LONG, PASSWORD_…, CANNOT_DEMOTE_SELF, CANNOT_DEACTIVATE_SELF
    /// or CANNOT_EDIT_SUPERUSER. INVALID for your own email address and password: use `updateMe` and `changePassword`.
    /// REAUTHENTICATION_REQUIRED for an email address, a password, more rights, or the activation of staff. CONFLICT if
    /// the user no longer has the expected version.
    errors: Vec<UserError>,
}

/// New password of a user.
#[derive(InputObject)]
pub(crate) struct SetUserPasswordInput {
    /// Id of the user.
    id: ID,
    /// Password; see `passwordPolicy`.
    #[graphql(secret)]
    password: String,
}

/// Result of `setUserPassword`.
#[derive(SimpleObject)]
pub(crate) struct SetUserPasswordPayload {
    /// User; null if there are errors.
    user: Option<User>,
    /// NOT_FOUND, PASSWORD_… or CANNOT_EDIT_SUPERUSER; INVALID for your own password: use `changePassword`;
    /// REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// Account to delete.
#[derive(InputObject)]
pub(crate) struct DeleteUserInput {
    /// Id of the user.
    id: ID,
}

/// Result of `deleteUser`.
#[derive(SimpleObject)]
pub(crate) struct DeleteUserPayload {
    /// Result of the deletion; null if there are errors.
    outcome: Option<DeletionOutcome>,
    /// Id of the account if it no longer exists; null if it was anonymized, and if there are errors.
    deleted_id: Option<ID>,
    /// NOT_FOUND, CANNOT_DELETE_SELF or CANNOT_EDIT_SUPERUSER; REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// Accounts to delete.
#[derive(InputObject)]
pub(crate) struct DeleteUsersInput {
    /// Ids of the users: at most 500.
    ids: Vec<ID>,
}

/// Result of `deleteUsers`.
#[derive(SimpleObject)]
pub(crate) struct DeleteUsersPayload {
    /// Number of accounts deleted; null if there are errors.
    deleted: Option<usize>,
    /// Number of accounts whose rows stay without personal data because other records refer to them; null if there are
    /// errors.
    anonymized: Option<usize>,
    /// Ids of the accounts that no longer exist, without the anonymized ones; null if there are errors.
    deleted_ids: Option<Vec<ID>>,
    /// NOT_FOUND, CANNOT_DELETE_SELF or CANNOT_EDIT_SUPERUSER, each with the id in its message; REQUIRED or TOO_LONG
    /// for no ids or too many; REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// Staff flag to change.
#[derive(InputObject)]
pub(crate) struct ToggleStaffInput {
    /// Id of the user.
    id: ID,
    /// New value. By default the opposite of the current one.
    is_staff: Option<bool>,
}

/// Result of `toggleStaff`.
#[derive(SimpleObject)]
pub(crate) struct ToggleStaffPayload {
    /// User; null if there are errors.
    user: Option<User>,
    /// NOT_FOUND, CANNOT_DEMOTE_SELF or CANNOT_EDIT_SUPERUSER; REAUTHENTICATION_REQUIRED to grant the flag.
    errors: Vec<UserError>,
}

/// Account to activate or deactivate.
#[derive(InputObject)]
pub(crate) struct ToggleActiveInput {
    /// Id of the user.
    id: ID,
    /// New value. By default the opposite of the current one.
    is_active: Option<bool>,
}

/// Result of `toggleActive`.
#[derive(SimpleObject)]
pub(crate) struct ToggleActivePayload {
    /// User; null if there are errors.
    user: Option<User>,
    /// NOT_FOUND, CANNOT_DEACTIVATE_SELF or CANNOT_EDIT_SUPERUSER; REAUTHENTICATION_REQUIRED to activate staff.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct UsersMutation;

#[Object]
impl UsersMutation {
    /// Creates an account and sends its user a welcome email once the account is active. Staff only. API tokens need
    /// the scope MANAGE_USERS, and create only MEMBERs with ONLY_VIEW and without a password. RATE_LIMITED if you have
    /// sent, or the address has received, too many welcome emails.
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Account to create.")] input: CreateUserInput,
    ) -> Answer<Option<CreateUserPayload>> {
        let app = app(ctx);
        let input = Create {
            email: input.email,
            username: input.username,
            password: input.password,
            first_name: input.first_name,
            last_name: input.last_name,
            phone: input.phone,
            address: input.address,
            role: input.role.into(),
            permission: input.permission.into(),
            is_active: input.is_active,
            is_staff: input.is_staff,
        };
        let (now, staff) = (&request(ctx).now, manager(ctx)?);
        let created = create::create(&app.db, now, staff, &app.passwords, &app.limits, input).await;
        let (user, errors) = outcome(ctx, created)?;
        Ok(Some(CreateUserPayload { user: user.map(User), errors }))
    }

    /// Changes an account. Staff only. API tokens need the scope MANAGE_USERS, and change only the username, names,
    /// phone, address, bio and active flag of other users without staff rights. Deactivating a user or setting a
    /// password signs them out everywhere immediately; changed rights apply from their next request. The owner is
    /// emailed when the address or password changes. RATE_LIMITED if you have sent too many invitations.
    async fn update_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Account and its changes.")] input: UpdateUserInput,
    ) -> Answer<Option<UpdateUserPayload>> {
        let update = Update {
            id: input.id.0,
            details: Details {
                username: input.username,
                first_name: input.first_name,
                last_name: input.last_name,
                phone: input.phone,
                address: input.address,
                bio: input.bio,
            },
            email: input.email,
            password: input.password,
            role: input.role.map(Into::into),
            permission: input.permission.map(Into::into),
            is_active: input.is_active,
            is_staff: input.is_staff,
            expected_version: input.expected_version,
        };
        let (user, errors) = change(ctx, update).await?;
        Ok(Some(UpdateUserPayload { user, errors }))
    }

    /// Sets a user's password. Staff only; requires a session. The user is signed out everywhere immediately and
    /// notified by email. Prefer `requestReset`, with which users set a password themselves.
    async fn set_user_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "User and new password.")] input: SetUserPasswordInput,
    ) -> Answer<Option<SetUserPasswordPayload>> {
        let update = Update { id: input.id.0, password: Some(input.password), ..Update::default() };
        let (user, errors) = change(ctx, update).await?;
        Ok(Some(SetUserPasswordPayload { user, errors }))
    }

    /// Deletes an account with everything that belongs to it. Staff only; requires a session.
    async fn delete_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Account to delete.")] input: DeleteUserInput,
    ) -> Answer<Option<DeleteUserPayload>> {
        let (outcomes, errors) = delete(ctx, "id", &[input.id.0]).await?;
        let outcome = outcomes.as_ref().and_then(|outcomes| outcomes.first()).map(|(_, outcome)| (*outcome).into());
        let deleted_id = outcomes.and_then(|outcomes| deleted(&outcomes).next());
        Ok(Some(DeleteUserPayload { outcome, deleted_id, errors }))
    }

    /// Deletes accounts with everything that belongs to them, all or none. Staff only; requires a session.
    async fn delete_users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Accounts to delete.")] input: DeleteUsersInput,
    ) -> Answer<Option<DeleteUsersPayload>> {
        let ids: Vec<String> = input.ids.into_iter().map(|id| id.0).collect();
        let (outcomes, errors) = delete(ctx, "ids", &ids).await?;
        let deleted_ids: Option<Vec<ID>> = outcomes.as_ref().map(|outcomes| deleted(outcomes).collect());
        let count = deleted_ids.as_ref().map(Vec::len);
        let anonymized = outcomes.zip(count).map(|(outcomes, deleted)| outcomes.len() - deleted);
        Ok(Some(DeleteUsersPayload { deleted: count, anonymized, deleted_ids, errors }))
    }

    /// Sets or removes the staff flag of a user. Staff only; requires a session. Changed rights apply from the user's
    /// next request.
    async fn toggle_staff(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "User and new value.")] input: ToggleStaffInput,
    ) -> Answer<Option<ToggleStaffPayload>> {
        let (user, errors) = flip(ctx, Toggle { id: input.id.0, flag: Flag::Staff, to: input.is_staff }).await?;
        Ok(Some(ToggleStaffPayload { user, errors }))
    }

    /// Activates or deactivates an account. Staff only. API tokens need the scope MANAGE_USERS, and apply only to other
    /// users without staff rights. A deactivated user is signed out everywhere immediately.
    async fn toggle_active(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Account and new value.")] input: ToggleActiveInput,
    ) -> Answer<Option<ToggleActivePayload>> {
        let (user, errors) = flip(ctx, Toggle { id: input.id.0, flag: Flag::Active, to: input.is_active }).await?;
        Ok(Some(ToggleActivePayload { user, errors }))
    }
}

async fn flip(ctx: &Context<'_>, input: Toggle) -> Answer<(Option<User>, Vec<UserError>)> {
    let (user, errors) = outcome(ctx, toggle::toggle(&app(ctx).db, &request(ctx).now, manager(ctx)?, input).await)?;
    Ok((user.map(User), errors))
}

async fn change(ctx: &Context<'_>, input: Update) -> Answer<(Option<User>, Vec<UserError>)> {
    let app = app(ctx);
    let updated = update::update(&app.db, &request(ctx).now, manager(ctx)?, &app.passwords, input).await;
    let (user, errors) = outcome(ctx, updated)?;
    Ok((user.map(User), errors))
}

async fn delete(
    ctx: &Context<'_>,
    field: &'static str,
    ids: &[String],
) -> Answer<(Option<Vec<(Uuid, Outcome)>>, Vec<UserError>)> {
    let app = app(ctx);
    outcome(ctx, delete::delete(&app.db, &request(ctx).now, staff(ctx)?, &app.media, field, ids).await)
}

/// Ids of the accounts that no longer exist.
fn deleted(outcomes: &[(Uuid, Outcome)]) -> impl Iterator<Item = ID> {
    outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Deleted).map(|(id, _)| ID::from(*id))
}
