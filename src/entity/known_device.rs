//! Devices from which users signed in with a second factor.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A device from which a user added a second factor, or signed in with one.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "known_devices")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The user.
    pub user_id: Uuid,
    /// Digest of the user and of the secret in the cookie.
    pub digest: Vec<u8>,
    /// Time of the first use.
    pub first_seen_at: Timestamp,
    /// Time of the last use.
    pub last_seen_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
