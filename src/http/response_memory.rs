//! The limit on memory of responses that clients have not read yet.
//!
//! A response waits in memory until its client has read it, and one connection of HTTP/2 can have a hundred. Each is
//! counted with its whole length until its last part is taken, in total and per client. A response beyond the limit is
//! replaced by 503; [`timeouts`](super::connection::timeouts) ends connections that read too slowly.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use crate::app::App;
use crate::http::graphql::media_type::Media;
use crate::http::graphql::response::RequestError;
use crate::tools::concurrency_limit::{Full, Permit};
use crate::tools::network::Networks;

/// Length up to which a response is not counted, in bytes. The buffers of its connection take more.
const MIN_COUNTED: usize = 4 * 1024;

/// Length of the parts in which a response is handed to its connection, in bytes.
const PART: usize = 16 * 1024;

/// Delay before the next attempt, in which other responses are read.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Permit for this number of bytes to a client; none if they are not counted.
///
/// # Errors
/// The exceeded limit.
pub(super) fn take(app: &App, networks: impl FnOnce() -> Networks, bytes: usize) -> Result<Option<Permit>, Full> {
    if bytes <= MIN_COUNTED {
        return Ok(None);
    }
    let amount = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    let taken = app.response_memory.take_many(Some(networks().into()), amount);
    taken.map(Some).inspect_err(|full| app.request_metrics.response_refused(*full))
}

/// The response within the limit, or 503 in its place. Responses of unknown length are read from their source as the
/// client takes them.
pub(super) fn bound(app: &App, client: Option<IpAddr>, response: Response) -> Response {
    let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let networks = || client.map_or_else(|| Networks::of_text(None), Networks::of);
    match take(app, networks, length) {
        Ok(None) => response,
        Ok(Some(permit)) => response.map(|body| Body::new(CountedBody { body, part: Bytes::new(), _permit: permit })),
        Err(_) => RequestError::busy(RETRY_AFTER).into_response(Media::Json),
    }
}

/// A body that is counted until its last part is taken. The parts are copies: a slice would keep all of it in memory.
struct CountedBody {
    body: Body,
    /// Rest of the last frame of the body.
    part: Bytes,
    _permit: Permit,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.part.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => self.part = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let end = self.part.len().min(PART);
        let part = Bytes::copy_from_slice(&self.part.split_to(end));
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.part.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.part.len() as u64;
        let mut hint = self.body.size_hint();
        match hint.exact() {
            Some(length) => hint.set_exact(length + rest),
            None => hint.set_lower(hint.lower() + rest),
        }
        hint
    }
}
