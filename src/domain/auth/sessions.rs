//! Opening, refreshing and ending sessions. An ended session has no row.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::config::SessionConfig;
use crate::database::batch_delete;
use crate::database::{Db, Found, PrimaryKeyQuery};
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::{Client, SessionUser};
use crate::domain::auth::known_devices;
use crate::domain::auth::known_networks;
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::auth::second_factor::Proven;
use crate::domain::outbox;
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::session::{self, Column, Method};
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::{Now, SKEW, Timestamp};
use crate::tools::token::RefreshToken;

/// Maximum number of sessions per user; a further one ends the least recently used.
pub const SESSIONS_PER_USER: u64 = 50;

/// Period in which one mail reports all reused refresh tokens.
const NOTICE_INTERVAL: Duration = Duration::from_secs(60 * 60);

static BY_ID: LazyLock<PrimaryKeyQuery<session::Entity, user::Entity>> = LazyLock::new(PrimaryKeyQuery::new);

/// A session that has not ended, and its user.
pub(in crate::domain) async fn find(db: &Db, id: Uuid) -> Result<Found<session::Entity, user::Entity>> {
    db.find(&BY_ID, id).await
}

/// Opens a session for a user who gave every proof, and whose row is locked. The client's network, and with a second
/// factor its device, is then known as one of theirs.
pub async fn open(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    lives: &SessionConfig,
    proven: &Proven,
) -> Result<session::Model> {
    let user = proven.user();
    let row = session::ActiveModel {
        id: Set(now.id()),
        user_id: Set(user),
        counter: Set(0),
        used: Set(-1),
        rotated_at: Set(now.at),
        created_at: Set(now.at),
        authenticated_at: Set(now.at),
        methods: Set(proven.methods().clone()),
        last_used_at: Set(now.at),
        expires_at: Set(now.at.plus(lives.session_ttl)),
        ip: Set(client.ip.clone()),
        user_agent: Set(client.user_agent.clone()),
    };
    let session = session::Entity::insert(row).exec_with_returning(txn).await?;
    let surplus = Query::select()
        .column(Column::Id)
        .from(session::Entity)
        .and_where(Column::UserId.eq(user))
        .and_where(Column::Id.ne(session.id))
        .order_by(Column::LastUsedAt, sea_orm::Order::Desc)
        .order_by(Column::Id, sea_orm::Order::Desc)
        .offset(SESSIONS_PER_USER - 1)
        .limit(SESSIONS_PER_USER)
        .take();
    session::Entity::delete_many().filter(Column::Id.in_subquery(surplus)).exec(txn).await?;
    if proven.methods().iter().any(Method::is_second_factor) {
        known_devices::note_sign_in(txn, now, client, user).await?;
    }
    known_networks::note(txn, now, client, user).await?;
    Ok(session)
}

/// Checks that this session has not ended.
pub(in crate::domain) async fn is_alive(
    txn: &DatabaseTransaction,
    now: &Now,
    lives: &SessionConfig,
    id: Uuid,
) -> Result<bool> {
    let session = session::Entity::find_by_id(id).filter(are_alive(now, lives)).one(txn).await?;
    Ok(session.is_some())
}

/// Exchanges a refresh token for the next generation of its session; the token is then spent.
///
/// Within the grace period, or until its successor is used, the same token yields the same successor again: a lost
/// response or two concurrent tabs sign nobody out. Any other spent token counts as stolen and ends the session. One
/// statement decides, so concurrent refreshes are safe.
///
/// # Errors
/// [`Code::InvalidToken`] if the session has ended, has expired, or is ended by this reuse.
pub async fn refresh(
    db: &Db,
    now: &Now,
    client: &Client,
    lives: &SessionConfig,
    token: RefreshToken,
) -> Result<(session::Model, user::Model)> {
    let RefreshToken { session: id, counter } = token;
    let successor = counter.saturating_add(1);
    let is_current = || Column::Counter.eq(counter);
    let refreshed = session::Entity::update_many()
        .col_expr(
            Column::Used,
            CaseStatement::new().case(is_current(), counter).finally(Expr::col(Column::Used)).into(),
        )
        .col_expr(
            Column::RotatedAt,
            CaseStatement::new().case(is_current(), now.at).finally(Expr::col(Column::RotatedAt)).into(),
        )
        .col_expr(Column::Counter, Expr::value(successor))
        .col_expr(Column::LastUsedAt, Expr::value(now.at))
        .filter(accepts(now, lives, token))
        .exec_with_returning(db.writer())
        .await?;
    let Some(session) = refreshed.into_iter().next() else {
        notice_reuse(db, now, client, lives, token).await?;
        return Err(invalid_token());
    };
    let Some((_, Some(user))) = find(db, id).await? else { return Err(invalid_token()) };
    Ok((session, user))
}

/// The session whose refresh token this is, if [`refresh`] would accept it.
pub(in crate::domain) fn of_refresh_token(
    now: &Now,
    lives: &SessionConfig,
    token: RefreshToken,
) -> Select<session::Entity> {
    session::Entity::find().filter(accepts(now, lives, token))
}

/// The rule for refresh tokens: the session is valid, and the token is its current generation or a predecessor that may
/// be repeated. [`refresh`], [`logout`] and [`replace`] use it, so a token that no longer refreshes has no other use.
fn accepts(now: &Now, lives: &SessionConfig, token: RefreshToken) -> Condition {
    let is_current = Column::Counter.eq(token.counter);
    let is_repeatable = may_be_repeated(now.at, lives, token.counter.saturating_add(1));
    are_alive(now, lives)
        .add(Column::Id.eq(token.session))
        .add(Condition::any().add(is_current).add(is_repeatable))
        .add(Expr::exists(
            Query::select()
                .expr(Expr::val(1))
                .from(user::Entity)
                .and_where(Expr::col((user::Entity, user::Column::Id)).equals((session::Entity, Column::UserId)))
                .and_where(user::Column::IsActive.eq(true))
                .take(),
        ))
}

/// True if the predecessor of this generation may be repeated: nothing of the generation was used yet, or it is so
/// recent that two tabs may have refreshed concurrently.
fn may_be_repeated(now: Timestamp, lives: &SessionConfig, generation: i32) -> Condition {
    let unused = Column::Used.lt(generation);
    // A clock that was set back must not keep a generation recent for that long.
    let young = Column::RotatedAt.gte(now.minus(lives.refresh_grace)).and(Column::RotatedAt.lte(now.plus(SKEW)));
    Condition::all().add(Column::Counter.eq(generation)).add(Condition::any().add(unused).add(young))
}

/// Locks this account and the owner of a session. Every transaction locks accounts before sessions, in the order of
/// their ids.
pub(in crate::domain) async fn lock_owners(
    txn: &DatabaseTransaction,
    user: Option<Uuid>,
    session: Option<Uuid>,
) -> Result<()> {
    let session = match session {
        Some(id) => session::Entity::find_by_id(id).one(txn).await?,
        None => None,
    };
    let owners = user.into_iter().chain(session.map(|session| session.user_id));
    let owners = user::Entity::find().filter(user::Column::Id.is_in(owners)).order_by_asc(user::Column::Id);
    owners.lock_exclusive().all(txn).await?;
    Ok(())
}

/// Ends the session of a token that was refused, if it was reused.
pub(in crate::domain) async fn notice_reuse(
    db: &Db,
    now: &Now,
    client: &Client,
    lives: &SessionConfig,
    token: RefreshToken,
) -> Result<()> {
    let (txn, _) = db.begin(now).await?;
    lock_owners(&txn, None, Some(token.session)).await?;
    end_if_reused(&txn, &now.anew(), client, lives, token).await?;
    Ok(txn.commit().await?)
}

/// Ends the session of a token that was reused after its successor was used: one of the two holders is a thief. The
/// owner, whose row is locked, gets one mail within [`NOTICE_INTERVAL`], because a holder of the password can create
/// any number of sessions. Returns true if the token was reused.
async fn end_if_reused(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    lives: &SessionConfig,
    token: RefreshToken,
) -> Result<bool> {
    let ended = session::Entity::delete_many()
        .filter(Column::Id.eq(token.session))
        .filter(Column::Counter.gt(token.counter))
        .filter(may_be_repeated(now.at, lives, token.counter.saturating_add(1)).not())
        .exec_with_returning(txn)
        .await?;
    let Some(session) = ended.into_iter().next() else { return Ok(false) };
    audit::record(txn, now, Event::by_anyone(client, Action::RefreshReused, session.user_id)).await?;
    let is_notified =
        outbox::has_enqueued(txn, Kind::RefreshReused, session.user_id, now.at.minus(NOTICE_INTERVAL)).await?;
    if !is_notified && let Some(user) = user::Entity::find_by_id(session.user_id).one(txn).await? {
        outbox::enqueue(txn, now, Kind::RefreshReused, &user.email, Some(user.id)).await?;
    }
    Ok(true)
}

/// Records the use of a token of this generation, so that its predecessor is no longer repeated.
pub async fn mark_used(db: &Db, id: Uuid, generation: i32) -> Result<()> {
    session::Entity::update_many()
        .col_expr(Column::Used, Expr::value(generation))
        .filter(Column::Id.eq(id))
        .filter(Column::Used.lt(generation))
        .exec(db.writer())
        .await?;
    Ok(())
}

/// Sessions to end, and the proof that the client may end them.
#[derive(Clone, Copy, Debug)]
pub struct Logout {
    /// The proof of the session to end.
    pub by: SessionProof,
    /// True to end all other sessions of the user as well.
    pub everywhere: bool,
}

/// Proof that a client has a session.
#[derive(Clone, Copy, Debug)]
pub enum SessionProof {
    /// A refresh token, by the same rule as in [`refresh`].
    RefreshToken(RefreshToken),
    /// The session that the request was authenticated with.
    Session(Uuid),
}

/// The session of this user that the proof belongs to, if it is valid.
pub(in crate::domain) fn held(
    now: &Now,
    lives: &SessionConfig,
    proof: SessionProof,
    user: Uuid,
) -> Select<session::Entity> {
    let held = match proof {
        SessionProof::RefreshToken(token) => accepts(now, lives, token),
        SessionProof::Session(id) => are_alive(now, lives).add(Column::Id.eq(id)),
    };
    session::Entity::find().filter(held).filter(Column::UserId.eq(user))
}

/// Ends a session, or all sessions of its user. A session that has already ended is not an error.
///
/// # Errors
/// [`Code::InvalidToken`] for a refresh token that [`refresh`] would refuse while its session is valid. A reused token
/// ends only its own session, as in [`refresh`].
pub async fn logout(db: &Db, now: &Now, client: &Client, lives: &SessionConfig, input: Logout) -> Result<()> {
    let (txn, _) = db.begin(now).await?;
    let id = match input.by {
        SessionProof::RefreshToken(token) => token.session,
        SessionProof::Session(id) => id,
    };
    lock_owners(&txn, None, Some(id)).await?;
    // Waiting for the locks may have taken long; events of the other transactions come first in the trail.
    let now = &now.anew();
    let may_end = match input.by {
        SessionProof::RefreshToken(token) => accepts(now, lives, token),
        SessionProof::Session(id) => Condition::all().add(Column::Id.eq(id)),
    };
    let ended = session::Entity::delete_many().filter(may_end).exec_with_returning(&txn).await?;
    if let Some(session) = ended.into_iter().next() {
        if input.everywhere {
            revocation::revoke(&txn, now, &[session.user_id], Cause::LoggedOutEverywhere).await?;
        }
        let event = Event::by_owner(client, Action::Logout, session.user_id);
        audit::record(&txn, now, event).await?;
        txn.commit().await?;
        return Ok(());
    }
    let reused = match input.by {
        SessionProof::RefreshToken(token) => end_if_reused(&txn, now, client, lives, token).await?,
        SessionProof::Session(_) => false,
    };
    let is_left = are_alive(now, lives).add(Column::Id.eq(id));
    let refused = reused || session::Entity::find().filter(is_left).count(&txn).await? > 0;
    txn.commit().await?;
    if refused { Err(invalid_token()) } else { Ok(()) }
}

/// Ends the session of a refresh token sent with a sign-in, by the rule of [`refresh`] and [`logout`].
pub(in crate::domain) async fn replace(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    lives: &SessionConfig,
    token: RefreshToken,
) -> Result<()> {
    let ended = session::Entity::delete_many().filter(accepts(now, lives, token)).exec(txn).await?;
    if ended.rows_affected == 0 {
        end_if_reused(txn, now, client, lives, token).await?;
    }
    Ok(())
}

/// The valid sessions of a user, most recently used first.
pub async fn list(db: &Db, now: &Now, owner: SessionUser<'_>, lives: &SessionConfig) -> Result<Vec<session::Model>> {
    alive_of(db, now, owner.user().id, lives).await
}

/// The valid sessions of these users, as far as the viewer may see the users: staff others, everybody themself. Those of
/// each user are in the order of [`list`].
pub async fn of_users(
    db: &Db,
    now: &Now,
    viewer: SessionUser<'_>,
    lives: &SessionConfig,
    users: &[Uuid],
) -> Result<HashMap<Uuid, Vec<session::Model>>> {
    let theirs = are_alive(now, lives)
        .add(Column::UserId.is_in(users.iter().copied()))
        .add(user::is_visible_to(viewer.user(), Column::UserId));
    let sessions = session::Entity::find().filter(theirs);
    let sessions = sessions.order_by_desc(Column::LastUsedAt).order_by_desc(Column::Id);
    let mut found: HashMap<Uuid, Vec<session::Model>> = HashMap::new();
    for session in sessions.all(db.reader()).await? {
        found.entry(session.user_id).or_default().push(session);
    }
    Ok(found)
}

/// The valid ones of these sessions that belong to the owner, in one statement.
pub async fn find_many(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    lives: &SessionConfig,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, session::Model>> {
    let own = are_alive(now, lives).add(Column::UserId.eq(owner.user().id)).add(Column::Id.is_in(ids.iter().copied()));
    let found = session::Entity::find().filter(own).all(db.reader()).await?;
    Ok(found.into_iter().map(|session| (session.id, session)).collect())
}

/// Condition of valid sessions.
pub(in crate::domain) fn are_alive(now: &Now, lives: &SessionConfig) -> Condition {
    Condition::all().add(Column::ExpiresAt.gt(now.at)).add(Column::LastUsedAt.gt(now.at.minus(lives.refresh_ttl)))
}

/// The valid sessions of this user, most recently used first.
pub(in crate::domain) async fn alive_of(
    db: &Db,
    now: &Now,
    user: Uuid,
    lives: &SessionConfig,
) -> Result<Vec<session::Model>> {
    let sessions = session::Entity::find().filter(Column::UserId.eq(user)).filter(are_alive(now, lives));
    let sessions = sessions.order_by_desc(Column::LastUsedAt).order_by_desc(Column::Id);
    Ok(sessions.all(db.reader()).await?)
}

/// Ends one of the owner's sessions, and returns it as it was.
///
/// # Errors
/// [`Code::NotFound`] if the owner has no such session.
pub async fn revoke(db: &Db, now: &Now, owner: SessionUser<'_>, id: &str) -> Result<session::Model> {
    let not_found = || Refusal::new(Code::NotFound, "session-unknown").of("id");
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    let own = Condition::all().add(Column::Id.eq(id)).add(Column::UserId.eq(owner.user().id));
    let authorized = owner.begin_ending(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let ended = session::Entity::delete_many().filter(own).exec_with_returning(txn).await?;
    let session = ended.into_iter().next().ok_or_else(not_found)?;
    audit::record(txn, now, Event::by(&authorized, Action::SessionRevoked, session.user_id)).await?;
    authorized.commit().await?;
    Ok(session)
}

/// Ends all sessions of the owner except that of the request.
pub async fn revoke_others(db: &Db, now: &Now, owner: SessionUser<'_>) -> Result<()> {
    let authorized = owner.begin_ending(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let user = authorized.user().id;
    revocation::revoke(txn, now, &[user], Cause::OthersSignedOut(owner.session())).await?;
    audit::record(txn, now, Event::by(&authorized, Action::SessionsRevoked, user)).await?;
    authorized.commit().await
}

/// Removes the rows of expired sessions.
pub async fn sweep(db: &Db, now: &Now, lives: &SessionConfig) -> Result<u64> {
    let unused = Condition::all().add(Column::LastUsedAt.lte(now.at.minus(lives.refresh_ttl)));
    // Each condition uses its own index.
    let expired = Condition::all().add(Column::ExpiresAt.lte(now.at));
    let unused = batch_delete::delete::<session::Entity>(db, session::PrimaryKey::Id, &unused).await?;
    Ok(unused + batch_delete::delete::<session::Entity>(db, session::PrimaryKey::Id, &expired).await?)
}

/// The error for an invalid or spent refresh token.
pub fn invalid_token() -> Error {
    Refusal::new(Code::InvalidToken, "session-invalid").into()
}
