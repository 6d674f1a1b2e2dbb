//! A WebSocket connection: its caller and its operations.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::stream::{self, AbortHandle, BoxStream, SelectAll, Stream, StreamExt as _};
use serde_json::Map;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, error::CapacityError};

use crate::domain::auth::identity::{Caller, Client};
use crate::domain::auth::live_connections::{ConnectionGuard, Ended};
use crate::domain::rate_limits;
use crate::error::{Error, Reason};
use crate::graphql::context::{Browser, OperationKind, Request};
use crate::graphql::execution::{Executor, Response, TimedOut};
use crate::http::graphql::media_type::Media;
use crate::http::graphql::request;
use crate::http::graphql::response::RequestError;
use crate::http::graphql::socket::protocol::{self, Close, Incoming};
use crate::http::middleware::RequestId;
use crate::http::response_memory;

/// Time limit for the client's `connection_init`.
const INIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between pings. A client that sends nothing in between, not even a pong, is gone. Proxies close connections
/// that are idle for a minute.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Time limit for the client to receive a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum number of concurrent operations of a connection.
const MAX_OPERATIONS: usize = 10;

/// Serves a connection until it ends.
pub(super) async fn serve(
    mut socket: WebSocket,
    executor: Arc<Executor>,
    client: Client,
    id: RequestId,
    stopping: watch::Receiver<bool>,
) {
    let connection =
        Connection { executor, client, id, caller: None, operations: SelectAll::new(), handles: HashMap::new() };
    let Err(end) = connection.run(&mut socket, stopping).await;
    let closing = async {
        if let End::Close(Close { code, reason }) = end {
            tracing::debug!(code, %reason, "closing connection");
            let frame = CloseFrame { code, reason: reason.as_ref().into() };
            socket.send(Message::Close(Some(frame))).await?;
        }
        // Receiving answers the client's close frame. A client that is still sending would otherwise miss the reason.
        while socket.recv().await.transpose()?.is_some() {}
        Ok::<_, axum::Error>(())
    };
    // The connection ends in any case.
    let _ = timeout(CLOSE_TIMEOUT, closing).await;
}

/// End of a connection.
enum End {
    /// The service closes it.
    Close(Close),
    /// The client is gone.
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// Success type of a connection, which runs until an [`End`].
type Never = std::convert::Infallible;

/// State of a connection.
struct Connection {
    executor: Arc<Executor>,
    client: Client,
    id: RequestId,
    /// The caller after `connection_init`, with the guard that ends the connection when the credential does.
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
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_received = true;
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stopping) => return Err(Close::GOING_AWAY.into()),
                end = ended(&mut self.caller) => return Err(end.into()),
                () = sleep_until(init_end), if self.caller.is_none() => return Err(Close::INIT_TIMEOUT.into()),
                _ = pings.tick() => {
                    if !std::mem::take(&mut has_received) {
                        return Err(End::Gone);
                    }
                    self.send(socket, Message::Ping(axum::body::Bytes::new())).await?;
                }
                received = socket.recv() => {
                    has_received = true;
                    if let Some(text) = text_of(received)? {
                        self.handle(socket, protocol::parse(&text)?).await?;
                    }
                }
                Some(Output { id, text, is_last }) = self.operations.next(), if !self.operations.is_empty() => {
                    if is_last {
                        self.handles.remove(&id);
                    }
                    self.send_text(socket, text).await?;
                }
            }
        }
    }

    async fn handle(&mut self, socket: &mut WebSocket, incoming: Incoming) -> Result<(), End> {
        match incoming {
            Incoming::Init(_) if self.caller.is_some() => Err(Close::SECOND_INIT.into()),
            Incoming::Init(payload) => {
                let caller = self.authenticate(&payload).await?;
                let guard = self.executor.app.live_connections.begin(&caller);
                self.caller = Some((caller, guard));
                self.send_text(socket, protocol::ack()).await
            }
            // Before `connection_init`, a token in a ping is ignored.
            Incoming::Ping(Some(payload)) if self.caller.is_some() && protocol::names_token(&payload) => {
                self.extend(socket, &payload).await
            }
            Incoming::Ping(payload) => self.send_text(socket, protocol::pong(payload)).await,
            Incoming::Pong => Ok(()),
            Incoming::Subscribe { id, request } => {
                if self.caller.is_none() {
                    return Err(Close::UNAUTHORIZED.into());
                }
                if self.handles.contains_key(&id) {
                    return Err(Close::taken(&id).into());
                }
                match self.begin(&id, request).await? {
                    Ok(()) => Ok(()),
                    Err(error) => self.send_text(socket, protocol::error(&id, &[error.to_json()])).await,
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

    async fn authenticate(&mut self, payload: &Map<String, serde_json::Value>) -> Result<Caller, End> {
        let token = protocol::token(payload).ok_or(Close::FORBIDDEN)?;
        let app = &self.executor.app;
        app.authenticate(&app.clock.now(), &self.client, token).await.map_err(|error| authentication_end(&error))
    }

    /// Extends the connection to the expiry of the access token in a `ping`, which must be of the same session. An
    /// older token changes nothing, and neither does the API token that opened the connection. Any other token closes
    /// the connection: a client with another session, or none, must not receive the events of this one.
    async fn extend(&mut self, socket: &mut WebSocket, payload: &Map<String, serde_json::Value>) -> Result<(), End> {
        let token = protocol::token(payload).ok_or(Close::FORBIDDEN)?;
        let app = &self.executor.app;
        let sender = app.authenticate_unseen(&app.clock.now(), &self.client, token).await;
        let sender = sender.map_err(|error| authentication_end(&error))?;
        let Some((caller, guard)) = &mut self.caller else { return Err(Close::UNAUTHORIZED.into()) };
        if !caller.has_credential_of(&sender) {
            return Err(Close::OTHER_SESSION.into());
        }
        if sender.accepted_until() > caller.accepted_until() {
            guard.extend(&sender);
            *caller = sender;
        }
        match caller.accepted_until() {
            Some(until) => self.send_text(socket, protocol::extended(until)).await,
            None => self.send_text(socket, protocol::pong(None)).await,
        }
    }

    /// Starts an operation; the inner error rejects only the operation.
    async fn begin(
        &mut self,
        id: &str,
        request: Map<String, serde_json::Value>,
    ) -> Result<Result<(), RequestError>, End> {
        let admitted = request::from_fields(request).and_then(|query| {
            self.executor.admit(query).map_err(|rejected| RequestError::rejected(rejected, Media::GraphqlResponse))
        });
        let operation = match admitted {
            Ok(operation) => operation,
            Err(error) => return Ok(Err(error)),
        };
        if operation.kind() == OperationKind::Mutation {
            return Ok(Err(RequestError::bad("Mutations are served over HTTP: send them by POST.")));
        }
        if self.handles.len() >= MAX_OPERATIONS {
            let message = format!("A connection may have at most {MAX_OPERATIONS} concurrent operations.");
            return Ok(Err(RequestError::bad(message)));
        }
        let app = &self.executor.app;
        let Some((caller, guard)) = &mut self.caller else { return Err(Close::UNAUTHORIZED.into()) };
        let now = app.clock.now();
        *caller = app.renew(&now, caller).await.map_err(|error| authentication_end(&error))?;
        guard.extend(caller);
        let browser = Browser::default();
        let request = Request::new(now, self.client.clone(), Ok(caller.clone()), browser, operation.kind());
        let responses = operation.stream(request, self.id.0.clone());
        let (outputs, handle) = stream::abortable(outputs(id.to_owned(), responses));
        self.operations.push(outputs.boxed());
        self.handles.insert(id.to_owned(), handle);
        Ok(Ok(()))
    }

    async fn send_text(&mut self, socket: &mut WebSocket, text: String) -> Result<(), End> {
        let networks = || rate_limits::networks(&self.client);
        let _held = response_memory::take(&self.executor.app, networks, text.len()).map_err(|_| Close::BUSY)?;
        self.send(socket, Message::Text(text.into())).await
    }

    /// Sends a message, with a time limit for clients that do not read.
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

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which also means to stop.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Waits until the caller's credential ends; forever without a caller.
async fn ended(caller: &mut Option<(Caller, ConnectionGuard)>) -> Close {
    match caller {
        Some((_, guard)) => match guard.ended().await {
            Ended::Expired => Close::EXPIRED,
            Ended::Revoked => Close::FORBIDDEN,
        },
        None => std::future::pending().await,
    }
}

/// The received text; none for control frames.
fn text_of(received: Option<Result<Message, axum::Error>>) -> Result<Option<Utf8Bytes>, End> {
    match received {
        Some(Ok(Message::Text(text))) => Ok(Some(text)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(_))) => Err(Close::bad_message("Messages must be text").into()),
        Some(Err(error)) if is_too_long(&error) => Err(Close::TOO_LONG.into()),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<tungstenite::Error>());
    matches!(source, Some(tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. })))
}

/// End of a connection whose caller cannot be authenticated.
fn authentication_end(error: &Error) -> End {
    match error {
        Error::Unauthenticated(Reason::Expired) => Close::EXPIRED.into(),
        Error::Unauthenticated(_) => Close::FORBIDDEN.into(),
        Error::Unavailable(_) => Close::BUSY.into(),
        error => {
            tracing::error!(?error, "authentication failed with an internal error");
            Close::INTERNAL_ERROR.into()
        }
    }
}

/// Messages about an operation: one for each response and, unless the last one is an error, `complete`.
fn outputs(id: String, responses: BoxStream<'static, Result<Response, TimedOut>>) -> impl Stream<Item = Output> + Send {
    stream::unfold(Some((id, responses)), |state| async {
        let (id, mut responses) = state?;
        let (text, is_last) = match responses.next().await {
            None => (protocol::complete(&id), true),
            Some(Ok(response)) if response.was_executed() => (protocol::next(&id, &response), false),
            Some(Ok(response)) => (protocol::error(&id, &response.errors()), true),
            Some(Err(TimedOut { retry_after })) => {
                (protocol::error(&id, &[RequestError::busy(retry_after).to_json()]), true)
            }
        };
        Some((Output { id: id.clone(), text, is_last }, (!is_last).then_some((id, responses))))
    })
}
