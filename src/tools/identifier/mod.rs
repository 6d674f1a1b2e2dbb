//! Email addresses and usernames: validity, equality, and likeness.
//!
//! Two relations serve two purposes:
//!
//! - **Equality** is identity. [`same_address`] compares the local part without ASCII case, as mail servers do in
//!   practice, and the domain by IDNA (UTS #46): `Ann@MÜNCHEN.example` and `ann@xn--mnchen-3ya.example` are one
//!   mailbox. [`same_username`] compares without case (Unicode's compatibility caseless matching). Only an identifier
//!   equal to the account's own finds it, changes it, or signs in to it.
//! - **Likeness** only refuses. [`fold`] gives two identifiers that look alike the same key. Keys are unique, so nobody
//!   gets an account that looks like another one. Rate limits count by key, so another spelling evades none.
//!
//! Equal identifiers always have the same key; identifiers with the same key need not be equal. `fold` merges:
//!
//! - compatibility forms, such as full-width letters (NFKC, UAX #15), because keyboards differ in the forms they
//!   produce;
//! - upper and lower case, by Unicode's case folding, which unlike lower-casing is the same in every language;
//! - the two spellings of an internationalized domain, by IDNA;
//! - look-alikes from other scripts, by the skeletons of UTS #39, such as the Cyrillic `а` and the Latin `a`. A
//!   skeleton merges ASCII characters too (`m` and `rn`, `1` and `l`), which would make `tom` and `torn` one account.
//!   So only other characters get a skeleton, and plain ASCII names have the same key only if they differ in case.
//!
//! The validators return the identifier as its owner spells it, trimmed and composed (NFC). They refuse every character
//! that is invisible or changes the display of others, such as zero-width joiners, soft hyphens and bidirectional
//! controls. A domain typed in its `xn--` form, as browsers send it, is returned in Unicode, unless it would then look
//! like another one. Mail servers get the `xn--` form: see [`mailbox`].

mod domain;
mod valid;

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::skeleton;

use crate::tools::text;

pub use self::valid::{
    MAX_EMAIL_BYTES, MAX_LOCAL_PART_BYTES, MAX_USERNAME_LENGTH, email, neutral_username, random_suffix, username,
};

/// The key of an identifier, by which look-alikes are refused. It accepts any text, valid or not, and is idempotent.
///
/// A key is never displayed, never receives mail, and does not prove identity: see [`same_address`] and
/// [`same_username`]. It can be longer than the text, whose length the caller must limit.
pub fn fold(text: &str) -> String {
    let mut folded = text.to_owned();
    // Each step can require the earlier ones again; the bound protects against future tables of Unicode.
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
    let plain = with_unicode_domain(&plain);
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

/// The address with its domain in Unicode (RFC 5890, 2.3.2.1), to find look-alikes in `xn--` form.
fn with_unicode_domain(text: &str) -> Cow<'_, str> {
    let Some((local, domain)) = text.rsplit_once('@') else { return Cow::Borrowed(text) };
    match idna::domain_to_unicode(domain) {
        (unicode, Ok(())) if unicode != domain => Cow::Owned(format!("{local}@{unicode}")),
        _ => Cow::Borrowed(text),
    }
}

/// The canonical form of an address: two addresses are equal exactly if their canonical forms are. The local part has
/// ASCII letters in lower case, the domain its ASCII form (IDNA, UTS #46).
pub fn canonical_address(address: &str) -> String {
    let address: String = text::trim(address).nfc().collect();
    let Some((local, domain)) = address.rsplit_once('@') else { return address };
    let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_ascii_lowercase());
    format!("{}@{domain}", local.to_ascii_lowercase())
}

/// The address as every mail server accepts it: the domain in its ASCII form (IDNA), the local part unchanged. Only a
/// local part with non-ASCII letters needs a server with SMTPUTF8 (RFC 6531).
pub fn mailbox(address: &str) -> Cow<'_, str> {
    match address.rsplit_once('@').map(|(local, domain)| (local, idna::domain_to_ascii(domain))) {
        Some((local, Ok(domain))) if !address.is_ascii() => Cow::Owned(format!("{local}@{domain}")),
        _ => Cow::Borrowed(address),
    }
}

/// Compares two texts as addresses.
pub fn same_address(one: &str, other: &str) -> bool {
    canonical_address(one) == canonical_address(other)
}

/// Compares two texts as usernames, without case and compatibility forms.
pub fn same_username(one: &str, other: &str) -> bool {
    text::fold(one) == text::fold(other)
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
        assert!(same("ann@MÜNCHEN.example", "ann@XN--mnchen-3ya.example"));
        // The second domain is the `xn--` form of `ex\u{430}mple.com`, with a Cyrillic letter.
        assert!(same("boss@example.com", "boss@xn--exmple-4nf.com"));
    }

    #[test]
    fn addresses_are_equal_where_a_mail_server_sees_one_mailbox() {
        for (one, other) in [
            ("Ann@Quarry.Example", "ann@quarry.example"),
            (" ann@quarry.example", "ann@quarry.example\n"),
            ("ann@MÜNCHEN.example", "ann@xn--mnchen-3ya.example"),
            ("ann@mu\u{308}nchen.example", "ann@XN--MNCHEN-3YA.example"),
            ("jose\u{301}@quarry.example", "josé@quarry.example"),
        ] {
            assert!(same_address(one, other), "{one} {other}");
            assert!(same(one, other), "{one} {other}: equal addresses have the same key");
        }
        for (one, other) in [
            ("boss@example.com", "boss@ex\u{430}mple.com"),
            ("boss@example.com", "boss@xn--exmple-4nf.com"),
            ("boss@example.com", "b\u{43e}ss@example.com"),
            ("boss@example.com", "ｂｏｓｓ@example.com"),
            ("\u{e9}va@example.com", "\u{c9}va@example.com"),
            ("straße@example.com", "strasse@example.com"),
            ("ann@straße.example", "ann@strasse.example"),
            ("ann@example.com", "ann@example.com.example"),
            ("ann", "ann@example.com"),
        ] {
            assert!(!same_address(one, other), "{one} {other}");
        }
    }

    #[test]
    fn mail_servers_are_given_domains_in_ascii() {
        for (address, expected) in [
            ("ann@münchen.example", "ann@xn--mnchen-3ya.example"),
            ("jörg@münchen.example", "jörg@xn--mnchen-3ya.example"),
            ("Ann@Quarry.example", "Ann@Quarry.example"),
            ("ann@xn--mnchen-3ya.example", "ann@xn--mnchen-3ya.example"),
            ("nobody", "nobody"),
        ] {
            assert_eq!(mailbox(address), expected);
        }
    }

    #[test]
    fn usernames_are_equal_but_for_case() {
        for (one, other) in [("ann", "ANN"), ("josé", "JOSE\u{301}"), ("ann", " ａｎｎ "), ("straße", "STRASSE")] {
            assert!(same_username(one, other), "{one} {other}");
        }
        for (one, other) in [("admin", "\u{430}dmin"), ("admin", "adm\u{131}n"), ("jose", "josé")] {
            assert!(!same_username(one, other), "{one} {other}");
        }
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
        fn equal_addresses_have_the_same_key(text in "[a-zA-Zéßа.+]{1,6}@[a-zA-ZéßÄаο.-]{1,9}") {
            if let Ok(address) = email(&text) {
                let canonical = canonical_address(&address);
                prop_assert_eq!(canonical_address(&canonical), canonical.clone());
                prop_assert_eq!(fold(&canonical), fold(&address));
                prop_assert_eq!(fold(&address.to_ascii_uppercase()), fold(&address));
            }
        }

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
