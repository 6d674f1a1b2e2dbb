//! Metrics of requests, connections and GraphQL operations.

use std::sync::Arc;
use std::time::Instant;

use crate::tools::concurrency_limit::Full;
use crate::tools::metrics::{Counter, EncodeLabelSet, Family, Gauge, Label, Registry, Times, Unit, counters, times_by};

/// Metrics since the start of the process, and current connections. Clones share their counts.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    requests: Times<RequestLabels>,
    operations: Family<OutcomeLabels, Counter>,
    times: Times<OperationLabels>,
    refused: Family<RefusedLabels, Counter>,
    responses_refused: Family<RefusedLabels, Counter>,
    /// Open connections, including WebSockets.
    pub connections: Gauge,
    /// Open WebSocket connections.
    pub sockets: Gauge,
    /// Active subscriptions.
    pub subscriptions: Gauge,
}

/// Labels of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Its method, or `OTHER` for methods that are not served.
    pub method: Label,
    /// Pattern of the path in the route table; `other` without a match.
    pub route: Arc<str>,
    /// Status code of the response.
    pub status: u16,
}

/// Labels of a GraphQL operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OperationLabels {
    /// `query`, `mutation` or `subscription`; `none` if the document was rejected before that was known.
    pub kind: Label,
    /// The root field of the schema; `several` and `none` if there is not exactly one. The client's operation name is
    /// not used: arbitrary names would exhaust memory.
    pub operation: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    kind: Label,
    operation: Arc<str>,
    code: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: Label,
}

/// Reasons for refused connections: the limit of all connections or of one client's, or of WebSockets, in total or per
/// client.
const REASONS: [Label; 4] = ["all", "client", "sockets", "sockets_client"];

/// Reasons for refused responses: the limit on the memory of all responses, or of those to one client.
const RESPONSE_REASONS: [Label; 2] = ["all", "client"];

impl Default for RequestMetrics {
    fn default() -> Self {
        Self {
            requests: times_by(),
            operations: Family::default(),
            times: times_by(),
            refused: counters(REASONS.map(|reason| RefusedLabels { reason })),
            connections: Gauge::default(),
            sockets: Gauge::default(),
            subscriptions: Gauge::default(),
            responses_refused: counters(RESPONSE_REASONS.map(|reason| RefusedLabels { reason })),
        }
    }
}

impl RequestMetrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Duration of HTTP requests until the start of the response";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, self.requests.clone());
        let help = "Duration of GraphQL operations; for a subscription, until its start";
        registry.register_with_unit("graphql_operation_duration", help, Unit::Seconds, self.times.clone());
        let help =
            "GraphQL operations by outcome: OK, the code of the first error, or CANCELLED if the client disconnected";
        registry.register("graphql_operations", help, self.operations.clone());
        let help = "Connections refused by the limits VESTIBULE_CONNECTIONS (all), VESTIBULE_CONNECTIONS_PER_CLIENT \
                    (client), VESTIBULE_SOCKETS (sockets) or VESTIBULE_SOCKETS_PER_CLIENT (sockets_client)";
        registry.register("connections_refused", help, self.refused.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register("websockets", "Open WebSocket connections", self.sockets.clone());
        registry.register("subscriptions", "Active subscriptions", self.subscriptions.clone());
        let help = "Responses refused because of the memory or number of all (all) or of the client's (client) unread \
                    responses";
        registry.register("responses_refused", help, self.responses_refused.clone());
    }

    /// Counts a request that arrived at this time and is answered now.
    pub fn answered(&self, request: &RequestLabels, came: Instant) {
        self.requests.get_or_create(request).observe(came.elapsed().as_secs_f64());
    }

    /// Counts a connection refused for this reason.
    pub fn refused(&self, reason: Label) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    /// Counts a response refused because of this limit on memory.
    pub(crate) fn response_refused(&self, full: Full) {
        let reason = match full {
            Full::All => "all",
            Full::Client => "client",
        };
        self.responses_refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    /// Starts timing an operation. It counts as CANCELLED unless it is ended.
    pub fn begin(&self, operation: OperationLabels) -> OperationTimer {
        OperationTimer { metrics: self.clone(), operation, began: Instant::now(), code: None }
    }
}

/// A running operation.
#[derive(Debug)]
pub struct OperationTimer {
    metrics: RequestMetrics,
    operation: OperationLabels,
    began: Instant,
    code: Option<Arc<str>>,
}

impl OperationTimer {
    /// Ends the operation with this error code of the schema; `None` for success.
    pub fn end(mut self, code: Option<&str>) {
        self.code = Some(Arc::from(code.unwrap_or("OK")));
    }
}

impl Drop for OperationTimer {
    fn drop(&mut self) {
        let OperationLabels { kind, operation } = self.operation.clone();
        self.metrics.times.get_or_create(&self.operation).observe(self.began.elapsed().as_secs_f64());
        let code = self.code.take().unwrap_or_else(|| Arc::from("CANCELLED"));
        self.metrics.operations.get_or_create(&OutcomeLabels { kind, operation, code }).inc();
    }
}
