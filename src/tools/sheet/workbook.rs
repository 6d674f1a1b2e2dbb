//! Reading of workbooks (Office Open XML), inspected before they are parsed.

use std::borrow::Cow;
use std::io::{Cursor, Read as _};

use calamine::{DataRef, ExcelDateTime, Reader as _, SheetType, SheetVisible, Xlsx};
use zip::ZipArchive;

use super::number_format;
use super::read::{Fault, Rows, Sheets, damaged, too_large, unsupported};
use crate::error::Result;
use crate::tools::text;

/// Maximum number of files in the archive of a workbook.
const MAX_ENTRIES: usize = 200;

/// Maximum size of all inflated files together, in bytes.
const MAX_INFLATED: usize = 64 * 1024 * 1024;

/// Number of bytes inflated at a time.
const CHUNK: usize = 64 * 1024;

/// Start of a declaration of entities, which no parsed part may contain. Pictures may, because they are not parsed.
const DOCTYPE: &[u8] = b"<!DOCTYPE";

/// Maximum length of a reported name of a sheet, in characters. Spreadsheet programs allow 31.
const MAX_SHEET_NAME: usize = 40;

/// Maximum number of reported names of sheets.
const MAX_SHEETS: usize = 20;

type Book<'a> = Xlsx<Cursor<&'a [u8]>>;

/// Reads one sheet, cell by cell: the first visible one with one of these headings in its first row, or else the first
/// visible one.
pub(super) fn read(bytes: &[u8], headings: &[String], rows: &mut Rows<'_, '_>) -> Result<Sheets> {
    inspect(bytes)?;
    let mut book = Xlsx::new(Cursor::new(bytes)).map_err(|_| damaged())?;
    let (chosen, passed_over) = choose(&mut book, headings)?;
    let mut unfilled = unfilled(&mut book, &chosen)?.into_iter().peekable();
    let mut cells = book.worksheet_cells_reader(&chosen).map_err(|_| damaged())?;
    while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(|_| damaged())? {
        let (row, column) = cell.get_position();
        let format = || cells.styles().get(style)?.number_format.as_ref().map(|format| format.format_code.as_str());
        let number = |number: f64| format().and_then(|format| number_format::show(number, format));
        let (text, fault): (Cow<'_, str>, _) = match cell.get_value() {
            DataRef::Empty => (Cow::Borrowed(""), None),
            DataRef::SharedString(text) => ((*text).into(), None),
            DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => (text.into(), None),
            DataRef::Int(value) => (value.to_string().into(), None),
            // Whole numbers have no decimal point: 12, not 12.0.
            DataRef::Float(value) => (number(*value).unwrap_or_else(|| value.to_string()).into(), None),
            DataRef::Bool(value) => (value.to_string().into(), None),
            DataRef::DateTime(time) => (date(time).into(), None),
            DataRef::Error(error) => (error.to_string().into(), Some(Fault::Error)),
        };
        let is_unfilled = unfilled.next_if_eq(&(row, column)).is_some();
        let fault = if is_unfilled { Some(Fault::NoValue) } else { fault };
        rows.put(row, usize::try_from(column).unwrap_or(usize::MAX), text, fault)?;
    }
    Ok(Sheets { read: Some(shown(&chosen)), passed_over })
}

/// The sheet to read, and others with one of these headings, as they are reported.
pub(super) fn choose(book: &mut Book<'_>, headings: &[String]) -> Result<(String, Vec<String>)> {
    let names = worksheets(book);
    let Some(first) = names.first().cloned() else {
        return Err(unsupported("workbook-without-worksheet"));
    };
    let mut fitting = names.into_iter().filter(|name| has_heading(book, name, headings));
    let chosen = fitting.next().unwrap_or(first);
    Ok((chosen, fitting.take(MAX_SHEETS).map(|name| shown(&name)).collect()))
}

/// The visible worksheets, or the hidden ones if none is visible.
fn worksheets(book: &Book<'_>) -> Vec<String> {
    let all = || book.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let visible: Vec<_> = all().filter(|sheet| sheet.visible == SheetVisible::Visible).collect();
    let sheets = if visible.is_empty() { all().collect() } else { visible };
    sheets.into_iter().map(|sheet| sheet.name.clone()).collect()
}

/// True if the first row of a sheet that is not empty has a cell with one of these headings.
fn has_heading(book: &mut Book<'_>, sheet: &str, headings: &[String]) -> bool {
    let Ok(mut cells) = book.worksheet_cells_reader(sheet) else { return false };
    let mut first = None;
    while let Ok(Some(cell)) = cells.next_cell() {
        let (row, _) = cell.get_position();
        let text = match cell.get_value() {
            DataRef::Empty => continue,
            DataRef::SharedString(text) => text,
            DataRef::String(text) => text.as_str(),
            _ => "",
        };
        if *first.get_or_insert(row) != row {
            return false;
        }
        let text = text::trim(text).to_lowercase();
        if headings.iter().any(|heading| heading.to_lowercase() == text) {
            return true;
        }
    }
    false
}

/// The cells of a sheet whose formula was never calculated, so that their value is not in the file. They come from
/// programs that write workbooks without calculating formulas.
fn unfilled(book: &mut Book<'_>, sheet: &str) -> Result<Vec<(u32, u32)>> {
    let mut unfilled = Vec::new();
    let mut cells = book.worksheet_cells_reader(sheet).map_err(|_| damaged())?;
    while let Some(cell) = cells.next_cell_with_formula_metadata().map_err(|_| damaged())? {
        if cell.formula.is_some() && cell.value == DataRef::Empty {
            unfilled.push(cell.pos);
        }
    }
    Ok(unfilled)
}

/// The name of a sheet for reports: shortened, without control characters.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(MAX_SHEET_NAME).collect()
}

/// Inflates everything once and keeps nothing, because the sizes declared in an archive can be wrong.
pub(super) fn inspect(bytes: &[u8]) -> Result<()> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| damaged())?;
    if archive.len() > MAX_ENTRIES {
        return Err(too_large("workbook-too-many-parts"));
    }
    let (mut left, mut chunk) = (MAX_INFLATED, vec![0; CHUNK]);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|_| damaged())?;
        let is_markup = entry
            .name()
            .map_err(|_| damaged())?
            .rsplit_once('.')
            .is_some_and(|(_, end)| end.eq_ignore_ascii_case("xml") || end.eq_ignore_ascii_case("rels"));
        // Without zero bytes, UTF-16 looks like UTF-8.
        let mut tail: Vec<u8> = Vec::with_capacity(CHUNK + DOCTYPE.len());
        loop {
            let length = entry.read(&mut chunk).map_err(|_| damaged())?;
            let Some(read) = chunk.get(..length).filter(|read| !read.is_empty()) else { break };
            left = left.checked_sub(length).ok_or_else(|| too_large("workbook-too-large-unpacked"))?;
            if !is_markup {
                continue;
            }
            tail.extend(read.iter().filter(|byte| **byte != 0));
            if tail.windows(DOCTYPE.len()).any(|window| window == DOCTYPE) {
                return Err(unsupported("workbook-declares-entities"));
            }
            tail.drain(..tail.len().saturating_sub(DOCTYPE.len()));
        }
    }
    Ok(())
}

/// A date (ISO 8601), with the time unless it is midnight.
fn date(time: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
    match (hour, minute, second) {
        (0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::SheetRow;
    use super::*;
    use crate::error::{Code, Error};
    use rust_xlsxwriter::{Chart, ChartType, Format, Formula, Workbook};

    fn rows(bytes: &[u8]) -> Result<Vec<SheetRow>, Code> {
        read(bytes).map(|(rows, _)| rows)
    }

    fn read(bytes: &[u8]) -> Result<(Vec<SheetRow>, Sheets), Code> {
        let mut rows = Vec::new();
        let mut keep = |row| {
            rows.push(row);
            Ok(())
        };
        match super::super::read::read(bytes, &["email".to_owned()], &mut keep) {
            Ok(sheets) => Ok((rows, sheets)),
            Err(Error::Refused(refusals)) => Err(refusals[0].code),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn sample() -> Vec<u8> {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        sheet.write_row(0, 0, ["email", "phone"]).unwrap();
        sheet.write(1, 0, 12).unwrap().write(1, 1, 12.5).unwrap().write(1, 2, true).unwrap();
        sheet.write_with_format(3, 0, 46_027, &Format::new().set_num_format("yyyy-mm-dd")).unwrap();
        sheet.write_formula(3, 2, Formula::new("=NA()").set_result("#N/A")).unwrap();
        sheet.write_blank(200_000, 70, &Format::new().set_bold()).unwrap();
        book.add_worksheet().write(0, 0, "another sheet").unwrap();
        book.save_to_buffer().unwrap()
    }

    #[test]
    fn the_first_sheet_is_read_as_it_shows() {
        let row = |number, cells: &[&str], faults: &[(usize, Fault)]| SheetRow {
            number,
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
            faults: faults.to_vec(),
        };
        let expected = [
            row(1, &["email", "phone"], &[]),
            row(2, &["12", "12.5", "true"], &[]),
            row(4, &["2026-01-05", "", "#N/A"], &[(2, Fault::Error)]),
        ];
        assert_eq!(rows(&sample()).unwrap(), expected);
    }

    /// The refusal of an archive with these parts.
    fn refusal(parts: impl IntoIterator<Item = Vec<u8>>) -> String {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (number, content) in parts.into_iter().enumerate() {
            zip.start_file(format!("{number}.xml"), zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, &content).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        match super::super::read::read(&bytes, &["email".to_owned()], &mut |_| Ok(())) {
            Err(Error::Refused(refusals)) => refusals[0].message(),
            outcome => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn an_archive_is_looked_through_before_it_is_parsed() {
        assert!(refusal(vec![Vec::new(); MAX_ENTRIES]).contains("damaged"));
        assert!(refusal(vec![Vec::new(); MAX_ENTRIES + 1]).contains("too many parts"));
        assert!(refusal([vec![0; MAX_INFLATED]]).contains("damaged"));
        assert!(refusal([vec![0; MAX_INFLATED], vec![0]]).contains("too large when unpacked"));
        assert!(refusal([b"<!DOCTYPE a>".to_vec()]).contains("declares XML entities"));
        assert!(refusal([b"<\0!\0D\0O\0C\0T\0Y\0P\0E\0".to_vec()]).contains("declares XML entities"));
    }

    #[test]
    fn the_sheet_with_the_heading_is_read_and_others_of_its_kind_are_named() {
        let mut book = Workbook::new();
        let mut chart = Chart::new(ChartType::Pie);
        chart.add_series().set_values("Notes!$A$1:$A$1");
        book.add_chartsheet().set_name("Chart").unwrap().insert_chart(0, 0, &chart).unwrap();
        book.add_worksheet().set_name("Notes").unwrap().write(0, 0, "name").unwrap().write(1, 0, "email").unwrap();
        let hidden = book.add_worksheet().set_name("Hidden").unwrap().set_hidden(true);
        hidden.write(0, 0, "email").unwrap();
        for (name, text) in [("People", "a@x.example"), ("Old people", "b@x.example"), ("More", "c@x.example")] {
            let sheet = book.add_worksheet().set_name(name).unwrap();
            sheet.write(2, 1, " Email\u{200b}").unwrap().write(3, 1, text).unwrap();
        }
        let (rows, sheets) = read(&book.save_to_buffer().unwrap()).unwrap();
        assert_eq!(rows[1].cells, ["", "a@x.example"]);
        let passed_over = vec!["Old people".to_owned(), "More".to_owned()];
        assert_eq!(sheets, Sheets { read: Some("People".to_owned()), passed_over });
    }

    #[test]
    fn a_formula_without_a_value_is_no_empty_cell() {
        let sheet = "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>email</t></is></c></row><row r=\"2\">\
                     <c r=\"A2\"><f>A1</f><v/></c><c r=\"B2\"><f t=\"shared\" si=\"0\"/></c>\
                     <c r=\"C2\" t=\"str\"><f>\"\"</f><v></v></c><c r=\"D2\"><f>1</f><v>1</v></c><c r=\"E2\"/></row>";
        let rows = rows(&of_sheet(sheet)).unwrap();
        let faults = vec![(0, Fault::NoValue), (1, Fault::NoValue)];
        assert_eq!(rows[1], SheetRow { number: 2, cells: ["", "", "", "1"].map(str::to_owned).into(), faults });
    }

    /// A workbook of these rows of one sheet.
    fn of_sheet(rows: &str) -> Vec<u8> {
        let mut archive = ZipArchive::new(Cursor::new(sample())).unwrap();
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for index in 0..archive.len() {
            let entry = archive.by_index(index).unwrap();
            if entry.name().unwrap() != "xl/worksheets/sheet1.xml" {
                zip.raw_copy_file(entry).unwrap();
            }
        }
        let sheet = format!(
            "<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>{rows}</sheetData></worksheet>"
        );
        zip.start_file("xl/worksheets/sheet1.xml", zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, sheet.as_bytes()).unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn numbers_are_read_with_the_zeros_that_show() {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        sheet.write(0, 0, "email").unwrap();
        for (column, format) in [(0, "0000000000"), (1, "General"), (2, "#,##0.00")] {
            sheet.write_with_format(1, column, 612_345_678, &Format::new().set_num_format(format)).unwrap();
        }
        assert_eq!(rows(&book.save_to_buffer().unwrap()).unwrap()[1].cells, ["0612345678", "612345678", "612345678"]);
    }

    #[test]
    fn a_picture_may_declare_entities() {
        let mut zip = zip::ZipWriter::new_append(Cursor::new(sample())).unwrap();
        zip.start_file("xl/media/image1.svg", zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, b"<!DOCTYPE svg PUBLIC \"x\" \"y\"><svg/>").unwrap();
        assert!(rows(&zip.finish().unwrap().into_inner()).is_ok());
    }

    #[test]
    fn a_workbook_that_breaks_off_is_refused() {
        let whole = sample();
        for length in (4..whole.len()).step_by(97) {
            assert_eq!(rows(&whole[..length]), Err(Code::FileUnsupported), "{length}");
        }
    }
}
