//! Transactions in which a signed-in user acts: credential and rights are read again and locked.

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
use crate::tools::clock::Now;

impl Viewer {
    /// Opens a transaction in which this user acts: their account and `also` are locked in the order of ids, so that two who
    /// act on each other do not wait for each other for ever, and the credential after them.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where the session or the API token has ended since the request began, or the account
    /// was deactivated or deleted; [`Error::RateLimited`] after too many changes by this user.
    pub(in crate::domain) async fn begin(&self, db: &Db, now: &Now, also: Also<'_>) -> Result<Authorized> {
        self.begin_within(db, now, also, Budget::Changes).await
    }

    /// The same for what only ends something: a session, an API token, an account, or rights. It goes on where the holder of
    /// another credential has used up the changes of this user.
    ///
    /// # Errors
    /// The same.
    pub(in crate::domain) async fn begin_ending(&self, db: &Db, now: &Now, also: Also<'_>) -> Result<Authorized> {
        self.begin_within(db, now, also, Budget::Endings).await
    }

    async fn begin_within(&self, db: &Db, now: &Now, also: Also<'_>, budget: Budget) -> Result<Authorized> {
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
            Budget::Changes => rate_limits::take_write(&txn, &now, self.user.id, &self.limits).await?,
            Budget::Endings => {
                let whose = (self.user.id, self.credential.id());
                rate_limits::take_ending(&txn, &now, whose, &self.limits).await?;
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
    pub(in crate::domain) async fn begin(&self, db: &Db, now: &Now, also: Also<'_>) -> Result<Authorized> {
        let authorized = self.0.begin(db, now, also).await?;
        authorized.staff()?;
        Ok(authorized)
    }

    /// The same as [`Viewer::begin_ending`], for somebody who is still staff.
    ///
    /// # Errors
    /// Those, and [`Error::Forbidden`] where the rights of staff are gone since the request began.
    pub(in crate::domain) async fn begin_ending(&self, db: &Db, now: &Now, also: Also<'_>) -> Result<Authorized> {
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
    /// Keeps the session or the API token from being ended or renewed until the transaction is over; false where it was
    /// before.
    async fn hold(&self, txn: &DatabaseTransaction, now: &Now) -> Result<bool> {
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
    now: Now,
    viewer: Viewer,
    locked: BTreeMap<Uuid, user::Model>,
}

impl Authorized {
    /// The transaction, and the moment that counts for all it writes.
    pub(in crate::domain) fn parts(&self) -> (&DatabaseTransaction, &Now) {
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
