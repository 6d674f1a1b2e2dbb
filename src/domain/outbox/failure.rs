//! Reasons of failed deliveries, in words for staff.

use crate::entity::mail;
use crate::texts::Text;

/// A reason for a failed delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The mail server knows no such mailbox.
    UnknownAddress,
    /// The mailbox has no room.
    MailboxFull,
    /// The mail server refuses the message or its sender.
    Refused,
    /// The mail server wants the message later.
    Later,
    /// The mail server was not reached, or refused the settings of the service.
    Server,
}

impl Failure {
    /// The reason of the last failed attempt; `None` if none failed.
    pub fn of(mail: &mail::Model) -> Option<Self> {
        mail.last_error.as_deref().map(Self::of_summary)
    }

    /// Classifies the summary of an error: the reply code (RFC 5321, section 4.2.3), the enhanced code (RFC 3463) if the
    /// server sends one, and a text.
    fn of_summary(summary: &str) -> Self {
        let mut words = summary.split_whitespace();
        let Some(code) = words.next().and_then(|word| word.parse::<u16>().ok()) else { return Self::Server };
        let enhanced = words.next().and_then(|word| word.split_once('.')).map(|(_, detail)| detail);
        match (code, enhanced) {
            (_, Some("2.2")) | (452 | 552, None) => Self::MailboxFull,
            (_, Some("1.1" | "1.2" | "1.3" | "1.6" | "1.10" | "2.1")) | (550 | 551 | 553 | 556, None) => {
                Self::UnknownAddress
            }
            (432 | 454 | 500..=504 | 530 | 534 | 535 | 538, _) => Self::Server,
            (400..=499, _) => Self::Later,
            _ => Self::Refused,
        }
    }

    /// The reason in words, with advice.
    pub fn text(self) -> Text {
        match self {
            Self::UnknownAddress => Text::new("mail-failure-unknown-address"),
            Self::MailboxFull => Text::new("mail-failure-mailbox-full"),
            Self::Refused => Text::new("mail-failure-refused"),
            Self::Later => Text::new("mail-failure-later"),
            Self::Server => Text::new("mail-failure-server"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_mail_servers_have_a_reason_in_words() {
        for (summary, expected) in [
            ("550 5.1.1 no such user", Failure::UnknownAddress),
            ("550 no such mailbox", Failure::UnknownAddress),
            ("552 5.2.2 over quota", Failure::MailboxFull),
            ("452 mailbox full", Failure::MailboxFull),
            ("451 4.7.1 greylisted", Failure::Later),
            ("554 5.7.1 spam", Failure::Refused),
            ("550 5.7.26 unauthenticated sender", Failure::Refused),
            ("535 the mail server rejected our sign-in", Failure::Server),
            ("no connection to the mail server: connection refused", Failure::Server),
            ("", Failure::Server),
        ] {
            assert_eq!(Failure::of_summary(summary), expected, "{summary}");
        }
    }
}
