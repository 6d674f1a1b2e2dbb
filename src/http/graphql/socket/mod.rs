//! GraphQL over WebSocket, by the protocol graphql-transport-ws: who may open a connection, and how many.

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
use crate::http::connection::connection_limit::Full;
use crate::http::connection::server::Stopping;
use crate::http::graphql::Endpoint;
use crate::http::graphql::media_type::Media;
use crate::http::graphql::response::Refusal;
use crate::http::header::elements;
use crate::http::middleware::RequestId;
use crate::http::{auth, client_ip};
use crate::tools::request_metrics::RequestMetrics;

/// The longest message of a client, in bytes.
const MAX_MESSAGE: usize = 16 * 1024;

/// What a connection reads at once, in bytes. Most connections are idle, and each has such a buffer.
const READ_BUFFER: usize = 2 * 1024;

/// After what time a client may try again; nobody knows when another connection ends.
const WAIT: Duration = Duration::from_secs(10);

/// Whether a request wants to open a connection.
pub(in crate::http) fn is_one(headers: &HeaderMap) -> bool {
    elements(headers, "upgrade", b',').any(|name| name.eq_ignore_ascii_case("websocket"))
}

/// Opens a connection.
pub(in crate::http) async fn open(
    endpoint: Arc<Endpoint>,
    mut parts: Parts,
    peer: SocketAddr,
    id: RequestId,
) -> Response {
    let refuse = |status, code, message: &str| Refusal::new(status, code, message).into_response(Media::Json);
    if !may_call(&endpoint.app, &parts.headers) {
        return refuse(StatusCode::FORBIDDEN, "FORBIDDEN", "Pages of this origin may not call.");
    }
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        return refuse(StatusCode::BAD_REQUEST, "BAD_REQUEST", "This is no handshake of WebSocket, version 13.");
    };
    let upgrade = upgrade.protocols([protocol::NAME]);
    if upgrade.selected_protocol().is_none() {
        let message = format!("Name {} in Sec-WebSocket-Protocol: no other protocol is spoken.", protocol::NAME);
        return refuse(StatusCode::BAD_REQUEST, "BAD_REQUEST", &message);
    }
    let Some(Stopping(stopping)) = parts.extensions.get::<Stopping>().cloned() else {
        return Refusal::unavailable("No connections can be opened here.", WAIT).into_response(Media::Json);
    };
    let client = client_ip::of(peer, &parts.headers, &endpoint.app.config.trusted_proxies);
    let place = match endpoint.places.take(Some(rate_limits::networks(&client).into())) {
        Ok(place) => place,
        Err(full) => return auth::refusal(refusal(full, &endpoint.app.traffic), &id.0),
    };
    let span = tracing::info_span!("socket", id = id.0);
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0).on_upgrade(move |socket| {
        let serving = async move {
            connection::serve(socket, endpoint, client, id, stopping).await;
            drop(place);
        };
        serving.instrument(span)
    })
}

fn refusal(full: Full, traffic: &RequestMetrics) -> Error {
    match full {
        Full::All => {
            traffic.refused("sockets");
            tracing::warn!("all connections that VESTIBULE_SOCKETS allows are taken");
            Error::Unavailable(WAIT)
        }
        Full::Client => {
            traffic.refused("sockets_client");
            Error::RateLimited(WAIT)
        }
    }
}

/// Whether the request comes from no page, or from one of ours or of the allowed origins. Browsers do not ask before they
/// open a connection, as they do before other requests to another origin.
fn may_call(app: &App, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let is_it = |known: &str| origin.as_bytes().eq_ignore_ascii_case(known.as_bytes());
    is_it(app.public_url.origin().as_str()) || app.config.allowed_origins.iter().any(|known| is_it(known.as_str()))
}
