//! The keys that sign access tokens: made once, sealed in the database, rotated with overlap.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};

use crate::config::SessionConfig;
use crate::database::Db;
use crate::entity::signing_key::{self, Column};
use crate::error::{Error, Result};
use crate::tools::clock::Moment;
use crate::tools::secret::Vault;
use crate::tools::token::{KeyPair, KeyRing};
use sea_orm::ColumnTrait as _;

/// How long after a rotation other instances may go on with the old key before they notice the new one, and verifiers
/// with the key set that they fetched: the worker looks every minute, and `/.well-known/jwks.json` may be kept for five.
const NOTICE: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// Makes the first key where there is none. The transaction must be one that only one instance runs at a time.
pub async fn ensure(txn: &DatabaseTransaction, now: &Moment, vault: &Vault) -> Result<()> {
    if signing_key::Entity::find().one(txn).await?.is_none() {
        add(txn, now, vault).await?;
    }
    Ok(())
}

/// Adds a key that signs from now on, and lets the others run out when the last token that they signed has. Returns
/// the new key's id.
pub async fn rotate(db: &Db, now: &Moment, vault: &Vault, sessions: &SessionConfig) -> Result<String> {
    let txn = db.begin_alone().await?;
    let now = &now.anew();
    let end = now.at.plus(sessions.access_ttl).plus(NOTICE);
    signing_key::Entity::update_many()
        .col_expr(Column::ExpiresAt, Expr::value(end))
        .filter(Column::ExpiresAt.is_null())
        .exec(&txn)
        .await?;
    signing_key::Entity::delete_many().filter(Column::ExpiresAt.lte(now.at)).exec(&txn).await?;
    let kid = add(&txn, now, vault).await?;
    txn.commit().await?;
    Ok(kid)
}

/// The ring of the keys that hold now.
///
/// # Errors
/// [`Error::Internal`] where the database has no key, or they were sealed with another secret than the service's.
pub async fn load(db: &impl ConnectionTrait, now: &Moment, vault: &Vault, issuer: &str) -> Result<KeyRing> {
    let valid = sea_orm::Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now.at));
    let keys = signing_key::Entity::find().filter(valid).order_by_desc(Column::CreatedAt).order_by_desc(Column::Kid);
    let keys = keys.all(db).await?;
    let youngest = keys.first().ok_or_else(|| Error::internal("the database has no signing key"))?;
    let private = vault.unseal(&youngest.kid, &youngest.sealed_private_key).ok_or_else(|| {
        Error::internal("VESTIBULE_SECRET_KEY is not the one that this database's signing keys were sealed with")
    })?;
    let signing = KeyPair { kid: youngest.kid.clone(), public: youngest.public_key.clone(), private };
    Ok(KeyRing::new(issuer, &signing, keys.into_iter().map(|key| (key.kid, key.public_key))))
}

/// All keys, the youngest, which signs, first.
pub async fn list(db: &Db) -> Result<Vec<signing_key::Model>> {
    let keys = signing_key::Entity::find().order_by_desc(Column::CreatedAt).order_by_desc(Column::Kid);
    Ok(keys.all(db.reader()).await?)
}

async fn add(txn: &DatabaseTransaction, now: &Moment, vault: &Vault) -> Result<String> {
    let pair = KeyPair::generate(now.id().simple().to_string());
    let row = signing_key::ActiveModel {
        kid: Set(pair.kid.clone()),
        public_key: Set(pair.public),
        sealed_private_key: Set(vault.seal(&pair.kid, &pair.private)),
        created_at: Set(now.at),
        expires_at: Set(None),
    };
    signing_key::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(pair.kid)
}
