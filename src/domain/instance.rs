//! The installation of the database. Its id is an input of every key derived from the secret.

use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait as _};
use uuid::Uuid;

use crate::entity::instance;
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::secret::Secret;

/// The id of the installation, created if it is missing. Only one instance at a time may run the transaction.
pub async fn ensure(txn: &DatabaseTransaction, now: &Now) -> Result<Uuid> {
    if let Some(id) = find(txn).await? {
        return Ok(id);
    }
    // Entirely random, unlike other ids, so that the time of the first start reveals nothing of it.
    let id = uuid::Builder::from_random_bytes(Secret::<16>::random().reveal()).into_uuid();
    // Users of a version without this row have keys and terms of the first form.
    let row =
        instance::ActiveModel { id: Set(id), created_at: Set(now.at), address_keys: Set(0), search_terms: Set(0) };
    instance::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(id)
}

/// The id of the installation; none before the first start.
pub async fn find(db: &impl ConnectionTrait) -> Result<Option<Uuid>> {
    Ok(instance::Entity::find().one(db).await?.map(|instance| instance.id))
}
