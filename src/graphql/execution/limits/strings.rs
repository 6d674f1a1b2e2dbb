//! Strings of a document, by the rules of the specification.
//!
//! The parser keeps the backslash of `\\"""` in block strings, and supports neither surrogate pairs nor `\\u{…}`. So
//! these are rewritten before as strings on one line with short escapes. The text after them keeps its position, so
//! that errors name the lines and columns of the original.

use crate::graphql::execution::limits::text::line_length;
use crate::graphql::execution::rejected_document::RejectedDocument;

/// The text with its block strings, surrogate pairs and `\\u{…}` rewritten; none if there is nothing to rewrite.
///
/// # Errors
/// GRAPHQL_PARSE_FAILED for an unterminated block string and an escape of no character; BAD_REQUEST for NUL.
pub(super) fn plain(text: &str) -> Result<Option<String>, RejectedDocument> {
    if !text.contains("\\u") && !text.contains("\"\"\"") {
        return Ok(None);
    }
    let mut rewriting = Rewriting { text, out: String::new(), copied: 0 };
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at = match byte {
            b'#' => at + line_length(&bytes[at..]),
            b'"' if text[at..].starts_with("\"\"\"") => rewriting.block(at)?,
            b'"' => rewriting.string(at)?,
            _ => at + 1,
        };
    }
    let Rewriting { out, copied, .. } = rewriting;
    Ok((copied > 0).then(|| out + &text[copied..]))
}

struct Rewriting<'a> {
    text: &'a str,
    out: String,
    /// Length of the part of the text that is in `out`.
    copied: usize,
}

impl Rewriting<'_> {
    /// Reads the string that begins here, and returns its end. The parser reports a string that the line ends.
    fn string(&mut self, start: usize) -> Result<usize, RejectedDocument> {
        let mut at = start + 1;
        loop {
            match self.text.as_bytes().get(at) {
                None | Some(b'\n' | b'\r') => return Ok(at),
                Some(b'"') => return Ok(at + 1),
                Some(b'\\') => at = self.escape(at)?,
                Some(_) => at += 1,
            }
        }
    }

    /// Reads the escape that begins here, and returns its end.
    fn escape(&mut self, at: usize) -> Result<usize, RejectedDocument> {
        let Some((unit, end)) = code(self.text, at) else { return Ok(self.text.len().min(at + 2)) };
        let is_short = !self.text[at..].starts_with("\\u{");
        let (value, end) = match unit {
            // A surrogate pair is one character.
            0xd800..=0xdbff if is_short => {
                let low = code(self.text, end).filter(|(low, _)| (0xdc00..=0xdfff).contains(low));
                let (low, end) = low.ok_or_else(|| not_a_character(unit))?;
                (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), end)
            }
            // The parser supports it.
            1.. if is_short && char::from_u32(unit).is_some() => return Ok(end),
            _ => (unit, end),
        };
        let character = char::from_u32(value).filter(|character| *character != '\0');
        let character = quoted(&character.ok_or_else(|| not_a_character(value))?.to_string());
        self.replace(at, end, &character[1..character.len() - 1]);
        Ok(end)
    }

    /// Writes the block string that begins here as a string on one line, and returns its end.
    fn block(&mut self, start: usize) -> Result<usize, RejectedDocument> {
        let mut raw = String::new();
        let mut end = start + 3;
        loop {
            let rest = &self.text[end..];
            let length = rest.find("\"\"\"").ok_or_else(|| {
                let message = "A block string is not terminated: close it with three quotation marks.";
                RejectedDocument::new("GRAPHQL_PARSE_FAILED", message)
            })?;
            end += length + 3;
            let Some(before_quotes) = rest[..length].strip_suffix('\\') else {
                raw.push_str(&rest[..length]);
                break;
            };
            raw.extend([before_quotes, "\"\"\""]);
        }
        let mut string = quoted(&value(&raw));
        string += &padding(&self.text[start..end], &string);
        self.replace(start, end, &string);
        Ok(end)
    }

    fn replace(&mut self, start: usize, end: usize, with: &str) {
        self.out.extend([&self.text[self.copied..start], with]);
        self.copied = end;
    }
}

/// Padding after a written block string, so that the text after it keeps its line and column.
fn padding(original: &str, written: &str) -> String {
    let lines = original.replace("\r\n", "\n").matches(['\n', '\r']).count();
    let last = original.rsplit(['\n', '\r']).next().unwrap_or_default().chars().count();
    let written = if lines > 0 { 0 } else { written.chars().count() };
    "\n".repeat(lines) + &" ".repeat(last.saturating_sub(written))
}

/// Value of a block string (GraphQL, section 2.9.4): without the common indentation of all lines but the first, and
/// without blank lines around it.
fn value(raw: &str) -> String {
    let unified = raw.replace("\r\n", "\n").replace('\r', "\n");
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let is_blank = |line: &str| indent(line) == line.len();
    let lines: Vec<&str> = unified.split('\n').collect();
    let common = lines.iter().skip(1).filter(|line| !is_blank(line)).map(|line| indent(line)).min().unwrap_or(0);
    let cut = lines.iter().enumerate().map(|(index, line)| match index {
        0 => line,
        _ => line.get(common..).unwrap_or_default(),
    });
    let cut: Vec<&str> = cut.collect();
    let first = cut.iter().position(|line| !is_blank(line)).unwrap_or(cut.len());
    let end = cut.iter().rposition(|line| !is_blank(line)).map_or(first, |last| last + 1);
    cut[first..end].join("\n")
}

/// Code point of an escape such as `\\u00e4` or `\\u{1f600}` at this place, and the end of the escape.
fn code(text: &str, at: usize) -> Option<(u32, usize)> {
    let rest = text.get(at..)?.strip_prefix("\\u")?;
    let (digits, end) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once('}').map(|(digits, _)| (digits, at + digits.len() + 4))?,
        None => (rest.get(..4)?, at + 6),
    };
    // Numbers that are too large are beyond every character.
    let mut digits = digits.chars().map(|digit| digit.to_digit(16));
    let first = digits.next()??;
    let number = digits.try_fold(first, |number, digit| Some(number.saturating_mul(16).saturating_add(digit?)))?;
    Some((number, end))
}

/// The text as a string on one line, in quotation marks. GraphQL supports all escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn not_a_character(unit: u32) -> RejectedDocument {
    let (code, message) = match unit {
        0 => ("BAD_REQUEST", "The request must not contain NUL characters."),
        _ => ("GRAPHQL_PARSE_FAILED", "An escape in a string is not a valid character: write the character itself."),
    };
    RejectedDocument::new(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plainly(text: &str) -> String {
        plain(text).unwrap().unwrap_or_else(|| text.to_owned())
    }

    fn code_of(text: &str) -> &'static str {
        plain(text).unwrap_err().code
    }

    #[test]
    fn block_strings_are_written_on_one_line() {
        for (block, string) in [
            ("\"\"\"abc\"\"\"", "\"abc\""),
            ("\"\"\"\"\"\"", "\"\""),
            ("\"\"\"a \\\"\"\" b\"\"\"", "\"a \\\"\\\"\\\" b\""),
            ("\"\"\"a \\n \\u00e4 \\\\x\"\"\"", "\"a \\\\n \\\\u00e4 \\\\\\\\x\""),
            (
                "\"\"\"\n    Hello,\n      World!\n\n    Yours,\r\n      GraphQL.\n  \"\"\"",
                "\"Hello,\\n  World!\\n\\nYours,\\n  GraphQL.\"",
            ),
            ("\"\"\"  a\n\tb\n \n\"\"\"", "\"  a\\nb\""),
        ] {
            let written = plainly(&format!("{{a(b:{block} c:1)}}"));
            let (value, rest) = written.strip_prefix("{a(b:").unwrap().split_at(string.len());
            assert_eq!(value, string, "{block:?}");
            assert_eq!(rest.trim_start(), "c:1)}", "{block:?}");
        }
        assert_eq!(code_of("{a(b: \"\"\"abc\")}"), "GRAPHQL_PARSE_FAILED");
    }

    #[test]
    fn text_after_a_block_string_keeps_its_line_and_column() {
        for text in [
            "{a(b: \"\"\"one\"\"\" X)}",
            "{a(b: \"\"\"\n  one\n  two\n  \"\"\" X)}",
            "{a(b: \"\"\"\r\none\r\n\"\"\" X)}",
            "{a(b: \"\"\"\r  one \\\"\"\" \r\"\"\" X)}",
        ] {
            let place = |text: &str| {
                let before = text.replace("\r\n", "\n").replace('\r', "\n");
                let before = before.split('X').next().unwrap().to_owned();
                (before.matches('\n').count(), before.rsplit('\n').next().unwrap().chars().count())
            };
            assert_eq!(place(&plainly(text)), place(text), "{text:?}");
        }
    }

    #[test]
    fn escapes_of_characters_beyond_the_parser_are_written_out() {
        for (text, written) in [
            ("\"\\u{1F600}\"", "\"😀\""),
            ("\"\\u{00000e4}\\u{e4}\"", "\"ää\""),
            ("\"\\ud83d\\uDE00\"", "\"😀\""),
            ("\"\\u{22}\\u{5c}\\u{a}\\u{1}\"", "\"\\\"\\\\\\n\\u0001\""),
            ("\"\\u00e4\\\\u{1F600}\"", "\"\\u00e4\\\\u{1F600}\""),
            ("# \"\\u{1F600}", "# \"\\u{1F600}"),
        ] {
            assert_eq!(plainly(text), written, "{text}");
        }
        for wrong in ["\\u{110000}", "\\u{d800}", "\\u{ffffffffffffffffffff}", "\\ud83d\\u{1F600}"] {
            assert_eq!(code_of(&format!("\"{wrong}\"")), "GRAPHQL_PARSE_FAILED", "{wrong}");
        }
        assert_eq!(code_of("\"\\u{000}\""), "BAD_REQUEST");
    }
}
