//! Checks of a document's text before it is parsed. It has no block strings: [`strings`](super::strings) has rewritten
//! them.

use std::collections::HashSet;

/// True if an input object names a field twice. The parser would keep the last one without an error.
pub(super) fn names_twice(text: &str) -> bool {
    // Fields seen in each open object. Outside of parentheses, braces enclose selections.
    let mut open: Vec<HashSet<&[u8]>> = Vec::new();
    let mut parentheses = 0_usize;
    let mut tokens = tokens(text).peekable();
    while let Some(token) = tokens.next() {
        match token {
            b"(" => parentheses += 1,
            b")" => parentheses = parentheses.saturating_sub(1),
            b"{" if parentheses > 0 => open.push(HashSet::new()),
            b"}" if parentheses > 0 => drop(open.pop()),
            name if is_name(name)
                && tokens.peek() == Some(&b":".as_slice())
                && open.last_mut().is_some_and(|fields| !fields.insert(name)) =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}

/// Deepest nesting of brackets outside of strings and comments.
pub(super) fn bracket_depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for token in tokens(text) {
        match token {
            b"{" | b"[" | b"(" => depth += 1,
            b"}" | b"]" | b")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The strings, names and other bytes of a text, without whitespace, commas and comments.
fn tokens(text: &str) -> impl Iterator<Item = &[u8]> {
    let mut rest = text.as_bytes();
    let next = move || {
        let first = *rest.first()?;
        let length = match first {
            b'#' => line_length(rest),
            b'"' => string_length(rest),
            _ if is_name(rest) => rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    };
    std::iter::from_fn(next).filter(|token| !matches!(token, [b' ' | b'\t' | b'\n' | b'\r' | b',' | b'#', ..]))
}

/// True if these bytes start with a name.
fn is_name(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
}

/// Distance to the end of the line.
pub(super) fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len())
}

/// Length of the leading string; at least 1.
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
