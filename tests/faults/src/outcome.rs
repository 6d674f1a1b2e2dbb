//! What came of a fault.

use std::error::Error;
use std::time::{Duration, Instant};

/// What everything here returns; an error is an expectation that was not met, in a sentence.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What was counted while a fault lasted and after it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Findings {
    /// What the service said it had done.
    pub(crate) acknowledged: usize,
    /// Of these, what was not there afterwards.
    pub(crate) lost: usize,
    /// What was there more often than it should be.
    pub(crate) duplicates: usize,
    /// Duplicates that the service's promise allows: a mail may be sent once more after a kill.
    pub(crate) allowed_duplicates: usize,
    /// From the end of the fault until the service did its work again.
    pub(crate) recovery: Option<Duration>,
}

impl Findings {
    /// Nothing was lost, and nothing is there too often.
    pub(crate) fn check(self) -> Outcome<()> {
        because(self.acknowledged > 0, || "nothing was acknowledged, so that nothing was tried".to_owned())?;
        because(self.lost == 0, || format!("{} were lost", self.lost))?;
        because(self.duplicates <= self.allowed_duplicates, || format!("{} duplicates", self.duplicates))
    }
}

/// Fails with the sentence unless it holds.
pub(crate) fn because(holds: bool, sentence: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(sentence().into()) }
}

/// Asks again and again until the answer is yes, and tells how long that took.
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

/// The time that 95 of 100 did not exceed.
pub(crate) fn p95(times: Vec<Duration>) -> Duration {
    percentile(times, 95)
}

/// The time that so many of 100 did not exceed.
pub(crate) fn percentile(mut times: Vec<Duration>, of_100: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * of_100 / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
