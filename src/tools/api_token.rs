//! The tokens that scripts hold: made to be recognised, by people as well as by programs that look for leaked secrets.
//!
//! The text is `vst_`, 43 characters of secret and 6 of checksum; the expression `vst_[A-Za-z0-9_-]{49}` finds it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use crate::tools::secret::Secret;

/// What each begins with.
const START: &str = "vst_";

/// How many characters of the text are kept to recognise a token by; 24 of the secret's 256 bits.
const SHOWN: usize = 8;

/// The characters of the checksum: CRC-32, which notices every change of a single character for certain.
const CHECKSUM: usize = 6;

/// A token for a script: 256 secret bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken(Secret);

impl ApiToken {
    /// The token of this secret.
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// Whether a text means to be such a token, or one that was taken over, and no access token, whether it is one or not.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with(START) || MovedToken::is_meant_by(text)
    }

    /// The text that its owner is shown once.
    pub fn to_text(&self) -> String {
        let text = format!("{START}{}", self.0.to_text());
        let checksum = checksum(&text);
        text + &checksum
    }

    /// Reads the text back; `None` where a character is wrong, so that a typo costs no query.
    pub fn from_text(text: &str) -> Option<Self> {
        let (text, given) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
        let secret = Secret::from_text(text.strip_prefix(START)?)?;
        (checksum(text) == given).then_some(Self(secret))
    }

    /// What is stored in place of the token: the SHA-256 of its secret.
    pub fn digest(&self) -> Vec<u8> {
        self.0.digest()
    }

    /// How its text begins, for its owner to recognise it by.
    pub fn prefix(&self) -> String {
        self.to_text().chars().take(SHOWN).collect()
    }
}

/// A token that another system made and that was taken over, so that scripts go on: 40 hexadecimal digits, as Django REST
/// framework makes them. Of these 160 bits, 128 stay secret beside what is shown of it.
#[derive(Clone, PartialEq, Eq)]
pub struct MovedToken(String);

impl MovedToken {
    /// Whether a text is one by its form.
    pub fn is_meant_by(text: &str) -> bool {
        text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// Reads its text; `None` where it has another form.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::is_meant_by(text).then(|| Self(text.to_owned()))
    }

    /// What is stored in place of the token: the SHA-256 of its text.
    pub fn digest(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref().to_vec()
    }

    /// How its text begins, for its owner to recognise it by.
    pub fn prefix(&self) -> String {
        self.0.chars().take(SHOWN).collect()
    }
}

impl fmt::Debug for MovedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MovedToken([secret])")
    }
}

/// What is stored in place of a token of either kind; `None` where a text is none.
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
