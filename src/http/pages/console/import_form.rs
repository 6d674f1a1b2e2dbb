//! The form of a dry run: the meaning of each heading and of its words, and the key.

use super::StaffForm;
use crate::domain::import::spreadsheet::ImportOptions;
use crate::domain::import::spreadsheet::columns::Target;
use crate::domain::import::spreadsheet::inspection::InspectedColumn;
use crate::domain::import::spreadsheet::mapping::{MappedColumn, Mapping, MatchBy, Word};
use crate::error::{Code, Refusal, Result};
use crate::texts::Text;
use crate::tools::sheet::read::MAX_COLUMNS;

/// A column of the sheet in the form.
pub(super) struct ColumnField {
    /// Its number, which its fields are named by.
    pub(super) index: usize,
    /// Its heading.
    pub(super) heading: String,
    /// Samples of its values.
    pub(super) samples: String,
    /// The column that it stands for; empty if it is ignored.
    pub(super) target: &'static str,
    /// Its words with their values, a line each.
    pub(super) words: String,
}

impl ColumnField {
    /// The field of a column with its suggested meaning.
    pub(super) fn of((index, column): (usize, InspectedColumn)) -> Self {
        let InspectedColumn { suggested: MappedColumn { heading, target, words }, samples, .. } = column;
        let line = |Word { word, value }: Word| format!("{word} = {value}");
        Self {
            index,
            heading,
            samples: samples.join(", "),
            target: target.map_or("", Target::name),
            words: words.into_iter().map(line).collect::<Vec<_>>().join("\n"),
        }
    }

    /// Keeps what a form says about the column.
    pub(super) fn keep(&mut self, form: Option<&StaffForm>) {
        let Some(form) = form.filter(|form| form.given(&format!("heading-{}", self.index)).is_some()) else { return };
        let target = form.field(&format!("target-{}", self.index));
        self.target = Target::ALL.into_iter().map(Target::name).find(|name| *name == target).unwrap_or_default();
        self.words = super::fields::plain(form.field(&format!("words-{}", self.index)));
    }

    /// The options with their labels, the first to ignore the column.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(super) fn targets(&self) -> Vec<(&'static str, Text)> {
        let ignored = ("", Text::new("console-import-ignore"));
        [ignored].into_iter().chain(Target::ALL.map(|target| (target.name(), label(target)))).collect()
    }
}

/// Label of a column.
pub(super) fn label(target: Target) -> Text {
    match target {
        Target::Email => Text::new("console-label-email"),
        Target::Username => Text::new("console-label-username"),
        Target::FirstName => Text::new("console-label-first-name"),
        Target::LastName => Text::new("console-label-last-name"),
        Target::Bio => Text::new("console-label-bio"),
        Target::Phone => Text::new("console-label-phone"),
        Target::Address => Text::new("console-label-address"),
        Target::Role => Text::new("console-label-role"),
        Target::Permission => Text::new("console-label-permission"),
        Target::IsActive => Text::new("console-label-active"),
        Target::ExternalId => Text::new("console-label-external-id"),
    }
}

/// Keys of a match.
pub(super) const KEYS: [MatchBy; 3] = [MatchBy::Email, MatchBy::Username, MatchBy::ExternalId];

/// Value and label of a key.
pub(super) fn match_by(key: MatchBy) -> (&'static str, Text) {
    (key.target().name(), label(key.target()))
}

/// The options in a form.
///
/// # Errors
/// [`Code::Invalid`] for a line of words without a value.
pub(super) fn options(form: &StaffForm) -> Result<ImportOptions> {
    let mut columns = Vec::new();
    for index in 0..MAX_COLUMNS {
        let Some(heading) = form.given(&format!("heading-{index}")) else { break };
        let target = form.field(&format!("target-{index}"));
        let lines = form.field(&format!("words-{index}")).lines().filter(|line| !line.trim().is_empty());
        columns.push(MappedColumn {
            heading: heading.to_owned(),
            target: Target::ALL.into_iter().find(|known| known.name() == target),
            words: lines.map(word).collect::<Result<_>>()?,
        });
    }
    let key = form.field("matchBy");
    Ok(ImportOptions {
        mapping: Mapping { columns },
        match_by: KEYS.into_iter().find(|known| known.target().name() == key).unwrap_or_default(),
        send_welcome: form.field("sendWelcome") == "true",
    })
}

/// A word and its value in a line.
fn word(line: &str) -> Result<Word> {
    let Some((word, value)) = line.rsplit_once('=') else {
        let refusal = Refusal::new(Code::Invalid, "console-import-word-line").with("line", line.trim().to_owned());
        return Err(refusal.of("mapping").into());
    };
    Ok(Word { word: word.trim().to_owned(), value: value.trim().to_owned() })
}
