//! Times on pages: in UTC, with the exact time for the script, which shows the reader's zone.

use std::fmt;

use askama::filters::HtmlSafe;

use crate::tools::clock::Timestamp;

/// A time as an element of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    at: Timestamp,
    is_day: bool,
}

impl HtmlSafe for Time {}

impl Time {
    /// A time to the minute.
    pub(super) fn minute(at: Timestamp) -> Self {
        Self { at, is_day: false }
    }

    /// A time of which the day matters.
    pub(super) fn day(at: Timestamp) -> Self {
        Self { at, is_day: true }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.at.to_string();
        let (day, time) = exact.split_once('T').unwrap_or((&exact, ""));
        let (time, kind) = if self.is_day { ("", " data-day") } else { (time.get(..5).unwrap_or_default(), "") };
        let space = if self.is_day { "" } else { " " };
        let zone = if self.is_day { "" } else { " UTC" };
        write!(f, "<time datetime=\"{exact}\"{kind}>{day}{space}{time}{zone}</time>")
    }
}
