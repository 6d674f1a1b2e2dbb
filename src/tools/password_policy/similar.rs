//! Similarity of a password to words about the person or the site.

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// A word of this length is refused everywhere, even within another word.
const LONG_WORD: usize = 5;
/// A word of this length is refused if it is separate, because it is part of too many others. Shorter ones are not
/// refused.
const SHORT_WORD: usize = 4;
/// Maximum length of each context text; the rest is ignored.
const MAX_CONTEXT_LENGTH: usize = 256;

/// The simplified words of the context: each text as a whole, and its parts between other characters and digits.
pub(super) fn words(context: &[&str]) -> Vec<String> {
    let mut words = Vec::new();
    for text in context {
        let text = simplify(text.chars().take(MAX_CONTEXT_LENGTH));
        let (name, domain) = text.split_once('@').unwrap_or((&text, ""));
        // The last label, such as `com`, identifies nobody.
        let domain = domain.rsplit_once('.').map_or(domain, |(labels, _)| labels);
        for part in [name, domain] {
            words.push(part.chars().filter(|c| c.is_alphanumeric()).collect());
            words.extend(part.split(|c: char| !c.is_alphanumeric()).map(str::to_owned));
            words.extend(part.split(|c: char| !c.is_alphabetic()).map(str::to_owned));
        }
    }
    words.retain(|word: &String| word.contains(char::is_alphabetic));
    words.sort_unstable();
    words.dedup();
    words
}

/// True if the password contains one of the words or is close to it, forwards or backwards. Case, accents and
/// punctuation are ignored, and digits and signs count as the letters they resemble.
pub(super) fn resembles(password: &str, words: &[String]) -> bool {
    let plain: Vec<char> = simplify(password.chars()).chars().collect();
    let letters: Vec<char> = plain.iter().copied().map(letter).collect();
    let squeezed: Vec<char> = letters.iter().copied().filter(|c| c.is_alphanumeric()).collect();
    words.iter().any(|word| {
        let forwards: Vec<char> = word.chars().map(letter).collect();
        let backwards: Vec<char> = forwards.iter().rev().copied().collect();
        [forwards, backwards].iter().any(|word| match word.len() {
            0..SHORT_WORD => false,
            SHORT_WORD..LONG_WORD => stands_alone(word, &letters, &plain),
            _ => contains(&squeezed, word) || contains(&letters, word) || is_close(word, &squeezed),
        })
    })
}

/// The text without case, accents, and compatibility forms.
fn simplify(text: impl Iterator<Item = char>) -> String {
    text.nfkd().filter(|c| !is_combining_mark(*c)).default_case_fold().collect()
}

/// The letter that a digit or sign often replaces; look-alikes map to the same one.
fn letter(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' | '|' | 'l' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' | '+' => 't',
        '8' => 'b',
        '9' => 'g',
        other => other,
    }
}

fn contains(text: &[char], word: &[char]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// True if the word occurs without an adjacent letter in the typed password.
fn stands_alone(word: &[char], letters: &[char], plain: &[char]) -> bool {
    letters.windows(word.len()).enumerate().any(|(start, window)| {
        let before = start.checked_sub(1).and_then(|at| plain.get(at));
        let after = plain.get(start + word.len());
        window == word && ![before, after].into_iter().flatten().any(|c| c.is_alphabetic())
    })
}

/// True if the Levenshtein distance is at most three tenths of the longer one.
fn is_close(one: &[char], other: &[char]) -> bool {
    let longer = one.len().max(other.len());
    10 * one.len().abs_diff(other.len()) <= 3 * longer && 10 * distance(one, other) <= 3 * longer
}

fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_the_number_of_changes() {
        let distance =
            |one: &str, other: &str| distance(&one.chars().collect::<Vec<_>>(), &other.chars().collect::<Vec<_>>());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("flaw", "lawn"), 2);
    }

    #[test]
    fn an_address_gives_its_name_and_its_labels_but_the_last() {
        assert_eq!(
            words(&["Ann.Lee87@mail.Quarry.example"]),
            ["ann", "annlee87", "lee", "lee87", "mail", "mailquarry", "quarry"]
        );
        assert_eq!(words(&["admin@localhost"]), ["admin", "localhost"]);
        assert_eq!(words(&["2026", "", "-"]), [""; 0]);
    }
}
