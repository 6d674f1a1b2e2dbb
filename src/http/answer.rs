//! Answers in GraphQL's shape: every error has a code, and no answer says more than it should.

use async_graphql::{Response as Executed, ServerError, Value};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use crate::http::media::Media;

/// The most errors that an answer lists.
const MAX_ERRORS: usize = 20;

/// The longest message of an error, in bytes.
const MAX_MESSAGE: usize = 300;

/// A request that is not executed.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// The status where the media type lets it show.
    pub(super) status: StatusCode,
    /// `extensions.code` of its error.
    pub(super) code: &'static str,
    message: String,
    location: Option<(usize, usize)>,
}

impl Refusal {
    /// A refusal with this status, code and sentence.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), location: None }
    }

    /// The same refusal, about this line and column of the document, both counted from 1.
    pub(super) fn at(self, location: Option<(usize, usize)>) -> Self {
        Self { location, ..self }
    }

    /// The answer.
    pub(super) fn into_response(self, media: Media) -> Response {
        let mut error = json!({ "message": self.message, "extensions": { "code": self.code } });
        if let Some((line, column)) = self.location {
            error["locations"] = json!([{ "line": line, "column": column }]);
        }
        respond(self.status, media, &json!({ "errors": [error] }))
    }
}

/// The status of a document that was refused before it was executed: older clients read the body only with 200.
pub(super) fn refused_document(media: Media) -> StatusCode {
    match media {
        Media::GraphqlResponse => StatusCode::BAD_REQUEST,
        Media::Json => StatusCode::OK,
    }
}

/// The answer to a document that went to the executor.
pub(super) fn executed(mut response: Executed, media: Media, request_id: &str) -> Response {
    let was_executed = response.errors.is_empty() || response.data != Value::Null || has_path(&response.errors);
    response.errors.truncate(MAX_ERRORS);
    for error in &mut response.errors {
        tidy(error, request_id);
    }
    let status = if was_executed { StatusCode::OK } else { refused_document(media) };
    let body = ExecutedBody { data: was_executed.then_some(&response.data), errors: &response.errors };
    respond(status, media, &body)
}

/// The body of such an answer, its fields in the order in which the document asks for them.
#[derive(Serialize)]
struct ExecutedBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
}

/// The answer where a handler panicked.
pub(super) fn fault(request_id: &str) -> Response {
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
        error.message.truncate(error.message.floor_char_boundary(MAX_MESSAGE));
        error.message.push('…');
    }
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code")).cloned();
    let code = code.unwrap_or_else(|| classify(error).into());
    let extensions = error.extensions.get_or_insert_default();
    if code == Value::from("INTERNAL_SERVER_ERROR") {
        extensions.set("requestId", request_id);
    }
    extensions.set("code", code);
}

/// What an error of the library is about: what it says of limits, of values, and before execution of the document.
fn classify(error: &ServerError) -> &'static str {
    let message = error.message.as_str();
    if message.starts_with("Query is ") || message.contains("recursion depth") || message.contains("directives") {
        "QUERY_TOO_COMPLEX"
    } else if !error.path.is_empty()
        || message.starts_with("Invalid value for argument")
        || message.contains("Variable ")
    {
        "BAD_USER_INPUT"
    } else {
        "GRAPHQL_VALIDATION_FAILED"
    }
}
