//! Tables for spreadsheet programs, written and read. Where they are written, all cells are text, and none is taken for
//! a formula.

// Reading a table in a process of its own.
mod child;
// Tables that people send.
pub mod read;
// Workbooks, looked through before they are parsed.
mod workbook;

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, XlsxError};

use crate::error::{Error, Result};
use crate::tools::clock::Timestamp;
use crate::tools::secret_file;

pub use self::child::{COMMAND, Page, Pages, Reader, serve};

/// A row of a table, its cells in the order of the columns.
pub type Row = Vec<String>;

/// Characters that begin a formula (OWASP, "CSV Injection"), with the full-width and small forms of some keyboards.
const FORMULA: [char; 12] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫'];

/// Characters that end a cell somewhere: separators of spreadsheet programs by locale, and line breaks. A program that
/// expects another separator than the comma reads past the quotes of a field, and begins a cell behind each of these.
const BOUNDARIES: [char; 11] = [',', ';', '\t', '|', '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

/// The most characters that a cell of a workbook holds.
const MAX_CELL: usize = 32_767;

/// The most rows that a sheet of a workbook holds.
const MAX_ROWS: u32 = 1_048_576;

/// Rows as comma-separated values (RFC 4180), every field in quotes. Text that a spreadsheet program would run, in
/// whichever locale, gets an apostrophe: see `neutral`.
///
/// # Errors
/// [`Error::Internal`] where the rows differ in length.
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

/// The text with an apostrophe before each piece that would begin a formula. Pieces are what is left between
/// [`BOUNDARIES`]: where a program takes one of them for the end of a cell, the next cell begins with the apostrophe.
///
/// Signs before figures and telephone numbers get one too. Without it, programs drop the plus sign of `+44…`, and no rule
/// tells `-5` from the beginning of `-5+cmd|…` in a cell that goes on behind the field.
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

/// The text that [`neutral`] was given. Text without an apostrophe before a formula is returned as it is.
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

/// Whether a cell that begins with this piece would be run. Programs skip blanks, and the quotes that they take for those
/// of a field; apostrophes are skipped, so that a text which begins with some keeps them all when it is read back. At the
/// beginning of a text, the tab or line break of a blank piece counts as well: some programs drop it with the blanks.
fn is_like_a_formula(start: usize, piece: &str) -> bool {
    let begun = piece.trim_start_matches(|c: char| matches!(c, '\'' | '"') || is_blank(c));
    begun.starts_with(FORMULA) || (start == 0 && begun.starts_with(['\t', '\r', '\n']))
}

/// Whether a character shows as nothing, without ending a piece.
fn is_blank(c: char) -> bool {
    let is_invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    (c.is_whitespace() || c.is_control() || is_invisible) && !BOUNDARIES.contains(&c)
}

/// Writes a workbook (Office Open XML) into a file in this folder and returns it, open at its beginning. Whatever the
/// number of rows, memory holds one page of them: cells go to a second file first. Neither file has a name, so that both
/// are gone when they are closed, or the process ends. This takes its time and must not run on an asynchronous thread.
///
/// # Errors
/// [`Error::Internal`] where the folder cannot be written to.
pub fn workbook(
    folder: &Path,
    at: Timestamp,
    name: &str,
    columns: &[&str],
    pages: impl IntoIterator<Item = Vec<Row>>,
) -> Result<File> {
    write(folder, at, (name, columns), pages, MAX_ROWS).map_err(Error::internal)
}

fn write(
    folder: &Path,
    at: Timestamp,
    (name, columns): (&str, &[&str]),
    pages: impl IntoIterator<Item = Vec<Row>>,
    max_rows: u32,
) -> Result<File, XlsxError> {
    secret_file::make_folder(folder)?;
    let mut workbook = Workbook::new();
    workbook.set_tempdir(folder)?;
    let created = DocProperties::new().set_creation_datetime(&ExcelDateTime::from_timestamp(at.seconds())?);
    workbook.set_properties(&created);
    let (mut sheets, mut row) = (0, max_rows);
    for cells in std::iter::once(Vec::new()).chain(pages.into_iter().flatten()) {
        if row == max_rows {
            sheets += 1;
            row = 1;
            let sheet = workbook.add_worksheet_with_constant_memory()?;
            sheet.set_name(if sheets == 1 { name.to_owned() } else { format!("{name} {sheets}") })?;
            sheet.set_freeze_panes(1, 0)?;
            sheet.write_row(0, 0, columns.iter().copied())?;
        }
        if cells.is_empty() {
            continue;
        }
        let sheet = workbook.worksheet_from_index(sheets - 1)?;
        for (column, cell) in (0..).zip(&cells) {
            let end = cell.char_indices().nth(MAX_CELL).map_or(cell.len(), |(end, _)| end);
            sheet.write_string(row, column, &cell[..end])?;
        }
        row += 1;
    }
    let mut file = BufWriter::new(tempfile::tempfile_in(folder)?);
    workbook.save_to_writer(&mut file)?;
    file.flush()?;
    let mut file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::{Data, Reader as _, Xlsx};
    use proptest::prelude::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn sheets(columns: &[&str], pages: Vec<Vec<Row>>, max_rows: u32) -> Vec<(String, Vec<Vec<Data>>)> {
        let folder = tempfile::TempDir::new().unwrap();
        let file = write(folder.path(), AT, ("Users", columns), pages, max_rows).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut book = Xlsx::new(std::io::BufReader::new(file)).unwrap();
        let rows = |range: calamine::Range<Data>| range.rows().map(<[Data]>::to_vec).collect();
        book.worksheets().into_iter().map(|(name, range)| (name, rows(range))).collect()
    }

    fn text(text: &str) -> Data {
        Data::String(text.to_owned())
    }

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

    #[test]
    fn a_workbook_holds_text_alone_and_goes_on_in_a_further_sheet() {
        let rows: Vec<Row> = ["=1+1", "@a", "007", "true"].iter().map(|cell| vec![(*cell).to_owned()]).collect();
        let sheets = sheets(&["a"], vec![rows[..1].to_vec(), rows[1..].to_vec()], 3);
        let first = ("Users".to_owned(), vec![vec![text("a")], vec![text("=1+1")], vec![text("@a")]]);
        let second = ("Users 2".to_owned(), vec![vec![text("a")], vec![text("007")], vec![text("true")]]);
        assert_eq!(sheets, [first, second]);
    }

    #[test]
    fn a_cell_is_cut_where_a_workbook_holds_no_more() {
        let long = "é".repeat(MAX_CELL + 1);
        let sheets = sheets(&["a"], vec![vec![vec![long]]], 10);
        assert_eq!(sheets[0].1[1][0], text(&"é".repeat(MAX_CELL)));
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

    /// The cells of a text as spreadsheet programs read it: a quote opens a cell whose boundaries count for nothing until
    /// the next single quote, and what follows that belongs to the cell.
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
