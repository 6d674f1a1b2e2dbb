//! API tokens: recognizable by people and by scanners for leaked secrets.
//!
//! The text is `vst_`, 43 characters of secret and 6 of checksum; the expression `vst_[A-Za-z0-9_-]{49}` finds it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use crate::tools::secret::Secret;

/// Prefix of every token.
const START: &str = "vst_";

/// Number of characters stored to recognize a token; 24 of the secret's 256 bits.
const SHOWN: usize = 8;

/// Length of the checksum: CRC-32, which detects every change of a single character.
const CHECKSUM: usize = 6;

/// An API token: 256 secret bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken(Secret);

impl ApiToken {
    /// The token with this secret.
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// True for texts in the form of an API token, valid or not, of this service or imported; false for access tokens.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with(START) || MovedToken::is_meant_by(text)
    }

    /// The text, shown to its owner once.
    pub fn to_text(&self) -> String {
        let text = format!("{START}{}", self.0.to_text());
        let checksum = checksum(&text);
        text + &checksum
    }

    /// Parses the text form; `None` if a character is wrong, so a typing error costs no query.
    pub fn from_text(text: &str) -> Option<Self> {
        let (text, given) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
        let secret = Secret::from_text(text.strip_prefix(START)?)?;
        (checksum(text) == given).then_some(Self(secret))
    }

    /// The SHA-256 of its secret, stored instead of the token.
    pub fn digest(&self) -> Vec<u8> {
        self.0.digest()
    }

    /// Beginning of the text, by which its owner recognizes it.
    pub fn prefix(&self) -> String {
        self.to_text().chars().take(SHOWN).collect()
    }
}

/// A token of another system that was imported so that scripts keep working: 40 hexadecimal digits, as created by
/// Django REST framework. Of its 160 bits, 128 stay secret besides the displayed beginning.
#[derive(Clone, PartialEq, Eq)]
pub struct MovedToken(String);

impl MovedToken {
    /// True for texts of this form.
    pub fn is_meant_by(text: &str) -> bool {
        text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// Parses the text; `None` if it has another form.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::is_meant_by(text).then(|| Self(text.to_owned()))
    }

    /// The SHA-256 of its text, stored instead of the token.
    pub fn digest(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref().to_vec()
    }

    /// Beginning of the text, by which its owner recognizes it.
    pub fn prefix(&self) -> String {
        self.0.chars().take(SHOWN).collect()
    }
}

impl fmt::Debug for MovedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MovedToken([secret])")
    }
}

/// The stored digest of a token of either kind; `None` for other texts.
pub fn digest_of(text: &str) -> Option<Vec<u8>> {
    let moved = MovedToken::from_text(text).map(|token| token.digest());
    moved.or_else(|| ApiToken::from_text(text).map(|token| token.digest()))
}

fn checksum(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(crc32fast::hash(text.as_bytes()).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_reads_back(bytes: [u8; 32]) {
            let token = ApiToken::new(Secret::new(bytes));
            let text = token.to_text();
            prop_assert_eq!(text.len(), START.len() + 43 + CHECKSUM);
            prop_assert!(text.starts_with(&token.prefix()));
            prop_assert_eq!(ApiToken::from_text(&text), Some(token));
        }

        #[test]
        fn no_changed_character_goes_unnoticed(bytes: [u8; 32], at in 0..53_usize, to in "[ -~]") {
            let text = ApiToken::new(Secret::new(bytes)).to_text();
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert_eq!(ApiToken::from_text(&changed).is_some(), changed == text);
            prop_assert_eq!(ApiToken::from_text(&text[..at]), None);
            prop_assert_eq!(ApiToken::from_text(&format!("{text}{to}")), None);
        }

        #[test]
        fn two_neighbours_that_changed_places_are_noticed(bytes: [u8; 32], at in 0..52_usize) {
            let text = ApiToken::new(Secret::new(bytes)).to_text();
            let mut changed = text.clone().into_bytes();
            changed.swap(at, at + 1);
            let changed = String::from_utf8(changed).unwrap();
            prop_assert_eq!(ApiToken::from_text(&changed).is_some(), changed == text);
        }

    }

    #[test]
    fn a_token_that_was_taken_over_has_forty_hexadecimal_digits() {
        let text = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b";
        let token = MovedToken::from_text(text).unwrap();
        assert_eq!((token.digest().len(), token.prefix().as_str()), (32, "9944b091"));
        assert_eq!(format!("{token:?}"), "MovedToken([secret])");
        assert!(ApiToken::is_meant_by(text) && ApiToken::from_text(text).is_none());
        assert_eq!(digest_of(text), Some(token.digest()));
        for other in [&text[1..], &text.to_uppercase(), &format!("{text}0"), &format!("g{}", &text[1..]), ""] {
            assert_eq!(digest_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", ApiToken::new(Secret::random())), "ApiToken([secret])");
    }
}
