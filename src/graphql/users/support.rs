//! Support of users by staff: reasons for failing sign-ins, links, sessions and API tokens.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use super::User;
use crate::domain::users::end_sessions::{self, EndSessions};
use crate::domain::users::revoke_api_token;
use crate::domain::users::send_link::{self, LinkKind};
use crate::domain::users::sign_in_problems::{self, Person, Problem, Rules};
use crate::graphql::api_tokens::ApiToken;
use crate::graphql::audit::AuditReason;
use crate::graphql::context::{app, manager, request, staff};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::mails::OutgoingMail;
use crate::graphql::paging::list_complexity;
use crate::graphql::scalars::DateTime;
use crate::graphql::sessions::Session;
use crate::graphql::user_errors::outcome;

/// A reason that keeps a user from signing in.
#[derive(SimpleObject)]
pub(crate) struct SignInProblem {
    /// Kind of problem.
    kind: SignInProblemKind,
    /// Time at which it ends by itself: of LIMIT_EXHAUSTED, TOTP_STOPPED and PENDING_REGISTRATION; null for others.
    until: Option<DateTime>,
    /// Exhausted limit of LIMIT_EXHAUSTED; null for others.
    limit: Option<AuditReason>,
    /// Email of MAIL_FAILED, with the error of its last attempt; null for others.
    mail: Option<OutgoingMail>,
}

/// Kinds of problems. More values may be added.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum SignInProblemKind {
    /// The account is deactivated. `toggleActive` activates it.
    Inactive,
    /// The email address is not confirmed. The link of `sendLink` confirms it.
    Unverified,
    /// The account has neither a password nor a passkey. `sendLink` sends a link to set a password.
    NoPassword,
    /// The temporary password has expired. `sendLink` sends a link to set another one.
    TemporaryPasswordExpired,
    /// The user must first set up a second factor.
    SecondFactorEnrollmentRequired,
    /// Codes of the authenticator app are not accepted after too many wrong ones. Recovery codes still are.
    TotpStopped,
    /// A limit is exhausted after too many attempts.
    LimitExhausted,
    /// The delivery of an email to the user failed, for good or so far. `retryMail` queues it again.
    MailFailed,
    /// There is no account: a registration waits for the confirmation of its email address.
    PendingRegistration,
}

impl From<Problem> for SignInProblem {
    fn from(problem: Problem) -> Self {
        let plain = |kind| Self { kind, until: None, limit: None, mail: None };
        let ends = |kind, until| Self { until, ..plain(kind) };
        match problem {
            Problem::Inactive => plain(SignInProblemKind::Inactive),
            Problem::Unverified => plain(SignInProblemKind::Unverified),
            Problem::NoPassword => plain(SignInProblemKind::NoPassword),
            Problem::TemporaryPasswordExpired => plain(SignInProblemKind::TemporaryPasswordExpired),
            Problem::MustEnroll => plain(SignInProblemKind::SecondFactorEnrollmentRequired),
            Problem::TotpStopped(until) => ends(SignInProblemKind::TotpStopped, Some(until.into())),
            Problem::Exhausted(usage) => Self {
                limit: Some(usage.what.reason().into()),
                ..ends(SignInProblemKind::LimitExhausted, usage.exhausted_until.map(Into::into))
            },
            Problem::Undelivered(mail) => {
                Self { mail: Some(OutgoingMail(*mail)), ..plain(SignInProblemKind::MailFailed) }
            }
            Problem::PendingRegistration(until) => ends(SignInProblemKind::PendingRegistration, Some(until.into())),
        }
    }
}

/// Sessions to end.
#[derive(InputObject)]
pub(crate) struct EndUserSessionsInput {
    /// Id of the user.
    id: ID,
    /// Id of the only session to end. By default all sessions and unfinished sign-ins end.
    session_id: Option<ID>,
}

/// Result of `endUserSessions`.
#[derive(SimpleObject)]
pub(crate) struct EndUserSessionsPayload {
    /// User; null if there are errors.
    user: Option<User>,
    /// Sessions that ended, as they were; null if there are errors.
    sessions: Option<Vec<Session>>,
    /// NOT_FOUND for `id` and `sessionId`; CANNOT_EDIT_SUPERUSER.
    errors: Vec<UserError>,
}

/// API token to revoke.
#[derive(InputObject)]
pub(crate) struct RevokeUserApiTokenInput {
    /// Id of the token.
    id: ID,
}

/// Result of `revokeUserApiToken`.
#[derive(SimpleObject)]
pub(crate) struct RevokeUserApiTokenPayload {
    /// Revoked token; null if there are errors.
    api_token: Option<ApiToken>,
    /// NOT_FOUND or CANNOT_EDIT_SUPERUSER.
    errors: Vec<UserError>,
}

/// Links to set a password.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "LinkKind")]
pub(crate) enum UserLinkKind {
    /// Invitation, for a user without a password.
    Invitation,
    /// Reset of a forgotten password, which also confirms the email address.
    PasswordReset,
}

/// Link to send.
#[derive(InputObject)]
pub(crate) struct SendLinkInput {
    /// Id of the user.
    id: ID,
    /// Kind of link.
    kind: UserLinkKind,
}

/// Result of `sendLink`.
#[derive(SimpleObject)]
pub(crate) struct SendLinkPayload {
    /// User; null if there are errors.
    user: Option<User>,
    /// NOT_FOUND, CANNOT_EDIT_SUPERUSER, or ACCOUNT_INACTIVE for a deactivated account; INVALID for an invitation of a
    /// user with a password.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct SupportQuery;

#[Object]
impl SupportQuery {
    /// Returns the reasons that keep a user from signing in with the right password; empty if there are none, and null if
    /// there is no such user. Staff only; API tokens need the scope READ. Give either `id` or `identifier`. An identifier
    /// also finds a registration that waits for confirmation.
    #[graphql(complexity = "list_complexity(10, child_complexity)")]
    async fn sign_in_problems(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Id of the user.")] id: Option<ID>,
        #[graphql(desc = "Username or email address, as the user types it.")] identifier: Option<String>,
    ) -> Answer<Option<Vec<SignInProblem>>> {
        let app = app(ctx);
        let rules = Rules {
            limits: &app.limits,
            second_factor: app.config.second_factor,
            is_reachable: app.config.is_reachable(),
        };
        let person = Person { id: id.as_ref().map(|id| id.as_str()), identifier: identifier.as_deref() };
        let found = sign_in_problems::find(&app.db, &request(ctx).now, staff(ctx)?, rules, person).await?;
        Ok(found.map(|problems| problems.into_iter().map(Into::into).collect()))
    }
}

#[derive(Default)]
pub(crate) struct SupportMutation;

#[Object]
impl SupportMutation {
    /// Ends one or all sessions of a user immediately. Staff only; requires a session. API tokens and links stay.
    async fn end_user_sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Sessions to end.")] input: EndUserSessionsInput,
    ) -> Answer<Option<EndUserSessionsPayload>> {
        let (app, staff) = (app(ctx), staff(ctx)?);
        let lives = &app.config.sessions;
        let input = EndSessions { id: input.id.0, session: input.session_id.map(|id| id.0) };
        let ended = end_sessions::end(&app.db, &request(ctx).now, staff, lives, &input).await;
        let (ended, errors) = outcome(ctx, ended)?;
        let (user, sessions) = ended.unzip();
        let current = staff.session().unwrap_or(Uuid::nil());
        let show = |session| Session::new(lives, current, session);
        let sessions = sessions.map(|sessions| sessions.into_iter().map(show).collect());
        Ok(Some(EndUserSessionsPayload { user: user.map(User), sessions, errors }))
    }

    /// Revokes an API token of any user immediately, and notifies its owner by email. Staff only; requires a session.
    async fn revoke_user_api_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "API token to revoke.")] input: RevokeUserApiTokenInput,
    ) -> Answer<Option<RevokeUserApiTokenPayload>> {
        let revoked = revoke_api_token::revoke(&app(ctx).db, &request(ctx).now, staff(ctx)?, &input.id).await;
        let (token, errors) = outcome(ctx, revoked)?;
        Ok(Some(RevokeUserApiTokenPayload { api_token: token.map(ApiToken), errors }))
    }

    /// Emails a user a link to set a password. Staff only. API tokens need the scope MANAGE_USERS, and apply only to other
    /// users without staff rights. The link has its full lifetime, and former links of its kind end. RATE_LIMITED if you
    /// have sent, or the address has received, too many.
    async fn send_link(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "User and kind of link.")] input: SendLinkInput,
    ) -> Answer<Option<SendLinkPayload>> {
        let app = app(ctx);
        let (now, staff) = (&request(ctx).now, manager(ctx)?);
        let sent = send_link::send(&app.db, now, staff, &app.limits, &input.id, input.kind.into()).await;
        let (user, errors) = outcome(ctx, sent)?;
        Ok(Some(SendLinkPayload { user: user.map(User), errors }))
    }
}
