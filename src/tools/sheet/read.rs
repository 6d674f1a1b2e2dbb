//! Reading of uploaded tables: workbooks (.xlsx) and comma-separated values, row by row within limits.
//!
//! The limits below bound the cost of any file. Still, this must run in a child process (see `child`), because the
//! parser of workbooks allocates as much memory as a file asks for.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::comma_separated::Records;
use super::{plain, workbook};
use crate::error::{Code, Error, Refusal, Result};
use crate::texts::Text;
use crate::tools::text;

/// Maximum size of a file, in bytes.
pub const MAX_BYTES: usize = MAX_MEGABYTES * 1024 * 1024;

/// The same in MiB.
const MAX_MEGABYTES: usize = 10;

/// Maximum number of rows, including the heading.
pub const MAX_ROW: u32 = 100_001;

/// Maximum number of columns.
pub const MAX_COLUMNS: usize = 64;

/// Maximum length of a cell, in characters.
const MAX_CELL: usize = 32_767;

/// Maximum amount of text in all cells together, in bytes. A workbook can store a text once and refer to it many times.
const MAX_TEXT: usize = 64 * 1024 * 1024;

/// First bytes of .xlsx workbooks, which are ZIP archives.
const ZIP: [u8; 4] = *b"PK\x03\x04";

/// First bytes of workbooks in the format before 2007, and of those protected by a password.
const OLE: [u8; 4] = [0xd0, 0xcf, 0x11, 0xe0];

/// A row that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SheetRow {
    /// The row number in spreadsheet programs, from 1.
    pub number: u32,
    /// Its cells from the first column on, without trailing empty ones.
    pub cells: Vec<String>,
    /// The columns of cells without a value, from 0, with the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<(usize, Fault)>,
}

/// Reason for a cell without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// It shows an error, such as `#N/A`.
    Error,
    /// Its formula was never calculated.
    NoValue,
}

/// The sheets of a workbook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheets {
    /// The sheet that was read; none if the file is not a workbook.
    pub read: Option<String>,
    /// Other sheets with the heading, which were not read; at most 20.
    pub passed_over: Vec<String>,
}

/// Consumer of rows.
pub type Sink<'a> = dyn FnMut(SheetRow) -> Result<()> + 'a;

/// Reads a table and passes its rows to the sink. The first bytes determine the format. In a workbook, the first
/// visible sheet with one of these headings in its first row is read, or else the first visible one.
///
/// # Errors
/// [`Code::FileTooLarge`] and [`Code::FileUnsupported`] of the field `file`; those of the sink.
pub fn read(bytes: &[u8], headings: &[String], sink: &mut Sink<'_>) -> Result<Sheets> {
    if bytes.len() > MAX_BYTES {
        return Err(file_too_large());
    }
    let mut rows = Rows { sink, row: SheetRow::default(), text: 0 };
    let mut sheets = Sheets::default();
    if is_workbook(bytes) {
        sheets = workbook::read(bytes, headings, &mut rows)?;
    } else if bytes.starts_with(&OLE) {
        return Err(unsupported("workbook-old-or-protected"));
    } else {
        comma_separated(bytes, &mut rows)?;
    }
    rows.finish()?;
    Ok(sheets)
}

/// True if the first bytes are those of a workbook.
pub(super) fn is_workbook(bytes: &[u8]) -> bool {
    bytes.starts_with(&ZIP)
}

fn comma_separated(bytes: &[u8], rows: &mut Rows<'_, '_>) -> Result<()> {
    let text = text::decode(bytes).filter(|text| !text.contains('\0'));
    let text = text.ok_or_else(|| unsupported("sheet-unknown-format"))?;
    let mut records = Records::of(&text).map_err(|malformed| unsupported(malformed.text()))?;
    while let Some((row, record)) = records.next().map_err(|_| damaged())? {
        for (column, cell) in record.iter().enumerate() {
            rows.put(row, column, plain(cell), None)?;
        }
    }
    Ok(())
}

/// Collects cells into rows, within limits.
pub(super) struct Rows<'a, 'b> {
    sink: &'a mut Sink<'b>,
    row: SheetRow,
    text: usize,
}

impl Rows<'_, '_> {
    /// Adds a cell. Row and column are counted from 0, and rows must be in order.
    pub(super) fn put(&mut self, row: u32, column: usize, text: Cow<'_, str>, fault: Option<Fault>) -> Result<()> {
        if text.is_empty() && fault.is_none() {
            return Ok(());
        }
        if row >= MAX_ROW || column >= MAX_COLUMNS {
            if fault.is_none() && text::trim(&text).is_empty() {
                return Ok(());
            }
            let text = Text::new("sheet-too-many-cells").with("rows", u64::from(MAX_ROW) - 1);
            return Err(too_large(text.with("columns", MAX_COLUMNS)));
        }
        self.text += text.len();
        if text.len() > MAX_CELL && text.chars().nth(MAX_CELL).is_some() || self.text > MAX_TEXT {
            return Err(too_large("sheet-too-much-text"));
        }
        let number = row + 1;
        if number != self.row.number {
            if number < self.row.number {
                return Err(damaged());
            }
            self.flush()?;
            self.row.number = number;
        }
        if self.row.cells.len() <= column {
            self.row.cells.resize(column + 1, String::new());
        }
        if let Some(cell) = self.row.cells.get_mut(column) {
            *cell = text.into_owned();
        }
        self.row.faults.extend(fault.map(|fault| (column, fault)));
        Ok(())
    }

    /// Passes the row to the sink, unless it is blank.
    fn flush(&mut self) -> Result<()> {
        let row = std::mem::take(&mut self.row);
        let is_blank = row.faults.is_empty() && row.cells.iter().all(|cell| text::trim(cell).is_empty());
        if is_blank { Ok(()) } else { (self.sink)(row) }
    }

    fn finish(mut self) -> Result<()> {
        self.flush()
    }
}

/// The refusal of a file that has too many bytes.
pub fn file_too_large() -> Error {
    too_large(Text::new("file-larger-than").with("max", MAX_MEGABYTES))
}

pub(super) fn too_large(text: impl Into<Text>) -> Error {
    Refusal::new(Code::FileTooLarge, text).of("file").into()
}

pub(super) fn unsupported(text: impl Into<Text>) -> Error {
    Refusal::new(Code::FileUnsupported, text).of("file").into()
}

pub(super) fn damaged() -> Error {
    unsupported("sheet-damaged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(bytes: &[u8]) -> Result<Vec<(u32, Vec<String>)>, Code> {
        let mut rows = Vec::new();
        let mut keep = |row: SheetRow| {
            rows.push((row.number, row.cells));
            Ok(())
        };
        match read(bytes, &["email".to_owned()], &mut keep) {
            Ok(_) => Ok(rows),
            Err(Error::Refused(refusals)) => Err(refusals[0].code),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn texts(rows: &[(u32, &[&str])]) -> Vec<(u32, Vec<String>)> {
        rows.iter().map(|(number, cells)| (*number, cells.iter().map(|cell| (*cell).to_owned()).collect())).collect()
    }

    #[test]
    fn text_is_parted_by_what_its_first_line_is_parted_by() {
        let expected = texts(&[(1, &["a", "b,;c"]), (2, &["1", "2"])]);
        for text in ["a,\"b,;c\"\r\n1,2\r\n", "a;\"b,;c\"\n1;2", "\u{feff}a\t\"b,;c\"\n1\t2\n"] {
            assert_eq!(rows(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
        assert_eq!(rows(b"email\na@x.example\n").unwrap(), texts(&[(1, &["email"]), (2, &["a@x.example"])]));
        assert_eq!(rows(b"").unwrap(), []);
        assert_eq!(rows(b"a,b,,\n,,\n\"x\ny\"\n").unwrap(), texts(&[(1, &["a", "b"]), (3, &["x\ny"])]));
        let expected = texts(&[(3, &["a"]), (4, &["x\r\ny\n"]), (6, &["b"]), (7, &["c"]), (10, &["d"])]);
        let text = "\n\na\n\"x\r\ny\n\"\n\nb\nc\n\n\nd";
        for end in ["", "\n", "\n\n"] {
            assert_eq!(rows(format!("{text}{end}").as_bytes()).unwrap(), expected);
            let text = format!("{text}{end}").replace("\r\n", "\n").replace('\n', "\r\n");
            assert_eq!(rows(text.as_bytes()).unwrap()[4], expected[4]);
        }
    }

    #[test]
    fn the_apostrophe_of_an_export_is_taken_away_again() {
        for cell in ["=1", "'=1", "''=1", "'a", "+44", "a", "'", "@x", "''", "x;=1", "x;'=1", "a\n\n- b\n' \"-c"] {
            let bytes = super::super::csv([["x", cell]]).unwrap();
            assert_eq!(rows(&bytes).unwrap(), texts(&[(1, &["x", cell])]), "{cell}");
        }
    }

    #[test]
    fn what_is_no_text_or_too_much_is_refused() {
        for bytes in [&b"\xff\xfee\0m"[..], b"email\nj\xf6rg@x.example", b"\x89PNG\r\n\x1a\n\0\0", &OLE, b"a\0b", &ZIP]
        {
            assert_eq!(rows(bytes), Err(Code::FileUnsupported), "{bytes:?}");
        }
        let wide = ",".repeat(MAX_COLUMNS - 1);
        assert!(rows(format!("{wide}x").as_bytes()).is_ok());
        let long = "\u{e9}".repeat(MAX_CELL);
        assert!(rows(long.as_bytes()).is_ok());
        let high = "a\n".repeat(MAX_ROW as usize);
        assert_eq!(rows(high.as_bytes()).unwrap().len(), MAX_ROW as usize);
        for text in [format!("{wide},x"), format!("{long}x"), format!("{high}a"), "a".repeat(MAX_BYTES + 1)] {
            assert_eq!(rows(text.as_bytes()), Err(Code::FileTooLarge));
        }
    }

    #[test]
    fn rows_of_blanks_are_no_rows() {
        let file = "email,name\r\na@x.example,A\r\n,\r\n \u{200b}, \r\n,,\r\nb@x.example, \r\n,\r\n";
        let expected = texts(&[(1, &["email", "name"]), (2, &["a@x.example", "A"]), (6, &["b@x.example", " "])]);
        assert_eq!(rows(file.as_bytes()).unwrap(), expected);
        let far = format!("a\n{}", " ,\n".repeat(MAX_ROW as usize));
        assert_eq!(rows(far.as_bytes()).unwrap(), texts(&[(1, &["a"])]));
    }

    #[test]
    fn unicode_text_of_spreadsheet_programs_is_read() {
        let file = "\u{feff}email\tname\r\na@x.example\tZo\u{eb}\r\n";
        let wide: Vec<u8> = file.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(rows(&wide).unwrap(), texts(&[(1, &["email", "name"]), (2, &["a@x.example", "Zo\u{eb}"])]));
    }

    #[test]
    fn all_cells_together_hold_so_much_text() {
        let mut rows = Rows { sink: &mut |_| Ok(()), row: SheetRow::default(), text: MAX_TEXT - 2 };
        assert!(rows.put(0, 0, "ab".into(), None).is_ok());
        assert!(rows.put(0, 1, "c".into(), None).is_err());
    }

    proptest! {
        #[test]
        fn what_an_export_writes_is_read_back(cells in proptest::collection::vec("\\PC{0,8}|[-'\"=+@;,|\t\n x]{0,6}", 1..6)) {
            // The separator is detected from the heading, which every export begins with.
            let heading: Vec<_> = cells.iter().map(|_| "heading").collect();
            let bytes = super::super::csv([heading, cells.iter().map(String::as_str).collect()]).unwrap();
            let mut expected = cells;
            while expected.last().is_some_and(String::is_empty) {
                expected.pop();
            }
            if expected.iter().all(|cell| text::trim(cell).is_empty()) {
                expected.clear();
            }
            let read = rows(&bytes).unwrap();
            prop_assert_eq!(read.get(1).map(|(_, cells)| cells.clone()).unwrap_or_default(), expected);
        }
    }
}
