//! Who asks, and how refusals look, for routes that a signed-in user may call and that are not GraphQL.

use std::net::SocketAddr;
use std::sync::Arc;

use async_graphql::Pos;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::app::App;
use crate::domain::auth::identity::Caller;
use crate::error::{Error, Reason, Result};
use crate::graphql::errors::Failure;
use crate::http::middleware::RequestId;
use crate::http::{client_ip, graphql};
use crate::tools::clock::Now;

/// A signed-in caller of a route. Without one, the route is not reached.
pub(super) struct RequireCaller {
    /// When the request came.
    pub(super) now: Now,
    /// Who sent it.
    pub(super) caller: Caller,
    visit: Visit,
}

/// Whoever asks for what anyone may have, and some have more of.
pub(super) struct OptionalCaller {
    /// When the request came.
    pub(super) now: Now,
    /// Who sent it; none where it has no credential. With a wrong one, the route is not reached.
    pub(super) caller: Option<Caller>,
    visit: Visit,
}

/// A request for a route, as far as its refusal needs to know it.
struct Visit {
    app: Arc<App>,
    route: String,
    request_id: String,
}

impl Visit {
    fn refuse(&self, now: &Now, caller: Option<&Caller>, error: Error) -> Response {
        if matches!(error, Error::Forbidden) {
            self.app.refused_rights.note(now, caller, &self.route, "FORBIDDEN");
        }
        refusal(error, &self.request_id)
    }
}

impl OptionalCaller {
    /// The answer where the visitor does not get what they ask for.
    pub(super) fn refuse(&self, error: Error) -> Response {
        self.visit.refuse(&self.now, self.caller.as_ref(), error)
    }
}

impl RequireCaller {
    /// The answer where the caller does not get what they ask for.
    pub(super) fn refuse(&self, error: Error) -> Response {
        self.visit.refuse(&self.now, Some(&self.caller), error)
    }
}

impl FromRequestParts<Arc<App>> for RequireCaller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let OptionalCaller { now, caller, visit } = OptionalCaller::from_request_parts(parts, app).await?;
        match caller {
            Some(caller) => Ok(Self { now, caller, visit }),
            None => Err(refusal(Error::Unauthenticated(Reason::Missing), &visit.request_id)),
        }
    }
}

impl FromRequestParts<Arc<App>> for OptionalCaller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let peer = ConnectInfo::<SocketAddr>::from_request_parts(parts, app).await;
        let ConnectInfo(peer) = peer.map_err(axum::response::IntoResponse::into_response)?;
        let now = app.clock.now();
        let client = client_ip::of(peer, &parts.headers, &app.config.trusted_proxies);
        let recognised = match graphql::bearer(&parts.headers) {
            Ok(token) => app.authenticate(&now, &client, token).await.map(Some),
            Err(Reason::Missing) => Ok(None),
            Err(reason) => Err(Error::Unauthenticated(reason)),
        };
        let route = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
        match recognised {
            Ok(caller) => Ok(Self { now, caller, visit: Visit { app: Arc::clone(app), route, request_id } }),
            Err(error) => Err(refusal(error, &request_id)),
        }
    }
}

/// The answer to a request that is refused: a status, and a body in the shape of a GraphQL error.
pub(super) fn refusal(error: Error, request_id: &str) -> Response {
    let wait = match error {
        Error::RateLimited(wait) | Error::Unavailable(wait) => Some(wait),
        _ => None,
    };
    let status = match error {
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::Forbidden => StatusCode::FORBIDDEN,
        Error::BadInput(_) | Error::Refused(_) => StatusCode::BAD_REQUEST,
        Error::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
        Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut error = async_graphql::Error::from(Failure::from(error)).into_server_error(Pos::default());
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        error.extensions.get_or_insert_default().set("requestId", request_id);
    }
    let error = json!({ "message": error.message, "extensions": error.extensions });
    let mut response = (status, axum::Json(json!({ "errors": [error] }))).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}
