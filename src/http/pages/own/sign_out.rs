//! Ending the session of the browser, or all sessions of its user.

use axum::http::header;
use axum::response::Response;

use super::super::view::{Form, Section, View};
use super::super::{Sent, Visit, form};
use crate::domain::auth::sessions::{self, Logout, SessionProof};
use crate::error::{Error, Result};
use crate::graphql::context::CookieChange;
use crate::http::refresh_cookie;
use crate::texts::Text;

const SIGNED_OUT: &str = "/account/sign-in?done=signed-out";

/// `GET /account/sign-out`: asks for a click, because any page can link here.
pub(in crate::http::pages) async fn form_page(mut visit: Visit) -> Response {
    match visit.caller().await {
        Ok(_) => visit.show(&view()),
        Err(Error::Unauthenticated(_)) => visit.reload().unwrap_or_else(|| visit.go_on(SIGNED_OUT)),
        Err(error) => visit.refuse(view(), error),
    }
}

/// `POST /account/sign-out`: with the field `everywhere`, ends all sessions. A session that has ended already counts as
/// signed out.
pub(in crate::http::pages) async fn sign_out(sent: Sent) -> Response {
    let visit = &sent.visit;
    match end(visit, !sent.field("everywhere").is_empty()).await {
        // The browser has no use for a token that is no longer accepted.
        Ok(()) | Err(Error::Refused(_)) => signed_out(visit, visit.go_on(SIGNED_OUT)),
        Err(error) => visit.refuse(view(), error),
    }
}

/// The response with the session removed from the browser.
pub(super) fn signed_out(visit: &Visit, mut response: Response) -> Response {
    let gone = refresh_cookie::write(&CookieChange::Clear, &visit.app.public_url, visit.now.at);
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}

async fn end(visit: &Visit, everywhere: bool) -> Result<()> {
    let Some(token) = visit.refresh_token() else { return Ok(()) };
    let logout = Logout { by: SessionProof::RefreshToken(token), everywhere };
    sessions::logout(&visit.app.db, &visit.now, &visit.client, &visit.app.config.sessions, logout).await
}

fn view() -> View {
    let everywhere = Form {
        hidden: vec![("everywhere", "1".to_owned())],
        is_quiet: true,
        ..form("/account/sign-out", Text::new("page-button-sign-out-everywhere"))
    };
    View {
        paragraphs: vec![Text::new("page-sign-out-effect")],
        form: Some(form("/account/sign-out", Text::new("page-button-sign-out"))),
        sections: vec![Section {
            paragraphs: vec![Text::new("page-sign-out-everywhere-effect")],
            forms: vec![everywhere],
            ..Section::untitled()
        }],
        ..View::own(Text::new("page-sign-out-title"))
    }
}
