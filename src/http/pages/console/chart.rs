//! Charts of numbers by day, as inline SVG. A table with the same numbers is for everyone who cannot see them.

use crate::domain::statistics::Day;
use crate::texts::Text;

/// Height of the highest bar, in units of the picture.
const HEIGHT: u64 = 100;

/// Width of a day, in units of the picture.
const WIDTH: u64 = 10;

/// A chart.
pub(super) struct Chart {
    /// Its id on the page.
    pub(super) id: &'static str,
    /// Its heading.
    pub(super) title: Text,
    /// The bars, oldest first.
    pub(super) bars: Vec<Bar>,
    total: u64,
    most: u64,
}

/// The bar of a day.
pub(super) struct Bar {
    /// The day, as in `2026-01-05`.
    pub(super) day: String,
    /// Its number.
    pub(super) number: u64,
    /// Left edge.
    pub(super) x: u64,
    /// Upper edge.
    pub(super) y: u64,
    /// Height.
    pub(super) height: u64,
}

impl Chart {
    /// The chart of a number of these days.
    pub(super) fn new(id: &'static str, title: Text, days: &[Day], value: fn(&Day) -> u64) -> Self {
        let most = days.iter().map(value).max().unwrap_or_default();
        let bar = |(place, day): (u64, &Day)| {
            let number = value(day);
            // A small number is visible, too.
            let height = (number * HEIGHT).div_ceil(most.max(1));
            let start = day.start.to_string();
            let day = start.split_once('T').map_or(start.as_str(), |(day, _)| day).to_owned();
            Bar { day, number, x: place * WIDTH, y: HEIGHT - height, height }
        };
        let bars = (0..).zip(days).map(bar).collect();
        Self { id, title, bars, total: days.iter().map(value).sum(), most }
    }

    /// Width of the picture.
    pub(super) fn width(&self) -> u64 {
        self.bars.len() as u64 * WIDTH
    }

    /// Sum and highest number, in words.
    pub(super) fn summary(&self) -> String {
        Text::new("console-chart-summary").with("total", self.total).with("most", self.most).english()
    }

    /// The first and the last day.
    pub(super) fn ends(&self) -> Option<(&str, &str)> {
        Some((&self.bars.first()?.day, &self.bars.last()?.day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::clock::Timestamp;

    fn of(numbers: &[u64]) -> Chart {
        let day = |(place, number): (i64, &u64)| Day {
            start: Timestamp::from_millis(place * 24 * 60 * 60 * 1000),
            sign_ins: *number,
            failed_sign_ins: 0,
            registrations: 0,
        };
        let days: Vec<Day> = (0..).zip(numbers).map(day).collect();
        Chart::new("sign-ins", Text::new("console-chart-sign-ins"), &days, |day| day.sign_ins)
    }

    #[test]
    fn the_highest_bar_fills_the_chart_and_no_number_is_invisible() {
        let chart = of(&[0, 1, 1_000_000]);
        let heights: Vec<u64> = chart.bars.iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [0, 1, 100]);
        assert!(chart.bars.iter().all(|bar| bar.y + bar.height == HEIGHT));
        assert_eq!(chart.ends(), Some(("1970-01-01", "1970-01-03")));
    }

    #[test]
    fn days_without_events_have_no_bars() {
        assert!(of(&[0, 0]).bars.iter().all(|bar| bar.height == 0));
        assert_eq!(of(&[]).ends(), None);
    }
}
