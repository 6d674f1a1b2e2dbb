//! An import: the meaning of its headings, the report of its dry run, and its application.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use super::super::Failure;
use super::super::frame::Frame;
use super::import_form::{self, ColumnField, KEYS};
use super::imports;
use super::shell::{Page, Screen, Shell};
use super::table::{Cell, Table};
use super::time::Time;
use super::{StaffForm, StaffVisit, missing};
use crate::domain::import::spreadsheet::jobs::Report;
use crate::domain::import::spreadsheet::problems::RowError;
use crate::domain::import::spreadsheet::{Right, RightsChange};
use crate::entity::import_job::{Model, State};
use crate::error::Result;
use crate::http::routes::exports::download;
use crate::http::routes::import::{MARKED, marked_body};
use crate::texts::Text;

/// Number of rows of a table. The rest is in the marked workbook, and in the API.
const ROWS: usize = 100;

/// `GET /console/import/{id}`
pub(super) async fn show(Path(id): Path<String>, staff: StaffVisit) -> Response {
    page(&staff, &id, None).await
}

/// `POST /console/import/{id}`: a dry run.
pub(super) async fn check(Path(id): Path<String>, form: StaffForm) -> Response {
    let begun = async {
        let options = import_form::options(&form)?;
        let visit = &form.staff.visit;
        visit.app.import_jobs().check(&visit.now, *form.staff.staff()?, &id, &options).await
    };
    let begun = begun.await;
    shown(&form, &id, begun).await
}

/// `POST /console/import/{id}/apply`
pub(super) async fn apply(Path(id): Path<String>, form: StaffForm) -> Response {
    let visit = &form.staff.visit;
    let begun = async { visit.app.import_jobs().apply(&visit.now, *form.staff.staff()?, &id).await };
    let begun = begun.await;
    shown(&form, &id, begun).await
}

/// The page of an import after a step has begun, or was refused.
async fn shown(form: &StaffForm, id: &str, begun: Result<Model>) -> Response {
    match begun {
        Ok(job) => form.staff.visit.redirect(&format!("/console/import/{}", job.id)),
        Err(error) if StaffForm::needs_proof(&error) => form.ask_for_proof(None).await,
        Err(error) => page(&form.staff, id, Some((error.into(), Some(form)))).await,
    }
}

/// `GET /console/import/{id}/marked.xlsx`
pub(super) async fn marked(Path(id): Path<String>, staff: StaffVisit) -> Response {
    let app = &staff.visit.app;
    let written =
        async { app.import_jobs().marked(&staff.visit.now, *staff.staff()?, &id, &app.config.data_dir).await };
    match written.await {
        Ok(file) => download(&staff.visit.now, MARKED, "xlsx", marked_body(file)),
        Err(error) => page(&staff, &id, Some((error.into(), None))).await,
    }
}

#[derive(Template)]
#[template(path = "console/import_job.html", config = "src/http/pages/askama.toml")]
struct JobPage<'a> {
    frame: Frame<'a>,
    shell: Shell,
    job: Model,
    columns: Vec<ColumnField>,
    /// Time of the deletion of the file.
    expires: Option<Time>,
    /// Number of errors, if there is a marked workbook.
    marked: Option<u64>,
    tables: Vec<Table>,
}

impl Page for JobPage<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}

impl JobPage<'_> {
    fn is_running(&self) -> bool {
        State::UNDER_WAY.contains(&self.job.state)
    }

    /// Kind and label of the state.
    fn state(&self) -> (&'static str, String) {
        let (kind, label) = imports::state(self.job.state);
        (kind, label.english())
    }

    /// Meaning of the state, and the next step.
    fn explanation(&self) -> String {
        let is_own = self.expires.is_some();
        let text = match self.job.state {
            State::Uploaded if is_own => Text::new("console-import-explain-uploaded"),
            State::Refused if is_own => Text::new("console-import-explain-refused"),
            State::Checked if is_own => Text::new("console-import-explain-checked"),
            State::Checking => Text::new("console-import-explain-checking"),
            State::Applying => Text::new("console-import-explain-applying"),
            State::Applied => Text::new("console-import-explain-applied"),
            State::Failed if is_own => Text::new("console-import-explain-failed"),
            State::Uploaded | State::Refused | State::Checked | State::Failed => {
                Text::new("console-import-explain-gone")
            }
        };
        text.english()
    }

    /// Numbers of a dry run or an application, with their labels.
    fn counts(&self) -> Vec<(i32, String)> {
        let counts = [
            (self.job.created, Text::new("console-import-created")),
            (self.job.updated, Text::new("console-import-updated")),
            (self.job.unchanged, Text::new("console-import-unchanged")),
        ];
        let known = counts.into_iter().filter_map(|(count, label)| Some((count?, label.english())));
        known.collect()
    }

    /// True if the user may start a dry run.
    fn can_check(&self) -> bool {
        let is_ready = !self.is_running() && self.job.state != State::Applied;
        is_ready && self.expires.is_some() && !self.columns.is_empty()
    }

    /// True if the user may apply it.
    fn can_apply(&self) -> bool {
        self.job.state == State::Checked && self.expires.is_some()
    }

    /// Keys with their labels, and true for the chosen one.
    fn keys(&self) -> impl Iterator<Item = (&'static str, String, bool)> {
        KEYS.into_iter().map(|key| {
            let (value, label) = import_form::match_by(key);
            (value, label.english(), key == self.job.match_by)
        })
    }
}

/// Shows an import, also after a failure with the form that failed.
async fn page(staff: &StaffVisit, id: &str, failure: Option<(Failure, Option<&StaffForm>)>) -> Response {
    match try_page(staff, id, failure.as_ref()).await {
        Ok(Some(page)) => {
            let response = staff.show(&page);
            match failure {
                Some((failure, _)) => failure.delay(response),
                None => response,
            }
        }
        Ok(None) => missing(staff),
        Err(error) => staff.refuse(Screen::Import, error),
    }
}

async fn try_page<'a>(
    staff: &'a StaffVisit,
    id: &str,
    failure: Option<&(Failure, Option<&StaffForm>)>,
) -> Result<Option<JobPage<'a>>> {
    let (visit, viewer) = (&staff.visit, staff.staff()?);
    let jobs = visit.app.import_jobs();
    let Some(job) = jobs.find(*viewer, id).await? else { return Ok(None) };
    let expires = jobs.expires_at(&visit.now, *viewer, &job).await?.map(Time::minute);
    let mut columns = Vec::new();
    if let Some(found) = jobs.inspection(&visit.now, *viewer, &job).await? {
        // The meaning of the last dry run, or the suggested one.
        let found = found.with(&crate::domain::import::spreadsheet::jobs::options(&job)?.mapping, job.match_by);
        columns = found.columns.into_iter().enumerate().map(ColumnField::of).collect();
    }
    let report = jobs.report(&visit.now, *viewer, &job).await?.unwrap_or_default();
    let total = report.problems.total;
    let mut shell = Shell::new(Screen::Import, job.file_name.clone());
    if let Some((failure, form)) = failure {
        shell = shell.failing(failure);
        for column in &mut columns {
            column.keep(*form);
        }
    }
    let tables = if State::UNDER_WAY.contains(&job.state) { Vec::new() } else { tables(report) };
    let marked = (total > 0 && job.state == State::Refused).then_some(total);
    Ok(Some(JobPage { frame: staff.frame(), shell, job, columns, expires, marked, tables }))
}

/// The parts of a report that are not empty.
fn tables(report: Report) -> Vec<Table> {
    let Report { rights, new_rights, gone_rights, problems, .. } = report;
    let differences = [(new_rights, true), (gone_rights, false)].into_iter().flat_map(|(changes, is_new)| {
        let what = if is_new { Text::new("console-import-new") } else { Text::new("console-import-gone") };
        let marked = move |change| std::iter::once(Cell::Plain(what.english())).chain(right(change)).collect();
        changes.into_iter().map(marked)
    });
    let none = || Text::new("console-import-none");
    let rights_columns = || {
        vec![
            Text::new("console-import-row"),
            Text::new("console-label-email"),
            Text::new("console-import-right"),
            Text::new("console-import-before"),
            Text::new("console-import-after"),
        ]
    };
    let differing = [vec![Text::new("console-import-difference")], rights_columns()].concat();
    let kinds_columns = vec![
        Text::new("console-import-count"),
        Text::new("console-import-column"),
        Text::new("console-import-problem"),
        Text::new("console-import-first"),
    ];
    let errors_columns = vec![
        Text::new("console-import-row"),
        Text::new("console-import-column"),
        Text::new("console-import-value"),
        Text::new("console-import-problem"),
        Text::new("console-import-collides"),
    ];
    let kinds = problems.kinds.into_iter().map(|kind| {
        vec![
            Cell::Plain(kind.count.to_string()),
            Cell::Plain(kind.column.unwrap_or_else(|| "–".to_owned())),
            Cell::Plain(kind.message),
            Cell::Plain(kind.first_row.to_string()),
        ]
    });
    let rights_title = Text::new("console-import-rights").with("count", rights.len());
    let errors_title = Text::new("console-import-errors").with("count", problems.total);
    let tables = [
        Table::new("differences", Text::new("console-import-differences"), none(), differing)
            .with_rows(differences.take(ROWS)),
        Table::new("kinds", Text::new("console-import-kinds"), none(), kinds_columns).with_rows(kinds),
        Table::new("errors", errors_title, none(), errors_columns)
            .with_rows(problems.list.into_iter().take(ROWS).map(error)),
        Table::new("rights", rights_title, none(), rights_columns())
            .with_rows(rights.into_iter().take(ROWS).map(right)),
    ];
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

fn right(change: RightsChange) -> Vec<Cell> {
    let RightsChange { row, user, email, field, before, after } = change;
    let label = match field {
        Right::Role => Text::new("console-label-role"),
        Right::Permission => Text::new("console-label-permission"),
        Right::Staff => Text::new("console-label-staff"),
    };
    let email = match user {
        Some(id) => Cell::Linked(format!("/console/users/{id}"), email),
        None => Cell::Plain(email),
    };
    let before = before.unwrap_or_else(|| Text::new("console-import-new-account").english());
    vec![Cell::Plain(row.to_string()), email, Cell::Plain(label.english()), Cell::Plain(before), Cell::Plain(after)]
}

fn error(error: RowError) -> Vec<Cell> {
    let other = match (error.other_row, error.other_user) {
        (Some(row), _) => Cell::Plain(Text::new("console-import-other-row").with("row", u64::from(row)).english()),
        (None, Some(id)) => {
            Cell::Linked(format!("/console/users/{id}"), Text::new("console-import-other-user").english())
        }
        (None, None) => Cell::Plain("–".to_owned()),
    };
    vec![
        Cell::Plain(error.row.to_string()),
        Cell::Plain(error.column.unwrap_or_else(|| "–".to_owned())),
        Cell::Plain(error.value.unwrap_or_else(|| Text::new("console-import-no-value").english())),
        Cell::Plain(error.message),
        other,
    ]
}
