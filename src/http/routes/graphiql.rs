//! GraphiQL: the bundle of `graphiql/`, which is part of the binary.

use std::io::Read as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use flate2::read::GzDecoder;

use crate::app::App;
use crate::http::header::elements;

/// Output of `npm run build` in `graphiql/`, each file compressed with gzip.
struct Bundle {
    page: &'static [u8],
    /// Files by name; names change with the content.
    assets: &'static [(&'static str, &'static [u8])],
}

static BUNDLE: Bundle = include!(concat!(env!("OUT_DIR"), "/graphiql.rs"));

/// Nothing is loaded from elsewhere. The editor adds inline styles to the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; \
                      font-src 'self' data:; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Routes, if GraphiQL is enabled.
pub(in crate::http) fn routes(app: &App) -> Router<Arc<App>> {
    if !app.config.graphiql {
        return Router::new();
    }
    Router::new()
        .route("/", get(async |State(app): State<Arc<App>>| lead_here(&app)))
        .route("/graphiql", get(page))
        .route("/graphiql/assets/{name}", get(asset))
}

/// Redirects to the page.
pub(in crate::http) fn lead_here(app: &App) -> Response {
    Redirect::to(&format!("{}/graphiql", app.public_url.path())).into_response()
}

/// `/graphiql`
async fn page(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let base = app.public_url.path();
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    if base.is_empty() {
        return (kind, unpacked(BUNDLE.page, &headers)).into_response();
    }
    // The page names its assets from the root; they find the others by relative paths.
    match inflated(BUNDLE.page).map(String::from_utf8) {
        Some(Ok(page)) => (kind, page.replace("\"/graphiql/", &format!("\"{base}/graphiql/"))).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `/graphiql/assets/{name}`
async fn asset(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    let named = name.ok().and_then(|Path(name)| BUNDLE.assets.iter().find(|(known, _)| *known == name));
    let Some((name, packed)) = named else {
        return (StatusCode::NOT_FOUND, "File not found.\n").into_response();
    };
    let kept = [
        (header::CONTENT_TYPE, media_type(name)),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (kept, unpacked(packed, &headers)).into_response()
}

/// The file as stored for clients that accept gzip, decompressed for others.
fn unpacked(packed: &'static [u8], headers: &HeaderMap) -> Response {
    let vary = [(header::VARY, "accept-encoding")];
    if takes_gzip(headers) {
        return (vary, [(header::CONTENT_ENCODING, "gzip")], packed).into_response();
    }
    match inflated(packed) {
        Some(plain) => (vary, plain).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn inflated(packed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut plain).ok()?;
    Some(plain)
}

/// True if the client accepts gzip (RFC 9110, section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let named = elements(headers, "accept-encoding", b',').find_map(|range| {
        let (coding, weight) = range.split_once(';').unwrap_or((range, ""));
        let weight = weight.trim().trim_start_matches(['q', 'Q', '=']).parse::<f32>().unwrap_or(1.0);
        coding.trim().eq_ignore_ascii_case("gzip").then_some(weight > 0.0)
    });
    named.unwrap_or(false)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ttf") => "font/ttf",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_name_it() {
        for (value, takes) in [
            ("gzip", true),
            ("br, GZip;q=0.5", true),
            ("gzip, deflate, br, zstd", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("br", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]);
            assert_eq!(takes_gzip(&headers), takes, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
