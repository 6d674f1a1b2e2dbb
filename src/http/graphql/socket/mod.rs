//! GraphQL over WebSocket, by the protocol graphql-transport-ws: the handshake and its checks.

mod connection;
pub(in crate::http) mod protocol;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts as _, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use tracing::Instrument as _;

use crate::app::App;
use crate::domain::rate_limits;
use crate::error::Error;
use crate::graphql::execution::Executor;
use crate::http::connection::server::Stopping;
use crate::http::graphql::media_type::Media;
use crate::http::graphql::response::RequestError;
use crate::http::header::elements;
use crate::http::middleware::RequestId;
use crate::http::{auth, client_ip};
use crate::tools::concurrency_limit::{ConcurrencyLimit, Full};
use crate::tools::request_metrics::RequestMetrics;

/// Longest message of a client, in bytes.
const MAX_MESSAGE: usize = 16 * 1024;

/// Size of the read buffer, in bytes. Each connection has one, and most are idle.
const READ_BUFFER: usize = 2 * 1024;

/// Delay before the next attempt at a connection above the limit; the end of another one is not known.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// True if the request is a WebSocket handshake.
pub(in crate::http) fn is_upgrade(headers: &HeaderMap) -> bool {
    elements(headers, "upgrade", b',').any(|name| name.eq_ignore_ascii_case("websocket"))
}

/// Opens a connection.
pub(in crate::http) async fn open(
    executor: &Arc<Executor>,
    sockets: &ConcurrencyLimit,
    mut parts: Parts,
    peer: SocketAddr,
    id: RequestId,
) -> Response {
    let app = &executor.app;
    if !is_allowed_origin(app, &parts.headers) {
        let message = "This origin is not allowed.";
        return RequestError::new(StatusCode::FORBIDDEN, "FORBIDDEN", message).into_response(Media::Json);
    }
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        return RequestError::bad("The handshake is not that of WebSocket, version 13.").into_response(Media::Json);
    };
    let upgrade = upgrade.protocols([protocol::NAME]);
    if upgrade.selected_protocol().is_none() {
        let message =
            format!("Request {} in Sec-WebSocket-Protocol: it is the only supported protocol.", protocol::NAME);
        return RequestError::bad(message).into_response(Media::Json);
    }
    let Some(Stopping(stopping)) = parts.extensions.get::<Stopping>().cloned() else {
        return RequestError::unavailable("No connections can be opened here.", RETRY_AFTER).into_response(Media::Json);
    };
    let client = client_ip::of(peer, &parts.headers, &app.config.trusted_proxies);
    let permit = match sockets.take(Some(rate_limits::networks(&client).into())) {
        Ok(permit) => permit,
        Err(full) => return auth::error_response(limit_error(full, &app.request_metrics), &id.0),
    };
    let span = tracing::info_span!("socket", id = id.0);
    let executor = Arc::clone(executor);
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0).on_upgrade(move |socket| {
        let serving = async move {
            connection::serve(socket, executor, client, id, stopping).await;
            drop(permit);
        };
        serving.instrument(span)
    })
}

fn limit_error(full: Full, request_metrics: &RequestMetrics) -> Error {
    match full {
        Full::All => {
            request_metrics.refused("sockets");
            tracing::warn!(setting = "VESTIBULE_SOCKETS", "connection limit reached");
            Error::Unavailable(RETRY_AFTER)
        }
        Full::Client => {
            request_metrics.refused("sockets_client");
            Error::RateLimited(RETRY_AFTER)
        }
    }
}

/// True if the request comes from no page, or from a page of this service or an allowed origin. Browsers send no
/// preflight request before a WebSocket handshake, unlike before other cross-origin requests.
fn is_allowed_origin(app: &App, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let is_it = |known: &str| origin.as_bytes().eq_ignore_ascii_case(known.as_bytes());
    is_it(app.public_url.origin().as_str()) || app.config.allowed_origins.iter().any(|known| is_it(known.as_str()))
}
