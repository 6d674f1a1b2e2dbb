//! The audit trail.

use async_graphql::{Context, Enum, ID, InputObject, Object};

use crate::domain::audit::list::{self, Filter};
use crate::domain::paging::PageArgs;
use crate::entity::audit_change;
use crate::entity::audit_event::{self, Action, Reason};
use crate::graphql::context::{app, staff};
use crate::graphql::errors::Answer;
use crate::graphql::loaders;
use crate::graphql::paging::{Connection, CountQuery, list_complexity};
use crate::graphql::scalars::DateTime;
use crate::graphql::users::User;

/// An event, as it was recorded.
#[derive(Clone)]
pub(crate) struct AuditEvent(audit_event::Model);

/// One thing that somebody did. Events are kept when the users in them are deleted.
#[Object]
impl AuditEvent {
    /// Its id, opaque and never given twice.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// What happened.
    async fn action(&self) -> AuditAction {
        self.0.action.into()
    }

    /// User who did it; null if nobody was signed in, or the user was deleted or is a superuser and you are not.
    async fn actor(&self, ctx: &Context<'_>) -> Answer<Option<User>> {
        loaders::user(ctx, self.0.actor_id).await
    }

    /// User to whom it was done; null if there is none, or the user was deleted or is a superuser and you are not.
    async fn target(&self, ctx: &Context<'_>) -> Answer<Option<User>> {
        loaders::user(ctx, self.0.target_id).await
    }

    /// Network address of the request; null once it is no longer kept, and if you may not see the actor.
    async fn ip(&self) -> Option<&str> {
        self.0.ip.as_deref()
    }

    /// Program that sent the request, as it names itself; null as `ip` is.
    async fn user_agent(&self) -> Option<&str> {
        self.0.user_agent.as_deref()
    }

    /// When it happened.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Reason for a failed sign-in (`LOGIN_FAILED`), or the exhausted limit (`LIMIT_REACHED`); null for other events.
    async fn reason(&self) -> Option<AuditReason> {
        self.0.reason.map(Into::into)
    }

    /// Fields of the user that the event changed; empty if it changed none, or was recorded before version 0.2.
    async fn changes(&self) -> Vec<AuditFieldChange> {
        self.0.changes.iter().flat_map(audit_change::Changes::iter).cloned().map(AuditFieldChange).collect()
    }
}

/// A field of a user that an event changed.
struct AuditFieldChange(audit_change::FieldChange);

/// A field of a user that an event changed. The trail keeps the values of rights and flags only, nothing personal.
#[Object]
impl AuditFieldChange {
    /// The field.
    async fn field(&self) -> AuditField {
        self.0.field.into()
    }

    /// Value before, such as `MEMBER` or `false`; null for personal fields.
    async fn before(&self) -> Option<&str> {
        self.0.before.as_deref()
    }

    /// Value after; null for personal fields.
    async fn after(&self) -> Option<&str> {
        self.0.after.as_deref()
    }
}

/// A field of a user. More may be added.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "audit_change::Field")]
enum AuditField {
    /// `username`
    Username,
    /// `email`
    Email,
    /// `pendingEmail`
    PendingEmail,
    /// `firstName`
    FirstName,
    /// `lastName`
    LastName,
    /// `phone`
    Phone,
    /// `address`
    Address,
    /// `bio`
    Bio,
    /// `avatar`
    Avatar,
    /// `role`
    Role,
    /// `permission`
    Permission,
    /// `isActive`
    IsActive,
    /// `isStaff`
    IsStaff,
    /// `isSuperuser`
    IsSuperuser,
    /// `isVerified`
    IsVerified,
}

/// Reason for a failed sign-in, or an exhausted limit. More may be added.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Reason")]
enum AuditReason {
    /// No account has this name, or the account is a superuser's and you are not one.
    UnknownAccount,
    /// The password is wrong.
    WrongPassword,
    /// The account has no password yet.
    NoPassword,
    /// Too many wrong passwords under another name of the account: the password was not compared.
    TooManyAttempts,
    /// The account is deactivated.
    AccountInactive,
    /// The email address is not confirmed.
    EmailNotVerified,
    /// The temporary password has expired.
    PasswordExpired,
    /// Too many mails to the address.
    LimitMailAddress,
    /// Too many requests for mails from the client.
    LimitMailClient,
    /// Too many wrong passwords for the account from the client.
    LimitSignIn,
    /// Too many wrong passwords from the client.
    LimitSignInClient,
    /// Too many wrong passwords for the account.
    LimitSignInAccount,
    /// Too many wrong links from the client.
    LimitLink,
    /// Too many registrations from the client, or usernames tried by the user.
    LimitRegister,
    /// Too many exports and imports by the user.
    LimitBulk,
    /// Too many welcome mails caused by the user.
    LimitWelcome,
    /// Too many API tokens created or rotated by the user.
    LimitApiToken,
    /// Too many changes by the user.
    LimitWrites,
}

/// What can happen. More may be added.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Action")]
pub(crate) enum AuditAction {
    /// Somebody signed in.
    Login,
    /// Somebody could not sign in.
    LoginFailed,
    /// Somebody signed out.
    Logout,
    /// A refresh token was used a second time, and its session ended for that.
    RefreshReused,
    /// Somebody registered.
    Registered,
    /// An address was confirmed.
    EmailVerified,
    /// An account moved to another address.
    EmailChanged,
    /// A change of address was undone by the link mailed to the old address.
    EmailChangeUndone,
    /// Somebody asked for a link that replaces a password.
    ResetRequested,
    /// A forgotten password was replaced.
    PasswordReset,
    /// Somebody changed their own password.
    PasswordChanged,
    /// Staff set a user's password.
    PasswordSet,
    /// An account was made by staff.
    UserCreated,
    /// An account's details were changed.
    UserUpdated,
    /// A user got the staff flag.
    StaffGranted,
    /// A user lost the staff flag.
    StaffRevoked,
    /// An account was activated.
    Activated,
    /// An account was deactivated.
    Deactivated,
    /// An account was deleted.
    Deleted,
    /// An account was deleted, but its row stays without anything personal, because other records name it.
    Anonymized,
    /// Users were imported from a file.
    UsersImported,
    /// An API token was made.
    ApiTokenCreated,
    /// An API token got another secret.
    ApiTokenRotated,
    /// An API token was deleted.
    ApiTokenDeleted,
    /// A session was ended from another.
    SessionRevoked,
    /// The operator ended the sessions of all users.
    SessionsRevoked,
    /// A list was given out.
    Exported,
    /// The operator added a signing key.
    SigningKeyRotated,
    /// The operator revoked a signing key.
    SigningKeyRevoked,
    /// The operator sealed the stored secrets under another secret key.
    SecretsResealed,
    /// A limit was exhausted; recorded once per period for each account or client.
    LimitReached,
    /// The operator lifted the exhausted limits of a user or client.
    LimitsLifted,
}

/// Which events are wanted: those to which all of this applies.
#[derive(InputObject, Default)]
pub(crate) struct AuditEventFilter {
    /// The user who did it or to whom it was done. The id of a superuser finds nothing unless you are one.
    user_id: Option<ID>,
    /// What happened.
    action: Option<AuditAction>,
    /// It happened after this time.
    created_after: Option<DateTime>,
    /// It happened before this time.
    created_before: Option<DateTime>,
}

#[derive(Default)]
pub(crate) struct AuditQuery;

#[Object]
impl AuditQuery {
    /// Lists the audit trail, the newest events first; for staff. A page has 20 events by default and 200 at most. Events about
    /// superusers, and what superusers did for themselves, are listed to superusers only.
    #[graphql(complexity = "list_complexity(first, last, child_complexity)")]
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many of the list, or after `after`.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins.")] after: Option<String>,
        #[graphql(desc = "The last so many of the list, or before `before`.")] last: Option<i32>,
        #[graphql(desc = "The cursor before which the page ends.")] before: Option<String>,
        #[graphql(desc = "Which events are wanted; left out, all.")] filter: Option<AuditEventFilter>,
    ) -> Answer<Option<Connection<AuditEvent>>> {
        let filter = filter.unwrap_or_default();
        let filter = Filter {
            user: filter.user_id.map(|id| id.0),
            action: filter.action.map(Into::into),
            after: filter.created_after.map(|time| time.0),
            before: filter.created_before.map(|time| time.0),
        };
        let window = PageArgs { first, after, last, before, offset: None };
        let page = list::page(&app(ctx).db, staff(ctx)?, &filter, &window).await?;
        Ok(Some(Connection::new(page, CountQuery::Audit(filter), AuditEvent)))
    }
}
