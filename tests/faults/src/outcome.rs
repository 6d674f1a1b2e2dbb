//! Results of a fault.

use std::error::Error;
use std::time::{Duration, Instant};

/// Result of all functions here; an error describes an expectation that was not met.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Counts during and after a fault.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Findings {
    /// Acknowledged changes.
    pub(crate) acknowledged: usize,
    /// Acknowledged changes that were missing afterwards.
    pub(crate) lost: usize,
    /// Unexpected duplicates.
    pub(crate) duplicates: usize,
    /// Allowed duplicates: an email may be sent again after a kill.
    pub(crate) allowed_duplicates: usize,
    /// Time from the end of the fault until the service worked again.
    pub(crate) recovery: Option<Duration>,
}

impl Findings {
    /// Fails if anything was lost or duplicated.
    pub(crate) fn check(self) -> Outcome<()> {
        because(self.acknowledged > 0, || "nothing was acknowledged, so nothing was tested".to_owned())?;
        because(self.lost == 0, || format!("{} were lost", self.lost))?;
        because(self.duplicates <= self.allowed_duplicates, || format!("{} duplicates", self.duplicates))
    }
}

/// Fails with the message unless the condition is true.
pub(crate) fn because(holds: bool, sentence: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(sentence().into()) }
}

/// Polls until the condition is true, and returns the time taken.
pub(crate) async fn wait_until(patience: Duration, mut ask: impl AsyncFnMut() -> Outcome<bool>) -> Outcome<Duration> {
    let started = Instant::now();
    loop {
        if ask().await? {
            return Ok(started.elapsed());
        }
        because(started.elapsed() < patience, || format!("it did not happen within {patience:?}"))?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The 95th percentile.
pub(crate) fn p95(times: Vec<Duration>) -> Duration {
    percentile(times, 95)
}

/// A percentile.
pub(crate) fn percentile(mut times: Vec<Duration>, of_100: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * of_100 / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
