//! Mails: their wording, and the way out of the house.
//!
//! [`render`] turns what is to be said ([`Content`]) into a [`Message`]; a [`Transport`] delivers that, to a folder, to an
//! SMTP server, or to a test. When to send, and again after a failure, is the caller's affair.

mod folder;
mod memory;
mod message;
mod mime;
mod smtp;
mod templates;
mod transport;
mod url;
mod wording;

pub use memory::Memory;
pub use message::{Message, Sender};
pub use smtp::{ProbeReport, Smtp, probe};
pub use templates::{Content, Link, Recipient, Site, TokenNotice, TokenSummary, render};
pub use transport::{SendError, Transport};
pub use url::{BadSetting, MailUrl, SmtpUrl};
pub use wording::span;

#[cfg(test)]
mod tests;
