//! Trace attributes of requests, and their parent traces.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::app::App;
use crate::tools::request_metrics::RequestLabels;

/// Records the attributes known on arrival. The request continues the trace in `traceparent` (W3C Trace Context) only
/// if a trusted proxy sent it: others could force the recording of their requests, and inject them into foreign traces.
pub(super) fn begin(app: &App, span: &Span, request: &Request, method: &str, route: &str) {
    if app.config.watch.otlp_endpoint.is_none() {
        return;
    }
    span.record("otel.kind", "server");
    span.record("otel.name", format!("{method} {route}"));
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
    if peer.is_some_and(|peer| app.config.trusted_proxies.iter().any(|network| network.contains(&peer))) {
        let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
        // This fails if no subscriber records the span.
        let _ = span.set_parent(parent);
    }
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
}

/// Records the attributes of the response.
pub(super) fn end(app: &App, span: &Span, labels: &RequestLabels) {
    if app.config.watch.otlp_endpoint.is_some() {
        span.set_attribute("http.response.status_code", i64::from(labels.status));
        if labels.status >= 500 {
            span.record("otel.status_code", "ERROR");
        }
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}
