//! ZIP archives of files that are written part by part.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;

use time::OffsetDateTime;
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipWriter};

use super::clock::Timestamp;
use super::secret_file;
use crate::error::{Error, Result};

/// A part of a file in an archive. Parts of one file follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Name of the file.
    pub file: String,
    /// Bytes to append.
    pub bytes: Vec<u8>,
}

/// Writes an archive into an unnamed file in this folder. Its files have this time.
///
/// # Errors
/// [`Error::Internal`] if the folder is not writable.
pub fn write(folder: &Path, at: Timestamp, parts: impl IntoIterator<Item = Part>) -> Result<File> {
    secret_file::make_folder(folder).map_err(Error::internal)?;
    let mut archive = ZipWriter::new(tempfile::tempfile_in(folder).map_err(Error::internal)?);
    let options = SimpleFileOptions::default().last_modified_time(modified(at)).unix_permissions(0o600);
    let mut current = None;
    for Part { file, bytes } in parts {
        if current.as_ref() != Some(&file) {
            archive.start_file(file.as_str(), options).map_err(Error::internal)?;
            current = Some(file);
        }
        archive.write_all(&bytes).map_err(Error::internal)?;
    }
    let mut file = archive.finish().map_err(Error::internal)?;
    file.rewind().map_err(Error::internal)?;
    Ok(file)
}

/// The time in UTC, to two seconds; archives know no earlier year than 1980.
fn modified(at: Timestamp) -> DateTime {
    let time = OffsetDateTime::from_unix_timestamp(at.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let year = u16::try_from(time.year()).unwrap_or_default();
    let (month, day) = (time.month().into(), time.day());
    DateTime::from_date_and_time(year, month, day, time.hour(), time.minute(), time.second()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn parts_of_a_file_are_joined() {
        let folder = tempfile::tempdir().unwrap();
        let part = |file: &str, bytes: &[u8]| Part { file: file.to_owned(), bytes: bytes.to_vec() };
        let parts = [part("a.json", b"[1"), part("a.json", b",2]"), part("b.json", b"{}")];
        let file = write(folder.path(), Timestamp::from_millis(1_795_253_400_042), parts).unwrap();
        let mut archive = zip::ZipArchive::new(file).unwrap();
        assert_eq!(archive.file_names().map(Result::unwrap).collect::<Vec<_>>(), ["a.json", "b.json"]);
        let mut text = String::new();
        let mut entry = archive.by_name("a.json").unwrap();
        assert_eq!(entry.last_modified().unwrap().to_string(), "2026-11-21 09:30:00");
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(text, "[1,2]");
    }
}
