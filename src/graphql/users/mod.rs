//! Users, and their administration by staff.

// Changing and deleting users.
mod change;
// Finding users.
mod list;
// What the signed-in user may do to another.
mod viewer_can;

use async_graphql::{Context, Enum, ID, Object};

use self::viewer_can::UserActions;
use crate::domain::presence::ONLINE;
use crate::entity::user;
use crate::graphql::avatars;
use crate::graphql::context::{now, reader};
use crate::graphql::errors::Answer;
use crate::graphql::samples::{self, Sample};
use crate::graphql::scalars::DateTime;

pub(crate) use self::change::UsersMutation;
pub(crate) use self::list::UsersQuery;

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

    /// True while the user has a password that the service generated and printed. Ask the user to replace it with
    /// `changePassword`: where others can reach the service, it expires after 24 hours.
    async fn password_is_temporary(&self) -> bool {
        self.0.temporary_password_at.is_some()
    }

    /// Active within the last five minutes.
    async fn is_online(&self, ctx: &Context<'_>) -> bool {
        self.0.last_activity.is_some_and(|at| at > now(ctx).at.minus(ONLINE))
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

    /// The id by which other systems know the user, from before the account was moved in; null where there is none. Staff see
    /// it; to everybody else it is null.
    async fn external_id(&self, ctx: &Context<'_>) -> Option<&str> {
        let is_staff = reader(ctx).is_ok_and(|viewer| viewer.staff().is_ok());
        self.0.external_id.as_deref().filter(|_| is_staff)
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

    /// What the signed-in user may do to this one, by the same rules that the mutations enforce.
    async fn viewer_can(&self) -> UserActions {
        UserActions(self.0.clone())
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
