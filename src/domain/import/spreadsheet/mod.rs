//! Users from a spreadsheet: matched by e-mail address, created or updated, all rows or none.
//!
//! 1. The file is read in a process of its own (`tools/sheet`), and each cell checked as `createUser` checks its fields.
//! 2. In one transaction, the rows are matched with the accounts there are, and asked whether they may be changed so.
//! 3. Where nothing is wrong, everything is written; an account that is as its row says is not touched.
//!
//! What is wrong is told cell by cell. A row whose address merely looks like an account's is wrong. The answer lists each
//! right that changes.

// Rows and the accounts there are.
mod matching;
// The columns of a sheet.
pub mod columns;
// From cells to entries.
mod entries;
// Changes of rights.
pub(in crate::domain) mod rights;
// New accounts and changed ones.
mod write;

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::entries::{Entries, Reading};
use self::matching::RowAction;
pub use self::rights::{Right, RightsChange};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::{Also, Authorized};
use crate::domain::auth::identity::{Client, Staff};
use crate::domain::leases;
use crate::domain::rate_limits::{self, Limits};
use crate::entity::audit_event::Action;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::{Clock, Now};
use crate::tools::sheet::{self, Content, read::Sheets};

/// What the columns are called; only the first must be there.
pub const COLUMNS: [&str; 10] = columns::NAMES;

/// The most row errors that are told.
const MAX_ERRORS: usize = 1000;

/// How many rows are asked for or written by one statement. A row has 23 columns, and SQLite takes 32,766 values.
const BATCH: usize = 500;

/// When to try again where another import is under way.
const BUSY: Duration = Duration::from_secs(10);

/// The name of the turn that an import takes.
const TURN: &str = "import";

/// What imports are done with: one at a time, over all instances on a database.
#[derive(Debug)]
pub struct Importer {
    reader: sheet::Reader,
    limits: Limits,
    clock: Clock,
    /// The turn within this process, so that none waits for SQLite's writer, which an import holds.
    turn: Semaphore,
}

impl Importer {
    /// An importer that reads files with this, as often as the limits say.
    pub fn new(reader: sheet::Reader, limits: Limits, clock: Clock) -> Self {
        Self { reader, limits, clock, turn: Semaphore::new(1) }
    }
}

/// Who imports.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// Staff.
    Staff(Staff<'a>),
    /// Whoever runs the command line.
    Operator(&'a Client),
}

impl<'a> Actor<'a> {
    fn id(&self) -> Option<Uuid> {
        match self {
            Self::Staff(staff) => Some(staff.user().id),
            Self::Operator(_) => None,
        }
    }

    /// Opens the transaction that it is done in.
    async fn begin(&self, db: &Db, now: &Now) -> Result<Begun<'a>> {
        match self {
            Self::Staff(staff) => Ok(Begun::Staff(Box::new(staff.begin(db, now, Also::Nobody).await?))),
            Self::Operator(client) => {
                let (txn, now) = db.begin(now).await?;
                Ok(Begun::Operator(txn, now, client))
            }
        }
    }
}

/// The transaction of an import, and who imports.
#[derive(Debug)]
enum Begun<'a> {
    Staff(Box<Authorized>),
    Operator(DatabaseTransaction, Now, &'a Client),
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
            Self::Operator(_, _, client) => Event::by_anyone(client, action, target),
        }
    }

    async fn commit(self) -> Result<()> {
        match self {
            Self::Staff(authorized) => authorized.commit().await,
            Self::Operator(txn, ..) => Ok(txn.commit().await?),
        }
    }
}

/// What to import.
#[derive(Clone, Debug)]
pub struct Import<F> {
    /// The spreadsheet, .xlsx or .csv.
    pub file: F,
    /// Whether only to tell what would be done.
    pub dry_run: bool,
    /// Whether new users get the welcome mail.
    pub send_welcome: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out, or would be; with the rights that change by it, in the order of the rows, and the sheets of the
    /// workbook.
    Done(Counts, Vec<RightsChange>, Sheets),
    /// Nothing was changed, because of these cells; at most 1,000 are told, in the order of the rows.
    Refused(Vec<RowError>),
}

/// How many users there were of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those who got an account.
    pub created: u32,
    /// Those whose account was changed.
    pub updated: u32,
    /// Those whose account was as the sheet says.
    pub unchanged: u32,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The row's number as spreadsheet programs show it, from 1, the heading included.
    pub row: u32,
    /// The heading of the column; none where it is no single one.
    pub column: Option<String>,
    /// Which rule was broken.
    pub code: Code,
    /// What to do about it, in a sentence.
    pub message: String,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many rows were read.
    Read(usize),
    /// So many steps were done, of so many.
    Done(usize, usize),
}

/// What is told of the progress.
pub type Watch<'a> = dyn Fn(Progress) + Send + Sync + 'a;

/// Imports users. A script may not: who holds a leaked API token must not give anybody the role of an administrator.
///
/// # Errors
/// [`Error::Forbidden`] by an API token; [`Error::RateLimited`]; [`Error::Unavailable`] while another import is under way;
/// [`Code::FileTooLarge`] and [`Code::FileUnsupported`] of the field `file`.
pub async fn import<F: AsRef<[u8]> + Send + 'static>(
    db: &Db,
    now: &Now,
    importer: &Importer,
    by: Actor<'_>,
    input: Import<F>,
    watch: &Watch<'_>,
) -> Result<Outcome> {
    if let Actor::Staff(staff) = by {
        staff.session_user()?;
    }
    // Before the limit: who is sent away because another import is under way has imported nothing.
    let _own = importer.turn.try_acquire().map_err(|_| Error::Unavailable(BUSY))?;
    let turn = leases::take(db, importer.clock, TURN).await?.ok_or(Error::Unavailable(BUSY))?;
    let outcome = import_in_turn(db, now, importer, by, input, watch).await;
    turn.end().await;
    outcome
}

async fn import_in_turn<F: AsRef<[u8]> + Send + 'static>(
    db: &Db,
    now: &Now,
    importer: &Importer,
    by: Actor<'_>,
    input: Import<F>,
    watch: &Watch<'_>,
) -> Result<Outcome> {
    if let Actor::Staff(staff) = by {
        rate_limits::take_bulk(db, now, &staff, &importer.limits).await?;
    }
    let Import { file, dry_run, send_welcome } = input;
    let (entries, mut errors, sheets) = read(importer, file, watch).await?;

    let begun = by.begin(db, now).await?;
    let (txn, now) = begun.parts();
    if txn.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
        // A plan that was kept from before an import, when the table was small, reads all of the table for each batch.
        txn.execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan").await?;
    }
    let fates = matching::fates((txn, now), &by, &entries, &mut errors, watch).await?;
    if !errors.is_empty() {
        return Ok(Outcome::Refused(errors.listed()));
    }
    let counts = fates.counts();
    if dry_run || counts == (Counts { unchanged: counts.unchanged, ..Counts::default() }) {
        return Ok(Outcome::Done(counts, fates.rights, sheets));
    }
    if let (Actor::Staff(_), true) = (by, send_welcome) {
        write::take_welcomes(txn, now, &importer.limits, &fates.of(RowAction::New, &entries), &mut errors).await?;
        if !errors.is_empty() {
            return Ok(Outcome::Refused(errors.listed()));
        }
    }
    write::write(write::Writing { txn, now, by: &begun, send_welcome, watch }, &entries, &fates).await?;
    audit::record(txn, now, begun.event(Action::UsersImported, None)).await?;
    begun.commit().await?;
    Ok(Outcome::Done(counts, fates.rights, sheets))
}

/// What the file says, what is wrong with it as it stands, and which of its sheets was read.
async fn read<F: AsRef<[u8]> + Send + 'static>(
    importer: &Importer,
    file: F,
    watch: &Watch<'_>,
) -> Result<(Entries, Errors, Sheets)> {
    let mut pages = importer.reader.open(file, COLUMNS[0])?;
    let (mut reading, mut sheets) = (Reading::default(), Sheets::default());
    while let Some(page) = pages.next().await? {
        // Checking takes longer than an asynchronous thread may be kept from others.
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

/// What is wrong, as far as it is told.
#[derive(Debug, Default)]
struct Errors(Vec<RowError>);

impl Errors {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, row: u32, column: &str, refusal: Refusal) {
        let Refusal { code, message, .. } = refusal;
        let column = Some(column.to_owned()).filter(|column| !column.is_empty());
        // A name may be both another row's and another account's.
        let is_told = |error: &RowError| (error.row, error.code, &error.column) == (row, code, &column);
        if self.0.len() < MAX_ERRORS && !self.0.iter().any(is_told) {
            self.0.push(RowError { row, column, code, message });
        }
    }

    fn listed(mut self) -> Vec<RowError> {
        self.0.sort_by_key(|error| error.row);
        self.0
    }
}
