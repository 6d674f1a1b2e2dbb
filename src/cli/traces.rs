//! Export of traces by OTLP over HTTP.

use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, TraceId, TracerProvider as _};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{ParentBasedSampler, Sampler, SamplingResult, SdkTracerProvider, ShouldSample};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::{Layer, Registry};

use crate::config::Config;
use crate::tools::certificates::Trust;

/// Timeout of sending the last traces when the process stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Timeout of sending one batch.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Exporter of traces.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Creates the exporter; `None` if no endpoint is configured. The libraries also read the standard variables
    /// (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_…`).
    pub(super) fn of(config: &Config) -> Result<Option<Self>, String> {
        let Some(endpoint) = &config.watch.otlp_endpoint else { return Ok(None) };
        // The HTTP client requires a default TLS provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let trust = Trust::read(config.ca_file.as_ref()).map_err(|problem| format!("VESTIBULE_CA_FILE: {problem}"))?;
        let client = client(&trust).map_err(|error| format!("VESTIBULE_OTLP_ENDPOINT: {error}"))?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client);
        let exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.as_str()));
        let exporter = exporter.build().map_err(|error| format!("VESTIBULE_OTLP_ENDPOINT: {error}"))?;
        let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let resource = named(resource.build());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(ParentBasedSampler::new(Roots(Sampler::TraceIdRatioBased(config.watch.otlp_sample))))
            .with_batch_exporter(exporter);
        Ok(Some(Self(provider.build())))
    }

    /// Layer that records spans of the service, and of SQL statements only their kind, without text and values.
    pub(super) fn layer(&self) -> impl Layer<Registry> + use<> {
        let ours = filter_fn(|meta| match meta.target().split("::").next() {
            Some("vestibule") if meta.is_span() => *meta.level() <= LevelFilter::DEBUG,
            Some("vestibule") => *meta.level() <= LevelFilter::INFO,
            // Other spans of SeaORM contain the parameters of statements.
            Some("sea_orm") => meta.is_span() && meta.name().starts_with("sea_orm."),
            _ => false,
        });
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("vestibule"));
        layer.with_location(false).with_threads(false).with_tracked_inactivity(false).with_filter(ours)
    }

    /// Sends the remaining traces.
    pub(super) fn finish(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
            tracing::warn!(%error, "cannot send the last traces");
        }
    }
}

/// HTTP client that trusts the system's certificate authorities and the configured ones.
fn client(trust: &Trust) -> Result<reqwest::blocking::Client, reqwest::Error> {
    let own: Result<Vec<_>, _> = trust.own().iter().map(|own| reqwest::Certificate::from_der(own)).collect();
    reqwest::blocking::Client::builder().tls_certs_merge(own?).timeout(SEND_TIMEOUT).build()
}

/// Sets the service name, unless the standard variables set another.
fn named(resource: Resource) -> Resource {
    let given = resource.get(&Key::from_static_str("service.name")).map(|name| name.to_string());
    match given {
        Some(name) if !name.starts_with("unknown_service") => resource,
        _ => {
            let ours = resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
            Resource::builder_empty().with_attributes(ours).with_service_name("vestibule").build()
        }
    }
}

/// Sampler that starts traces only for requests and emails, not for the worker's polling.
#[derive(Clone, Debug)]
struct Roots(Sampler);

impl ShouldSample for Roots {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let begins = matches!(kind, SpanKind::Server | SpanKind::Consumer);
        let sampler = if begins { &self.0 } else { &Sampler::AlwaysOff };
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}
