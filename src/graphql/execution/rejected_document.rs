//! Rejection of a document before its execution.

use async_graphql::Pos;

/// Reason for which a document is not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedDocument {
    /// `extensions.code` of the error.
    pub code: &'static str,
    /// Advice for developers; it repeats names, but no values.
    pub message: String,
    /// The line and column concerned, both counted from 1.
    pub location: Option<(usize, usize)>,
}

impl RejectedDocument {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), location: None }
    }

    /// Adds the place in the document.
    pub(super) fn at(self, pos: Pos) -> Self {
        Self { location: Some((pos.line, pos.column)), ..self }
    }
}
