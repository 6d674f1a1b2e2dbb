//! The installation that a database belongs to.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// The installation. There is one row, created at the first start.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instance")]
pub struct Model {
    /// Its random id, part of every key derived from the secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Time of the first start.
    pub created_at: Timestamp,
    /// Version of the form of address keys: see `domain::users::address_keys`.
    pub address_keys: i32,
    /// Version of the form of the users' search terms: see `domain::users::search_terms`.
    pub search_terms: i32,
}

impl ActiveModelBehavior for ActiveModel {}
