//! Users and their administration by staff.

// Creating, changing and deleting users.
mod change;
// Queries for users.
mod list;
// Activating and deactivating many users.
mod set_active;
// Support of users by staff.
mod support;
// Actions that the signed-in user may perform on another user.
mod viewer_can;

use async_graphql::{Context, Enum, ID, Object};

use self::viewer_can::UserActions;
use crate::domain::paging::PageArgs;
use crate::domain::presence::ONLINE;
use crate::domain::users::version;
use crate::entity::user;
use crate::graphql::api_tokens::ApiToken;
use crate::graphql::audit::{self, AuditEvent};
use crate::graphql::avatars;
use crate::graphql::context::{now, reader};
use crate::graphql::errors::Answer;
use crate::graphql::loaders;
use crate::graphql::mails::{self, OutgoingMail};
use crate::graphql::paging::{Connection, list_complexity, page_complexity};
use crate::graphql::passkeys::Passkey;
use crate::graphql::samples::{self, Sample};
use crate::graphql::scalars::DateTime;
use crate::graphql::second_factor::Factor;
use crate::graphql::sessions::Session;

pub(crate) use self::change::UsersMutation;
pub(crate) use self::list::UsersQuery;
pub(crate) use self::set_active::SetActiveMutation;
pub(crate) use self::support::{SupportMutation, SupportQuery};

/// A user who is visible to the viewer: loaded by the rules of visibility.
#[derive(Clone)]
pub(crate) struct User(pub(crate) user::Model);

/// A user's account. Users see their own account and staff see all, but superusers are visible to superusers only.
#[Object]
impl User {
    /// Opaque id, never reused.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Username to sign in with; unique, without "@".
    async fn username(&self) -> &str {
        &self.0.username
    }

    /// Email address, which can also be used to sign in; unique.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// New email address that the user has not confirmed yet.
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

    /// First and last name, or the username if both are empty.
    async fn name(&self) -> String {
        self.0.name()
    }

    /// Telephone number; may be empty.
    async fn phone(&self) -> &str {
        &self.0.phone
    }

    /// Postal address; may have several lines or be empty.
    async fn address(&self) -> &str {
        &self.0.address
    }

    /// Biography written by the user; may be empty.
    // By far the longest field.
    #[graphql(complexity = "5")]
    async fn bio(&self) -> &str {
        &self.0.bio
    }

    /// Role in the organization.
    async fn role(&self) -> UserRole {
        self.0.role.into()
    }

    /// Permission for data.
    async fn permission(&self) -> UserPermission {
        self.0.permission.into()
    }

    /// True if the account is active. Inactive users cannot sign in.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// True if the user has the staff flag. The role ADMIN and superusers have staff rights too.
    async fn is_staff(&self) -> bool {
        self.0.is_staff
    }

    /// True if the user is a superuser, who has every right.
    async fn is_superuser(&self) -> bool {
        self.0.is_superuser
    }

    /// True if the email address is confirmed.
    async fn is_verified(&self) -> bool {
        self.0.is_verified
    }

    /// True if the user has a password. Without one, operations that take the current password need a recent proof
    /// instead, and `changePassword` or a reset sets the first one.
    async fn has_password(&self) -> bool {
        self.0.password_hash.is_some()
    }

    /// True while the user has a temporary password that the service generated and printed. Ask the user to replace it
    /// with `changePassword`: it expires after 24 hours if other machines can reach the service.
    async fn password_is_temporary(&self) -> bool {
        self.0.temporary_password_at.is_some()
    }

    /// Second factors of the user, oldest first; empty if there are none.
    #[graphql(complexity = "2 + child_complexity")]
    async fn factors(&self, ctx: &Context<'_>) -> Answer<Vec<Factor>> {
        loaders::factors(ctx, &self.0).await
    }

    /// Passkeys of the user, oldest first; empty if there are none.
    #[graphql(complexity = "list_complexity(5, child_complexity)")]
    async fn passkeys(&self, ctx: &Context<'_>) -> Answer<Vec<Passkey>> {
        loaders::passkeys(ctx, &self.0).await
    }

    /// True if the user has an authenticator app or a passkey, so that the password alone does not sign in.
    async fn has_second_factor(&self) -> bool {
        self.0.has_second_factor
    }

    /// Number of unused recovery codes; create new ones when few are left.
    async fn recovery_codes_left(&self, ctx: &Context<'_>) -> Answer<i32> {
        loaders::recovery_codes_left(ctx, &self.0).await
    }

    /// True if the user was active within the last five minutes.
    async fn is_online(&self, ctx: &Context<'_>) -> bool {
        self.0.last_activity.is_some_and(|at| at > now(ctx).at.minus(ONLINE))
    }

    /// Time of creation.
    async fn date_joined(&self) -> DateTime {
        self.0.date_joined.into()
    }

    /// Time of the last change.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// Time of the last sign-in with a password; null if there was none.
    async fn last_login(&self) -> Option<DateTime> {
        self.0.last_login.map(DateTime)
    }

    /// Time of the last activity; null if there was none.
    async fn last_activity(&self) -> Option<DateTime> {
        self.0.last_activity.map(DateTime)
    }

    /// Id of the user in the system the account was imported from; null if it was not imported, and always null unless
    /// you are staff.
    async fn external_id(&self, ctx: &Context<'_>) -> Option<&str> {
        let is_staff = reader(ctx).is_ok_and(|viewer| viewer.staff().is_ok());
        self.0.external_id.as_deref().filter(|_| is_staff)
    }

    /// Absolute URL of the user's avatar; null if there is none. Its content never changes. The image is square: the
    /// smallest with at least this side, or the largest there is.
    async fn avatar_url(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Side in pixels, 1 to 1024.", default = 256)] size: i32,
    ) -> Answer<Option<String>> {
        avatars::url(ctx, self.0.avatar.as_deref(), size)
    }

    /// Samples that this user modified last, newest first.
    #[graphql(complexity = "list_complexity(first, child_complexity)")]
    async fn recent_samples(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of samples: at most 200.", default = 20)] first: i32,
    ) -> Answer<Vec<Sample>> {
        samples::recent(ctx, self.0.id, first).await
    }

    /// Version of the fields that `updateUser` changes, except the password: send it as `expectedVersion` to change only
    /// what you have read.
    async fn version(&self) -> String {
        version::of(&self.0)
    }

    /// Valid sessions of the user, most recently used first: at most 50. Null by API token.
    #[graphql(complexity = "list_complexity(5, child_complexity)")]
    async fn sessions(&self, ctx: &Context<'_>) -> Answer<Option<Vec<Session>>> {
        loaders::sessions(ctx, self.0.id).await
    }

    /// API tokens of the user without their secrets, newest first: at most 50.
    #[graphql(complexity = "list_complexity(5, child_complexity)")]
    async fn api_tokens(&self, ctx: &Context<'_>) -> Answer<Vec<ApiToken>> {
        loaders::api_tokens(ctx, self.0.id).await
    }

    /// Audit events by and about the user, as `auditEvents` returns them; null unless you are staff.
    #[graphql(complexity = "page_complexity(first, last, child_complexity)")]
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of items from the start of the list, or after `after`.")] first: Option<i32>,
        #[graphql(desc = "Cursor after which the page starts.")] after: Option<String>,
        #[graphql(desc = "Number of items from the end of the list, or before `before`.")] last: Option<i32>,
        #[graphql(desc = "Cursor before which the page ends.")] before: Option<String>,
    ) -> Answer<Option<Connection<AuditEvent>>> {
        audit::of_user(ctx, self.0.id, PageArgs { first, after, last, before, offset: None }).await
    }

    /// Emails to the user, as `outgoingMails` returns them; null unless you are staff.
    #[graphql(complexity = "page_complexity(first, last, child_complexity)")]
    async fn mails(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of items from the start of the list, or after `after`.")] first: Option<i32>,
        #[graphql(desc = "Cursor after which the page starts.")] after: Option<String>,
        #[graphql(desc = "Number of items from the end of the list, or before `before`.")] last: Option<i32>,
        #[graphql(desc = "Cursor before which the page ends.")] before: Option<String>,
    ) -> Answer<Option<Connection<OutgoingMail>>> {
        mails::of_user(ctx, self.0.id, PageArgs { first, after, last, before, offset: None }).await
    }

    /// Actions that you may perform on this user, by the same rules that the mutations enforce.
    async fn viewer_can(&self) -> UserActions {
        UserActions(self.0.clone())
    }
}

/// Role of a user in the organization.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "user::Role")]
pub(crate) enum UserRole {
    /// Administrator, with staff rights.
    Admin,
    /// Manager of others. Grants no rights in this service.
    Manager,
    /// Agent acting for others. Grants no rights in this service.
    Agent,
    /// Member, the default.
    Member,
}

/// Permission of a user for data.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "user::Permission")]
pub(crate) enum UserPermission {
    /// Full access.
    FullAccess,
    /// View and download.
    Download,
    /// View only.
    OnlyView,
}
