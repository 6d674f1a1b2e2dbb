//! The ways in which mails leave the service.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::folder;
use super::memory::Memory;
use super::message::{Message, Sender};
use super::mime::compose;
use super::smtp::Smtp;
use super::url::MailUrl;
use super::wording::one_line;
use crate::tools::certificates::Trust;
use crate::tools::clock::Timestamp;

/// A way in which mails leave the service.
#[derive(Debug)]
pub enum Transport {
    /// Into a folder, one file each.
    Folder(PathBuf),
    /// To an SMTP server.
    Smtp(Smtp),
    /// Into memory, for tests.
    Memory(Memory),
}

impl Transport {
    /// The way to where the configuration says, whose certificate `trust` vouches for. Nothing is connected or written yet. For SMTP it must be called, used and
    /// dropped within a Tokio runtime.
    pub fn new(url: &MailUrl, trust: &Trust) -> Self {
        match url {
            MailUrl::Folder(path) => Self::Folder(path.clone()),
            MailUrl::Smtp(url) => Self::Smtp(Smtp::new(url, trust)),
        }
    }

    /// Delivers a message once. `at` becomes its `Date`: with the time at which the message came to be, rather than that
    /// of this attempt, a repeated delivery is the same to the last byte. Takes half a minute at most.
    pub async fn send(&self, from: &Sender, at: Timestamp, message: &Message) -> Result<(), SendError> {
        let composed = compose(from, at, message)?;
        match self {
            Self::Folder(path) => folder::write(path.clone(), message.id, composed.formatted()).await,
            Self::Smtp(smtp) => smtp.send(composed).await,
            Self::Memory(memory) => memory.keep(message),
        }
    }
}

/// Why a message was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError {
    /// Whether trying again is pointless: the server refused this message or its recipient. Everything else, a wrong
    /// setting of ours included, may pass.
    pub permanent: bool,
    /// For those who run the service: the SMTP code, where there is one, and a short text of one line. It holds at most
    /// 200 characters and no part of the body, link or password.
    pub summary: String,
}

impl SendError {
    /// The longest summary, in characters.
    const LONGEST: usize = 200;

    /// A failure that trying again will not mend.
    pub fn permanent(summary: &str) -> Self {
        Self { permanent: true, summary: Self::cut(summary) }
    }

    /// A failure that may pass.
    pub fn temporary(summary: &str) -> Self {
        Self { permanent: false, summary: Self::cut(summary) }
    }

    /// Words that look like links, or are long enough to be secrets, are left out: servers quote what they refuse.
    fn cut(text: &str) -> String {
        let harmless = |word: &&str| word.chars().count() <= 40 && !word.contains(['/', '=', '?', '%']);
        let words = one_line(text).split(' ').filter(harmless).collect::<Vec<_>>().join(" ");
        words.chars().take(Self::LONGEST).collect()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

impl Error for SendError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_one_short_line_without_links_or_secrets() {
        let said = "550 no:\r\nhttps://id.example.org/reset?token=geheim token=3Dgeheim id.example.org/geheim \
                    aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd1 ?geheim%40 done";
        assert_eq!(SendError::permanent(said).summary, "550 no: done");
        assert_eq!(SendError::temporary(&"wörter ".repeat(100)).summary.chars().count(), 200);
    }
}
