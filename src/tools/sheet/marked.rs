//! Copies of uploaded tables with marked cells: values and number formats are kept, formulas become their values, and
//! marked cells get a colour and a note. All text stays text, so that no cell becomes a formula.

use std::collections::HashMap;
use std::fs::File;
use std::io::Cursor;
use std::iter::Peekable;
use std::path::Path;
use std::slice;

use calamine::{DataRef, Reader as _, SheetType, SheetVisible, Xlsx};
use rust_xlsxwriter::{Color, Format, Note, Workbook, Worksheet, XlsxError};
use serde::{Deserialize, Serialize};

use super::comma_separated::Records;
use super::read::{MAX_COLUMNS, damaged, is_workbook, unsupported};
use super::written::{MAX_CELL, TEXT_FORMAT, WIDTH};
use super::{plain, workbook};
use crate::error::{Error, Result};
use crate::tools::text;

/// Colour of marked cells: a light red that black text is readable on.
const COLOUR: Color = Color::RGB(0x00FF_C7CE);

/// Name of the worksheet made of comma-separated values.
const SHEET: &str = "Users";

/// Maximum length of a note, in characters. Spreadsheet programs accept little more.
const MAX_NOTE: usize = 2000;

/// A cell to mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its row in spreadsheet programs, from 1.
    pub row: u32,
    /// Its column, from 0.
    pub column: u16,
    /// The text of its note.
    pub note: String,
}

/// Writes a copy of a table as a workbook. `marks` are in the order of rows and columns, with at most one for a cell,
/// and belong to the worksheet that [`super::read::read`] reads for these headings.
///
/// # Errors
/// Refusals of the file, as when it is read; [`Error::Internal`] if the folder for temporary files is not writable.
pub(super) fn write(bytes: &[u8], headings: &[String], marks: &[Mark], folder: &Path, output: &File) -> Result<()> {
    let mut book = Workbook::new();
    book.set_tempdir(folder).map_err(Error::internal)?;
    if is_workbook(bytes) {
        copy_workbook(bytes, headings, marks, &mut book)?;
    } else {
        copy_text(bytes, marks, &mut book)?;
    }
    book.save_to_writer(output).map_err(Error::internal)
}

fn copy_text(bytes: &[u8], marks: &[Mark], book: &mut Workbook) -> Result<()> {
    let sheet =
        book.add_worksheet_with_constant_memory().and_then(|sheet| sheet.set_name(SHEET)).map_err(Error::internal)?;
    let mut copy = Copy::new(sheet, marks);
    let text = text::decode(bytes).ok_or_else(|| unsupported("sheet-unknown-format"))?;
    let mut records = Records::of(&text).map_err(|malformed| unsupported(malformed.text()))?;
    while let Some((row, record)) = records.next().map_err(|_| damaged())? {
        for (column, cell) in (0..).zip(record).take(MAX_COLUMNS) {
            copy.put(row, column, &DataRef::String(plain(cell).into_owned()), TEXT_FORMAT).map_err(Error::internal)?;
        }
    }
    copy.finish().map_err(Error::internal)
}

fn copy_workbook(bytes: &[u8], headings: &[String], marks: &[Mark], book: &mut Workbook) -> Result<()> {
    workbook::inspect(bytes)?;
    let mut source = Xlsx::new(Cursor::new(bytes)).map_err(|_| damaged())?;
    let (chosen, _) = workbook::choose(&mut source, headings)?;
    let sheets = source.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let sheets: Vec<_> = sheets.map(|sheet| (sheet.name.clone(), sheet.visible != SheetVisible::Visible)).collect();
    for (name, is_hidden) in sheets {
        let is_chosen = name == chosen;
        let sheet = book.add_worksheet_with_constant_memory().map_err(Error::internal)?;
        sheet.set_name(&name).map_err(Error::internal)?.set_hidden(is_hidden && !is_chosen);
        if is_chosen {
            sheet.set_active(true).set_first_tab(true);
        }
        let mut copy = Copy::new(sheet, if is_chosen { marks } else { &[] });
        let mut cells = source.worksheet_cells_reader(&name).map_err(|_| damaged())?;
        while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(|_| damaged())? {
            let format = cells.styles().get(style).and_then(|style| style.number_format.as_ref());
            let format = format.map_or("", |format| format.format_code.as_str()).to_owned();
            let (row, column) = cell.get_position();
            let Ok(column) = u16::try_from(column) else { continue };
            copy.put(row, column, cell.get_value(), &format).map_err(Error::internal)?;
        }
        copy.finish().map_err(Error::internal)?;
    }
    Ok(())
}

/// A worksheet while it is copied, row by row.
struct Copy<'a> {
    sheet: &'a mut Worksheet,
    marks: Peekable<slice::Iter<'a, Mark>>,
    formats: HashMap<(String, bool), Format>,
    row: u32,
    columns: u16,
}

impl<'a> Copy<'a> {
    fn new(sheet: &'a mut Worksheet, marks: &'a [Mark]) -> Self {
        Self { sheet, marks: marks.iter().peekable(), formats: HashMap::new(), row: 0, columns: 0 }
    }

    /// Copies a cell, counted from 0, after the marked cells before it.
    fn put(&mut self, row: u32, column: u16, value: &DataRef<'_>, format: &str) -> Result<(), XlsxError> {
        if row < self.row {
            // Rows are written as they come. No spreadsheet program stores them in another order.
            return Ok(());
        }
        self.row = row;
        while let Some(mark) = self.marks.next_if(|mark| (mark.row - 1, mark.column) < (row, column)) {
            self.mark_empty(mark)?;
        }
        let mark = self.marks.next_if(|mark| (mark.row - 1, mark.column) == (row, column));
        if column >= self.columns {
            self.columns = column + 1;
            self.sheet.set_column_width(column, WIDTH)?;
        }
        let format = self.formats.entry((format.to_owned(), mark.is_some())).or_insert_with(|| {
            let own = if format.is_empty() { Format::new() } else { Format::new().set_num_format(format) };
            if mark.is_some() { own.set_background_color(COLOUR) } else { own }
        });
        let sheet = &mut *self.sheet;
        match value {
            DataRef::Empty => sheet.write_blank(row, column, format)?,
            DataRef::Bool(value) => sheet.write_boolean_with_format(row, column, *value, format)?,
            #[expect(clippy::cast_precision_loss, reason = "workbooks store numbers as floating-point numbers")]
            DataRef::Int(value) => sheet.write_number_with_format(row, column, *value as f64, format)?,
            DataRef::Float(value) => sheet.write_number_with_format(row, column, *value, format)?,
            DataRef::DateTime(time) => sheet.write_number_with_format(row, column, time.as_f64(), format)?,
            DataRef::Error(error) => sheet.write_string_with_format(row, column, error.to_string(), format)?,
            DataRef::SharedString(text) => sheet.write_string_with_format(row, column, cut(text, MAX_CELL), format)?,
            DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
                sheet.write_string_with_format(row, column, cut(text, MAX_CELL), format)?
            }
        };
        mark.map_or(Ok(()), |mark| self.note(mark))
    }

    fn finish(mut self) -> Result<(), XlsxError> {
        while let Some(mark) = self.marks.next() {
            self.mark_empty(mark)?;
        }
        Ok(())
    }

    fn mark_empty(&mut self, mark: &Mark) -> Result<(), XlsxError> {
        let format = Format::new().set_background_color(COLOUR);
        self.sheet.write_blank(mark.row - 1, mark.column, &format)?;
        self.note(mark)
    }

    fn note(&mut self, mark: &Mark) -> Result<(), XlsxError> {
        let note = Note::new(cut(&mark.note, MAX_NOTE)).add_author_prefix(false);
        self.sheet.insert_note(mark.row - 1, mark.column, &note).map(drop)
    }
}

/// The start of a text with at most this many characters.
fn cut(text: &str, max: usize) -> &str {
    let end = text.char_indices().nth(max).map_or(text.len(), |(end, _)| end);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};

    use super::*;
    use calamine::Data;

    fn mark(row: u32, column: u16, note: &str) -> Mark {
        Mark { row, column, note: note.to_owned() }
    }

    fn copied(bytes: &[u8], marks: &[Mark]) -> Vec<u8> {
        let folder = tempfile::TempDir::new().unwrap();
        let mut output = tempfile::tempfile().unwrap();
        write(bytes, &["email".to_owned()], marks, folder.path(), &output).unwrap();
        output.rewind().unwrap();
        let mut written = Vec::new();
        output.read_to_end(&mut written).unwrap();
        written
    }

    fn part(bytes: &[u8], name: &str) -> String {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        std::io::read_to_string(archive.by_name(name).unwrap()).unwrap()
    }

    #[test]
    fn a_workbook_keeps_its_values_and_sheets_and_gets_marks() {
        let mut book = Workbook::new();
        book.add_worksheet().set_name("Notes").unwrap().write(0, 0, "read me").unwrap();
        let sheet = book.add_worksheet().set_name("People").unwrap();
        sheet.write_row(0, 0, ["email", "phone", "since"]).unwrap();
        sheet.write(1, 0, "=1+1").unwrap();
        sheet.write_with_format(1, 1, 612_345_678, &Format::new().set_num_format("0000000000")).unwrap();
        sheet.write_with_format(1, 2, 46_027, &Format::new().set_num_format("yyyy-mm-dd")).unwrap();
        let marks = [mark(2, 0, "Enter an address."), mark(2, 3, "Nothing here."), mark(4, 0, "Empty row.")];
        let written = copied(&book.save_to_buffer().unwrap(), &marks);
        let mut read = Xlsx::new(Cursor::new(&written)).unwrap();
        assert_eq!(read.sheet_names(), ["Notes", "People"]);
        let range = read.worksheet_range("People").unwrap();
        assert_eq!(range.get_value((1, 0)), Some(&Data::String("=1+1".to_owned())));
        assert_eq!(range.get_value((1, 1)), Some(&Data::Float(612_345_678.0)));
        assert!(matches!(range.get_value((1, 2)), Some(Data::DateTime(_))));
        assert!(!part(&written, "xl/worksheets/sheet2.xml").contains("<f>"));
        let notes = part(&written, "xl/comments1.xml");
        for (cell, note) in [("A2", "Enter an address."), ("D2", "Nothing here."), ("A4", "Empty row.")] {
            assert!(notes.contains(&format!("ref=\"{cell}\"")) && notes.contains(note), "{cell}: {notes}");
        }
        assert!(part(&written, "xl/styles.xml").contains("FFFFC7CE"));
    }

    #[test]
    fn comma_separated_values_become_text_in_a_workbook() {
        let written = copied("email;phone\nnobody;0612\n'=1+1;\n".as_bytes(), &[mark(2, 0, "Wrong.")]);
        let mut read = Xlsx::new(Cursor::new(&written)).unwrap();
        let range = read.worksheet_range(SHEET).unwrap();
        let texts: Vec<Vec<String>> = range.rows().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(texts, [["email", "phone"], ["nobody", "0612"], ["=1+1", ""]]);
        assert!(!part(&written, "xl/worksheets/sheet1.xml").contains("<f>"));
    }
}
