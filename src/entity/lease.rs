//! Work that one instance does at a time.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A turn at some work.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub struct Model {
    /// The work.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The random id of the turn.
    pub holder: Uuid,
    /// The end of the turn, unless its holder moves it.
    pub ends_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
