//! What traces show of a request, and which trace it belongs to.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::app::App;
use crate::tools::request_metrics::RequestLabels;

/// Notes of a request what is known of it when it comes. It goes on with the trace that a trusted proxy names in
/// `traceparent` (W3C Trace Context); strangers could have each of theirs recorded, and mix them with others'.
pub(super) fn begin(app: &App, span: &Span, request: &Request, method: &str, route: &str) {
    if app.config.watch.otlp_endpoint.is_none() {
        return;
    }
    span.record("otel.kind", "server");
    span.record("otel.name", format!("{method} {route}"));
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
    if peer.is_some_and(|peer| app.config.trusted_proxies.iter().any(|network| network.contains(&peer))) {
        let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
        // There is nobody to hand it to where the span is recorded by nothing.
        let _ = span.set_parent(parent);
    }
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
}

/// Notes what came of it.
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
