//! Pages of a signed-in user. A browser is signed in by its refresh cookie, which these pages do not exchange.

// The user's API tokens.
pub(super) mod api_tokens;
// Download of the user's own data.
pub(super) mod data;
// The email address.
pub(super) mod email;
// Deactivating and deleting the account.
pub(super) mod leave;
// The entrance to the other pages.
pub(super) mod overview;
// The photo.
pub(super) mod photo;
// Names and other details.
pub(super) mod profile;
// A new proof of identity.
pub(super) mod prove;
// The devices that are signed in.
pub(super) mod sessions;
// Ending the session of the browser.
pub(super) mod sign_out;

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::Response;

use super::view::View;
use super::{Sent, Visit, frame};
use crate::app::App;
use crate::domain::auth::identity::{Caller, SessionUser, Viewer};
use crate::entity::api_token::Scope;
use crate::error::{Code, Error, Result};
use crate::texts::Text;

/// A page requested by a signed-in browser; others are sent to the sign-in.
pub(super) struct OwnVisit {
    pub(super) visit: Visit,
    pub(super) caller: Caller,
}

impl FromRequestParts<Arc<App>> for OwnVisit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let mut visit = Visit::from_request_parts(parts, app).await?;
        let caller = caller(&mut visit).await?;
        Ok(Self { visit, caller })
    }
}

impl OwnVisit {
    /// The user, who may have to enrol a second factor first.
    pub(super) fn user(&self) -> Result<SessionUser<'_>> {
        self.caller.enrolling_user()
    }

    /// The page, or the response to a request that failed.
    pub(super) fn show(&self, view: Result<View>, title: Text) -> Response {
        match view {
            Ok(view) => self.visit.show(&view),
            Err(error) => fail(&self.visit, View::own(title), error),
        }
    }
}

/// A form sent by a signed-in browser.
pub(super) struct OwnForm {
    pub(super) sent: Sent,
    pub(super) caller: Caller,
}

impl FromRequest<Arc<App>> for OwnForm {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let page = page_of(request.uri().path());
        let mut sent = Sent::from_request(request, app).await?;
        sent.visit.here = frame::address(app.public_url.path(), &page, sent.visit.return_to.as_ref());
        let caller = caller(&mut sent.visit).await?;
        Ok(Self { sent, caller })
    }
}

impl OwnForm {
    /// The user, who may have to enrol a second factor first.
    pub(super) fn user(&self) -> Result<SessionUser<'_>> {
        self.caller.enrolling_user()
    }

    /// The user, for changes of their details.
    pub(super) fn viewer(&self) -> Result<&Viewer> {
        self.caller.viewer(Scope::Write)
    }

    /// The response to a failed form.
    pub(super) fn fail(&self, view: View, error: Error) -> Response {
        fail(&self.sent.visit, view, error)
    }
}

/// The page that a form belongs to: the first part of its path below `/account`.
fn page_of(path: &str) -> String {
    path.split('/').take(3).collect::<Vec<_>>().join("/")
}

/// The response to a request that failed. If a proof or a second factor is due, its page comes first.
fn fail(visit: &Visit, view: View, error: Error) -> Response {
    match error {
        Error::Refused(refusals) if refusals.iter().any(|one| one.code == Code::ReauthenticationRequired) => {
            visit.detour("/account/prove")
        }
        Error::EnrollmentRequired => visit.detour("/account/security?done=enroll"),
        error => visit.refuse(view, error),
    }
}

/// The user of the refresh cookie, or a redirect to the sign-in.
async fn caller(visit: &mut Visit) -> Result<Caller, Response> {
    match visit.caller().await {
        Ok(caller) => Ok(caller),
        Err(Error::Unauthenticated(_)) => Err(visit.reload().unwrap_or_else(|| visit.detour("/account/sign-in"))),
        Err(error) => Err(visit.refuse(View::new(Text::new("page-account-title")), error)),
    }
}
