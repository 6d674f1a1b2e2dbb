//! Import of users from a spreadsheet: matched by email address, created or updated, all rows or none.
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
// The columns of a sheet.
pub mod columns;
// Conversion of rows to entries.
mod entries;
// Changes of rights.
pub(in crate::domain) mod rights;
// New and changed accounts.
mod write;

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::entries::{Entries, Reading};
use self::matching::{Planning, RowAction};
pub use self::rights::{Right, RightsChange};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::{Also, Authorized};
use crate::domain::auth::identity::{Actor, Staff};
use crate::domain::leases;
use crate::domain::operator::Operator;
use crate::domain::rate_limits::{self, Limits};
use crate::entity::audit_event::Action;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::{Clock, Now};
use crate::tools::sheet::{self, Content, read::Sheets};

/// The headings of the columns; only the first one is required.
pub const COLUMNS: [&str; 10] = columns::NAMES;

/// Maximum number of reported row errors.
const MAX_ERRORS: usize = 1000;

/// Number of rows read or written by one statement. A row has 23 columns, and SQLite binds at most 32,766 values.
const BATCH: usize = 500;

/// Time to wait before a retry while another import runs.
const BUSY: Duration = Duration::from_secs(10);

/// Name of the lease of an import.
const TURN: &str = "import";

/// Runs imports, one at a time over all instances on a database.
#[derive(Debug)]
pub struct Importer {
    reader: sheet::Reader,
    limits: Limits,
    clock: Clock,
    /// Permit within this process, so that no import waits for SQLite's writer, which a running import holds.
    turn: Semaphore,
}

impl Importer {
    /// An importer with this reader and these rate limits.
    pub fn new(reader: sheet::Reader, limits: Limits, clock: Clock) -> Self {
        Self { reader, limits, clock, turn: Semaphore::new(1) }
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
    /// Send the welcome mail to new users.
    pub send_welcome: bool,
}

/// Result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Success, also of a dry run: the counts, the changes of rights in the order of the rows, and the sheets of the
    /// workbook.
    Done(Counts, Vec<RightsChange>, Sheets),
    /// Nothing was changed because of these errors: at most 1,000, in the order of the rows.
    Refused(Vec<RowError>),
}

/// Numbers of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accounts created.
    pub created: u32,
    /// Accounts updated.
    pub updated: u32,
    /// Accounts that matched already.
    pub unchanged: u32,
}

/// An error of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The row number in spreadsheet programs: from 1, including the heading.
    pub row: u32,
    /// The heading of the column; none if it is not a single one.
    pub column: Option<String>,
    /// The violated rule.
    pub code: Code,
    /// The problem and its remedy.
    pub message: String,
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
/// [`Code::FileTooLarge`] and [`Code::FileUnsupported`] of the field `file`; [`Code::ReauthenticationRequired`].
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
    // Before the rate limit, so that an import refused because of a running one is not counted.
    let _own = importer.turn.try_acquire().map_err(|_| Error::ImportRunning(BUSY))?;
    let turn = leases::take(db, importer.clock, TURN).await?.ok_or(Error::ImportRunning(BUSY))?;
    let outcome = import_in_turn(db, now, importer, by, input, watch).await;
    turn.end().await;
    outcome
}

async fn import_in_turn<F: AsRef<[u8]> + Send + 'static>(
    db: &Db,
    now: &Now,
    importer: &Importer,
    by: ImportedBy<'_>,
    input: Import<F>,
    watch: &Watch<'_>,
) -> Result<Outcome> {
    if let ImportedBy::Staff(staff) = by {
        rate_limits::take_bulk(db, now, &staff, &importer.limits).await?;
    }
    let Import { file, dry_run, send_welcome } = input;
    let (entries, mut errors, sheets) = read(importer, file, watch).await?;

    let begun = by.begin(db, now).await?;
    let (txn, now) = begun.parts();
    if txn.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
        // A cached plan from when the table was small would scan the whole table for each batch.
        txn.execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan").await?;
    }
    let actions = matching::plan_rows(Planning { txn, now, by, watch }, &entries, &mut errors).await?;
    if !errors.is_empty() {
        return Ok(Outcome::Refused(errors.listed()));
    }
    let counts = actions.counts();
    if dry_run || counts == (Counts { unchanged: counts.unchanged, ..Counts::default() }) {
        return Ok(Outcome::Done(counts, actions.rights, sheets));
    }
    if let (ImportedBy::Staff(_), true) = (by, send_welcome) {
        write::take_welcomes(txn, now, &importer.limits, &actions.of(RowAction::New, &entries), &mut errors).await?;
        if !errors.is_empty() {
            return Ok(Outcome::Refused(errors.listed()));
        }
    }
    write::write(write::Writing { txn, now, by: &begun, send_welcome, watch }, &entries, &actions).await?;
    audit::record(txn, now, begun.event(Action::UsersImported, None)).await?;
    begun.commit().await?;
    Ok(Outcome::Done(counts, actions.rights, sheets))
}

/// The entries of the file, its errors, and the sheets of the workbook.
async fn read<F: AsRef<[u8]> + Send + 'static>(
    importer: &Importer,
    file: F,
    watch: &Watch<'_>,
) -> Result<(Entries, Errors, Sheets)> {
    let mut pages = importer.reader.open(file, COLUMNS[0])?;
    let (mut reading, mut sheets) = (Reading::default(), Sheets::default());
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

/// Errors of a sheet, at most [`MAX_ERRORS`].
#[derive(Debug, Default)]
struct Errors(Vec<RowError>);

impl Errors {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, row: u32, column: &str, refusal: &Refusal) {
        let (code, message) = (refusal.code, refusal.message());
        let column = Some(column.to_owned()).filter(|column| !column.is_empty());
        // A username can be both in another row and taken by an account.
        let is_known = |error: &RowError| (error.row, error.code, &error.column) == (row, code, &column);
        if self.0.len() < MAX_ERRORS && !self.0.iter().any(is_known) {
            self.0.push(RowError { row, column, code, message });
        }
    }

    fn listed(mut self) -> Vec<RowError> {
        self.0.sort_by_key(|error| error.row);
        self.0
    }
}
