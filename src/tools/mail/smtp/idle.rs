//! Connections that are kept open between messages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use tokio::time::{Instant, sleep, timeout};

/// Time for which a connection is kept without a message. Servers end idle connections after some minutes.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Longest wait for an answer of a connection that was kept; a way that was lost gives none.
const NOOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections that are kept at most; as many mails are sent at once.
const MOST: usize = 10;

/// Idle connections. Its clones are the same.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Vec<(Instant, AsyncSmtpConnection)>>>);

impl Idle {
    /// Takes a connection that still works; none where there is none.
    pub(super) async fn take(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (since, mut connection) = self.connections(Vec::pop)?;
            let is_open = async { timeout(NOOP_TIMEOUT, connection.test_connected()).await == Ok(true) };
            if since.elapsed() < KEPT_FOR && is_open.await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next message.
    pub(super) fn keep(&self, connection: AsyncSmtpConnection) {
        self.connections(|connections| {
            if connections.len() < MOST {
                connections.push((Instant::now(), connection));
            }
        });
        let kept = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            sleep(KEPT_FOR).await;
            if let Some(connections) = kept.upgrade() {
                Self(connections).connections(|all| all.retain(|(since, _)| since.elapsed() < KEPT_FOR));
            }
        });
    }

    fn connections<T>(&self, with: impl FnOnce(&mut Vec<(Instant, AsyncSmtpConnection)>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
