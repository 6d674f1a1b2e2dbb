//! Notifications from other instances.

use std::time::Duration;

use sea_orm::sqlx::Executor as _;
use sea_orm::sqlx::postgres::PgListener;
use tokio::time::timeout;

use crate::error::{Error, Result};

/// Idle time after which the connection is checked.
const SILENCE: Duration = Duration::from_secs(15);

/// Timeout of the check.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Topics of notifications, by their PostgreSQL channel.
#[derive(Clone, Copy, Debug)]
pub struct Channel(pub &'static str);

/// Notifications from other instances.
#[derive(Debug)]
pub struct Listener(pub(super) PgListener);

impl Listener {
    /// The next notification, possibly from this instance. `None` if notifications may have been lost because the
    /// connection was interrupted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the server is gone or hangs, detected within twenty seconds.
    pub async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Ok(said) = timeout(SILENCE, self.0.try_recv()).await {
                let said = said.map_err(|error| gone(&error))?;
                return Ok(said.map(|said| said.payload().to_owned()));
            }
            match timeout(ANSWER_TIMEOUT, self.0.execute("SELECT 1")).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(gone(&error)),
                Err(_) => return Err(gone(&"the server does not respond")),
            }
        }
    }
}

pub(super) fn gone(error: &dyn std::fmt::Display) -> Error {
    tracing::debug!(%error, "notification connection lost");
    Error::Unavailable(Duration::from_secs(1))
}
