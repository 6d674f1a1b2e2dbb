//! The keys that sign access tokens: encrypted in the database, published before they sign, and valid until the last
//! token they signed has expired.
//!
//! Only the newest key has no expiry. It signs from its start time; until then its predecessor signs.
//! [`crate::domain::operator::keys`] rotates and revokes keys.

use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _,
};

use crate::database::Db;
use crate::entity::signing_key::{self, Column};
use crate::error::{Error, Result};
use crate::tools::clock::{Now, SKEW, Timestamp};
use crate::tools::secret::MasterKeys;
use crate::tools::token::{KeyPair, KeyRing};

/// Interval at which an instance reloads the keys: every instance knows a rotation or revocation after this time.
pub const RELOAD: Duration = Duration::from_secs(10);

/// Lifetime of `/.well-known/jwks.json` in caches.
pub const CACHE: Duration = Duration::from_secs(5 * 60);

/// Time between the publication of a new key and its first signature: an instance may serve the old set until it
/// reloads, others may cache that set, and clocks may differ.
pub const NOTICE: Duration = RELOAD.saturating_add(CACHE).saturating_add(SKEW);

/// The time at which a new key begins to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// After [`NOTICE`], so that all verifiers know it by then.
    Announced,
    /// Immediately, because the current key must no longer sign.
    AtOnce,
}

/// Creates the first key if there is none. Only one instance at a time may run the transaction.
pub async fn ensure(txn: &DatabaseTransaction, now: &Now, master_keys: &MasterKeys) -> Result<()> {
    if !are_there(txn).await? {
        add(txn, now, master_keys, Start::AtOnce).await?;
    }
    Ok(())
}

/// True if a key exists.
pub async fn are_there(db: &impl ConnectionTrait) -> Result<bool> {
    Ok(signing_key::Entity::find().one(db).await?.is_some())
}

/// The ring of the valid keys.
///
/// # Errors
/// [`Error::Internal`] if the database has no key, or its keys were encrypted with another secret.
pub async fn load(db: &impl ConnectionTrait, now: &Now, master_keys: &MasterKeys, issuer: &str) -> Result<KeyRing> {
    let keys = valid(db, now).await?;
    let signer = signing(&keys, now.at).ok_or_else(|| Error::internal("the database has no signing key"))?;
    let private = master_keys.unseal(&signer.kid, &signer.sealed_private_key).ok_or_else(|| {
        Error::internal("VESTIBULE_SECRET_KEY is not the key that encrypted the signing keys of this database")
    })?;
    let pair = KeyPair { kid: signer.kid.clone(), public: signer.public_key.clone(), private };
    Ok(KeyRing::new(issuer, &pair, keys.into_iter().map(|key| (key.kid, key.public_key))))
}

/// The signing key at this time. While the newest key is only published, its predecessor signs.
pub fn signing(keys: &[signing_key::Model], at: Timestamp) -> Option<&signing_key::Model> {
    let order = |key: &&signing_key::Model| {
        // Expiries follow the order of succession, even if the clock was set; the newest key has none.
        let end = key.expires_at.map_or(i64::MAX, Timestamp::millis);
        (key.signs_from <= at, end, key.signs_from, key.created_at, key.kid.clone())
    };
    keys.iter().filter(|key| key.expires_at.is_none_or(|end| end > at)).max_by_key(order)
}

/// State of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It signs.
    Signing,
    /// It is published, and signs from this time.
    Published(Timestamp),
    /// Tokens that it signed are valid until this time at most.
    Verifying(Timestamp),
    /// It has expired at this time.
    Expired(Timestamp),
}

/// The keys with their states at this time, in the same order.
pub fn states(keys: &[signing_key::Model], at: Timestamp) -> impl Iterator<Item = (&signing_key::Model, KeyState)> {
    let signs = signing(keys, at).map(|key| key.kid.as_str());
    keys.iter().map(move |key| {
        let state = match key.expires_at {
            _ if signs == Some(key.kid.as_str()) => KeyState::Signing,
            None => KeyState::Published(key.signs_from),
            Some(end) if end > at => KeyState::Verifying(end),
            Some(end) => KeyState::Expired(end),
        };
        (key, state)
    })
}

/// All keys, newest first.
pub async fn list(db: &Db) -> Result<Vec<signing_key::Model>> {
    let keys = signing_key::Entity::find().order_by_desc(Column::CreatedAt).order_by_desc(Column::Kid);
    Ok(keys.all(db.reader()).await?)
}

/// The keys that have not expired, newest first.
pub(in crate::domain) async fn valid(db: &impl ConnectionTrait, now: &Now) -> Result<Vec<signing_key::Model>> {
    let valid = sea_orm::Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now.at));
    let keys = signing_key::Entity::find().filter(valid).order_by_desc(Column::CreatedAt).order_by_desc(Column::Kid);
    Ok(keys.all(db).await?)
}

/// Adds a key, and returns its id and the time from which it signs.
pub(in crate::domain) async fn add(
    txn: &DatabaseTransaction,
    now: &Now,
    master_keys: &MasterKeys,
    start: Start,
) -> Result<(String, Timestamp)> {
    let pair = KeyPair::generate(now.id().simple().to_string());
    // A clock that is set back later must not silence a key that had to sign immediately.
    let signs_from = match start {
        Start::Announced => now.at.plus(NOTICE),
        Start::AtOnce => Timestamp::from_millis(0),
    };
    let row = signing_key::ActiveModel {
        kid: Set(pair.kid.clone()),
        public_key: Set(pair.public),
        sealed_private_key: Set(master_keys.seal(&pair.kid, &pair.private)),
        created_at: Set(now.at),
        expires_at: Set(None),
        signs_from: Set(signs_from),
    };
    signing_key::Entity::insert(row).exec_without_returning(txn).await?;
    Ok((pair.kid, signs_from.max(now.at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kid: &str, made: i64, signs_from: i64, end: Option<i64>) -> signing_key::Model {
        signing_key::Model {
            kid: kid.to_owned(),
            public_key: Vec::new(),
            sealed_private_key: Vec::new(),
            created_at: Timestamp::from_millis(made),
            expires_at: end.map(Timestamp::from_millis),
            signs_from: Timestamp::from_millis(signs_from),
        }
    }

    fn signer(keys: &[signing_key::Model], at: i64) -> Option<&str> {
        signing(keys, Timestamp::from_millis(at)).map(|key| key.kid.as_str())
    }

    #[test]
    fn a_key_signs_from_its_time_until_the_next_does() {
        let keys = [key("a", 10, 0, Some(300)), key("b", 100, 200, Some(500)), key("c", 250, 400, None)];
        for (at, expected) in [(5, "a"), (199, "a"), (200, "b"), (399, "b"), (400, "c"), (9999, "c")] {
            assert_eq!(signer(&keys, at), Some(expected), "{at}");
        }
        assert_eq!(signer(&keys[2..], 5), Some("c"), "before its time, where there is no other");
        assert_eq!(signer(&keys[..2], 500), None);
    }

    #[test]
    fn a_key_that_had_to_sign_at_once_does_so_whatever_the_clock_says() {
        let keys = [key("old", 900, 0, Some(2000)), key("new", 1000, 0, None)];
        assert_eq!(signer(&keys, 1), Some("new"));
        let set_back = [key("old", 900, 0, Some(2000)), key("new", 100, 0, None)];
        assert_eq!(signer(&set_back, 100), Some("new"));
    }
}
