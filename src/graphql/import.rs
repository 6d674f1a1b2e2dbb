//! Import of users from a spreadsheet.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, Upload};

use crate::domain::import::spreadsheet::columns::Target;
use crate::domain::import::spreadsheet::mapping::{self, MappedColumn, Mapping};
use crate::domain::import::spreadsheet::problems::{ErrorKind, Problems, RowError};
use crate::domain::import::spreadsheet::{
    self, Counts, Import, ImportOptions, ImportedBy, Outcome, Right, RightsChange,
};
use crate::graphql::context::{app, request, uploaded, viewer};
use crate::graphql::errors::{Answer, UserError, UserErrorCode};
use crate::graphql::user_errors::outcome;
use crate::tools::sheet::read::Sheets;

/// Maximum number of changes of rights, and of row errors, in a response.
const MAX_LISTED: usize = 1000;

/// Users to create or update.
#[derive(InputObject)]
pub(crate) struct ImportUsersInput {
    /// Spreadsheet: .xlsx, or .csv in UTF-8 or UTF-16, separated by comma, semicolon or tab; at most 10 MB and 100,000
    /// rows. Of a workbook, the first visible sheet with the column `email` is read. The first row has the column
    /// names, in any order: `email` (required), `username`, `first_name`, `last_name`, `bio`, `phone`, `address`,
    /// `role`, `permission` and `is_active`. An empty cell leaves the value unchanged, or uses the default for a new
    /// user. `/import/users.xlsx` is a template. Files from `/export/users.xlsx` and `/export/users.csv` are accepted
    /// too: `is_verified`, `date_joined` and `last_login` are ignored, and `is_staff` must match the current value.
    file: Upload,
    /// True to only report the changes (dry run).
    #[graphql(default)]
    dry_run: bool,
    /// True to send new users a welcome email with a link to set a password; inactive users get it when they are
    /// activated.
    #[graphql(default = true)]
    send_welcome: bool,
    /// Meaning of the sheet's own headings and words. Headings that are not listed must be names of columns.
    #[graphql(default)]
    mapping: Vec<ImportMappedColumnInput>,
    /// Key by which rows match accounts.
    #[graphql(default_with = "ImportMatchBy::Email")]
    match_by: ImportMatchBy,
}

/// A heading of a spreadsheet and its meaning.
#[derive(InputObject)]
pub(crate) struct ImportMappedColumnInput {
    /// Heading, in any case.
    heading: String,
    /// Column that the heading stands for; null to ignore the column.
    target: Option<ImportColumn>,
    /// Words of the column that stand for other values.
    #[graphql(default)]
    words: Vec<ImportWordInput>,
}

/// A word of a spreadsheet and the value that it stands for.
#[derive(InputObject)]
pub(crate) struct ImportWordInput {
    /// Word, in any case: `ja`.
    word: String,
    /// Value: `true`. Empty to treat the cell as empty.
    value: String,
}

/// Mapping of these columns.
pub(crate) fn mapping(columns: Vec<ImportMappedColumnInput>) -> Mapping {
    let word = |ImportWordInput { word, value }| mapping::Word { word, value };
    let column = |ImportMappedColumnInput { heading, target, words }| MappedColumn {
        heading,
        target: target.map(Into::into),
        words: words.into_iter().map(word).collect(),
    };
    Mapping { columns: columns.into_iter().map(column).collect() }
}

/// Columns of an import.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Target")]
pub(crate) enum ImportColumn {
    /// `email`
    Email,
    /// `username`
    Username,
    /// `first_name`
    FirstName,
    /// `last_name`
    LastName,
    /// `bio`
    Bio,
    /// `phone`
    Phone,
    /// `address`
    Address,
    /// `role`
    Role,
    /// `permission`
    Permission,
    /// `is_active`
    IsActive,
    /// `external_id`: id that other systems use. It is set for accounts without one, and must match otherwise.
    ExternalId,
}

/// Key by which the rows of a spreadsheet match accounts.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "mapping::MatchBy")]
pub(crate) enum ImportMatchBy {
    /// Email address, ignoring case. It never changes then.
    Email,
    /// Username, ignoring case. It never changes then, and the email address can.
    Username,
    /// External id. Username and email address can change then.
    ExternalId,
}

/// Result of `importUsers`. If there are errors or row errors, nothing was changed.
#[derive(SimpleObject)]
pub(crate) struct ImportUsersPayload {
    /// Number of accounts created, or to be created by a dry run; null if there are errors.
    created: Option<u32>,
    /// Number of accounts changed, or to be changed by a dry run; null if there are errors.
    updated: Option<u32>,
    /// Number of accounts that already match the sheet; null if there are errors.
    unchanged: Option<u32>,
    /// Changes of role, permission and staff rights, in the order of the rows, also for a dry run: the first 1,000.
    rights_changes: Vec<ImportRightsChange>,
    /// Total number of changes of rights, including those not listed; null if there are errors.
    rights_change_count: Option<u32>,
    /// Worksheet that was read; null for a .csv file, and if there are errors.
    sheet: Option<String>,
    /// Other worksheets with the column `email`, which were not read: the first 20.
    other_sheets: Vec<String>,
    /// Errors of rows, in their order: the first 1,000. `startImport` keeps more.
    row_errors: Vec<ImportRowError>,
    /// Total number of errors of rows, including those not listed.
    row_error_count: u64,
    /// Kinds of errors of rows with their numbers, the most frequent first.
    row_error_kinds: Vec<ImportErrorKind>,
    /// FILE_TOO_LARGE or FILE_UNSUPPORTED of `file`; INVALID, REQUIRED or TOO_LONG of `mapping`.
    errors: Vec<UserError>,
}

/// A change of a user's rights by a row of a spreadsheet.
#[derive(SimpleObject)]
pub(crate) struct ImportRightsChange {
    /// Row number, counted from 1 and including the heading.
    row: u32,
    /// Id of the user; null if the import creates the account.
    user_id: Option<ID>,
    /// Email address in the row.
    email: String,
    /// Changed right.
    field: ImportRight,
    /// Old value: a `UserRole`, a `UserPermission`, `true` or `false`; null if the import creates the account.
    before: Option<String>,
    /// New value.
    after: String,
}

/// A right that an import can change.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Right")]
pub(crate) enum ImportRight {
    /// Role.
    Role,
    /// Permission.
    Permission,
    /// Staff rights, which the role ADMIN includes.
    Staff,
}

impl From<RightsChange> for ImportRightsChange {
    fn from(RightsChange { row, user, email, field, before, after }: RightsChange) -> Self {
        Self { row, user_id: user.map(ID::from), email, field: field.into(), before, after }
    }
}

/// An error in a row of a spreadsheet.
#[derive(SimpleObject)]
pub(crate) struct ImportRowError {
    /// Row number as the spreadsheet shows it, counted from 1 and including the heading.
    row: u32,
    /// Name of the column; null if the error concerns no single column.
    column: Option<String>,
    /// Violated rule.
    code: UserErrorCode,
    /// Text to show to the user, in English.
    message: String,
    /// Wrong value, shortened to 60 characters; null if the cell is empty or missing.
    value: Option<String>,
    /// Row that has the value already; null if there is none.
    other_row: Option<u32>,
    /// Id of the account that has the value already; null if there is none, or you may not see it.
    other_user_id: Option<ID>,
}

impl From<RowError> for ImportRowError {
    fn from(error: RowError) -> Self {
        let RowError { row, column, code, message, value, other_row, other_user, .. } = error;
        Self { row, column, code: code.into(), message, value, other_row, other_user_id: other_user.map(ID::from) }
    }
}

/// A kind of errors in the rows of a spreadsheet.
#[derive(SimpleObject)]
pub(crate) struct ImportErrorKind {
    /// Name of the column; null if the errors concern no single column.
    column: Option<String>,
    /// Violated rule.
    code: UserErrorCode,
    /// Message of the first such error, in English.
    message: String,
    /// Row of the first such error.
    first_row: u32,
    /// Number of errors.
    count: u64,
}

impl From<ErrorKind> for ImportErrorKind {
    fn from(kind: ErrorKind) -> Self {
        let ErrorKind { column, code, message, first_row, count, .. } = kind;
        Self { column, code: code.into(), message, first_row, count }
    }
}

#[derive(Default)]
pub(crate) struct ImportMutation;

#[Object]
impl ImportMutation {
    /// Creates and updates users from a spreadsheet. Staff only; requires a session. Users are matched by `matchBy`; an
    /// address or username that only looks like an account's is an error of its row. Check
    /// `rightsChanges` of a dry run first. Either all rows are applied or none, and importing the same file again
    /// changes nothing. Only one import runs at a time over all instances; others get SERVICE_UNAVAILABLE. Sent as
    /// multipart/form-data as in the GraphQL multipart request specification.
    async fn import_users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Spreadsheet and options.")] input: ImportUsersInput,
    ) -> Answer<Option<ImportUsersPayload>> {
        let (staff, app) = (viewer(ctx)?.staff()?, app(ctx));
        let ImportUsersInput { file, dry_run, send_welcome, mapping: columns, match_by } = input;
        let options = ImportOptions { mapping: mapping(columns), match_by: match_by.into(), send_welcome };
        let import = Import { file: uploaded(ctx, &file)?.content.clone(), dry_run, options };
        let (now, by) = (&request(ctx).now, ImportedBy::Staff(staff));
        let imported = spreadsheet::import(&app.db, now, &app.importer, by, import, &|_| {}).await;
        let (imported, errors) = outcome(ctx, imported)?;
        let (mut rights, mut sheets) = (Vec::new(), Sheets::default());
        let (counts, problems) = match imported {
            Some(Outcome::Done(counts, changes, read) | Outcome::Outdated(counts, changes, read)) => {
                (rights, sheets) = (changes, read);
                (Some(counts), Problems::default())
            }
            Some(Outcome::Refused(problems, _)) => (None, problems),
            None => (None, Problems::default()),
        };
        let total = counts.map(|_| u32::try_from(rights.len()).unwrap_or(u32::MAX));
        let count = |of: fn(Counts) -> u32| counts.map(of);
        Ok(Some(ImportUsersPayload {
            created: count(|counts| counts.created),
            updated: count(|counts| counts.updated),
            unchanged: count(|counts| counts.unchanged),
            rights_changes: rights.into_iter().take(MAX_LISTED).map(ImportRightsChange::from).collect(),
            rights_change_count: total,
            sheet: sheets.read,
            other_sheets: sheets.passed_over,
            row_errors: problems.list.into_iter().take(MAX_LISTED).map(ImportRowError::from).collect(),
            row_error_count: problems.total,
            row_error_kinds: problems.kinds.into_iter().map(ImportErrorKind::from).collect(),
            errors,
        }))
    }
}
