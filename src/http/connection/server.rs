//! The accept loop. axum's has neither timeouts nor limits, so that a client could keep incomplete requests and any
//! number of connections open forever.

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
use tokio_util::either::Either;
use tower_service::Service as _;

use crate::config::{Config, WireConfig};
use crate::http::connection::drain;
use crate::http::connection::listener::{Listener, Stream};
use crate::http::connection::timeouts::{ConnectionTimer, TimedStream, Timeouts};
use crate::tools::concurrency_limit::{ConcurrencyLimit, Full, Permit};
use crate::tools::network::Networks;
use crate::tools::request_metrics::RequestMetrics;

/// Time limit for requests in flight after the stop signal.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Period in which HTTP/1 connections accept one more request after the stop signal. A proxy may be sending one at this
/// moment, and could not know if it was processed.
const LINGER: Duration = Duration::from_secs(1);

/// Time limit for the graceful end of an idle connection.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Interval between HTTP/2 pings, and time limit for their answers.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Maximum number of concurrent requests of an HTTP/2 connection.
const MAX_STREAMS: u32 = 100;

/// Maximum number of HTTP/2 streams that the client resets before they are accepted, or that are reset for errors.
const MAX_RESETS: usize = 50;

/// Longest headers of a request, in bytes. With HTTP/1 it is also the size of the read buffer.
const MAX_HEADERS: u32 = 32 * 1024;

/// Maximum number of headers of a request.
const MAX_HEADER_COUNT: usize = 100;

/// Pause after a failed accept, such as without free file descriptors, until connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Minimum interval between warnings of the accept loop.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Stop signal for tasks that outlive their request. The service waits until all receivers are dropped.
#[derive(Clone, Debug)]
pub(in crate::http) struct Stopping(pub(in crate::http) watch::Receiver<bool>);

impl Stopping {
    async fn signalled(&mut self) {
        // An error means that the accept loop is gone.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

/// Limits and timeouts of connections, by the settings.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    config: WireConfig,
    /// Trusted proxies, which have no limit per client: each serves many clients.
    trusted: Vec<IpNet>,
    request_metrics: RequestMetrics,
}

impl ServerOptions {
    /// Options by these settings, with the metrics of connections.
    pub fn of(config: &Config, request_metrics: &RequestMetrics) -> Self {
        Self { config: config.wire, trusted: config.trusted_proxies.clone(), request_metrics: request_metrics.clone() }
    }

    fn timeouts(&self) -> Timeouts {
        let WireConfig { header_timeout, send_timeout, idle_timeout, .. } = self.config;
        Timeouts { headers: header_timeout, sending: send_timeout, idle: idle_timeout }
    }

    fn client(&self, peer: SocketAddr) -> Option<Networks> {
        let ip = peer.ip().to_canonical();
        let is_proxy = self.trusted.iter().any(|network| network.contains(&ip));
        (!is_proxy).then(|| Networks::of(ip))
    }
}

/// Serves until `stop` is ready, then finishes requests in flight within ten seconds.
///
/// From then on it refuses connections, so that a load balancer sends new requests elsewhere. It closes the open ones
/// with their next response, or after a second.
pub async fn serve(
    listener: impl Into<Listener>,
    router: Router,
    options: ServerOptions,
    stop: impl Future<Output = ()>,
) {
    let listener = listener.into();
    let (stop_signal, stopping) = watch::channel(false);
    let WireConfig { connections, connections_per_client, .. } = options.config;
    let mut acceptor = Acceptor {
        builder: Arc::new(protocols()),
        limit: ConcurrencyLimit::new(connections, connections_per_client, options.request_metrics.connections.clone()),
        options,
        router,
        stopping: Stopping(stopping),
        log: Log::default(),
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => acceptor.spawn(stream, peer),
                Err(error) => {
                    acceptor.log.warn(|| tracing::warn!(%error, "cannot accept connections"));
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            () = &mut stop => break,
        }
    }
    // Connections between the last of these and the end of listening are lost.
    listener.into_queued().into_iter().for_each(|(stream, peer)| acceptor.spawn(stream, peer));
    drop(acceptor);
    stop_signal.send_replace(true);
    if timeout(FINISH_TIMEOUT, stop_signal.closed()).await.is_err() {
        tracing::warn!("aborting requests in progress");
    }
}

/// State of the accept loop.
struct Acceptor {
    builder: Arc<auto::Builder<TokioExecutor>>,
    limit: ConcurrencyLimit,
    options: ServerOptions,
    router: Router,
    stopping: Stopping,
    log: Log,
}

impl Acceptor {
    /// Serves a connection within the limits.
    fn spawn(&mut self, stream: Stream, peer: SocketAddr) {
        let permit = match self.limit.take(self.options.client(peer).map(Into::into)) {
            Ok(permit) => permit,
            Err(full) => {
                let (setting, reason) = match full {
                    Full::All => ("VESTIBULE_CONNECTIONS", "all"),
                    Full::Client => ("VESTIBULE_CONNECTIONS_PER_CLIENT", "client"),
                };
                self.options.request_metrics.refused(reason);
                self.log.warn(|| tracing::warn!(%peer, setting, "connection limit reached"));
                return;
            }
        };
        if let Either::Left(stream) = &stream
            && let Err(error) = stream.set_nodelay(true)
        {
            tracing::debug!(%error, "connection closed before its first request");
            return;
        }
        let connection = Connection { peer, router: self.router.clone(), stopping: self.stopping.clone() };
        tokio::spawn(connection.serve(stream, permit, Arc::clone(&self.builder), self.options.timeouts()));
    }
}

fn protocols() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // `ConnectionTimer` limits the time of headers: hyper includes the time between two requests.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(MAX_HEADER_COUNT)
        .max_buf_size(MAX_HEADERS as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
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
        permit: Permit,
        builder: Arc<auto::Builder<TokioExecutor>>,
        timeouts: Timeouts,
    ) {
        let Self { peer, router, mut stopping } = self;
        let timer = ConnectionTimer::new(timeouts);
        let (request_timer, stop) = (Arc::clone(&timer), stopping.clone());
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let exchange = request_timer.begin();
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(stop.clone());
            let (mut router, stop) = (router.clone(), stop.clone());
            async move {
                let is_http1 = request.version() < Version::HTTP_2;
                // HTTP/2 ends each stream separately.
                let request =
                    request.map(|body| if is_http1 { Body::new(drain::Body::new(body)) } else { Body::new(body) });
                let mut response = router.call(request).await.unwrap_or_else(|never| match never {});
                if is_http1 && *stop.0.borrow() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response.map(|body| exchange.respond(body)))
            }
        });
        let io = TokioIo::new(TimedStream::new(stream, Arc::clone(&timer), permit));
        let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopping.signalled() => {
                // HTTP/2 announces the end by GOAWAY.
                let linger = if timer.is_http2() { Duration::ZERO } else { LINGER };
                match timeout(linger, connection.as_mut()).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        connection.as_mut().graceful_shutdown();
                        connection.as_mut().await
                    }
                }
            }
            () = timer.expired() => {
                tracing::debug!(%peer, "closing idle connection");
                connection.as_mut().graceful_shutdown();
                timeout(SHUTDOWN_TIMEOUT, connection.as_mut()).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "connection failed");
        }
    }
}

/// Rate limit on warnings, which clients could otherwise multiply.
#[derive(Default)]
struct Log(Option<Instant>);

impl Log {
    fn warn(&mut self, write: impl FnOnce()) {
        if self.0.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            self.0 = Some(Instant::now());
            write();
        }
    }
}
