use std::time::{Duration, Instant};

use super::{Argon2Engine, Argon2Params};
use crate::error::{Error, Result};

/// Measured hashing speed of this machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Hashes per second, of all threads together.
    pub per_second: f64,
    /// Duration of one hash while the other threads hash as well.
    pub each: Duration,
}

impl Argon2Engine {
    /// Hashes on this many threads for about this time, at least once on each. The engine's memory is allocated
    /// beforehand, as in the service.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is not enough memory.
    pub fn measure(self, params: Argon2Params, threads: usize, span: Duration) -> Result<Speed> {
        let engine = self.checked();
        let run = || {
            let mut memory = engine.memory(params);
            let (mut hashes, mut tag) = (0_u32, [0; 32]);
            memory.tag(params, b"warm", b"sixteen bytes...", &mut tag)?;
            let started = Instant::now();
            while hashes == 0 || started.elapsed() < span {
                memory.tag(params, b"correct horse battery staple", b"sixteen bytes...", &mut tag)?;
                hashes += 1;
            }
            Ok(started.elapsed() / hashes)
        };
        let each: Result<Vec<Duration>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(run)).collect();
            let ended =
                threads.into_iter().map(|thread| thread.join().map_err(|_| Error::internal("a thread died"))?);
            ended.collect()
        });
        let each = each?;
        let per_second = each.iter().map(|each| 1.0 / each.as_secs_f64()).sum();
        Ok(Speed { per_second, each: each.iter().sum::<Duration>() / u32::try_from(each.len()).unwrap_or(1) })
    }

    /// The strongest parameters whose hash takes about this time while this many threads hash, and the measured
    /// duration. `most` limits the memory of each hash, in KiB. Memory is maximized first, because it makes guessing
    /// most expensive.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is not enough memory.
    pub fn afford(self, threads: usize, most: u64, time: Duration) -> Result<(Argon2Params, Duration)> {
        let mut params = Argon2Params::default().within(most);
        let mut each = self.measure(params, threads, Duration::from_millis(200))?.each;
        // Memory beyond the processor's caches takes longer than its share; the second step corrects that.
        for _ in 0..2 {
            params = params.scaled(time.as_secs_f64() / each.as_secs_f64(), most);
            each = self.measure(params, threads, Duration::ZERO)?.each;
        }
        Ok((params, each))
    }
}

impl Argon2Params {
    /// Memory of one hash, in bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.memory) * 1024
    }

    /// The same with at most this much memory, in KiB.
    fn within(self, most: u64) -> Self {
        let most = u32::try_from(most).unwrap_or(Self::MAX_MEMORY).clamp(8, Self::MAX_MEMORY);
        Self { memory: self.memory.min(most), ..self }
    }

    /// Parameters that take `factor` times as long: with two passes, or more if the memory limit requires them.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is clamped")]
    fn scaled(self, factor: f64, most: u64) -> Self {
        let work = f64::from(self.memory) * f64::from(self.passes) * factor;
        let of = |passes: u32| {
            let memory = (work / f64::from(passes)).clamp(8.0, f64::from(Self::MAX_MEMORY)) as u32;
            // Whole MiB are easier to read.
            let memory = if memory > 2048 { memory / 1024 * 1024 } else { memory };
            Self { memory, passes, lanes: 1 }.within(most)
        };
        let enough = |params: &Self| f64::from(params.memory) * f64::from(params.passes) >= work * 0.95;
        (2..=Self::MAX_PASSES).map(of).find(enough).unwrap_or_else(|| of(Self::MAX_PASSES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Argon2Params {
        text.parse().unwrap()
    }

    #[test]
    fn more_time_buys_memory_first_and_passes_where_there_is_no_more() {
        let start = params("m=19456,t=2,p=1");
        assert_eq!(start.scaled(1.0, 1 << 20), start);
        assert_eq!(start.scaled(4.0, 1 << 20), params("m=77824,t=2,p=1"));
        assert_eq!(start.scaled(4.0, 38_912), params("m=38912,t=4,p=1"));
        assert_eq!(start.scaled(1000.0, 38_912), params("m=38912,t=10,p=1"));
        assert_eq!(start.scaled(0.000_01, 1 << 20), params("m=8,t=2,p=1"));
        assert!(start.scaled(f64::INFINITY, u64::MAX).bytes() <= 1 << 30);
    }

    #[test]
    fn hashes_are_counted_over_all_threads() {
        let speed = Argon2Engine::default().measure(params("m=64,t=1,p=1"), 2, Duration::from_millis(20)).unwrap();
        assert!(speed.per_second > 1.0 && speed.each > Duration::ZERO && speed.each < Duration::from_secs(1));
        let (found, _) = Argon2Engine::default().afford(1, 256, Duration::from_millis(1)).unwrap();
        assert!(found.bytes() <= 256 * 1024, "{found}");
    }
}
