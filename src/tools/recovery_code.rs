//! Recovery codes, which replace a lost second factor once each.

use std::fmt;

use crate::tools::base32;
use crate::tools::secret::Secret;

/// Length in bytes: 120 bits, 24 letters.
const LENGTH: usize = 15;

/// Letters between two hyphens.
const GROUP: usize = 4;

/// A recovery code. It prints as `[secret]`.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Secret<LENGTH>);

impl RecoveryCode {
    /// A new code.
    pub fn random() -> Self {
        Self(Secret::random())
    }

    /// The form for people, such as `k4tz-7w2m-…`: six groups of four letters or digits.
    pub fn to_text(&self) -> String {
        let letters: Vec<char> = base32::encode(&self.0.reveal()).to_lowercase().chars().collect();
        letters.chunks(GROUP).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
    }

    /// Parses a typed code, in any case, with or without hyphens and spaces; otherwise `None`.
    pub fn from_text(typed: &str) -> Option<Self> {
        let letters: String = typed.chars().filter(|char| !char.is_whitespace() && *char != '-').collect();
        let bytes: [u8; LENGTH] = base32::decode(&letters)?.try_into().ok()?;
        Some(Self(Secret::new(bytes)))
    }

    /// The SHA-256 that is stored instead of the code.
    pub fn digest(&self) -> Vec<u8> {
        self.0.digest()
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_code_has_six_groups_and_is_read_back_as_typed() {
        let code = RecoveryCode::random();
        let text = code.to_text();
        assert!(text.len() == 29 && text.split('-').all(|group| group.len() == 4), "{text}");
        let typed = [text.clone(), text.replace('-', ""), text.replace('-', " ").to_uppercase(), format!(" {text}\n")];
        for typed in typed {
            assert_eq!(RecoveryCode::from_text(&typed), Some(code.clone()), "{typed}");
        }
        for typed in ["", "123456", &text[1..], &format!("{text}a"), &text.replace('-', "_")] {
            assert_eq!(RecoveryCode::from_text(typed), None, "{typed}");
        }
        assert_eq!(format!("{code:?}"), "[secret]");
    }

    #[test]
    fn codes_have_120_bits_and_none_comes_twice() {
        let codes: Vec<RecoveryCode> = (0..10_000).map(|_| RecoveryCode::random()).collect();
        assert_eq!(codes.iter().map(RecoveryCode::digest).collect::<HashSet<_>>().len(), 10_000);
        // Each bit is set in about half of the cases.
        for bit in 0..LENGTH * 8 {
            let set = codes.iter().filter(|code| code.0.reveal()[bit / 8] >> (bit % 8) & 1 == 1);
            assert!((4_500..5_500).contains(&set.count()), "bit {bit}");
        }
    }
}
