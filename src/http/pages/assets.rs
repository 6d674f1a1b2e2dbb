//! Files of the pages. Their addresses change with their content, so that caches never mix versions.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::tools::secret::digest_text;

/// Caching of all files.
const CACHED: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));

/// Policy for pictures: opened as a page, an SVG file runs no script and loads nothing.
const PICTURE_POLICY: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"),
);

/// A file that is part of the program.
pub(super) struct Asset {
    path: &'static str,
    media_type: &'static str,
    content: &'static str,
    version: LazyLock<String>,
}

/// The stylesheet.
pub(super) static STYLE: Asset = Asset {
    path: "/account/style.css",
    media_type: CSS,
    content: include_str!("style.css"),
    version: LazyLock::new(|| version(include_str!("style.css"))),
};

/// The script of all pages.
pub(super) static SCRIPT: Asset = Asset {
    path: "/account/pages.js",
    media_type: JAVASCRIPT,
    content: include_str!("pages.js"),
    version: LazyLock::new(|| version(include_str!("pages.js"))),
};

/// The script for passkeys.
pub(super) static PASSKEYS: Asset = Asset {
    path: "/account/passkeys.js",
    media_type: JAVASCRIPT,
    content: include_str!("passkeys.js"),
    version: LazyLock::new(|| version(include_str!("passkeys.js"))),
};

/// The stylesheet of the console.
pub(super) static CONSOLE_STYLE: Asset = Asset {
    path: "/console/console.css",
    media_type: CSS,
    content: include_str!("console/console.css"),
    version: LazyLock::new(|| version(include_str!("console/console.css"))),
};

/// The script of the console.
pub(super) static CONSOLE_SCRIPT: Asset = Asset {
    path: "/console/console.js",
    media_type: JAVASCRIPT,
    content: include_str!("console/console.js"),
    version: LazyLock::new(|| version(include_str!("console/console.js"))),
};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const CSS: &str = "text/css; charset=utf-8";

fn version(content: &str) -> String {
    digest_text(content)[..12].to_owned()
}

impl Asset {
    /// Its address, under the path of the service.
    pub(super) fn address(&self, base: &str) -> String {
        format!("{base}{}?v={}", self.path, *self.version)
    }

    /// The response with it.
    pub(super) fn response(&self) -> Response {
        ([(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type)), CACHED], self.content).into_response()
    }
}

/// Address of the stylesheet with the colors of the site.
pub(super) fn brand_style(app: &App) -> String {
    format!("{}/account/brand.css?v={}", app.public_url.path(), app.brand.version())
}

/// Address of the logo.
pub(super) fn logo(app: &App) -> String {
    format!("{}/account/logo?v={}", app.public_url.path(), app.brand.version())
}

/// `GET /account/brand.css`
pub(super) async fn serve_brand_style(State(app): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(CSS)), CACHED], app.brand.style()).into_response()
}

/// `GET /account/logo`
pub(super) async fn serve_logo(State(app): State<Arc<App>>) -> Response {
    let Some(logo) = &app.brand.logo else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(logo.media_type)), CACHED, PICTURE_POLICY];
    (headers, logo.bytes.clone()).into_response()
}
