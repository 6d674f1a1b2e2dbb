//! Files that are to be deleted.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// An avatar whose files are to be deleted, unless the row goes before its time: that of an upload does, once a user
/// has the avatar.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pending_deletions")]
pub struct Model {
    /// The name of the largest file.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// When the files may be deleted.
    pub due_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
