//! What goes on in a connection, so that one in which nothing goes on can be ended.
//!
//! hyper limits the time of headers only, and counts the rest between two requests to it; it waits for ever for the first
//! byte, for a client that does not take its answer, and for the next request of HTTP/2. All of that is measured here.

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

use crate::http::connection::connection_limit::Permit;
use crate::http::connection::listener::Stream;

/// The length of a PING frame, in bytes (RFC 9113, section 6.7). In HTTP/2, whatever is no longer keeps a connection in order
/// but is no part of an answer.
const PING: usize = 17;

/// How long each may take.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Timeouts {
    /// The headers of a request, and the first request of a connection.
    pub(in crate::http) headers: Duration,
    /// The client, to take some more of its answer.
    pub(in crate::http) sending: Duration,
    /// The next request.
    pub(in crate::http) idle: Duration,
}

/// What goes on in a connection.
pub(in crate::http) struct ConnectionTimer {
    patience: Timeouts,
    beat: Mutex<Deadline>,
    changed: Notify,
}

struct Deadline {
    /// When something happened last: a request came or was answered, a part of an answer went out.
    last: Instant,
    /// When the headers began to come that are coming now.
    headers_since: Option<Instant>,
    /// Requests that are being dealt with; whoever deals with them sees to it that they end.
    requests: usize,
    /// Answers that are being sent.
    answers: usize,
    had_request: bool,
    /// Whether it speaks HTTP/2, where also other things come than requests; none before the first byte.
    is_http2: Option<bool>,
}

impl ConnectionTimer {
    /// The pulse of a connection that begins now.
    pub(in crate::http) fn new(patience: Timeouts) -> Arc<Self> {
        let beat = Deadline {
            last: Instant::now(),
            headers_since: None,
            requests: 0,
            answers: 0,
            had_request: false,
            is_http2: None,
        };
        Arc::new(Self { patience, beat: Mutex::new(beat), changed: Notify::new() })
    }

    /// Waits until nothing has gone on for too long.
    pub(in crate::http) async fn stops(&self) {
        loop {
            let deadline = self.lock().deadline(self.patience);
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

    /// A request has come.
    pub(in crate::http) fn begin(self: &Arc<Self>) -> Exchange {
        let mut beat = self.lock();
        beat.requests += 1;
        beat.had_request = true;
        beat.headers_since = None;
        beat.last = Instant::now();
        drop(beat);
        Exchange { pulse: Arc::clone(self), is_answered: false }
    }

    /// Whether HTTP/2 is spoken, as far as that is known.
    pub(in crate::http) fn speaks_http2(&self) -> bool {
        self.lock().is_http2 == Some(true)
    }

    fn received(&self, bytes: &[u8]) {
        let mut beat = self.lock();
        let is_http2 = *beat.is_http2.get_or_insert_with(|| bytes.starts_with(b"PRI"));
        if !is_http2 && beat.requests == 0 && beat.headers_since.is_none() {
            beat.headers_since = Some(Instant::now());
            drop(beat);
            self.changed.notify_one();
        }
    }

    fn sent(&self, bytes: usize) {
        let mut beat = self.lock();
        if bytes > PING || beat.is_http2 != Some(true) {
            beat.last = Instant::now();
        }
    }

    fn goes_on(&self) {
        self.lock().last = Instant::now();
    }

    fn lock(&self) -> MutexGuard<'_, Deadline> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deadline {
    /// When the connection is to end if nothing happens until then; none while a request is being dealt with.
    fn deadline(&self, patience: Timeouts) -> Option<Instant> {
        if self.requests > 0 {
            return None;
        }
        if self.answers > 0 {
            return Some(self.last + patience.sending);
        }
        if let Some(since) = self.headers_since {
            return Some(since + patience.headers);
        }
        Some(self.last + if self.had_request { patience.idle } else { patience.headers })
    }
}

/// A request and its answer; dropped when the answer has gone out, or nobody wants it any more.
pub(in crate::http) struct Exchange {
    pulse: Arc<ConnectionTimer>,
    is_answered: bool,
}

impl Exchange {
    /// The answer's body, which is being sent from now on.
    pub(in crate::http) fn answer(mut self, body: Body) -> Answer {
        let mut beat = self.pulse.lock();
        beat.requests -= 1;
        beat.answers += 1;
        beat.last = Instant::now();
        drop(beat);
        self.is_answered = true;
        self.pulse.changed.notify_one();
        Answer { body, exchange: self }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut beat = self.pulse.lock();
        match self.is_answered {
            true => beat.answers -= 1,
            false => beat.requests -= 1,
        }
        beat.last = Instant::now();
        drop(beat);
        self.pulse.changed.notify_one();
    }
}

/// The body of an answer while it is being sent.
pub(in crate::http) struct Answer {
    body: Body,
    exchange: Exchange,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // That we have nothing to send at present is not the client's fault either.
        self.exchange.pulse.goes_on();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's bytes, under its pulse, and its place.
pub(in crate::http) struct TimedStream {
    stream: Stream,
    pulse: Arc<ConnectionTimer>,
    _place: Permit,
}

impl TimedStream {
    /// The connection in this place.
    pub(in crate::http) fn new(stream: Stream, pulse: Arc<ConnectionTimer>, place: Permit) -> Self {
        Self { stream, pulse, _place: place }
    }

    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = polled {
            self.pulse.sent(bytes);
        }
        polled
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(bytes) = buf.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.pulse.received(bytes);
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

    fn patience() -> Timeouts {
        let [headers, sending, idle] = [10, 30, 75].map(Duration::from_secs);
        Timeouts { headers, sending, idle }
    }

    /// After how many seconds from its last beat the connection is to end.
    fn left(pulse: &ConnectionTimer) -> Option<u64> {
        let beat = pulse.lock();
        beat.deadline(patience()).map(|at| (at - beat.headers_since.unwrap_or(beat.last)).as_secs())
    }

    #[tokio::test]
    async fn each_state_of_a_connection_has_its_own_end() {
        let pulse = ConnectionTimer::new(patience());
        assert_eq!(left(&pulse), Some(10), "the first request is waited for as long as headers");
        pulse.received(b"GET /");
        let since = pulse.lock().headers_since;
        pulse.received(b"more");
        assert!(since.is_some() && pulse.lock().headers_since == since, "more of it gives no more time");
        let one = pulse.begin();
        assert_eq!(left(&pulse), None, "whoever deals with a request sees to its end");
        let answer = one.answer(Body::from("x"));
        assert_eq!(left(&pulse), Some(30), "an answer has to be taken");
        let two = pulse.begin();
        drop(answer);
        assert_eq!(left(&pulse), None);
        drop(two);
        assert_eq!(left(&pulse), Some(75), "the next request is waited for");
        pulse.received(b"G");
        assert_eq!(left(&pulse), Some(10), "and its headers as the first one's");
    }

    #[tokio::test]
    async fn with_http_2_pings_are_no_part_of_an_answer() {
        let pulse = ConnectionTimer::new(patience());
        pulse.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert!(pulse.lock().headers_since.is_none(), "frames come between requests as well");
        let before = pulse.lock().last;
        pulse.sent(PING);
        assert_eq!(pulse.lock().last, before);
        pulse.sent(PING + 1);
        assert_ne!(pulse.lock().last, before);
    }

    #[tokio::test]
    async fn a_deadline_that_comes_nearer_is_noticed() {
        let short = Duration::from_millis(50);
        let pulse = ConnectionTimer::new(Timeouts { headers: short, sending: short, idle: Duration::from_secs(3600) });
        drop(pulse.begin());
        let waiting = tokio::spawn({
            let pulse = Arc::clone(&pulse);
            async move { pulse.stops().await }
        });
        tokio::task::yield_now().await;
        pulse.received(b"G");
        waiting.await.unwrap();
    }
}
