//! Import of users from a spreadsheet.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, Upload};

use crate::domain::import::spreadsheet::{self, Counts, Import, ImportedBy, Outcome, Right, RightsChange, RowError};
use crate::graphql::context::{app, request, uploaded, viewer};
use crate::graphql::errors::{Answer, UserError, UserErrorCode};
use crate::graphql::user_errors::outcome;
use crate::tools::sheet::read::Sheets;

/// Maximum number of changes of rights in a response.
const MAX_RIGHTS_CHANGES: usize = 1000;

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
    /// Errors of rows, in their order: at most 1,000.
    row_errors: Vec<ImportRowError>,
    /// FILE_TOO_LARGE or FILE_UNSUPPORTED.
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
}

impl From<RowError> for ImportRowError {
    fn from(RowError { row, column, code, message }: RowError) -> Self {
        Self { row, column, code: code.into(), message }
    }
}

#[derive(Default)]
pub(crate) struct ImportMutation;

#[Object]
impl ImportMutation {
    /// Creates and updates users from a spreadsheet. Staff only; requires a session. Users are matched by email
    /// address, ignoring case; an address that only looks like an account's is an error of its row. Check
    /// `rightsChanges` of a dry run first. Either all rows are applied or none, and importing the same file again
    /// changes nothing. Only one import runs at a time over all instances; others get SERVICE_UNAVAILABLE. Sent as
    /// multipart/form-data as in the GraphQL multipart request specification.
    async fn import_users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Spreadsheet and options.")] input: ImportUsersInput,
    ) -> Answer<Option<ImportUsersPayload>> {
        let (staff, app) = (viewer(ctx)?.staff()?, app(ctx));
        let ImportUsersInput { file, dry_run, send_welcome } = input;
        let import = Import { file: uploaded(ctx, &file)?.content.clone(), dry_run, send_welcome };
        let (now, by) = (&request(ctx).now, ImportedBy::Staff(staff));
        let imported = spreadsheet::import(&app.db, now, &app.importer, by, import, &|_| {}).await;
        let (imported, errors) = outcome(ctx, imported)?;
        let (mut rights, mut sheets) = (Vec::new(), Sheets::default());
        let (counts, row_errors) = match imported {
            Some(Outcome::Done(counts, changes, read)) => {
                (rights, sheets) = (changes, read);
                (Some(counts), Vec::new())
            }
            Some(Outcome::Refused(rows)) => (None, rows),
            None => (None, Vec::new()),
        };
        let total = counts.map(|_| u32::try_from(rights.len()).unwrap_or(u32::MAX));
        let count = |of: fn(Counts) -> u32| counts.map(of);
        Ok(Some(ImportUsersPayload {
            created: count(|counts| counts.created),
            updated: count(|counts| counts.updated),
            unchanged: count(|counts| counts.unchanged),
            rights_changes: rights.into_iter().take(MAX_RIGHTS_CHANGES).map(ImportRightsChange::from).collect(),
            rights_change_count: total,
            sheet: sheets.read,
            other_sheets: sheets.passed_over,
            row_errors: row_errors.into_iter().map(ImportRowError::from).collect(),
            errors,
        }))
    }
}
