//! Connections that are kept open between messages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use tokio::time::{Instant, sleep, timeout};

/// Lifetime of an idle connection. Servers close idle connections after some minutes.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Timeout for the check of an idle connection; a broken network path gives no reply.
const NOOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum number of idle connections; equals the number of concurrent deliveries.
const MOST: usize = 10;

/// Pool of idle connections. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Vec<(Instant, AsyncSmtpConnection)>>>);

impl Idle {
    /// Takes a working connection; `None` if there is none.
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
