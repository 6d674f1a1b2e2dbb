//! The accept loop: our own, because axum's has neither timeouts nor caps, so that whoever sends half a request, or opens
//! one connection after the other, would hold them for ever.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use ipnet::IpNet;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tower_service::Service as _;

use crate::config::{Config, WireConfig};
use crate::http::connection::connection_limit::{ConnectionLimit, Full, Permit};
use crate::http::connection::drain;
use crate::http::connection::listener::{Listener, Stream};
use crate::http::connection::timeouts::{ConnectionTimer, TimedStream, Timeouts};
use crate::tools::network::Networks;
use crate::tools::request_metrics::RequestMetrics;

/// How long requests in flight may go on after the service was told to stop.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long connections of HTTP/1 stay open for one more request then: whoever keeps one, as proxies do, may be sending it at
/// this moment, and would not know whether it was done.
const LINGER: Duration = Duration::from_secs(1);

/// How long a connection in which nothing goes on may take to end in good order.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two pings of HTTP/2, and how long a client may take to answer one.
const PING_PAUSE: Duration = Duration::from_secs(20);

/// How many requests a connection of HTTP/2 may have under way.
const MAX_STREAMS: u32 = 100;

/// How many requests of HTTP/2 may be taken back before they were looked at, and how many streams may break the rules.
const MAX_RESETS: usize = 50;

/// How long the headers of a request may be, in bytes; with HTTP/1, of which parts of a body are read as well.
const MAX_HEADERS: u32 = 32 * 1024;

/// How many headers a request may have.
const MAX_HEADER_COUNT: usize = 100;

/// Between two attempts to accept where there are no file descriptors left: waiting lets some connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Between two lines of the log that say the same of the accept loop.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// Whether the service was told to stop, for whoever outlives their request. The service waits for all that hold one.
#[derive(Clone, Debug)]
pub(in crate::http) struct Stopping(pub(in crate::http) watch::Receiver<bool>);

impl Stopping {
    async fn told(&mut self) {
        // An error means that the accept loop is gone.
        let _ = self.0.wait_for(|told| *told).await;
    }
}

/// How many connections there may be and what they may take their time with, by the settings.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    config: WireConfig,
    /// Of these, no connections are counted by client: each stands for many clients.
    trusted: Vec<IpNet>,
    traffic: RequestMetrics,
}

impl ServerOptions {
    /// By these settings; what comes in is counted there.
    pub fn of(config: &Config, traffic: &RequestMetrics) -> Self {
        Self { config: config.wire, trusted: config.trusted_proxies.clone(), traffic: traffic.clone() }
    }

    fn patience(&self) -> Timeouts {
        let WireConfig { header_timeout, send_timeout, idle_timeout, .. } = self.config;
        Timeouts { headers: header_timeout, sending: send_timeout, idle: idle_timeout }
    }

    fn client(&self, peer: SocketAddr) -> Option<Networks> {
        let ip = peer.ip().to_canonical();
        let is_proxy = self.trusted.iter().any(|network| network.contains(&ip));
        (!is_proxy).then(|| Networks::of(ip))
    }
}

/// Serves until `stop` is ready, then lets requests in flight finish, for ten seconds at most.
///
/// From then on connections are refused, so that a balancer goes elsewhere with what it has not sent yet; those that are
/// open are told with their next answer, or after a second, that they end.
pub async fn serve(listener: impl Into<Listener>, router: Router, wire: ServerOptions, stop: impl Future<Output = ()>) {
    let listener = listener.into();
    let (told, stopping) = watch::channel(false);
    let WireConfig { connections, connections_per_client, .. } = wire.config;
    let mut door = Acceptor {
        builder: Arc::new(protocols()),
        places: ConnectionLimit::new(connections, connections_per_client, wire.traffic.connections.clone()),
        wire,
        router,
        stopping: Stopping(stopping),
        log: Log::default(),
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => door.admit(stream, peer),
                Err(error) => {
                    door.log.warn(|| tracing::warn!(%error, "connections cannot be accepted"));
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            () = &mut stop => break,
        }
    }
    // Whatever comes between the last of these and the end of listening is lost.
    listener.into_waiting().into_iter().for_each(|(stream, peer)| door.admit(stream, peer));
    drop(door);
    told.send_replace(true);
    if timeout(FINISH_TIMEOUT, told.closed()).await.is_err() {
        tracing::warn!("some requests were still under way and were cut off");
    }
}

/// Where connections come in.
struct Acceptor {
    builder: Arc<auto::Builder<TokioExecutor>>,
    places: ConnectionLimit,
    wire: ServerOptions,
    router: Router,
    stopping: Stopping,
    log: Log,
}

impl Acceptor {
    /// Serves a connection, where there is a place for it.
    fn admit(&mut self, stream: Stream, peer: SocketAddr) {
        let place = match self.places.take(self.wire.client(peer).map(Into::into)) {
            Ok(place) => place,
            Err(full) => {
                let (setting, reason) = match full {
                    Full::All => ("VESTIBULE_CONNECTIONS", "all"),
                    Full::Client => ("VESTIBULE_CONNECTIONS_PER_CLIENT", "client"),
                };
                self.wire.traffic.refused(reason);
                self.log.warn(|| tracing::warn!(%peer, setting, "connections are refused: as many are open as may be"));
                return;
            }
        };
        if let Err(error) = stream.set_nodelay() {
            tracing::debug!(%error, "a connection ended at once");
            return;
        }
        let connection = Connection { peer, router: self.router.clone(), stopping: self.stopping.clone() };
        tokio::spawn(connection.serve(stream, place, Arc::clone(&self.builder), self.wire.patience()));
    }
}

fn protocols() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The pulse measures the time of headers: hyper would count the time between two requests to it.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(MAX_HEADER_COUNT)
        .max_buf_size(MAX_HEADERS as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_PAUSE)
        .keep_alive_timeout(PING_PAUSE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .max_header_list_size(MAX_HEADERS);
    builder
}

struct Connection {
    peer: SocketAddr,
    router: Router,
    stopping: Stopping,
}

impl Connection {
    async fn serve(
        self,
        stream: Stream,
        place: Permit,
        builder: Arc<auto::Builder<TokioExecutor>>,
        patience: Timeouts,
    ) {
        let Self { peer, router, mut stopping } = self;
        let pulse = ConnectionTimer::new(patience);
        let (beating, told) = (Arc::clone(&pulse), stopping.clone());
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let exchange = beating.begin();
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(told.clone());
            let (mut router, told) = (router.clone(), told.clone());
            async move {
                let is_http1 = request.version() < Version::HTTP_2;
                // HTTP/2 has streams, of which each ends by itself.
                let request =
                    request.map(|body| if is_http1 { Body::new(drain::Body::new(body)) } else { Body::new(body) });
                let mut answer = router.call(request).await.unwrap_or_else(|never| match never {});
                if is_http1 && *told.0.borrow() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer.map(|body| exchange.answer(body)))
            }
        });
        let io = TokioIo::new(TimedStream::new(stream, Arc::clone(&pulse), place));
        let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopping.told() => {
                // HTTP/2 has a word for it, after which nobody sends any more.
                let linger = if pulse.speaks_http2() { Duration::ZERO } else { LINGER };
                match timeout(linger, connection.as_mut()).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        connection.as_mut().graceful_shutdown();
                        connection.as_mut().await
                    }
                }
            }
            () = pulse.stops() => {
                tracing::debug!(%peer, "nothing goes on in a connection, and it is ended");
                connection.as_mut().graceful_shutdown();
                timeout(FAREWELL_TIMEOUT, connection.as_mut()).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection broke off");
        }
    }
}

/// Keeps the log from being flooded by whoever opens connections.
#[derive(Default)]
struct Log(Option<Instant>);

impl Log {
    fn warn(&mut self, write: impl FnOnce()) {
        if self.0.is_none_or(|last| last.elapsed() >= LOG_PAUSE) {
            self.0 = Some(Instant::now());
            write();
        }
    }
}
