//! E-mail addresses and usernames: which are allowed, and which count as the same.
//!
//! `fold` decides what is the same, for looking accounts up, for their uniqueness, and for the keys of limits alike; were
//! these three to differ, one account could shadow another or evade its limits. It joins what people cannot tell apart or
//! would not spell apart:
//!
//! - compatibility forms, such as full-width letters (NFKC, UAX #15), since keyboards differ in which they make;
//! - upper and lower case, by Unicode's case folding, which unlike lower-casing is the same in every language;
//! - look-alikes from other scripts, by the skeletons of UTS #39, such as the Cyrillic `а` and the Latin `a`. A skeleton
//!   joins ASCII characters too (`m` and `rn`, `1` and `l`), which would make one account of `tom` and `torn`; so it is
//!   taken of other characters only, and names in plain ASCII are the same only where they differ in case.
//!
//! Domains are folded as names are: an internationalised one is not the same as its ASCII form (`xn--…`).
//!
//! The validators return the identifier as its owner spells it, trimmed and composed (NFC), and refuse every character
//! that does not show or changes how others show, such as zero-width joiners, soft hyphens and bidirectional controls.

mod valid;

use unicode_security::skeleton;

use crate::tools::text;

pub use self::valid::{MAX_EMAIL_BYTES, MAX_LOCAL_PART_BYTES, MAX_USERNAME_LENGTH, email, neutral_username, username};

/// The form in which identifiers are compared: two are the same where this is equal. It folds any text, whether or not it
/// is allowed, and folding it again changes nothing.
///
/// It is never shown nor sent anything to. It can be longer than the text, whose length is for the caller to bound.
pub fn fold(text: &str) -> String {
    let mut folded = text.to_owned();
    // Each step can make work for the ones before it; the bound is there for what the tables may yet come to hold.
    for _ in 0..8 {
        let next = fold_once(&folded);
        if next == folded {
            break;
        }
        folded = next;
    }
    folded
}

fn fold_once(text: &str) -> String {
    let plain = text::fold(text);
    let mut folded = String::with_capacity(plain.len());
    for c in plain.chars() {
        if c.is_ascii() {
            folded.push(c);
        } else {
            folded.extend(skeleton(c.encode_utf8(&mut [0; 4])));
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::valid::is_letter;
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        fold(one) == fold(other)
    }

    #[test]
    fn what_looks_the_same_is_the_same() {
        for other in [
            "ADMIN",
            " admin\t",
            "\u{430}dmin",
            "ａｄｍｉｎ",
            "ＡＤＭＩＮ",
            "\u{410}DMIN",
            "adm\u{456}n",
            "adm\u{131}n",
            "𝐚𝐝𝐦𝐢𝐧",
        ] {
            assert!(same("admin", other), "{other}");
        }
        assert!(same("josé", "JOSE\u{301}"));
        assert!(same("straße", "STRASSE"));
        assert!(same("Ann@Quarry.Example", "ann@quarry.e\u{445}ample"));
        assert!(same("ann@MÜNCHEN.example", "ann@mu\u{308}nchen.example"));
    }

    #[test]
    fn names_that_differ_stay_apart() {
        for (one, other) in [
            ("torn", "tom"),
            ("modern", "modem"),
            ("paul", "pau1"),
            ("bill", "biil"),
            ("o0", "00"),
            ("jose", "josé"),
            ("a.b", "ab"),
            ("a+b@x.example", "a@x.example"),
            ("иван", "петр"),
            ("ann", "anna"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn no_allowed_character_vanishes_or_becomes_a_separator() {
        for c in ('\u{80}'..=char::MAX).filter(|c| is_letter(*c)) {
            let folded = fold(c.encode_utf8(&mut [0; 4]));
            assert!(!folded.is_empty(), "{c:?}");
            assert!(
                !folded.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control()),
                "{c:?} becomes {folded:?}"
            );
            assert_eq!(fold(&folded), folded, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in any::<String>()) {
            let folded = fold(&text);
            prop_assert_eq!(fold(&folded), folded);
        }

        #[test]
        fn plain_names_are_the_same_only_where_they_differ_in_case(one in "[!-~]{1,6}", other in "[!-~]{1,6}") {
            prop_assert_eq!(same(&one, &other), one.eq_ignore_ascii_case(&other));
            prop_assert_eq!(fold(&one), one.to_ascii_lowercase());
        }
    }
}
