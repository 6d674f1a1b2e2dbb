//! Text search of users: words in any order, each a part of a username, an address, a name, a telephone number or an
//! external id, in any case and spelling.
//!
//! The searched text of a user consists of the keys of names and address, and of the terms in
//! [`search_terms`](super::search_terms).

use std::collections::BTreeSet;

use sea_orm::sea_query::{Expr, Func, Query, SelectStatement, SimpleExpr};
use sea_orm::{Condition, DatabaseBackend, ExprTrait as _};

use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::{identifier, phone, spelling, text};

/// Maximum length of a search text, in characters.
const MAX_TERM: usize = 100;

/// Number of characters per trigram in the indexes of both databases.
const GRAM: usize = 3;

/// Minimum length of a word whose umlauts need not match, in letters: "Ås" is not "as", which is part of many names.
const MIN_PLAIN: usize = 3;

/// Minimum length of a word in which one letter stands for two: "Mae" is not "Ma".
const MIN_BARE: usize = 4;

/// A search text: words that must all occur.
#[derive(Clone, Debug)]
pub(super) struct Search {
    words: Vec<Word>,
}

/// Spellings of a word, one of which must occur.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word(Vec<String>);

impl Search {
    /// Parses a search text; returns `None` if it is blank.
    ///
    /// # Errors
    /// [`Error::BadInput`] if it is too long or contains control characters.
    pub(super) fn parse(typed: &str) -> Result<Option<Self>> {
        let parts: Vec<&str> = typed.split_whitespace().collect();
        let typed = parts.join(" ");
        if typed.chars().count() > MAX_TERM || typed.chars().any(char::is_control) {
            return Err(Error::BadInput(Text::new("search-invalid").with("max", MAX_TERM)));
        }
        let folded = text::fold(&typed);
        let parts: Vec<&str> = folded.split_whitespace().map(without_separators).collect();
        let mut words: Vec<Word> = Vec::new();
        // A telephone number may have blanks.
        for group in parts.chunk_by(|one, next| phone::is_number_part(one) && phone::is_number_part(next)) {
            let number = group.concat();
            let number = if phone::is_number_part(&number) { phone::searched(&number) } else { None };
            for word in group.iter().map(|part| Word::new(part, number.as_ref())) {
                if !words.contains(&word) {
                    words.push(word);
                }
            }
        }
        Ok((!words.is_empty()).then_some(Self { words }))
    }

    /// The exact condition, without an index: `%` and `_` are literal.
    pub(super) fn matches(&self, backend: DatabaseBackend) -> Condition {
        let place = if backend == DatabaseBackend::Postgres { "strpos" } else { "instr" };
        let found = |term: &str| Expr::expr(Func::cust(place).args([text_column(), Expr::value(term)])).gt(0);
        self.words.iter().fold(Condition::all(), |all, word| all.add(word.any(found)))
    }

    /// A superset of the matches, looked up in the index: those of the longest words.
    pub(super) fn candidates(&self, backend: DatabaseBackend) -> Condition {
        let (_, words) = self.longest();
        match backend {
            DatabaseBackend::Postgres => {
                words.iter().fold(Condition::all(), |all, word| all.add(word.any(in_postgres)))
            }
            _ => Condition::all().add(Expr::col(("users", "number")).in_subquery(in_sqlite(&words))),
        }
    }

    /// The same candidates as entries of the index, where their number is known without reading the users.
    pub(super) fn entries(&self, backend: DatabaseBackend) -> Option<SelectStatement> {
        let (grams, words) = self.longest();
        (backend == DatabaseBackend::Sqlite && grams == GRAM).then(|| in_sqlite(&words))
    }

    /// The longest words, and their length up to a trigram. The index has many entries for a word without a trigram,
    /// and few for the others.
    fn longest(&self) -> (usize, Vec<&Word>) {
        let grams = self.words.iter().map(Word::grams).max().unwrap_or_default();
        (grams, self.words.iter().filter(|word| word.grams() == grams).collect())
    }
}

impl Word {
    fn new(folded: &str, number: Option<&String>) -> Self {
        let is_least = |text: &String, min: usize| text.chars().count() >= min;
        let plain = Some(spelling::plain(folded)).filter(|plain| is_least(plain, MIN_PLAIN));
        // Usernames and addresses are stored as keys, in which letters of other scripts may look like Latin ones.
        let key = Some(identifier::fold(folded)).filter(|key| key != folded && !key.is_empty());
        let bare = Some(spelling::joined(&spelling::bare(folded))).filter(|bare| is_least(bare, MIN_BARE));
        let mut spellings: Vec<String> = vec![plain.unwrap_or_else(|| folded.to_owned())];
        for spelling in [key, bare, number.cloned()].into_iter().flatten() {
            if !spellings.contains(&spelling) {
                spellings.push(spelling);
            }
        }
        Self(spellings)
    }

    /// Number of letters by which the index finds every spelling, up to a trigram.
    fn grams(&self) -> usize {
        self.0.iter().map(|spelling| spelling.chars().count()).min().unwrap_or_default().min(GRAM)
    }

    fn any(&self, found: impl Fn(&str) -> SimpleExpr) -> Condition {
        self.0.iter().fold(Condition::any(), |any, spelling| any.add(found(spelling)))
    }
}

/// A word without the separators around it, as in "Lovelace, Ada" and "Ada <ada@example.com>".
fn without_separators(word: &str) -> &str {
    let inner = word.trim_matches([',', ';', '<', '>']);
    if inner.is_empty() { word } else { inner }
}

fn text_column() -> SimpleExpr {
    Expr::col(("users", "search_text"))
}

fn in_postgres(term: &str) -> SimpleExpr {
    // The extension finds trigrams only within words.
    if !term.split(|c: char| !c.is_alphanumeric()).any(|word| word.chars().count() >= GRAM) {
        let letters: Vec<char> = term.chars().collect();
        let pairs: Vec<String> = letters.windows(letters.len().clamp(1, 2)).map(|pair| pair.iter().collect()).collect();
        let found = "vestibule_grams(users.search_text) @> string_to_array($1, chr(10))";
        return Expr::cust_with_values(found, [pairs.join("\n")]);
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

/// The entries with the trigrams of a spelling of each word. One search in the index intersects the words as it reads.
fn in_sqlite(words: &[&Word]) -> SelectStatement {
    let (mut all, mut values) = (Vec::new(), Vec::new());
    for word in words {
        let any = word.0.iter().map(|spelling| trigrams(spelling, &mut values)).collect::<Vec<_>>();
        all.push(format!("'(' || {} || ')'", any.join(" || ' OR ' || ")));
    }
    let found = Expr::cust_with_values(format!("user_trigrams MATCH {}", all.join(" || ' AND ' || ")), values);
    Query::select().expr(Expr::cust("rowid")).from("user_trigrams").and_where(found).take()
}

/// A statement's expression for the search of a term: trigrams that cover it, or any that begins with it. Overlapping
/// trigrams would exclude few more users, and take longer to intersect.
fn trigrams(term: &str, values: &mut Vec<String>) -> &'static str {
    let letters: Vec<char> = term.chars().collect();
    if letters.len() < GRAM {
        values.extend([term.to_owned(), format!("{term}{}", char::MAX)]);
        // A pair of quotes finds nothing.
        return "(SELECT coalesce(group_concat('\"' || replace(term, '\"', '\"\"') || '\"', ' OR '), '\"\"') \
                FROM user_trigram_terms WHERE term >= ? AND term < ?)";
    }
    let trigrams = letters.windows(GRAM).step_by(GRAM).chain(letters.windows(GRAM).last());
    let quoted = trigrams.map(|gram| format!("\"{}\"", String::from_iter(gram).replace('"', "\"\"")));
    values.push(format!("({})", quoted.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" AND ")));
    "?"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;
    use sea_orm::ActiveValue::Set;
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;
    use crate::domain::users::search_terms::searchable;
    use crate::domain::users::{Names, blank};
    use crate::entity::user;
    use crate::tools::clock::Clock;

    /// Searched text of a user.
    fn text_of([first_name, last_name, username, phone]: [&str; 4]) -> String {
        let [first_name, last_name, username] = [first_name, last_name, username].map(str::to_owned);
        let names = Names { email: format!("{username}@example.com"), username, first_name, last_name };
        let row = user::ActiveModel { phone: Set(phone.to_owned()), ..blank(&Clock::System.now(), names) };
        let user = user::Model::try_from(searchable(row)).unwrap();
        let user::Model { username_key, email_key, first_name_key, last_name_key, search_terms, .. } = user;
        format!("{username_key}\n{email_key}\n{first_name_key} {last_name_key}{search_terms}")
    }

    fn finds(text: &str, typed: &str) -> bool {
        let search = Search::parse(typed).unwrap();
        search
            .is_none_or(|search| search.words.iter().all(|word| word.0.iter().any(|spelling| text.contains(spelling))))
    }

    #[test]
    fn a_word_has_few_spellings() {
        for (typed, expected) in [
            ("ada", vec![vec!["ada"]]),
            ("Ada ADA", vec![vec!["ada"]]),
            ("Müller", vec![vec!["muller", "mu\u{308}ller"]]),
            ("Mueller, Ann", vec![vec!["mueller", "muller"], vec!["ann"]]),
            ("Ås Mae", vec![vec!["ås", "a\u{30a}s"], vec!["mae"]]),
            ("O'Neil", vec![vec!["o'neil", "oneil"]]),
            ("17 0170 12", vec![vec!["17", "BHABHABC"], vec!["0170", "BHABHABC"], vec!["12", "BHABHABC"]]),
            ("а, ,", vec![vec!["а", "a"], vec![","]]),
        ] {
            let words: Vec<Vec<String>> =
                Search::parse(typed).unwrap().unwrap().words.into_iter().map(|word| word.0).collect();
            assert_eq!(words, expected, "{typed}");
        }
    }

    #[test]
    fn search_terms_are_few_and_bounded() {
        assert_eq!(text_of(["Ada", "Lovelace", "ada", ""]), "ada\nada@example.com\nada lovelace");
        let name = "Ǖ-æ\u{152}ß'".repeat(25);
        let longest = text_of([&name, &name, &name, &"+1234".repeat(8)]);
        assert!(longest.chars().count() < 12 * name.chars().count(), "{}", longest.chars().count());
    }

    const LETTERS: &str = "[A-Za-zÄäÖöÜüßẞéÈñØåÆœıİŞşŁłĐ李王がАаЁёЙΣσςήΐ\u{1e9}]";

    proptest! {
        #[test]
        fn a_user_is_found_by_their_words_in_any_order_case_and_form(
            names in prop::array::uniform3(string_regex(&format!("{LETTERS}{{1,4}}([-' .]{LETTERS}{{1,3}})?")).unwrap()),
            phone in "(\\+49|0)[1-9][0-9]{3}[0-9 /-]{3,8}[0-9]",
            order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
            number in 1_usize..5,
            change in prop::array::uniform3(any::<bool>()),
        ) {
            let [first, last, username] = names.each_ref().map(String::as_str);
            let username = username.replace(['\'', ' '], "");
            let text = text_of([first, last, &username, &phone]);
            let words = [first, last, &username, &phone];
            let typed: Vec<&str> = order.iter().take(number).map(|at| words[*at]).collect();
            let mut typed = typed.join(" ");
            let [is_upper, is_decomposed, is_unmarked] = change;
            typed = if is_upper { typed.to_uppercase() } else { typed.to_lowercase() };
            typed = if is_decomposed { typed.nfd().collect() } else { typed.nfc().collect() };
            if is_unmarked {
                typed = spelling::plain(&text::fold(&typed));
            }
            prop_assert!(finds(&text, &typed), "{typed:?} in {text:?}");
        }

        #[test]
        fn any_text_is_a_search_or_refused(typed in any::<String>()) {
            if let Ok(Some(search)) = Search::parse(&typed) {
                prop_assert!(search.words.iter().all(|word| !word.0.is_empty() && word.0.iter().all(|one| !one.is_empty())));
            }
        }
    }
}
