//! Import of users from a spreadsheet: matched by email address, username or external id, created or updated, all rows or
//! none.
//!
//! 1. The file is read in a separate process (`tools/sheet`), and each cell is checked as by `createUser`.
//! 2. In one transaction, the rows are matched with existing accounts, and the changes are checked against the actor's
//!    rights.
//! 3. If there are no errors, all changes are written. An account that matches its row is not touched.
//!
//! Errors are reported for each cell. A row with an address that only resembles an account's address is an error. The
//! result lists each change of rights.

// Matching of rows with existing accounts.
mod matching;
// Mapping of a sheet's own headings and words.
pub mod mapping;
// Suggestion of a mapping.
pub mod inspection;
// Headings and words in several languages.
mod synonyms;
// Mappings that are remembered.
pub mod remembered;
// Errors of rows.
pub mod problems;
// Imports that are kept until they are applied.
pub mod jobs;
// The columns of a sheet.
pub mod columns;
// Conversion of rows to entries.
mod entries;
// Changes of rights.
pub(in crate::domain) mod rights;
// New and changed accounts.
mod write;

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use tokio::sync::Semaphore;
use uuid::Uuid;

use serde::{Deserialize, Serialize};

use self::entries::{Entries, Reading};
use self::jobs::Approval;
use self::mapping::{Mapping, MatchBy};
use self::matching::{Planning, RowAction};
use self::problems::{Errors, Problems};
pub use self::rights::{Right, RightsChange};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::{Also, Authorized};
use crate::domain::auth::identity::{Actor, Staff};
use crate::domain::leases;
use crate::domain::operator::Operator;
use crate::domain::rate_limits::{self, Limits};
use crate::entity::audit_event::Action;
use crate::error::{Error, Result};
use crate::tools::clock::{Clock, Now};
use crate::tools::sheet::{self, Content, read::Sheets};

/// The headings of the columns; only the first one is required.
pub const COLUMNS: [&str; 10] = columns::NAMES;

/// Maximum length of a text of the sheet in a report, in characters.
const MAX_SHOWN: usize = 60;

/// Number of rows read or written by one statement. A row has 23 columns, and SQLite binds at most 32,766 values.
const BATCH: usize = 500;

/// Time to wait before a retry while another import runs.
const BUSY: Duration = Duration::from_secs(10);

/// Name of the lease of an import.
const TURN: &str = "import";

/// Runs imports, one at a time over all instances on a database.
#[derive(Clone, Debug)]
pub struct Importer {
    reader: sheet::Reader,
    limits: Limits,
    clock: Clock,
    /// Permit within this process, so that no import waits for SQLite's writer, which a running import holds.
    turn: Arc<Semaphore>,
    /// Imports of this process that are under way.
    under_way: jobs::UnderWay,
}

impl Importer {
    /// An importer with this reader and these rate limits.
    pub fn new(reader: sheet::Reader, limits: Limits, clock: Clock) -> Self {
        Self { reader, limits, clock, turn: Arc::new(Semaphore::new(1)), under_way: jobs::UnderWay::default() }
    }
}

/// The party that imports, with its right.
#[derive(Clone, Copy, Debug)]
pub enum ImportedBy<'a> {
    /// Staff.
    Staff(Staff<'a>),
    /// The operator.
    Operator(&'a Operator),
}

impl<'a> ImportedBy<'a> {
    fn actor(self) -> Actor {
        match self {
            Self::Staff(staff) => staff.actor(),
            Self::Operator(_) => Actor::Operator,
        }
    }

    /// Begins the transaction of the import.
    async fn begin(self, db: &Db, now: &Now) -> Result<Begun<'a>> {
        match self {
            Self::Staff(staff) => {
                let authorized = staff.begin(db, now, Also::Nobody).await?;
                authorized.check_recent_proof(authorized.parts().1)?;
                Ok(Begun::Staff(Box::new(authorized)))
            }
            Self::Operator(operator) => {
                let (txn, now) = db.begin(now).await?;
                Ok(Begun::Operator(txn, now, operator))
            }
        }
    }
}

/// The transaction of an import, with its proof.
#[derive(Debug)]
enum Begun<'a> {
    Staff(Box<Authorized>),
    Operator(DatabaseTransaction, Now, &'a Operator),
}

impl Begun<'_> {
    fn parts(&self) -> (&DatabaseTransaction, &Now) {
        match self {
            Self::Staff(authorized) => authorized.parts(),
            Self::Operator(txn, now, _) => (txn, now),
        }
    }

    fn event(&self, action: Action, target: Option<Uuid>) -> Event<'_> {
        match self {
            Self::Staff(authorized) => Event::by(authorized, action, target),
            Self::Operator(_, _, operator) => operator.did(action, target),
        }
    }

    async fn commit(self) -> Result<()> {
        match self {
            Self::Staff(authorized) => authorized.commit().await,
            Self::Operator(txn, ..) => Ok(txn.commit().await?),
        }
    }
}

/// Input of an import.
#[derive(Clone, Debug)]
pub struct Import<F> {
    /// The spreadsheet, .xlsx or .csv.
    pub file: F,
    /// Report the changes without making them.
    pub dry_run: bool,
    /// Options.
    pub options: ImportOptions,
}

/// Options of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// The meaning of the sheet's own headings and words.
    pub mapping: Mapping,
    /// The key by which rows match accounts.
    pub match_by: MatchBy,
    /// Send the welcome mail to new users.
    pub send_welcome: bool,
}

/// Result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Success, also of a dry run: the counts, the changes of rights in the order of the rows, and the sheets of the
    /// workbook.
    Done(Counts, Vec<RightsChange>, Sheets),
    /// Nothing was changed because of these errors.
    Refused(Problems, Sheets),
    /// Nothing was changed, because the changes of rights are no longer the approved ones. These are the new ones.
    Outdated(Counts, Vec<RightsChange>, Sheets),
}

/// The aim of an import.
#[derive(Clone, Copy, Debug)]
enum Aim<'a> {
    /// A report.
    DryRun,
    /// All changes.
    Write,
    /// The changes of a kept import, if those of rights are the approved ones.
    Apply(&'a Approval),
}

/// Numbers of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Accounts created.
    pub created: u32,
    /// Accounts updated.
    pub updated: u32,
    /// Accounts that matched already.
    pub unchanged: u32,
}

/// Progress of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Number of rows read.
    Read(usize),
    /// Number of steps done, and of all steps.
    Done(usize, usize),
}

/// Callback for progress.
pub type Watch<'a> = dyn Fn(Progress) + Send + Sync + 'a;

/// Imports users. API tokens are refused: a leaked one must not grant the role of an administrator.
///
/// # Errors
/// [`Error::Forbidden`] for an API token; [`Error::RateLimited`]; [`Error::ImportRunning`] while another import runs;
/// [`Code::FileTooLarge`](crate::error::Code::FileTooLarge) and
/// [`Code::FileUnsupported`](crate::error::Code::FileUnsupported) of the field `file`; errors of
/// [`Mapping::check`]; [`Code::ReauthenticationRequired`](crate::error::Code::ReauthenticationRequired).
pub async fn import<F: AsRef<[u8]> + Send + 'static>(
    db: &Db,
    now: &Now,
    importer: &Importer,
    by: ImportedBy<'_>,
    input: Import<F>,
    watch: &Watch<'_>,
) -> Result<Outcome> {
    if let ImportedBy::Staff(staff) = by {
        // Before the file is read; the transaction checks again.
        staff.session_user()?.check_recent_proof(now)?;
    }
    input.options.mapping.check()?;
    // Before the rate limit, so that an import refused because of a running one is not counted.
    let _own = importer.turn.try_acquire().map_err(|_| Error::ImportRunning(BUSY))?;
    let turn = leases::take(db, importer.clock, TURN).await?.ok_or(Error::ImportRunning(BUSY))?;
    let outcome = async {
        if let ImportedBy::Staff(staff) = by {
            rate_limits::take_bulk(db, now, &staff, &importer.limits).await?;
        }
        let aim = if input.dry_run { Aim::DryRun } else { Aim::Write };
        import_in_turn(db, now, importer, by, (input.file, &input.options, aim), watch).await
    };
    let outcome = outcome.await;
    turn.end().await;
    outcome
}

async fn import_in_turn<F: AsRef<[u8]> + Send + 'static>(
    db: &Db,
    now: &Now,
    importer: &Importer,
    by: ImportedBy<'_>,
    (file, options, aim): (F, &ImportOptions, Aim<'_>),
    watch: &Watch<'_>,
) -> Result<Outcome> {
    let &ImportOptions { match_by, send_welcome, .. } = options;
    let (entries, mut errors, sheets) = read(importer, file, options, watch).await?;

    let begun = by.begin(db, now).await?;
    let (txn, now) = begun.parts();
    if txn.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
        // A cached plan from when the table was small would scan the whole table for each batch.
        txn.execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan").await?;
    }
    let actions = matching::plan_rows(Planning { txn, now, by, match_by, watch }, &entries, &mut errors).await?;
    if !errors.is_empty() {
        return Ok(Outcome::Refused(errors.finish(), sheets));
    }
    let counts = actions.counts();
    let is_idle = counts == (Counts { unchanged: counts.unchanged, ..Counts::default() });
    match aim {
        Aim::DryRun => return Ok(Outcome::Done(counts, actions.rights, sheets)),
        Aim::Write if is_idle => return Ok(Outcome::Done(counts, actions.rights, sheets)),
        Aim::Apply(approval) if approval.rights != actions.rights => {
            return Ok(Outcome::Outdated(counts, actions.rights, sheets));
        }
        Aim::Write | Aim::Apply(_) => {}
    }
    if let (ImportedBy::Staff(_), true) = (by, send_welcome) {
        write::take_welcomes(txn, now, &importer.limits, &actions.of(RowAction::New, &entries), &mut errors).await?;
        if !errors.is_empty() {
            return Ok(Outcome::Refused(errors.finish(), sheets));
        }
    }
    if !is_idle {
        let writing = write::Writing { txn, now, by: &begun, match_by, send_welcome, watch };
        write::write(writing, &entries, &actions).await?;
        audit::record(txn, now, begun.event(Action::UsersImported, None)).await?;
    }
    if let Aim::Apply(approval) = aim {
        jobs::record_applied(txn, now, approval.job, counts).await?;
    }
    begun.commit().await?;
    Ok(Outcome::Done(counts, actions.rights, sheets))
}

/// The entries of the file, its errors, and the sheets of the workbook.
async fn read<F: AsRef<[u8]> + Send + 'static>(
    importer: &Importer,
    file: F,
    options: &ImportOptions,
    watch: &Watch<'_>,
) -> Result<(Entries, Errors, Sheets)> {
    let ImportOptions { mapping, match_by, .. } = options;
    let mut pages = importer.reader.open(file, &mapping.headings_of(match_by.target()))?;
    let (mut reading, mut sheets) = (Reading::new(mapping.clone(), *match_by), Sheets::default());
    while let Some(page) = pages.next().await? {
        // Checking would block an asynchronous thread for too long.
        let checked = tokio::task::spawn_blocking(move || {
            match page.content()? {
                Content::Rows(rows) => rows.iter().for_each(|row| reading.add(row)),
                Content::Sheets(read) => sheets = read,
            }
            Ok::<_, Error>((reading, sheets))
        });
        (reading, sheets) = checked.await.map_err(Error::internal)??;
        watch(Progress::Read(reading.rows()));
    }
    let (entries, errors) = tokio::task::spawn_blocking(move || reading.finish()).await.map_err(Error::internal)?;
    Ok((entries, errors, sheets))
}
