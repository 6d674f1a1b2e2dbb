//! Dry runs and applications of kept imports, in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{DatabaseBackend, EntityTrait as _};
use tokio::time::sleep;

use super::{Approval, Jobs, Report, counted, update};
use crate::domain::auth::identity::Caller;
use crate::domain::import::spreadsheet::rights::RightsChange;
use crate::domain::import::spreadsheet::{self, Aim, Counts, ImportedBy, Outcome, Progress, TURN, problems::Problems};
use crate::domain::leases;
use crate::entity::api_token::Scope;
use crate::entity::import_file;
use crate::entity::import_job::{Column, Model, State};
use crate::error::{Error, Result};
use crate::texts::Text;

/// Interval between attempts to get the turn while another import runs.
const RETRY: Duration = Duration::from_millis(500);

/// Interval between records of the progress, which other instances read, and by which a dead process is noticed.
const RECORD: Duration = Duration::from_secs(1);

/// Attempts to record the end of a step while the database does not respond.
const ATTEMPTS: u32 = 10;

/// End of a step: the state of the import, with its report.
struct End {
    state: State,
    failure: Option<Text>,
    counts: Option<Counts>,
    report: Option<Report>,
}

impl Jobs {
    /// Continues a step in the background, as the caller who began it.
    pub(super) fn spawn(&self, caller: Caller, job: Model) {
        let jobs = self.clone();
        let percent = self.importer.under_way.begin(job.id);
        tokio::spawn(async move {
            let recording = tokio::spawn(record_progress(jobs.clone(), job.clone(), Arc::clone(&percent)));
            let end = match jobs.work(&caller, &job, &percent).await {
                Ok(end) => end,
                Err(error) => End { state: State::Failed, failure: Some(explain(error)), counts: None, report: None },
            };
            recording.abort();
            jobs.finish(&job, end).await;
            jobs.importer.under_way.end(job.id);
        });
    }

    async fn work(&self, caller: &Caller, job: &Model, percent: &AtomicI32) -> Result<End> {
        let kept = import_file::Entity::find_by_id(job.id).one(self.db.reader()).await?;
        let kept = kept.ok_or_else(super::file_gone)?;
        let file = self.unseal(job.id, "file", &kept.file).ok_or_else(super::file_gone)?;
        let is_application = job.state == State::Applying;
        let before = if is_application { self.open_report(kept).await?.unwrap_or_default().rights } else { Vec::new() };
        let approval = Approval { job: job.id, rights: before };
        let aim = if is_application { Aim::Apply(&approval) } else { Aim::DryRun };
        let by = ImportedBy::Staff(caller.viewer(Scope::Write)?.staff()?);
        let options = super::options(job)?;
        let (_own, turn) = self.take_turn().await?;
        let watch = |progress| match progress {
            // Reading is the first tenth; its total is unknown.
            Progress::Read(rows) => percent.store(i32::from(rows > 0) * 5, Ordering::Relaxed),
            Progress::Done(done, of) => {
                // A dry run ends after the first half of the steps.
                let of = if is_application { of } else { of / 2 };
                let done = 10 + done.min(of) * 89 / of.max(1);
                percent.store(i32::try_from(done).unwrap_or(99), Ordering::Relaxed);
            }
        };
        let input = (file, &options, aim);
        let outcome = spreadsheet::import_in_turn(&self.db, &self.clock.now(), &self.importer, by, input, &watch).await;
        turn.end().await;
        Ok(end(is_application, &approval.rights, outcome?))
    }

    /// Waits until no other import runs.
    async fn take_turn(&self) -> Result<(tokio::sync::SemaphorePermit<'_>, leases::Lease)> {
        let own = self.importer.turn.acquire().await.map_err(Error::internal)?;
        loop {
            if let Some(turn) = leases::take(&self.db, self.clock, TURN).await? {
                return Ok((own, turn));
            }
            sleep(RETRY).await;
        }
    }

    /// Records the end of a step. If the database does not respond, this is repeated; maintenance ends the step of a
    /// process that died.
    async fn finish(&self, job: &Model, end: End) {
        for _ in 0..ATTEMPTS {
            match self.record_end(job, &end).await {
                Ok(()) => return,
                Err(error) => tracing::error!(?error, "recording the end of an import failed; will retry"),
            }
            sleep(RECORD).await;
        }
    }

    async fn record_end(&self, job: &Model, end: &End) -> Result<()> {
        if let Some(report) = &end.report {
            self.keep_report(job, report.clone()).await?;
        }
        if end.state == State::Applied {
            // Recorded in the transaction of the changes.
            return Ok(());
        }
        let failure = end.failure.as_ref().map(Text::english);
        let mut ended = update(job.id, &[job.state])
            .col_expr(Column::State, Expr::value(end.state))
            .col_expr(Column::Failure, Expr::value(failure))
            .col_expr(Column::Percent, Expr::value(100))
            .col_expr(Column::SeenAt, Expr::value(self.clock.now().at));
        if let Some(report) = &end.report {
            let rights = i32::try_from(report.rights.len()).unwrap_or(i32::MAX);
            let errors = i64::try_from(report.problems.total).unwrap_or(i64::MAX);
            ended = ended
                .col_expr(Column::RightsChanges, Expr::value(rights))
                .col_expr(Column::Errors, Expr::value(errors));
        }
        let ended = match end.counts {
            Some(counts) => counted(ended, counts),
            None => [Column::Created, Column::Updated, Column::Unchanged]
                .into_iter()
                .fold(ended, |ended, column| ended.col_expr(column, Expr::value(Option::<i32>::None))),
        };
        ended.exec(self.db.writer()).await?;
        Ok(())
    }
}

/// The end of a step with this outcome.
fn end(is_application: bool, before: &[RightsChange], outcome: Outcome) -> End {
    match outcome {
        Outcome::Done(counts, rights, sheets) => {
            let state = if is_application { State::Applied } else { State::Checked };
            let report = Report { sheets, rights, ..Report::default() };
            End { state, failure: None, counts: Some(counts), report: Some(report) }
        }
        Outcome::Refused(problems, sheets) => {
            let report = Report { sheets, problems, ..Report::default() };
            End { state: State::Refused, failure: None, counts: None, report: Some(report) }
        }
        Outcome::Outdated(counts, rights, sheets) => {
            let beyond = |these: &[RightsChange], those: &[RightsChange]| -> Vec<RightsChange> {
                // Both have at most three entries for each row, in the order of the rows.
                let known: std::collections::HashSet<_> = those.iter().collect();
                these.iter().filter(|change| !known.contains(change)).cloned().collect()
            };
            let (new_rights, gone_rights) = (beyond(&rights, before), beyond(before, &rights));
            let report = Report { sheets, rights, new_rights, gone_rights, problems: Problems::default() };
            let failure = Some(Text::new("import-rights-changed"));
            End { state: State::Checked, failure, counts: Some(counts), report: Some(report) }
        }
    }
}

/// Records the progress of a step until it is aborted. On SQLite the import itself occupies the writer, and there are no
/// other instances.
async fn record_progress(jobs: Jobs, job: Model, percent: Arc<AtomicI32>) {
    while jobs.db.backend() == DatabaseBackend::Postgres {
        sleep(RECORD).await;
        let seen = update(job.id, &[job.state])
            .col_expr(Column::Percent, Expr::value(percent.load(Ordering::Relaxed)))
            .col_expr(Column::SeenAt, Expr::value(jobs.clock.now().at));
        if let Err(error) = seen.exec(jobs.db.writer()).await {
            tracing::warn!(?error, "recording the progress of an import failed; will retry");
        }
    }
}

/// The reason of a failure, for the user.
fn explain(error: Error) -> Text {
    match error {
        Error::Refused(refusals) => {
            refusals.into_iter().next().map_or(Text::new("input-rejected"), |refusal| refusal.text)
        }
        Error::Unauthenticated(_) => Text::new("import-session-ended"),
        Error::Forbidden | Error::EnrollmentRequired => Text::new("no-permission"),
        Error::Unavailable(_) | Error::RateLimited(_) | Error::ImportRunning(_) => Text::new("service-busy"),
        Error::BadInput(_) | Error::Command(_) | Error::Internal(_) => {
            tracing::error!(?error, "import failed with an internal error");
            Text::new("internal-error")
        }
    }
}
