//! What users record.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A sample that another system owns, and who modified it last.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "samples")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The name that the owning system knows it by.
    #[sea_orm(unique)]
    pub key: String,
    /// Its title.
    pub title: String,
    /// When it was first recorded.
    pub created_at: Timestamp,
    /// When it was last recorded.
    pub modified_at: Timestamp,
    /// Who recorded it last.
    pub modified_by: Option<Uuid>,
}

impl ActiveModelBehavior for ActiveModel {}
