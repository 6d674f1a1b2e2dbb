//! Challenges of sign-ins for which a second factor was tried.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A challenge that was answered at least once. All other challenges exist only as their sealed text.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_in_challenges")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Number of proofs that were tried.
    pub proofs: i32,
    /// True once a sign-in succeeded.
    pub is_spent: bool,
    /// Expiry of the challenge, after which the row is deleted.
    pub expires_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
