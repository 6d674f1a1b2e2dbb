//! Download of the user's own data.

use axum::response::Response;

use super::super::view::{Form, Section, View};
use super::super::{form, without_fields};
use super::{OwnForm, OwnVisit};
use crate::domain::auth::identity::SessionUser;
use crate::error::Result;
use crate::http::routes::exports;
use crate::texts::Text;

/// `GET /account/data`. A proof that is due comes first, so that the download itself starts with a click.
pub(in crate::http::pages) async fn page(own: OwnVisit) -> Response {
    let proved = |owner: SessionUser<'_>| Ok(owner.check_recent_proof(&own.visit.now)?);
    let shown = own.caller.session_user().and_then(proved).map(|()| view());
    own.show(shown, Text::new("page-data-title"))
}

/// `POST /account/data/download`
pub(in crate::http::pages) async fn download(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let exported: Result<Response> =
        async { exports::own_data(&visit.app, &visit.now, own.caller.session_user()?).await }.await;
    exported.unwrap_or_else(|error| own.fail(view(), without_fields(error)))
}

fn view() -> View {
    let download = Form { is_download: true, ..form("/account/data/download", Text::new("page-button-data-download")) };
    View {
        paragraphs: vec![Text::new("page-data-effect"), Text::new("page-data-contents")],
        sections: vec![Section { forms: vec![download], ..Section::untitled() }],
        ..View::own(Text::new("page-data-title"))
    }
}
