//! Users from a spreadsheet.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, Upload};

use crate::domain::import::spreadsheet::{self, Actor, Counts, Import, Outcome, Right, RightsChange, RowError};
use crate::error::Error;
use crate::graphql::context::{app, request, viewer};
use crate::graphql::errors::{Answer, UserError, UserErrorCode};
use crate::graphql::user_errors::outcome;
use crate::tools::sheet::read::Sheets;

/// The most changes of rights in an answer.
const MAX_RIGHTS_CHANGES: usize = 1000;

/// Users to create or update.
#[derive(InputObject)]
pub(crate) struct ImportUsersInput {
    /// The spreadsheet: .xlsx, or .csv in UTF-8 or UTF-16, parted by comma, semicolon or tab; 10 MB and 100,000 rows at
    /// most. Of a workbook, the first visible sheet with the column `email` is read. The first row is the heading: `email`, which must be there, `username`, `first_name`,
    /// `last_name`, `bio`, `phone`, `address`, `role`, `permission` and `is_active`, in any order. An empty cell leaves
    /// what is there, and means the default for a new user. `/import/users.xlsx` is such a sheet. A file of
    /// `/export/users.xlsx` or `/export/users.csv` will do as well: `is_verified`, `date_joined` and `last_login` are
    /// passed over, and `is_staff` must be as it is.
    file: Upload,
    /// Whether only to tell what would be done.
    #[graphql(default)]
    dry_run: bool,
    /// Whether new users get the welcome mail with a link to set a password; inactive ones once they are activated.
    #[graphql(default = true)]
    send_welcome: bool,
}

/// The outcome of `importUsers`. Where there are errors of either kind, nothing was changed.
#[derive(SimpleObject)]
pub(crate) struct ImportUsersPayload {
    /// How many accounts were made, or would be; null where there are errors.
    created: Option<u32>,
    /// How many accounts were changed, or would be; null where there are errors.
    updated: Option<u32>,
    /// How many accounts were as the sheet says, and were not touched; null where there are errors.
    unchanged: Option<u32>,
    /// The changes of role, permission and staff rights, in the order of the rows, also by a dry run; the first 1,000.
    rights_changes: Vec<ImportRightsChange>,
    /// How many changes of rights there are, or would be, listed or not; null where there are errors.
    rights_change_count: Option<u32>,
    /// The worksheet that was read; null for a file that is no workbook, and where there are errors.
    sheet: Option<String>,
    /// Further worksheets with the column `email`, which were not read; the first 20.
    other_sheets: Vec<String>,
    /// What is wrong with rows, in their order; 1,000 are told at most.
    row_errors: Vec<ImportRowError>,
    /// FILE_TOO_LARGE or FILE_UNSUPPORTED.
    errors: Vec<UserError>,
}

/// A change of a user's rights by a row of a spreadsheet.
#[derive(SimpleObject)]
pub(crate) struct ImportRightsChange {
    /// The row, counted from 1, the heading included.
    row: u32,
    /// The user's id; null where the import creates the account.
    user_id: Option<ID>,
    /// The email address in the row.
    email: String,
    /// The right that changes.
    field: ImportRight,
    /// The value before: a `Role`, a `Permission`, or `true` or `false`; null where the import creates the account.
    before: Option<String>,
    /// The value after.
    after: String,
}

/// A right that an import can change.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Right")]
pub(crate) enum ImportRight {
    /// The role.
    Role,
    /// The permission.
    Permission,
    /// Whether the user counts as staff, which the role ADMIN gives.
    Staff,
}

impl From<RightsChange> for ImportRightsChange {
    fn from(RightsChange { row, user, email, field, before, after }: RightsChange) -> Self {
        Self { row, user_id: user.map(ID::from), email, field: field.into(), before, after }
    }
}

/// What is wrong with a row of a spreadsheet.
#[derive(SimpleObject)]
pub(crate) struct ImportRowError {
    /// The row, counted from 1, the heading included, as the spreadsheet shows it.
    row: u32,
    /// The heading of the column; null where it is no single one.
    column: Option<String>,
    /// Which rule was broken.
    code: UserErrorCode,
    /// What to do about it, in an English sentence that may be shown.
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
    /// Creates and updates users from a spreadsheet: staff; not by API token. Users are found by their email address: upper
    /// and lower case do not matter, and an address that merely looks like an account's is an error of its row. Look at
    /// `rightsChanges` of a dry run first.
    /// All rows are taken or none, and the same file once more changes nothing. One import runs at a time, over all instances:
    /// another gets SERVICE_UNAVAILABLE. Sent as multipart/form-data by the GraphQL multipart request specification.
    async fn import_users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The spreadsheet, and how to take it.")] input: ImportUsersInput,
    ) -> Answer<Option<ImportUsersPayload>> {
        let (staff, app) = (viewer(ctx)?.staff()?, app(ctx));
        // Not `Upload::value`, which panics where a client writes the text that stands for a file without sending one.
        let Some(file) = ctx.query_env.uploads.get(input.file.0) else {
            let message = "`file` must be a file, sent as multipart/form-data.";
            return Err(Error::BadInput(message.to_owned()).into());
        };
        let ImportUsersInput { dry_run, send_welcome, .. } = input;
        let import = Import { file: file.content.clone(), dry_run, send_welcome };
        let (now, by) = (&request(ctx).now, Actor::Staff(staff));
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
