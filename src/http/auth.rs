//! Authentication of callers, and error responses of the routes other than GraphQL.

use std::net::SocketAddr;
use std::sync::Arc;

use async_graphql::Pos;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::app::App;
use crate::domain::auth::identity::Caller;
use crate::error::{Error, Reason, Result};
use crate::graphql::context::Page;
use crate::graphql::errors::Failure;
use crate::http::header::text;
use crate::http::middleware::RequestId;
use crate::http::{client_ip, refresh_cookie};
use crate::tools::api_token::MovedToken;
use crate::tools::clock::Now;

/// A signed-in caller. Other requests do not reach the route.
pub(super) struct RequireCaller {
    /// Time of the request.
    pub(super) now: Now,
    /// The caller.
    pub(super) caller: Caller,
    context: Context,
}

/// A caller of a route that is open to anyone. Requests with a wrong credential do not reach the route.
pub(super) struct OptionalCaller {
    /// Time of the request.
    pub(super) now: Now,
    /// The caller; none without a credential.
    pub(super) caller: Option<Caller>,
    context: Context,
}

/// Data of a request for its error response.
struct Context {
    app: Arc<App>,
    route: String,
    request_id: String,
}

impl Context {
    fn refuse(&self, now: &Now, caller: Option<&Caller>, error: Error) -> Response {
        if matches!(error, Error::Forbidden) {
            self.app.refused_rights.note(now, caller, &self.route, "FORBIDDEN");
        }
        error_response(error, &self.request_id)
    }
}

impl OptionalCaller {
    /// Response with an error.
    pub(super) fn refuse(&self, error: Error) -> Response {
        self.context.refuse(&self.now, self.caller.as_ref(), error)
    }
}

impl RequireCaller {
    /// Response with an error.
    pub(super) fn refuse(&self, error: Error) -> Response {
        self.context.refuse(&self.now, Some(&self.caller), error)
    }
}

impl FromRequestParts<Arc<App>> for RequireCaller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let OptionalCaller { now, caller, context } = OptionalCaller::from_request_parts(parts, app).await?;
        let authenticated = match caller {
            Some(caller) => Ok(caller),
            None => of_browser(parts, app, &now).await,
        };
        match authenticated {
            Ok(caller) => Ok(Self { now, caller, context }),
            Err(error) => Err(error_response(error, &context.request_id)),
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
        let authenticated = match bearer(&parts.headers) {
            Ok(token) => app.authenticate(&now, &client, token).await.map(Some),
            Err(Reason::Missing) => Ok(None),
            Err(reason) => Err(Error::Unauthenticated(reason)),
        };
        let route = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
        match authenticated {
            Ok(caller) => Ok(Self { now, caller, context: Context { app: Arc::clone(app), route, request_id } }),
            Err(error) => Err(error_response(error, &request_id)),
        }
    }
}

/// The user of the refresh cookie, for links to downloads on pages of this service. No other site can cause a download,
/// which is recorded and counted: the cookie is SameSite=Strict, and the request must not be reported as one of another
/// page. Neither does a browser that fetches ahead of a click.
async fn of_browser(parts: &Parts, app: &Arc<App>, now: &Now) -> Result<Caller> {
    let (headers, public) = (&parts.headers, &app.public_url);
    let is_prefetch = text(headers, "sec-purpose").is_some_and(|purpose| purpose.starts_with("prefetch"));
    let is_own = text(headers, "sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    if is_prefetch || !is_own || headers.contains_key(header::ORIGIN) {
        return Err(Error::Unauthenticated(Reason::Missing));
    }
    let token = refresh_cookie::read(headers, public, Page::Absent);
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let client = peer.map(|peer| client_ip::of(peer, headers, &app.config.trusted_proxies)).unwrap_or_default();
    app.authenticate_page(now, &client, token.and_then(|token| app.token_issuer().read_refresh(token))).await
}

/// The token in `Authorization: Bearer …` (RFC 6750, section 2.1).
///
/// # Errors
/// [`Reason::Missing`] and [`Reason::Invalid`].
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Reason> {
    let header = headers.get(header::AUTHORIZATION).ok_or(Reason::Missing)?;
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Reason::Invalid)?;
    let token = token.trim();
    // The scheme of Django REST framework, for scripts with an imported token.
    let is_moved = || scheme.eq_ignore_ascii_case("token") && MovedToken::is_meant_by(token);
    if scheme.eq_ignore_ascii_case("bearer") || is_moved() { Ok(token) } else { Err(Reason::Invalid) }
}

/// Response with an error: a status, and a body in the shape of a GraphQL error.
pub(super) fn error_response(error: Error, request_id: &str) -> Response {
    let wait = match error {
        Error::RateLimited(wait) | Error::Unavailable(wait) | Error::ImportRunning(wait) => Some(wait),
        _ => None,
    };
    let status = match error {
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::Forbidden | Error::EnrollmentRequired => StatusCode::FORBIDDEN,
        Error::BadInput(_) | Error::Refused(_) => StatusCode::BAD_REQUEST,
        Error::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
        Error::Unavailable(_) | Error::ImportRunning(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Command(_) | Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
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
