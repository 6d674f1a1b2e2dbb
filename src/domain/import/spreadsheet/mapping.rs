//! Mapping of a sheet's own headings and words to columns and values, and the key by which rows match accounts.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::columns::Target;
pub use crate::entity::import_job::MatchBy;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::sheet::read::MAX_COLUMNS;
use crate::tools::text;

/// Maximum number of words of a column.
const MAX_WORDS: usize = 200;

/// Maximum length of a heading, a word or a value, in characters.
const MAX_TEXT: usize = 200;

impl MatchBy {
    /// Its column.
    pub fn target(self) -> Target {
        match self {
            Self::Email => Target::Email,
            Self::Username => Target::Username,
            Self::ExternalId => Target::ExternalId,
        }
    }
}

/// The meaning of a sheet's own headings. Other headings keep the meaning of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The headings.
    pub columns: Vec<MappedColumn>,
}

/// A heading of a sheet and its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedColumn {
    /// The heading.
    pub heading: String,
    /// The column that it stands for; none to ignore its cells.
    pub target: Option<Target>,
    /// The words of its cells that stand for other values.
    #[serde(default)]
    pub words: Vec<Word>,
}

/// A word of a sheet and the value that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// The word, in any case.
    pub word: String,
    /// The value; empty for an empty cell.
    pub value: String,
}

/// A heading or a word as compared.
pub(super) fn folded(text: &str) -> String {
    text::trim(text).to_lowercase()
}

impl Mapping {
    /// Checks the mapping before a file is read.
    ///
    /// # Errors
    /// [`Code::Invalid`], [`Code::Required`] and [`Code::TooLong`] of the field `mapping`.
    pub fn check(&self) -> Result<()> {
        self.checked().map_err(|refusal| Error::from(refusal.of("mapping")))
    }

    fn checked(&self) -> Result<(), Refusal> {
        if self.columns.len() > MAX_COLUMNS {
            return Err(Refusal::new(Code::TooLong, "mapping-too-many-columns").with("max", MAX_COLUMNS));
        }
        let (mut headings, mut targets) = (Vec::new(), Vec::new());
        for MappedColumn { heading, target, words } in &self.columns {
            let own = folded(heading);
            if own.is_empty() {
                return Err(Refusal::new(Code::Required, "mapping-heading-empty"));
            }
            let texts = words.iter().flat_map(|word| [&word.word, &word.value]);
            if words.len() > MAX_WORDS || texts.chain([heading]).any(|text| text.chars().count() > MAX_TEXT) {
                let refusal = Refusal::new(Code::TooLong, "mapping-too-long").with("heading", shown(heading));
                return Err(refusal.with("words", MAX_WORDS).with("characters", MAX_TEXT));
            }
            if headings.contains(&own) {
                return Err(Refusal::new(Code::Invalid, "mapping-heading-repeated").with("heading", shown(heading)));
            }
            headings.push(own);
            let Some(target) = target else { continue };
            if targets.contains(target) {
                return Err(Refusal::new(Code::Invalid, "mapping-target-repeated").with("column", target.name()));
            }
            targets.push(*target);
            let values = target.values();
            let is_known = |word: &&Word| word.value.is_empty() || values.contains(&word.value.as_str());
            if let Some(unknown) = words.iter().find(|word| !values.is_empty() && !is_known(word)) {
                let refusal = Refusal::new(Code::Invalid, "mapping-value-unknown").with("word", shown(&unknown.word));
                return Err(refusal.with("values", values.join(", ")));
            }
        }
        Ok(())
    }

    /// The mapped column of a heading.
    pub(super) fn of(&self, heading: &str) -> Option<&MappedColumn> {
        let heading = folded(heading);
        self.columns.iter().find(|column| folded(&column.heading) == heading)
    }

    /// The headings that stand for a column, its own name included: they identify the worksheet to read.
    pub(super) fn headings_of(&self, target: Target) -> Vec<String> {
        let mapped = self.columns.iter().filter(|column| column.target == Some(target));
        let mapped = mapped.map(|column| text::trim(&column.heading).to_owned());
        // Arguments of a process cannot contain NUL.
        mapped.filter(|heading| !heading.contains('\0')).chain([target.name().to_owned()]).collect()
    }
}

impl MappedColumn {
    /// The values of its words, by the words as compared.
    pub(super) fn values(&self) -> HashMap<String, String> {
        self.words.iter().map(|word| (folded(&word.word), word.value.clone())).collect()
    }
}

/// A text in an error: shortened, without control characters.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(super::MAX_SHOWN).collect()
}
