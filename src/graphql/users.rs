//! Users, and their administration by staff.

use std::time::Duration;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use crate::domain::access::Staff;
use crate::domain::paging::{Cursor, Page, Window};
use crate::domain::users::create::{self, Create};
use crate::domain::users::list;
use crate::domain::users::toggle::{self, Flag, Toggle};
use crate::entity::user;
use crate::graphql::avatars;
use crate::graphql::context::{app, exporter, request, viewer};
use crate::graphql::errors::{Answer, UserError, outcome};
use crate::graphql::paging::PageInfo;
use crate::graphql::samples::{self, Sample};
use crate::graphql::scalars::DateTime;

/// For how long somebody counts as online after they were last seen.
const ONLINE: Duration = Duration::from_secs(5 * 60);

/// A user. What reaches a client as one was loaded by the rule of who may see whom.
#[derive(Clone)]
pub(crate) struct User(pub(crate) user::Model);

/// A user's account. People see their own, staff see everybody's, and superusers are shown to superusers only.
#[Object]
impl User {
    /// Its id, opaque and never given twice.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The name to sign in with; unique, without "@".
    async fn username(&self) -> &str {
        &self.0.username
    }

    /// The e-mail address, which serves to sign in too; unique.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// An address that the user asked to move to and has not confirmed yet.
    async fn pending_email(&self) -> Option<&str> {
        self.0.pending_email.as_deref()
    }

    /// Given name; may be empty.
    async fn first_name(&self) -> &str {
        &self.0.first_name
    }

    /// Family name; may be empty.
    async fn last_name(&self) -> &str {
        &self.0.last_name
    }

    /// First and last name, or the username where both are empty.
    async fn name(&self) -> String {
        self.0.name()
    }

    /// Telephone number; may be empty.
    async fn phone(&self) -> &str {
        &self.0.phone
    }

    /// Postal address, of several lines perhaps; may be empty.
    async fn address(&self) -> &str {
        &self.0.address
    }

    /// What the user tells about themself; may be empty.
    async fn bio(&self) -> &str {
        &self.0.bio
    }

    /// What the user is in the organisation.
    async fn role(&self) -> UserRole {
        self.0.role.into()
    }

    /// What the user may do with data.
    async fn permission(&self) -> UserPermission {
        self.0.permission.into()
    }

    /// Whether the account may be used.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// Whether the user has the staff flag. Those with the role ADMIN and superusers have the rights of staff too.
    async fn is_staff(&self) -> bool {
        self.0.is_staff
    }

    /// Whether the user has every right.
    async fn is_superuser(&self) -> bool {
        self.0.is_superuser
    }

    /// Whether the e-mail address was confirmed.
    async fn is_verified(&self) -> bool {
        self.0.is_verified
    }

    /// Active within the last five minutes.
    async fn is_online(&self, ctx: &Context<'_>) -> bool {
        self.0.last_activity.is_some_and(|at| at > request(ctx).now.at.minus(ONLINE))
    }

    /// When the account was made.
    async fn date_joined(&self) -> DateTime {
        self.0.date_joined.into()
    }

    /// When the account was last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// When the user last signed in with a password; null where that never happened.
    async fn last_login(&self) -> Option<DateTime> {
        self.0.last_login.map(DateTime)
    }

    /// When the user was last seen; null where that never happened.
    async fn last_activity(&self) -> Option<DateTime> {
        self.0.last_activity.map(DateTime)
    }

    /// Where the user's picture is, an absolute address that never changes its content; null where there is none. It is
    /// square: the smallest that has this side at least, or the largest there is.
    async fn avatar_url(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The side in pixels, 1 to 1024.", default = 256)] size: i32,
    ) -> Answer<Option<String>> {
        avatars::url(ctx, self.0.avatar.as_deref(), size)
    }

    /// The samples that this user modified last, newest first.
    #[graphql(complexity = "usize::try_from(first).unwrap_or(0) * child_complexity")]
    async fn recent_samples(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many: 200 at most.", default = 20)] first: i32,
    ) -> Answer<Vec<Sample>> {
        samples::recent(ctx, self.0.id, first).await
    }
}

/// What a user is in the organisation.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "user::Role")]
pub(crate) enum UserRole {
    /// Administers users, with the rights of staff.
    Admin,
    /// Leads others.
    Manager,
    /// Works for others.
    Agent,
    /// Anybody else.
    Member,
}

/// What a user may do with data.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "user::Permission")]
pub(crate) enum UserPermission {
    /// Everything.
    FullAccess,
    /// Look and download.
    Download,
    /// Look only.
    OnlyView,
}

/// A part of the list of users, by the Relay cursor specification.
pub(crate) struct UserConnection(Page<user::Model>);

/// A part of the list of users, by the Relay cursor specification.
#[Object]
impl UserConnection {
    /// The users with their cursors.
    async fn edges(&self) -> Vec<UserEdge> {
        self.0.rows.iter().map(|user| UserEdge { cursor: cursor(user), node: User(user.clone()) }).collect()
    }

    /// The users.
    async fn nodes(&self) -> Vec<User> {
        self.0.rows.iter().cloned().map(User).collect()
    }

    /// Where this part stands in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::new(&self.0, cursor)
    }

    /// How many users the whole list has; counted only where it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Answer<u64> {
        Ok(list::count(&app(ctx).db, staff(ctx)?).await?)
    }
}

fn cursor(user: &user::Model) -> String {
    Cursor { at: user.date_joined, id: user.id }.to_text()
}

/// A user in a list.
#[derive(SimpleObject)]
pub(crate) struct UserEdge {
    /// The user.
    node: User,
    /// The user's place in the list, for `after` and `before`.
    cursor: String,
}

fn staff<'a>(ctx: &Context<'a>) -> Answer<Staff<'a>> {
    Ok(viewer(ctx)?.staff()?)
}

#[derive(Default)]
pub(crate) struct UsersQuery;

#[Object]
impl UsersQuery {
    /// The signed-in user.
    async fn me(&self, ctx: &Context<'_>) -> Answer<Option<User>> {
        Ok(Some(User(viewer(ctx)?.user().clone())))
    }

    /// The user with this id: staff. Null where there is none.
    async fn user(&self, ctx: &Context<'_>, #[graphql(desc = "The user's id.")] id: ID) -> Answer<Option<User>> {
        Ok(list::find(&app(ctx).db, staff(ctx)?, &id).await?.map(User))
    }

    /// The users, newest first: staff. A page has 20 where no number is given, and 200 at most.
    #[graphql(complexity = "list_complexity(first, last, child_complexity)")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many of the list, or after `after`.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins.")] after: Option<String>,
        #[graphql(desc = "The last so many of the list, or before `before`.")] last: Option<i32>,
        #[graphql(desc = "The cursor before which the page ends.")] before: Option<String>,
    ) -> Answer<Option<UserConnection>> {
        let window = Window { first, after, last, before };
        Ok(Some(UserConnection(list::page(&app(ctx).db, staff(ctx)?, &window).await?)))
    }

    /// The e-mail addresses of all users in one text, to paste into a mail program: staff; of API tokens, those
    /// with the scope EXPORT. Leaves an audit event.
    async fn all_emails(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What stands between two addresses: 10 characters at most.", default = ";")] separator: String,
    ) -> Answer<Option<String>> {
        Ok(Some(list::all_emails(&app(ctx).db, &request(ctx).now, exporter(ctx)?, &separator).await?))
    }
}

/// What a page of a list may cost: its length times what each row costs.
fn list_complexity(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    let length = first.or(last).unwrap_or(20);
    usize::try_from(length).unwrap_or(0) * child
}

/// An account to make.
#[derive(InputObject)]
pub(crate) struct CreateUserInput {
    /// The e-mail address.
    email: String,
    /// The username; made from the address where it is left out.
    username: Option<String>,
    /// The password. Without it, the welcome mail has a link with which the user sets one. API tokens may not give it.
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
    /// What the user is in the organisation. ADMIN has the rights of staff.
    #[graphql(default_with = "UserRole::Member")]
    role: UserRole,
    /// What the user may do with data.
    #[graphql(default_with = "UserPermission::OnlyView")]
    permission: UserPermission,
    /// Whether the account may be used.
    #[graphql(default = true)]
    is_active: bool,
    /// Whether the user has the staff flag.
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
    /// Makes an account and mails a welcome to its user: staff.
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
        let created = create::create(&app.db, &request(ctx).now, staff(ctx)?, &app.passwords, input).await;
        let (user, errors) = outcome(created)?;
        Ok(Some(CreateUserPayload { user: user.map(User), errors }))
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

    /// Deactivates an account or activates it again: staff. A deactivated user is out at once, on every device.
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
    let (user, errors) = outcome(toggle::toggle(&app(ctx).db, &request(ctx).now, staff(ctx)?, input).await)?;
    Ok((user.map(User), errors))
}
