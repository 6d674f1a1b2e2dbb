//! Text that people type, made fit to be kept.

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Code, Refusal};

/// Text on one line, such as a name: NFC (Unicode Standard Annex 15), without blanks around it; may be empty.
///
/// # Errors
/// [`Code::Invalid`] where it has line breaks or control characters, invisible directions of writing among them;
/// [`Code::TooLong`] where it has more than `max` characters.
pub fn line(field: &'static str, text: &str, max: usize) -> Result<String, Refusal> {
    clean(field, text, max, false)
}

/// The same for text of several lines; line breaks are kept as line feeds.
///
/// # Errors
/// As for [`line()`].
pub fn lines(field: &'static str, text: &str, max: usize) -> Result<String, Refusal> {
    clean(field, &text.replace("\r\n", "\n"), max, true)
}

/// The same as [`line()`], for what must not be empty.
///
/// # Errors
/// [`Code::Required`] where it is; otherwise as for [`line()`].
pub fn required_line(field: &'static str, text: &str, max: usize) -> Result<String, Refusal> {
    let text = line(field, text, max)?;
    if text.is_empty() {
        return Err(Refusal::new(Code::Required, "This must not be empty.").of(field));
    }
    Ok(text)
}

/// A text as it is compared where people search and order by it: composed, and its case folded.
pub fn fold(text: &str) -> String {
    text.trim().nfkc().default_case_fold().nfkc().collect()
}

fn clean(field: &'static str, text: &str, max: usize, breaks: bool) -> Result<String, Refusal> {
    let text: String = text.trim().nfc().collect();
    if text.chars().any(|c| is_hidden(c) && !(breaks && matches!(c, '\n' | '\t'))) {
        return Err(Refusal::new(Code::Invalid, "This must not have control characters.").of(field));
    }
    if text.chars().count() > max {
        return Err(Refusal::new(Code::TooLong, format!("This must have {max} characters at most.")).of(field));
    }
    Ok(text)
}

/// Control characters, separators of lines and paragraphs, and marks that turn the direction of writing (which could
/// make one name look like another). Joiners stay: some scripts need them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_normalised_and_has_nothing_hidden() {
        assert_eq!(line("name", "  Zoe\u{308} ", 20).unwrap(), "Zo\u{eb}");
        assert_eq!(line("name", "", 20).unwrap(), "");
        assert_eq!(lines("bio", "one\r\ntwo", 20).unwrap(), "one\ntwo");
        for bad in ["a\nb", "a\0b", "a\u{1b}[2J", "a\u{202e}b", "a\u{2028}b"] {
            assert_eq!(line("name", bad, 20).unwrap_err().code, Code::Invalid, "{bad:?}");
        }
        assert_eq!(line("name", "abc", 2).unwrap_err().code, Code::TooLong);
        assert_eq!(required_line("key", "  ", 2).unwrap_err().code, Code::Required);
    }
}
