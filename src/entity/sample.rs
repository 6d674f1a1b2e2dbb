//! Samples that users record.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A sample of another system, with the user who modified it last.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "samples")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Its key in the other system.
    #[sea_orm(unique)]
    pub key: String,
    /// Its title.
    pub title: String,
    /// Time of the first recording.
    pub created_at: Timestamp,
    /// Time of the last recording.
    pub modified_at: Timestamp,
    /// Id of the user who recorded it last.
    pub modified_by: Option<Uuid>,
}

impl ActiveModelBehavior for ActiveModel {}
