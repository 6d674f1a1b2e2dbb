//! Time and randomness as one value that callers pass down.
//!
//! The application has one [`Clock`]; each request, command and cycle of the worker takes one [`Now`] from it and
//! passes it down. No other code reads the system time or creates ids.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::tools::secret::Secret;

/// Permitted difference between the clocks of instances on one database. A time in a row that lies further ahead was
/// written before the clock was set back.
pub const SKEW: Duration = Duration::from_secs(2 * 60);

/// A point in time: whole milliseconds since 1970-01-01T00:00:00Z. Both databases store it as that number, and so order
/// and compare it alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sea_orm::DeriveValueType)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point this many milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The first point that RFC 3339 and both databases can write: the beginning of the year 1.
    pub const FIRST: Self = Self(-62_135_596_800_000);

    /// The last such point: the last millisecond of the year 9999.
    pub const LAST: Self = Self(253_402_300_799_999);

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, as JSON Web Tokens count time (RFC 7519, section 2).
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Parses an RFC 3339 time with any offset; fractions of a millisecond are dropped. The time in UTC must be within
    /// the years 1 to 9999, so that it can be written again.
    pub fn parse(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let time = i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Self)?;
        (Self::FIRST..=Self::LAST).contains(&time).then_some(time)
    }

    /// The lowest id of [`Now::id`] at this time (RFC 9562, section 5.7): with ids in time order, earlier ones are
    /// lower.
    pub fn first_id(self) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&self.0.clamp(0, (1 << 48) - 1).to_be_bytes()[2..]);
        Uuid::from_bytes(bytes)
    }

    /// The point that much later, or the last possible one.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// The point that much earlier, or the first possible one.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with milliseconds, such as `2026-11-21T09:30:00.000Z`. A point outside the years 1 to 9999, possible
/// only in a row of an older version or a saturated sum, is shown as the nearest point inside them. Formatting never
/// fails.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = (*self).clamp(Self::FIRST, Self::LAST);
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(shown.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second, milli) = time.to_hms_milli();
        write!(f, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", u8::from(month))
    }
}

/// Source of the current time: the system's clock, or one that a test sets.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// A clock that stands still until it is set.
    Set(SetClock),
}

impl Clock {
    /// The current time.
    pub fn now(&self) -> Now {
        match self {
            Self::System => {
                #[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                Now { at: Timestamp(since.map_or(0, millis)), clock: *self }
            }
            Self::Set(clock) => Now { at: Timestamp(clock.0.at.load(Ordering::SeqCst)), clock: *self },
        }
    }

    fn sequence(self) -> &'static Sequence {
        static SYSTEM: Sequence = Sequence::new();
        match self {
            Self::System => &SYSTEM,
            Self::Set(SetClock(state)) => &state.sequence,
        }
    }
}

/// A clock that stands still until it is set; clones share it. For tests: each one leaks its state.
#[derive(Clone, Copy, Debug)]
pub struct SetClock(&'static SetState);

#[derive(Debug)]
struct SetState {
    at: AtomicI64,
    sequence: Sequence,
}

impl SetClock {
    /// Creates a clock that shows `at`.
    pub fn new(at: Timestamp) -> Self {
        Self(Box::leak(Box::new(SetState { at: AtomicI64::new(at.0), sequence: Sequence::new() })))
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        self.0.at.fetch_add(millis(span), Ordering::SeqCst);
    }

    /// Moves the clock back, as a corrected system clock may.
    pub fn step_back(&self, span: Duration) {
        self.0.at.fetch_sub(millis(span), Ordering::SeqCst);
    }
}

/// Maximum sequence number of an id within its millisecond.
const MAX_COUNT: u32 = (1 << 26) - 1;

/// The time of an operation, and its source of ids and secrets.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time.
    pub at: Timestamp,
    clock: Clock,
}

impl Now {
    /// The current time of the same clock: for a transaction, which may have waited since the request began.
    #[must_use]
    pub fn anew(&self) -> Self {
        self.clock.now()
    }

    /// A new unique id: a UUIDv7 of this time (RFC 9562, section 5.7). Ids that this process creates within a
    /// millisecond of one clock are in order (section 6.2, method 1): 26 bits count from a random start, 48 are random.
    pub fn id(&self) -> Uuid {
        let mut bytes: [u8; 16] = Secret::<16>::random().reveal();
        bytes[..6].copy_from_slice(&self.at.0.max(0).to_be_bytes()[2..]);
        let [_, _, high, low, ..] = bytes.map(u32::from);
        let count = self.clock.sequence().next(self.at, high << 8 | low);
        bytes[6..10].copy_from_slice(&(count >> 14 << 16 | count & 0x3fff).to_be_bytes());
        uuid::Builder::from_bytes(bytes)
            .with_version(uuid::Version::SortRand)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid()
    }

    /// 256 random bits from the operating system.
    pub fn secret(&self) -> Secret {
        Secret::random()
    }
}

/// The last millisecond of a clock with an id, and the last sequence number in it.
#[derive(Debug)]
struct Sequence(Mutex<(i64, u32)>);

impl Sequence {
    const fn new() -> Self {
        Self(Mutex::new((0, 0)))
    }

    /// The sequence number of an id within its millisecond; the first one is the given start.
    fn next(&self, at: Timestamp, beginning: u32) -> u32 {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = if last.0 == at.0 && last.1 < MAX_COUNT { last.1 + 1 } else { beginning };
        *last = (at.0, count);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_point_that_is_read_is_written_and_read_back(millis: i64, inside in -62_135_596_800_000..=253_402_300_799_999_i64) {
            let time = Timestamp::from_millis(inside);
            prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
            let shown = Timestamp::from_millis(millis).to_string();
            prop_assert!(Timestamp::parse(&shown).is_some(), "{}", shown);
        }

        #[test]
        fn an_offset_leads_to_a_point_that_can_be_written_or_is_refused(
            (year, month, day) in (0..=9999_u32, 1..=12_u32, 1..=31_u32),
            (hour, minute) in (0..=23_u32, 0..=59_u32),
            (ahead, hours, minutes) in (any::<bool>(), 0..=23_u32, 0..=59_u32),
            edge in 0..4_usize,
        ) {
            // Half of the cases lie at the edges of the representable range.
            let year = [0, 1, 9999, year][edge];
            let sign = if ahead { '+' } else { '-' };
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:59.9999{sign}{hours:02}:{minutes:02}");
            if let Some(time) = Timestamp::parse(&text) {
                prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time), "{}", text);
            }
        }
    }

    #[test]
    fn times_that_could_not_be_shown_are_not_read() {
        for text in [
            "9999-12-31T23:59:59-23:59",
            "9999-12-31T23:59:59.9999-00:01",
            "0001-01-01T00:00:00+00:01",
            "0000-12-31T23:59:59Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        for text in ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Timestamp::parse("0000-12-31T23:59:59-00:01"), Timestamp::parse("0001-01-01T00:00:59Z"));
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "0001-01-01T00:00:00.000Z");
    }

    #[test]
    fn times_are_written_in_utc_with_milliseconds_and_read_back() {
        let time = Timestamp::from_millis(1_795_253_400_042);
        assert_eq!(time.to_string(), "2026-11-21T09:30:00.042Z");
        assert_eq!(Timestamp::parse("2026-11-21T10:30:00.0429+01:00"), Some(time));
        assert_eq!(Timestamp::parse("2026-11-21"), None);
    }

    #[test]
    fn ids_carry_their_time_and_differ() {
        let moment = Clock::Set(SetClock::new(Timestamp::from_millis(1_795_253_400_042))).now();
        let (one, two) = (moment.id(), moment.id());
        assert!(one < two);
        // Ids of another clock do not interrupt the sequence.
        let elsewhere = Clock::Set(SetClock::new(Timestamp::from_millis(1))).now();
        let between: Vec<Uuid> = (0..100).flat_map(|_| [moment.id(), elsewhere.id()]).collect();
        assert!(between.iter().step_by(2).is_sorted());
        let more: Vec<Uuid> = (0..10_000).map(|_| moment.id()).collect();
        assert!(two < between[0] && between[198] < more[0] && more.is_sorted());
        assert_eq!(one.get_version_num(), 7);
        assert_eq!(one.get_timestamp().map(|time| time.to_unix()), Some((1_795_253_400, 42_000_000)));
    }
}
