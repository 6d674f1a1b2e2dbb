//! What is looked at in a document's text, before the parser sees it.

use std::collections::HashSet;

use super::Refusal;

/// The text with pairs of surrogates such as `\ud83d\ude00` in its strings replaced by the character that they stand for;
/// none where there are none. The parser takes no such escapes.
pub(super) fn joined(text: &str) -> Result<Option<String>, Refusal> {
    if !text.contains("\\u") {
        return Ok(None);
    }
    if text.contains("\"\"\"") {
        // Where block strings end is the parser's secret; with one, such escapes are not taken anywhere.
        for (at, _) in text.match_indices("\\u") {
            if let Some(unit @ (0 | 0xd800..=0xdfff)) = escape(text, at) {
                return Err(not_a_character(unit));
            }
        }
        return Ok(None);
    }
    let bytes = text.as_bytes();
    let (mut joined, mut copied, mut at, mut is_string) = (String::new(), 0, 0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'#' if !is_string => at += line_length(&bytes[at..]),
            b'"' => (at, is_string) = (at + 1, !is_string),
            b'\\' if is_string => match escape(text, at) {
                None => at += 2,
                Some(high @ 0xd800..=0xdbff) => {
                    let low = escape(text, at + 6).filter(|low| (0xdc00..=0xdfff).contains(low));
                    let low = low.ok_or_else(|| not_a_character(high))?;
                    joined.push_str(&text[copied..at]);
                    joined.extend(char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)));
                    at += 12;
                    copied = at;
                }
                Some(unit @ (0 | 0xdc00..=0xdfff)) => return Err(not_a_character(unit)),
                Some(_) => at += 6,
            },
            _ => at += 1,
        }
    }
    joined.push_str(&text[copied..]);
    Ok((copied > 0).then_some(joined))
}

/// Whether an input object in the text names a field twice, of which the parser would keep the last and say nothing.
pub(super) fn names_twice(text: &str) -> bool {
    // As above: with a block string, nobody but the parser knows what is text.
    if text.contains("\"\"\"") {
        return false;
    }
    let bytes = text.as_bytes();
    let (mut at, mut parentheses) = (0, 0_usize);
    // The fields so far of each object that is open.
    let mut open: Vec<HashSet<&[u8]>> = Vec::new();
    while let Some(byte) = bytes.get(at) {
        let mut length = 1;
        match byte {
            b'#' => length = line_length(&bytes[at..]),
            b'"' => length = string_length(&bytes[at..]),
            b'(' => parentheses += 1,
            b')' => parentheses = parentheses.saturating_sub(1),
            // Outside of parentheses, braces hold selections.
            b'{' if parentheses > 0 => open.push(HashSet::new()),
            b'}' if parentheses > 0 => drop(open.pop()),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                length = bytes[at..].iter().take_while(|byte| is_name(byte)).count();
                let name = &bytes[at..at + length];
                let is_field = bytes.get(at + length + ignored_length(&bytes[at + length..])) == Some(&b':');
                if is_field && open.last_mut().is_some_and(|fields| !fields.insert(name)) {
                    return true;
                }
            }
            _ => {}
        }
        at += length;
    }
    false
}

/// How much space, commas and comments these bytes begin with.
fn ignored_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => 1,
            b'#' => line_length(&bytes[at..]),
            _ => break,
        };
    }
    at
}

/// The number in an escape such as `\u00e4` at this place.
fn escape(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u32::from_str_radix(digits, 16).ok()
}

fn not_a_character(unit: u32) -> Refusal {
    let (code, message) = match unit {
        0 => ("BAD_REQUEST", "The request must not contain NUL characters."),
        _ => ("GRAPHQL_PARSE_FAILED", "An escape in a string stands for no character: write the character itself."),
    };
    Refusal { code, message: message.to_owned(), location: None }
}

/// How far it is to the end of the line.
fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len())
}

/// How deep brackets are nested in the text, those in strings and comments left out.
pub(super) fn bracket_depth(text: &str) -> usize {
    if text.contains("\"\"\"") {
        // Where block strings end is the parser's secret; with one, no more brackets are taken than may be nested.
        return text.bytes().filter(|byte| matches!(byte, b'{' | b'[' | b'(')).count();
    }
    let bytes = text.as_bytes();
    let (mut depth, mut deepest, mut at) = (0_usize, 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'#' => at += line_length(&bytes[at..]),
            b'"' => {
                at += string_length(&bytes[at..]);
                continue;
            }
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// The length of the string, or block string, that these bytes begin with; at least 1.
fn string_length(bytes: &[u8]) -> usize {
    let block = bytes.starts_with(b"\"\"\"");
    let (end, mut at): (&[u8], usize) = if block { (b"\"\"\"", 3) } else { (b"\"", 1) };
    while at < bytes.len() {
        if bytes[at..].starts_with(end) {
            return at + end.len();
        }
        if !block && matches!(bytes[at], b'\n' | b'\r') {
            return at;
        }
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    bytes.len()
}
