//! Who is asking, and what they may do.
//!
//! A right is a value: an operation takes the proof of the right that it needs, and no proof can be had but by the steps
//! below. So no operation can forget to ask.
//!
//! ```text
//! authenticate ── Caller ─┬─ viewer(Read | Write) ── &Viewer ─┬─ staff() ──── Staff
//!                         │                                   └─ present() ── Present
//!                         └─ exporter() ── Exporter ── staff() ── Staff
//! ```
//!
//! Which one an operation takes:
//!
//! | it … | proof | session | API token |
//! |---|---|---|---|
//! | reads or writes as a signed-in user | [`Viewer`] | yes | with READ for queries, with WRITE for mutations |
//! | administers users | [`Staff`] | of staff | the same, of staff |
//! | gives out a whole list | [`Exporter`] | yes | with EXPORT |
//! | concerns a credential, a session or a token, or ends an account | [`Present`] | yes | never |
//!
//! [`Present`] is for whatever would let the holder of a leaked token stay, or shut the owner out: passwords and e-mail
//! addresses (one's own and, by staff, others'), sessions, API tokens, leaving. Where only a part of the input is of that
//! kind, the operation takes a [`Viewer`] or [`Staff`] and asks for [`Viewer::present`] once that part is given; an import
//! of users, which may be full of such parts, always asks. What
//! anyone may call (signing in, registering, resetting) takes a [`Client`] and minds no credential.

use std::ops::Deref;
use std::time::Duration;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tokio::time::timeout;
use uuid::Uuid;

use crate::database::Db;
use crate::domain::{api_tokens, sessions};
use crate::entity::api_token::{self, Scope, Scopes};
use crate::entity::user;
use crate::error::{Error, Reason, Result};
use crate::tools::api_token::ApiToken;
use crate::tools::clock::Moment;
use crate::tools::token::KeyRing;

/// How long a request waits until it is noted that its token came back.
const NOTING: Duration = Duration::from_secs(3);

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
pub struct Caller(Viewer);

impl Caller {
    /// Whose credential it is.
    pub fn user_id(&self) -> Uuid {
        self.0.user.id
    }

    /// Whose credential it is, as the database knew them.
    pub(super) fn user(&self) -> &user::Model {
        &self.0.user
    }

    /// What the caller is signed in with.
    pub(super) fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// The proof that the caller may do this kind of thing as themself: with a session, everything; with an API token,
    /// what its scopes say.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the scope is missing.
    pub fn viewer(&self, scope: Scope) -> Result<&Viewer> {
        match &self.0.credential {
            Credential::ApiToken { scopes, .. } if !scopes.contains(scope) => Err(Error::Forbidden),
            Credential::ApiToken { .. } | Credential::Session(_) => Ok(&self.0),
        }
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
    pub fn present(&self) -> Result<Present<'_>> {
        self.0.present()
    }
}

/// The signed-in user of a request, as the database knows them at its start, whose credential fits the request.
#[derive(Clone, Debug)]
pub struct Viewer {
    user: user::Model,
    credential: Credential,
    client: Client,
}

/// What a request was signed in with.
#[derive(Clone, Debug)]
pub(super) enum Credential {
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
        self.present().ok().map(|present| present.session())
    }

    /// Where the request comes from.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The proof that the user is staff: by flag, by the role of an administrator, or as a superuser.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for everybody else.
    pub fn staff(&self) -> Result<Staff<'_>> {
        if self.user.is_staff_member() { Ok(Staff(self)) } else { Err(Error::Forbidden) }
    }

    /// The proof that the user is here by a session, and not a script with a token of theirs.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for API tokens, whatever their scopes.
    pub fn present(&self) -> Result<Present<'_>> {
        match self.credential {
            Credential::Session(session) => Ok(Present { viewer: self, session }),
            Credential::ApiToken { .. } => Err(Error::Forbidden),
        }
    }
}

/// The proof that the signed-in user is staff.
#[derive(Clone, Copy, Debug)]
pub struct Staff<'a>(&'a Viewer);

impl Deref for Staff<'_> {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        self.0
    }
}

/// The proof that the signed-in user may be given whole lists.
#[derive(Clone, Copy, Debug)]
pub struct Exporter<'a>(&'a Viewer);

impl Deref for Exporter<'_> {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        self.0
    }
}

/// The proof that the signed-in user is here by a session: what concerns credentials, sessions and tokens asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Present<'a> {
    viewer: &'a Viewer,
    session: Uuid,
}

impl Present<'_> {
    /// The session that the request belongs to.
    pub fn session(&self) -> Uuid {
        self.session
    }
}

impl Deref for Present<'_> {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        self.viewer
    }
}

/// Finds out who sent an access token or an API token. The database is asked each time, so that an ended session, a
/// deleted token or a deactivated account is out at once, and that rights are today's and not the token's.
///
/// # Errors
/// [`Error::Unauthenticated`] with the reason.
pub async fn authenticate(db: &Db, now: &Moment, ring: &KeyRing, client: &Client, token: &str) -> Result<Caller> {
    let (user, credential) = if ApiToken::is_meant_by(token) {
        let (token, user) = api_tokens::recognise(db, now, token).await?;
        (user, Credential::ApiToken { id: token.id, digest: token.digest, scopes: token.scopes })
    } else {
        let (session, user) = by_access_token(db, now, ring, token).await?;
        (user, Credential::Session(session))
    };
    if !user.is_active {
        return Err(Error::Unauthenticated(Reason::Disabled));
    }
    Ok(Caller(Viewer { user, credential, client: client.clone() }))
}

/// Finds out what has become of a caller who stays connected: as [`authenticate`] does, but by the session or the API
/// token itself, so that an access token need not be sent again each time that it runs out.
///
/// # Errors
/// [`Error::Unauthenticated`] where the session or the token has ended or the account is not active.
pub async fn renew(db: &Db, now: &Moment, caller: &Caller) -> Result<Caller> {
    let Viewer { credential, client, .. } = &caller.0;
    let user = match credential {
        Credential::Session(id) => {
            let found = sessions::find(db, *id).await?;
            found.filter(|(session, _)| session.expires_at > now.at).and_then(|(_, user)| user)
        }
        Credential::ApiToken { id, digest, .. } => {
            let same = api_token::Entity::find_by_id(*id).filter(api_token::Column::Digest.eq(digest.as_slice()));
            let alive = same.filter(api_token::alive_at(now.at));
            alive.find_also_related(user::Entity).one(db.reader()).await?.and_then(|(_, user)| user)
        }
    };
    let user = user.ok_or(Error::Unauthenticated(Reason::Revoked))?;
    if !user.is_active {
        return Err(Error::Unauthenticated(Reason::Disabled));
    }
    Ok(Caller(Viewer { user, credential: credential.clone(), client: client.clone() }))
}

async fn by_access_token(db: &Db, now: &Moment, ring: &KeyRing, token: &str) -> Result<(Uuid, user::Model)> {
    let claims = ring.verify(token, now.at).map_err(Error::Unauthenticated)?;
    let Some((session, Some(user))) = sessions::find(db, claims.sid).await? else {
        return Err(Error::Unauthenticated(Reason::Revoked));
    };
    if user.id != claims.sub {
        return Err(Error::Unauthenticated(Reason::Invalid));
    }
    if session.expires_at <= now.at {
        return Err(Error::Unauthenticated(Reason::Revoked));
    }
    if session.used < claims.generation && user.is_active {
        // Where nothing can be written, refreshing cannot either, so that reading may go on; the next request notes it.
        match timeout(NOTING, sessions::mark_used(db, session.id, claims.generation)).await {
            Err(_) | Ok(Ok(()) | Err(Error::Unavailable(_))) => {}
            Ok(Err(error)) => return Err(error),
        }
    }
    Ok((session.id, user))
}
