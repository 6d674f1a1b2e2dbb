//! What is looked at in a document's text, before the parser sees it. It has no block strings: they were written plainly.

use std::collections::HashSet;

/// Whether an input object in the text names a field twice, of which the parser would keep the last and say nothing.
pub(super) fn names_twice(text: &str) -> bool {
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

/// How far it is to the end of the line.
pub(super) fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len())
}

/// How deep brackets are nested in the text, those in strings and comments left out.
pub(super) fn bracket_depth(text: &str) -> usize {
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

/// The length of the string that these bytes begin with; at least 1.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\n' | b'\r' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}
