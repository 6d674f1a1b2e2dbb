//! Transports of mails.

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

/// A transport of mails.
#[derive(Debug)]
pub enum Transport {
    /// A folder, with one file per mail.
    Folder(PathBuf),
    /// An SMTP server.
    Smtp(Smtp),
    /// Memory, for tests.
    Memory(Memory),
}

impl Transport {
    /// The transport for a configured URL; `trust` verifies the server's certificate. Does not connect or write yet.
    /// For SMTP, it must be created, used and dropped within a Tokio runtime.
    pub fn new(url: &MailUrl, trust: &Trust) -> Self {
        match url {
            MailUrl::Folder(path) => Self::Folder(path.clone()),
            MailUrl::Smtp(url) => Self::Smtp(Smtp::new(url, trust)),
        }
    }

    /// Delivers a message once. `at` becomes its `Date`: with the time at which the message was queued, a repeated
    /// delivery is identical to the last byte. Takes half a minute at most.
    pub async fn send(&self, from: &Sender, at: Timestamp, message: &Message) -> Result<(), SendError> {
        let composed = compose(from, at, message)?;
        match self {
            Self::Folder(path) => folder::write(path.clone(), message.id, composed.formatted()).await,
            Self::Smtp(smtp) => smtp.send(composed).await,
            Self::Memory(memory) => memory.keep(message),
        }
    }
}

/// A delivery error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError {
    /// True if a retry is pointless: the server refused this message or its recipient. All other errors, including
    /// wrong settings, are transient.
    pub permanent: bool,
    /// Summary for operators: the SMTP code, if any, and a short text. One line of at most 200 characters, without any
    /// part of the body, link or password.
    pub summary: String,
}

impl SendError {
    /// Maximum length of the summary, in characters.
    const LONGEST: usize = 200;

    /// An error that a retry cannot resolve.
    pub fn permanent(summary: &str) -> Self {
        Self { permanent: true, summary: Self::cut(summary) }
    }

    /// A transient error.
    pub fn temporary(summary: &str) -> Self {
        Self { permanent: false, summary: Self::cut(summary) }
    }

    /// Removes words that look like links or are long enough to be secrets: servers quote the text that they refuse.
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
