//! How much of each limit is used up.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// One limit of one client or account.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "limits")]
pub struct Model {
    /// A digest of what is limited and for whom, so that the table tells nobody's address.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// When all that was taken is given back.
    pub full_until: Timestamp,
    /// Time of the last audit event about its exhaustion.
    pub reported_at: Option<Timestamp>,
}

impl ActiveModelBehavior for ActiveModel {}
