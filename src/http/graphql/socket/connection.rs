//! One connection: who is at its other end, and what they asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Pos, Request as Query, Response as Executed, Value};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use axum::http::StatusCode;
use futures_util::stream::{self, AbortHandle, BoxStream, SelectAll, StreamExt as _};
use serde_json::Map;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::domain::auth::identity::{Caller, Client};
use crate::domain::auth::live_connections::{ConnectionGuard, Ended};
use crate::error::{Error, Reason};
use crate::graphql::context::{Browser, Request};
use crate::graphql::errors::Failure;
use crate::graphql::execution::limits::{self, Admitted, Kind};
use crate::graphql::execution::operation_labels::refused_fields;
use crate::graphql::with_request_data;
use crate::http::graphql::Endpoint;
use crate::http::graphql::request;
use crate::http::graphql::response::{self, Refusal};
use crate::http::graphql::socket::protocol::{self, Close, Incoming};
use crate::http::middleware::RequestId;
use crate::tools::metrics::Gauge;
use crate::tools::request_metrics::UnderWay;

/// How long a client may take to say who it is.
const INIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two pings; a client that said nothing in the meantime, not even a pong, is gone. Proxies cut off connections
/// that are silent for a minute.
const PING_PAUSE: Duration = Duration::from_secs(30);

/// How long a client may take to receive a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to say good-bye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many operations a connection may have under way.
const MAX_OPERATIONS: usize = 10;

/// Serves a connection until it ends.
pub(super) async fn serve(
    mut socket: WebSocket,
    endpoint: Arc<Endpoint>,
    client: Client,
    id: RequestId,
    stopping: watch::Receiver<bool>,
) {
    let talk = Connection { endpoint, client, id, caller: None, operations: SelectAll::new(), handles: HashMap::new() };
    let Err(end) = talk.run(&mut socket, stopping).await;
    let good_bye = async {
        if let End::Close(Close { code, reason }) = end {
            tracing::debug!(code, reason, "a connection is closed");
            let frame = CloseFrame { code, reason: reason.into() };
            socket.send(Message::Close(Some(frame))).await?;
        }
        // The client's own good-bye is answered while this is waited for, and whoever still sends something would
        // otherwise not receive the reason.
        while socket.recv().await.transpose()?.is_some() {}
        Ok::<_, axum::Error>(())
    };
    // Whatever comes of it, the connection ends.
    let _ = timeout(CLOSE_TIMEOUT, good_bye).await;
}

/// How a connection ends.
enum End {
    /// We close it.
    Close(Close),
    /// The client is gone.
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// A connection does not end well or badly, it ends.
type Never = std::convert::Infallible;

/// What is known of a connection.
struct Connection {
    endpoint: Arc<Endpoint>,
    client: Client,
    id: RequestId,
    /// Who is at its other end, once they have said so, for as long as they may stay.
    caller: Option<(Caller, ConnectionGuard)>,
    operations: SelectAll<BoxStream<'static, Output>>,
    handles: HashMap<String, AbortHandle>,
}

/// A message about an operation.
struct Output {
    id: String,
    text: String,
    is_last: bool,
}

impl Connection {
    async fn run(mut self, socket: &mut WebSocket, mut stopping: watch::Receiver<bool>) -> Result<Never, End> {
        let init_end = Instant::now() + INIT_TIMEOUT;
        let mut pings = interval_at(Instant::now() + PING_PAUSE, PING_PAUSE);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = true;
        loop {
            tokio::select! {
                biased;
                () = told_to_stop(&mut stopping) => return Err(Close::going_away().into()),
                end = ended(&mut self.caller) => return Err(end.into()),
                () = sleep_until(init_end), if self.caller.is_none() => return Err(Close::init_timeout().into()),
                _ = pings.tick() => {
                    if !std::mem::take(&mut heard) {
                        return Err(End::Gone);
                    }
                    self.send(socket, Message::Ping(axum::body::Bytes::new())).await?;
                }
                received = socket.recv() => {
                    heard = true;
                    if let Some(text) = text_of(received)? {
                        self.hear(socket, protocol::parse(&text)?).await?;
                    }
                }
                Some(Output { id, text, is_last }) = self.operations.next(), if !self.operations.is_empty() => {
                    if is_last {
                        self.handles.remove(&id);
                    }
                    self.say(socket, text).await?;
                }
            }
        }
    }

    async fn hear(&mut self, socket: &mut WebSocket, incoming: Incoming) -> Result<(), End> {
        match incoming {
            Incoming::Init(_) if self.caller.is_some() => Err(Close::second_init().into()),
            Incoming::Init(payload) => {
                let caller = self.recognise(&payload).await?;
                let stay = self.endpoint.app.live_connections.begin(&caller);
                self.caller = Some((caller, stay));
                self.say(socket, protocol::ack()).await
            }
            // Before the client said who it is, a token in a ping means nothing.
            Incoming::Ping(Some(payload)) if self.caller.is_some() && protocol::names_token(&payload) => {
                self.prolong(socket, &payload).await
            }
            Incoming::Ping(payload) => self.say(socket, protocol::pong(payload)).await,
            Incoming::Pong => Ok(()),
            Incoming::Subscribe { id, request } => {
                if self.caller.is_none() {
                    return Err(Close::unauthorized().into());
                }
                if self.handles.contains_key(&id) {
                    return Err(Close::taken(&id).into());
                }
                match self.begin(&id, request).await? {
                    Ok(()) => Ok(()),
                    Err(refusal) => self.say(socket, protocol::error(&id, &[refusal.error()])).await,
                }
            }
            Incoming::Complete(id) => {
                if let Some(handle) = self.handles.remove(&id) {
                    handle.abort();
                }
                Ok(())
            }
        }
    }

    async fn recognise(&mut self, payload: &Map<String, serde_json::Value>) -> Result<Caller, End> {
        let token = protocol::token(payload).ok_or_else(Close::forbidden)?;
        let app = &self.endpoint.app;
        app.authenticate(&app.clock.now(), &self.client, token).await.map_err(|error| lost(&error))
    }

    /// Lets the connection last as long as the access token in a `ping`, which has to be of the same session. An older
    /// one changes nothing, and neither does the API token that the connection was opened with. Everything else closes the connection: a client that holds another session, or none, must not
    /// go on hearing what this one is told.
    async fn prolong(&mut self, socket: &mut WebSocket, payload: &Map<String, serde_json::Value>) -> Result<(), End> {
        let token = protocol::token(payload).ok_or_else(Close::forbidden)?;
        let app = &self.endpoint.app;
        let sender = app.authenticate_unseen(&app.clock.now(), &self.client, token).await;
        let sender = sender.map_err(|error| lost(&error))?;
        let Some((caller, stay)) = &mut self.caller else { return Err(Close::unauthorized().into()) };
        if !caller.has_credential_of(&sender) {
            return Err(Close::other_session().into());
        }
        if sender.accepted_until() > caller.accepted_until() {
            stay.extend(&sender);
            *caller = sender;
        }
        match caller.accepted_until() {
            Some(until) => self.say(socket, protocol::prolonged(until)).await,
            None => self.say(socket, protocol::pong(None)).await,
        }
    }

    /// Begins an operation, or says why not.
    async fn begin(&mut self, id: &str, request: Map<String, serde_json::Value>) -> Result<Result<(), Refusal>, End> {
        let refused = |message: &str| Ok(Err(Refusal::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)));
        let mut query = match request::from_fields(request) {
            Ok(query) => query,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Admitted { kind, document } = match self.endpoint.admit(&mut query) {
            Ok(Admitted { kind: Kind::Mutation, .. }) => {
                return refused("Mutations are served over HTTP: send them by POST.");
            }
            Ok(admitted) => admitted,
            Err(limits::Refusal { code, message, location }) => {
                self.endpoint.app.traffic.begin(self.endpoint.operations.refused()).end(Some(code));
                return Ok(Err(Refusal::new(StatusCode::BAD_REQUEST, code, message).at(location)));
            }
        };
        if self.handles.len() >= MAX_OPERATIONS {
            return refused(&format!("A connection may have {MAX_OPERATIONS} operations under way at most."));
        }
        let app = &self.endpoint.app;
        let Some((caller, stay)) = &mut self.caller else { return Err(Close::unauthorized().into()) };
        let now = app.clock.now();
        *caller = app.renew(&now, caller).await.map_err(|error| lost(&error))?;
        stay.extend(caller);
        let request = Request::new(now, self.client.clone(), Ok(caller.clone()), Browser::default(), kind);
        let name = query.operation_name.clone();
        let labels = self.endpoint.operations.describe(&document, name.as_deref());
        let operation = Operation {
            id: id.to_owned(),
            request_id: self.id.0.clone(),
            caller: caller.clone(),
            endpoint: Arc::clone(&self.endpoint),
            _counted: (kind == Kind::Subscription).then(|| Counted::new(&app.traffic.subscriptions)),
            answers: answers(&self.endpoint, query, request, kind),
            under_way: Some(app.traffic.begin(labels)),
            name,
            document,
            kind,
            progress: Progress::None,
        };
        let outputs = stream::unfold(operation, |mut operation| async {
            let output = operation.next().await?;
            Some((output, operation))
        });
        let (outputs, handle) = stream::abortable(outputs);
        self.operations.push(outputs.boxed());
        self.handles.insert(id.to_owned(), handle);
        Ok(Ok(()))
    }

    async fn say(&mut self, socket: &mut WebSocket, text: String) -> Result<(), End> {
        self.send(socket, Message::Text(text.into())).await
    }

    /// Sends a message. Whoever does not read keeps nothing waiting but themself, and not for ever.
    async fn send(&mut self, socket: &mut WebSocket, message: Message) -> Result<(), End> {
        tokio::select! {
            biased;
            end = ended(&mut self.caller) => Err(end.into()),
            sent = timeout(SEND_TIMEOUT, socket.send(message)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(End::Gone),
            },
        }
    }
}

async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and then it is time to stop as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Waits until the caller may stay no longer; without one, for ever.
async fn ended(caller: &mut Option<(Caller, ConnectionGuard)>) -> Close {
    match caller {
        Some((_, stay)) => match stay.ended().await {
            Ended::Expired => Close::expired(),
            Ended::Revoked => Close::forbidden(),
        },
        None => std::future::pending().await,
    }
}

/// The text that was received; none for frames that have none to give.
fn text_of(received: Option<Result<Message, axum::Error>>) -> Result<Option<Utf8Bytes>, End> {
    match received {
        Some(Ok(Message::Text(text))) => Ok(Some(text)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(_))) => Err(Close::bad_message("Messages are texts").into()),
        Some(Err(error)) if is_too_long(&error) => Err(Close::too_long().into()),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string().contains("too long"))
}

/// How a connection ends whose caller was not recognised.
fn lost(error: &Error) -> End {
    match error {
        Error::Unauthenticated(Reason::Expired) => Close::expired().into(),
        Error::Unauthenticated(_) => Close::forbidden().into(),
        Error::Unavailable(_) => Close::busy().into(),
        error => {
            tracing::error!(?error, "a caller could not be recognised");
            Close::fault().into()
        }
    }
}

/// What an operation answers: one answer to a query, as many as there are to a subscription.
fn answers(endpoint: &Endpoint, query: Query, request: Request, kind: Kind) -> BoxStream<'static, Option<Executed>> {
    let query = with_request_data(query, &endpoint.app, Arc::new(request));
    let mut executed = endpoint.schema.execute_stream(query);
    if kind == Kind::Subscription {
        return executed.map(Some).boxed();
    }
    let patience = endpoint.app.config.wire.request_timeout;
    stream::once(async move { timeout(patience, executed.next()).await.ok().flatten() }).boxed()
}

/// An operation under way.
struct Operation {
    id: String,
    request_id: String,
    caller: Caller,
    endpoint: Arc<Endpoint>,
    name: Option<String>,
    document: Arc<async_graphql::parser::types::ExecutableDocument>,
    answers: BoxStream<'static, Option<Executed>>,
    kind: Kind,
    progress: Progress,
    /// Until it has answered for the first time.
    under_way: Option<UnderWay>,
    _counted: Option<Counted>,
}

/// One of those that a gauge shows, until this is dropped.
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

/// How far an operation is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    None,
    Some,
    Over,
}

impl Operation {
    /// The next message about it; none after the last.
    async fn next(&mut self) -> Option<Output> {
        if self.progress == Progress::Over {
            return None;
        }
        let text = match self.answers.next().await {
            None => {
                self.progress = Progress::Over;
                self.answered(None);
                protocol::complete(&self.id)
            }
            Some(None) => {
                self.progress = Progress::Over;
                self.answered(Some("SERVICE_UNAVAILABLE"));
                let busy = async_graphql::Error::from(Failure::from(Error::Unavailable(Duration::from_secs(1))));
                protocol::error(&self.id, &[busy.into_server_error(Pos::default())])
            }
            Some(Some(executed)) => self.write(executed),
        };
        Some(Output { id: self.id.clone(), text, is_last: self.progress == Progress::Over })
    }

    /// Counts how it has answered for the first time.
    fn answered(&mut self, code: Option<&str>) {
        if let Some(under_way) = self.under_way.take() {
            under_way.end(code);
        }
    }

    fn write(&mut self, mut executed: Executed) -> String {
        let app = &self.endpoint.app;
        for field in refused_fields(&executed.errors, "FORBIDDEN", &self.document) {
            app.refused_rights.note(&app.clock.now(), Some(&self.caller), field, "FORBIDDEN");
        }
        // What fails before a subscription has an event has a path, but was not executed either.
        let has_begun = self.kind == Kind::Query || self.progress == Progress::Some;
        let was_executed = response::was_executed(&executed) && (has_begun || executed.data != Value::Null);
        if was_executed && !executed.errors.is_empty() {
            self.endpoint.types.complete(&mut executed, &self.document, self.name.as_deref());
        }
        response::tidy_all(&mut executed, &self.request_id);
        self.answered(response::code(&executed));
        if was_executed {
            self.progress = Progress::Some;
            protocol::next(&self.id, &response::body(&executed, true))
        } else {
            self.progress = Progress::Over;
            protocol::error(&self.id, &executed.errors)
        }
    }
}
