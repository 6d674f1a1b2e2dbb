//! Users and tokens imported from another system.

use sea_orm::entity::prelude::*;

/// An imported user or token. It is not imported as new again, even if it was deleted here.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "imported_ids")]
pub struct Model {
    /// SHA-256 of the id or the token, so that no data of deleted users is kept.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
