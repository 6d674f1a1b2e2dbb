//! Rules for new passwords (OWASP ASVS 5.0, 6.2; NIST SP 800-63B): long enough, not common, not similar to data about
//! the person or the site, and not easy to guess. No kind of character is required.

mod similar;

use std::collections::HashSet;
use std::sync::LazyLock;

use zxcvbn::zxcvbn;

use crate::error::{Code, Refusal};
use crate::tools::password::{MAX_LENGTH, Password};

/// Minimum strength of a password, as the score of zxcvbn (0 to 4).
pub const MIN_STRENGTH: u8 = 3;

/// Minimum number of guesses for the score [`MIN_STRENGTH`] according to zxcvbn's documentation. The code compares
/// guesses, because zxcvbn's own score requires five more, and eight characters without any pattern count as 10^8 + 1.
/// By the score, no password of eight characters would be accepted.
const MIN_GUESSES: u64 = 100_000_000;

/// Number of code points estimated together; enough for three words.
const PART_LENGTH: usize = 24;

/// The configurable rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Minimum number of code points, up to [`MAX_LENGTH`].
    pub min_length: usize,
}

impl PasswordPolicy {
    /// Checks a new password. `context` is data an attacker would try first: the names of the site, its host, and the
    /// person's names, email address and username, each as one text.
    ///
    /// Refuses with [`Code::PasswordTooShort`], [`Code::TooLong`], [`Code::PasswordTooCommon`] (common, or easy to
    /// guess) or [`Code::PasswordTooSimilar`] (similar to the context). It takes some milliseconds, and some tens of
    /// them at worst: too long for a thread that serves requests.
    pub fn check(&self, password: &Password, context: &[&str]) -> Result<(), Refusal> {
        self.check_length(password)?;
        if is_common(password.reveal()) {
            return Err(Refusal::new(Code::PasswordTooCommon, "password-too-common"));
        }
        let words = similar::words(context);
        if similar::resembles(password.reveal(), &words) {
            return Err(Refusal::new(Code::PasswordTooSimilar, "password-too-similar"));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if !is_strong(password.reveal(), &words) {
            return Err(Refusal::new(Code::PasswordTooCommon, "password-easy-to-guess"));
        }
        Ok(())
    }

    /// The cheap part of [`Self::check`].
    ///
    /// Refuses with [`Code::PasswordTooShort`] or [`Code::TooLong`].
    pub fn check_length(&self, password: &Password) -> Result<(), Refusal> {
        if password.length() < self.min_length {
            return Err(Refusal::new(Code::PasswordTooShort, "password-too-short").with("min", self.min_length));
        }
        if password.is_too_long() {
            return Err(Refusal::new(Code::TooLong, "password-too-long").with("max", MAX_LENGTH));
        }
        Ok(())
    }
}

/// True if any part takes enough guesses; the whole then takes no fewer. The cost of an estimate grows faster than the
/// square of the length: most of a second for 100 characters that may each represent a letter.
fn is_strong(password: &str, words: &[&str]) -> bool {
    let characters: Vec<char> = password.chars().collect();
    let mut parts = characters.chunks(PART_LENGTH).map(String::from_iter);
    parts.any(|part| zxcvbn(&part, words).guesses() >= MIN_GUESSES)
}

/// Common passwords; see `common_passwords.md` for their source.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("../common_passwords.txt").lines().collect());

fn is_common(password: &str) -> bool {
    COMMON.contains(caseless::default_case_fold_str(password).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: PasswordPolicy = PasswordPolicy { min_length: 8 };
    const CONTEXT: [&str; 6] =
        ["Vestibule", "accounts.harbour.example", "Margaret", "Okonjo-Müller", "mark.okonjo@quarry.example", "mokonjo"];

    fn refusal(password: &str) -> Option<Code> {
        POLICY.check(&Password::new(password), &CONTEXT).err().map(|refusal| refusal.code)
    }

    #[test]
    fn length_is_counted_in_composed_code_points() {
        for good in ["vT9#qLx2", "🦊🎲🚲🍋🧭🎻🪁🌵", "vT9#qLxe\u{301}"] {
            assert_eq!(refusal(good), None, "{good}");
        }
        for short in ["vT9#qLx", "🦊🎲🚲🍋🧭🎻🪁", "vT9#qLe\u{301}", ""] {
            assert_eq!(refusal(short), Some(Code::PasswordTooShort), "{short}");
        }
        let strict = PasswordPolicy { min_length: 15 };
        let refused = strict.check(&Password::new("vT9#qLx2mB7$kR"), &[]).unwrap_err();
        assert_eq!((refused.code, refused.field), (Code::PasswordTooShort, None));
        assert!(refused.message().contains("15"));
        assert_eq!(strict.check(&Password::new("vT9#qLx2mB7$kRw"), &[]), Ok(()));
    }

    #[test]
    fn passwords_of_128_characters_are_accepted_and_longer_ones_refused() {
        let words = "lantern otter drizzle pebble ".repeat(5);
        assert_eq!(refusal(&words[..128]), None);
        assert_eq!(refusal(&words[..129]), Some(Code::TooLong));
        let emoji = "🦊🎲🚲🍋🧭🎻🪁🌵".repeat(16);
        assert_eq!(refusal(&emoji), None);
        assert_eq!(refusal(&format!("{emoji}!")), Some(Code::TooLong));
    }

    #[test]
    fn the_list_is_what_its_description_says() {
        let lines: Vec<&str> = include_str!("../common_passwords.txt").lines().collect();
        assert_eq!(lines.len(), 20_000);
        assert!(lines.is_sorted_by(|one, next| one < next), "sorted, each once");
        for line in lines {
            assert!(line.len() >= 8 && line.bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{line}");
            assert_eq!(line, line.to_lowercase());
        }
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for line in include_str!("../common_passwords.txt").lines().step_by(200) {
            assert_eq!(refusal(line), Some(Code::PasswordTooCommon), "{line}");
            assert_eq!(refusal(&line.to_uppercase()), Some(Code::PasswordTooCommon), "{line}");
        }
    }

    #[test]
    fn passwords_quickly_guessed_are_refused() {
        for weak in [
            "aaaaaaaaaaaaaaaa",
            "abcdefghijklmnop",
            "qwertyuiop[]",
            "P@ssw0rd2026",
            "summer2026!",
            "2026-11-21",
            "        ",
        ] {
            assert_eq!(refusal(weak), Some(Code::PasswordTooCommon), "{weak}");
        }
    }

    #[test]
    fn no_kind_of_character_is_demanded() {
        for good in ["lantern otter drizzle pebble", "aaaa bbbb cccc dddd", "83015976284417", "жёлтый чайник на крыше"]
        {
            assert_eq!(refusal(good), None, "{good}");
        }
    }

    #[test]
    fn passwords_made_of_the_context_are_refused() {
        for similar in [
            "vestibule-2026",
            "V3st1bu1e#9xQ",
            "elubitsev!77q",
            "harbour harbour",
            "i love margaret 4ever",
            "M4rg4r3t-xk29",
            "teragramQ8#v",
            "okonjomuller+1",
            "OKONJO-MÜLLER",
            "mark//1987//q8#v",
            "my quarry pass 81",
            "margarethe",
            "mark.okonjo@quarry.example",
            "v.e.s.t.i.b.u.l.e.9",
        ] {
            assert_eq!(refusal(similar), Some(Code::PasswordTooSimilar), "{similar}");
        }
        for unrelated in
            ["remarkable lantern drizzle", "lantern otter drizzle pebble", "vT9#qLx2mB", "stable pebble drizzle"]
        {
            assert_eq!(refusal(unrelated), None, "{unrelated}");
        }
    }

    #[test]
    fn short_names_do_not_stand_in_the_way_but_do_not_help_either() {
        let check = |password: &str, context: &[&str]| POLICY.check(&Password::new(password), context);
        assert_eq!(check("bobbing lily cannot drizzle", &["Bo", "Li", "Ann", "", "..."]), Ok(()));
        assert_eq!(check("tuqzox99", &[]), Ok(()));
        assert_eq!(check("tuqzox99", &["Tuq", "Zox"]).unwrap_err().code, Code::PasswordTooCommon);
    }

    #[test]
    fn a_strong_part_makes_a_password_strong() {
        assert_eq!(refusal(&format!("{}lantern otter drizzle pebble", "-".repeat(60))), None);
        assert_eq!(refusal(&"password".repeat(16)), Some(Code::PasswordTooCommon));
    }
}
