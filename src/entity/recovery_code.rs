//! Unused recovery codes of users.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A recovery code. It is deleted when it is used.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recovery_codes")]
pub struct Model {
    /// SHA-256 of the code; random if the code is sealed.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    /// Id of its user.
    pub user_id: Uuid,
    /// Time of creation.
    pub created_at: Timestamp,
    /// A short code imported from another system, sealed under the id of its user.
    pub sealed_code: Option<Vec<u8>>,
}

impl ActiveModelBehavior for ActiveModel {}
