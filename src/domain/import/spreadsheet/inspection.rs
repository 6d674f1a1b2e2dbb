//! Inspection of a sheet before its import: its headings with samples of their cells, and a suggested mapping.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Importer;
use super::columns::Target;
use super::mapping::{MappedColumn, Mapping, MatchBy, Word, folded, shown};
use super::synonyms;
use crate::error::{Error, Result};
use crate::tools::sheet::Content;
use crate::tools::sheet::read::{SheetRow, Sheets};
use crate::tools::text;

/// Number of samples of a column.
const SAMPLES: usize = 3;

/// Maximum number of different values of a column that are listed. A column with more has no words to map.
const MAX_VALUES: usize = 20;

/// Headings by which the worksheet to inspect is found.
const ADDRESSES: [&str; 6] = ["email", "e-mail", "mail", "e-mail-adresse", "courriel", "correo"];

/// A sheet as it was uploaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// Its columns that have a heading, in their order.
    pub columns: Vec<InspectedColumn>,
    /// The number of rows below the heading.
    pub rows: u64,
    /// The sheet that was read, and others.
    pub sheets: Sheets,
    /// True if the meanings are those of an earlier import with the same headings.
    pub is_remembered: bool,
    /// The key of the earlier import, or the address.
    #[serde(skip)]
    pub match_by: MatchBy,
}

/// A column of an inspected sheet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectedColumn {
    /// The heading with its suggested meaning.
    pub suggested: MappedColumn,
    /// The first different values of the column.
    pub samples: Vec<String>,
    /// All different values, if there are at most 20; otherwise none.
    pub values: Vec<String>,
}

impl Inspection {
    /// The suggested mapping.
    pub fn mapping(&self) -> Mapping {
        Mapping { columns: self.columns.iter().map(|column| column.suggested.clone()).collect() }
    }

    /// The same sheet with the mapping of an earlier import.
    #[must_use]
    pub fn with(mut self, mapping: &Mapping, match_by: MatchBy) -> Self {
        for column in &mut self.columns {
            if let Some(known) = mapping.of(&column.suggested.heading) {
                column.suggested = MappedColumn { heading: column.suggested.heading.clone(), ..known.clone() };
            }
        }
        Self { is_remembered: true, match_by, ..self }
    }
}

/// A column while the sheet is read.
#[derive(Debug, Default)]
struct Seen {
    place: usize,
    heading: String,
    /// The values as compared, and one more than are listed if there are many.
    known: BTreeSet<String>,
    values: Vec<String>,
}

impl Seen {
    fn add(&mut self, cell: &str) {
        let value = shown(text::trim(cell));
        if self.known.len() <= MAX_VALUES && !value.is_empty() && self.known.insert(folded(&value)) {
            self.values.push(value);
        }
    }
}

/// Reads a sheet and suggests a mapping of its headings.
///
/// # Errors
/// [`crate::error::Code::FileTooLarge`] and [`crate::error::Code::FileUnsupported`] of the field `file`.
pub(super) async fn inspect(importer: &Importer, file: impl AsRef<[u8]> + Send + 'static) -> Result<Inspection> {
    let mut pages = importer.reader.open(file, &ADDRESSES.map(str::to_owned))?;
    let (mut columns, mut rows, mut sheets) = (None, 0, Sheets::default());
    while let Some(page) = pages.next().await? {
        let read = tokio::task::spawn_blocking(move || {
            match page.content()? {
                Content::Rows(page) => page.iter().for_each(|row| add(&mut columns, &mut rows, row)),
                Content::Sheets(read) => sheets = read,
            }
            Ok::<_, Error>((columns, rows, sheets))
        });
        (columns, rows, sheets) = read.await.map_err(Error::internal)??;
    }
    Ok(Inspection { columns: suggest(columns.unwrap_or_default()), rows, sheets, ..Inspection::default() })
}

fn add(columns: &mut Option<Vec<Seen>>, rows: &mut u64, row: &SheetRow) {
    let Some(columns) = columns else {
        let headings = row.cells.iter().enumerate().map(|(place, cell)| (place, text::trim(cell)));
        let named = headings.filter(|(_, heading)| !heading.is_empty());
        let seen = |(place, heading): (usize, &str)| Seen { place, heading: heading.to_owned(), ..Seen::default() };
        *columns = Some(named.map(seen).collect());
        return;
    };
    *rows += 1;
    for column in columns {
        if let Some(cell) = row.cells.get(column.place) {
            column.add(cell);
        }
    }
}

/// The columns with suggestions: each target goes to the heading that resembles it most, the first of equal ones.
fn suggest(columns: Vec<Seen>) -> Vec<InspectedColumn> {
    let mut scored: Vec<(u32, usize, Target)> = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        scored.extend(Target::ALL.map(|target| (synonyms::score(&column.heading, target), place, target)));
    }
    scored.retain(|(score, ..)| *score > 0);
    scored.sort_by_key(|(score, place, _)| (std::cmp::Reverse(*score), *place));
    let mut targets: Vec<Option<Target>> = vec![None; columns.len()];
    for (_, place, target) in scored {
        let is_free = !targets.contains(&Some(target));
        if let Some(slot) = targets.get_mut(place).filter(|slot| slot.is_none() && is_free) {
            *slot = Some(target);
        }
    }
    let inspected = columns.into_iter().zip(targets).map(|(column, target)| {
        let Seen { heading, mut values, .. } = column;
        let samples = values.iter().take(SAMPLES).cloned().collect();
        if values.len() > MAX_VALUES {
            values.clear();
        }
        let meant = |word: &String| Some((word.clone(), synonyms::value(target?, word)?));
        let words = values.iter().filter_map(meant).map(|(word, value)| Word { word, value: value.to_owned() });
        InspectedColumn { suggested: MappedColumn { heading, target, words: words.collect() }, samples, values }
    });
    inspected.collect()
}
