//! Files and reports of imports.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// The file of an import and its reports, all sealed: files contain whatever their authors keep about people.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_files")]
pub struct Model {
    /// The import.
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: Uuid,
    /// The uploaded file; empty once it was applied.
    pub file: Vec<u8>,
    /// The headings with samples of their cells.
    pub columns: Vec<u8>,
    /// The report of the last dry run.
    pub report: Option<Vec<u8>>,
    /// Time of deletion.
    pub expires_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
