//! A mail before a transport formats it, and its sender.

use std::fmt;
use std::str::FromStr;

use lettre::Address;
use lettre::message::Mailbox;
use uuid::Uuid;

use super::url::BadSetting;
use super::wording::one_line;

/// A mail for a transport. Its `Debug` form shows neither the recipient nor the body, which may contain links with
/// secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The recipient's address.
    pub to: String,
    /// The display name of the recipient; may be empty.
    pub to_name: String,
    /// The subject line.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// Identifies repeated deliveries of the same mail; becomes the file name and the `Message-ID`.
    pub id: Uuid,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("id", &self.id).field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// The sender of mails, parsed from text such as `Vestibule <noreply@localhost>` or a bare address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(pub(super) Mailbox);

impl FromStr for Sender {
    type Err = BadSetting;

    fn from_str(text: &str) -> Result<Self, BadSetting> {
        let (name, address) = match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => (unquoted(name.trim()), address),
            None => (String::new(), text),
        };
        let address: Address = address.trim().parse().map_err(|_| {
            BadSetting("expected `Name <address>` or an address, such as `Vestibule <noreply@localhost>`")
        })?;
        // The domain becomes part of each Message-ID, which must be ASCII.
        if !address.domain().is_ascii() {
            return Err(BadSetting("the sender's domain must be in ASCII form (`xn--…`)"));
        }
        if one_line(&name) != name {
            return Err(BadSetting("the sender's name must be one line without control characters"));
        }
        Ok(Self(Mailbox::new(Some(name).filter(|name| !name.is_empty()), address)))
    }
}

/// `Name <address>`, or the address alone.
impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.name {
            Some(name) => write!(f, "{name} <{}>", self.0.email),
            None => write!(f, "{}", self.0.email),
        }
    }
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_read_with_and_without_a_name() {
        let named: Sender = "Vestibule <noreply@localhost>".parse().unwrap();
        assert_eq!((named.0.name.as_deref(), named.0.email.as_ref()), (Some("Vestibule"), "noreply@localhost"));
        assert_eq!(
            "\"Müller, Söhne\" <a@example.org>".parse::<Sender>().unwrap().0.name.as_deref(),
            Some("Müller, Söhne")
        );
        assert_eq!("admin@localhost".parse::<Sender>().unwrap().0.name, None);
        assert_eq!(named.to_string().parse::<Sender>(), Ok(named));
    }

    #[test]
    fn invalid_senders_are_refused() {
        for text in
            ["", "Vestibule", "Vestibule <>", "a@b@", "A\r\nBcc: x@y.example <a@example.org>", "a@müller.example"]
        {
            assert!(text.parse::<Sender>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_debug_form_shows_neither_body_nor_recipient() {
        let message = Message {
            to: "anna@example.org".into(),
            to_name: "Anna".into(),
            subject: "Hello".into(),
            text: "token=geheim".into(),
            html: "token=geheim".into(),
            id: Uuid::nil(),
        };
        let shown = format!("{message:?}");
        assert!(
            shown.contains("Hello") && !shown.contains("geheim") && !shown.to_lowercase().contains("anna"),
            "{shown}"
        );
    }
}
