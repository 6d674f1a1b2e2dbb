//! Writing of workbooks (Office Open XML), row by row.

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use rust_xlsxwriter::{
    DataValidation, DocProperties, ExcelDateTime, Format, IgnoreError, Workbook, Worksheet, XlsxError,
};

use super::Row;
use crate::error::{Error, Result};
use crate::tools::clock::Timestamp;
use crate::tools::secret_file;

/// Maximum length of a cell of a workbook, in characters.
pub(super) const MAX_CELL: usize = 32_767;

/// Maximum number of rows of a sheet.
const MAX_ROWS: u32 = 1_048_576;

/// Number of the text format (ISO/IEC 29500-1, 18.8.30).
const TEXT: u8 = 49;

/// The same format by its code.
pub(super) const TEXT_FORMAT: &str = "@";

/// Width of columns, in characters.
pub(super) const WIDTH: f64 = 18.0;

/// Width of columns of long texts, in characters.
const WIDE: f64 = 36.0;

/// Format of times, which are in UTC.
const TIME: &str = "yyyy-mm-dd hh:mm:ss";

/// Width of the column of sentences in the explanations, in characters.
const SENTENCE_WIDTH: f64 = 80.0;

/// A column of a workbook.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Its heading.
    pub name: &'a str,
    /// The values offered and accepted by spreadsheet programs; empty if any text is accepted.
    pub values: &'a [&'a str],
    /// True for times in RFC 3339, which become dates of spreadsheet programs.
    pub is_time: bool,
    /// True for long texts.
    pub is_wide: bool,
}

/// The layout of a workbook.
#[derive(Clone, Debug)]
pub struct Layout<'a> {
    /// The name of the sheet of rows.
    pub name: &'a str,
    /// Its columns.
    pub columns: Vec<Column<'a>>,
    /// The rows of another sheet named `Columns`, heading first; without rows, the sheet is omitted.
    pub explanations: Vec<[String; 4]>,
}

/// Writes a workbook (Office Open XML) into a file in this folder and returns the file, positioned at its start. All
/// columns but times have the text format, so that spreadsheet programs keep leading zeros and plus signs. So do single
/// cells, except those that begin with a letter.
///
/// Only one page of rows is in memory at a time: cells go to a second file first. Neither file has a name, so both
/// disappear when they are closed or the process ends. This is slow and must not run on an asynchronous thread.
///
/// # Errors
/// [`Error::Internal`] if the folder is not writable.
pub fn workbook(
    folder: &Path,
    at: Timestamp,
    layout: &Layout<'_>,
    pages: impl IntoIterator<Item = Vec<Row>>,
) -> Result<File> {
    write(folder, at, layout, pages, MAX_ROWS).map_err(Error::internal)
}

fn write(
    folder: &Path,
    at: Timestamp,
    layout: &Layout<'_>,
    pages: impl IntoIterator<Item = Vec<Row>>,
    max_rows: u32,
) -> Result<File, XlsxError> {
    secret_file::make_folder(folder)?;
    let mut workbook = Workbook::new();
    workbook.set_tempdir(folder)?;
    let created = DocProperties::new().set_creation_datetime(&ExcelDateTime::from_timestamp(at.seconds())?);
    workbook.set_properties(&created);
    let text = Format::new().set_num_format_index(TEXT);
    let time = Format::new().set_num_format(TIME);
    let (mut sheets, mut row) = (0, max_rows);
    for cells in std::iter::once(Vec::new()).chain(pages.into_iter().flatten()) {
        if row == max_rows {
            sheets += 1;
            row = 1;
            let sheet = workbook.add_worksheet_with_constant_memory()?;
            let Layout { name, .. } = layout;
            sheet.set_name(if sheets == 1 { (*name).to_owned() } else { format!("{name} {sheets}") })?;
            begin(sheet, &layout.columns, (&text, &time), max_rows)?;
        }
        if cells.is_empty() {
            continue;
        }
        let sheet = workbook.worksheet_from_index(sheets - 1)?;
        for (column, cell) in (0..).zip(&cells) {
            let end = cell.char_indices().nth(MAX_CELL).map_or(cell.len(), |(end, _)| end);
            let cell = &cell[..end];
            let is_time = layout.columns.get(usize::from(column)).is_some_and(|column| column.is_time);
            if let Some(at) = Timestamp::parse(cell).filter(|_| is_time) {
                let at = ExcelDateTime::from_timestamp(at.seconds())?;
                sheet.write_datetime_with_format(row, column, at, &time)?;
                continue;
            }
            // Empty cells have the format of their column. Finding a format costs as much as writing the cell.
            match cell.chars().next() {
                Some(first) if first.is_alphabetic() => sheet.write_string(row, column, cell)?,
                Some(_) => sheet.write_string_with_format(row, column, cell, &text)?,
                None => continue,
            };
        }
        row += 1;
    }
    if !layout.explanations.is_empty() {
        explain(workbook.add_worksheet(), &layout.explanations)?;
    }
    let mut file = BufWriter::new(tempfile::tempfile_in(folder)?);
    workbook.save_to_writer(&mut file)?;
    file.flush()?;
    let mut file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// Sets up the columns of a sheet, and writes its frozen heading.
fn begin(
    sheet: &mut Worksheet,
    columns: &[Column<'_>],
    (text, time): (&Format, &Format),
    max_rows: u32,
) -> Result<(), XlsxError> {
    let heading = text.clone().set_bold();
    sheet.set_freeze_panes(1, 0)?;
    for (place, column) in (0..).zip(columns) {
        let width = if column.is_wide { WIDE } else { WIDTH };
        sheet.set_column_format(place, if column.is_time { time } else { text })?.set_column_width(place, width)?;
        sheet.write_string_with_format(0, place, column.name, &heading)?;
        // Programs mark numbers stored as text as errors, and offer to drop their leading zeros.
        sheet.ignore_error_range(1, place, max_rows - 1, place, IgnoreError::NumberStoredAsText)?;
        if !column.values.is_empty() {
            let offered = DataValidation::new()
                .allow_list_strings(column.values)?
                .set_error_title("Not a value of this column")?
                .set_error_message(format!("Use one of: {}.", column.values.join(", ")))?;
            sheet.add_data_validation(1, place, max_rows - 1, place, &offered)?;
        }
    }
    Ok(())
}

fn explain(sheet: &mut Worksheet, rows: &[[String; 4]]) -> Result<(), XlsxError> {
    sheet.set_name("Columns")?.set_freeze_panes(1, 0)?;
    let (plain, bold) = (Format::new().set_text_wrap(), Format::new().set_bold());
    for (row, cells) in (0..).zip(rows) {
        for (column, cell) in (0..).zip(cells) {
            sheet.write_string_with_format(row, column, cell, if row == 0 { &bold } else { &plain })?;
        }
    }
    for (column, width) in (0..).zip([WIDTH, SENTENCE_WIDTH, 2.0 * WIDTH, 2.0 * WIDTH]) {
        sheet.set_column_width(column, width)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::{Data, Reader as _, Xlsx};

    const AT: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn sheets(columns: &[&str], pages: Vec<Vec<Row>>, max_rows: u32) -> Vec<(String, Vec<Vec<Data>>)> {
        let folder = tempfile::TempDir::new().unwrap();
        let columns =
            columns.iter().map(|name| Column { name, values: &[], is_time: *name == "time", is_wide: false }).collect();
        let layout = Layout { name: "Users", columns, explanations: Vec::new() };
        let file = write(folder.path(), AT, &layout, pages, max_rows).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut book = Xlsx::new(std::io::BufReader::new(file)).unwrap();
        let rows = |range: calamine::Range<Data>| range.rows().map(<[Data]>::to_vec).collect();
        book.worksheets().into_iter().map(|(name, range)| (name, rows(range))).collect()
    }

    fn text(text: &str) -> Data {
        Data::String(text.to_owned())
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
    fn times_are_dates_of_spreadsheet_programs() {
        let rows = vec![vec!["2026-01-05T09:30:00.000Z".to_owned()], vec!["later".to_owned()]];
        let sheets = sheets(&["time"], vec![rows], 10);
        let Data::DateTime(time) = &sheets[0].1[1][0] else { panic!("{:?}", sheets[0].1) };
        assert_eq!(time.to_ymd_hms_milli(), (2026, 1, 5, 9, 30, 0, 0));
        assert_eq!(sheets[0].1[2][0], text("later"));
    }

    #[test]
    fn a_cell_is_cut_where_a_workbook_holds_no_more() {
        let long = "é".repeat(MAX_CELL + 1);
        let sheets = sheets(&["a"], vec![vec![vec![long]]], 10);
        assert_eq!(sheets[0].1[1][0], text(&"é".repeat(MAX_CELL)));
    }

    #[test]
    fn what_is_typed_into_the_sheet_stays_text() {
        let folder = tempfile::TempDir::new().unwrap();
        let columns = [("phone", &[][..]), ("role", &["ADMIN", "MEMBER"])].map(|(name, values)| Column {
            name,
            values,
            is_time: false,
            is_wide: false,
        });
        let columns = columns.to_vec();
        let layout = Layout { name: "Users", columns, explanations: vec![["a", "b", "c", "d"].map(str::to_owned)] };
        let file = write(folder.path(), AT, &layout, [vec![vec!["007".to_owned(), String::new()]]], MAX_ROWS).unwrap();
        let mut archive = zip::ZipArchive::new(file).unwrap();
        let mut part = |name: &str| std::io::read_to_string(archive.by_name(name).unwrap()).unwrap();
        let sheet = part("xl/worksheets/sheet1.xml");
        let (columns, rows) = sheet.split_once("<sheetData>").unwrap();
        let style = |text: &str, start: &str| -> usize {
            let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}"));
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let formats = part("xl/styles.xml");
        let (_, formats) = formats.split_once("<cellXfs").unwrap();
        let is_text =
            |style: usize| formats.split("<xf ").nth(style + 1).unwrap().contains(&format!("numFmtId=\"{TEXT}\""));
        for style in
            [style(columns, "<col min=\"1\" max=\"2\" width=\"18.7109375\" style=\""), style(rows, "r=\"A2\" s=\"")]
        {
            assert!(is_text(style), "{style} in {formats}");
        }
        assert!(columns.contains("<pane ySplit=\"1\"") && columns.contains("state=\"frozen\""), "{columns}");
        assert!(rows.contains("<dataValidation type=\"list\"") && rows.contains("sqref=\"B2:B1048576\""), "{rows}");
        assert!(rows.contains("<formula1>\"ADMIN,MEMBER\"</formula1>"), "{rows}");
        assert!(part("xl/workbook.xml").contains("name=\"Columns\""));
    }
}
