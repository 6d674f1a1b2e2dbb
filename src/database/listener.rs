//! Hearing other instances.

use std::time::Duration;

use sea_orm::sqlx::Executor as _;
use sea_orm::sqlx::postgres::PgListener;
use tokio::time::timeout;

use crate::error::{Error, Result};

/// After so long without a word, it is asked whether the server is still there.
const SILENCE: Duration = Duration::from_secs(15);

/// Timeout of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What instances tell each other about, by the name that PostgreSQL knows it by.
#[derive(Clone, Copy, Debug)]
pub struct Channel(pub &'static str);

/// What other instances say.
#[derive(Debug)]
pub struct Listener(pub(super) PgListener);

impl Listener {
    /// The next thing that is said, by this instance perhaps; none where something may have been missed because the
    /// connection was lost meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the server is gone, or hangs, which shows within twenty seconds.
    pub async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Ok(said) = timeout(SILENCE, self.0.try_recv()).await {
                let said = said.map_err(|error| gone(&error))?;
                return Ok(said.map(|said| said.payload().to_owned()));
            }
            match timeout(ANSWER_TIMEOUT, self.0.execute("SELECT 1")).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(gone(&error)),
                Err(_) => return Err(gone(&"the server does not answer")),
            }
        }
    }
}

pub(super) fn gone(error: &dyn std::fmt::Display) -> Error {
    tracing::debug!(%error, "listening to other instances ended");
    Error::Unavailable(Duration::from_secs(1))
}
