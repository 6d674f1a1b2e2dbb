//! Responses in GraphQL's shape: each error has a code, and none reveals internals.

use async_graphql::indexmap::IndexMap;
use async_graphql::{Response as Executed, ServerError, Value};
use serde::Serialize;

/// Maximum number of errors in a response.
const MAX_ERRORS: usize = 20;

/// Longest message of an error, in bytes.
const MAX_MESSAGE: usize = 300;

/// Response for a client. It keeps the order of the document's fields.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Missing if the document was not executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ServerError>,
}

impl Response {
    pub(super) fn new(executed: Executed, was_executed: bool, request_id: &str) -> Self {
        let Executed { data, mut errors, .. } = executed;
        errors.truncate(MAX_ERRORS);
        for error in &mut errors {
            tidy(error, request_id);
        }
        // The library returns no object if all fields were skipped.
        let is_empty = data == Value::Null && errors.is_empty();
        let data = if is_empty { Value::Object(IndexMap::new()) } else { data };
        Self { data: was_executed.then_some(data), errors }
    }

    /// False if the library rejected the document.
    pub fn was_executed(&self) -> bool {
        self.data.is_some()
    }

    /// The errors, each with a code.
    pub fn errors(&self) -> &[ServerError] {
        &self.errors
    }

    /// Code of the first error.
    pub(super) fn code(&self) -> Option<&str> {
        self.errors.first().and_then(code_of)
    }
}

/// Code of an error.
pub(super) fn code_of(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

/// True if an error belongs to a field.
pub(super) fn has_path(errors: &[ServerError]) -> bool {
    errors.iter().any(|error| !error.path.is_empty())
}

/// Adds a code to errors of the library and the request's id to internal errors, and shortens the message.
fn tidy(error: &mut ServerError, request_id: &str) {
    if error.message.len() > MAX_MESSAGE {
        error.message.truncate(error.message.floor_char_boundary(MAX_MESSAGE - '…'.len_utf8()));
        error.message.push('…');
    }
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code")).cloned();
    let code = code.unwrap_or_else(|| {
        let code = classify(error);
        if !error.path.is_empty() {
            // The library's message about a value contains the value.
            "An argument has an invalid value.".clone_into(&mut error.message);
        }
        code.into()
    });
    let extensions = error.extensions.get_or_insert_default();
    if code == Value::from("INTERNAL_SERVER_ERROR") {
        extensions.set("requestId", request_id);
    }
    extensions.set("code", code);
}

/// Code of an error of the library, which has only a message: about limits, about values, or about the document.
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
