//! Remembered mappings of the headings of spreadsheets.

use sea_orm::entity::prelude::*;

use super::import_job::MatchBy;
use crate::tools::clock::Timestamp;

/// The mapping that was last used for a set of headings.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_mappings")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// SHA-256 of the set of headings.
    #[sea_orm(unique)]
    pub digest: String,
    /// The mapping, as JSON.
    pub mapping: String,
    /// The key by which rows match accounts.
    pub match_by: MatchBy,
    /// Time of the last use.
    pub used_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
