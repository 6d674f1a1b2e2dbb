//! Which passwords are good enough to be chosen (OWASP ASVS 5.0, 6.2; NIST SP 800-63B): long enough, not known to others,
//! not made of what is known about the person or the site, and not quickly guessed. There are no rules on kinds of
//! characters.

mod similar;

use std::collections::HashSet;
use std::sync::LazyLock;

use zxcvbn::zxcvbn;

use crate::error::{Code, Refusal};
use crate::tools::password::{MAX_LENGTH, Password};

/// The least strength of a password, as the score of zxcvbn (0 to 4).
pub const MIN_STRENGTH: u8 = 3;

/// The guesses from which on zxcvbn's documentation gives the score [`MIN_STRENGTH`]. They are compared instead of its
/// score because that asks for five more, and eight characters without any pattern count as 10^8 and one: by the score,
/// no password of eight characters could ever be chosen.
const MIN_GUESSES: u64 = 100_000_000;

/// So many code points are looked at together; enough for three words.
const PART_LENGTH: usize = 24;

/// The rules that a site can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The least number of code points, up to [`MAX_LENGTH`].
    pub min_length: usize,
}

impl PasswordPolicy {
    /// Whether the password may be chosen. `context` is what an attacker would try first: the names of the site, its
    /// host, and the person's names, e-mail address and username, each as one text.
    ///
    /// Refuses with [`Code::PasswordTooShort`], [`Code::TooLong`], [`Code::PasswordTooCommon`] (many use it, or it is
    /// quickly guessed) or [`Code::PasswordTooSimilar`] (made of the context). Takes some
    /// milliseconds, and some tens of them at worst: too long for a thread that serves requests.
    pub fn check(&self, password: &Password, context: &[&str]) -> Result<(), Refusal> {
        self.check_length(password)?;
        if is_common(password.reveal()) {
            let message = "Many people use this password, so it is tried first; choose another.";
            return Err(Refusal::new(Code::PasswordTooCommon, message));
        }
        let words = similar::words(context);
        if similar::resembles(password.reveal(), &words) {
            let message = "Leave out your names, your addresses, and the name of this site.";
            return Err(Refusal::new(Code::PasswordTooSimilar, message));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if !is_strong(password.reveal(), &words) {
            let message = "This password is quickly guessed; make it longer, for example of several unrelated words.";
            return Err(Refusal::new(Code::PasswordTooCommon, message));
        }
        Ok(())
    }

    /// The part of [`Self::check`] that costs nothing.
    ///
    /// Refuses with [`Code::PasswordTooShort`] or [`Code::TooLong`].
    pub fn check_length(&self, password: &Password) -> Result<(), Refusal> {
        if password.length() < self.min_length {
            let message = format!("Use at least {} characters.", self.min_length);
            return Err(Refusal::new(Code::PasswordTooShort, message));
        }
        if password.is_too_long() {
            return Err(Refusal::new(Code::TooLong, format!("Use at most {MAX_LENGTH} characters.")));
        }
        Ok(())
    }
}

/// Whether any part takes enough guesses; the whole then takes no fewer. What an estimate costs grows faster than the
/// square of the length, to most of a second for 100 characters that each may stand for a letter.
fn is_strong(password: &str, words: &[&str]) -> bool {
    let characters: Vec<char> = password.chars().collect();
    let mut parts = characters.chunks(PART_LENGTH).map(String::from_iter);
    parts.any(|part| zxcvbn(&part, words).guesses() >= MIN_GUESSES)
}

/// Passwords that many people use; `common_passwords.md` tells where they come from.
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
        assert!(refused.message.contains("15"));
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
