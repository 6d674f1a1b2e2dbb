//! Pages of a signed-in user. A browser is signed in by its refresh cookie, which these pages do not exchange.

// The entrance to the other pages.
pub(super) mod overview;
// A new proof of identity.
pub(super) mod prove;
// Ending the session of the browser.
pub(super) mod sign_out;

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::Response;

use super::view::View;
use super::{Sent, Visit};
use crate::app::App;
use crate::domain::auth::identity::{Caller, SessionUser};
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
}

/// A form sent by a signed-in browser.
pub(super) struct OwnForm {
    pub(super) sent: Sent,
    pub(super) caller: Caller,
}

impl FromRequest<Arc<App>> for OwnForm {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let mut sent = Sent::from_request(request, app).await?;
        let caller = caller(&mut sent.visit).await?;
        Ok(Self { sent, caller })
    }
}

impl OwnForm {
    /// The user, who may have to enrol a second factor first.
    pub(super) fn user(&self) -> Result<SessionUser<'_>> {
        self.caller.enrolling_user()
    }

    /// The response to a failed form. If a proof is due, its page comes first.
    pub(super) fn fail(&self, view: View, error: Error) -> Response {
        let visit = &self.sent.visit;
        match error {
            Error::Refused(refusals) if refusals.iter().any(|one| one.code == Code::ReauthenticationRequired) => {
                visit.redirect("/account/prove")
            }
            error => visit.refuse(view, error),
        }
    }
}

/// The user of the refresh cookie, or a redirect to the sign-in.
async fn caller(visit: &mut Visit) -> Result<Caller, Response> {
    match visit.caller().await {
        Ok(caller) => Ok(caller),
        Err(Error::Unauthenticated(_)) => Err(visit.redirect("/account/sign-in?then=security")),
        Err(error) => Err(visit.refuse(View::new(Text::new("page-account-title")), error)),
    }
}
