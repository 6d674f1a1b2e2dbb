//! Errors of a sheet: each with its cell and value, and their numbers by kind.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::columns::Target;
use super::mapping::shown;
use crate::error::{Code, Refusal};

/// Maximum number of errors that are kept with their cells, which bounds the memory of an import at about 50 MB. All
/// are counted. A sheet with more errors has one in nearly every row, which a summary by kind explains.
pub const MAX_KEPT: usize = 100_000;

/// An error of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowError {
    /// The row number in spreadsheet programs: from 1, including the heading.
    pub row: u32,
    /// The heading of the column; none if it is not a single one.
    pub column: Option<String>,
    /// The place of the column in the sheet, from 0; none if the sheet has no such column.
    pub place: Option<usize>,
    /// The violated rule.
    pub code: Code,
    /// The problem and its remedy.
    pub message: String,
    /// The wrong value, shortened; none if the cell is empty or missing.
    pub value: Option<String>,
    /// The row that has the value already.
    pub other_row: Option<u32>,
    /// The account that has the value already, if the importing party may see it.
    pub other_user: Option<Uuid>,
}

/// The number of errors of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorKind {
    /// The heading of the column; none if it is not a single one.
    pub column: Option<String>,
    /// The violated rule.
    pub code: Code,
    /// The id of the message.
    text: String,
    /// The message of the first such error.
    pub message: String,
    /// The row of the first such error.
    pub first_row: u32,
    /// The number of errors.
    pub count: u64,
}

/// All errors of a sheet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    /// The errors in the order of their rows; at most [`MAX_KEPT`].
    pub list: Vec<RowError>,
    /// Their kinds, the most frequent first.
    pub kinds: Vec<ErrorKind>,
    /// The number of all errors.
    pub total: u64,
}

/// The cell of an error, and what it collides with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault<'a> {
    row: u32,
    at: At<'a>,
    value: &'a str,
    other_row: Option<u32>,
    other_user: Option<Uuid>,
}

/// The column of an error.
#[derive(Clone, Copy, Debug)]
enum At<'a> {
    /// The column at this place of the sheet.
    Place(usize),
    /// The column at this place, by the heading as it is typed.
    Heading(usize, &'a str),
    /// A column of this name, wherever it is.
    Named(&'a str),
}

impl<'a> Fault<'a> {
    /// An error of a cell of the sheet.
    pub(super) fn at(row: u32, place: usize, value: &'a str) -> Self {
        Self { row, at: At::Place(place), value, other_row: None, other_user: None }
    }

    /// An error of a heading.
    pub(super) fn heading(row: u32, place: usize, heading: &'a str) -> Self {
        Self { at: At::Heading(place, heading), ..Self::at(row, place, heading) }
    }

    /// An error of the value for a target.
    pub(super) fn of(row: u32, target: Target, value: &'a str) -> Self {
        Self::named(row, target.name(), value)
    }

    /// An error of the column with this name.
    pub(super) fn named(row: u32, name: &'a str, value: &'a str) -> Self {
        Self { at: At::Named(name), ..Self::at(row, 0, value) }
    }

    /// The same with the row that it collides with.
    pub(super) fn against_row(self, row: u32) -> Self {
        Self { other_row: Some(row), ..self }
    }

    /// The same with the account that it collides with; none if it must not be shown.
    pub(super) fn against_user(self, user: Option<Uuid>) -> Self {
        Self { other_user: user, ..self }
    }
}

/// Errors while the sheet is read and matched.
#[derive(Debug, Default)]
pub(super) struct Errors {
    problems: Problems,
    /// The errors that were added: row, column and code.
    seen: HashSet<(u32, Option<usize>, Code)>,
    /// The name and the displayed heading of each column of the sheet; both empty for one without a heading.
    columns: Vec<(&'static str, String)>,
}

impl Errors {
    pub(super) fn is_empty(&self) -> bool {
        self.problems.total == 0
    }

    /// Adds the next column of the sheet.
    pub(super) fn add_column(&mut self, name: &'static str, heading: &str) {
        // The usual headings are reported by their names, in any case.
        let heading = if heading.eq_ignore_ascii_case(name) { name.to_owned() } else { shown(heading) };
        self.columns.push((name, heading));
    }

    pub(super) fn add(&mut self, fault: Fault<'_>, refusal: &Refusal) {
        let named = |name: &str| self.columns.iter().position(|(known, _)| !name.is_empty() && *known == name);
        let heading_at = |place: usize| self.columns.get(place).map(|(_, heading)| heading.clone());
        let (place, heading) = match fault.at {
            At::Place(place) => (Some(place), heading_at(place).unwrap_or_default()),
            At::Heading(place, heading) => (Some(place), shown(heading)),
            At::Named(name) => {
                let place = named(name);
                (place, place.and_then(heading_at).unwrap_or_else(|| name.to_owned()))
            }
        };
        let column = Some(heading).filter(|heading| !heading.is_empty());
        let code = refusal.code;
        // Columns without a heading count as one, and a username can be both in another row and taken by an account.
        if !self.seen.insert((fault.row, place.filter(|_| column.is_some()), code)) {
            return;
        }
        self.problems.total += 1;
        let (text, message) = (refusal.text.id(), refusal.message());
        match self.problems.kinds.iter_mut().find(|kind| kind.text == text && kind.column == column) {
            Some(kind) => kind.count += 1,
            None => self.problems.kinds.push(ErrorKind {
                column: column.clone(),
                code,
                text: text.to_owned(),
                message: message.clone(),
                first_row: fault.row,
                count: 1,
            }),
        }
        if self.problems.list.len() < MAX_KEPT {
            let Fault { row, other_row, other_user, .. } = fault;
            let value = Some(shown(fault.value)).filter(|value| !value.is_empty());
            self.problems.list.push(RowError { row, column, place, code, message, value, other_row, other_user });
        }
    }

    /// The errors in order.
    pub(super) fn finish(self) -> Problems {
        let mut problems = self.problems;
        problems.list.sort_by_key(|error| error.row);
        problems.kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
        problems
    }
}
