//! Parsing of a body or query string into a GraphQL request. The document itself stays a string.

use std::collections::HashSet;

use async_graphql::{Request, Variables};
use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::http::graphql::response::RequestError;
use crate::http::graphql::strict_json;

/// Parses a body: a JSON object with `query` and, optionally, `operationName`, `variables` and `extensions`.
///
/// # Errors
/// 400 with BAD_REQUEST; PERSISTED_QUERY_NOT_SUPPORTED for the id of a document in place of the document.
pub(in crate::http) fn from_body(body: &[u8]) -> Result<Request, RequestError> {
    match strict_json::read(body).map_err(|problem| RequestError::bad(problem.describe("The body")))? {
        Value::Object(fields) => from_fields(fields),
        Value::Array(_) => Err(RequestError::bad("Send one request at a time: batches are not supported.")),
        _ => Err(RequestError::bad("The body must be a JSON object.")),
    }
}

/// Parses a query string: the same parameters, with `variables` and `extensions` as JSON.
///
/// # Errors
/// As for [`from_body`].
pub(in crate::http) fn from_query(query: &str) -> Result<Request, RequestError> {
    let mut fields = Map::new();
    let mut seen = HashSet::new();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(key), Some(value)) = (decode(key), decode(value)) else {
            return Err(RequestError::bad("The query string must be UTF-8."));
        };
        let value = match key.as_str() {
            "variables" | "extensions" if !value.is_empty() => {
                let name = format!("The parameter `{key}`");
                strict_json::read(value.as_bytes()).map_err(|problem| RequestError::bad(problem.describe(&name)))?
            }
            "query" | "operationName" | "documentId" if !value.is_empty() => Value::String(value),
            "variables" | "extensions" | "query" | "operationName" | "documentId" => Value::Null,
            _ => continue,
        };
        if !seen.insert(key.clone()) {
            return Err(RequestError::bad("A parameter is repeated."));
        }
        fields.insert(key, value);
    }
    from_fields(fields)
}

/// Decodes a part of a form-encoded query string; none if the result is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.as_bytes().iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        let escaped = bytes.as_slice().get(..2).filter(|_| byte == b'%').and_then(hexadecimal);
        match (byte, escaped) {
            (b'+', _) => decoded.push(b' '),
            (_, Some(escaped)) => {
                decoded.push(escaped);
                bytes.nth(1);
            }
            (byte, None) => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// Parses the fields of such an object.
///
/// # Errors
/// As for [`from_body`].
pub(in crate::http) fn from_fields(mut fields: Map<String, Value>) -> Result<Request, RequestError> {
    let extensions = object(fields.remove("extensions"), "extensions")?;
    let query = match fields.remove("query") {
        Some(Value::String(query)) => query,
        None | Some(Value::Null) if extensions.contains_key("persistedQuery") || fields.contains_key("documentId") => {
            // On this message, the clients of Apollo and urql send the document.
            let message = "PersistedQueryNotSupported";
            return Err(RequestError::new(StatusCode::OK, "PERSISTED_QUERY_NOT_SUPPORTED", message));
        }
        None | Some(Value::Null) => return Err(RequestError::bad("The parameter `query` is missing.")),
        Some(_) => return Err(RequestError::bad("The parameter `query` must be a string.")),
    };
    let variables = Value::Object(object(fields.remove("variables"), "variables")?);
    if query.contains('\0') || has_nul(&variables) {
        return Err(RequestError::bad("The request must not contain NUL characters."));
    }
    let mut request = Request::new(query).variables(Variables::from_json(variables));
    request.operation_name = match fields.remove("operationName") {
        None | Some(Value::Null) => None,
        // Some clients send an empty name in place of none.
        Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
        Some(_) => return Err(RequestError::bad("The parameter `operationName` must be a string.")),
    };
    Ok(request)
}

fn object(value: Option<Value>, name: &str) -> Result<Map<String, Value>, RequestError> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(_) => Err(RequestError::bad(format!("The parameter `{name}` must be an object."))),
    }
}

/// True if a string contains NUL, which PostgreSQL does not support in text.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &[u8]) -> &'static str {
        from_body(body).map_or_else(|error| error.code, |_| "fine")
    }

    #[test]
    fn malformed_requests_are_rejected() {
        for (body, expected) in [
            (r#"{"query":"{a}"}"#, "fine"),
            (r#"{"query":"{a}","operationName":null,"variables":null,"extensions":null}"#, "fine"),
            (r#"{"query":"{a}","variables":{"a":[1]},"extensions":{"b":2},"operationName":"A","more":1}"#, "fine"),
            ("", "BAD_REQUEST"),
            ("{", "BAD_REQUEST"),
            ("7", "BAD_REQUEST"),
            (r#"[{"query":"{a}"}]"#, "BAD_REQUEST"),
            ("{}", "BAD_REQUEST"),
            (r#"{"query":7}"#, "BAD_REQUEST"),
            (r#"{"query":"{a}","operationName":7}"#, "BAD_REQUEST"),
            (r#"{"query":"{a}","variables":[]}"#, "BAD_REQUEST"),
            (r#"{"query":"{a}","variables":"{}"}"#, "BAD_REQUEST"),
            (r#"{"query":"{a}","extensions":0}"#, "BAD_REQUEST"),
            (r#"{"query":"{a}","variables":{"a":"\u0000"}}"#, "BAD_REQUEST"),
            (r#"{"query":"{a}","variables":{"a":"\ud800"}}"#, "BAD_REQUEST"),
            (r#"{"extensions":{"persistedQuery":{"version":1}}}"#, "PERSISTED_QUERY_NOT_SUPPORTED"),
            (r#"{"documentId":"sha256:abc"}"#, "PERSISTED_QUERY_NOT_SUPPORTED"),
            (r#"{"query":"{a}","query":"{b}"}"#, "BAD_REQUEST"),
            (r#"{"query":"{a}","variables":{"a":{"b":1,"b":2}}}"#, "BAD_REQUEST"),
        ] {
            assert_eq!(code(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(code(b"{\"query\":\"\xff\"}"), "BAD_REQUEST");
        for (body, cause) in [
            (&b"\xef\xbb\xbf{\"query\":\"{a}\"}"[..], "byte order mark: remove it."),
            (b"\xff\xfe{\0}\0", "is in UTF-16: send UTF-8."),
            (br#"{"query":"{a}","variables":{"a":"x\ud83d"}}"#, "half of a surrogate pair"),
        ] {
            assert!(from_body(body).unwrap_err().message.contains(cause), "{cause}");
        }
        assert_eq!(code("[".repeat(100_000).as_bytes()), "BAD_REQUEST");
    }

    #[test]
    fn a_query_string_has_the_same_parameters() {
        let request = from_query("query=%7Ba%7D&operationName=A&variables=%7B%22a%22%3A1%7D").unwrap();
        assert_eq!((request.query.as_str(), request.operation_name.as_deref()), ("{a}", Some("A")));
        assert_eq!(serde_json::to_value(&request.variables).unwrap(), serde_json::json!({ "a": 1 }));
        for query in [
            "",
            "query=",
            "query=%7Ba%7D&query=%7Bb%7D",
            "query=&query=%7Bb%7D",
            "query=%7Ba%7D&variables=%5B%5D",
            "query=a&variables=%7B",
            "query=a&variables=%7B%22a%22%3A1%2C%22a%22%3A2%7D",
            "query=%7Ba(b%3A%22%FF%22)%7D",
            "query=a&%C3=b",
        ] {
            assert_eq!(from_query(query).unwrap_err().code, "BAD_REQUEST", "{query}");
        }
        for query in
            ["documentId=sha256%3Aabc", "extensions=%7B%22persistedQuery%22%3A%7B%22version%22%3A1%7D%7D&query="]
        {
            assert_eq!(from_query(query).unwrap_err().code, "PERSISTED_QUERY_NOT_SUPPORTED", "{query}");
        }
        assert_eq!(from_query("query=a+%2B%c3%A4%zz%4").unwrap().query, "a +ä%zz%4");
    }
}
