//! `/console`: pages for staff. A screen is a file here, a template in `templates/console/`, its routes below and, if it
//! is in the navigation, a variant of [`shell::Screen`] and a line in `shell::SCREENS`.
//!
//! A handler takes a [`StaffVisit`] or a [`StaffForm`], so that only staff reach it. It calls the same functions of
//! `domain/` as GraphQL, and shows a page that contains a [`shell::Shell`].

// The audit trail.
mod audit;
// Charts of numbers by day.
mod chart;
// Fields of forms.
mod fields;
// The form of a dry run of an import.
mod import_form;
// An import.
mod import_job;
// Imports of users.
mod imports;
// Lists in the address: search, filter, order and page.
mod list_query;
// The outbox.
mod mails;
// Creating a user.
mod new_user;
// Figures and charts.
mod overview;
// Lists with filters and cursors.
mod pager;
// Questions before an action.
mod question;
// Actions on several users.
mod selected;
// Parts of all screens.
mod shell;
// Proof of identity before sensitive actions.
mod step_up;
// The installation.
mod system;
// Tables.
mod table;
// Times on pages.
mod time;
// Reasons for failing sign-ins.
mod trouble;
// A user.
mod user;
// Actions on a user.
mod user_actions;
// The parts of a user's page.
mod user_parts;
// Files that are sent by forms.
mod upload;
// The list of users.
mod users;
// Names of enumerations.
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;

use super::view::View;
use super::{Sent, Visit, assets, last};
use crate::app::App;
use crate::domain::auth::identity::{Caller, Manager};
use crate::error::{Error, Result};
use crate::texts::Text;

/// Maximum size of a form, in bytes: all details of a user with their previous values, each character encoded.
const MAX_FORM: usize = 128 * 1024;

/// Routes of the console.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/console", get(overview::show))
        .route("/console/console.css", get(async || assets::CONSOLE_STYLE.response()))
        .route("/console/console.js", get(async || assets::CONSOLE_SCRIPT.response()))
        .route("/console/mails", get(mails::list))
        .route("/console/mails/selected", get(mails::list).post(mails::act))
        .route("/console/audit", get(audit::list))
        .route("/console/system", get(system::show))
        .route("/console/users", get(users::list))
        .route("/console/users/selected", get(users::list_instead).post(selected::act))
        .route("/console/users/new", get(new_user::form).post(new_user::create))
        .route("/console/users/{id}", get(user::show).post(user::save))
        .route("/console/import", get(imports::list).post(imports::upload))
        .route("/console/import/{id}", get(import_job::show).post(import_job::check))
        .route("/console/import/{id}/apply", get(import_job::show).post(import_job::apply))
        .route("/console/import/{id}/marked.xlsx", get(import_job::marked))
        .route("/console/users/{id}/{action}", get(user_actions::ask).post(user_actions::act))
}

/// A page of the console, requested by staff. Other browsers are sent to the sign-in, other users get an explanation.
pub(super) struct StaffVisit {
    visit: Visit,
    caller: Caller,
}

impl FromRequestParts<Arc<App>> for StaffVisit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let visit = Visit::from_request_parts(parts, app).await?;
        Self::authenticate(visit, parts).await
    }
}

impl StaffVisit {
    async fn authenticate(mut visit: Visit, parts: &Parts) -> Result<Self, Response> {
        let caller = match visit.caller().await {
            Ok(caller) => caller,
            Err(Error::Unauthenticated(_)) => {
                return Err(visit.reload().unwrap_or_else(|| visit.detour("/account/sign-in")));
            }
            Err(error) => return Err(visit.refuse(View::new(Text::new("console-title")), error)),
        };
        match caller.manager().map(drop) {
            Ok(()) => Ok(Self { visit, caller }),
            Err(error) => {
                let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
                visit.app.refused_rights.note(&visit.now, Some(&caller), route, "FORBIDDEN");
                Err(visit.refuse(outside(&error), error))
            }
        }
    }

    /// The proof of rights.
    fn staff(&self) -> Result<Manager<'_>> {
        self.caller.manager()
    }
}

/// Page for a user who may not use the console.
fn outside(error: &Error) -> View {
    let links = match error {
        Error::EnrollmentRequired => vec![(Text::new("page-link-own-security"), "/account/security".to_owned())],
        _ => vec![(Text::new("console-link-switch"), "/account/sign-in?switch=1&returnTo=/console".to_owned())],
    };
    View { paragraphs: vec![Text::new("console-staff-only")], links, ..View::new(Text::new("console-title")) }
}

/// A form sent by staff. If it contains a proof of identity, that was checked before.
pub(super) struct StaffForm {
    staff: StaffVisit,
    /// Its path on this service.
    path: String,
    fields: Vec<(String, String)>,
}

impl FromRequest<Arc<App>> for StaffForm {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let own = parts.clone();
        let sent = Sent::receive(Request::from_parts(parts, body), app, MAX_FORM).await?;
        let staff = StaffVisit::authenticate(sent.visit, &own).await?;
        let form = Self { staff, path: own.uri.path().to_owned(), fields: sent.fields };
        Box::pin(step_up::prove(form)).await
    }
}

impl StaffForm {
    /// Value of a field; empty if missing.
    fn field(&self, name: &str) -> &str {
        last(&self.fields, name)
    }

    /// Value of a field; none if the form does not have it.
    fn given(&self, name: &str) -> Option<&str> {
        self.fields.iter().any(|(key, _)| key == name).then(|| self.field(name))
    }

    /// All values of a field.
    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The response to a request for something that does not exist, or that this user may not see.
fn missing(staff: &StaffVisit) -> Response {
    let mut response = staff.visit.refuse(
        View {
            links: vec![(Text::new("console-link-users"), "/console/users".to_owned())],
            ..View::new(Text::new("console-missing-title"))
        },
        crate::error::Refusal::new(crate::error::Code::NotFound, "console-missing").into(),
    );
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
