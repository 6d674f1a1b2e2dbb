//! Fuzz targets that need HTTP.

use std::net::{IpAddr, SocketAddr};

use async_graphql::Request;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use futures_util::{StreamExt as _, stream};
use ipnet::IpNet;
use serde_json::Value;

use crate::fuzzing::Target;
use crate::http::client_ip;
use crate::http::graphql::response::RequestError;
use crate::http::graphql::socket::protocol::{self, Incoming};
use crate::http::graphql::{media_type, multipart, request, strict_json};

/// The strict parser accepts no text that the library rejects, and returns the same values.
pub(crate) const JSON: Target = Target {
    name: "json",
    run: |bytes| {
        if let Ok(value) = strict_json::read(bytes) {
            assert_eq!(serde_json::from_slice::<Value>(bytes).ok(), Some(value));
        }
    },
    seeds: || {
        let texts = [
            r#"{"a":[null,true,-1,1.5e3,18446744073709551615,"x\u00e4\ud83d\ude00",{"a":{}}],"b":{"a":1}}"#,
            r#"[{"a":{"b":1,"\u0062":2}}]"#,
        ];
        texts.map(|text| text.as_bytes().to_vec()).into()
    },
};

/// A body or a query string becomes a request without NUL or an error. A query string is decoded like a form.
pub(crate) const ENVELOPE: Target = Target {
    name: "envelope",
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for request in [request::from_body(bytes), request::from_query(&text)].into_iter().flatten() {
            assert!(!request.query.contains('\0'));
        }
        if let Ok(request) = request::from_query(&text) {
            let form = url::form_urlencoded::parse(text.as_bytes());
            let query = form.into_iter().find(|(name, _)| name == "query").map(|(_, value)| value.into_owned());
            assert_eq!(query.as_deref(), Some(request.query.as_str()));
        }
    },
    seeds: || {
        let texts = [
            r#"{"query":"{a}","variables":{"a":[1]},"extensions":{"b":2},"operationName":"A"}"#,
            r#"{"extensions":{"persistedQuery":{"version":1}}}"#,
            "query=%7Ba%7D+%c3%A4&operationName=A&variables=%7B%22a%22%3A1%7D&documentId=",
        ];
        texts.map(|text| text.as_bytes().to_vec()).into()
    },
};

/// The size of a body's chunks changes nothing about the request and its file.
pub(crate) const MULTIPART: Target = Target {
    name: "multipart",
    run: |bytes| {
        let Some((chunk, body)) = bytes.split_first() else { return };
        let whole = parse(body, body.len().max(1));
        let pieces = parse(body, usize::from(*chunk).max(1));
        let content = |request: &Request| request.uploads.iter().map(|file| file.content.to_vec()).collect::<Vec<_>>();
        assert_eq!(whole.as_ref().map(content).ok(), pieces.as_ref().map(content).ok());
        if let Ok(request) = whole {
            assert_eq!(request.uploads.len(), 1);
            let [file] = content(&request).try_into().expect("there is one file");
            assert!(file.is_empty() || body.windows(file.len()).any(|part| part == file));
        }
        if let Ok((_, path)) = multipart::target(body) {
            assert!(path.starts_with("variables."));
        }
    },
    seeds: || {
        let part = |name: &str, more: &str, content: &str| {
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{content}\r\n")
        };
        let operations = part("operations", "", r#"{"query":"{a}","variables":{"a":{"b":[null]}}}"#);
        let typed =
            part("operations", "\r\nContent-Type: application/json", r#"{"query":"{a}","variables":{"f":null}}"#);
        let file = part("0", "; filename=\"a.csv\"\r\nContent-Type: text/csv", "a,b\r\n--x");
        let body = |operations, path| format!("{operations}{}{file}--x--\r\n", part("map", "", path));
        let bodies = [body(&operations, r#"{"0":["variables.a.b.0"]}"#), body(&typed, r#"{"0":["variables.f"]}"#)];
        let mut seeds: Vec<Vec<u8>> = bodies.iter().map(|body| [b"\x07", body.as_bytes()].concat()).collect();
        seeds.push(b"\x01{\"0\":[\"variables.a\"]}".to_vec());
        seeds
    },
};

/// Reads a multipart body that arrives in chunks of this size.
fn parse(body: &[u8], chunk: usize) -> Result<Request, RequestError> {
    let kind = HeaderValue::from_static("multipart/form-data; boundary=x");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    let chunks: Vec<_> =
        body.chunks(chunk).map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk))).collect();
    // Chunks are not available at the first poll, as from a network.
    let chunks = stream::iter(chunks).then(async |chunk| {
        tokio::task::yield_now().await;
        chunk
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    runtime.block_on(multipart::read(&headers, Body::from_stream(chunks)))
}

/// A message is one of the protocol, or closes the connection with a reason that fits into the frame.
pub(crate) const MESSAGE: Target = Target {
    name: "message",
    run: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        match protocol::parse(text) {
            Ok(Incoming::Subscribe { id, request }) => {
                assert!(!id.is_empty() && request.get("query").is_some_and(Value::is_string));
                assert!(protocol::Close::taken(&id).reason.len() <= 123);
            }
            Ok(Incoming::Init(payload) | Incoming::Ping(Some(payload))) => {
                let token = protocol::token(&payload).unwrap_or_default();
                assert_eq!(token.trim(), token);
            }
            Ok(_) => {}
            Err(close) => assert!(close.code == 4400 && close.reason.len() <= 123),
        }
    },
    seeds: || {
        let texts = [
            r#"{"type":"connection_init","payload":{"Authorization":"Bearer tok"}}"#,
            r#"{"type":"connection_init","payload":{"token":"tok"}}"#,
            r#"{"type":"ping","payload":{"Authorization":"Bearer tok"}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":null,"operationName":"A"}}"#,
            r#"{"type":"ping","payload":{"a":1}}"#,
            r#"{"type":"complete","id":"1"}"#,
        ];
        texts.map(|text| text.as_bytes().to_vec()).into()
    },
};

/// The client's address is the last one that a trusted proxy reports and that is not a trusted proxy. Entries further
/// left do not change it. Each line of the input is a header.
pub(crate) const ADDRESS: Target = Target {
    name: "address",
    run: |bytes| {
        let trusted: [IpNet; 2] = ["10.0.0.0/8", "2001:db8:1::/48"].map(|net| net.parse().expect("a network"));
        let values: Vec<HeaderValue> =
            bytes.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
        let seen = |peer: &str, values: &[HeaderValue]| {
            let name = HeaderName::from_static("x-forwarded-for");
            let headers: HeaderMap = values.iter().map(|value| (name.clone(), value.clone())).collect();
            let peer: IpAddr = peer.parse().expect("an address");
            let ip = client_ip::of(SocketAddr::new(peer, 1), &headers, &trusted).ip.expect("a peer has an address");
            ip.parse::<IpAddr>().expect("the result is an address")
        };
        let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
        assert_eq!(seen("203.0.113.9", &values).to_string(), "203.0.113.9");
        let found = seen("10.0.0.1", &values);
        if !is_trusted(&found) {
            let forged = [&[HeaderValue::from_static("10.0.0.7, 6.6.6.6, 10.0.0.8")], values.as_slice()].concat();
            assert_eq!(seen("10.0.0.1", &forged), found);
        }
    },
    seeds: || {
        let headers = [
            "6.6.6.6, 198.51.100.7, 10.0.0.2",
            "6.6.6.6\n198.51.100.7:4711",
            "[2001:db8::5]\n[2001:db8:1::5]:443, ::ffff:10.0.0.3",
            "unknown, 10.0.0.9",
        ];
        headers.map(|header| header.as_bytes().to_vec()).into()
    },
};

/// Only a type that starts like that of JSON counts as JSON.
pub(crate) const MEDIA: Target = Target {
    name: "media",
    run: |bytes| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let _ = media_type::negotiate(&HeaderMap::from_iter([(header::ACCEPT, value.clone())]));
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value)]);
        if media_type::is_json(&headers) {
            let start = bytes.trim_ascii_start().get(..16).map(<[u8]>::to_ascii_lowercase);
            assert_eq!(start.as_deref(), Some(b"application/json".as_slice()));
            assert!(!multipart::is_multipart(&headers));
        }
    },
    seeds: || {
        let values = [
            "application/graphql-response+json; charset=utf-8, application/json;q=0.5, */*;q=0.1",
            "Application/JSON; charset=\"UTF-8\"",
            "multipart/form-data; boundary=x",
        ];
        values.map(|value| value.as_bytes().to_vec()).into()
    },
};
