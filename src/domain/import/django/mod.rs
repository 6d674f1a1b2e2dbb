//! Moving in: the users of a Django project, taken over with their passwords, so that none of them notices.
//!
//! 1. A source (`source/`) gives users in batches, from the project's database or a file; a mapping says where their details
//!    stand.
//! 2. Each is checked as `createUser` checks its fields (`entries.rs`). Who cannot be taken over is told with the reason, and
//!    keeps nobody else out.
//! 3. Each batch is written in one transaction (`write.rs`), matched by the id that the user has there. So a run that was
//!    broken off, or a later one, goes on where there is something to do.
//!
//! What people or staff changed here since is not written over, and whoever was deleted here does not come back.

// From what a source says to accounts.
mod entries;
// Where details stand in the system before.
pub mod mapping;
// Where users come from.
pub mod source;
// API tokens.
mod tokens;
// Accounts, written batch by batch.
mod write;

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};

use self::mapping::Mapping;
use self::source::Source;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::import::spreadsheet::{Progress, Right, Watch};
use crate::entity::audit_event::Action;
use crate::error::Result;
use crate::tools::clock::{Clock, Now};

/// How users are taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether only to tell what would be done.
    pub dry_run: bool,
    /// Whether a username that is not allowed or taken here is replaced with a neutral one.
    pub make_usernames: bool,
    /// Whether accounts of the same address, which were not taken over, are given the id of the user there.
    pub link: bool,
    /// Whether API tokens are taken over.
    pub tokens: bool,
    /// Whether hashes of fewer rounds than Django 1.11 made are kept, until their owner signs in or sets a password.
    pub weak_hashes: bool,
    /// Whether those who have no password here, or a weak hash, are mailed a link to set one, once each.
    pub send_resets: bool,
    /// How long API tokens that are taken over are valid from then on.
    pub token_life: Duration,
}

/// What became of the users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many were read.
    pub read: usize,
    /// How many got an account.
    pub created: usize,
    /// How many accounts were changed as the user was there.
    pub updated: usize,
    /// How many were as they are there.
    pub unchanged: usize,
    /// How many were changed or deleted here since, and so left alone.
    pub kept: usize,
    /// How many accounts were given the id of their user there.
    pub linked: usize,
    /// How many of those that were created or changed have no password, because there is none or it was not kept.
    pub without_password: usize,
    /// How many of those that were created or changed have a hash of fewer rounds than Django 1.11 made, kept or not.
    pub weak_hashes: usize,
    /// How many have a time without a zone, which was read in UTC because the mapping names no zone. Databases of SQLite hold
    /// all times in UTC, and none of their users is counted.
    pub naive_times: usize,
    /// How many API tokens were taken over.
    pub tokens: usize,
    /// How many were mailed a link to set a password.
    pub resets: usize,
    /// The rights that changed of accounts that there were already.
    pub rights: Vec<RightsChange>,
    /// Who could not be taken over, and why.
    pub refused: Vec<Problem>,
    /// What was not kept of users who were taken over.
    pub notes: Vec<Problem>,
}

/// A change of a user's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightsChange {
    /// The id there, with its prefix.
    pub id: String,
    /// The right that changes.
    pub field: Right,
    /// The value before.
    pub before: String,
    /// The value after.
    pub after: String,
}

/// What is wrong with a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The id there, with its prefix.
    pub id: String,
    /// Which field it concerns; none where it is no single one.
    pub field: Option<&'static str>,
    /// What to do about it, in a sentence.
    pub message: String,
}

/// Takes users over, for whoever runs the command line. Where it fails, `report` tells what was done until then, which
/// stays.
///
/// # Errors
/// [`crate::error::Error::Unavailable`] where somebody else took an address or a name meanwhile: the next run sees that.
pub async fn take_over(
    db: &Db,
    clock: &Clock,
    (source, mapping): (Source, &Mapping),
    options: Options,
    report: &mut Report,
    watch: &Watch<'_>,
) -> Result<()> {
    let mut source = source;
    // Nothing of a dry run may be seen, and each batch must see the one before: so it is one transaction that never ends.
    let rehearsal = if options.dry_run { Some(begin(db, clock).await?.0) } else { None };
    let mut is_recorded = false;
    loop {
        let rows = source.next().await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut entries = Vec::with_capacity(rows.len());
        let mut done = Report { read: rows.len(), ..Report::default() };
        for raw in &rows {
            match entries::entry(raw, mapping, options) {
                Ok(entry) => {
                    done.naive_times += usize::from(entry.has_naive_time && !source.is_in_utc());
                    entries.push(entry);
                }
                Err(problems) => done.refused.extend(problems),
            }
        }
        if let Some(txn) = &rehearsal {
            write::write(txn, &clock.now(), entries, options, &mut done).await?;
        } else {
            let (txn, now) = begin(db, clock).await?;
            write::write(&txn, &now, entries, options, &mut done).await?;
            if done.has_changes() && !is_recorded {
                record(&txn, &now).await?;
                is_recorded = true;
            }
            txn.commit().await?;
        }
        report.add(done);
        watch(Progress::Done(report.read, source.users().max(report.read)));
    }
}

async fn begin(db: &Db, clock: &Clock) -> Result<(DatabaseTransaction, Now)> {
    let (txn, now) = db.begin(&clock.now()).await?;
    if txn.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
        // As for a spreadsheet: the table grows while plans for it are kept.
        txn.execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan").await?;
    }
    Ok((txn, now))
}

async fn record(txn: &DatabaseTransaction, now: &Now) -> Result<()> {
    audit::record(txn, now, Event::by_anyone(&Client::default(), Action::UsersImported, None)).await
}

impl Report {
    fn has_changes(&self) -> bool {
        self.created + self.updated + self.linked + self.tokens + self.resets > 0
    }

    fn add(&mut self, other: Self) {
        self.read += other.read;
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.kept += other.kept;
        self.linked += other.linked;
        self.without_password += other.without_password;
        self.weak_hashes += other.weak_hashes;
        self.naive_times += other.naive_times;
        self.tokens += other.tokens;
        self.resets += other.resets;
        self.rights.extend(other.rights);
        self.refused.extend(other.refused);
        self.notes.extend(other.notes);
    }
}
