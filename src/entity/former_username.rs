//! Usernames that were given up lately.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A username that only its former owner may take for the time being.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "former_usernames")]
pub struct Model {
    /// A digest of the name's key, so that the names of people who left are not kept.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: String,
    /// The former owner, whose account may be gone.
    pub user_id: Uuid,
    /// The time from which anybody may take the name.
    pub free_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
