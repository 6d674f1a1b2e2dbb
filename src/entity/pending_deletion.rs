//! Files to delete.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// An avatar whose files will be deleted. The row of an upload is removed before its time, once a user has the avatar.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pending_deletions")]
pub struct Model {
    /// Name of the largest file.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Earliest time of the deletion.
    pub due_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
