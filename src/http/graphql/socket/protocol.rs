//! Messages of the protocol graphql-transport-ws, parsed and written by its specification
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::graphql::strict_json;
use crate::tools::clock::Timestamp;

/// Name of the protocol in `Sec-WebSocket-Protocol`.
pub(super) const NAME: &str = "graphql-transport-ws";

/// Longest reason of a close frame, in bytes (RFC 6455, section 5.5).
const MAX_REASON: usize = 123;

/// Message of a client.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::http) enum Incoming {
    /// `connection_init`, with the credential.
    Init(Map<String, Value>),
    /// `ping`
    Ping(Option<Map<String, Value>>),
    /// `pong`
    Pong,
    /// `subscribe`, to start an operation.
    Subscribe {
        /// The client's id of the operation.
        id: String,
        /// The same fields as in the body of an HTTP request.
        request: Map<String, Value>,
    },
    /// `complete`, to stop the operation of this id.
    Complete(String),
}

/// Close frame of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Close {
    /// Status code.
    pub(in crate::http) code: u16,
    /// Reason.
    pub(in crate::http) reason: Cow<'static, str>,
}

impl Close {
    /// The service stops.
    pub(super) const GOING_AWAY: Self = Self::fixed(1001, "The service is stopping");
    /// The message is too long.
    pub(super) const TOO_LONG: Self = Self::fixed(1009, "The message is too long");
    /// Internal error.
    pub(super) const INTERNAL_ERROR: Self = Self::fixed(1011, "Something went wrong on our side");
    /// The service is busy.
    pub(super) const BUSY: Self = Self::fixed(1013, "The service is busy. Try again in a moment");
    /// The client started an operation before `connection_init`.
    pub(super) const UNAUTHORIZED: Self = Self::fixed(4401, "Unauthorized");
    /// The credential is not valid, or no longer.
    pub(super) const FORBIDDEN: Self = Self::fixed(4403, "Forbidden");
    /// The client's access token expired, and it sent no newer one in a `ping`.
    pub(super) const EXPIRED: Self = Self::fixed(4403, "Forbidden: the access token expired");
    /// The token in a `ping` is not of the connection's session.
    pub(super) const OTHER_SESSION: Self =
        Self::fixed(4403, "Forbidden: send an access token of the same session in a ping");
    /// The client sent no `connection_init` in time.
    pub(super) const INIT_TIMEOUT: Self = Self::fixed(4408, "Connection initialisation timeout");
    /// The client sent `connection_init` twice.
    pub(super) const SECOND_INIT: Self = Self::fixed(4429, "Too many initialisation requests");

    const fn fixed(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }

    /// The message violates the protocol.
    pub(super) const fn bad_message(reason: &'static str) -> Self {
        Self::fixed(4400, reason)
    }

    /// An operation with this id is already running.
    pub(in crate::http) fn taken(id: &str) -> Self {
        let mut reason = format!("Subscriber for {id} already exists");
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        Self { code: 4409, reason: reason.into() }
    }
}

/// Parses a message.
///
/// # Errors
/// 4400 for everything that is not a message of the protocol.
pub(in crate::http) fn parse(text: &str) -> Result<Incoming, Close> {
    let bad = |reason| Err(Close::bad_message(reason));
    let Ok(Value::Object(mut message)) = strict_json::read(text.as_bytes()) else {
        return bad("A message must be a JSON object");
    };
    let payload = message.remove("payload").filter(|payload| !payload.is_null());
    let id = match message.remove("id") {
        Some(Value::String(id)) if !id.is_empty() => Some(id),
        None => None,
        Some(_) => return bad("`id` must be a non-empty string"),
    };
    let payload = match payload {
        None => None,
        Some(Value::Object(fields)) => Some(fields),
        Some(_) => return bad("`payload` must be an object"),
    };
    let kind = message.get("type").and_then(Value::as_str);
    match (kind, id, payload) {
        (Some("connection_init"), _, payload) => Ok(Incoming::Init(payload.unwrap_or_default())),
        (Some("ping"), _, payload) => Ok(Incoming::Ping(payload)),
        (Some("pong"), _, _) => Ok(Incoming::Pong),
        (Some("subscribe"), Some(id), Some(request)) if is_request(&request) => Ok(Incoming::Subscribe { id, request }),
        (Some("subscribe"), _, _) => bad("`subscribe` requires an `id` and a `payload` with a `query`"),
        (Some("complete"), Some(id), _) => Ok(Incoming::Complete(id)),
        (Some("complete"), None, _) => bad("`complete` requires an `id`"),
        _ => bad("Unknown message `type`"),
    }
}

/// True if these are the fields of a request, with the right types.
fn is_request(fields: &Map<String, Value>) -> bool {
    let is =
        |name: &str, right: fn(&Value) -> bool| fields.get(name).is_none_or(|value| value.is_null() || right(value));
    fields.get("query").is_some_and(Value::is_string)
        && is("operationName", Value::is_string)
        && is("variables", Value::is_object)
        && is("extensions", Value::is_object)
}

/// True if a payload has one of the fields that [`token`] reads, with any value.
pub(super) fn names_token(payload: &Map<String, Value>) -> bool {
    payload.keys().any(|key| key.eq_ignore_ascii_case("authorization") || key.eq_ignore_ascii_case("token"))
}

/// The token in a payload: `Authorization: Bearer …`, or `token` with or without the scheme. Names are
/// case-insensitive.
pub(in crate::http) fn token(payload: &Map<String, Value>) -> Option<&str> {
    let named = |name: &str| {
        let (_, value) = payload.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        value.as_str().map(str::trim)
    };
    let (text, may_be_bare) = match named("authorization") {
        Some(text) => (text, false),
        None => (named("token")?, true),
    };
    match text.split_once(' ') {
        Some((scheme, token)) => scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()),
        None => may_be_bare.then_some(text),
    }
}

/// `connection_ack`
pub(super) fn ack() -> String {
    json!({ "type": "connection_ack" }).to_string()
}

/// `pong`, with the payload of the `ping`.
pub(super) fn pong(payload: Option<Map<String, Value>>) -> String {
    match payload {
        None => json!({ "type": "pong" }).to_string(),
        Some(payload) => json!({ "type": "pong", "payload": payload }).to_string(),
    }
}

/// `pong` to a `ping` with an access token: the new expiry of the connection, and never the token.
pub(super) fn extended(until: Timestamp) -> String {
    json!({ "type": "pong", "payload": { "expiresAt": until.to_string() } }).to_string()
}

/// `complete`: the operation has ended.
pub(super) fn complete(id: &str) -> String {
    json!({ "type": "complete", "id": id }).to_string()
}

/// `next`: a result of the operation.
pub(super) fn next(id: &str, payload: &impl Serialize) -> String {
    write(&OperationMessage { kind: "next", id, payload })
}

/// `error`: the operation was not executed.
pub(super) fn error(id: &str, payload: &impl Serialize) -> String {
    write(&OperationMessage { kind: "error", id, payload })
}

/// A message about an operation. Its payload keeps the order of its fields.
#[derive(Serialize)]
struct OperationMessage<'a, P> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    payload: &'a P,
}

fn write(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("GraphQL values are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_protocol_are_parsed() {
        let object = |value: Value| value.as_object().unwrap().clone();
        for (text, expected) in [
            (r#"{"type":"connection_init"}"#, Incoming::Init(Map::new())),
            (r#"{"type":"connection_init","payload":null}"#, Incoming::Init(Map::new())),
            (r#"{"type":"connection_init","payload":{"a":1}}"#, Incoming::Init(object(json!({ "a": 1 })))),
            (r#"{"type":"ping"}"#, Incoming::Ping(None)),
            (r#"{"type":"ping","payload":{"a":1}}"#, Incoming::Ping(Some(object(json!({ "a": 1 }))))),
            (r#"{"type":"pong"}"#, Incoming::Pong),
            (r#"{"type":"complete","id":"1"}"#, Incoming::Complete("1".to_owned())),
            (
                r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":null,"operationName":"A"}}"#,
                Incoming::Subscribe {
                    id: "1".to_owned(),
                    request: object(json!({ "query": "{a}", "variables": null, "operationName": "A" })),
                },
            ),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn everything_else_closes_the_connection() {
        for text in [
            "",
            "x",
            "[]",
            "7",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"start","id":"1","payload":{"query":"{a}"}}"#,
            r#"{"type":"connection_init","payload":7}"#,
            r#"{"type":"ping","payload":"x"}"#,
            r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":7,"payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"1","payload":{}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":7}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":[]}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","operationName":7}}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"next","id":"1"}"#,
        ] {
            assert_eq!(parse(text).unwrap_err().code, 4400, "{text}");
        }
    }

    #[test]
    fn a_token_has_several_forms() {
        let said = |payload: Value| token(payload.as_object().unwrap()).map(str::to_owned);
        let tok = Some("tok".to_owned());
        assert_eq!(said(json!({ "Authorization": "Bearer tok" })), tok);
        assert_eq!(said(json!({ "authorization": "bearer  tok " })), tok);
        assert_eq!(said(json!({ "AUTHORIZATION": "BEARER tok" })), tok);
        assert_eq!(said(json!({ "token": "tok" })), tok);
        assert_eq!(said(json!({ "Token": "Bearer tok" })), tok);
        assert_eq!(said(json!({ "Authorization": "Basic tok" })), None);
        assert_eq!(said(json!({ "Authorization": "tok" })), None);
        assert_eq!(said(json!({ "Authorization": 7 })), None);
        assert_eq!(said(json!({})), None);
    }

    #[test]
    fn a_reason_fits_into_a_close_frame() {
        let close = Close::taken(&"ä".repeat(500));
        assert!(close.reason.len() <= MAX_REASON && close.reason.starts_with("Subscriber for ää"));
    }
}
