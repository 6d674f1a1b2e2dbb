//! Sources of users: the database of a Django project, or a file exported from it.

// A table of comma-separated values.
mod csv;
// The database.
mod database;
// A dump by `manage.py dumpdata`.
pub(in crate::domain) mod dump;
// Tables of second factors.
pub(in crate::domain) mod factors;

use std::fmt::Display;
use std::path::Path;

use self::database::Tables;
use self::factors::FactorRow;
use super::mapping::{Field, Mapping};
use crate::config::DatabaseUrl;
use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::certificates::Trust;
use crate::tools::text;

/// Number of users read and written at a time. A user has 27 columns here, and SQLite binds at most 32,766 values.
pub(super) const BATCH: usize = 500;

/// A user in a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::domain) struct Raw {
    /// Values as text in the order of [`Field::ALL`], none for missing ones.
    pub(in crate::domain) fields: [Option<Box<str>>; Field::ALL.len()],
    /// Second factors; none if the source has no table of them.
    pub(in crate::domain) factors: Option<Vec<FactorRow>>,
}

impl Raw {
    pub(super) fn get(&self, field: Field) -> Option<&str> {
        self.fields.get(field as usize).and_then(Option::as_deref)
    }

    fn set(&mut self, field: Field, value: Option<String>) {
        if let Some(place) = self.fields.get_mut(field as usize) {
            *place = value.filter(|value| !value.is_empty()).map(String::into_boxed_str);
        }
    }
}

/// Users to import, in the order of the source.
#[derive(Debug)]
pub struct Source {
    users: usize,
    is_in_utc: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Read(std::vec::IntoIter<Raw>),
    Database(Tables),
}

impl Source {
    /// Opens the source named by `text`: the URL of a database, which is only read, or the path of a file.
    ///
    /// # Errors
    /// [`Error::BadInput`] if something is missing or differs from the mapping; [`Error::Internal`] if the source
    /// cannot be opened. Both have a message for the operator.
    pub async fn open(text: &str, trust: &Trust, mapping: &Mapping, with_tokens: bool) -> Result<Self> {
        if text.contains("://") {
            let url: DatabaseUrl = text.parse().map_err(|problem| Error::BadInput(unusable(problem)))?;
            let tables = Tables::open(&url, trust, mapping, with_tokens).await?;
            let is_in_utc = url.is_sqlite();
            return Ok(Self { users: tables.count().await?, is_in_utc, kind: Kind::Database(tables) });
        }
        let path = Path::new(text);
        let file = tokio::fs::read(path).await.map_err(|error| Error::internal(format!("{text}: {error}")))?;
        let mapping = mapping.clone();
        let read = move || {
            if is_json(&file) {
                dump::read(&file, &mapping, with_tokens)
            } else {
                csv::read(&file, &mapping, with_tokens)
            }
        };
        let rows = tokio::task::spawn_blocking(read).await.map_err(Error::internal)?;
        let rows = rows.map_err(|problem| {
            Error::BadInput(Text::new("source-problem").with("source", text).with("problem", problem))
        })?;
        Ok(Self { users: rows.len(), is_in_utc: false, kind: Kind::Read(rows.into_iter()) })
    }

    /// Number of users when the source was opened.
    pub fn users(&self) -> usize {
        self.users
    }

    /// True if all its times are in UTC, as Django stores them in SQLite.
    pub(super) fn is_in_utc(&self) -> bool {
        self.is_in_utc
    }

    /// The next batch of users; empty at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Raw>> {
        match &mut self.kind {
            Kind::Read(rows) => Ok(rows.take(BATCH).collect()),
            Kind::Database(tables) => tables.next().await,
        }
    }
}

fn is_json(file: &[u8]) -> bool {
    text::decode(file).is_some_and(|text| text.trim_start().starts_with(['[', '{']))
        || matches!(file.trim_ascii_start().first(), Some(b'[' | b'{'))
}

/// The text about missing columns, made from one with the parameters `columns` and `present`.
fn missing(text: Text, columns: &[String], present: &[String]) -> Text {
    text.with("columns", columns.join(", ")).with("present", present.join(", "))
}

/// The text about a source that cannot be used.
fn unusable(problem: impl Display) -> Text {
    Text::new("source-unusable").with("problem", problem.to_string())
}
