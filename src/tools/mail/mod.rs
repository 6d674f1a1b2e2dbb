//! Mails: rendering and delivery.
//!
//! [`render`] turns a [`Content`] into a [`Message`]; a [`Transport`] delivers it to a folder, an SMTP server, or a
//! test. Scheduling and retries are up to the caller.

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
pub use templates::{Content, DeviceNotice, Link, Recipient, Site, TokenNotice, TokenSummary, render};
pub use transport::{SendError, Transport};
pub use url::{BadSetting, MailUrl, SmtpUrl};
pub use wording::{span, time};

#[cfg(test)]
mod tests;
