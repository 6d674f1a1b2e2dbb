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

/// The most code points that a password may have; at four bytes each, they take 512 bytes at most.
pub const MAX_LENGTH: usize = 128;

/// As much is kept of a password as it was typed, in code points: one is composed of four at most.
const MAX_TYPED: usize = 4 * MAX_LENGTH;

/// A password as it was typed, in Unicode normalisation form C, so that it does not matter how a keyboard composes an
/// accent (NIST SP 800-63B). Nothing else is changed: blanks and upper case count. It prints as `[secret]`.
///
/// Of a text longer than [`MAX_LENGTH`] only so much is kept as shows that it is too long; such a password can be neither
/// set nor right.
#[derive(Clone)]
pub struct Password {
    composed: String,
    /// The text before it was composed, where that differs: hashes that were made elsewhere may be of it.
    typed: Option<String>,
}

impl Password {
    /// The password in this text.
    pub fn new(text: &str) -> Self {
        let composed: String = text.nfc().take(MAX_LENGTH + 1).collect();
        // Composing takes nothing away, so that what is too long as it was typed may yet be short enough.
        let typed = text.chars().take(MAX_TYPED).collect::<String>();
        Self { typed: Some(typed).filter(|typed| *typed != composed), composed }
    }

    /// The text itself; what holds it is no longer guarded.
    pub fn reveal(&self) -> &str {
        &self.composed
    }

    /// The text as it was typed, where composing changed it.
    pub(crate) fn as_typed(&self) -> Option<&str> {
        self.typed.as_deref()
    }

    /// How many code points it has; one more than [`MAX_LENGTH`] stands for all that are too many.
    pub fn length(&self) -> usize {
        self.composed.chars().count()
    }

    /// Whether it has more than [`MAX_LENGTH`] code points.
    pub fn is_too_long(&self) -> bool {
        self.length() > MAX_LENGTH
    }
}

/// Two are the same that are composed of the same.
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
