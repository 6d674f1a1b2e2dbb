//! Leases for work that one instance does at a time.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A lease.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub struct Model {
    /// Name of the work.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Random id of the lease.
    pub holder: Uuid,
    /// Expiry, unless the holder extends it.
    pub ends_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
