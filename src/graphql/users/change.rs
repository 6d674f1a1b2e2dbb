//! Changing and deleting users.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

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
/// An account to make.
#[derive(InputObject)]
pub(crate) struct CreateUserInput {
    /// The e-mail address.
    email: String,
    /// The username. Left out, a neutral one such as `user-7kqm3xvd` is generated; nothing of the address is in it.
    username: Option<String>,
    /// The password. Without it, the welcome mail has a link with which the user sets one. Not by API token.
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
    /// What the user is in the organisation. ADMIN has the rights of staff. By API token MEMBER only.
    #[graphql(default_with = "UserRole::Member")]
    role: UserRole,
    /// What the user may do with data. By API token ONLY_VIEW only.
    #[graphql(default_with = "UserPermission::OnlyView")]
    permission: UserPermission,
    /// Whether the account may be used.
    #[graphql(default = true)]
    is_active: bool,
    /// Whether the user has the staff flag. Not by API token.
    #[graphql(default)]
    is_staff: bool,
}

/// The outcome of `createUser`.
#[derive(SimpleObject)]
pub(crate) struct CreateUserPayload {
    /// The new user; null where there are errors.
    user: Option<User>,
    /// ALREADY_EXISTS, REQUIRED, INVALID, TOO_LONG or PASSWORD_… of the field that is wrong.
    errors: Vec<UserError>,
}

/// An account to change. What is left out stays as it is.
#[derive(InputObject)]
pub(crate) struct UpdateUserInput {
    /// The user's id.
    id: ID,
    /// The e-mail address. It holds at once, and a mail to the old one tells its owner. Not by API token.
    email: Option<String>,
    /// The username; unique, without "@".
    username: Option<String>,
    /// The password: as with `setUserPassword`.
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
    /// What is told about the user: 2000 characters at most.
    bio: Option<String>,
    /// What the user is in the organisation. Nobody changes their own. Not by API token.
    role: Option<UserRole>,
    /// What the user may do with data. Nobody changes their own. Not by API token.
    permission: Option<UserPermission>,
    /// Whether the account may be used: as with `toggleActive`.
    is_active: Option<bool>,
    /// Whether the user has the staff flag: as with `toggleStaff`.
    is_staff: Option<bool>,
}

/// The outcome of `updateUser`.
#[derive(SimpleObject)]
pub(crate) struct UpdateUserPayload {
    /// The user as changed; null where there are errors.
    user: Option<User>,
    /// NOT_FOUND, ALREADY_EXISTS, REQUIRED, INVALID, TOO_LONG, PASSWORD_…, CANNOT_DEMOTE_SELF, CANNOT_DEACTIVATE_SELF or
    /// CANNOT_EDIT_SUPERUSER. One's own address and password are INVALID here: `updateMe` and `changePassword` change them.
    errors: Vec<UserError>,
}

/// Whose password to set.
#[derive(InputObject)]
pub(crate) struct SetUserPasswordInput {
    /// The user's id.
    id: ID,
    /// The password: see `passwordPolicy`.
    #[graphql(secret)]
    password: String,
}

/// The outcome of `setUserPassword`.
#[derive(SimpleObject)]
pub(crate) struct SetUserPasswordPayload {
    /// The user; null where there are errors.
    user: Option<User>,
    /// NOT_FOUND, PASSWORD_… or CANNOT_EDIT_SUPERUSER; INVALID for one's own, which `changePassword` changes.
    errors: Vec<UserError>,
}

/// Whose account to delete.
#[derive(InputObject)]
pub(crate) struct DeleteUserInput {
    /// The user's id.
    id: ID,
}

/// The outcome of `deleteUser`.
#[derive(SimpleObject)]
pub(crate) struct DeleteUserPayload {
    /// What became of the account; null where there are errors.
    outcome: Option<DeletionOutcome>,
    /// NOT_FOUND, CANNOT_DELETE_SELF or CANNOT_EDIT_SUPERUSER.
    errors: Vec<UserError>,
}

/// Whose accounts to delete.
#[derive(InputObject)]
pub(crate) struct DeleteUsersInput {
    /// The users' ids: 500 at most.
    ids: Vec<ID>,
}

/// The outcome of `deleteUsers`.
#[derive(SimpleObject)]
pub(crate) struct DeleteUsersPayload {
    /// How many accounts are gone; null where there are errors.
    deleted: Option<usize>,
    /// How many accounts stay without anything personal, because other records name them; null where there are errors.
    anonymized: Option<usize>,
    /// NOT_FOUND, CANNOT_DELETE_SELF or CANNOT_EDIT_SUPERUSER, each with the id in its message; REQUIRED or TOO_LONG where
    /// there are no ids or too many.
    errors: Vec<UserError>,
}

/// Whose staff flag to change.
#[derive(InputObject)]
pub(crate) struct ToggleStaffInput {
    /// The user's id.
    id: ID,
    /// What the flag becomes; left out, the opposite of what it is.
    is_staff: Option<bool>,
}

/// The outcome of `toggleStaff`.
#[derive(SimpleObject)]
pub(crate) struct ToggleStaffPayload {
    /// The user; null where there are errors.
    user: Option<User>,
    /// NOT_FOUND, CANNOT_DEMOTE_SELF or CANNOT_EDIT_SUPERUSER.
    errors: Vec<UserError>,
}

/// Whose account to deactivate or activate.
#[derive(InputObject)]
pub(crate) struct ToggleActiveInput {
    /// The user's id.
    id: ID,
    /// What the flag becomes; left out, the opposite of what it is.
    is_active: Option<bool>,
}

/// The outcome of `toggleActive`.
#[derive(SimpleObject)]
pub(crate) struct ToggleActivePayload {
    /// The user; null where there are errors.
    user: Option<User>,
    /// NOT_FOUND, CANNOT_DEACTIVATE_SELF or CANNOT_EDIT_SUPERUSER.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct UsersMutation;

#[Object]
impl UsersMutation {
    /// Creates an account and mails a welcome to its user, once the account is active: staff. API tokens need MANAGE_USERS, and create only MEMBERs with
    /// ONLY_VIEW and without a password. RATE_LIMITED where you have sent, or the address has received, too many welcome mails.
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account to make.")] input: CreateUserInput,
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

    /// Changes an account: staff. API tokens need MANAGE_USERS, and change only the username, names, phone, address, bio and
    /// active flag of others who are not staff. Whoever is deactivated or given a password is out at once, on every device; what a user may
    /// do changes with their next request. Mails tell the owner of another address or password.
    async fn update_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which account, and what to change.")] input: UpdateUserInput,
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
        };
        let (user, errors) = change(ctx, update).await?;
        Ok(Some(UpdateUserPayload { user, errors }))
    }

    /// Sets a user's password: staff, but not by API token. The user is out at once, on every device, and told by mail.
    /// Better let them set one themselves, by `requestReset`.
    async fn set_user_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose password, and the password.")] input: SetUserPasswordInput,
    ) -> Answer<Option<SetUserPasswordPayload>> {
        let update = Update { id: input.id.0, password: Some(input.password), ..Update::default() };
        let (user, errors) = change(ctx, update).await?;
        Ok(Some(SetUserPasswordPayload { user, errors }))
    }

    /// Deletes an account with all that hangs on it: staff, but not by API token.
    async fn delete_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose account.")] input: DeleteUserInput,
    ) -> Answer<Option<DeleteUserPayload>> {
        let (outcomes, errors) = delete(ctx, "id", &[input.id.0]).await?;
        let outcome = outcomes.and_then(|outcomes| outcomes.first().copied()).map(Into::into);
        Ok(Some(DeleteUserPayload { outcome, errors }))
    }

    /// Deletes accounts with all that hangs on them, all or none: staff, but not by API token.
    async fn delete_users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose accounts.")] input: DeleteUsersInput,
    ) -> Answer<Option<DeleteUsersPayload>> {
        let ids: Vec<String> = input.ids.into_iter().map(|id| id.0).collect();
        let (outcomes, errors) = delete(ctx, "ids", &ids).await?;
        let count =
            |wanted| outcomes.as_ref().map(|outcomes| outcomes.iter().filter(|outcome| **outcome == wanted).count());
        let (deleted, anonymized) = (count(Outcome::Deleted), count(Outcome::Anonymized));
        Ok(Some(DeleteUsersPayload { deleted, anonymized, errors }))
    }

    /// Gives a user the staff flag or takes it away: staff. What the user may do changes with their next request.
    async fn toggle_staff(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose flag, and what it becomes.")] input: ToggleStaffInput,
    ) -> Answer<Option<ToggleStaffPayload>> {
        let (user, errors) = flip(ctx, Toggle { id: input.id.0, flag: Flag::Staff, to: input.is_staff }).await?;
        Ok(Some(ToggleStaffPayload { user, errors }))
    }

    /// Deactivates an account or activates it again: staff. API tokens need MANAGE_USERS, and reach only others who are not
    /// staff. A deactivated user is out at once, on every device.
    async fn toggle_active(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose account, and what becomes of it.")] input: ToggleActiveInput,
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
) -> Answer<(Option<Vec<Outcome>>, Vec<UserError>)> {
    let app = app(ctx);
    outcome(ctx, delete::delete(&app.db, &request(ctx).now, staff(ctx)?, &app.media, (field, ids)).await)
}
