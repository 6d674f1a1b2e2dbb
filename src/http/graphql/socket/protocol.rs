//! The messages of the protocol graphql-transport-ws, as its specification describes them
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>): texts in, values out, and the other way round.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::graphql::strict_json;
use crate::tools::clock::Timestamp;

/// The protocol's name, which both sides must say when the connection is opened.
pub(super) const NAME: &str = "graphql-transport-ws";

/// The longest reason of a close frame, in bytes (RFC 6455, section 5.5).
const MAX_REASON: usize = 123;

/// What a client says.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::http) enum Incoming {
    /// It wants to begin, and says who it is.
    Init(Map<String, Value>),
    /// It wants to know whether we are there.
    Ping(Option<Map<String, Value>>),
    /// It is there.
    Pong,
    /// It wants this document executed.
    Subscribe {
        /// How it calls the operation.
        id: String,
        /// What would be the body of a request over HTTP.
        request: Map<String, Value>,
    },
    /// It wants to hear no more of this operation.
    Complete(String),
}

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Close {
    /// The code of the close frame.
    pub(in crate::http) code: u16,
    /// Its text.
    pub(in crate::http) reason: String,
}

impl Close {
    fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: reason[..reason.floor_char_boundary(MAX_REASON)].to_owned() }
    }

    /// The service stops.
    pub(super) fn going_away() -> Self {
        Self::new(1001, "The service is stopping")
    }

    /// The message is longer than may be.
    pub(super) fn too_long() -> Self {
        Self::new(1009, "The message is too long")
    }

    /// A fault of the service.
    pub(super) fn fault() -> Self {
        Self::new(1011, "Something went wrong on our side")
    }

    /// The service has too much to do.
    pub(super) fn busy() -> Self {
        Self::new(1013, "The service is busy: try again in a moment")
    }

    /// The client said something that is not of the protocol.
    pub(super) fn bad_message(what: &str) -> Self {
        Self::new(4400, what)
    }

    /// The client wants something before it said who it is.
    pub(super) fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    /// The client is nobody who may be here, or not any more.
    pub(super) fn forbidden() -> Self {
        Self::new(4403, "Forbidden")
    }

    /// The client's access token expired, and it sent no newer one in a `ping`.
    pub(super) fn expired() -> Self {
        Self::new(4403, "Forbidden: the access token expired")
    }

    /// The token in a `ping` is not of the connection's session.
    pub(super) fn other_session() -> Self {
        Self::new(4403, "Forbidden: send an access token of the same session in a ping")
    }

    /// The client did not say in time who it is.
    pub(super) fn init_timeout() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }

    /// Two operations cannot have the same name.
    pub(in crate::http) fn taken(id: &str) -> Self {
        Self::new(4409, &format!("Subscriber for {id} already exists"))
    }

    /// The client said twice who it is.
    pub(super) fn second_init() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }
}

/// Reads a message.
///
/// # Errors
/// 4400 for everything that is not one.
pub(in crate::http) fn parse(text: &str) -> Result<Incoming, Close> {
    let bad = |what: &str| Err(Close::bad_message(what));
    let Ok(Value::Object(mut message)) = strict_json::read(text.as_bytes()) else {
        return bad("A message is a JSON object");
    };
    let payload = message.remove("payload").filter(|payload| !payload.is_null());
    let id = match message.remove("id") {
        Some(Value::String(id)) if !id.is_empty() => Some(id),
        None => None,
        Some(_) => return bad("An `id` is a text that is not empty"),
    };
    let payload = match payload {
        None => None,
        Some(Value::Object(fields)) => Some(fields),
        Some(_) => return bad("A `payload` is an object"),
    };
    let kind = message.get("type").and_then(Value::as_str);
    match (kind, id, payload) {
        (Some("connection_init"), _, payload) => Ok(Incoming::Init(payload.unwrap_or_default())),
        (Some("ping"), _, payload) => Ok(Incoming::Ping(payload)),
        (Some("pong"), _, _) => Ok(Incoming::Pong),
        (Some("subscribe"), Some(id), Some(request)) if is_request(&request) => Ok(Incoming::Subscribe { id, request }),
        (Some("subscribe"), _, _) => bad("`subscribe` needs an `id` and a `payload` with a `query`"),
        (Some("complete"), Some(id), _) => Ok(Incoming::Complete(id)),
        (Some("complete"), None, _) => bad("`complete` needs an `id`"),
        _ => bad("There is no message of this `type`"),
    }
}

/// Whether these are the fields of a request, each of its type.
fn is_request(fields: &Map<String, Value>) -> bool {
    let is =
        |name: &str, right: fn(&Value) -> bool| fields.get(name).is_none_or(|value| value.is_null() || right(value));
    fields.get("query").is_some_and(Value::is_string)
        && is("operationName", Value::is_string)
        && is("variables", Value::is_object)
        && is("extensions", Value::is_object)
}

/// Whether a payload has one of the fields that [`token`] reads, whatever stands in it.
pub(super) fn names_token(payload: &Map<String, Value>) -> bool {
    payload.keys().any(|key| key.eq_ignore_ascii_case("authorization") || key.eq_ignore_ascii_case("token"))
}

/// The token that a client says who it is by: `Authorization: Bearer …`, or `token` with or without the scheme; the
/// names in any case.
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

/// `pong`, with what the `ping` carried.
pub(super) fn pong(payload: Option<Map<String, Value>>) -> String {
    match payload {
        None => json!({ "type": "pong" }).to_string(),
        Some(payload) => json!({ "type": "pong", "payload": payload }).to_string(),
    }
}

/// `pong` to a `ping` with an access token: the moment until which the connection is now good, and never the token.
pub(super) fn prolonged(until: Timestamp) -> String {
    json!({ "type": "pong", "payload": { "expiresAt": until.to_string() } }).to_string()
}

/// `complete`: the operation has ended.
pub(super) fn complete(id: &str) -> String {
    json!({ "type": "complete", "id": id }).to_string()
}

/// `next`: a result of the operation.
pub(super) fn next(id: &str, payload: &impl Serialize) -> String {
    write(&About { kind: "next", id, payload })
}

/// `error`: the operation is not executed.
pub(super) fn error(id: &str, payload: &impl Serialize) -> String {
    write(&About { kind: "error", id, payload })
}

/// A message about an operation; its payload keeps the order of its fields.
#[derive(Serialize)]
struct About<'a, P> {
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
    fn messages_of_the_protocol_are_read() {
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
    fn a_token_may_be_said_in_several_ways() {
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
