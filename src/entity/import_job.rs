//! Imports of users from spreadsheets.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// An import. Its file and report are in `import_files` for a short time.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_jobs")]
pub struct Model {
    /// Its id, in the order of creation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The user who uploaded the file; `None` after the deletion of the account.
    pub user_id: Option<Uuid>,
    /// The name of the file.
    pub file_name: String,
    /// Time of the upload.
    pub created_at: Timestamp,
    /// The key by which rows match accounts.
    pub match_by: MatchBy,
    /// The mapping of headings, as JSON.
    pub mapping: String,
    /// True if new users get a welcome mail.
    pub send_welcome: bool,
    /// State.
    pub state: State,
    /// The reason why the last step failed.
    pub failure: Option<String>,
    /// Progress of the current step, in percent.
    pub percent: i32,
    /// Number of accounts created, or to be created.
    pub created: Option<i32>,
    /// Number of accounts updated, or to be updated.
    pub updated: Option<i32>,
    /// Number of accounts that match their rows already.
    pub unchanged: Option<i32>,
    /// Number of changes of rights.
    pub rights_changes: i32,
    /// Number of errors of rows.
    pub errors: i64,
    /// Time of the last sign of the process that works on it.
    pub seen_at: Timestamp,
    /// Time of the application.
    pub applied_at: Option<Timestamp>,
}

/// The key by which rows of a spreadsheet match accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MatchBy {
    /// The email address, which then never changes.
    #[default]
    Email,
    /// The username, which then never changes.
    Username,
    /// The id that other systems use.
    ExternalId,
}

/// State of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// The file is uploaded and was not checked.
    Uploaded,
    /// A dry run is under way.
    Checking,
    /// The dry run found no errors.
    Checked,
    /// The dry run found errors of rows.
    Refused,
    /// The changes are being written.
    Applying,
    /// All changes were written.
    Applied,
    /// The last step failed, and nothing was changed.
    Failed,
}

impl State {
    /// The states in which a process works on the import.
    pub const UNDER_WAY: [Self; 2] = [Self::Checking, Self::Applying];
}

impl ActiveModelBehavior for ActiveModel {}
