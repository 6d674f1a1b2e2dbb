//! Tables for spreadsheet programs, read and written. Written cells are text or times, and none is taken for a
//! formula.

// Reading of a table in a child process.
mod child;
// Comma-separated values, checked and read.
pub(crate) mod comma_separated;
// Copies of tables with marked cells.
mod marked;
// Numbers in the format of their cell.
mod number_format;
// Reading of uploaded tables.
pub mod read;
// Workbooks, inspected before they are parsed.
mod workbook;
// Workbooks, written.
mod written;

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::tools::text::is_invisible;

pub use self::child::{COMMAND, Content, MARK_COMMAND, Page, Pages, Reader, serve, serve_marked};
pub use self::marked::Mark;
pub use self::written::{Column, Layout, workbook};

/// A row of a table, its cells in the order of the columns.
pub type Row = Vec<String>;

/// Characters that begin a formula (OWASP, "CSV Injection"), with their full-width and small forms.
const FORMULA: [char; 12] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫'];

/// Characters that can end a cell: the separators of spreadsheet programs in any locale, and line breaks. A program
/// that expects a separator other than the comma ignores the quotes of a field, and begins a cell after each of these.
const BOUNDARIES: [char; 11] = [',', ';', '\t', '|', '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

/// Rows as comma-separated values (RFC 4180), with every field in quotes. Text that a spreadsheet program would run in
/// any locale gets an apostrophe: see `neutral`.
///
/// # Errors
/// [`Error::Internal`] if the rows differ in length.
pub fn csv<'a>(rows: impl IntoIterator<Item = impl IntoIterator<Item = &'a str>>) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new();
    let writer = writer.terminator(csv::Terminator::CRLF).quote_style(csv::QuoteStyle::Always);
    let mut writer = writer.from_writer(Vec::new());
    for row in rows {
        let cells = row.into_iter().map(neutral);
        writer.write_record(cells.map(|cell| cell.into_owned().into_bytes())).map_err(Error::internal)?;
    }
    writer.into_inner().map_err(|error| Error::internal(error.to_string()))
}

/// The text with an apostrophe before each piece that would begin a formula. Pieces are separated by [`BOUNDARIES`]: if
/// a program takes a boundary for the end of a cell, the next cell begins with the apostrophe.
///
/// Signs before numbers and phone numbers get one too. Otherwise programs drop the plus sign of `+44…`, and `-5` cannot
/// be distinguished from the start of `-5+cmd|…` in a cell that continues after the field.
fn neutral(text: &str) -> Cow<'_, str> {
    if !pieces(text).any(|(start, piece)| is_like_a_formula(start, piece)) {
        return text.into();
    }
    let mut neutral = String::with_capacity(text.len() + 8);
    for (start, piece) in pieces(text) {
        if is_like_a_formula(start, piece) {
            neutral.push('\'');
        }
        neutral.push_str(piece);
    }
    neutral.into()
}

/// Inverse of [`neutral`]. Text without an apostrophe before a formula is returned unchanged.
fn plain(text: &str) -> Cow<'_, str> {
    fn unmarked(start: usize, piece: &str) -> Option<&str> {
        piece.strip_prefix('\'').filter(|rest| is_like_a_formula(start, rest))
    }
    if !pieces(text).any(|(start, piece)| unmarked(start, piece).is_some()) {
        return text.into();
    }
    pieces(text).map(|(start, piece)| unmarked(start, piece).unwrap_or(piece)).collect::<String>().into()
}

/// The pieces of a text, each with its start and the boundary that ends it.
fn pieces(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive(BOUNDARIES).map(move |piece| {
        let own = start;
        start += piece.len();
        (own, piece)
    })
}

/// True if a cell that begins with this piece would be run. Programs skip blanks and quotes. Apostrophes are skipped
/// here too, so that a text keeps its own ones when it is read back. At the start of a text, the tab or line break of a
/// blank piece counts as well: some programs drop it with the blanks.
fn is_like_a_formula(start: usize, piece: &str) -> bool {
    let begun = piece.trim_start_matches(|c: char| matches!(c, '\'' | '"') || is_blank(c));
    begun.starts_with(FORMULA) || (start == 0 && begun.starts_with(['\t', '\r', '\n']))
}

/// True if a character is invisible and does not end a piece.
fn is_blank(c: char) -> bool {
    (c.is_whitespace() || c.is_control() || is_invisible(c)) && !BOUNDARIES.contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_be_run_is_made_text() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+44 20", "'+44 20"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("＝1", "'＝1"),
            ("a=1", "a=1"),
            ("'=1", "''=1"),
            ("'a", "'a"),
            ("a,\"b\"", "a,\"\"b\"\""),
            ("é", "é"),
            ("x;=1+1", "x;'=1+1"),
            ("x; \"=1+1", "x;' \"\"=1+1"),
            ("a\n=1\r\n\n+1", "a\n'=1\r\n\n'+1"),
            ("a\t\u{a0}@b|-c", "a\t'\u{a0}@b|'-c"),
            ("1 - 1, 2", "1 - 1, 2"),
            ("\u{feff}=1", "'\u{feff}=1"),
        ] {
            let line = String::from_utf8(csv([["", cell]]).unwrap()).unwrap();
            assert_eq!(line, format!("\"\",\"{written}\"\r\n"));
        }
    }

    proptest! {
        #[test]
        fn rows_read_back(rows in proptest::collection::vec(proptest::collection::vec("\\PC*", 3), 0..5)) {
            let written = csv(rows.iter().map(|row| row.iter().map(String::as_str))).unwrap();
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(written.as_slice());
            let read: Vec<Vec<String>> =
                reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
            let expected: Vec<Vec<String>> =
                rows.iter().map(|row| row.iter().map(|cell| neutral(cell).into_owned()).collect()).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_locale_finds_a_formula(
            rows in proptest::collection::vec(proptest::collection::vec("[-=+@＝'\",;|\t\r\n x\u{a0}\u{2028}]{0,7}|\\PC{0,4}", 2), 1..4)
        ) {
            let written = csv(rows.iter().map(|row| row.iter().map(String::as_str))).unwrap();
            let written = String::from_utf8(written).unwrap();
            for separators in [",", ";", "\t", "|", ",;\t"] {
                for minds_quotes in [true, false] {
                    for cell in cells(&written, separators, minds_quotes) {
                        let begun = cell.trim_start_matches(|c: char| c == '"' || c.is_whitespace());
                        prop_assert!(!begun.starts_with(FORMULA), "{:?} in {:?} by {:?}", cell, written, separators);
                    }
                }
            }
        }

        #[test]
        fn what_is_made_text_is_made_plain_again(text in "[-=+@＝'\",;|\t\r\n x]{0,9}|\\PC{0,9}") {
            let neutral = neutral(&text);
            prop_assert_eq!(plain(&neutral), text.as_str());
        }
    }

    /// The cells of a text as read by spreadsheet programs: boundaries in quotes are ignored, and text after the
    /// closing quote belongs to the cell.
    fn cells(text: &str, separators: &str, minds_quotes: bool) -> Vec<String> {
        let mut cells = vec![String::new()];
        let (mut is_fresh, mut is_quoted) = (true, false);
        let mut signs = text.chars().peekable();
        while let Some(sign) = signs.next() {
            let cell = cells.last_mut().unwrap();
            match sign {
                '"' if is_quoted && signs.peek() == Some(&'"') => {
                    signs.next();
                    cell.push('"');
                }
                '"' if is_quoted => is_quoted = false,
                '"' if is_fresh && minds_quotes => is_quoted = true,
                sign if !is_quoted && (separators.contains(sign) || matches!(sign, '\r' | '\n')) => {
                    cells.push(String::new());
                    is_fresh = true;
                    continue;
                }
                sign => cell.push(sign),
            }
            is_fresh = false;
        }
        cells
    }
}
