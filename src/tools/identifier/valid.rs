use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::GeneralSecurityProfile as _;

use super::domain;
use crate::error::{Code, Refusal};
use crate::tools::secret::Secret;
use crate::tools::text::{self, is_invisible};

/// Maximum length of an email address in bytes (RFC 5321, 4.5.3.1.3, without the angle brackets).
pub const MAX_EMAIL_BYTES: usize = 254;
/// Maximum length of the part before the "@" in bytes (RFC 5321, 4.5.3.1.1).
pub const MAX_LOCAL_PART_BYTES: usize = 64;
/// Maximum length of a username in code points.
pub const MAX_USERNAME_LENGTH: usize = 150;

/// Validates an email address. The result is trimmed and otherwise as typed, except for a domain in its `xn--` form: it
/// is converted to Unicode, so that an address has one form whatever the browser sends.
///
/// Refuses with [`Code::Required`], [`Code::TooLong`] or [`Code::Invalid`]. Valid are addresses without quotes and
/// comments (the dot-atoms of RFC 5322, with the letters of RFC 6531) at a named host, which may be a single label such
/// as `localhost`.
pub fn email(text: &str) -> Result<String, Refusal> {
    let invalid = || Refusal::new(Code::Invalid, "email-invalid");
    let text = text::trim(text);
    if text.is_empty() {
        return Err(Refusal::new(Code::Required, "email-required"));
    }
    refuse_invisible(text)?;
    let address: String = text.nfc().take(MAX_EMAIL_BYTES + 1).collect();
    if address.len() > MAX_EMAIL_BYTES {
        return Err(Refusal::new(Code::TooLong, "email-too-long").with("max", MAX_EMAIL_BYTES));
    }
    let (local, domain) = address.split_once('@').ok_or_else(invalid)?;
    if local.len() > MAX_LOCAL_PART_BYTES {
        return Err(Refusal::new(Code::TooLong, "email-name-too-long").with("max", MAX_LOCAL_PART_BYTES));
    }
    let local_fits = local.split('.').all(|atom| !atom.is_empty() && is_word(atom, "!#$%&'*+-/=?^_`{|}~"));
    if !local_fits || !is_domain(domain) || address.parse::<lettre::Address>().is_err() {
        return Err(invalid());
    }
    if !domain.is_ascii() && idna::domain_to_ascii(domain).is_err() {
        return Err(invalid());
    }
    let shown = domain::in_unicode(domain).filter(|shown| local.len() + 1 + shown.len() <= MAX_EMAIL_BYTES);
    match shown.filter(|shown| is_domain(shown)) {
        Some(shown) => Ok(format!("{local}@{shown}")),
        None => Ok(address),
    }
}

/// Validates a username. The result is trimmed and otherwise as typed.
///
/// Refuses with [`Code::Required`], [`Code::TooLong`] (over [`MAX_USERNAME_LENGTH`]) or [`Code::Invalid`]. Valid are
/// letters, digits and `. _ + -`, with at least one letter or digit. Without "@", a username can never be an email
/// address.
pub fn username(text: &str) -> Result<String, Refusal> {
    let text = text::trim(text);
    if text.is_empty() {
        return Err(Refusal::new(Code::Required, "username-required"));
    }
    refuse_invisible(text)?;
    let name: String = text.nfc().take(MAX_USERNAME_LENGTH + 1).collect();
    if name.chars().count() > MAX_USERNAME_LENGTH {
        return Err(Refusal::new(Code::TooLong, "username-too-long").with("max", MAX_USERNAME_LENGTH));
    }
    if !is_word(&name, USERNAME_SIGNS) || !name.contains(char::is_alphanumeric) {
        return Err(Refusal::new(Code::Invalid, "username-characters"));
    }
    Ok(name)
}

/// Refuses an invisible character by its code point, because the user cannot see it.
fn refuse_invisible(text: &str) -> Result<(), Refusal> {
    let Some(mark) = text.chars().find(|c| is_invisible(*c)) else { return Ok(()) };
    let code_point = format!("U+{:04X}", u32::from(mark));
    Err(Refusal::new(Code::Invalid, "invisible-character").with("character", code_point))
}

const USERNAME_SIGNS: &str = "._+-";

/// Generates a username for an account without a chosen one, such as `user-7kqm3xvd`. It contains nothing of the
/// account: usernames are public, and must not reveal which addresses have accounts. It may be taken.
pub fn neutral_username() -> String {
    format!("user-{}", random_suffix())
}

/// Eight random letters and digits that are allowed in usernames and addresses.
pub fn random_suffix() -> String {
    /// Letters and digits that are not easily confused; without vowels they form no words.
    const SIGNS: &[u8; 27] = b"bcdfghjkmnpqrstvwxz23456789";
    const LENGTH: usize = 8;
    let mut random = u128::from_be_bytes(Secret::<16>::random().reveal());
    let mut suffix = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let sign = usize::try_from(random % SIGNS.len() as u128).unwrap_or_default();
        suffix.extend(SIGNS.get(sign).copied().map(char::from));
        random /= SIGNS.len() as u128;
    }
    suffix
}

/// Labels of letters, digits and inner hyphens, up to 63 bytes each (RFC 1035, 2.3.4). The last one is not a number,
/// because an IP address is not a domain.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = !label.starts_with('-') && !label.ends_with('-');
        (1..=63).contains(&label.len()) && inner && is_word(label, "-")
    };
    let number = text.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    !number && text.split('.').all(is_label)
}

/// True if the text has only letters, digits, accents on these, and these signs.
fn is_word(text: &str, signs: &str) -> bool {
    let mut carries_accents = false;
    text.chars().all(|c| {
        let fits =
            if is_combining_mark(c) { carries_accents && is_letter(c) } else { is_letter(c) || signs.contains(c) };
        carries_accents = is_letter(c);
        fits
    })
}

/// Letters, digits and combining marks that are allowed in identifiers (UTS #39, General Security Profile). Invisible
/// characters and compatibility forms are not among them.
pub(super) fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || (!c.is_ascii() && (c.is_alphanumeric() || is_combining_mark(c)) && c.identifier_allowed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tools::identifier::fold;

    fn code<T>(result: Result<T, Refusal>) -> Option<Code> {
        result.err().map(|refusal| refusal.code)
    }

    #[test]
    fn addresses_are_trimmed_and_composed_but_keep_their_case() {
        for (text, address) in [
            ("Ann.Lee+news@Quarry.example", "Ann.Lee+news@Quarry.example"),
            ("  ann@quarry.example\n", "ann@quarry.example"),
            ("admin@localhost", "admin@localhost"),
            ("o'brien@x-y.example", "o'brien@x-y.example"),
            ("jose\u{301}@mu\u{308}nchen.example", "josé@münchen.example"),
            ("ann@xn--mnchen-3ya.example", "ann@münchen.example"),
            ("Ann@XN--MNCHEN-3YA.example", "Ann@münchen.example"),
            ("ann@xn--exmple-4nf.com", "ann@xn--exmple-4nf.com"),
            ("用户@例子.example", "用户@例子.example"),
            ("1@2.x3", "1@2.x3"),
        ] {
            assert_eq!(email(text).as_deref(), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "ann",
            "@",
            "ann@",
            "@quarry.example",
            "ann@@quarry.example",
            "a@b@quarry.example",
            "ann lee@quarry.example",
            "ann@quarry .example",
            "ann@.example",
            "ann@quarry..example",
            "ann@quarry.example.",
            "ann@-quarry.example",
            "ann@quarry-.example",
            "ann@qua_rry.example",
            ".ann@quarry.example",
            "ann.@quarry.example",
            "a..b@quarry.example",
            "ann,bob@quarry.example",
            "ann;bob@quarry.example",
            "ann@quarry.example,bob@quarry.example",
            "<ann@quarry.example>",
            "Ann <ann@quarry.example>",
            "\"ann\"@quarry.example",
            "ann(home)@quarry.example",
            "ann\\@quarry.example",
            "ann@[127.0.0.1]",
            "ann@127.0.0.1",
            "ann@[IPv6:::1]",
            "ann@quarry.example\r\nBcc: bob",
            "an\0n@quarry.example",
            "an\u{200b}n@quarry.example",
            "an\u{200d}n@quarry.example",
            "an\u{ad}n@quarry.example",
            "\u{202e}ann@quarry.example",
            "ann@qua\u{2060}rry.example",
            "ann\u{3164}@quarry.example",
            "ann＠quarry.example",
            "ａnn@quarry.example",
            "ann@quarry\u{3002}example",
            "\u{301}ann@quarry.example",
            "ann@⒈example",
            "ann@\u{feff}x.example",
        ] {
            assert_eq!(code(email(text)), Some(Code::Invalid), "{text:?}");
        }
        assert_eq!(code(email("")), Some(Code::Required));
        assert_eq!(code(email(" \t")), Some(Code::Required));
    }

    #[test]
    fn addresses_have_a_length() {
        let local = "a".repeat(64);
        assert!(email(&format!("{local}@quarry.example")).is_ok());
        assert_eq!(code(email(&format!("{local}a@quarry.example"))), Some(Code::TooLong));
        let label = "b".repeat(60);
        let longest = format!("{local}@{label}.{label}.{label}.example");
        assert_eq!(longest.len(), 254 + 1);
        assert_eq!(code(email(&longest)), Some(Code::TooLong));
        assert!(email(&longest.replace("example", "exampl")).is_ok());
        assert_eq!(code(email(&format!("a@{}.example", "b".repeat(64)))), Some(Code::Invalid));
        assert_eq!(code(email(&"é".repeat(1 << 20))), Some(Code::TooLong));
    }

    #[test]
    fn usernames_are_letters_digits_and_four_signs() {
        for name in ["ann", "Ann_Lee-87", "a.b+c", "7", "josé", "иван", "王芳", "अनिल", "-ann"] {
            assert_eq!(username(name).as_deref(), Ok(name));
        }
        assert_eq!(username(" jose\u{301} ").as_deref(), Ok("josé"));
        assert_eq!(username("\u{feff}ann\u{200f}").as_deref(), Ok("ann"));
        for name in [
            "ann@quarry",
            "ann lee",
            "ann\u{a0}lee",
            "a/b",
            "a'b",
            "a,b",
            "<ann>",
            "a\"b",
            "...",
            "-",
            "an\u{200d}n",
            "an\u{ad}n",
            "\u{202e}ann",
            "an\u{200f}n",
            "a\0b",
            "ａｎｎ",
            "ann＠quarry",
            "\u{301}ann",
            "a.\u{301}",
            "ann😀",
            "ﬁn",
            "\u{3164}",
            "a\u{e0041}",
        ] {
            assert_eq!(code(username(name)), Some(Code::Invalid), "{name:?}");
        }
        assert_eq!(code(username(" ")), Some(Code::Required));
        assert!(username(&"é".repeat(150)).is_ok());
        assert!(username(&"e\u{301}".repeat(150)).is_ok());
        assert_eq!(code(username(&"é".repeat(151))), Some(Code::TooLong));
        assert_eq!(code(username(&"é".repeat(1 << 20))), Some(Code::TooLong));
    }

    #[test]
    fn neutral_usernames_are_allowed_and_differ() {
        let names: std::collections::HashSet<String> = (0..1_000).map(|_| neutral_username()).collect();
        assert_eq!(names.len(), 1_000);
        for name in &names {
            assert_eq!(username(name).as_ref(), Ok(name));
            assert_eq!((fold(name).as_str(), name.len()), (name.as_str(), 13));
            assert!(name.strip_prefix("user-").is_some_and(|rest| !rest.contains(['0', '1', 'o', 'l', 'i'])), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_allowed_is_stable_and_no_username_is_an_address(text in "\\PC{0,12}", local in "[a-zé.+!а]{1,9}") {
            if let Ok(name) = username(&text) {
                prop_assert_eq!(username(&name), Ok(name.clone()));
                prop_assert!(!fold(&name).contains('@'));
            }
            for email_like in [format!("{local}@quarry.example"), text] {
                if let Ok(address) = email(&email_like) {
                    prop_assert_eq!(email(&address), Ok(address.clone()));
                    prop_assert_eq!(fold(&address).matches('@').count(), 1);
                }
            }
        }
    }
}
