//! The final form of a message: its headers and both of its bodies (RFC 5322, RFC 2046).

use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::message::{Message, Sender};
use super::transport::SendError;
use super::wording::one_line;
use crate::tools::clock::Timestamp;
use crate::tools::identifier;

/// The last second of the year 9999, the latest valid `Date`.
const LAST_DATE: i64 = 253_402_300_799;

/// Builds the message with all its headers. The same arguments give the same bytes. Fails permanently if the address is
/// invalid.
pub(super) fn compose(from: &Sender, at: Timestamp, message: &Message) -> Result<lettre::Message, SendError> {
    let address: Address = identifier::mailbox(&message.to)
        .parse()
        .map_err(|_| SendError::permanent("the recipient's address is not a mail address"))?;
    let name = Some(one_line(&message.to_name)).filter(|name| !name.is_empty());
    let seconds = u64::try_from(at.seconds().clamp(0, LAST_DATE)).unwrap_or_default();
    // Suppresses automatic replies (RFC 3834, section 5).
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let bodies = MultiPart::alternative()
        .boundary(message.id.simple().to_string())
        .singlepart(SinglePart::plain(message.text.clone()))
        .singlepart(SinglePart::html(message.html.clone()));
    lettre::Message::builder()
        .from(from.0.clone())
        .to(Mailbox::new(name, address))
        .subject(one_line(&message.subject))
        .date(UNIX_EPOCH + Duration::from_secs(seconds))
        .message_id(Some(format!("<{}@{}>", message.id, from.0.email.domain())))
        .raw_header(automatic)
        .multipart(bodies)
        .map_err(|_| SendError::permanent("the message cannot be built"))
}

#[cfg(test)]
mod tests {
    use mail_parser::{HeaderValue as Value, MessageParser, MimeHeaders as _};
    use uuid::Uuid;

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_253_400_042);

    fn message() -> Message {
        Message {
            to: "admin@localhost".into(),
            to_name: "Anna \"Ann\" Berg, née Größe".into(),
            subject: "Grüße, aus dem Vestibül".into(),
            text: "Grüße\n\n.\nhttps://id.example.org/reset?uid=7&token=geheim\nEnde".into(),
            html: format!("<p>Grüße &amp; {}</p>", "lang ".repeat(300)),
            id: Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0007),
        }
    }

    fn formatted(message: &Message) -> Vec<u8> {
        compose(&"Vestibule <noreply@localhost>".parse().unwrap(), AT, message).unwrap().formatted()
    }

    #[test]
    fn a_composed_message_parses_back_to_the_same() {
        let bytes = formatted(&message());
        assert!(bytes.is_ascii());
        let parsed = MessageParser::default().parse(&bytes).unwrap();
        let address = |address: &mail_parser::Address| {
            let first = address.first().unwrap();
            (first.name().map(str::to_owned), first.address().unwrap().to_owned())
        };
        assert_eq!(address(parsed.to().unwrap()), (Some(message().to_name), message().to));
        assert_eq!(address(parsed.from().unwrap()), (Some("Vestibule".into()), "noreply@localhost".into()));
        assert_eq!(parsed.subject(), Some(message().subject.as_str()));
        assert_eq!(parsed.date().unwrap().to_rfc3339(), "2026-11-21T09:30:00Z");
        assert_eq!(parsed.message_id(), Some(format!("{}@localhost", message().id).as_str()));
        assert_eq!(parsed.header("Auto-Submitted").and_then(Value::as_text), Some("auto-generated"));
        assert_eq!(
            parsed.content_type().map(|kind| (kind.ctype(), kind.subtype())),
            Some(("multipart", Some("alternative")))
        );
        let parts: Vec<_> =
            parsed.root_part().sub_parts().unwrap().iter().map(|id| &parsed.parts[*id as usize]).collect();
        let kinds = parts.iter().map(|part| part.content_type().unwrap());
        let kinds: Vec<_> = kinds.map(|kind| (kind.subtype().unwrap(), kind.attribute("charset").unwrap())).collect();
        assert_eq!(kinds, [("plain", "utf-8"), ("html", "utf-8")]);
        assert_eq!(parts[0].text_contents().unwrap().replace("\r\n", "\n"), message().text);
        assert_eq!(parts[1].text_contents().unwrap().replace("\r\n", "\n"), message().html);
    }

    #[test]
    fn the_same_message_gives_the_same_bytes() {
        assert_eq!(formatted(&message()), formatted(&message()));
    }

    #[test]
    fn line_breaks_in_names_and_subjects_add_no_header() {
        let hostile = |text: &str| format!("{text}\r\nBcc: victim@example.org\nX-Evil: 1\r\n\r\nbody\0");
        let bytes = formatted(&Message { to_name: hostile("Anna"), subject: hostile("Hello"), ..message() });
        let parsed = MessageParser::default().parse(&bytes).unwrap();
        let names: Vec<_> = parsed.headers().iter().map(|header| header.name().to_owned()).collect();
        let mut expected =
            ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"].to_vec();
        let mut names: Vec<_> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(parsed.subject(), Some("Hello Bcc: victim@example.org X-Evil: 1 body"));
        assert_eq!(parsed.to().unwrap().iter().count(), 1);
        let composed =
            compose(&"noreply@localhost".parse().unwrap(), AT, &Message { to_name: hostile("A"), ..message() });
        assert_eq!(composed.unwrap().envelope().to().len(), 1);
    }

    #[test]
    fn an_invalid_address_fails_permanently_and_is_not_quoted() {
        for to in
            ["", "anna", "anna@", "a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example", "Anna <a@b.example>"]
        {
            let error = compose(&"noreply@localhost".parse().unwrap(), AT, &Message { to: to.into(), ..message() })
                .unwrap_err();
            assert_eq!(error, SendError::permanent("the recipient's address is not a mail address"), "{to:?}");
        }
    }

    #[test]
    fn times_that_no_date_can_hold_are_brought_into_range() {
        for at in [i64::MIN, -1, i64::MAX] {
            let from = "noreply@localhost".parse().unwrap();
            assert!(compose(&from, Timestamp::from_millis(at), &message()).is_ok(), "{at}");
        }
    }
}
