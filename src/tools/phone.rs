//! Telephone numbers as people write them: international or national, with any separators.

use crate::tools::text;

/// Minimum number of digits by which a number is searched.
const MIN_DIGITS: usize = 4;

/// Minimum number of digits without the country code, with which the country code is ignored.
const MIN_NATIONAL_DIGITS: usize = 6;

/// True if the text has only digits and the signs between them.
pub fn is_number_part(folded: &str) -> bool {
    folded.chars().all(is_part)
}

/// The numbers in a text, each as its digits, in capital letters: folded text contains none, so that a number is only
/// found by a number. An international number has no prefix such as `00`, and no trunk zero in parentheses.
pub fn stored(phone: &str) -> Vec<String> {
    let folded = text::fold(phone).replace('+', " |+");
    let runs = folded.split(|c: char| !is_part(c));
    runs.map(|run| coded(&Number::parse(run).digits)).filter(|number| number.len() >= MIN_DIGITS).collect()
}

/// The part of a stored number by which a typed one, or its beginning, is found; `None` if it is too short. It has
/// neither country code nor trunk zero, because the stored number may have another form.
pub fn searched(folded: &str) -> Option<String> {
    let Number { digits, is_international } = Number::parse(folded);
    let national = match is_international {
        true => digits.get(country_code_length(&digits)..).filter(|rest| rest.len() >= MIN_NATIONAL_DIGITS),
        false => Some(digits.trim_start_matches('0')),
    };
    let searched = national.unwrap_or(&digits);
    (searched.len() >= MIN_DIGITS).then(|| coded(searched))
}

/// Digits of a number.
struct Number {
    digits: String,
    is_international: bool,
}

impl Number {
    fn parse(text: &str) -> Self {
        let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
        let written = digits(text);
        let has_plus = text.contains('+');
        match written.strip_prefix("00") {
            None if !has_plus => Self { digits: written, is_international: false },
            rest => {
                // As in "+49 (0)170": dialled only within the country.
                let without_trunk = digits(&text.replace("(0)", ""));
                let prefix = if rest.is_some() && !has_plus { "00" } else { "" };
                let digits = without_trunk.strip_prefix(prefix).unwrap_or(&without_trunk).to_owned();
                Self { digits, is_international: true }
            }
        }
    }
}

fn is_part(c: char) -> bool {
    c.is_ascii_digit() || c.is_whitespace() || matches!(c, '+' | '(' | ')' | '-' | '.' | '/' | '\u{2010}'..='\u{2015}')
}

/// Length of the country code (ITU-T E.164). The first digit or two determine it.
fn country_code_length(digits: &str) -> usize {
    match digits.as_bytes() {
        [b'1' | b'7', ..] => 1,
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => 2,
        _ => 3,
    }
}

fn coded(digits: &str) -> String {
    digits.bytes().map(|digit| char::from(digit - b'0' + b'A')).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finds(stored_as: &str, typed: &str) -> bool {
        let Some(searched) = searched(&text::fold(typed)) else { return false };
        stored(stored_as).iter().any(|number| number.contains(&searched))
    }

    #[test]
    fn every_spelling_finds_every_other() {
        let german = [
            "+49 170 1234567",
            "+49 (0)170/1234567",
            "0049-170-1234567",
            "0170/1234567",
            "0170 123 45 67",
            "(0170) 12 34 567",
            "+49\u{a0}170\u{2011}1234567",
            "+\u{ff14}\u{ff19} 170 1234567",
        ];
        for stored_as in german {
            for typed in german {
                assert!(finds(stored_as, typed), "{stored_as} {typed}");
            }
            for typed in ["170 1234567", "1234567", "4567", "+49 170 123456", "0170 123"] {
                assert!(finds(stored_as, typed), "{stored_as} {typed}");
            }
            for typed in ["567", "+49", "0171 1234567", "1234568", ""] {
                assert!(!finds(stored_as, typed), "{stored_as} {typed}");
            }
        }
        for (stored_as, typed) in [
            ("(212) 555-0123", "+1 212 555 0123"),
            ("+1 212 555 0123", "(212) 555-0123"),
            ("06 1234567", "+39 06 1234567"),
            ("+39 06 1234567", "06 1234567"),
            ("+420 601 123 456", "601123456"),
            ("030 12345, 0170 1234567", "0170 12345"),
            ("+49 30 12345 / +49 170 1234567", "0170 12345"),
            ("030 12345 ext. 12", "12345"),
        ] {
            assert!(finds(stored_as, typed), "{stored_as} {typed}");
        }
        assert_eq!(stored("none, 112"), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_only_capital_letters_are_kept(text in any::<String>()) {
            for number in stored(&text).into_iter().chain(searched(&text)) {
                prop_assert!(number.bytes().all(|letter| letter.is_ascii_uppercase()));
            }
        }

        #[test]
        fn a_number_is_found_by_each_part_of_four_digits(digits in "[1-9][0-9]{6,11}", start in 0_usize..3, end in 7_usize..8) {
            let [international, national, dialled] = ["+49", "0", "0049 "].map(|prefix| format!("{prefix}{digits}"));
            prop_assert!(finds(&international, &digits));
            prop_assert!(finds(&national, &dialled));
            let part = digits[start..end].trim_start_matches('0');
            prop_assert!(part.len() < MIN_DIGITS || finds(&digits, part));
        }
    }
}
