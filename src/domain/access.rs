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
//! | concerns a credential, a session or a token, or ends an account | [`Present`] | yes | never |
//!
//! [`Present`] is for whatever would let the holder of a leaked token stay, or shut the owner out: passwords and e-mail
//! addresses (one's own and, by staff, others'), sessions, API tokens, leaving. Where only a part of the input is of that
//! kind, the operation takes a [`Viewer`] or [`Manager`] and asks for [`Viewer::present`] once that part is given; an import
//! of users, which may be full of such parts, always asks. An API token never changes role, permission, staff rights or
//! credentials, nor any account of staff or of its owner. What
//! anyone may call (signing in, registering, resetting) takes a [`Client`] and minds no credential.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::database::Db;
use crate::domain::limits::{self, Limits};
use crate::domain::{api_tokens, sessions};
use crate::entity::api_token::{self, Scope, Scopes};
use crate::entity::{session, user};
use crate::error::{Error, Reason, Result};
use crate::tools::api_token::ApiToken;
use crate::tools::clock::{Moment, Timestamp};
use crate::tools::token::{Claims, KeyRing, SharedRing};

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

    /// The kind and id of the credential, for the log.
    pub fn credential_id(&self) -> (&'static str, Uuid) {
        let kind = match &self.0.credential {
            Credential::Session(_) => "session",
            Credential::ApiToken { .. } => "api_token",
        };
        (kind, self.0.credential.id())
    }

    /// What the caller is signed in with.
    pub(super) fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// The moment from which the caller's access token is refused; `None` for API tokens, whose end is in the database.
    pub fn accepted_until(&self) -> Option<Timestamp> {
        self.0.claims.as_ref().map(|claims| claims.accepted_until())
    }

    /// The claims of the caller's access token; `None` for API tokens.
    pub(super) fn claims(&self) -> Option<&Arc<Claims>> {
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
    pub fn present(&self) -> Result<Present<'_>> {
        self.0.present()
    }
}

/// The signed-in user of a request, as the database knows them at its start, whose credential fits the request.
#[derive(Clone, Debug)]
pub struct Viewer {
    user: user::Model,
    credential: Credential,
    claims: Option<Arc<Claims>>,
    client: Client,
    limits: Limits,
    ring: SharedRing,
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
    pub fn present(&self) -> Result<Present<'_>> {
        match self.credential {
            Credential::Session(session) => Ok(Present { viewer: self, session }),
            Credential::ApiToken { .. } => Err(Error::Forbidden),
        }
    }
}

impl Viewer {
    /// Opens a transaction in which this user acts: their account and `also` are locked in the order of ids, so that two who
    /// act on each other do not wait for each other for ever, and the credential after them.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where the session or the API token has ended since the request began, or the account
    /// was deactivated or deleted; [`Error::RateLimited`] after too many changes by this user.
    pub(in crate::domain) async fn begin(&self, db: &Db, now: &Moment, also: Also<'_>) -> Result<Authorized> {
        self.begin_within(db, now, also, Budget::Changes).await
    }

    /// The same for what only ends something: a session, an API token, an account, or rights. It goes on where the holder of
    /// another credential has used up the changes of this user.
    ///
    /// # Errors
    /// The same.
    pub(in crate::domain) async fn begin_ending(&self, db: &Db, now: &Moment, also: Also<'_>) -> Result<Authorized> {
        self.begin_within(db, now, also, Budget::Endings).await
    }

    /// True while the key that signed the access token of the request is in use; API tokens are not signed.
    fn is_signed(&self) -> bool {
        self.claims.as_ref().is_none_or(|claims| self.ring.present().knows(&claims.kid))
    }

    async fn begin_within(&self, db: &Db, now: &Moment, also: Also<'_>, budget: Budget) -> Result<Authorized> {
        let revoked = || Error::Unauthenticated(Reason::Revoked);
        let (txn, _) = db.begin(now).await?;
        let locked = also.lock(&txn, self.user.id).await?;
        // Whoever was waited for may have taken long, and what they did comes first in the trail.
        let now = now.anew();
        let user = locked.get(&self.user.id).cloned().ok_or_else(revoked)?;
        if !user.is_active {
            return Err(Error::Unauthenticated(Reason::Disabled));
        }
        if !self.credential.hold(&txn, &now).await? {
            return Err(revoked());
        }
        if !self.is_signed() {
            return Err(Error::Unauthenticated(Reason::Invalid));
        }
        match budget {
            Budget::Changes => limits::take_write(&txn, &now, self.user.id, &self.limits).await?,
            Budget::Endings => {
                let whose = (self.user.id, self.credential.id());
                limits::take_ending(&txn, &now, whose, &self.limits).await?;
            }
        }
        let viewer = Self { user, ..self.clone() };
        Ok(Authorized { txn, now, viewer, locked })
    }
}

impl Staff<'_> {
    /// The same as [`Viewer::begin`], for somebody who is still staff.
    ///
    /// # Errors
    /// Those, and [`Error::Forbidden`] where the rights of staff are gone since the request began.
    pub(in crate::domain) async fn begin(&self, db: &Db, now: &Moment, also: Also<'_>) -> Result<Authorized> {
        let authorized = self.0.begin(db, now, also).await?;
        authorized.staff()?;
        Ok(authorized)
    }

    /// The same as [`Viewer::begin_ending`], for somebody who is still staff.
    ///
    /// # Errors
    /// Those, and [`Error::Forbidden`] where the rights of staff are gone since the request began.
    pub(in crate::domain) async fn begin_ending(&self, db: &Db, now: &Moment, also: Also<'_>) -> Result<Authorized> {
        let authorized = self.0.begin_ending(db, now, also).await?;
        authorized.staff()?;
        Ok(authorized)
    }
}

/// The budget that a transaction takes a change of.
#[derive(Clone, Copy, Debug)]
enum Budget {
    Changes,
    Endings,
}

impl Credential {
    fn id(&self) -> Uuid {
        match self {
            Self::Session(id) | Self::ApiToken { id, .. } => *id,
        }
    }

    /// Keeps the session or the API token from being ended or renewed until the transaction is over; false where it was
    /// before.
    async fn hold(&self, txn: &DatabaseTransaction, now: &Moment) -> Result<bool> {
        // A session that is only refreshed meanwhile need not wait: its key stays.
        Ok(match self {
            Self::Session(id) => {
                let alive = session::Entity::find_by_id(*id).filter(session::Column::ExpiresAt.gt(now.at));
                alive.lock(LockType::KeyShare).one(txn).await?.is_some()
            }
            Self::ApiToken { id, digest, .. } => {
                let same = api_token::Entity::find_by_id(*id).filter(api_token::Column::Digest.eq(digest.as_slice()));
                same.filter(api_token::alive_at(now.at)).lock(LockType::KeyShare).one(txn).await?.is_some()
            }
        })
    }
}

/// The accounts that a transaction locks besides the actor's.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain) enum Also<'a> {
    /// Nobody's.
    Nobody,
    /// Those with these ids, as far as there are any.
    Users(&'a [Uuid]),
    /// Those of all active superusers: for who may leave.
    Superusers,
}

impl Also<'_> {
    async fn lock(self, txn: &DatabaseTransaction, actor: Uuid) -> Result<BTreeMap<Uuid, user::Model>> {
        let mut wanted = Condition::any().add(user::Column::Id.eq(actor));
        match self {
            Self::Nobody => {}
            Self::Users(ids) => wanted = wanted.add(user::Column::Id.is_in(ids.iter().copied())),
            Self::Superusers => {
                let active = Condition::all().add(user::superusers()).add(user::Column::IsActive.eq(true));
                wanted = wanted.add(active);
            }
        }
        let users = user::Entity::find().filter(wanted).order_by_asc(user::Column::Id).lock_exclusive().all(txn);
        Ok(users.await?.into_iter().map(|user| (user.id, user)).collect())
    }
}

/// A transaction in which a signed-in user acts: credential and rights were read again, and stay as they are until it ends.
/// Dropped without a commit, it leaves nothing behind.
#[derive(Debug)]
pub struct Authorized {
    txn: DatabaseTransaction,
    now: Moment,
    viewer: Viewer,
    locked: BTreeMap<Uuid, user::Model>,
}

impl Authorized {
    /// The transaction, and the moment that counts for all it writes.
    pub(in crate::domain) fn parts(&self) -> (&DatabaseTransaction, &Moment) {
        (&self.txn, &self.now)
    }

    /// A locked account; none where there is none of this id, or it was not asked for.
    pub(in crate::domain) fn locked(&self, id: Uuid) -> Option<&user::Model> {
        self.locked.get(&id)
    }

    /// Makes what was written hold.
    pub(in crate::domain) async fn commit(self) -> Result<()> {
        Ok(self.txn.commit().await?)
    }
}

/// The user as they are in the transaction, and where the request comes from.
impl Deref for Authorized {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        &self.viewer
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
    pub(super) fn caller(&self) -> Caller {
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

impl<'a> Present<'a> {
    /// The user, for as long as the request is known.
    pub(in crate::domain) fn into_viewer(self) -> &'a Viewer {
        self.viewer
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
pub async fn authenticate(
    db: &Db,
    now: &Moment,
    (ring, limits): (&SharedRing, &Limits),
    client: &Client,
    token: &str,
) -> Result<Caller> {
    let (user, credential, claims) = if ApiToken::is_meant_by(token) {
        let (token, user) = api_tokens::recognise(db, now, token).await?;
        (user, Credential::ApiToken { id: token.id, digest: token.digest, scopes: token.scopes }, None)
    } else {
        let (claims, user) = by_access_token(db, now, &ring.present(), token).await?;
        (user, Credential::Session(claims.sid), Some(claims))
    };
    if !user.is_active {
        return Err(Error::Unauthenticated(Reason::Disabled));
    }
    Ok(Caller(Viewer { user, credential, claims, client: client.clone(), limits: limits.clone(), ring: ring.clone() }))
}

/// Re-reads the session or API token, account and rights of a caller who stays connected. The access token keeps the end
/// that it was issued with.
///
/// # Errors
/// [`Error::Unauthenticated`] where the access token has expired, the session or API token has ended or the account is not
/// active.
pub async fn renew(db: &Db, now: &Moment, caller: &Caller) -> Result<Caller> {
    if caller.accepted_until().is_some_and(|end| end <= now.at) {
        return Err(Error::Unauthenticated(Reason::Expired));
    }
    still_alive(db, now, caller).await
}

/// Re-reads the session or API token, account and rights of a caller whose request is under way, however long that takes.
///
/// # Errors
/// [`Error::Unauthenticated`] where the session or API token has ended, the key that signed the access token was revoked, or
/// the account is not active.
pub(in crate::domain) async fn still_alive(db: &Db, now: &Moment, caller: &Caller) -> Result<Caller> {
    if !caller.0.is_signed() {
        return Err(Error::Unauthenticated(Reason::Invalid));
    }
    let Viewer { credential, .. } = &caller.0;
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
    Ok(Caller(Viewer { user, ..caller.0.clone() }))
}

/// The claims of an access token, and its user.
async fn by_access_token(db: &Db, now: &Moment, ring: &KeyRing, token: &str) -> Result<(Arc<Claims>, user::Model)> {
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
    Ok((claims, user))
}
