//! Tables of a screen, for `console/table.html`.

use super::time::Time;
use crate::texts::Text;

/// A table with its heading.
pub(super) struct Table {
    /// Its id on the page.
    pub(super) id: &'static str,
    /// Its heading.
    pub(super) title: Text,
    /// Text instead of a table without rows.
    pub(super) empty: Text,
    /// Headings of the columns.
    pub(super) columns: Vec<Text>,
    /// The rows.
    pub(super) rows: Vec<Vec<Cell>>,
    /// An action on all rows: path on this service, and label.
    pub(super) action: Option<(String, Text)>,
}

/// A cell of a table.
pub(super) enum Cell {
    /// A text.
    Plain(String),
    /// A time; a dash without one.
    At(Option<Time>),
    /// A text with a link to this path on this service.
    Linked(String, String),
    /// A state: its kind for the stylesheet, and its label.
    State(&'static str, String),
    /// An action: path on this service, label, and the row that it concerns, for screen readers.
    Action(String, Text, String),
}

impl Table {
    /// An empty table.
    pub(super) fn new(id: &'static str, title: Text, empty: Text, columns: Vec<Text>) -> Self {
        Self { id, title, empty, columns, rows: Vec::new(), action: None }
    }

    /// The same with these rows.
    pub(super) fn with_rows(self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        Self { rows: rows.into_iter().collect(), ..self }
    }

    /// The heading of a column.
    pub(super) fn column(&self, index: usize) -> String {
        self.columns.get(index).map(Text::english).unwrap_or_default()
    }
}
