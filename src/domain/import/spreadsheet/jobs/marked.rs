//! The uploaded file with its faulty cells marked.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use uuid::Uuid;

use super::{Jobs, file_gone, missing, options, own};
use crate::domain::auth::identity::Staff;
use crate::domain::import::spreadsheet::problems::{Problems, RowError};
use crate::error::{Code, Refusal, Result};
use crate::texts::Text;
use crate::tools::clock::Now;
use crate::tools::sheet::Mark;

impl Jobs {
    /// The file of an import as a workbook, in which each faulty cell has a colour and a note with its errors. The
    /// folder is for temporary files.
    ///
    /// # Errors
    /// [`crate::error::Error::Forbidden`] for an API token; [`Code::NotFound`] of `id` if the import is unknown, of
    /// another user, or its file was deleted; [`Code::Invalid`] if it has no errors.
    pub async fn marked(&self, now: &Now, staff: Staff<'_>, id: &str, folder: &Path) -> Result<File> {
        staff.session_user()?;
        let id = Uuid::parse_str(id).map_err(|_| missing())?;
        let job = own(staff, id).one(self.db.reader()).await?.ok_or_else(missing)?;
        let kept = self.kept(now, staff, &job).await?.ok_or_else(file_gone)?;
        let file = self.unseal(id, "file", &kept.file).filter(|file| !file.is_empty()).ok_or_else(file_gone)?;
        let report = self.open_report(kept).await?.unwrap_or_default();
        if report.problems.total == 0 {
            return Err(Refusal::new(Code::Invalid, "import-without-errors").of("id").into());
        }
        let options = options(&job)?;
        let headings = options.mapping.headings_of(options.match_by.target());
        self.importer.reader.mark(file, &headings, &marks(&report.problems), folder).await
    }
}

/// The marks of these errors, one for each cell. An error without a cell is at the start of its row.
fn marks(problems: &Problems) -> Vec<Mark> {
    let mut notes: BTreeMap<(u32, u16), Vec<String>> = BTreeMap::new();
    for error in &problems.list {
        let place = error.place.and_then(|place| u16::try_from(place).ok()).unwrap_or_default();
        notes.entry((error.row, place)).or_default().push(note(error));
    }
    let listed = problems.list.len() as u64;
    if let (true, Some(first)) = (problems.total > listed, notes.values_mut().next()) {
        first.push(Text::new("import-more-errors").with("more", problems.total - listed).english());
    }
    notes.into_iter().map(|((row, column), notes)| Mark { row, column, note: notes.join("\n") }).collect()
}

/// The text of an error, with the column that the sheet does not have.
fn note(error: &RowError) -> String {
    match &error.column {
        Some(column) if error.place.is_none() => format!("{column}: {}", error.message),
        _ => error.message.clone(),
    }
}
