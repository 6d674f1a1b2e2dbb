//! Who is asking, and what they may do.
//!
//! A right is a value: an operation takes the proof of the right that it needs, and no proof can be had but by the steps
//! below. So no operation can forget to ask.
//!
//! ```text
//! authenticate ── Caller ─┬─ viewer(Read | Write) ── &Viewer ─┬─ staff() ──── Staff ───┐
//!                         │                                   └─ present() ── Present ─┤
//!                         ├─ manager() ─── Manager ── Staff ───────────────────────────┼─ begin() ── Authorized
//!                         └─ exporter() ── Exporter ── staff() ── Staff ───────────────┘
//! ```
//!
//! These are rights at the start of the request, which is enough to read. A request may be under way for a minute, and its
//! session be ended meanwhile: whatever writes takes [`Authorized`], a transaction in which credential and rights were read
//! again and are locked. Only it can record what a user did ([`crate::domain::audit::Event::by`]).
//!
//! Which one an operation takes:
//!
//! | it … | proof | session | API token |
//! |---|---|---|---|
//! | reads, or changes the own data | [`Viewer`] | yes | with READ for queries, with WRITE for mutations |
//! | reads about users | [`Staff`] | of staff | with READ, of staff |
//! | administers users | [`Manager`] | of staff | with MANAGE_USERS, of staff, as far as `guard_rails::reach` goes |
//! | gives out a whole list | [`Exporter`] | yes | with EXPORT |
//! | concerns a credential, a session or a token, or ends an account | [`SessionUser`] | yes | never |
//!
//! [`SessionUser`] is for whatever would let the holder of a leaked token stay, or shut the owner out: passwords and e-mail
//! addresses (one's own and, by staff, others'), sessions, API tokens, leaving. Where only a part of the input is of that
//! kind, the operation takes a [`Viewer`] or [`Manager`] and asks for [`Viewer::present`] once that part is given; an import
//! of users, which may be full of such parts, always asks. An API token never changes role, permission, staff rights or
//! credentials, nor any account of staff or of its owner. What
//! anyone may call (signing in, registering, resetting) takes a [`Client`] and minds no credential.

use std::ops::Deref;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::rate_limits::Limits;
use crate::entity::api_token::{Scope, Scopes};
use crate::entity::user;
use crate::error::{Error, Result};
use crate::tools::clock::Timestamp;
use crate::tools::token::{Claims, SharedRing};

/// Where a request comes from, as far as it can be known; kept with sessions and audit events.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The address, behind trusted proxies the one that they report.
    pub ip: Option<String>,
    /// The program, as it names itself.
    pub user_agent: Option<String>,
}

/// Whoever sent a request. What they may do depends on what they want, so that comes first: see [`Caller::viewer`].
#[derive(Clone, Debug)]
pub struct Caller(pub(super) Viewer);

impl Caller {
    /// Whose credential it is.
    pub fn user_id(&self) -> Uuid {
        self.0.user.id
    }

    /// Whose credential it is, as the database knew them.
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

    /// What the caller is signed in with.
    pub(in crate::domain) fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// The moment from which the caller's access token is refused; `None` for API tokens, whose end is in the database.
    pub fn accepted_until(&self) -> Option<Timestamp> {
        self.0.claims.as_ref().map(|claims| claims.accepted_until())
    }

    /// The claims of the caller's access token; `None` for API tokens.
    pub(in crate::domain) fn claims(&self) -> Option<&Arc<Claims>> {
        self.0.claims.as_ref()
    }

    /// True where both were authenticated by the same session, or by the same API token.
    pub fn has_credential_of(&self, other: &Self) -> bool {
        match (&self.0.credential, &other.0.credential) {
            (Credential::Session(one), Credential::Session(other))
            | (Credential::ApiToken { id: one, .. }, Credential::ApiToken { id: other, .. }) => one == other,
            _ => false,
        }
    }

    /// The proof that the caller may do this kind of thing as themself: with a session, everything; with an API token,
    /// what its scopes say.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the scope is missing.
    pub fn viewer(&self, scope: Scope) -> Result<&Viewer> {
        self.0.within(scope)
    }

    /// The proof that the caller may administer users.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for users who are not staff, and for API tokens without the scope MANAGE_USERS.
    pub fn manager(&self) -> Result<Manager<'_>> {
        self.0.manager()
    }

    /// The proof that the caller may be given whole lists.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for API tokens without the scope EXPORT.
    pub fn exporter(&self) -> Result<Exporter<'_>> {
        self.viewer(Scope::Export).map(Exporter)
    }

    /// The proof that the caller is here by a session.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for API tokens.
    pub fn session_user(&self) -> Result<SessionUser<'_>> {
        self.0.session_user()
    }
}

/// The signed-in user of a request, as the database knows them at its start, whose credential fits the request.
#[derive(Clone, Debug)]
pub struct Viewer {
    pub(super) user: user::Model,
    pub(super) credential: Credential,
    pub(super) claims: Option<Arc<Claims>>,
    pub(super) client: Client,
    pub(super) limits: Limits,
    pub(super) ring: SharedRing,
}

/// What a request was signed in with.
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

    /// The session that the request belongs to; none where it came with an API token.
    pub fn session(&self) -> Option<Uuid> {
        self.session_user().ok().map(|present| present.session())
    }

    /// Where the request comes from.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// True while the key that signed the access token of the request is in use; API tokens are not signed.
    pub(super) fn is_signed(&self) -> bool {
        self.claims.as_ref().is_none_or(|claims| self.ring.present().knows(&claims.kid))
    }

    /// The proof that the user is staff: by flag, by the role of an administrator, or as a superuser.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for everybody else.
    pub fn staff(&self) -> Result<Staff<'_>> {
        if self.user.is_staff_member() { Ok(Staff(self)) } else { Err(Error::Forbidden) }
    }

    /// The same viewer, where the credential has this scope; a session has all.
    fn within(&self, scope: Scope) -> Result<&Self> {
        match &self.credential {
            Credential::ApiToken { scopes, .. } if !scopes.contains(scope) => Err(Error::Forbidden),
            Credential::ApiToken { .. } | Credential::Session(_) => Ok(self),
        }
    }

    /// The proof that the user is staff and may administer users with this credential.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for users who are not staff, and for API tokens without the scope MANAGE_USERS.
    pub fn manager(&self) -> Result<Manager<'_>> {
        self.within(Scope::ManageUsers)?.staff().map(Manager)
    }

    /// The proof that the user is here by a session, and not a script with a token of theirs.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for API tokens, whatever their scopes.
    pub fn session_user(&self) -> Result<SessionUser<'_>> {
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

/// The proof that the signed-in user is staff.
#[derive(Clone, Copy, Debug)]
pub struct Staff<'a>(pub(super) &'a Viewer);

impl Deref for Staff<'_> {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        self.0
    }
}

/// The proof that the signed-in user is staff and may administer users: by a session, or by an API token with the scope
/// MANAGE_USERS. `guard_rails::reach` says how far the token goes.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a>(Staff<'a>);

impl<'a> Deref for Manager<'a> {
    type Target = Staff<'a>;

    fn deref(&self) -> &Staff<'a> {
        &self.0
    }
}

/// The proof that the signed-in user may be given whole lists.
#[derive(Clone, Copy, Debug)]
pub struct Exporter<'a>(&'a Viewer);

impl Exporter<'_> {
    /// The caller, for what goes on after the request was granted.
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

/// The proof that the signed-in user is here by a session: what concerns credentials, sessions and tokens asks for it.
#[derive(Clone, Copy, Debug)]
pub struct SessionUser<'a> {
    viewer: &'a Viewer,
    session: Uuid,
}

impl SessionUser<'_> {
    /// The session that the request belongs to.
    pub fn session(&self) -> Uuid {
        self.session
    }
}

impl<'a> SessionUser<'a> {
    /// The user, for as long as the request is known.
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
