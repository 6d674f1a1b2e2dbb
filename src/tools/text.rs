//! Cleaning and decoding of typed text.

use std::borrow::Cow;

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Code, Refusal};

/// Cleans text on one line, such as a name: NFC (Unicode Standard Annex 15), trimmed; may be empty.
///
/// # Errors
/// [`Code::Invalid`] for line breaks or control characters, including bidirectional controls; [`Code::TooLong`] for
/// more than `max` characters.
pub fn line(field: &'static str, text: &str, max: usize) -> Result<String, Refusal> {
    clean(field, text, max, false)
}

/// Cleans text of several lines; line breaks become line feeds.
///
/// # Errors
/// As for [`line()`].
pub fn lines(field: &'static str, text: &str, max: usize) -> Result<String, Refusal> {
    clean(field, &text.replace("\r\n", "\n"), max, true)
}

/// The same as [`line()`], for text that must not be empty.
///
/// # Errors
/// [`Code::Required`] for empty text; otherwise as for [`line()`].
pub fn required_line(field: &'static str, text: &str, max: usize) -> Result<String, Refusal> {
    let text = line(field, text, max)?;
    if text.is_empty() {
        return Err(Refusal::new(Code::Required, "text-required").of(field));
    }
    Ok(text)
}

/// The text without surrounding blanks and invisible characters, which copying from a web page or a contact adds. Marks
/// that reverse the following text are not copied by accident, and stay.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c) && !matches!(c, '\u{202d}' | '\u{202e}'))
}

/// The text for a message. A URL that was given by mistake may contain a password, so only its scheme is shown.
pub fn without_url(text: &str) -> Cow<'_, str> {
    text.split_once("://").map_or(Cow::Borrowed(text), |(scheme, _)| Cow::Owned(format!("{scheme}://…")))
}

/// True for characters that display nothing: soft hyphens, zero-width characters, directional marks, and byte order
/// marks.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Decodes the text of a file: UTF-8, with or without a byte order mark, or UTF-16 with one, as written by Windows
/// programs. Otherwise `None`.
pub fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        rest.is_empty().then(|| pairs.iter().copied().map(unit).collect::<Vec<u16>>())
    };
    if let Some(bytes) = bytes.strip_prefix(b"\xff\xfe") {
        return String::from_utf16(&units(bytes, u16::from_le_bytes)?).ok().map(Cow::Owned);
    }
    if let Some(bytes) = bytes.strip_prefix(b"\xfe\xff") {
        return String::from_utf16(&units(bytes, u16::from_be_bytes)?).ok().map(Cow::Owned);
    }
    std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).ok().map(Cow::Borrowed)
}

/// Finds an escape of half a surrogate pair in JSON text, such as `\ud83d`, and returns its line, counted from 1, and
/// the escape. Programs that cut a text in the middle of an emoji write these, and they represent no character.
pub fn lone_surrogate(json: &[u8]) -> Option<(usize, String)> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut at, mut line) = (0, 1);
    while let Some(byte) = json.get(at) {
        at += match (byte, unit(at)) {
            (b'\\', Some(0xd800..=0xdbff)) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => 12,
            (b'\\', Some(half @ 0xd800..=0xdfff)) => return Some((line, format!("\\u{half:04x}"))),
            (b'\\', _) => 2,
            (b'\n', _) => {
                line += 1;
                1
            }
            _ => 1,
        };
    }
    None
}

/// A text in the form used for search and order: composed and case-folded.
pub fn fold(text: &str) -> String {
    trim(text).nfkc().default_case_fold().nfkc().collect()
}

fn clean(field: &'static str, text: &str, max: usize, breaks: bool) -> Result<String, Refusal> {
    // Marks that only permit a line break are meaningless in a single line.
    let is_dropped = |c: &char| *c == '\u{feff}' || !breaks && matches!(c, '\u{ad}' | '\u{200b}' | '\u{2060}');
    let text: String = trim(text).nfc().filter(|c| !is_dropped(c)).collect();
    if text.chars().any(|c| is_hidden(c) && !(breaks && matches!(c, '\n' | '\t'))) {
        let refusal = match breaks {
            true => Refusal::new(Code::Invalid, "text-control-characters"),
            false => Refusal::new(Code::Invalid, "text-single-line"),
        };
        return Err(refusal.of(field));
    }
    if text.chars().count() > max {
        return Err(Refusal::new(Code::TooLong, "text-too-long").with("max", max).of(field));
    }
    Ok(text)
}

/// Control characters, separators of lines and paragraphs, and bidirectional controls (which could make one name look
/// like another). Joiners stay: some scripts need them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Untrusted text without terminal control characters and bidirectional marks; "-" if empty.
pub fn plain(text: &str) -> String {
    let tame = |c: char| match c {
        c if c.is_control() => '\u{fffd}',
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    };
    if text.is_empty() { "-".to_owned() } else { text.chars().map(tame).collect() }
}

/// Formats a number with its singular or plural noun.
pub fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
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

    #[test]
    fn invisible_characters_that_are_pasted_along_are_dropped() {
        assert_eq!(line("phone", "\u{202a}+44 20\u{202c}\u{200b} ", 20).unwrap(), "+44 20");
        assert_eq!(line("name", "\u{feff}Zo\u{200b}e\u{ad}", 20).unwrap(), "Zoe");
        assert_eq!(
            line("name", "\u{645}\u{200c}\u{627}", 20).unwrap(),
            "\u{645}\u{200c}\u{627}",
            "a joiner is part of a name"
        );
        assert_eq!(line("name", "\u{200b}\u{2060}", 20).unwrap(), "");
        assert_eq!(lines("bio", "a\u{200b}b", 20).unwrap(), "a\u{200b}b");
        assert_eq!(fold("\u{200e}Ann\u{200b}"), "ann");
    }

    #[test]
    fn files_of_windows_programs_are_decoded() {
        let text = "a\u{f6}\u{1f600}";
        let little: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
        for bytes in [text.as_bytes(), &[b"\xef\xbb\xbf", text.as_bytes()].concat(), &little, &big] {
            assert_eq!(decode(bytes).as_deref(), Some(text));
        }
        for bytes in [&b"\xff"[..], b"\xff\xfea", b"\xff\xfe\x00\xd8"] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn halves_of_characters_are_found() {
        for (json, expected) in [
            (r#""\ud83d\ude00 \\ud83d \n""#, None),
            ("\"\n\\ud83d\"", Some((2, "\\ud83d"))),
            (r#""\ude00\ud83d""#, Some((1, "\\ude00"))),
            (r#""\ud83d\ud83d\ude00""#, Some((1, "\\ud83d"))),
            (r#""\ud8""#, None),
        ] {
            let found = lone_surrogate(json.as_bytes());
            assert_eq!(found.as_ref().map(|(line, escape)| (*line, escape.as_str())), expected, "{json}");
        }
    }
}
