//! Timeouts of connections.
//!
//! hyper limits only the time of headers, including the time between two requests. It waits forever for the first byte,
//! for a client that does not read its response, and for the next request of HTTP/2. This module limits all of these. A
//! response must be read at a minimum rate, because it waits in memory; time in which its source is not ready does not
//! count.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::http::connection::body_part::body_part;
use crate::http::connection::listener::Stream;
use crate::tools::concurrency_limit::Permit;

/// Length of a PING frame, in bytes (RFC 9113, section 6.7). Writes of at most this length are control frames of
/// HTTP/2, not parts of a response.
const PING: usize = 17;

/// Minimum average number of bytes per second at which a client reads a response.
const MIN_RATE: u64 = 16 * 1024;

/// Time limits of the states of a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Timeouts {
    /// For the headers of a request, and the first request of a connection.
    pub(in crate::http) headers: Duration,
    /// For the client to read more of a response.
    pub(in crate::http) sending: Duration,
    /// For the next request.
    pub(in crate::http) idle: Duration,
}

/// Activity of a connection and its deadline.
pub(in crate::http) struct ConnectionTimer {
    timeouts: Timeouts,
    state: Mutex<Activity>,
    changed: Notify,
}

struct Activity {
    /// Time of the last event: a request, a response, or a part of a response.
    last: Instant,
    /// Start of the headers in progress.
    headers_since: Option<Instant>,
    /// Requests in progress; their handlers have time limits.
    requests: usize,
    /// Responses in progress, with the times at which more of each must have been read; `None` without a body, or while
    /// the source of the body is not ready.
    responses: BTreeMap<u64, Option<Instant>>,
    /// Number of responses so far.
    last_response: u64,
    had_request: bool,
    /// True for HTTP/2, which has frames between requests; none before the first byte.
    is_http2: Option<bool>,
}

impl ConnectionTimer {
    /// Starts the timer of a new connection.
    pub(in crate::http) fn new(timeouts: Timeouts) -> Arc<Self> {
        let state = Activity {
            last: Instant::now(),
            headers_since: None,
            requests: 0,
            responses: BTreeMap::new(),
            last_response: 0,
            had_request: false,
            is_http2: None,
        };
        Arc::new(Self { timeouts, state: Mutex::new(state), changed: Notify::new() })
    }

    /// Waits until a timeout has passed.
    pub(in crate::http) async fn expired(&self) {
        loop {
            let deadline = self.lock().deadline(self.timeouts);
            match deadline {
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Notes the arrival of a request.
    pub(in crate::http) fn begin(self: &Arc<Self>) -> Exchange {
        let mut state = self.lock();
        state.requests += 1;
        state.had_request = true;
        state.headers_since = None;
        state.last = Instant::now();
        drop(state);
        Exchange { timer: Arc::clone(self), response: None }
    }

    /// True if the client has started HTTP/2.
    pub(in crate::http) fn is_http2(&self) -> bool {
        self.lock().is_http2 == Some(true)
    }

    fn received(&self, bytes: &[u8]) {
        let mut state = self.lock();
        let is_http2 = *state.is_http2.get_or_insert_with(|| bytes.starts_with(b"PRI"));
        if !is_http2 && state.requests == 0 && state.headers_since.is_none() {
            state.headers_since = Some(Instant::now());
            drop(state);
            self.changed.notify_one();
        }
    }

    fn sent(&self, bytes: usize) {
        let mut state = self.lock();
        if bytes > PING || state.is_http2 != Some(true) {
            state.last = Instant::now();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Activity {
    /// End of the connection without further events. While a request or a response is in progress, only slow reading
    /// ends it.
    fn deadline(&self, timeouts: Timeouts) -> Option<Instant> {
        let due = self.responses.values().flatten().min().copied();
        if self.requests > 0 || !self.responses.is_empty() {
            return due;
        }
        if let Some(since) = self.headers_since {
            return Some(since + timeouts.headers);
        }
        Some(self.last + if self.had_request { timeouts.idle } else { timeouts.headers })
    }
}

/// A request and its response; dropped once the last part of the response is written.
pub(in crate::http) struct Exchange {
    timer: Arc<ConnectionTimer>,
    response: Option<u64>,
}

impl Exchange {
    /// Starts the response with this body.
    pub(in crate::http) fn respond(mut self, body: Body) -> TimedBody {
        let now = Instant::now();
        let first = (!body.is_end_stream()).then(|| now + self.timer.timeouts.sending);
        let mut state = self.timer.lock();
        state.requests -= 1;
        state.last_response += 1;
        let id = state.last_response;
        state.responses.insert(id, first);
        state.last = now;
        drop(state);
        self.response = Some(id);
        self.timer.changed.notify_one();
        TimedBody { body, exchange: Arc::new(self) }
    }

    /// Notes the next part of the response.
    fn sent(&self, bytes: usize) {
        let now = Instant::now();
        let longest = now + self.timer.timeouts.sending;
        let earned = Duration::from_micros(bytes as u64 * 1_000_000 / MIN_RATE);
        let mut state = self.timer.lock();
        state.last = now;
        let Some(due) = self.response.and_then(|id| state.responses.get_mut(&id)) else { return };
        let was_waiting = due.is_none();
        *due = Some(due.map_or(longest, |due| (due + earned).min(longest)));
        drop(state);
        if was_waiting {
            self.timer.changed.notify_one();
        }
    }

    /// Notes that the source of the response is not ready, for which the client is not responsible.
    fn waits(&self) {
        let mut state = self.timer.lock();
        if let Some(due) = self.response.and_then(|id| state.responses.get_mut(&id)) {
            *due = None;
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = self.timer.lock();
        match self.response {
            Some(id) => drop(state.responses.remove(&id)),
            None => state.requests -= 1,
        }
        state.last = Instant::now();
        drop(state);
        self.timer.changed.notify_one();
    }
}

/// Body of a response in progress.
pub(in crate::http) struct TimedBody {
    body: Body,
    exchange: Arc<Exchange>,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.exchange.sent(frame.data_ref().map_or(0, Bytes::len));
                let timed = |bytes| body_part(bytes, Arc::clone(&self.exchange));
                Poll::Ready(Some(Ok(frame.map_data(timed))))
            }
            Poll::Pending => {
                self.exchange.waits();
                Poll::Pending
            }
            ended @ Poll::Ready(_) => ended,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's bytes, observed by its timer, with its permit.
pub(in crate::http) struct TimedStream {
    stream: Stream,
    timer: Arc<ConnectionTimer>,
    _permit: Permit,
}

impl TimedStream {
    /// Wraps a connection.
    pub(in crate::http) fn new(stream: Stream, timer: Arc<ConnectionTimer>, permit: Permit) -> Self {
        Self { stream, timer, _permit: permit }
    }

    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = polled {
            self.timer.sent(bytes);
        }
        polled
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(bytes) = buf.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.timer.received(bytes);
        }
        polled
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts() -> Timeouts {
        let [headers, sending, idle] = [10, 30, 75].map(Duration::from_secs);
        Timeouts { headers, sending, idle }
    }

    /// Rounded seconds from the last event to the deadline: a few events take no time.
    fn left(timer: &ConnectionTimer) -> Option<u64> {
        let state = timer.lock();
        let since = state.headers_since.unwrap_or(state.last);
        state.deadline(timeouts()).map(|at| (at + Duration::from_millis(500) - since).as_secs())
    }

    #[tokio::test]
    async fn each_state_of_a_connection_has_a_timeout() {
        let timer = ConnectionTimer::new(timeouts());
        assert_eq!(left(&timer), Some(10), "the first request has the timeout of headers");
        timer.received(b"GET /");
        let since = timer.lock().headers_since;
        timer.received(b"more");
        assert!(since.is_some() && timer.lock().headers_since == since, "further bytes do not extend it");
        let one = timer.begin();
        assert_eq!(left(&timer), None, "handlers have time limits");
        let response = one.respond(Body::from("x"));
        assert_eq!(left(&timer), Some(30), "the client must read the response");
        let two = timer.begin();
        drop(response);
        assert_eq!(left(&timer), None);
        drop(two);
        assert_eq!(left(&timer), Some(75), "timeout for the next request");
        timer.received(b"G");
        assert_eq!(left(&timer), Some(10), "and for its headers");
    }

    #[tokio::test]
    async fn a_response_is_read_at_a_minimum_rate() {
        let timer = ConnectionTimer::new(timeouts());
        let response = timer.begin().respond(Body::from("x".repeat(100)));
        let request = timer.begin();
        assert_eq!(left(&timer), Some(30), "also while another request is in progress");
        let due = || timer.lock().deadline(timeouts()).unwrap();
        let before = due();
        response.exchange.sent(1 << 30);
        assert!(due() > before && due() <= Instant::now() + timeouts().sending, "nothing read earlier allows a pause");
        timer.lock().responses.values_mut().for_each(|due| *due = Some(before));
        response.exchange.sent(16 * 1024);
        assert!(due() <= before + Duration::from_secs(1));
        drop(response);
        drop(request);
        assert_eq!(left(&timer), Some(75));
    }

    /// Polls a body for its next part.
    fn next(body: &mut TimedBody) -> Poll<Option<Bytes>> {
        let polled = Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()));
        polled.map(|frame| frame.map(|frame| frame.unwrap().into_data().unwrap()))
    }

    #[tokio::test]
    async fn a_response_of_unknown_length_waits_for_its_source_and_not_for_its_client() {
        let timer = ConnectionTimer::new(timeouts());
        let (sender, mut source) = tokio::sync::mpsc::unbounded_channel::<io::Result<Bytes>>();
        let source = futures_util::stream::poll_fn(move |cx| source.poll_recv(cx));
        let mut response = timer.begin().respond(Body::from_stream(source));
        assert_eq!(left(&timer), Some(30), "a client that takes nothing");
        assert!(next(&mut response).is_pending());
        assert_eq!(left(&timer), None, "a source may be slow");
        sender.send(Ok(Bytes::from_static(b"x"))).unwrap();
        let part = next(&mut response);
        assert!(matches!(part, Poll::Ready(Some(_))));
        let _request = timer.begin();
        assert!(timer.lock().deadline(timeouts()).is_some(), "also while another request is in progress");
        drop(sender);
        assert!(matches!(next(&mut response), Poll::Ready(None)));
        drop(response);
        assert!(timer.lock().deadline(timeouts()).is_some(), "its last part is not written");
        drop(part);
        assert_eq!(timer.lock().deadline(timeouts()), None);
    }

    #[tokio::test]
    async fn http_2_pings_are_not_part_of_a_response() {
        let timer = ConnectionTimer::new(timeouts());
        timer.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert!(timer.lock().headers_since.is_none(), "frames also arrive between requests");
        let before = timer.lock().last;
        timer.sent(PING);
        assert_eq!(timer.lock().last, before);
        timer.sent(PING + 1);
        assert_ne!(timer.lock().last, before);
    }

    #[tokio::test]
    async fn an_earlier_deadline_is_noticed() {
        let short = Duration::from_millis(50);
        let timer = ConnectionTimer::new(Timeouts { headers: short, sending: short, idle: Duration::from_secs(3600) });
        drop(timer.begin());
        let waiting = tokio::spawn({
            let timer = Arc::clone(&timer);
            async move { timer.expired().await }
        });
        tokio::task::yield_now().await;
        timer.received(b"G");
        waiting.await.unwrap();
    }
}
