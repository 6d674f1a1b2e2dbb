//! The limit on memory of responses that clients have not read yet.
//!
//! A response waits in memory until its client has read it, and one connection of HTTP/2 can have a hundred. Each is
//! counted with its whole length until its last part is written, in total and per client; a response of unknown length is
//! counted with one page of its source. A response beyond the limit is replaced by 503. Over HTTP/2, which needs more
//! memory for a response than most bodies have, responses are also counted by number.
//! [`timeouts`](super::connection::timeouts) ends connections that read too slowly.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{StatusCode, Version};
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Frame, SizeHint};

use crate::app::App;
use crate::http::connection::body_part::body_part;
use crate::http::graphql::media_type::Media;
use crate::http::graphql::response::RequestError;
use crate::tools::concurrency_limit::{Full, Permit};
use crate::tools::network::Networks;

/// Length up to which a response is not counted, in bytes. The buffers of its connection take more.
const MIN_COUNTED: usize = 4 * 1024;

/// Counted length of a response of unknown length, in bytes: a page of an export, which rarely has more.
const STREAMED: usize = 2 * 1024 * 1024;

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

/// The response within the limits, or 503 in its place. Responses of unknown length are read from their source as the
/// client takes them.
pub(super) fn bound(app: &App, client: Option<IpAddr>, version: Version, response: Response) -> Response {
    if response.body().is_end_stream() {
        return response;
    }
    let networks = || client.map_or_else(|| Networks::of_text(None), Networks::of);
    let stream = match version {
        Version::HTTP_2 => app.unread_responses.take(Some(networks().into())).map(Some),
        _ => Ok(None),
    };
    let stream = match stream {
        Ok(stream) => stream,
        Err(full) => {
            app.request_metrics.response_refused(full);
            // A body would have to be read as well.
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    };
    let length = response.body().size_hint().exact();
    let length = length.map_or(STREAMED, |length| usize::try_from(length).unwrap_or(usize::MAX));
    let (response, memory) = match take(app, networks, length) {
        Ok(memory) => (response, memory),
        Err(_) => (RequestError::busy(RETRY_AFTER).into_response(Media::Json), None),
    };
    if stream.is_none() && memory.is_none() {
        return response;
    }
    let permits = Arc::new(Permits { _stream: stream, _memory: memory });
    response.map(|body| Body::new(CountedBody { body, rest: Bytes::new(), permits }))
}

/// Permits of a response.
#[derive(Debug, Default)]
struct Permits {
    _stream: Option<Permit>,
    _memory: Option<Permit>,
}

/// A body that is counted until its last part is written. The parts are copies: a slice would keep all of it in memory.
struct CountedBody {
    body: Body,
    /// Rest of the last frame of the body.
    rest: Bytes,
    permits: Arc<Permits>,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let end = self.rest.len().min(PART);
        let bytes = Bytes::copy_from_slice(&self.rest.split_to(end));
        Poll::Ready(Some(Ok(Frame::data(body_part(bytes, Arc::clone(&self.permits))))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = self.body.size_hint();
        match hint.exact() {
            Some(length) => hint.set_exact(length + rest),
            None => hint.set_lower(hint.lower() + rest),
        }
        hint
    }
}
