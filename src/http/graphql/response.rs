//! HTTP responses of the GraphQL endpoint.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use crate::graphql::execution::{self, RejectedDocument};
use crate::http::graphql::media_type::Media;

/// Error of a request that is not executed.
#[derive(Clone, Debug)]
pub(in crate::http) struct RequestError {
    /// Status, unless the media type requires 200.
    pub(in crate::http) status: StatusCode,
    /// `extensions.code` of the error.
    pub(in crate::http) code: &'static str,
    /// `message` of the error.
    pub(in crate::http) message: String,
    location: Option<(usize, usize)>,
    retry_after: Option<Duration>,
}

impl RequestError {
    /// An error with this status, code and message.
    pub(in crate::http) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), location: None, retry_after: None }
    }

    /// 400 with BAD_REQUEST.
    pub(in crate::http) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// 408 for a body that arrives too slowly.
    pub(in crate::http) fn body_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "BAD_REQUEST", "The body took too long to arrive.")
    }

    /// 503, with a delay before the next attempt.
    pub(in crate::http) fn unavailable(message: impl Into<String>, wait: Duration) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message);
        Self { retry_after: Some(wait), ..error }
    }

    /// 503 of a busy service.
    pub(in crate::http) fn busy(wait: Duration) -> Self {
        Self::unavailable("The service is busy. Try again in a moment.", wait)
    }

    /// Error of a rejected document.
    pub(in crate::http) fn rejected(rejected: RejectedDocument, media: Media) -> Self {
        let RejectedDocument { code, message, location } = rejected;
        Self { location, ..Self::new(rejected_status(media), code, message) }
    }

    /// The response. Without data, its status is a success only if the media type requires it.
    pub(in crate::http) fn into_response(self, media: Media) -> Response {
        let status = if self.status == StatusCode::OK { rejected_status(media) } else { self.status };
        let mut response = respond(status, media, &json!({ "errors": [self.to_json()] }));
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait)));
        }
        response
    }

    /// The error in GraphQL's shape.
    pub(in crate::http) fn to_json(&self) -> serde_json::Value {
        let mut error = json!({ "message": self.message, "extensions": { "code": self.code } });
        if let Some(wait) = self.retry_after {
            error["extensions"]["retryAfter"] = json!(seconds(wait));
        }
        if let Some((line, column)) = self.location {
            error["locations"] = json!([{ "line": line, "column": column }]);
        }
        error
    }
}

/// A delay in whole seconds, at least one.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().max(1)
}

/// Status of a rejected document: older clients read the body only with 200.
pub(in crate::http) fn rejected_status(media: Media) -> StatusCode {
    match media {
        Media::GraphqlResponse => StatusCode::BAD_REQUEST,
        Media::Json => StatusCode::OK,
    }
}

/// Response of the executor.
pub(in crate::http) fn executed(response: &execution::Response, media: Media) -> Response {
    let status = if response.was_executed() { StatusCode::OK } else { rejected_status(media) };
    respond(status, media, response)
}

/// 500, with the request's id.
pub(in crate::http) fn internal_error(request_id: &str) -> Response {
    let extensions = json!({ "code": "INTERNAL_SERVER_ERROR", "requestId": request_id });
    let error = json!({ "message": "Something went wrong on our side.", "extensions": extensions });
    respond(StatusCode::INTERNAL_SERVER_ERROR, Media::Json, &json!({ "errors": [error] }))
}

fn respond(status: StatusCode, media: Media, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("GraphQL values are JSON");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    response
}
