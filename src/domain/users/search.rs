//! Text search of users: any part of a username, an email address or a name, in any case.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Expr, Func, SimpleExpr};
use sea_orm::{Condition, DatabaseBackend, ExprTrait as _};

use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::{identifier, text};

/// Maximum length of a search text, in characters.
const MAX_TERM: usize = 100;

/// Number of characters per trigram in the indexes of both databases.
const GRAM: usize = 3;

/// A search text.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// The text folded as names and as identifiers; one entry if both are equal.
    spellings: Vec<String>,
}

impl Search {
    /// Parses a search text; returns `None` if it is blank.
    ///
    /// # Errors
    /// [`Error::BadInput`] if it is too long or contains control characters.
    pub(super) fn parse(typed: &str) -> Result<Option<Self>> {
        let words: Vec<&str> = typed.split_whitespace().collect();
        let typed = words.join(" ");
        if typed.chars().count() > MAX_TERM || typed.chars().any(char::is_control) {
            return Err(Error::BadInput(Text::new("search-invalid").with("max", MAX_TERM)));
        }
        let mut spellings = vec![text::fold(&typed), identifier::fold(&typed)];
        spellings.dedup();
        spellings.retain(|spelling| !spelling.is_empty());
        Ok((!spellings.is_empty()).then_some(Self { spellings }))
    }

    /// The exact condition, without an index: `%` and `_` are literal.
    pub(super) fn matches(&self, backend: DatabaseBackend) -> Condition {
        let place = if backend == DatabaseBackend::Postgres { "strpos" } else { "instr" };
        let found = |term: &String| Func::cust(place).args([text_column(), Expr::value(term.as_str())]);
        self.spellings.iter().fold(Condition::any(), |any, term| any.add(Expr::expr(found(term)).gt(0)))
    }

    /// A superset of the matches, looked up in the index.
    pub(super) fn candidates(&self, backend: DatabaseBackend) -> Condition {
        let find = if backend == DatabaseBackend::Postgres { in_postgres } else { in_sqlite };
        self.spellings.iter().fold(Condition::any(), |any, term| any.add(find(term)))
    }
}

fn text_column() -> SimpleExpr {
    Expr::col(("users", "search_text"))
}

fn in_postgres(term: &str) -> SimpleExpr {
    if term.chars().count() < GRAM {
        return Expr::cust_with_values("vestibule_grams(users.search_text) @> array_append(NULL, $1)", [term]);
    }
    let mut pattern = String::from("%");
    for c in term.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    text_column().like(pattern)
}

fn in_sqlite(term: &str) -> SimpleExpr {
    let found = "users.number IN (SELECT rowid FROM user_trigrams WHERE user_trigrams MATCH ";
    let letters: Vec<char> = term.chars().collect();
    if letters.len() < GRAM {
        // All trigrams that begin with the term; a pair of quotes finds nothing.
        let any = "(SELECT coalesce(group_concat('\"' || replace(term, '\"', '\"\"') || '\"', ' OR '), '\"\"') \
                   FROM user_trigram_terms WHERE term >= ? AND term < ?))";
        return Expr::cust_with_values(format!("{found}{any}"), [term.to_owned(), format!("{term}{}", char::MAX)]);
    }
    let trigrams = letters.windows(GRAM).map(|gram| {
        let gram: String = gram.iter().collect();
        format!("\"{}\"", gram.replace('"', "\"\""))
    });
    let all = trigrams.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" AND ");
    Expr::cust_with_values(format!("{found}?)"), [all])
}
