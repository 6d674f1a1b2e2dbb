//! Classification of SMTP errors: permanent or transient.

use std::error::Error as _;
use std::io;

use lettre::transport::smtp::Error;

use crate::tools::mail::transport::SendError;
use crate::tools::{certificates, io_error};

const TLS_FAILED: &str = "no secure connection to the mail server: TLS failed";

/// The stage of a conversation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The start of TLS. No reply can quote a password, because none was sent yet.
    Encryption,
    /// Up to the sender: errors concern the server or our settings, whatever the code.
    Settings,
    /// The recipient's address.
    Recipient,
    /// The message itself.
    Content,
}

/// Codes that refuse a mailbox or a message permanently (RFC 5321, section 4.2.3; RFC 7504). Other 5xx codes concern
/// commands, their order, or the server.
const REFUSALS: [u16; 7] = [501, 550, 551, 552, 553, 554, 556];

/// The error for a delivery that failed at this stage. It is permanent if the server refuses this recipient or this
/// content. All other errors may be caused by settings that somebody can correct.
pub(super) fn failure(stage: Stage, error: &Error) -> SendError {
    let Some(code) = error.status() else {
        return SendError::temporary(&unanswered(error));
    };
    let code = u16::from(code);
    // Replies to our sign-in (RFC 4954, section 6) concern a setting, not the message, and may quote the password.
    if stage != Stage::Encryption && matches!(code, 432 | 454 | 530 | 534 | 535 | 538) {
        return SendError::temporary(&format!("{code} the mail server rejected our sign-in"));
    }
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    let summary = format!("{code} {text}");
    let is_final = error.is_permanent() && REFUSALS.contains(&code) && is_about_the_mail(stage, &text);
    if is_final { SendError::permanent(&summary) } else { SendError::temporary(&summary) }
}

/// True if the enhanced status code (RFC 3463) concerns the recipient or the content. Without one, the stage decides.
fn is_about_the_mail(stage: Stage, text: &str) -> bool {
    let enhanced = text.split_whitespace().next().and_then(enhanced);
    match (stage, enhanced) {
        // Servers that refuse to relay reject every recipient.
        (Stage::Recipient, None) => !text.to_ascii_lowercase().contains("relay"),
        // Content rejected as spam has 5.7.1; the other codes concern signatures and origins (RFC 7372).
        (Stage::Content, Some((7, detail))) => detail <= 1,
        (Stage::Content, Some((subject, _))) => subject != 5,
        (Stage::Content, None) => true,
        (Stage::Recipient, Some((subject, detail))) => !is_about_us(subject, detail),
        (Stage::Encryption | Stage::Settings, _) => false,
    }
}

/// True for a code about the sender's address, the server, the protocol, or the right to send from here.
fn is_about_us(subject: u16, detail: u16) -> bool {
    matches!((subject, detail), (1, 7 | 8) | (3 | 5 | 7, _))
}

/// Subject and detail of a code such as `5.1.1`.
fn enhanced(word: &str) -> Option<(u16, u16)> {
    let mut numbers = word.split('.').map(str::parse::<u16>);
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(5)), Some(Ok(subject)), Some(Ok(detail)), None) => Some((subject, detail)),
        _ => None,
    }
}

/// The error for a server that cannot be reached.
pub(super) fn no_connection(error: &io::Error) -> SendError {
    SendError::temporary(&format!("no connection to the mail server: {}", io_error::describe(error)))
}

/// Reason for a missing reply, in our own words: an error's text may contain anything.
fn unanswered(error: &Error) -> String {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            let of_tls = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            return match of_tls {
                Some(error) => certificates::explain(error),
                None if error.is_tls() => TLS_FAILED.to_owned(),
                None => no_connection(cause).summary,
            };
        }
        source = cause.source();
    }
    if error.is_tls() {
        return TLS_FAILED.to_owned();
    }
    if error.is_client() {
        return "the mail server lacks an extension that this message or our settings need".to_owned();
    }
    "invalid reply from the mail server".to_owned()
}
