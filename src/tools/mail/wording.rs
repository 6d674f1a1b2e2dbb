//! Times, durations, names and addresses in mails, and filters for text typed by strangers.

use std::time::Duration;

use time::OffsetDateTime;

use crate::texts::Text;
use crate::tools::clock::Timestamp;

/// Maximum length of a name in a mail, in characters.
const LONGEST_NAME: usize = 80;

/// Length to which the name of a program is shortened in a mail, in characters.
const LONGEST_PROGRAM: usize = 150;

/// A point in time to the minute, such as `21 November 2026, 09:30 UTC`.
pub fn time(at: Timestamp) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp(at.seconds()) else {
        return Text::new("mail-time-unknown").english();
    };
    Text::new("mail-time")
        .with("day", u64::from(time.day()))
        .with("month", u64::from(u8::from(time.month())))
        .with("year", time.year().to_string())
        .with("clock", format!("{:02}:{:02}", time.hour(), time.minute()))
        .english()
}

/// A duration in one unit, such as `1 hour`, `90 minutes` or `3 days`; rounded down.
pub fn span(span: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = span.as_secs();
    let (unit, text) = match seconds {
        0..MINUTE => (1, Text::new("mail-span-seconds")),
        _ if seconds >= DAY && seconds.is_multiple_of(DAY) => (DAY, Text::new("mail-span-days")),
        _ if seconds >= HOUR && seconds.is_multiple_of(HOUR) => (HOUR, Text::new("mail-span-hours")),
        MINUTE..=10_800 => (MINUTE, Text::new("mail-span-minutes")),
        _ => (HOUR, Text::new("mail-span-hours")),
    };
    text.with("count", seconds / unit).english()
}

/// A masked address that its owner recognizes: `a***@example.org`.
pub(super) fn masked(address: &str) -> String {
    let address = one_line(address);
    let (user, domain) = address.rsplit_once('@').unwrap_or((&address, ""));
    let first: String = user.chars().take(1).collect();
    format!("{first}***@{domain}")
}

/// The text as one line: line breaks, control characters and invisible direction marks become spaces, and runs of
/// spaces one space.
pub(super) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|char| if is_unseen(char) { ' ' } else { char }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{00AD}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// The name for the greeting of a mail: `None` if it is empty, very long, or advertises an address. Names come from
/// strangers, who can have mail sent to anybody by registering with that person's address.
pub(super) fn name(name: &str) -> Option<String> {
    let name = one_line(name);
    if name.chars().count() > LONGEST_NAME { None } else { harmless(&name) }
}

/// The name of a program, shortened: `None` if it is empty or advertises an address. Programs name themselves as they
/// like.
pub(super) fn program(user_agent: &str) -> Option<String> {
    harmless(&one_line(user_agent).chars().take(LONGEST_PROGRAM).collect::<String>())
}

/// A line that mail programs do not turn into a link; `None` if it is empty or advertises an address.
fn harmless(line: &str) -> Option<String> {
    let lower = line.to_lowercase();
    if line.is_empty() || ["://", "www.", "@"].iter().any(|mark| lower.contains(mark)) {
        return None;
    }
    Some(line.split(' ').map(without_host).collect::<Vec<_>>().join(" "))
}

/// Removes the dots of host names: mail programs turn `example.org` into a link, but not `example org`. `J.R.`, `Jr.` and
/// `curl/8.14` stay unchanged.
fn without_host(word: &str) -> String {
    const DOTS: [char; 4] = ['.', '\u{3002}', '\u{FF0E}', '\u{FF61}'];
    let labels: Vec<&str> = word.split(DOTS).collect();
    let is_name = |label: &str| {
        let start = || label.chars().take(2);
        start().filter(|char| char.is_alphanumeric()).count() == 2 && start().any(char::is_alphabetic)
    };
    let is_host = labels.windows(2).any(|pair| !pair[0].is_empty() && is_name(pair[1]));
    if is_host { labels.join(" ").trim().to_owned() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_use_the_largest_unit_that_fits_and_are_rounded_down() {
        let cases = [
            (0, "0 seconds"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (119, "1 minute"),
            (3_600, "1 hour"),
            (5_400, "90 minutes"),
            (7_200, "2 hours"),
            (10_799, "179 minutes"),
            (10_801, "3 hours"),
            (86_400, "1 day"),
            (129_600, "36 hours"),
            (259_200, "3 days"),
            (259_199, "71 hours"),
        ];
        for (seconds, words) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn times_are_shown_to_the_minute() {
        assert_eq!(time(Timestamp::from_millis(1_795_253_400_042)), "21 November 2026, 09:30 UTC");
        assert_eq!(time(Timestamp::from_millis(i64::MAX)), "an unknown date");
    }

    #[test]
    fn addresses_show_their_first_letter_and_domain() {
        assert_eq!(masked("anna.berg@example.org"), "a***@example.org");
        assert_eq!(masked("ärger@localhost"), "ä***@localhost");
        assert_eq!(masked("x@y\r\nBcc: z@example.org"), "x***@example.org");
        assert_eq!(masked("no address"), "n***@");
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for kept in ["Anna Berg", "J.R.R. Tolkien", "Martin Luther King Jr.", "O'Neill-Šmíd", "李小龍", "anna_berg-2"]
        {
            assert_eq!(name(kept).as_deref(), Some(kept));
        }
    }

    #[test]
    fn names_made_to_advertise_are_dropped_or_lose_their_dots() {
        let long = "a".repeat(81);
        for dropped in ["", " \u{200B}\r\n", &long, "Win at HTTPS://x.example", "WWW.example.org", "me@example.org"] {
            assert_eq!(name(dropped), None, "{dropped:?}");
        }
        assert_eq!(name("Visit example.org/now today").as_deref(), Some("Visit example org/now today"));
        assert_eq!(name("example.org.").as_deref(), Some("example org"));
        assert_eq!(name("(example.org/x.1)").as_deref(), Some("(example org/x 1)"));
        assert_eq!(name("example。org").as_deref(), Some("example org"));
        assert_eq!(name("anna.berg").as_deref(), Some("anna berg"));
        assert_eq!(name("11.22.evil.example").as_deref(), Some("11 22 evil example"));
    }

    #[test]
    fn programs_are_shortened_and_advertise_nothing() {
        for kept in ["curl/8.14.1", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"] {
            assert_eq!(program(kept).as_deref(), Some(kept));
        }
        assert_eq!(program(&"x".repeat(256)).unwrap().len(), LONGEST_PROGRAM);
        assert_eq!(program("visit evil.example\r\nnow").as_deref(), Some("visit evil example now"));
        for dropped in ["", "Bot/1.0 (+https://evil.example)", "me@evil.example"] {
            assert_eq!(program(dropped), None, "{dropped}");
        }
    }

    #[test]
    fn one_line_has_no_breaks_and_no_invisible_marks() {
        assert_eq!(one_line(" a\r\nBcc: b\u{2028}c\u{202E}d\u{0}\te "), "a Bcc: b c d e");
    }
}
