//! Usernames that were given up recently.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A username that is reserved for its former owner.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "former_usernames")]
pub struct Model {
    /// Digest of the name's key, so that the names of deleted users are not stored.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: String,
    /// The former owner, whose account may be deleted.
    pub user_id: Uuid,
    /// Time at which the reservation ends.
    pub free_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
