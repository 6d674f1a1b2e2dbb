//! Comparison of two samples of times.

use std::time::Duration;

/// Maximum deviation from one half by chance and noise.
const MOST: f64 = 0.15;

/// Probability that one of `these` is longer than one of `those`; ties count half.
pub(crate) fn longer(these: &[Duration], those: &[Duration]) -> f64 {
    let wins: f64 = these
        .iter()
        .flat_map(|this| those.iter().map(move |that| this.cmp(that)))
        .map(|order| match order {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Greater => 1.0,
        })
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "there are hundreds")]
    let pairs = (these.len() * those.len()) as f64;
    wins / pairs
}

/// True if the deviation from one half is too large for chance.
pub(crate) fn further_than_chance(auc: f64) -> bool {
    (auc - 0.5).abs() > MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: &[u64]) -> Vec<Duration> {
        millis.iter().map(|millis| Duration::from_millis(*millis)).collect()
    }

    #[test]
    fn longer_times_are_detected_and_equal_times_are_not() {
        let auc = |these: &[u64], those: &[u64]| longer(&times(these), &times(those));
        assert!((auc(&[3, 4], &[1, 2]) - 1.0).abs() < 1e-9 && further_than_chance(1.0));
        assert!(auc(&[1, 2], &[3, 4]).abs() < 1e-9 && further_than_chance(0.0));
        assert!((auc(&[1, 2, 3], &[1, 2, 3]) - 0.5).abs() < 1e-9 && !further_than_chance(0.5));
        assert!((auc(&[2], &[1, 2, 3, 4]) - 0.375).abs() < 1e-9);
    }
}
