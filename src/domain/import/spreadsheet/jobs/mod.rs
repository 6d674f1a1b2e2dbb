//! Imports that are kept: a file is uploaded once, checked by dry runs, and applied.
//!
//! Each step is recorded in the row of the import. Dry runs and applications continue in the background, in the process
//! that received the request. An application writes all accounts and its own end in one transaction, so that a process
//! that dies leaves the import as it was: maintenance then reports the failure.
//!
//! File and report are sealed, belong to the user who uploaded the file, and are deleted after [`KEPT`], the file
//! already when it was applied. The row without them stays for [`HISTORY`].

// The file with marks and notes at faulty cells.
mod marked;
// Reports of dry runs.
mod report;
// Dry runs and applications in the background.
mod run;
// Deletion of files and rows, and the end of interrupted steps.
mod sweep;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select, UpdateMany,
};
use uuid::Uuid;

use super::inspection::{self, Inspection};
use super::mapping::{Mapping, shown};
use super::rights::RightsChange;
use super::{Counts, ImportOptions, Importer, remembered};
use crate::database::Db;
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Staff;
use crate::domain::paging::{self, Key, OrderBy, OrderTerm, Page, PageArgs};
use crate::domain::rate_limits;
use crate::entity::import_file;
use crate::entity::import_job::{self, Column, MatchBy, Model, State};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::{Clock, Now, Timestamp};
use crate::tools::secret::MasterKeys;

pub use self::report::Report;
pub use self::sweep::sweep;

/// Time for which file and report of an import are kept after its last step: enough to correct a sheet, and short
/// because files contain whatever their authors keep about people.
pub const KEPT: Duration = Duration::from_secs(60 * 60);

/// Time for which the row of an import is kept.
pub const HISTORY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Maximum number of files that are kept for a user; the oldest is deleted.
const MAX_FILES: u64 = 5;

/// The imports that are kept, and the work on them.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// The database.
    pub db: Db,
    /// Runs the steps.
    pub importer: Importer,
    /// Seal files and reports.
    pub master_keys: Arc<MasterKeys>,
    /// The clock of the steps.
    pub clock: Clock,
}

/// A file to import.
#[derive(Clone, Debug)]
pub struct UploadedSheet<F> {
    /// The spreadsheet, .xlsx or .csv.
    pub file: F,
    /// Its name.
    pub name: String,
}

/// The import of which an application is approved, with the changes of rights that its user has seen.
#[derive(Clone, Debug)]
pub(super) struct Approval {
    pub(super) job: Uuid,
    pub(super) rights: Vec<RightsChange>,
}

/// Imports under way in this process, with their progress in percent.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<Mutex<HashMap<Uuid, Arc<AtomicI32>>>>);

impl UnderWay {
    fn begin(&self, job: Uuid) -> Arc<AtomicI32> {
        let percent = Arc::new(AtomicI32::new(0));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(job, Arc::clone(&percent));
        percent
    }

    fn end(&self, job: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }

    fn ids(&self) -> Vec<Uuid> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn percent(&self, job: Uuid) -> Option<i32> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&job).map(|percent| percent.load(Ordering::Relaxed))
    }
}

/// The refusal of an unknown import, or one of another user.
fn missing() -> Refusal {
    Refusal::new(Code::NotFound, "import-unknown").of("id")
}

/// The refusal of an import whose file was deleted.
fn file_gone() -> Refusal {
    Refusal::new(Code::NotFound, "import-file-gone").of("id")
}

/// Selects an import of this user.
fn own(staff: Staff<'_>, id: Uuid) -> Select<import_job::Entity> {
    import_job::Entity::find_by_id(id).filter(Column::UserId.eq(staff.user().id))
}

/// Updates an import that is in one of these states.
fn update(id: Uuid, states: &[State]) -> UpdateMany<import_job::Entity> {
    import_job::Entity::update_many().filter(Column::Id.eq(id)).filter(Column::State.is_in(states.iter().copied()))
}

/// Records in the transaction of an import that its changes were written.
pub(super) async fn record_applied(txn: &DatabaseTransaction, now: &Now, job: Uuid, counts: Counts) -> Result<()> {
    let applied = counted(update(job, &[State::Applying]), counts)
        .col_expr(Column::State, Expr::value(State::Applied))
        .col_expr(Column::Percent, Expr::value(100))
        .col_expr(Column::AppliedAt, Expr::value(now.at));
    if applied.exec(txn).await?.rows_affected == 0 {
        // Another process ended the import because this one seemed to be dead.
        return Err(Error::Unavailable(Duration::from_secs(1)));
    }
    let file = import_file::Entity::update_many().col_expr(import_file::Column::File, Expr::value(Vec::<u8>::new()));
    file.filter(import_file::Column::JobId.eq(job)).exec(txn).await?;
    Ok(())
}

fn counted(update: UpdateMany<import_job::Entity>, counts: Counts) -> UpdateMany<import_job::Entity> {
    let number = |count: u32| Expr::value(i32::try_from(count).unwrap_or(i32::MAX));
    update
        .col_expr(Column::Created, number(counts.created))
        .col_expr(Column::Updated, number(counts.updated))
        .col_expr(Column::Unchanged, number(counts.unchanged))
}

impl Jobs {
    fn seal(&self, job: Uuid, what: &str, plain: &[u8]) -> Vec<u8> {
        self.master_keys.seal(&context(job, what), plain)
    }

    fn unseal(&self, job: Uuid, what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.master_keys.unseal(&context(job, what), sealed)
    }

    /// Keeps a file for an import. Its headings are read, and meanings suggested: those of the last import with the same
    /// headings, if there was one.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an API token; [`Error::RateLimited`]; [`Code::FileTooLarge`] and
    /// [`Code::FileUnsupported`] of the field `file`.
    pub async fn start<F>(&self, now: &Now, staff: Staff<'_>, sheet: UploadedSheet<F>) -> Result<Model>
    where
        F: AsRef<[u8]> + Clone + Send + 'static,
    {
        staff.session_user()?;
        rate_limits::take_bulk(&self.db, now, &staff, &self.importer.limits).await?;
        let found = inspection::inspect(&self.importer, sheet.file.clone()).await?;
        let headings = found.columns.iter().map(|column| column.suggested.heading.as_str());
        let found = match remembered::find(self.db.reader(), headings).await? {
            Some(known) => found.with(&known.mapping, known.row.match_by),
            None => found,
        };
        let authorized = staff.begin(&self.db, now, Also::Nobody).await?;
        let (txn, now) = authorized.parts();
        let id = now.id();
        let job = import_job::ActiveModel {
            id: Set(id),
            user_id: Set(Some(authorized.user().id)),
            file_name: Set(shown(&sheet.name)),
            created_at: Set(now.at),
            match_by: Set(found.match_by),
            mapping: Set(serde_json::to_string(&found.mapping()).map_err(Error::internal)?),
            send_welcome: Set(true),
            state: Set(State::Uploaded),
            failure: Set(None),
            percent: Set(0),
            created: Set(None),
            updated: Set(None),
            unchanged: Set(None),
            rights_changes: Set(0),
            errors: Set(0),
            seen_at: Set(now.at),
            applied_at: Set(None),
        };
        let job = import_job::Entity::insert(job).exec_with_returning(txn).await?;
        let columns = serde_json::to_vec(&found).map_err(Error::internal)?;
        let file = import_file::ActiveModel {
            job_id: Set(id),
            file: Set(self.seal(id, "file", sheet.file.as_ref())),
            columns: Set(self.seal(id, "columns", &columns)),
            report: Set(None),
            expires_at: Set(now.at.plus(KEPT)),
        };
        import_file::Entity::insert(file).exec_without_returning(txn).await?;
        forget_oldest(txn, authorized.user().id).await?;
        authorized.commit().await?;
        Ok(job)
    }

    /// Starts a dry run in the background, and remembers the mapping for the next file with the same headings.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an API token; [`Error::RateLimited`]; errors of [`Mapping::check`]; [`Code::NotFound`]
    /// of `id` if the import is unknown, of another user, or its file was deleted; [`Code::Invalid`] while another step
    /// runs, or after the application; [`Code::ReauthenticationRequired`].
    pub async fn check(&self, now: &Now, staff: Staff<'_>, id: &str, options: &ImportOptions) -> Result<Model> {
        staff.session_user()?;
        options.mapping.check()?;
        let id = Uuid::parse_str(id).map_err(|_| missing())?;
        rate_limits::take_bulk(&self.db, now, &staff, &self.importer.limits).await?;
        let authorized = staff.begin(&self.db, now, Also::Nobody).await?;
        let (txn, now) = authorized.parts();
        authorized.check_recent_proof(now)?;
        let mapping = serde_json::to_string(&options.mapping).map_err(Error::internal)?;
        let begun = update(id, &[State::Uploaded, State::Checked, State::Refused, State::Failed])
            .col_expr(Column::Mapping, Expr::value(mapping))
            .col_expr(Column::MatchBy, Expr::value(options.match_by))
            .col_expr(Column::SendWelcome, Expr::value(options.send_welcome));
        let job = self.begin_step(txn, now, staff, begun, (id, State::Checking)).await?;
        if !options.mapping.columns.is_empty() {
            remembered::keep(txn, now, &options.mapping, options.match_by).await?;
        }
        authorized.commit().await?;
        self.spawn(staff.caller(), job.clone());
        Ok(job)
    }

    /// Starts to write the changes of a checked import in the background.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an API token; [`Code::NotFound`] of `id` if the import is unknown, of another user, or
    /// its file was deleted; [`Code::Invalid`] if it was not checked, or has errors; [`Code::ReauthenticationRequired`].
    pub async fn apply(&self, now: &Now, staff: Staff<'_>, id: &str) -> Result<Model> {
        staff.session_user()?;
        let id = Uuid::parse_str(id).map_err(|_| missing())?;
        let authorized = staff.begin(&self.db, now, Also::Nobody).await?;
        let (txn, now) = authorized.parts();
        authorized.check_recent_proof(now)?;
        let job = self.begin_step(txn, now, staff, update(id, &[State::Checked]), (id, State::Applying)).await?;
        authorized.commit().await?;
        self.spawn(staff.caller(), job.clone());
        Ok(job)
    }

    /// Begins a step of an import of this user: its state decides if it may.
    async fn begin_step(
        &self,
        txn: &DatabaseTransaction,
        now: &Now,
        staff: Staff<'_>,
        update: UpdateMany<import_job::Entity>,
        (id, step): (Uuid, State),
    ) -> Result<Model> {
        own(staff, id).one(txn).await?.ok_or_else(missing)?;
        let file = import_file::Entity::update_many()
            .col_expr(import_file::Column::ExpiresAt, Expr::value(now.at.plus(KEPT)))
            .filter(import_file::Column::JobId.eq(id))
            .filter(import_file::Column::ExpiresAt.gt(now.at));
        let begun = update
            .col_expr(Column::State, Expr::value(step))
            .col_expr(Column::Failure, Expr::value(Option::<String>::None))
            .col_expr(Column::Percent, Expr::value(0))
            .col_expr(Column::SeenAt, Expr::value(now.at))
            .exec_with_returning(txn)
            .await?;
        let not_ready = match step {
            State::Applying => Refusal::new(Code::Invalid, "import-not-checked"),
            _ => Refusal::new(Code::Invalid, "import-under-way"),
        };
        let job = begun.into_iter().next().ok_or_else(|| not_ready.of("id"))?;
        if file.exec(txn).await?.rows_affected == 0 {
            return Err(file_gone().into());
        }
        Ok(job)
    }

    /// An import; none if it is unknown.
    pub async fn find(&self, _staff: Staff<'_>, id: &str) -> Result<Option<Model>> {
        let Ok(id) = Uuid::parse_str(id) else { return Ok(None) };
        let found = import_job::Entity::find_by_id(id).one(self.db.reader()).await?;
        Ok(found.map(|job| self.with_progress(job)))
    }

    /// The imports with these ids, in one statement.
    pub async fn find_many(&self, _staff: Staff<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, Model>> {
        let found = import_job::Entity::find().filter(Column::Id.is_in(ids.iter().copied()));
        let found = found.all(self.db.reader()).await?;
        Ok(found.into_iter().map(|job| (job.id, self.with_progress(job))).collect())
    }

    /// A page of the imports by all staff, newest first.
    ///
    /// # Errors
    /// [`Error::BadInput`] if the page arguments are invalid.
    pub async fn page(&self, _staff: Staff<'_>, page: &PageArgs) -> Result<Page<Model>> {
        let id = OrderTerm {
            tag: 0,
            descends: true,
            sql: Expr::col((import_job::Entity, Column::Id)),
            key: Key::Id(|job: &Model| job.id),
        };
        let mut page = paging::page(&self.db, import_job::Entity::find(), page, OrderBy(vec![id])).await?;
        page.rows = page.rows.into_iter().map(|(job, cursor)| (self.with_progress(job), cursor)).collect();
        Ok(page)
    }

    /// Adds the progress of a step in this process, which writes it less often, or not at all on SQLite.
    fn with_progress(&self, job: Model) -> Model {
        match self.importer.under_way.percent(job.id).filter(|_| State::UNDER_WAY.contains(&job.state)) {
            Some(percent) => Model { percent, ..job },
            None => job,
        }
    }

    /// The sheet of an import as it was uploaded; none once its file is deleted, and for other users.
    pub async fn inspection(&self, now: &Now, staff: Staff<'_>, job: &Model) -> Result<Option<Inspection>> {
        let Some(kept) = self.kept(now, staff, job).await? else { return Ok(None) };
        let Some(columns) = self.unseal(job.id, "columns", &kept.columns) else { return Ok(None) };
        let found: Inspection = serde_json::from_slice(&columns).map_err(Error::internal)?;
        Ok(Some(Inspection { match_by: job.match_by, ..found }))
    }

    /// File and report of an import; none once they are deleted, and for other users.
    async fn kept(&self, now: &Now, staff: Staff<'_>, job: &Model) -> Result<Option<import_file::Model>> {
        if job.user_id != Some(staff.user().id) || staff.session_user().is_err() {
            return Ok(None);
        }
        let kept = import_file::Entity::find_by_id(job.id).filter(import_file::Column::ExpiresAt.gt(now.at));
        Ok(kept.one(self.db.reader()).await?)
    }

    /// Time of the deletion of file and report; none once they are deleted, and for other users.
    pub async fn expires_at(&self, now: &Now, staff: Staff<'_>, job: &Model) -> Result<Option<Timestamp>> {
        Ok(self.kept(now, staff, job).await?.map(|kept| kept.expires_at))
    }
}

/// Counts the imports by all staff.
pub async fn count(db: &Db, _staff: Staff<'_>) -> Result<u64> {
    Ok(import_job::Entity::find().count(db.reader()).await?)
}

/// The options of an import.
///
/// # Errors
/// [`Error::Internal`] if the stored mapping is damaged.
pub fn options(job: &Model) -> Result<ImportOptions> {
    let mapping: Mapping = serde_json::from_str(&job.mapping).map_err(Error::internal)?;
    let (match_by, send_welcome): (MatchBy, bool) = (job.match_by, job.send_welcome);
    Ok(ImportOptions { mapping, match_by, send_welcome })
}

/// The place of sealed data.
fn context(job: Uuid, what: &str) -> String {
    format!("import {what} {job}")
}

/// Deletes the oldest files of a user beyond [`MAX_FILES`].
async fn forget_oldest(txn: &DatabaseTransaction, user: Uuid) -> Result<()> {
    let jobs = import_job::Entity::find().filter(Column::UserId.eq(user)).select_only().column(Column::Id);
    let old = import_file::Entity::find()
        .filter(import_file::Column::JobId.in_subquery(sea_orm::QueryTrait::into_query(jobs)))
        .order_by_desc(import_file::Column::JobId)
        .offset(MAX_FILES)
        .limit(MAX_FILES);
    let old: Vec<Uuid> = old.select_only().column(import_file::Column::JobId).into_tuple().all(txn).await?;
    if !old.is_empty() {
        import_file::Entity::delete_many().filter(import_file::Column::JobId.is_in(old)).exec(txn).await?;
    }
    Ok(())
}
