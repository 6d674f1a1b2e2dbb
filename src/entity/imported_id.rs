//! What was taken over from another system.

use sea_orm::entity::prelude::*;

/// A user or a token that was taken over once, and is not taken over as new again, whatever became of it here.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "imported_ids")]
pub struct Model {
    /// SHA-256 of the id or the token, so that nothing is kept of users who left.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
