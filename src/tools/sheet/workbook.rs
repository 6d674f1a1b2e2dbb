//! Workbooks (Office Open XML), looked through before they are parsed.

use std::io::{Cursor, Read as _};

use calamine::{DataRef, ExcelDateTime, Reader as _, Xlsx};
use zip::ZipArchive;

use super::read::{Rows, damaged, too_large, unsupported};
use crate::error::Result;

/// The most files in the archive that a workbook is.
const MAX_ENTRIES: usize = 200;

/// The most bytes of all its files together, when they are inflated.
const MAX_INFLATED: usize = 64 * 1024 * 1024;

/// How many bytes are inflated at a time.
const CHUNK: usize = 64 * 1024;

/// What no part of a workbook has: entities are declared there.
const DOCTYPE: &[u8] = b"<!DOCTYPE";

/// Reads the first sheet, cell by cell.
pub(super) fn read(bytes: &[u8], rows: &mut Rows<'_, '_>) -> Result<()> {
    inspect(bytes)?;
    let mut book = Xlsx::new(Cursor::new(bytes)).map_err(|_| damaged())?;
    let name = book.sheet_names().first().cloned().ok_or_else(damaged)?;
    let mut cells = book.worksheet_cells_reader(&name).map_err(|_| damaged())?;
    while let Some(cell) = cells.next_cell().map_err(|_| damaged())? {
        let (row, column) = cell.get_position();
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        match cell.get_value() {
            DataRef::Empty => {}
            DataRef::SharedString(text) => rows.put(row, column, (*text).into(), false)?,
            DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
                rows.put(row, column, text.into(), false)?;
            }
            DataRef::Int(number) => rows.put(row, column, number.to_string().into(), false)?,
            // Without a fraction there is none behind a point: 12, not 12.0.
            DataRef::Float(number) => rows.put(row, column, number.to_string().into(), false)?,
            DataRef::Bool(value) => rows.put(row, column, value.to_string().into(), false)?,
            DataRef::DateTime(time) => rows.put(row, column, date(time).into(), false)?,
            DataRef::Error(error) => rows.put(row, column, error.to_string().into(), true)?,
        }
    }
    Ok(())
}

/// Inflates everything once and keeps nothing, because sizes that an archive declares need not be true.
fn inspect(bytes: &[u8]) -> Result<()> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| damaged())?;
    if archive.len() > MAX_ENTRIES {
        return Err(too_large("The workbook is made of too many parts."));
    }
    let (mut left, mut chunk) = (MAX_INFLATED, vec![0; CHUNK]);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|_| damaged())?;
        // Without their zeros, texts in UTF-16 look like those in UTF-8.
        let mut tail: Vec<u8> = Vec::with_capacity(CHUNK + DOCTYPE.len());
        loop {
            let length = entry.read(&mut chunk).map_err(|_| damaged())?;
            let Some(read) = chunk.get(..length).filter(|read| !read.is_empty()) else { break };
            left =
                left.checked_sub(length).ok_or_else(|| too_large("The workbook is too large when it is unpacked."))?;
            tail.extend(read.iter().filter(|byte| **byte != 0));
            if tail.windows(DOCTYPE.len()).any(|window| window == DOCTYPE) {
                return Err(unsupported("The workbook declares entities, which none needs."));
            }
            tail.drain(..tail.len().saturating_sub(DOCTYPE.len()));
        }
    }
    Ok(())
}

/// A date as the standard has it (ISO 8601), with the time where there is one.
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
    use rust_xlsxwriter::{Format, Formula, Workbook};

    fn rows(bytes: &[u8]) -> Result<Vec<SheetRow>, Code> {
        let mut rows = Vec::new();
        let mut keep = |row| {
            rows.push(row);
            Ok(())
        };
        match super::super::read::read(bytes, &mut keep) {
            Ok(()) => Ok(rows),
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
        let row = |number, cells: &[&str], broken: &[usize]| SheetRow {
            number,
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
            broken: broken.to_vec(),
        };
        let expected = [
            row(1, &["email", "phone"], &[]),
            row(2, &["12", "12.5", "true"], &[]),
            row(4, &["2026-01-05", "", "#N/A"], &[2]),
        ];
        assert_eq!(rows(&sample()).unwrap(), expected);
    }

    /// What is said of an archive of these parts.
    fn refusal(parts: impl IntoIterator<Item = Vec<u8>>) -> String {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (number, content) in parts.into_iter().enumerate() {
            zip.start_file(number.to_string(), zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, &content).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        match super::super::read::read(&bytes, &mut |_| Ok(())) {
            Err(Error::Refused(refusals)) => refusals[0].message.clone(),
            outcome => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn an_archive_is_looked_through_before_it_is_parsed() {
        assert!(refusal(vec![Vec::new(); MAX_ENTRIES]).contains("damaged"));
        assert!(refusal(vec![Vec::new(); MAX_ENTRIES + 1]).contains("too many parts"));
        assert!(refusal([vec![0; MAX_INFLATED]]).contains("damaged"));
        assert!(refusal([vec![0; MAX_INFLATED], vec![0]]).contains("too large when it is unpacked"));
        assert!(refusal([b"<!DOCTYPE a>".to_vec()]).contains("declares entities"));
        assert!(refusal([b"<\0!\0D\0O\0C\0T\0Y\0P\0E\0".to_vec()]).contains("declares entities"));
    }

    #[test]
    fn a_workbook_that_breaks_off_is_refused() {
        let whole = sample();
        for length in (4..whole.len()).step_by(97) {
            assert_eq!(rows(&whole[..length]), Err(Code::FileUnsupported), "{length}");
        }
    }
}
