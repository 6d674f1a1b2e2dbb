//! Recovery codes, which replace a lost second factor once each.

use std::fmt;
use std::ops::RangeInclusive;

use crate::tools::base32;
use crate::tools::secret::{Secret, digest_text};

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

/// Lengths of imported codes, without spaces and hyphens. Shorter ones would be guessed sooner than codes of an app.
const IMPORTED: RangeInclusive<usize> = 6..=64;

/// A recovery code of another system. It may have few bits, so that its digest would reveal it: it is stored sealed, and
/// attempts at it are limited. It prints as `[secret]`.
#[derive(Clone, Eq)]
pub struct ImportedCode(String);

impl ImportedCode {
    /// Parses a stored or typed code, in any case, with or without hyphens and spaces. `None` if it is too short or too
    /// long, or has other characters than letters and digits.
    pub fn from_text(typed: &str) -> Option<Self> {
        let code: String = typed.chars().filter(|char| !char.is_whitespace() && *char != '-').collect();
        let is_plain = code.chars().all(|char| char.is_ascii_alphanumeric());
        (is_plain && IMPORTED.contains(&code.len())).then(|| Self(code.to_ascii_lowercase()))
    }

    /// The letters and digits, for sealing.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Compares digests, so that the time reveals nothing.
impl PartialEq for ImportedCode {
    fn eq(&self, other: &Self) -> bool {
        digest_text(&self.0) == digest_text(&other.0)
    }
}

impl fmt::Debug for ImportedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
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
    fn an_imported_code_is_recognized_as_typed() {
        let code = ImportedCode::from_text("mfrggzdf").unwrap();
        for typed in ["mfrggzdf", " MFRG-GZDF\n", "mf rg gz df"] {
            assert_eq!(ImportedCode::from_text(typed), Some(code.clone()), "{typed}");
        }
        assert_ne!(ImportedCode::from_text("mfrggzdg"), Some(code.clone()));
        for typed in ["", "12345", "1-2-3 45", "mfrg_gzdf", "mfrggzd\u{f6}", &"a".repeat(65)] {
            assert_eq!(ImportedCode::from_text(typed), None, "{typed}");
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
