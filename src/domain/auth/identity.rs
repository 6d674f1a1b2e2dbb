//! The caller of an operation, and the proofs of their rights.
//!
//! A right is a value: an operation takes the proof of the right that it needs, and the steps below are the only way to
//! a proof. So no operation can omit the check.
//!
//! ```text
//! authenticate ── Caller ─┬─ viewer(scope) ── &Viewer ─┬─ staff() ────────── Staff ───────┐
//!                         │                            ├─ session_user() ── SessionUser ──┤
//!                         │                            └─ manager() ─────── Manager ──────┼─ begin() ── Authorized
//!                         └─ exporter() ── Exporter ── staff() ── Staff ────────────────────┘
//! ```
//!
//! These are rights at the start of the request, which is enough to read. A request may take a minute, and its session
//! may end meanwhile. So every write takes [`Authorized`](super::authorize::Authorized), a transaction in which
//! credential and rights were re-read and are locked. Only it can record the actions of a user
//! ([`crate::domain::audit::Event::by`]).
//!
//! The proof that an operation takes:
//!
//! | The operation … | proof | session | API token |
//! |---|---|---|---|
//! | reads, or changes the caller's own data | [`Viewer`] | yes | with READ for queries, with WRITE for mutations |
//! | reads about users | [`Staff`] | of staff | with READ, of staff |
//! | administers users | [`Manager`] | of staff | with MANAGE_USERS, of staff, as far as `guard_rails::reach` goes |
//! | exports a whole list | [`Exporter`] | yes | with EXPORT |
//! | reads about the installation | [`Superuser`] | of superusers | never |
//! | concerns a credential, a session or a token, or ends an account | [`SessionUser`] | yes | never |
//!
//! [`SessionUser`] is for everything that would let the holder of a leaked token stay, or lock the owner out: passwords
//! and email addresses (of the caller and, by staff, of others), sessions, API tokens, deactivation and deletion. If
//! only a part of the input is of that kind, the operation takes a [`Viewer`] or [`Manager`] and calls
//! [`Viewer::session_user`] once that part is given; an import of users always does. Operations that would let the thief
//! of a session stay, or reach other accounts, also call `check_recent_proof` in their transaction, unless they take the
//! current password. An API token never changes role, permission, staff rights or credentials, nor any account of staff
//! or of its owner. A user who must have a second factor and has none gets no proof but [`Caller::enrolling_user`].
//! Public operations (signing in, registering, resetting) take a [`Client`] and ignore credentials.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::config::SecondFactorPolicy;
use crate::domain::auth::second_factor;
use crate::domain::rate_limits::Limits;
use crate::entity::api_token::{Scope, Scopes};
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::{Now, SKEW, Timestamp};
use crate::tools::secret::Secret;
use crate::tools::token::{Claims, SharedRing};

/// Origin of a request, as far as it is known; stored with sessions and audit events.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The IP address; behind trusted proxies, the one that they report.
    pub ip: Option<String>,
    /// The `User-Agent`.
    pub user_agent: Option<String>,
    /// The secret of a browser, in its cookie or about to be: it proves nothing. `None` for clients without cookies.
    pub device: Option<Secret>,
}

/// The party that acts, for audit events, guard rails and limits. It proves no right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// This user.
    User(Uuid),
    /// The operator, who runs the service and its commands.
    Operator,
    /// Anyone: nobody is signed in.
    Anyone,
}

impl Actor {
    /// The id of the user; `None` for others.
    pub(in crate::domain) fn user(self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(id),
            Self::Operator | Self::Anyone => None,
        }
    }
}

/// The authenticated sender of a request. Rights depend on the operation: see [`Caller::viewer`].
#[derive(Clone, Debug)]
pub struct Caller(pub(super) Viewer);

impl Caller {
    /// The id of the user.
    pub fn user_id(&self) -> Uuid {
        self.0.user.id
    }

    /// The user as read from the database.
    pub(in crate::domain) fn user(&self) -> &user::Model {
        &self.0.user
    }

    /// The kind and id of the credential, for the log.
    pub fn credential_id(&self) -> (&'static str, Uuid) {
        let kind = match &self.0.credential {
            Credential::Session(_) => "session",
            Credential::ApiToken { .. } => "api_token",
        };
        (kind, self.0.credential.id())
    }

    /// The credential of the request.
    pub(in crate::domain) fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// Time at which the caller's access token expires; `None` for API tokens, whose expiry is in the database.
    pub fn accepted_until(&self) -> Option<Timestamp> {
        self.0.claims.as_ref().map(|claims| claims.accepted_until())
    }

    /// The claims of the caller's access token; `None` for API tokens.
    pub(in crate::domain) fn claims(&self) -> Option<&Arc<Claims>> {
        self.0.claims.as_ref()
    }

    /// True if both were authenticated by the same session, or by the same API token.
    pub fn has_credential_of(&self, other: &Self) -> bool {
        match (&self.0.credential, &other.0.credential) {
            (Credential::Session(one), Credential::Session(other))
            | (Credential::ApiToken { id: one, .. }, Credential::ApiToken { id: other, .. }) => one == other,
            _ => false,
        }
    }

    /// Proof that the caller may do this kind of operation as themself: everything with a session, and the scopes of
    /// the token with an API token.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the scope is missing.
    pub fn viewer(&self, scope: Scope) -> Result<&Viewer> {
        self.0.within(scope)
    }

    /// Proof that the caller may administer users.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for users who are not staff, and for API tokens without the scope MANAGE_USERS.
    pub fn manager(&self) -> Result<Manager<'_>> {
        self.0.manager()
    }

    /// Proof that the caller may export whole lists.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for API tokens without the scope EXPORT.
    pub fn exporter(&self) -> Result<Exporter<'_>> {
        self.viewer(Scope::Export).map(Exporter)
    }

    /// Proof that the caller uses a session, also for a user who must first enrol a second factor. It is for enrolling,
    /// and for ending the session.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for API tokens.
    pub fn enrolling_user(&self) -> Result<SessionUser<'_>> {
        self.0.enrolling_user()
    }

    /// Proof that the caller uses a session.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for API tokens; [`Error::EnrollmentRequired`] for a user who must first enrol a second factor.
    pub fn session_user(&self) -> Result<SessionUser<'_>> {
        self.0.session_user()
    }
}

/// The signed-in user of a request, as read from the database at its start, with a credential that permits the request.
#[derive(Clone, Debug)]
pub struct Viewer {
    pub(super) user: user::Model,
    pub(super) credential: Credential,
    pub(super) claims: Option<Arc<Claims>>,
    /// Time at which the user last proved who they are; `None` with an API token.
    pub(super) authenticated_at: Option<Timestamp>,
    /// Time after which sensitive operations require a new proof.
    pub(super) reauthenticate_after: Duration,
    /// Users who must have a second factor.
    pub(super) second_factor: SecondFactorPolicy,
    pub(super) client: Client,
    pub(super) limits: Limits,
    pub(super) ring: SharedRing,
}

/// The credential of a request.
#[derive(Clone, Debug)]
pub(in crate::domain) enum Credential {
    /// This session.
    Session(Uuid),
    /// This API token, with the digest of its secret, which a rotation replaces.
    ApiToken { id: Uuid, digest: Vec<u8>, scopes: Scopes },
}

impl Viewer {
    /// The user.
    pub fn user(&self) -> &user::Model {
        &self.user
    }

    /// The user as an actor.
    pub(in crate::domain) fn actor(&self) -> Actor {
        Actor::User(self.user.id)
    }

    /// The session of the request; `None` with an API token.
    pub fn session(&self) -> Option<Uuid> {
        self.session_user().ok().map(|present| present.session())
    }

    /// The origin of the request.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Checks that the user has proved who they are recently enough for a sensitive operation: a stolen session must not
    /// become a lasting credential, nor lead to other accounts.
    ///
    /// # Errors
    /// [`Code::ReauthenticationRequired`], also for API tokens, whose owner proves nothing.
    pub fn check_recent_proof(&self, now: &Now) -> Result<(), Refusal> {
        // A clock that was set back must not extend the time.
        let is_recent = |at: Timestamp| now.at < at.plus(self.reauthenticate_after) && at <= now.at.plus(SKEW);
        match self.authenticated_at.is_some_and(is_recent) {
            true => Ok(()),
            false => Err(Refusal::new(Code::ReauthenticationRequired, "reauthentication-required")),
        }
    }

    /// True while the signing key of the request's access token is valid; always true for API tokens.
    pub(super) fn is_signed(&self) -> bool {
        self.claims.as_ref().is_none_or(|claims| self.ring.present().knows(&claims.kid))
    }

    /// Proof that the user is staff: by flag, by the administrator role, or as a superuser.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for all other users.
    pub fn staff(&self) -> Result<Staff<'_>> {
        if self.user.is_staff_member() { Ok(Staff(self)) } else { Err(Error::Forbidden) }
    }

    /// The same viewer, if the credential has this scope; a session has all.
    fn within(&self, scope: Scope) -> Result<&Self> {
        match &self.credential {
            Credential::ApiToken { scopes, .. } if !scopes.contains(scope) => Err(Error::Forbidden),
            Credential::ApiToken { .. } => Ok(self),
            Credential::Session(_) => self.check_enrollment().map(|()| self),
        }
    }

    /// Checks that the user has a second factor, if they must have one. API tokens are exempt: programs have no factor.
    ///
    /// # Errors
    /// [`Error::EnrollmentRequired`].
    fn check_enrollment(&self) -> Result<()> {
        match second_factor::must_enroll(self.second_factor, &self.user) {
            true => Err(Error::EnrollmentRequired),
            false => Ok(()),
        }
    }

    /// Proof that the user is staff and may administer users with this credential.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for users who are not staff, and for API tokens without the scope MANAGE_USERS.
    pub fn manager(&self) -> Result<Manager<'_>> {
        self.within(Scope::ManageUsers)?.staff().map(Manager)
    }

    /// Proof that the user has a session instead of an API token.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for API tokens, whatever their scopes; [`Error::EnrollmentRequired`] for a user who must first
    /// enrol a second factor.
    pub fn session_user(&self) -> Result<SessionUser<'_>> {
        let present = self.enrolling_user()?;
        self.check_enrollment().map(|()| present)
    }

    /// Proof that the user is a superuser with a session.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for all other users, and for API tokens; [`Error::EnrollmentRequired`] for a user who must
    /// first enrol a second factor.
    pub fn superuser(&self) -> Result<Superuser<'_>> {
        let present = self.session_user()?;
        if self.user.is_superuser { Ok(Superuser(present)) } else { Err(Error::Forbidden) }
    }

    fn enrolling_user(&self) -> Result<SessionUser<'_>> {
        match self.credential {
            Credential::Session(session) => Ok(SessionUser { viewer: self, session }),
            Credential::ApiToken { .. } => Err(Error::Forbidden),
        }
    }
}

impl Credential {
    /// The id of the session or API token.
    pub(super) fn id(&self) -> Uuid {
        match self {
            Self::Session(id) | Self::ApiToken { id, .. } => *id,
        }
    }
}

/// Proof that the signed-in user is staff.
#[derive(Clone, Copy, Debug)]
pub struct Staff<'a>(pub(super) &'a Viewer);

impl Staff<'_> {
    /// The caller, for work that continues after the request.
    pub(in crate::domain) fn caller(&self) -> Caller {
        Caller(self.0.clone())
    }
}

impl Deref for Staff<'_> {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        self.0
    }
}

/// Proof that the signed-in user is staff and may administer users: by a session, or by an API token with the scope
/// MANAGE_USERS. `guard_rails::reach` defines the reach of the token.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a>(Staff<'a>);

impl<'a> Deref for Manager<'a> {
    type Target = Staff<'a>;

    fn deref(&self) -> &Staff<'a> {
        &self.0
    }
}

/// Proof that the signed-in user may export whole lists.
#[derive(Clone, Copy, Debug)]
pub struct Exporter<'a>(&'a Viewer);

impl Exporter<'_> {
    /// The caller, for work that continues after the grant.
    pub(in crate::domain) fn caller(&self) -> Caller {
        Caller(self.0.clone())
    }
}

impl Deref for Exporter<'_> {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        self.0
    }
}

/// Proof that the signed-in user has a session, required by operations on credentials, sessions and tokens.
#[derive(Clone, Copy, Debug)]
pub struct SessionUser<'a> {
    viewer: &'a Viewer,
    session: Uuid,
}

impl SessionUser<'_> {
    /// The caller, for work that continues after the grant.
    pub(in crate::domain) fn caller(&self) -> Caller {
        Caller(self.viewer.clone())
    }

    /// The session of the request.
    pub fn session(&self) -> Uuid {
        self.session
    }
}

/// Proof that the signed-in user is a superuser with a session.
#[derive(Clone, Copy, Debug)]
pub struct Superuser<'a>(SessionUser<'a>);

impl<'a> Deref for Superuser<'a> {
    type Target = SessionUser<'a>;

    fn deref(&self) -> &SessionUser<'a> {
        &self.0
    }
}

impl<'a> SessionUser<'a> {
    /// The user, for the lifetime of the request.
    pub(in crate::domain) fn into_viewer(self) -> &'a Viewer {
        self.viewer
    }
}

impl Deref for SessionUser<'_> {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        self.viewer
    }
}
