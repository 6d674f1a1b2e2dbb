//! A rate limiter in memory: a burst, and the same number per period.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::tools::clock::Timestamp;

/// A rate limiter of this process.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Option<(u32, Duration)>,
    /// Remaining permits, and the time at which they were counted.
    left: Mutex<(f64, Option<Timestamp>)>,
}

impl RateLimiter {
    /// A burst of this many, and as many again per period; unlimited without a rate.
    pub fn new(rate: Option<(u32, Duration)>) -> Self {
        Self { rate, left: Mutex::new((rate.map_or(0.0, |(count, _)| count.into()), None)) }
    }

    /// Takes as many permits as are available, at most this number.
    pub fn take(&self, now: Timestamp, most: usize) -> usize {
        let Some((count, per)) = self.rate else { return most };
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = left.1.map_or(0, |then| now.millis().saturating_sub(then.millis()).max(0));
        #[expect(clippy::cast_precision_loss, reason = "times between two looks are short")]
        let gained = passed as f64 / 1000.0 / per.as_secs_f64() * f64::from(count);
        let available = (left.0 + gained).min(count.into());
        // Rounding must not lose a whole permit for a fraction of a millisecond.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between nought and a u32")]
        let taken = ((available + 1e-6).floor() as usize).min(most);
        #[expect(clippy::cast_precision_loss, reason = "it is no more than a u32")]
        let rest = available - taken as f64;
        *left = (rest.max(0.0), Some(now));
        taken
    }

    /// Returns unused permits.
    pub fn give_back(&self, unused: usize) {
        let Some((count, _)) = self.rate else { return };
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        #[expect(clippy::cast_precision_loss, reason = "it was taken before")]
        let unused = unused as f64;
        left.0 = (left.0 + unused).min(count.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_burst_is_followed_by_the_same_number_per_period() {
        let pace = RateLimiter::new(Some((60, Duration::from_secs(60))));
        assert_eq!((pace.take(at(0), 10), pace.take(at(0), 100), pace.take(at(0), 1)), (10, 50, 0));
        assert_eq!((pace.take(at(1), 5), pace.take(at(3), 5)), (1, 2));
        assert_eq!(pace.take(at(1000), 100), 60, "no more is saved up");
        pace.give_back(2);
        assert_eq!(pace.take(at(1000), 100), 2);
        assert_eq!(pace.take(at(900), 100), 0, "a clock that is set back gives nothing");
    }

    #[test]
    fn without_a_rate_nothing_is_limited() {
        assert_eq!(RateLimiter::new(None).take(at(0), 1000), 1000);
    }
}
