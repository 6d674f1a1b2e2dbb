//! Answers in GraphQL's shape: every error has a code, and no answer says more than it should.

use std::sync::LazyLock;
use std::time::Duration;

use async_graphql::indexmap::IndexMap;
use async_graphql::{Response as Executed, ServerError, Value};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use crate::http::graphql::media_type::Media;

/// The most errors that an answer lists.
const MAX_ERRORS: usize = 20;

/// The longest message of an error, in bytes.
const MAX_MESSAGE: usize = 300;

/// The data of a document that asks for nothing.
static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Object(IndexMap::new()));

/// A request that is not executed.
#[derive(Clone, Debug)]
pub(in crate::http) struct Refusal {
    /// The status where the media type lets it show.
    pub(in crate::http) status: StatusCode,
    /// `extensions.code` of its error.
    pub(in crate::http) code: &'static str,
    /// `message` of its error.
    pub(in crate::http) message: String,
    location: Option<(usize, usize)>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with this status, code and sentence.
    pub(in crate::http) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), location: None, retry_after: None }
    }

    /// The refusal of what can be tried again after this time.
    pub(in crate::http) fn unavailable(message: impl Into<String>, wait: Duration) -> Self {
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message);
        Self { retry_after: Some(wait), ..refusal }
    }

    /// The same refusal, about this line and column of the document, both counted from 1.
    pub(in crate::http) fn at(self, location: Option<(usize, usize)>) -> Self {
        Self { location, ..self }
    }

    /// The answer. Without data, no success shows where the media type lets the status tell.
    pub(in crate::http) fn into_response(self, media: Media) -> Response {
        let status = if self.status == StatusCode::OK { refused_document(media) } else { self.status };
        let mut response = respond(status, media, &json!({ "errors": [self.error()] }));
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait)));
        }
        response
    }

    /// Its error alone.
    pub(in crate::http) fn error(&self) -> serde_json::Value {
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

/// A time as clients are told to wait, in whole seconds.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().max(1)
}

/// The status of a document that was refused before it was executed: older clients read the body only with 200.
pub(in crate::http) fn refused_document(media: Media) -> StatusCode {
    match media {
        Media::GraphqlResponse => StatusCode::BAD_REQUEST,
        Media::Json => StatusCode::OK,
    }
}

/// The answer to a document that went to the executor.
pub(in crate::http) fn executed(response: &mut Executed, media: Media, request_id: &str) -> Response {
    let was_executed = was_executed(response);
    tidy_all(response, request_id);
    let status = if was_executed { StatusCode::OK } else { refused_document(media) };
    respond(status, media, &body(response, was_executed))
}

/// The code of the first error, once errors were made fit for clients.
pub(in crate::http) fn code(response: &Executed) -> Option<&str> {
    match response.errors.first()?.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

/// Whether the document was executed, and not refused by the executor.
pub(in crate::http) fn was_executed(response: &Executed) -> bool {
    response.errors.is_empty() || response.data != Value::Null || has_path(&response.errors)
}

/// Makes the errors fit for clients.
pub(in crate::http) fn tidy_all(response: &mut Executed, request_id: &str) {
    response.errors.truncate(MAX_ERRORS);
    for error in &mut response.errors {
        tidy(error, request_id);
    }
}

/// The body of an answer.
pub(in crate::http) fn body(response: &Executed, was_executed: bool) -> ExecutedBody<'_> {
    // The library has no object where all fields were skipped.
    let data = if response.data == Value::Null && response.errors.is_empty() { &EMPTY } else { &response.data };
    ExecutedBody { data: was_executed.then_some(data), errors: &response.errors }
}

/// The body of such an answer, its fields in the order in which the document asks for them.
#[derive(Serialize)]
pub(in crate::http) struct ExecutedBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
}

/// The answer where a handler panicked.
pub(in crate::http) fn fault(request_id: &str) -> Response {
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

fn has_path(errors: &[ServerError]) -> bool {
    errors.iter().any(|error| !error.path.is_empty())
}

/// Gives the error a code where the library gave none, names the request where the fault is ours, and keeps it short.
fn tidy(error: &mut ServerError, request_id: &str) {
    if error.message.len() > MAX_MESSAGE {
        error.message.truncate(error.message.floor_char_boundary(MAX_MESSAGE - '…'.len_utf8()));
        error.message.push('…');
    }
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code")).cloned();
    let code = code.unwrap_or_else(|| {
        let code = classify(error);
        if !error.path.is_empty() {
            // What the library says of a value repeats the value.
            "An argument has a value that cannot be read.".clone_into(&mut error.message);
        }
        code.into()
    });
    let extensions = error.extensions.get_or_insert_default();
    if code == Value::from("INTERNAL_SERVER_ERROR") {
        extensions.set("requestId", request_id);
    }
    extensions.set("code", code);
}

/// What an error of the library is about: what it says of limits, of values, and before execution of the document.
fn classify(error: &ServerError) -> &'static str {
    let message = error.message.as_str();
    let limits = ["Query is ", "The recursion depth of the query", "The number of directives"];
    if limits.iter().any(|limit| message.starts_with(limit)) {
        "QUERY_TOO_COMPLEX"
    } else if !error.path.is_empty()
        || message.starts_with("Invalid value for argument")
        || matches!(message, "Entity not found." | "\"__typename\" must be an existing string.")
    {
        "BAD_USER_INPUT"
    } else {
        "GRAPHQL_VALIDATION_FAILED"
    }
}
