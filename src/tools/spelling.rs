//! Spellings of names: people write "Müller" as "Mueller" or "Muller", and "O'Brien" as "OBrien".
//!
//! All functions expect text folded by [`text::fold`](crate::tools::text::fold). Two spellings of a name have the same
//! [`bare`] form. Parts of a name, as somebody types them, are found in its other forms, too.

use std::iter;

use unicode_normalization::UnicodeNormalization as _;

/// A letter with several spellings.
struct Letter {
    /// Without its mark: `muller`.
    plain: &'static str,
    /// As two letters, where a language has that spelling: `mueller`.
    long: &'static str,
}

fn letter(c: char) -> Option<Letter> {
    let (plain, long) = match c {
        'ä' => ("a", "ae"),
        'ö' | 'ø' => ("o", "oe"),
        'ü' => ("u", "ue"),
        'å' => ("a", "aa"),
        'æ' => ("ae", "ae"),
        'œ' => ("oe", "oe"),
        'þ' => ("th", "th"),
        'đ' | 'ð' => ("d", "d"),
        'ħ' => ("h", "h"),
        'ı' => ("i", "i"),
        'ł' => ("l", "l"),
        'ŋ' => ("n", "n"),
        'ŧ' => ("t", "t"),
        'ə' => ("e", "e"),
        _ => return None,
    };
    Some(Letter { plain, long })
}

/// True if two letters stand for the first one with a mark, as in "Mueller".
fn is_pair(first: char, second: char) -> bool {
    matches!((first, second), ('a' | 'o' | 'u', 'e') | ('a', 'a'))
}

/// The text without marks: `muller` for "Müller", `grossmann` for "Größmann". All apostrophes and hyphens are equal.
pub fn plain(folded: &str) -> String {
    spelled(folded, |letter| letter.plain)
}

/// The text with two letters for an umlaut: `mueller` for "Müller", `aase` for "Åse".
pub fn long(folded: &str) -> String {
    spelled(folded, |letter| letter.long)
}

/// The text with one letter for an umlaut and for its two letters: `muller` for "Müller", "Mueller" and "Muller".
pub fn bare(folded: &str) -> String {
    let mut chars = folded.chars().peekable();
    let mut bare = String::with_capacity(folded.len());
    while let Some(c) = chars.next() {
        chars.next_if(|next| is_pair(c, *next));
        bare.push(match c {
            'æ' => 'a',
            'œ' => 'o',
            c => c,
        });
    }
    plain(&bare)
}

/// The text as one word: `obrien` for "o'brien" and "o brien", `annalena` for "anna-lena".
pub fn joined(folded: &str) -> String {
    folded.chars().filter(|c| !c.is_whitespace() && !is_apostrophe(*c) && !is_hyphen(*c)).collect()
}

/// True if the text is in a script of East Asia that has no blanks between names.
pub fn is_without_blanks(text: &str) -> bool {
    let is_east_asian = |c| {
        matches!(c, '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
    };
    !text.is_empty() && text.chars().all(is_east_asian)
}

fn spelled(folded: &str, choose: fn(Letter) -> &'static str) -> String {
    let mut spelled = String::with_capacity(folded.len());
    for c in folded.nfc() {
        match letter(c) {
            Some(letter) => spelled.push_str(choose(letter)),
            None if c.is_ascii() => spelled.push(c),
            None if is_apostrophe(c) => spelled.push('\''),
            None if is_hyphen(c) => spelled.push('-'),
            None => push_unmarked(&mut spelled, c),
        }
    }
    // Parts of syllables, as of Hangul, are no marks.
    if spelled.is_ascii() { spelled } else { spelled.nfc().collect() }
}

fn push_unmarked(spelled: &mut String, c: char) {
    for part in iter::once(c).nfd().filter(|part| !is_mark(*part)) {
        match letter(part) {
            Some(letter) => spelled.push_str(letter.plain),
            None => spelled.push(part),
        }
    }
}

/// Marks that people leave out: accents, and the points of Hebrew and Arabic vowels. Marks of other scripts are letters.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{487}' | '\u{591}'..='\u{5bd}' | '\u{5bf}'..='\u{5c7}'
        | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}')
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '`' | '\u{b4}' | '\u{2b9}'..='\u{2bc}' | '\u{2018}' | '\u{2019}' | '\u{5f3}')
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{b7}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fb}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tools::text::fold;

    #[test]
    fn a_name_has_several_spellings() {
        for (name, expected) in [
            ("Müller", ["muller", "mueller", "muller"]),
            ("Mueller", ["mueller", "mueller", "muller"]),
            ("Muller", ["muller", "muller", "muller"]),
            ("Größmann", ["grossmann", "groessmann", "grossmann"]),
            ("GRÖẞMANN", ["grossmann", "groessmann", "grossmann"]),
            ("Øster-Ås", ["oster-as", "oester-aas", "oster-as"]),
            ("Ærø", ["aero", "aeroe", "aro"]),
            ("Łukasz Żółć", ["lukasz zolc", "lukasz zolc", "lukasz zolc"]),
            ("Nguyễn Đức", ["nguyen duc", "nguyen duc", "nguyen duc"]),
            ("ISTANBUL İstanbul ışık", ["istanbul istanbul isik", "istanbul istanbul isik", "istanbul istanbul isik"]),
            ("Joël", ["joel", "joel", "joel"]),
            ("O\u{2019}Brien", ["o'brien", "o'brien", "o'brien"]),
            ("Αθήνα ΟΔΥΣΣΕΥΣ", ["αθηνα οδυσσευσ", "αθηνα οδυσσευσ", "αθηνα οδυσσευσ"]),
            ("Алёна", ["алена", "алена", "алена"]),
            ("がぎ 한국 李小龍", ["がぎ 한국 李小龍", "がぎ 한국 李小龍", "がぎ 한국 李小龍"]),
            ("हिन्दी", ["हिन्दी", "हिन्दी", "हिन्दी"]),
        ] {
            let folded = fold(name);
            assert_eq!([plain(&folded), long(&folded), bare(&folded)], expected, "{name}");
        }
        assert_eq!(joined("o'brien d\u{2019}arc anna-lena van der"), "obriendarcannalenavander");
    }

    /// The spellings of one letter.
    fn spellings() -> impl Strategy<Value = (&'static str, &'static str)> {
        let letters = [
            &["ä", "ae", "a", "Ä", "a\u{308}", "AE"][..],
            &["ö", "oe", "o", "Ø"],
            &["ü", "ue", "u", "U\u{308}"],
            &["å", "aa", "a", "Å"],
            &["æ", "ae", "a"],
            &["ß", "ss", "SS", "ẞ"],
            &["é", "e", "E\u{301}"],
            &["ç", "c"],
            &["n"],
            &["R", "r"],
        ];
        prop::sample::select(letters.to_vec())
            .prop_flat_map(|letter| (prop::sample::select(letter.to_vec()), prop::sample::select(letter.to_vec())))
    }

    proptest! {
        #[test]
        fn all_spellings_of_a_name_have_the_same_bare_form(letters in prop::collection::vec(spellings(), 1..9)) {
            // Consonants between them, because "ä" and "e" in sequence are no spelling of one letter.
            let name = |side: fn(&(&'static str, &'static str)) -> &'static str| {
                let letters: Vec<&str> = letters.iter().map(side).collect();
                bare(&fold(&letters.join("t")))
            };
            prop_assert_eq!(name(|pair| pair.0), name(|pair| pair.1));
        }

        #[test]
        fn every_form_is_bounded_and_folded(text in any::<String>()) {
            let folded = fold(&text);
            for form in [plain, long, bare] {
                let form = form(&folded);
                prop_assert!(form.chars().count() <= 4 * folded.chars().count());
                prop_assert_eq!(plain(&form), form.clone());
                prop_assert!(!form.contains(|c: char| c.is_ascii_uppercase()));
            }
        }
    }
}
