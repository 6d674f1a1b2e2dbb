//! The audit trail.

use async_graphql::{Context, Enum, ID, InputObject, Object};
use uuid::Uuid;

use crate::domain::audit::list::{self, Filter};
use crate::domain::auth::identity::Staff;
use crate::domain::paging::PageArgs;
use crate::entity::audit_change;
use crate::entity::audit_event::{self, Action, Reason};
use crate::graphql::context::{app, reader, staff};
use crate::graphql::errors::Answer;
use crate::graphql::loaders;
use crate::graphql::paging::{Connection, CountQuery, page_complexity};
use crate::graphql::scalars::DateTime;
use crate::graphql::users::User;

/// Audit event, as its row has it.
#[derive(Clone)]
pub(crate) struct AuditEvent(pub(crate) audit_event::Model);

/// An entry of the audit trail. Entries are kept when the users in them are deleted.
#[Object]
impl AuditEvent {
    /// Opaque id, never reused.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Action that was recorded.
    async fn action(&self) -> AuditAction {
        self.0.action.into()
    }

    /// User who acted; null if nobody was signed in, or the user was deleted or is a superuser and you are not.
    async fn actor(&self, ctx: &Context<'_>) -> Answer<Option<User>> {
        loaders::user(ctx, self.0.actor_id).await
    }

    /// User concerned; null if there is none, or the user was deleted or is a superuser and you are not.
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

    /// Time of the event.
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
    /// Changed field.
    async fn field(&self) -> AuditField {
        self.0.field.into()
    }

    /// Old value, such as `MEMBER` or `false`; null for personal fields.
    async fn before(&self) -> Option<&str> {
        self.0.before.as_deref()
    }

    /// New value; null for personal fields.
    async fn after(&self) -> Option<&str> {
        self.0.after.as_deref()
    }
}

/// A field of a user. More values may be added.
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
    /// `externalId`
    ExternalId,
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

/// Reason for a failed sign-in, or an exhausted limit. More values may be added.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Reason")]
pub(crate) enum AuditReason {
    /// No account has this email address or username, or the account is a superuser's and you are not one.
    UnknownAccount,
    /// The password is wrong.
    WrongPassword,
    /// The account has no password yet.
    NoPassword,
    /// Too many wrong passwords under the account's other identifier: the password was not compared.
    TooManyAttempts,
    /// The account is deactivated.
    AccountInactive,
    /// The email address is not confirmed.
    EmailNotVerified,
    /// The temporary password has expired.
    PasswordExpired,
    /// The password is right, but the new password sent with it was rejected.
    NewPasswordRefused,
    /// The password is right, but the account changed during the request.
    ChangedMeanwhile,
    /// The password or session is right, but the code of the second factor is wrong.
    WrongSecondFactor,
    /// The passkey is right, but its counter went back: it may have been copied.
    PasskeyCopied,
    /// Too many emails to the address.
    LimitMailAddress,
    /// Too many requests for emails from the client.
    LimitMailClient,
    /// Too many wrong passwords for the account from the client.
    LimitSignIn,
    /// Too many wrong passwords from the client.
    LimitSignInClient,
    /// Too many wrong passwords for the account.
    LimitSignInAccount,
    /// Too many invalid links from the client.
    LimitLink,
    /// Too many registrations from the client, or usernames tried by the user.
    LimitRegister,
    /// Too many exports and imports by the user.
    LimitBulk,
    /// Too many welcome emails caused by the user.
    LimitWelcome,
    /// Too many API tokens created or rotated by the user.
    LimitApiToken,
    /// Too many mutations by the user.
    LimitWrites,
    /// Too many wrong codes of the second factor of the account.
    LimitSecondFactor,
}

/// Recorded actions. More values may be added.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Action")]
pub(crate) enum AuditAction {
    /// A user signed in.
    Login,
    /// A sign-in failed, or a proof of identity within a session.
    LoginFailed,
    /// A user proved again who they are, within a session.
    Reauthenticated,
    /// A user added a second factor.
    FactorAdded,
    /// A user removed a second factor.
    FactorRemoved,
    /// Staff or the operator removed the second factors of a user.
    FactorsReset,
    /// A user created new recovery codes.
    RecoveryCodesRenewed,
    /// A recovery code was used.
    RecoveryCodeUsed,
    /// A user signed in with a second factor from a new device, and was notified.
    NewDevice,
    /// A user registered a passkey.
    PasskeyAdded,
    /// A user removed a passkey.
    PasskeyRemoved,
    /// A user signed out.
    Logout,
    /// A refresh token was used a second time, which ended its session.
    RefreshReused,
    /// A registration was submitted.
    Registered,
    /// An email address was confirmed.
    EmailVerified,
    /// The email address of an account changed.
    EmailChanged,
    /// A change of email address was undone by the link mailed to the old address.
    EmailChangeUndone,
    /// A link to reset a password was requested.
    ResetRequested,
    /// Staff sent the invitation of a user again.
    InvitationSent,
    /// Staff held an email back.
    MailHeld,
    /// Staff released an email that was held back.
    MailReleased,
    /// Staff cancelled an email that was not sent yet.
    MailCancelled,
    /// A forgotten password was reset.
    PasswordReset,
    /// A user changed their own password.
    PasswordChanged,
    /// Staff set a user's password.
    PasswordSet,
    /// Staff created an account.
    UserCreated,
    /// An account was updated.
    UserUpdated,
    /// A user was given the staff flag.
    StaffGranted,
    /// A user lost the staff flag.
    StaffRevoked,
    /// An account was activated.
    Activated,
    /// An account was deactivated.
    Deactivated,
    /// An account was deleted.
    Deleted,
    /// An account was deleted, but its row stays without personal data because other records refer to it.
    Anonymized,
    /// Users were imported from a file.
    UsersImported,
    /// Staff deleted a remembered mapping of spreadsheet headings.
    ImportMappingDeleted,
    /// An API token was created.
    ApiTokenCreated,
    /// An API token was rotated.
    ApiTokenRotated,
    /// An API token was deleted.
    ApiTokenDeleted,
    /// A user, staff or the operator ended a session.
    SessionRevoked,
    /// Staff ended all sessions of a user, or the operator those of all users.
    SessionsRevoked,
    /// A list was exported.
    Exported,
    /// The operator added a signing key.
    SigningKeyRotated,
    /// The operator revoked a signing key.
    SigningKeyRevoked,
    /// The operator encrypted the stored secrets with another secret key.
    SecretsResealed,
    /// A limit was exhausted; recorded once per period for each account or client.
    LimitReached,
    /// The operator lifted the limits of a user or client.
    LimitsLifted,
}

/// Filter for events. All given conditions must match.
#[derive(InputObject, Default)]
pub(crate) struct AuditEventFilter {
    /// User who acted or was acted on. The id of a superuser matches nothing unless you are one.
    user_id: Option<ID>,
    /// Recorded action.
    action: Option<AuditAction>,
    /// Only events after this time.
    created_after: Option<DateTime>,
    /// Only events before this time.
    created_before: Option<DateTime>,
    /// Only events of requests from this network address, while it is kept. Unless you are a superuser, events by
    /// superusers are left out.
    ip: Option<String>,
}

/// A page of the events by and about this user; `None` for callers who are not staff.
pub(crate) async fn of_user(ctx: &Context<'_>, user: Uuid, args: PageArgs) -> Answer<Option<Connection<AuditEvent>>> {
    let Ok(staff) = reader(ctx)?.staff() else { return Ok(None) };
    page(ctx, staff, Filter { user: Some(user.to_string()), ..Filter::default() }, args).await
}

async fn page(
    ctx: &Context<'_>,
    staff: Staff<'_>,
    filter: Filter,
    args: PageArgs,
) -> Answer<Option<Connection<AuditEvent>>> {
    let page = list::page(&app(ctx).db, staff, &filter, &args).await?;
    Ok(Some(Connection::new(page, CountQuery::Audit(filter), AuditEvent)))
}

#[derive(Default)]
pub(crate) struct AuditQuery;

#[Object]
impl AuditQuery {
    /// Returns the audit trail, newest first. Staff only; API tokens need the scope READ. A page has 20 events by
    /// default and at most 200. Events about superusers, and those that superusers caused themselves, are visible to
    /// superusers only.
    #[graphql(complexity = "page_complexity(first, last, child_complexity)")]
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of items from the start of the list, or after `after`.")] first: Option<i32>,
        #[graphql(desc = "Cursor after which the page starts.")] after: Option<String>,
        #[graphql(desc = "Number of items from the end of the list, or before `before`.")] last: Option<i32>,
        #[graphql(desc = "Cursor before which the page ends.")] before: Option<String>,
        #[graphql(desc = "Filter; by default all events match.")] filter: Option<AuditEventFilter>,
    ) -> Answer<Option<Connection<AuditEvent>>> {
        let filter = filter.unwrap_or_default();
        let filter = Filter {
            user: filter.user_id.map(|id| id.0),
            action: filter.action.map(Into::into),
            after: filter.created_after.map(|time| time.0),
            before: filter.created_before.map(|time| time.0),
            ip: filter.ip,
        };
        page(ctx, staff(ctx)?, filter, PageArgs { first, after, last, before, offset: None }).await
    }
}
