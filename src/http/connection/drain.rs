//! Draining of bodies that are not read before the response.
//!
//! hyper closes such a connection immediately, and answers further bytes of the client with a reset. The reset discards
//! the response before the client or a proxy has read it (RFC 9112, section 9.6). So the rest of the body is read and
//! dropped.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Maximum number of drained bytes: more than the largest file.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Time limit for the draining.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A body whose rest is drained on drop.
pub(in crate::http) struct Body(Option<Incoming>);

impl Body {
    /// Wraps a body.
    pub(in crate::http) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // Without a runtime, the process is ending.
        if let Some(body) = self.0.take().filter(|body| !body.is_end_stream())
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(TIMEOUT, drain(body)));
        }
    }
}

async fn drain(mut body: Incoming) {
    let mut read = 0;
    let mut next = async || std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
    while let Some(Ok(frame)) = next().await
        && read < MAX_BYTES
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}
