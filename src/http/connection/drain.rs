//! What is left of a body when its request is answered before all of it was read.
//!
//! hyper would end such a connection at once, and what the client still sends would be met by a reset, which takes the answer
//! away before the client, or the proxy in front of it, has read it (RFC 9112, section 9.6). So the rest is read and forgotten.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How much of it is read, in bytes: more than any file may have.
const MOST: usize = 16 * 1024 * 1024;

/// For how long.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A body whose rest is read once nobody wants it any more.
pub(in crate::http) struct Body(Option<Incoming>);

impl Body {
    /// This body.
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
        // Without a runtime, the process ends.
        if let Some(body) = self.0.take().filter(|body| !body.is_end_stream())
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(TIMEOUT, forget(body)));
        }
    }
}

async fn forget(mut body: Incoming) {
    let mut read = 0;
    let mut next = async || std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
    while let Some(Ok(frame)) = next().await
        && read < MOST
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}
