//! Import of the users of a Django project, with their passwords.
//!
//! 1. A source (`source/`) yields users in batches, from the project's database or a file. A mapping locates their
//!    fields.
//! 2. Each user is checked as by `createUser` (`entries.rs`). A user that cannot be imported is reported with the
//!    reason, and does not affect the others.
//! 3. Each batch is written in one transaction (`write.rs`), matched by the user's id in Django. So an interrupted run
//!    can be repeated, and later runs import only changes.
//!
//! Accounts that were changed here since the last import are not overwritten. Accounts that were deleted here are not
//! created again.

// Conversion of a source's rows to entries.
mod entries;
// Mapping of the source's tables, columns and values.
pub mod mapping;
// Second factors.
mod second_factors;
// The database or file of the users.
pub mod source;
// API tokens.
mod tokens;
// Accounts, written in batches.
mod write;

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};

use self::mapping::Mapping;
use self::source::Source;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::second_factor::SecondFactorRules;
use crate::domain::import::spreadsheet::{Progress, Right, Watch};
use crate::entity::audit_event::Action;
use crate::error::Result;
use crate::tools::clock::{Clock, Now};

/// Options of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Report the changes without making them.
    pub dry_run: bool,
    /// Replace usernames that are taken or not allowed here with neutral ones.
    pub make_usernames: bool,
    /// Give the user's id in Django to an account with the same address that was not imported.
    pub link: bool,
    /// Import API tokens.
    pub tokens: bool,
    /// Keep hashes with fewer rounds than those of Django 1.11, until the owner signs in or sets a password.
    pub weak_hashes: bool,
    /// Send one email with a link to set a password to each user without a password or with a weak hash.
    pub send_resets: bool,
    /// Lifetime of imported API tokens, from the import on.
    pub token_life: Duration,
}

/// Result of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of users read.
    pub read: usize,
    /// Number of accounts created.
    pub created: usize,
    /// Number of accounts updated.
    pub updated: usize,
    /// Number of accounts that matched already.
    pub unchanged: usize,
    /// Number of users left alone, because their accounts were changed or deleted here since.
    pub kept: usize,
    /// Number of accounts that received the id of their user in Django.
    pub linked: usize,
    /// Number of created or updated accounts without a password: it was missing or not kept.
    pub without_password: usize,
    /// Number of created or updated accounts whose hash has fewer rounds than those of Django 1.11, kept or not.
    pub weak_hashes: usize,
    /// Number of users with a time without a zone, read as UTC because the mapping names no zone. Users from SQLite,
    /// where Django stores all times in UTC, are not counted.
    pub naive_times: usize,
    /// Number of API tokens imported.
    pub tokens: usize,
    /// Number of authenticator apps and passkeys imported.
    pub factors: usize,
    /// Number of recovery codes imported.
    pub recovery_codes: usize,
    /// Number of imported authenticator apps and passkeys that were removed because Django no longer has them.
    pub removed_factors: usize,
    /// Number of emails with a link to set a password.
    pub resets: usize,
    /// Changes of rights of existing accounts.
    pub rights: Vec<RightsChange>,
    /// Users that were not imported, with the reasons.
    pub refused: Vec<Problem>,
    /// Details of imported users that were not kept.
    pub notes: Vec<Problem>,
}

/// A change of a user's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightsChange {
    /// The id in Django, with its prefix.
    pub id: String,
    /// The right that changes.
    pub field: Right,
    /// The value before.
    pub before: String,
    /// The value after.
    pub after: String,
}

/// A problem of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The id in Django, with its prefix.
    pub id: String,
    /// The field concerned; none if it is not a single one.
    pub field: Option<&'static str>,
    /// The problem and its remedy.
    pub message: String,
}

/// Users to import.
#[derive(Debug)]
pub struct Import<'a> {
    /// The source, with its users.
    pub source: Source,
    /// The mapping of the source.
    pub mapping: &'a Mapping,
    /// Options of the import.
    pub options: Options,
    /// Dependencies of second factors.
    pub second_factor: SecondFactorRules<'a>,
}

/// Imports users for the operator. After a failure, `report` has the result of the batches that were committed.
///
/// # Errors
/// [`crate::error::Error::Unavailable`] if an address or username was taken in the meantime. The next run takes account
/// of it.
pub async fn take_over(
    db: &Db,
    clock: &Clock,
    input: Import<'_>,
    report: &mut Report,
    watch: &Watch<'_>,
) -> Result<()> {
    let Import { mut source, mapping, options, second_factor } = input;
    // A dry run is one transaction that is never committed: each batch must see the one before, and nobody else any.
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
            write::write(txn, &clock.now(), second_factor, entries, options, &mut done).await?;
        } else {
            let (txn, now) = begin(db, clock).await?;
            write::write(&txn, &now, second_factor, entries, options, &mut done).await?;
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
        // As for a spreadsheet: cached plans are from before the table grew.
        txn.execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan").await?;
    }
    Ok((txn, now))
}

async fn record(txn: &DatabaseTransaction, now: &Now) -> Result<()> {
    audit::record(txn, now, Event::by_operator(Action::UsersImported, None)).await
}

impl Report {
    fn has_changes(&self) -> bool {
        let factors = self.factors + self.recovery_codes + self.removed_factors;
        self.created + self.updated + self.linked + self.tokens + self.resets + factors > 0
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
        self.factors += other.factors;
        self.recovery_codes += other.recovery_codes;
        self.removed_factors += other.removed_factors;
        self.resets += other.resets;
        self.rights.extend(other.rights);
        self.refused.extend(other.refused);
        self.notes.extend(other.notes);
    }
}
