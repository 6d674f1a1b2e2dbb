//! Live connections, and their lifetime. A connection lasts while its access token or API token is valid, or a newer
//! access token of the same session. It ends with the session, the active account, or any right that the caller had
//! meanwhile.
//!
//! One database query checks all of them twice a second. Instances exchange no messages, so a lost message cannot keep
//! a connection open.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::database::Db;
use crate::domain::auth::identity::{Caller, Credential};
use crate::entity::{api_token, session, user};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::token::{Claims, KeyRing};

/// Number of connections checked by one statement.
const BATCH: usize = 500;

/// All live connections of this process.
#[derive(Debug, Default)]
pub struct LiveConnections(Arc<Mutex<Connections>>);

#[derive(Debug, Default)]
struct Connections {
    last: u64,
    by_number: HashMap<u64, UserConnections>,
}

/// The connections of one user.
#[derive(Debug)]
struct UserConnections {
    held: Held,
    /// Ends the connection, when it is used or dropped.
    end: oneshot::Sender<Ended>,
}

/// Reason for the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The access token expired, and the client sent no newer one.
    Expired,
    /// The session, API token, account or a right is gone.
    Revoked,
}

/// Conditions of a connection.
#[derive(Clone, Debug)]
struct Held {
    credential: Credential,
    rights: Rights,
    /// The claims of the access token; `None` with an API token.
    claims: Option<Arc<Claims>>,
}

/// Rights of a user.
#[derive(Clone, Copy, Debug)]
struct Rights {
    is_staff: bool,
    is_superuser: bool,
    /// Without it, the user may be one who must first enrol.
    has_second_factor: bool,
}

impl Rights {
    fn of_user(user: &user::Model) -> Self {
        Self::of(user.is_staff, user.is_superuser, user.role, user.has_second_factor)
    }

    fn of(is_staff: bool, is_superuser: bool, role: user::Role, has_second_factor: bool) -> Self {
        Self { is_staff: user::counts_as_staff(is_staff, is_superuser, role), is_superuser, has_second_factor }
    }

    fn and(self, other: Self) -> Self {
        Self {
            is_staff: self.is_staff || other.is_staff,
            is_superuser: self.is_superuser || other.is_superuser,
            has_second_factor: self.has_second_factor || other.has_second_factor,
        }
    }

    fn include(self, other: Self) -> bool {
        self.is_staff >= other.is_staff
            && self.is_superuser >= other.is_superuser
            && self.has_second_factor >= other.has_second_factor
    }
}

/// A live connection; it ends when this is dropped.
#[derive(Debug)]
pub struct ConnectionGuard {
    number: u64,
    posts: Arc<Mutex<Connections>>,
    end: oneshot::Receiver<Ended>,
}

impl ConnectionGuard {
    /// Makes the connection depend on the caller's current rights as well as on the earlier ones: either may have been
    /// used. The connection ends when the caller's access token expires.
    pub fn extend(&self, caller: &Caller) {
        if let Some(post) = lock(&self.posts).by_number.get_mut(&self.number) {
            post.held.rights = post.held.rights.and(Rights::of_user(caller.user()));
            post.held.claims = caller.claims().cloned();
        }
    }

    /// Waits for the end of the connection; must not be called again after that.
    pub async fn ended(&mut self) -> Ended {
        (&mut self.end).await.unwrap_or(Ended::Revoked)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        lock(&self.posts).by_number.remove(&self.number);
    }
}

impl LiveConnections {
    /// Registers a connection of the caller.
    pub fn begin(&self, caller: &Caller) -> ConnectionGuard {
        let rights = Rights::of_user(caller.user());
        let held = Held { credential: caller.credential().clone(), rights, claims: caller.claims().cloned() };
        let (sender, receiver) = oneshot::channel();
        let mut posts = lock(&self.0);
        posts.last += 1;
        let number = posts.last;
        posts.by_number.insert(number, UserConnections { held, end: sender });
        ConnectionGuard { number, posts: Arc::clone(&self.0), end: receiver }
    }

    /// Number of live connections.
    pub fn count(&self) -> usize {
        lock(&self.0).by_number.len()
    }

    /// Ends the connections that are no longer permitted.
    pub async fn check(&self, db: &Db, now: &Now, ring: &KeyRing) -> Result<()> {
        // Before the database query, so that it works without the database.
        self.end_expired(now);
        self.end_unsigned(ring);
        let held: Vec<(u64, Held)> =
            lock(&self.0).by_number.iter().map(|(number, post)| (*number, post.held.clone())).collect();
        if held.is_empty() {
            return Ok(());
        }
        let (mut sessions, mut tokens) = (HashSet::new(), HashSet::new());
        for (_, held) in &held {
            match held.credential {
                Credential::Session(id) => sessions.insert(id),
                Credential::ApiToken { id, .. } => tokens.insert(id),
            };
        }
        let sessions = live_sessions(db, now, sessions).await?;
        let tokens = live_tokens(db, now, tokens).await?;
        let may_stay = |held: &Held| {
            let rights = match &held.credential {
                Credential::Session(id) => sessions.get(id),
                Credential::ApiToken { id, digest, .. } => {
                    tokens.get(id).filter(|(present, _)| present == digest).map(|(_, rights)| rights)
                }
            };
            rights.is_some_and(|rights| rights.include(held.rights))
        };
        let over: Vec<u64> = held.iter().filter(|(_, held)| !may_stay(held)).map(|(number, _)| *number).collect();
        let mut posts = lock(&self.0);
        for number in over {
            posts.by_number.remove(&number);
        }
        Ok(())
    }

    /// Ends the connections whose access token was signed by a key revoked since.
    fn end_unsigned(&self, ring: &KeyRing) {
        lock(&self.0)
            .by_number
            .retain(|_, post| post.held.claims.as_ref().is_none_or(|claims| ring.knows(&claims.kid)));
    }

    /// Ends the connections whose access token has expired.
    fn end_expired(&self, now: &Now) {
        let is_over = |post: &mut UserConnections| {
            post.held.claims.as_ref().is_some_and(|claims| claims.accepted_until() <= now.at)
        };
        for (_, post) in lock(&self.0).by_number.extract_if(|_, post| is_over(post)) {
            // The client may have disconnected meanwhile.
            let _ = post.end.send(Ended::Expired);
        }
    }
}

fn lock(posts: &Mutex<Connections>) -> MutexGuard<'_, Connections> {
    posts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Columns that [`Rights::of`] takes.
const RIGHTS: [user::Column; 4] =
    [user::Column::IsStaff, user::Column::IsSuperuser, user::Column::Role, user::Column::HasSecondFactor];

/// The valid ones of these sessions, with the rights of their users.
async fn live_sessions(db: &Db, now: &Now, ids: HashSet<Uuid>) -> Result<HashMap<Uuid, Rights>> {
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let mut live = HashMap::new();
    for batch in ids.chunks(BATCH) {
        let rows: Vec<(Uuid, bool, bool, user::Role, bool)> = session::Entity::find()
            .inner_join(user::Entity)
            .filter(session::Column::Id.is_in(batch.iter().copied()))
            .filter(session::Column::ExpiresAt.gt(now.at))
            .filter(user::Column::IsActive.eq(true))
            .select_only()
            .column(session::Column::Id)
            .columns(RIGHTS)
            .into_tuple()
            .all(db.reader())
            .await?;
        live.extend(
            rows.into_iter()
                .map(|(id, staff, superuser, role, factor)| (id, Rights::of(staff, superuser, role, factor))),
        );
    }
    Ok(live)
}

/// The valid ones of these API tokens, with the digests of their secrets and the rights of their owners.
async fn live_tokens(db: &Db, now: &Now, ids: HashSet<Uuid>) -> Result<HashMap<Uuid, (Vec<u8>, Rights)>> {
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let mut live = HashMap::new();
    for batch in ids.chunks(BATCH) {
        let rows: Vec<(Uuid, Vec<u8>, bool, bool, user::Role, bool)> = api_token::Entity::find()
            .inner_join(user::Entity)
            .filter(api_token::Column::Id.is_in(batch.iter().copied()))
            .filter(api_token::alive_at(now.at))
            .filter(user::Column::IsActive.eq(true))
            .select_only()
            .columns([api_token::Column::Id, api_token::Column::Digest])
            .columns(RIGHTS)
            .into_tuple()
            .all(db.reader())
            .await?;
        live.extend(rows.into_iter().map(|(id, digest, staff, superuser, role, factor)| {
            (id, (digest, Rights::of(staff, superuser, role, factor)))
        }));
    }
    Ok(live)
}
