//! A pace: so many at once, and as many again in a time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::tools::clock::Timestamp;

/// A pace that this process keeps.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Option<(u32, Duration)>,
    /// The rest, and the time at which it was counted.
    left: Mutex<(f64, Option<Timestamp>)>,
}

impl RateLimiter {
    /// So many at once, and as many again in that time; any number where there is no rate.
    pub fn new(rate: Option<(u32, Duration)>) -> Self {
        Self { rate, left: Mutex::new((rate.map_or(0.0, |(count, _)| count.into()), None)) }
    }

    /// Takes as many as may go on now, up to this number.
    pub fn take(&self, now: Timestamp, most: usize) -> usize {
        let Some((count, per)) = self.rate else { return most };
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = left.1.map_or(0, |then| now.millis().saturating_sub(then.millis()).max(0));
        #[expect(clippy::cast_precision_loss, reason = "times between two looks are short")]
        let gained = passed as f64 / 1000.0 / per.as_secs_f64() * f64::from(count);
        let available = (left.0 + gained).min(count.into());
        // A part of a millisecond must not be enough to lose a whole one.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between nought and a u32")]
        let taken = ((available + 1e-6).floor() as usize).min(most);
        #[expect(clippy::cast_precision_loss, reason = "it is no more than a u32")]
        let rest = available - taken as f64;
        *left = (rest.max(0.0), Some(now));
        taken
    }

    /// Gives back the number that was taken and did not go on.
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
    fn so_many_go_at_once_and_as_many_again_in_the_time() {
        let pace = RateLimiter::new(Some((60, Duration::from_secs(60))));
        assert_eq!((pace.take(at(0), 10), pace.take(at(0), 100), pace.take(at(0), 1)), (10, 50, 0));
        assert_eq!((pace.take(at(1), 5), pace.take(at(3), 5)), (1, 2));
        assert_eq!(pace.take(at(1000), 100), 60, "no more is saved up");
        pace.give_back(2);
        assert_eq!(pace.take(at(1000), 100), 2);
        assert_eq!(pace.take(at(900), 100), 0, "a clock that is set back gives nothing");
    }

    #[test]
    fn without_a_rate_all_go() {
        assert_eq!(RateLimiter::new(None).take(at(0), 1000), 1000);
    }
}
