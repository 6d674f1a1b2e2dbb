//! Results of a fault.

use std::cell::RefCell;
use std::error::Error;
use std::panic::Location;
use std::time::{Duration, Instant};

use tokio::time::timeout;

/// Result of all functions here; an error describes an expectation that was not met.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Factor by which a wait exceeds its time limit. An event within that time is late; without one, the service is wrong.
const GRACE: u32 = 4;

tokio::task_local! {
    /// Time limits that the current attempt has exceeded.
    static LATE: RefCell<Vec<String>>;
}

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

/// Runs an attempt, and returns its result with the time limits that it exceeded.
pub(crate) async fn attempt<T>(work: impl Future<Output = T>) -> (T, Vec<String>) {
    let watched = async {
        let done = work.await;
        (done, LATE.with(RefCell::take))
    };
    LATE.scope(RefCell::default(), watched).await
}

/// Notes a time limit that was exceeded. The attempt continues, so that lateness hides no wrong result.
pub(crate) fn in_time(took: Duration, limit: Duration, what: impl FnOnce() -> String) {
    if took > limit {
        LATE.with(|late| late.borrow_mut().push(format!("{} took {took:.1?} instead of {limit:.1?}", what())));
    }
}

/// Waits for a result, which is late after the time limit.
///
/// # Errors
/// Without a result after four times the limit.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, work: impl Future<Output = T>) -> impl Future<Output = Outcome<T>> {
    let caller = Location::caller();
    async move {
        let started = Instant::now();
        let most = limit * GRACE;
        let done = timeout(most, work).await.map_err(|_| format!("it did not happen within {most:?}"))?;
        in_time(started.elapsed(), limit, || caller.to_string());
        Ok(done)
    }
}

/// Polls until the condition is true, and returns the time taken. The condition is late after the time limit.
///
/// # Errors
/// If the condition is still false after four times the limit.
#[track_caller]
pub(crate) fn wait_until(
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Outcome<bool>,
) -> impl Future<Output = Outcome<Duration>> {
    let caller = Location::caller();
    async move {
        let started = Instant::now();
        let most = limit * GRACE;
        while !ask().await? {
            because(started.elapsed() < most, || format!("it did not happen within {most:?}"))?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let took = started.elapsed();
        in_time(took, limit, || caller.to_string());
        Ok(took)
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
