//! Middleware of all requests: id, log span, recovery from panics, and response headers.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt as _;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::app::App;
use crate::http::graphql::media_type::Media;
use crate::http::graphql::response::{self, RequestError};
use crate::http::{client_ip, response_memory, traces};
use crate::tools::metrics::Label;
use crate::tools::request_metrics::RequestLabels;

/// Id of a request, for the log and INTERNAL_SERVER_ERROR.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

/// Default headers of responses. They forbid scripts, frames, sniffing, referrers and caches.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Period in which browsers use only https (RFC 6797): a year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Default delay after 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Wraps a request.
pub(super) async fn wrap(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let id = app.clock.now().id().simple().to_string();
    let span = tracing::info_span!(
        "request",
        id,
        method = %request.method(),
        path = request.uri().path(),
        otel.kind = Empty,
        otel.name = Empty,
        otel.status_code = Empty
    );
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, route, version) = (method(&request), route(&request), request.version());
    traces::begin(&app, &span, &request, method, &route);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let client = peer.map(|peer| client_ip::address(peer, request.headers(), &app.config.trusted_proxies));
    let started = Instant::now();
    let mut response = if names_one_host(&request) {
        let handled = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
        let handled = handled.unwrap_or_else(|_| {
            span.in_scope(|| tracing::error!("handler panicked"));
            response::internal_error(&id)
        });
        response_memory::bound(&app, client, version, handled)
    } else {
        RequestError::bad("Send one valid Host header.").into_response(Media::Json)
    };
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(status, elapsed = ?started.elapsed(), "request complete"));
    let labels = RequestLabels { method, route, status };
    app.request_metrics.answered(&labels, started);
    traces::end(&app, &span, &labels);
    let is_unavailable = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    if is_unavailable {
        headers.entry(header::RETRY_AFTER).or_insert(RETRY_AFTER);
    }
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    if app.public_url.is_https() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    response
}

/// Pattern of the path in the route table. Paths are arbitrary, patterns are few.
fn route(request: &Request) -> Arc<str> {
    static OTHER: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("other"));
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or_else(|| Arc::clone(&OTHER), |matched| Arc::from(matched.as_str()))
}

fn method(request: &Request) -> Label {
    match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// True if the request names one host, as HTTP/1.1 requires (RFC 9112, section 3.2). The service does not use it, but
/// proxies do, and disagreement between two of them is a vulnerability.
fn names_one_host(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version() != Version::HTTP_11,
        (Some(host), None) => host.is_empty() || is_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

fn is_host(text: &[u8]) -> bool {
    Authority::try_from(text).is_ok_and(|authority| !authority.as_str().contains('@'))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower_service::Service as _;

    use super::*;
    use crate::config::Config;
    use crate::tools::clock::Clock;

    #[tokio::test]
    async fn a_panic_is_an_internal_error() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { data_dir: folder.path().to_owned(), ..Config::defaults() };
        let public = "https://accounts.example".parse().unwrap();
        let app = Arc::new(App::open(config, public, Clock::System).await.unwrap());
        let panics = get(async || -> &'static str { panic!("a secret") });
        let mut router = Router::new().route("/", panics).layer(axum::middleware::from_fn_with_state(app, wrap));
        let request = Request::builder().uri("/").header("host", "accounts.example").body(Body::empty()).unwrap();
        let answer = router.call(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in HEADERS {
            assert_eq!(answer.headers().get(&name), Some(&value), "{name}");
        }
        assert_eq!(answer.headers()[header::STRICT_TRANSPORT_SECURITY], HSTS);
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        let body = String::from_utf8(body.into()).unwrap();
        assert!(body.contains("INTERNAL_SERVER_ERROR") && body.contains(&id) && !body.contains("secret"), "{body}");
    }

    #[tokio::test]
    async fn unavailable_responses_have_retry_after() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { data_dir: folder.path().to_owned(), ..Config::defaults() };
        let public = "https://accounts.example".parse().unwrap();
        let app = Arc::new(App::open(config, public, Clock::System).await.unwrap());
        let wait = std::time::Duration::from_secs(10);
        let mut router = Router::new()
            .route("/away", get(async || StatusCode::SERVICE_UNAVAILABLE))
            .route("/refused", get(async move || RequestError::unavailable("Later.", wait).into_response(Media::Json)))
            .layer(axum::middleware::from_fn_with_state(app, wrap));
        for (path, after) in [("/away", "5"), ("/refused", "10")] {
            let request = Request::builder().uri(path).header("host", "accounts.example").body(Body::empty()).unwrap();
            let answer = router.call(request).await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()[header::RETRY_AFTER]),
                (503, &HeaderValue::from_static(after))
            );
            let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
            assert!(body.is_empty() || String::from_utf8(body.into()).unwrap().contains("\"retryAfter\":10"));
        }
    }

    #[test]
    fn a_request_goes_to_one_host() {
        let names = |version, hosts: &[&str]| {
            let mut request = Request::builder().version(version);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            names_one_host(&request.body(Body::empty()).unwrap())
        };
        for host in ["accounts.example", "accounts.example:8000", "127.0.0.1", "[::1]:8000", ""] {
            assert!(names(Version::HTTP_11, &[host]), "{host}");
        }
        for host in ["a b", "a@b", "a/b", "a:b:c", "http://a", "a\\b"] {
            assert!(!names(Version::HTTP_11, &[host]), "{host}");
        }
        assert!(!names(Version::HTTP_11, &[]) && !names(Version::HTTP_11, &["a", "a"]));
        assert!(names(Version::HTTP_10, &[]) && names(Version::HTTP_2, &[]) && !names(Version::HTTP_2, &["a", "b"]));
    }
}
