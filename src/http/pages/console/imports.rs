//! Imports of users: uploading a file, and the history.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::Response;

use super::super::frame::Frame;
use super::super::{Failure, Visit};
use super::import_form::match_by;
use super::shell::{Page, Screen, Shell};
use super::table::{Cell, Table};
use super::time::Time;
use super::{StaffVisit, upload};
use crate::app::App;
use crate::domain::paging::PageArgs;
use crate::domain::users;
use crate::entity::import_job::{Model, State as JobState};
use crate::error::Result;
use crate::texts::Text;

/// Number of imports in the history.
const ROWS: i32 = 50;

/// `GET /console/import`
pub(super) async fn list(staff: StaffVisit) -> Response {
    show(&staff, None).await
}

/// `POST /console/import`
pub(super) async fn upload(State(app): State<Arc<App>>, request: Request) -> Result<Response, Response> {
    let (mut parts, body) = request.into_parts();
    let visit = Visit::from_request_parts(&mut parts, &app).await?;
    let staff = StaffVisit::authenticate(visit, &parts).await?;
    let sheet = upload::receive(&staff, &parts.headers, body).await?;
    let started = async {
        let viewer = staff.staff()?;
        app.import_jobs().start(&staff.visit.now, *viewer, sheet?).await
    };
    match started.await {
        Ok(job) => Ok(staff.visit.redirect(&format!("/console/import/{}", job.id))),
        Err(error) => Ok(show(&staff, Some(error.into())).await),
    }
}

#[derive(Template)]
#[template(path = "console/imports.html", config = "src/http/pages/askama.toml")]
struct ImportsPage<'a> {
    frame: Frame<'a>,
    shell: Shell,
    table: Table,
}

impl Page for ImportsPage<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}

async fn show(staff: &StaffVisit, failure: Option<Failure>) -> Response {
    let mut shell = Shell::new(Screen::Import, Text::new("console-import-title").english());
    if let Some(failure) = &failure {
        shell = shell.failing(failure);
    }
    let table = match history(staff).await {
        Ok(table) => table,
        Err(error) => return staff.refuse(Screen::Import, error),
    };
    let response = staff.show(&ImportsPage { frame: staff.frame(), shell, table });
    match failure {
        Some(failure) => failure.delay(response),
        None => response,
    }
}

/// The imports by all staff, newest first.
async fn history(staff: &StaffVisit) -> Result<Table> {
    let (app, viewer) = (&staff.visit.app, staff.staff()?);
    let args = PageArgs { first: Some(ROWS), ..PageArgs::default() };
    let jobs: Vec<Model> = app.import_jobs().page(*viewer, &args).await?.rows.into_iter().map(|(job, _)| job).collect();
    let ids: Vec<_> = jobs.iter().filter_map(|job| job.user_id).collect();
    let names = users::list::find_many(&app.db, &viewer, &ids).await?;
    let columns = vec![
        Text::new("console-import-file"),
        Text::new("console-import-when"),
        Text::new("console-import-by"),
        Text::new("console-import-key"),
        Text::new("console-import-state"),
        Text::new("console-import-result"),
    ];
    let rows = jobs.iter().map(|job| {
        let by = job.user_id.and_then(|id| names.get(&id)).map(crate::entity::user::Model::name);
        let (kind, label) = state(job.state);
        vec![
            Cell::Linked(format!("/console/import/{}", job.id), job.file_name.clone()),
            Cell::At(Some(Time::minute(job.created_at))),
            Cell::Plain(by.unwrap_or_else(|| "–".to_owned())),
            Cell::Plain(match_by(job.match_by).1.english()),
            Cell::State(kind, label.english()),
            Cell::Plain(result(job)),
        ]
    });
    let empty = Text::new("console-import-history-none");
    Ok(Table::new("history", Text::new("console-import-history"), empty, columns).with_rows(rows))
}

/// The numbers of an import.
fn result(job: &Model) -> String {
    let number = |count: Option<i32>| u64::try_from(count.unwrap_or_default()).unwrap_or_default();
    match job.state {
        JobState::Refused => {
            let errors = u64::try_from(job.errors).unwrap_or_default();
            Text::new("console-import-errors-count").with("errors", errors).english()
        }
        JobState::Checked | JobState::Applied => Text::new("console-import-counts")
            .with("created", number(job.created))
            .with("updated", number(job.updated))
            .with("unchanged", number(job.unchanged))
            .english(),
        JobState::Uploaded | JobState::Checking | JobState::Applying | JobState::Failed => "–".to_owned(),
    }
}

/// Kind and label of a state.
pub(super) fn state(state: JobState) -> (&'static str, Text) {
    match state {
        JobState::Uploaded => ("", Text::new("console-import-uploaded")),
        JobState::Checking => ("warn", Text::new("console-import-checking")),
        JobState::Checked => ("good", Text::new("console-import-checked")),
        JobState::Refused => ("bad", Text::new("console-import-refused")),
        JobState::Applying => ("warn", Text::new("console-import-applying")),
        JobState::Applied => ("good", Text::new("console-import-applied")),
        JobState::Failed => ("bad", Text::new("console-import-failed")),
    }
}
