//! Transactions of a signed-in user: credential and rights are re-read and locked.

use std::collections::BTreeMap;
use std::ops::Deref;

use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::identity::{Credential, Staff, Viewer};
use crate::database::Db;
use crate::domain::rate_limits;
use crate::entity::{api_token, session, user};
use crate::error::{Error, Reason, Result};
use crate::tools::clock::{Now, Timestamp};

impl Viewer {
    /// Opens a transaction of this user. It locks their account and `also` in the order of ids, which prevents
    /// deadlocks, and then the credential.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the session or the API token has ended since the request began, or the account was
    /// deactivated or deleted; [`Error::RateLimited`] after too many changes by this user.
    pub(in crate::domain) async fn begin(&self, db: &Db, now: &Now, also: Also<'_>) -> Result<Authorized> {
        self.begin_within(db, now, also, Budget::Changes).await
    }

    /// Begins an operation that only ends a session, an API token, an account, or rights. It succeeds even if the
    /// holder of another credential has used up this user's changes.
    ///
    /// # Errors
    /// As for [`Viewer::begin`].
    pub(in crate::domain) async fn begin_ending(&self, db: &Db, now: &Now, also: Also<'_>) -> Result<Authorized> {
        self.begin_within(db, now, also, Budget::Endings).await
    }

    /// Checks the budget of [`Viewer::begin`] before expensive work, without taking a change.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub(in crate::domain) async fn check_changes(&self, db: &Db, now: &Now) -> Result<()> {
        rate_limits::check_write(db, now, self.user.id, &self.limits).await
    }

    /// Checks the budget of [`Viewer::begin_ending`] before expensive work, without taking a change.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub(in crate::domain) async fn check_endings(&self, db: &Db, now: &Now) -> Result<()> {
        rate_limits::check_ending(db, now, self.user.id, self.credential.id(), &self.limits).await
    }

    async fn begin_within(&self, db: &Db, now: &Now, also: Also<'_>, budget: Budget) -> Result<Authorized> {
        let revoked = || Error::Unauthenticated(Reason::Revoked);
        let (txn, _) = db.begin(now).await?;
        let locked = also.lock(&txn, self.user.id).await?;
        // Waiting for the locks may have taken long; events of the other transactions come first in the trail.
        let now = now.anew();
        let user = locked.get(&self.user.id).cloned().ok_or_else(revoked)?;
        if !user.is_active {
            return Err(Error::Unauthenticated(Reason::Disabled));
        }
        let held = self.credential.hold(&txn, &now).await?.ok_or_else(revoked)?;
        if !self.is_signed() {
            return Err(Error::Unauthenticated(Reason::Invalid));
        }
        match budget {
            Budget::Changes => rate_limits::take_write(&txn, &now, self.user.id, &self.limits).await?,
            Budget::Endings => {
                let credential = self.credential.id();
                rate_limits::take_ending(&txn, &now, self.user.id, credential, &self.limits).await?;
            }
        }
        let viewer = Self { user, authenticated_at: held.authenticated_at, ..self.clone() };
        Ok(Authorized { txn, now, viewer, locked })
    }
}

impl Staff<'_> {
    /// [`Viewer::begin`] for a user who is still staff.
    ///
    /// # Errors
    /// As for [`Viewer::begin`], and [`Error::Forbidden`] if the user has lost staff rights since the request began.
    pub(in crate::domain) async fn begin(&self, db: &Db, now: &Now, also: Also<'_>) -> Result<Authorized> {
        let authorized = self.0.begin(db, now, also).await?;
        authorized.staff()?;
        Ok(authorized)
    }

    /// [`Viewer::begin_ending`] for a user who is still staff.
    ///
    /// # Errors
    /// As for [`Viewer::begin`], and [`Error::Forbidden`] if the user has lost staff rights since the request began.
    pub(in crate::domain) async fn begin_ending(&self, db: &Db, now: &Now, also: Also<'_>) -> Result<Authorized> {
        let authorized = self.0.begin_ending(db, now, also).await?;
        authorized.staff()?;
        Ok(authorized)
    }
}

/// Budget from which a transaction takes a change.
#[derive(Clone, Copy, Debug)]
enum Budget {
    Changes,
    Endings,
}

/// A credential whose row is locked.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Time at which the user of a session last proved who they are; `None` for an API token.
    authenticated_at: Option<Timestamp>,
}

impl Credential {
    /// Locks the session or the API token until the transaction ends; returns `None` if it has already ended.
    async fn hold(&self, txn: &DatabaseTransaction, now: &Now) -> Result<Option<Held>> {
        // A concurrent refresh need not wait: the session's key stays.
        Ok(match self {
            Self::Session(id) => {
                let alive = session::Entity::find_by_id(*id).filter(session::Column::ExpiresAt.gt(now.at));
                let session = alive.lock(LockType::KeyShare).one(txn).await?;
                session.map(|session| Held { authenticated_at: Some(session.authenticated_at) })
            }
            Self::ApiToken { id, digest, .. } => {
                let same = api_token::Entity::find_by_id(*id).filter(api_token::Column::Digest.eq(digest.as_slice()));
                let token = same.filter(api_token::alive_at(now.at)).lock(LockType::KeyShare).one(txn).await?;
                token.map(|_| Held { authenticated_at: None })
            }
        })
    }
}

/// The accounts that a transaction locks besides the caller's.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain) enum Also<'a> {
    /// None.
    Nobody,
    /// Existing accounts with these ids.
    Users(&'a [Uuid]),
    /// All active superusers, for a check of the last one.
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

/// A transaction of a signed-in user: credential and rights were re-read, and stay locked until it ends. It rolls back
/// unless committed.
#[derive(Debug)]
pub struct Authorized {
    txn: DatabaseTransaction,
    now: Now,
    viewer: Viewer,
    locked: BTreeMap<Uuid, user::Model>,
}

impl Authorized {
    /// The transaction, and the time of everything it writes.
    pub(in crate::domain) fn parts(&self) -> (&DatabaseTransaction, &Now) {
        (&self.txn, &self.now)
    }

    /// A locked account; `None` if it does not exist or was not requested.
    pub(in crate::domain) fn locked(&self, id: Uuid) -> Option<&user::Model> {
        self.locked.get(&id)
    }

    /// Commits the transaction.
    pub(in crate::domain) async fn commit(self) -> Result<()> {
        Ok(self.txn.commit().await?)
    }
}

/// The user as read in the transaction, and the origin of the request.
impl Deref for Authorized {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        &self.viewer
    }
}
