//! Networks from which users signed in recently.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A network from which a user signed in.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "known_networks")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The user.
    pub user_id: Uuid,
    /// Digest of the network.
    pub network: String,
    /// Time of the last sign-in from it.
    pub signed_in_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
