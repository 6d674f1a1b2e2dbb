//! Passwords and their stored hashes (Argon2id, RFC 9106), computed away from the threads that serve requests.

mod django;
mod engine;
mod hasher;
mod params;
mod calibrate;

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

pub use self::calibrate::Speed;
pub use self::django::{DjangoHash, NotKept};
pub use self::engine::Argon2Engine;
pub use self::hasher::{Hasher, Load, Verdict};
pub use self::params::{Argon2Params, InvalidParams};

/// Maximum length of a password in code points; at four bytes each, 512 bytes at most.
pub const MAX_LENGTH: usize = 128;

/// Maximum number of typed code points that are kept: composition joins at most four into one.
const MAX_TYPED: usize = 4 * MAX_LENGTH;

/// A password in Unicode normalisation form C, so that different keyboards produce the same text (NIST SP 800-63B).
/// Nothing else is changed: spaces and upper case count. It prints as `[secret]`.
///
/// A text longer than [`MAX_LENGTH`] is cut just beyond that; such a password is too long to be set or correct.
#[derive(Clone)]
pub struct Password {
    composed: String,
    /// The text before composition, if that differs: hashes of other systems may be of it.
    typed: Option<String>,
}

impl Password {
    /// Reads a password from this text.
    pub fn new(text: &str) -> Self {
        let composed: String = text.nfc().take(MAX_LENGTH + 1).collect();
        // Composition shortens a text, so a text that is too long as typed may still fit.
        let typed = text.chars().take(MAX_TYPED).collect::<String>();
        Self { typed: Some(typed).filter(|typed| *typed != composed), composed }
    }

    /// The text itself, without protection from logs.
    pub fn reveal(&self) -> &str {
        &self.composed
    }

    /// The text as typed, if composition changed it.
    pub(crate) fn as_typed(&self) -> Option<&str> {
        self.typed.as_deref()
    }

    /// Number of code points; longer texts count as [`MAX_LENGTH`] plus one.
    pub fn length(&self) -> usize {
        self.composed.chars().count()
    }

    /// True for more than [`MAX_LENGTH`] code points.
    pub fn is_too_long(&self) -> bool {
        self.length() > MAX_LENGTH
    }
}

/// Two passwords are equal if their composed texts are.
impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.composed == other.composed
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_composed_but_otherwise_as_typed() {
        assert_eq!(Password::new("cafe\u{301}"), Password::new("caf\u{e9}"));
        assert_ne!(Password::new(" blank"), Password::new("blank"));
        assert_ne!(Password::new("blank "), Password::new("blank"));
        assert_ne!(Password::new("Case"), Password::new("case"));
        assert_ne!(Password::new("ﬁ"), Password::new("fi"), "compatibility characters are not folded");
    }

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(format!("{:?}", Password::new("open sesame")), "[secret]");
    }

    #[test]
    fn code_points_are_counted_and_megabytes_not_kept() {
        assert!(!Password::new(&"😀".repeat(MAX_LENGTH)).is_too_long());
        assert_eq!(Password::new(&"😀".repeat(MAX_LENGTH)).reveal().len(), 512);
        assert!(Password::new(&"a".repeat(MAX_LENGTH + 1)).is_too_long());
        assert_eq!(Password::new(&"a".repeat(1 << 22)).reveal().len(), MAX_LENGTH + 1);
    }
}
