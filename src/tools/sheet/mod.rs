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

pub use self::child::{COMMAND, Page, Pages, Reader, serve};

/// A row of a table, its cells in the order of the columns.
pub type Row = Vec<String>;

/// What begins a formula (OWASP, "CSV Injection"), in the wide forms too that some keyboards give.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The most characters that a cell of a workbook holds.
const MAX_CELL: usize = 32_767;

/// The most rows that a sheet of a workbook holds.
const MAX_ROWS: u32 = 1_048_576;

/// Rows as comma-separated values (RFC 4180). A cell that a spreadsheet program would run gets an apostrophe in front.
///
/// # Errors
/// [`Error::Internal`] where the rows differ in length.
pub fn csv<'a>(rows: impl IntoIterator<Item = impl IntoIterator<Item = &'a str>>) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        let cells = row.into_iter().map(neutral);
        writer.write_record(cells.map(|cell| cell.into_owned().into_bytes())).map_err(Error::internal)?;
    }
    writer.into_inner().map_err(|error| Error::internal(error.to_string()))
}

/// The text, or the text behind an apostrophe where it would be taken for a formula, or has such an apostrophe itself.
fn neutral(text: &str) -> Cow<'_, str> {
    if is_like_a_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// The text that [`neutral`] was given.
fn plain(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_like_a_formula(rest)).unwrap_or(text)
}

fn is_like_a_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULA)
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
    std::fs::create_dir_all(folder)?;
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
            ("\rx", "\"'\rx\""),
            ("＝1", "'＝1"),
            ("a=1", "a=1"),
            ("'=1", "''=1"),
            ("'a", "'a"),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("é", "é"),
        ] {
            let line = String::from_utf8(csv([["", cell]]).unwrap()).unwrap();
            assert_eq!(line, format!(",{written}\r\n"));
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
    }
}
