//! Imports that are kept until they are applied.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, Upload};
use tokio::sync::OnceCell;

use crate::domain::import::spreadsheet::inspection::InspectedColumn;
use crate::domain::import::spreadsheet::jobs::{self, Report, UploadedSheet};
use crate::domain::import::spreadsheet::mapping::{self, MappedColumn};
use crate::domain::import::spreadsheet::remembered::{self, Remembered};
use crate::domain::import::spreadsheet::{ImportOptions, RightsChange};
use crate::domain::paging::{MAX_PAGE, PageArgs};
use crate::entity::import_job::{Model, State};
use crate::error::Error;
use crate::graphql::context::{app, now, request, staff, uploaded, viewer};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::import::{
    ImportColumn, ImportErrorKind, ImportMappedColumnInput, ImportMatchBy, ImportRightsChange, ImportRowError, mapping,
};
use crate::graphql::loaders;
use crate::graphql::paging::{Connection, CountQuery, list_complexity, page_complexity};
use crate::graphql::scalars::DateTime;
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;
use crate::texts::Text;

/// An import, with its report once it is read.
#[derive(Clone)]
pub(crate) struct ImportJob {
    row: Model,
    report: Arc<OnceCell<Option<Report>>>,
}

impl From<Model> for ImportJob {
    fn from(row: Model) -> Self {
        Self { row, report: Arc::default() }
    }
}

impl ImportJob {
    async fn report(&self, ctx: &Context<'_>) -> Answer<Option<&Report>> {
        let read = async || {
            let Ok(staff) = staff(ctx) else { return Ok(None) };
            app(ctx).import_jobs().report(&now(ctx), staff, &self.row).await
        };
        Ok(self.report.get_or_try_init(read).await?.as_ref())
    }
}

/// The items of a part of a list.
fn part<T: Clone, U: From<T>>(items: &[T], (first, offset): (i32, i32)) -> Answer<Vec<U>> {
    let too_many = || Error::BadInput(Text::new("page-count-out-of-range").with("name", "first").with("max", MAX_PAGE));
    let first = usize::try_from(first).ok().filter(|first| *first as u64 <= MAX_PAGE).ok_or_else(too_many)?;
    let offset = usize::try_from(offset).map_err(|_| Error::BadInput(Text::new("page-offset-negative")))?;
    Ok(items.iter().skip(offset).take(first).cloned().map(U::from).collect())
}

/// An import of users. Staff see who imported when, and the numbers. Only the user who uploaded the file sees its content:
/// headings, changes of rights and errors. They are kept for an hour after the last step, and are null or empty then.
#[Object]
impl ImportJob {
    /// Opaque id, never reused.
    pub(crate) async fn id(&self) -> ID {
        self.row.id.into()
    }

    /// Time of the upload.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }

    /// User who uploaded the file; null if the account was deleted, or is a superuser's and you are none.
    async fn created_by(&self, ctx: &Context<'_>) -> Answer<Option<User>> {
        loaders::user(ctx, self.row.user_id).await
    }

    /// Name of the file.
    async fn file_name(&self) -> &str {
        &self.row.file_name
    }

    /// Key by which rows match accounts.
    async fn match_by(&self) -> ImportMatchBy {
        self.row.match_by.into()
    }

    /// True if new users get a welcome email.
    async fn send_welcome(&self) -> bool {
        self.row.send_welcome
    }

    /// Meaning of the sheet's headings: as suggested, or as given to `checkImport`.
    async fn mapping(&self) -> Answer<Vec<ImportMappedColumn>> {
        Ok(jobs::options(&self.row)?.mapping.columns.into_iter().map(ImportMappedColumn::from).collect())
    }

    /// State.
    async fn state(&self) -> ImportState {
        self.row.state.into()
    }

    /// Progress of the current step, in percent.
    async fn progress(&self) -> i32 {
        self.row.percent
    }

    /// Reason why the last step changed nothing, in English; null if there is none.
    async fn failure(&self) -> Option<&str> {
        self.row.failure.as_deref()
    }

    /// Number of accounts created, or to be created; null before a dry run without errors.
    async fn created(&self) -> Option<i32> {
        self.row.created
    }

    /// Number of accounts changed, or to be changed; null before a dry run without errors.
    async fn updated(&self) -> Option<i32> {
        self.row.updated
    }

    /// Number of accounts that already match the sheet; null before a dry run without errors.
    async fn unchanged(&self) -> Option<i32> {
        self.row.unchanged
    }

    /// Number of changes of rights.
    async fn rights_change_count(&self) -> i32 {
        self.row.rights_changes
    }

    /// Number of errors of rows.
    async fn row_error_count(&self) -> i64 {
        self.row.errors
    }

    /// Time at which the changes were written; null before.
    async fn applied_at(&self) -> Option<DateTime> {
        self.row.applied_at.map(DateTime)
    }

    /// Time at which the content of the file is deleted; null once it is, and for other users.
    async fn expires_at(&self, ctx: &Context<'_>) -> Answer<Option<DateTime>> {
        let Ok(staff) = staff(ctx) else { return Ok(None) };
        Ok(app(ctx).import_jobs().expires_at(&now(ctx), staff, &self.row).await?.map(DateTime))
    }

    /// Columns of the sheet, with samples of their values and suggested meanings.
    async fn columns(&self, ctx: &Context<'_>) -> Answer<Vec<ImportSheetColumn>> {
        let Ok(staff) = staff(ctx) else { return Ok(Vec::new()) };
        let found = app(ctx).import_jobs().inspection(&now(ctx), staff, &self.row).await?.unwrap_or_default();
        Ok(found.columns.into_iter().map(ImportSheetColumn::from).collect())
    }

    /// Worksheet that was read; null for a .csv file, and before a dry run.
    async fn sheet(&self, ctx: &Context<'_>) -> Answer<Option<&str>> {
        Ok(self.report(ctx).await?.and_then(|report| report.sheets.read.as_deref()))
    }

    /// Changes of role, permission and staff rights, in the order of the rows.
    #[graphql(complexity = "list_complexity(first, child_complexity)")]
    async fn rights_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of changes: at most 200.", default = 20)] first: i32,
        #[graphql(desc = "Number of changes to skip.", default)] offset: i32,
    ) -> Answer<Vec<ImportRightsChange>> {
        let rights = self.report(ctx).await?.map_or([].as_slice(), |report| &report.rights);
        part(rights, (first, offset))
    }

    /// Changes of rights that differ from those of the previous dry run, because accounts have changed since: at most
    /// 1,000. `applyImport` writes nothing then.
    async fn rights_differences(&self, ctx: &Context<'_>) -> Answer<Vec<ImportRightsDifference>> {
        let Some(report) = self.report(ctx).await? else { return Ok(Vec::new()) };
        let of = |changes: &[RightsChange], is_new: bool| -> Vec<ImportRightsDifference> {
            let one = |change: RightsChange| ImportRightsDifference { is_new, change: change.into() };
            changes.iter().take(MAX_DIFFERENCES).cloned().map(one).collect()
        };
        Ok([of(&report.new_rights, true), of(&report.gone_rights, false)].into_iter().flatten().collect())
    }

    /// Errors of rows, in their order. At most 100,000 are kept, and all are counted.
    #[graphql(complexity = "list_complexity(first, child_complexity)")]
    async fn row_errors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of errors: at most 200.", default = 20)] first: i32,
        #[graphql(desc = "Number of errors to skip.", default)] offset: i32,
    ) -> Answer<Vec<ImportRowError>> {
        let errors = self.report(ctx).await?.map_or([].as_slice(), |report| &report.problems.list);
        part(errors, (first, offset))
    }

    /// Kinds of errors of rows with their numbers, the most frequent first.
    async fn row_error_kinds(&self, ctx: &Context<'_>) -> Answer<Vec<ImportErrorKind>> {
        let kinds = self.report(ctx).await?.map_or([].as_slice(), |report| &report.problems.kinds);
        Ok(kinds.iter().cloned().map(ImportErrorKind::from).collect())
    }

    /// Path of the file as a workbook with its faulty cells marked, to download with the access token; null if there are
    /// no errors of rows.
    async fn marked_workbook_path(&self, ctx: &Context<'_>) -> Answer<Option<String>> {
        let has_errors = self.report(ctx).await?.is_some_and(|report| report.problems.total > 0);
        Ok(has_errors.then(|| format!("/import/{}/marked.xlsx", self.row.id)))
    }
}

/// Maximum number of new, and of vanished, changes of rights in a response.
const MAX_DIFFERENCES: usize = 500;

/// A heading of a spreadsheet and its meaning.
#[derive(SimpleObject)]
pub(crate) struct ImportMappedColumn {
    /// Heading.
    heading: String,
    /// Column that it stands for; null if its cells are ignored.
    target: Option<ImportColumn>,
    /// Words that stand for other values.
    words: Vec<ImportWord>,
}

/// A word of a spreadsheet and the value that it stands for.
#[derive(SimpleObject)]
pub(crate) struct ImportWord {
    /// Word, in any case.
    word: String,
    /// Value; empty for an empty cell.
    value: String,
}

impl From<MappedColumn> for ImportMappedColumn {
    fn from(MappedColumn { heading, target, words }: MappedColumn) -> Self {
        let word = |mapping::Word { word, value }| ImportWord { word, value };
        Self { heading, target: target.map(Into::into), words: words.into_iter().map(word).collect() }
    }
}

/// A column of an uploaded spreadsheet.
#[derive(SimpleObject)]
pub(crate) struct ImportSheetColumn {
    /// Heading with its suggested meaning: that of the last import with the same headings, or one by similar names.
    suggested: ImportMappedColumn,
    /// First different values.
    samples: Vec<String>,
    /// All different values, if there are at most 20; otherwise empty.
    values: Vec<String>,
}

impl From<InspectedColumn> for ImportSheetColumn {
    fn from(InspectedColumn { suggested, samples, values }: InspectedColumn) -> Self {
        Self { suggested: suggested.into(), samples, values }
    }
}

/// A change of rights that was not in the previous dry run, or only there.
#[derive(SimpleObject)]
pub(crate) struct ImportRightsDifference {
    /// True if the import makes this change now; false if it no longer does.
    is_new: bool,
    /// Change.
    change: ImportRightsChange,
}

/// States of an import.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "State")]
pub(crate) enum ImportState {
    /// The file is uploaded. `checkImport` starts a dry run.
    Uploaded,
    /// A dry run is under way.
    Checking,
    /// The dry run found no errors. `applyImport` writes the changes.
    Checked,
    /// The dry run found errors of rows.
    Refused,
    /// The changes are being written.
    Applying,
    /// All changes were written.
    Applied,
    /// The last step failed, and nothing was changed. `checkImport` starts again.
    Failed,
}

/// A remembered mapping of headings.
#[derive(SimpleObject)]
pub(crate) struct ImportMapping {
    /// Opaque id, never reused.
    id: ID,
    /// Headings and their meaning.
    columns: Vec<ImportMappedColumn>,
    /// Key by which rows match accounts.
    match_by: ImportMatchBy,
    /// Time of the last use.
    used_at: DateTime,
}

impl From<Remembered> for ImportMapping {
    fn from(Remembered { id, mapping, row }: Remembered) -> Self {
        let columns = mapping.columns.into_iter().map(ImportMappedColumn::from).collect();
        Self { id: id.into(), columns, match_by: row.match_by.into(), used_at: row.used_at.into() }
    }
}

#[derive(Default)]
pub(crate) struct ImportJobsQuery;

#[Object]
impl ImportJobsQuery {
    /// Returns the import with this id; null if it is unknown. Staff only; API tokens need the scope READ and see no
    /// content of the file.
    async fn import_job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Id of the import.")] id: ID,
    ) -> Answer<Option<ImportJob>> {
        Ok(app(ctx).import_jobs().find(staff(ctx)?, &id).await?.map(ImportJob::from))
    }

    /// Returns the imports by all staff, newest first. Staff only; API tokens need the scope READ. A page has 20 imports
    /// by default and at most 200. They are kept for a year.
    #[graphql(complexity = "page_complexity(first, last, child_complexity)")]
    async fn import_jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of items from the start of the list, or after `after`.")] first: Option<i32>,
        #[graphql(desc = "Cursor after which the page starts.")] after: Option<String>,
        #[graphql(desc = "Number of items from the end of the list, or before `before`.")] last: Option<i32>,
        #[graphql(desc = "Cursor before which the page ends.")] before: Option<String>,
    ) -> Answer<Option<Connection<ImportJob>>> {
        let args = PageArgs { first, after, last, before, offset: None };
        let page = app(ctx).import_jobs().page(staff(ctx)?, &args).await?;
        Ok(Some(Connection::new(page, CountQuery::Imports, ImportJob::from)))
    }

    /// Returns the remembered mappings of headings, the last used first: at most 100. Staff only; API tokens need the
    /// scope READ.
    async fn import_mappings(&self, ctx: &Context<'_>) -> Answer<Vec<ImportMapping>> {
        let known = remembered::list(&app(ctx).db, staff(ctx)?).await?;
        Ok(known.into_iter().map(ImportMapping::from).collect())
    }
}

/// File to import.
#[derive(InputObject)]
pub(crate) struct StartImportInput {
    /// Spreadsheet: .xlsx, or .csv in UTF-8 or UTF-16; at most 10 MB and 100,000 rows, with headings in its first row.
    file: Upload,
}

/// Result of `startImport`, `checkImport` and `applyImport`.
#[derive(SimpleObject)]
pub(crate) struct ImportJobPayload {
    /// Import; null if there are errors.
    job: Option<ImportJob>,
    /// FILE_TOO_LARGE, FILE_UNSUPPORTED, NOT_FOUND, INVALID, REQUIRED, TOO_LONG or REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// Options of a dry run.
#[derive(InputObject)]
pub(crate) struct CheckImportInput {
    /// Id of the import.
    id: ID,
    /// Meaning of the sheet's own headings and words. Headings that are not listed must be names of columns.
    #[graphql(default)]
    mapping: Vec<ImportMappedColumnInput>,
    /// Key by which rows match accounts.
    #[graphql(default_with = "ImportMatchBy::Email")]
    match_by: ImportMatchBy,
    /// True to send new users a welcome email with a link to set a password; inactive users get it when they are
    /// activated.
    #[graphql(default = true)]
    send_welcome: bool,
}

/// Import to apply.
#[derive(InputObject)]
pub(crate) struct ApplyImportInput {
    /// Id of the import.
    id: ID,
}

/// Mapping to forget.
#[derive(InputObject)]
pub(crate) struct DeleteImportMappingInput {
    /// Id of the mapping.
    id: ID,
}

/// Result of `deleteImportMapping`.
#[derive(SimpleObject)]
pub(crate) struct DeleteImportMappingPayload {
    /// Id of the mapping; null if there are errors.
    deleted_id: Option<ID>,
    /// NOT_FOUND.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct ImportJobsMutation;

#[Object]
impl ImportJobsMutation {
    /// Uploads a spreadsheet of users and suggests meanings of its headings. Staff only; requires a session. The file is
    /// kept for an hour after the last step, at most five for each user; then it is deleted. Sent as multipart/form-data
    /// as in the GraphQL multipart request specification.
    async fn start_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "File to import.")] input: StartImportInput,
    ) -> Answer<Option<ImportJobPayload>> {
        let staff = viewer(ctx)?.staff()?;
        let file = uploaded(ctx, &input.file)?;
        let sheet = UploadedSheet { file: file.content.clone(), name: file.filename.clone() };
        let started = app(ctx).import_jobs().start(&request(ctx).now, staff, sheet).await;
        let (job, errors) = outcome(ctx, started)?;
        Ok(Some(ImportJobPayload { job: job.map(ImportJob::from), errors }))
    }

    /// Starts a dry run in the background, which `importJob` shows, and remembers the mapping for the next file with the
    /// same headings. Staff only; requires a session and a recent proof. INVALID while another step of this import runs,
    /// and after it was applied. It waits while another import runs.
    async fn check_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Options of the dry run.")] input: CheckImportInput,
    ) -> Answer<Option<ImportJobPayload>> {
        let staff = viewer(ctx)?.staff()?;
        let CheckImportInput { id, mapping: columns, match_by, send_welcome } = input;
        let options = ImportOptions { mapping: mapping(columns), match_by: match_by.into(), send_welcome };
        let begun = app(ctx).import_jobs().check(&request(ctx).now, staff, &id, &options).await;
        let (job, errors) = outcome(ctx, begun)?;
        Ok(Some(ImportJobPayload { job: job.map(ImportJob::from), errors }))
    }

    /// Starts to write the changes of an import that was checked without errors, in the background. Staff only; requires
    /// a session and a recent proof. Either all rows are written or none. If accounts have changed so that other rights
    /// would change than in the dry run, nothing is written, and `rightsDifferences` lists them. INVALID if the import
    /// was not checked.
    async fn apply_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Import to apply.")] input: ApplyImportInput,
    ) -> Answer<Option<ImportJobPayload>> {
        let begun = app(ctx).import_jobs().apply(&request(ctx).now, viewer(ctx)?.staff()?, &input.id).await;
        let (job, errors) = outcome(ctx, begun)?;
        Ok(Some(ImportJobPayload { job: job.map(ImportJob::from), errors }))
    }

    /// Forgets a remembered mapping of headings. Staff only; requires a session.
    async fn delete_import_mapping(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Mapping to forget.")] input: DeleteImportMappingInput,
    ) -> Answer<Option<DeleteImportMappingPayload>> {
        let staff = viewer(ctx)?.staff()?;
        let forgotten = remembered::forget(&app(ctx).db, &request(ctx).now, staff, &input.id).await;
        let (forgotten, errors) = outcome(ctx, forgotten)?;
        Ok(Some(DeleteImportMappingPayload { deleted_id: forgotten.map(|()| input.id), errors }))
    }
}
