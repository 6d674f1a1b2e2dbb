//! Usage of rate limits.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// One limit of one client or account.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "limits")]
pub struct Model {
    /// Digest of the limit and its owner, so that the table reveals no addresses.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Time at which everything taken is given back.
    pub full_until: Timestamp,
    /// Time of the last audit event about its exhaustion.
    pub reported_at: Option<Timestamp>,
}

impl ActiveModelBehavior for ActiveModel {}
