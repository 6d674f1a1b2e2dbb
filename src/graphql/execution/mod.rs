//! The execution of GraphQL operations, from the request to the response. The callers only translate bytes.

// Objects without selected fields.
mod conditional_selections;
// Null in place of failed fields.
mod null_propagation;
// Removal of optional variables without a value.
mod omitted_variables;
// Labels for metrics, traces and logs.
mod operation_labels;
mod rejected_document;
mod response;
mod schema_index;
// Fragments at the root of a subscription.
mod subscription_root;
// Walks over the selections of a document.
pub(super) mod selections;
// Checks and coercion of the values of arguments and variables.
mod variables;
// Limits on the cost of a document.
pub(super) mod limits;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Request as Query;
use async_graphql::parser::types::ExecutableDocument;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::time::timeout;
use tracing::Instrument as _;

use self::limits::{Documents, ParsedDocument};
use self::schema_index::SchemaIndex;
use crate::app::App;
use crate::graphql::context::{OperationKind, Request};
use crate::graphql::errors::name_of;
use crate::graphql::{VestibuleSchema, schema, with_request_data};
use crate::tools::metrics::Gauge;
use crate::tools::request_metrics::{OperationLabels, OperationTimer};

pub use self::rejected_document::RejectedDocument;
pub use self::response::Response;
pub use self::variables::FILE_MARK;

/// Delay before the next attempt at an operation that timed out.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Executor of the operations of all clients.
pub struct Executor {
    /// The application.
    pub app: Arc<App>,
    schema: VestibuleSchema,
    index: SchemaIndex,
    documents: Documents,
}

impl Executor {
    /// The executor of this application.
    pub fn new(app: Arc<App>) -> Self {
        let schema = schema(&app);
        let index = SchemaIndex::parse(&schema.document());
        Self { app, schema, index, documents: Documents::default() }
    }

    /// Checks a request as far as possible without executing it.
    ///
    /// # Errors
    /// - GRAPHQL_PARSE_FAILED
    /// - QUERY_TOO_COMPLEX
    /// - GRAPHQL_VALIDATION_FAILED for invalid documents and wrong declarations of variables
    /// - BAD_USER_INPUT for wrong values
    /// - BAD_REQUEST for NUL in a string
    /// - OPERATION_RESOLUTION_FAILURE if the request does not select one operation
    pub fn admit(self: &Arc<Self>, mut query: Query) -> Result<Operation, RejectedDocument> {
        match self.check(&mut query) {
            Ok(ParsedDocument { kind, document }) => {
                let has_additions = self.adapt(&mut query, kind);
                Ok(Operation { executor: Arc::clone(self), query, document, kind, has_additions })
            }
            Err(rejected) => {
                self.app.request_metrics.begin(operation_labels::rejected()).end(Some(rejected.code));
                Err(rejected)
            }
        }
    }

    fn check(&self, query: &mut Query) -> Result<ParsedDocument, RejectedDocument> {
        let parsed = self.documents.parse(query)?;
        variables::coerce(&self.index, query)?;
        Ok(parsed)
    }

    /// Rewrites the parts of a document that the library does not execute as specified. Returns true if null
    /// propagation must remove additions from the response.
    fn adapt(&self, query: &mut Query, kind: OperationKind) -> bool {
        // Only conditions and fragments can leave an object without fields.
        let is_conditional = query.query.contains('@') || query.query.contains("...");
        let is_subscription = kind == OperationKind::Subscription;
        if !is_conditional && !is_subscription {
            return false;
        }
        let Ok(mut document) = query.parsed_query().cloned() else { return false };
        if is_subscription {
            subscription_root::flatten(&self.index, &mut document);
        }
        let has_additions = is_conditional && conditional_selections::keep_objects(&self.index, &mut document);
        query.set_parsed_query(document);
        has_additions
    }
}

/// Error of an operation that exceeded its time limit.
#[derive(Clone, Copy, Debug)]
pub struct TimedOut {
    /// Delay before the next attempt.
    pub retry_after: Duration,
}

/// A checked request.
pub struct Operation {
    executor: Arc<Executor>,
    query: Query,
    document: Arc<ExecutableDocument>,
    kind: OperationKind,
    /// True if the executed document selects more than the client's.
    has_additions: bool,
}

impl Operation {
    /// Kind of the operation.
    pub fn kind(&self) -> OperationKind {
        self.kind
    }

    /// True if the document must not appear in a URL.
    pub fn takes_secret(&self) -> bool {
        limits::takes_secret(&self.document)
    }

    /// Names of the fields at the root, skipped ones included.
    pub fn root_fields(&self) -> BTreeSet<&str> {
        let operation = selections::select(&self.document, self.query.operation_name.as_deref());
        let fields = operation.map(|operation| selections::top_fields(&self.document, &operation.selection_set.node));
        fields.into_iter().flatten().map(|field| field.name.node.as_str()).collect()
    }

    /// Sets the content of the uploaded file.
    pub fn set_file(&mut self, mut content: Vec<u8>) {
        self.query.uploads.iter_mut().for_each(|upload| upload.content = std::mem::take(&mut content).into());
    }

    /// Executes a query or mutation.
    ///
    /// # Errors
    /// [`TimedOut`].
    pub async fn run(self, caller: &Arc<Request>, request_id: &str) -> Result<Response, TimedOut> {
        let wire = &self.executor.app.config.wire;
        // A file may have a hundred thousand rows.
        let limit = if self.query.uploads.is_empty() { wire.request_timeout } else { wire.upload_timeout };
        let labels = self.labels();
        let span = tracing::debug_span!(
            "graphql",
            graphql.operation.type = labels.kind,
            graphql.operation.name = self.query.operation_name.as_deref(),
            graphql.field = &*labels.operation
        );
        let executor = Arc::clone(&self.executor);
        let (mut run, query) = self.begin(labels, Arc::clone(caller), request_id.to_owned());
        match timeout(limit, executor.schema.execute(query).instrument(span)).await {
            Ok(executed) => Ok(run.respond(executed)),
            Err(_) => Err(run.time_out()),
        }
    }

    /// Executes a query, which has one response, or a subscription, which has one for each event. The stream ends with
    /// an error, or with a response to a document that was not executed.
    pub fn stream(self, caller: Request, request_id: String) -> BoxStream<'static, Result<Response, TimedOut>> {
        let app = &self.executor.app;
        let is_subscription = self.kind == OperationKind::Subscription;
        let limit = if is_subscription { Duration::MAX } else { app.config.wire.request_timeout };
        let counted = is_subscription.then(|| Counted::new(&app.request_metrics.subscriptions));
        let labels = self.labels();
        let (run, query) = self.begin(labels, Arc::new(caller), request_id);
        let responses = run.executor.schema.execute_stream(query);
        let next = move |state: Option<(Run, BoxStream<'static, async_graphql::Response>, Option<Counted>)>| async move {
            let (mut run, mut responses, counted) = state?;
            match timeout(limit, responses.next()).await {
                Ok(Some(executed)) => {
                    let response = run.respond(executed);
                    let state = response.was_executed().then_some((run, responses, counted));
                    Some((Ok(response), state))
                }
                Ok(None) => {
                    run.end(None);
                    None
                }
                Err(_) => Some((Err(run.time_out()), None)),
            }
        };
        stream::unfold(Some((run, responses, counted)), next).boxed()
    }

    fn labels(&self) -> OperationLabels {
        operation_labels::describe(&self.executor.index, &self.document, self.query.operation_name.as_deref())
    }

    /// Starts the timer, and gives resolvers access to their request.
    fn begin(self, labels: OperationLabels, caller: Arc<Request>, request_id: String) -> (Run, Query) {
        let Self { executor, query, document, kind, has_additions } = self;
        let name = query.operation_name.clone();
        let query = with_request_data(query, &executor.app, &caller);
        let timer = Some(executor.app.request_metrics.begin(labels));
        let has_begun = kind != OperationKind::Subscription;
        (Run { executor, document, name, kind, has_additions, caller, request_id, timer, has_begun }, query)
    }
}

/// An operation in progress.
struct Run {
    executor: Arc<Executor>,
    document: Arc<ExecutableDocument>,
    name: Option<String>,
    kind: OperationKind,
    has_additions: bool,
    caller: Arc<Request>,
    request_id: String,
    /// Runs until the first response.
    timer: Option<OperationTimer>,
    /// False until the first event of a subscription.
    has_begun: bool,
}

impl Run {
    fn respond(&mut self, mut executed: async_graphql::Response) -> Response {
        let has_path = response::has_path(&executed.errors);
        let has_data = executed.data != async_graphql::Value::Null;
        // An error before the first event of a subscription has a path, although nothing was executed.
        let was_executed = executed.errors.is_empty() || has_data || (has_path && self.has_begun);
        if let Ok(operation) = selections::select(&self.document, self.name.as_deref()) {
            let Executor { app, index, .. } = &*self.executor;
            let now = if self.kind == OperationKind::Subscription { app.clock.now() } else { self.caller.now };
            for field in operation_labels::forbidden_fields(index, &self.document, operation, &executed.errors) {
                app.refused_rights.note(&now, self.caller.caller.as_ref().ok(), field, "FORBIDDEN");
            }
            if was_executed && (has_path || self.has_additions) {
                null_propagation::complete(index, &mut executed, &self.document, operation);
            }
        }
        let response = Response::new(executed, was_executed, &self.request_id);
        self.has_begun = true;
        self.end(response.code().or(self.caller.refused().map(name_of)));
        response
    }

    fn time_out(&mut self) -> TimedOut {
        self.end(Some("SERVICE_UNAVAILABLE"));
        TimedOut { retry_after: RETRY_AFTER }
    }

    /// Stops the timer with the code of the first response.
    fn end(&mut self, code: Option<&str>) {
        if let Some(timer) = self.timer.take() {
            timer.end(code);
        }
    }
}

/// An item in a gauge, until it is dropped.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
