//! What comes in, counted and timed for those who watch the service.

use std::sync::Arc;
use std::time::Instant;

use crate::tools::metrics::{Counter, EncodeLabelSet, Family, Gauge, Label, Registry, Times, Unit, counters, times_by};

/// What came in since the process was started, and what is there now. Clones share their counts.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    requests: Times<RequestLabels>,
    operations: Family<OutcomeLabels, Counter>,
    times: Times<OperationLabels>,
    refused: Family<RefusedLabels, Counter>,
    /// Connections that are open, those by WebSocket among them.
    pub connections: Gauge,
    /// Connections by WebSocket that are open.
    pub sockets: Gauge,
    /// Subscriptions that are listened to.
    pub subscriptions: Gauge,
}

/// A request, by where it went and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Its method, `OTHER` where that is none that is served.
    pub method: Label,
    /// The pattern of the path, as the route table has it; `other` where there is none.
    pub route: Arc<str>,
    /// The status of the answer.
    pub status: u16,
}

/// A GraphQL operation, by what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OperationLabels {
    /// `query`, `mutation` or `subscription`; `none` where the document was refused before that was known.
    pub kind: Label,
    /// The schema's field that it asks for at its root; `several` and `none` where there is not just one. The name that the
    /// client gave it is not taken: whoever makes up names would fill the memory.
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

/// Why a connection is refused: as many are open as may be, of all or of one client's, or as many by WebSocket.
const REASONS: [Label; 4] = ["all", "client", "sockets", "sockets_client"];

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
        }
    }
}

impl RequestMetrics {
    /// Puts what is counted among what is told to those who watch.
    pub fn register(&self, registry: &mut Registry) {
        let help = "How long HTTP requests took until their answer began";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, self.requests.clone());
        let help = "How long GraphQL operations took to be executed; of a subscription, until it began";
        registry.register_with_unit("graphql_operation_duration", help, Unit::Seconds, self.times.clone());
        let help = "GraphQL operations by outcome: OK, the code of the first error, or CANCELLED where the client left";
        registry.register("graphql_operations", help, self.operations.clone());
        let help = "Connections that were refused because VESTIBULE_CONNECTIONS (all), VESTIBULE_CONNECTIONS_PER_CLIENT \
                    (client), VESTIBULE_SOCKETS (sockets) or VESTIBULE_SOCKETS_PER_CLIENT (sockets_client) were open";
        registry.register("connections_refused", help, self.refused.clone());
        registry.register("connections", "Connections that are open", self.connections.clone());
        registry.register("websockets", "Connections by WebSocket that are open", self.sockets.clone());
        registry.register("subscriptions", "Subscriptions that are listened to", self.subscriptions.clone());
    }

    /// Counts a request that came then and is answered now.
    pub fn answered(&self, request: &RequestLabels, came: Instant) {
        self.requests.get_or_create(request).observe(came.elapsed().as_secs_f64());
    }

    /// Counts a connection that was refused, for this reason.
    pub fn refused(&self, reason: Label) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    /// Begins to time an operation, which counts as CANCELLED where nobody says how it ended.
    pub fn begin(&self, operation: OperationLabels) -> UnderWay {
        UnderWay { traffic: self.clone(), operation, began: Instant::now(), code: None }
    }
}

/// An operation under way.
#[derive(Debug)]
pub struct UnderWay {
    traffic: RequestMetrics,
    operation: OperationLabels,
    began: Instant,
    code: Option<Arc<str>>,
}

impl UnderWay {
    /// The operation has ended with this code, one of the schema's; none where all went well.
    pub fn end(mut self, code: Option<&str>) {
        self.code = Some(Arc::from(code.unwrap_or("OK")));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let OperationLabels { kind, operation } = self.operation.clone();
        self.traffic.times.get_or_create(&self.operation).observe(self.began.elapsed().as_secs_f64());
        let code = self.code.take().unwrap_or_else(|| Arc::from("CANCELLED"));
        self.traffic.operations.get_or_create(&OutcomeLabels { kind, operation, code }).inc();
    }
}
