//! Avatar files.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::domain::avatars::name::FileName;
use crate::error::Error;
use crate::http::header::elements;

/// Headers that limit a file to an image, which other pages may show. Caches may keep it for a day, so a removed avatar
/// disappears from them within that time. They need not revalidate it: a file name is never reused.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400, immutable")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
];

/// `/media/avatars/{name}`
pub(in crate::http) async fn file(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let Some(name) = name.ok().and_then(|Path(name)| name.parse::<FileName>().ok()) else { return not_found() };
    let file = match app.media.get(&name.path()).await {
        Ok(Some(file)) => file,
        Ok(None) => return not_found(),
        Err(Error::Unavailable(wait)) => {
            let retry = [(header::RETRY_AFTER, wait.as_secs().max(1).to_string())];
            return (StatusCode::SERVICE_UNAVAILABLE, retry, "The file is temporarily unavailable.\n").into_response();
        }
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let tag = format!("\"{name}\"");
    let tags = [(header::ETAG, tag.clone())];
    if is_known(&headers, &tag) {
        return (StatusCode::NOT_MODIFIED, HEADERS, tags).into_response();
    }
    (HEADERS, [(header::CONTENT_TYPE, name.media_type())], tags, file).into_response()
}

/// True if the client already has the file (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let mut known = elements(headers, "if-none-match", b',').map(|value| value.trim_start_matches("W/"));
    known.any(|value| value == tag || value == "*")
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "File not found.\n").into_response()
}
