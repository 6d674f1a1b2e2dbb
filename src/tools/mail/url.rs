//! The configured destination of mails.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use lettre::{AsyncSmtpTransport, Tokio1Executor};

/// Error in a setting, in one line that never quotes the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSetting(pub(super) &'static str);

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for BadSetting {}

/// Destination of mails. Its `Display` and `Debug` forms hide the password.
#[derive(Clone, PartialEq, Eq)]
pub enum MailUrl {
    /// `file:PATH`: one `.eml` file per mail in this folder, which is created if it is missing.
    Folder(PathBuf),
    /// `smtp://…` or `smtps://…`: a server.
    Smtp(SmtpUrl),
}

/// An SMTP server: `SCHEME://[USER:PASSWORD@]HOST[:PORT][/EHLO-NAME]`, with user and password percent-encoded.
/// EHLO-NAME is the name that the service sends; the default is the machine's name.
///
/// - `smtps://` uses TLS from the start (default port 465).
/// - `smtp://` does not encrypt (default port 25): for a server on the same machine.
/// - `smtp://…?tls=required` refuses a server without STARTTLS (default port 587).
/// - `smtp://…?tls=opportunistic` uses STARTTLS if offered; an attacker in between can prevent it (default port 587).
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpUrl(String);

impl SmtpUrl {
    /// The parsed URL.
    pub(super) fn parse(&self) -> ::url::Url {
        ::url::Url::parse(&self.0).expect("the address was checked when it was read")
    }

    /// True if others on the network can read the connection: it leads to another machine, and is unencrypted or its
    /// encryption can be prevented.
    pub fn is_exposed(&self) -> bool {
        let url = self.parse();
        let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        !is_here && url.scheme() == "smtp" && url.query() != Some("tls=required")
    }
}

/// Encryption of connections to a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// No encryption.
    Plain,
    /// TLS from the start.
    Wrapped,
    /// STARTTLS is required.
    Required,
    /// STARTTLS if the server offers it.
    Opportunistic,
}

impl SmtpUrl {
    /// The encryption mode.
    pub(super) fn mode(&self) -> Mode {
        let url = self.parse();
        match (url.scheme(), url.query()) {
            ("smtps", _) => Mode::Wrapped,
            (_, Some("tls=required")) => Mode::Required,
            (_, Some("tls=opportunistic")) => Mode::Opportunistic,
            _ => Mode::Plain,
        }
    }

    /// The server's name, which must match its certificate.
    pub(super) fn host(&self) -> String {
        self.parse().host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned()
    }

    /// True for TLS that is used only if the server offers it.
    pub fn is_opportunistic(&self) -> bool {
        self.parse().query() == Some("tls=opportunistic")
    }
}

impl FromStr for MailUrl {
    type Err = BadSetting;

    fn from_str(text: &str) -> Result<Self, BadSetting> {
        if let Some(path) = text.strip_prefix("file:") {
            if path.is_empty() || path.starts_with("//") && !path.starts_with("///") {
                return Err(BadSetting("`file:` must be followed by the path of a folder"));
            }
            return Ok(Self::Folder(PathBuf::from(path)));
        }
        text.parse().map(Self::Smtp)
    }
}

impl FromStr for SmtpUrl {
    type Err = BadSetting;

    fn from_str(text: &str) -> Result<Self, BadSetting> {
        const ENCODE: BadSetting = BadSetting("special characters in the user or password must be percent-encoded");
        let Some((scheme @ ("smtp" | "smtps"), rest)) = text.split_once("://") else {
            return Err(BadSetting("expected `file:PATH`, `smtp://HOST` or `smtps://HOST`"));
        };
        if rest.contains(|char: char| char.is_whitespace() || char.is_control()) {
            return Err(BadSetting("the address of the mail server must not contain spaces"));
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if tail.contains(['@', '#']) || authority.matches('@').count() > 1 {
            return Err(ENCODE);
        }
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if authority.contains('@')
            && !user.split_once(':').is_some_and(|(user, password)| !user.is_empty() && !password.is_empty())
        {
            return Err(BadSetting("the mail server's user must be given with a password: `USER:PASSWORD@HOST`"));
        }
        if host.is_empty() || host.starts_with(':') {
            return Err(BadSetting("the mail server's host is missing"));
        }
        let name = tail.split('?').next().unwrap_or_default().trim_matches('/');
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'[' | b']' | b':')) {
            return Err(BadSetting("the name after the mail server's host must be that of a machine, for EHLO"));
        }
        match (scheme, tail.split_once('?').map(|(_, query)| query)) {
            (_, None) | ("smtp", Some("tls=required" | "tls=opportunistic")) => {}
            ("smtp", _) => {
                return Err(BadSetting("after `?` only `tls=required` and `tls=opportunistic` are known"));
            }
            _ => return Err(BadSetting("`smtps://` takes nothing after `?`")),
        }
        match AsyncSmtpTransport::<Tokio1Executor>::from_url(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            // The library's error is dropped, because it may quote the address.
            Err(_) => Err(BadSetting("the mail server's host, port, user or password cannot be read")),
        }
    }
}

impl fmt::Display for MailUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file:{}", path.display()),
            Self::Smtp(url) => url.fmt(f),
        }
    }
}

impl fmt::Display for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('@') {
            Some((front, back)) => {
                let (scheme, user) = front.split_once("://").unwrap_or_default();
                write!(f, "{scheme}://{}:***@{back}", user.split(':').next().unwrap_or_default())
            }
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for MailUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_servers_are_read_and_shown_without_the_password() {
        let cases = [
            ("file:data/mail", "file:data/mail"),
            ("file:///srv/mail", "file:///srv/mail"),
            ("smtp://localhost", "smtp://localhost"),
            ("smtp://127.0.0.1:2525", "smtp://127.0.0.1:2525"),
            ("smtp://[::1]:25", "smtp://[::1]:25"),
            (
                "smtp://a:geheim@mx.example:587/me.example?tls=required",
                "smtp://a:***@mx.example:587/me.example?tls=required",
            ),
            ("smtps://a%40b:geheim%3F@mx.example", "smtps://a%40b:***@mx.example"),
        ];
        for (text, shown) in cases {
            let url: MailUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
        assert_eq!("file:data/mail".parse(), Ok(MailUrl::Folder("data/mail".into())));
    }

    #[test]
    fn exposed_connections_are_detected() {
        for (text, is_exposed) in [
            ("smtp://localhost", false),
            ("smtp://127.0.0.1:25", false),
            ("smtp://mx.example", true),
            ("smtp://mx.example?tls=opportunistic", true),
            ("smtp://mx.example?tls=required", false),
            ("smtps://mx.example", false),
        ] {
            assert_eq!(text.parse::<SmtpUrl>().unwrap().is_exposed(), is_exposed, "{text}");
        }
    }

    #[test]
    fn errors_are_one_line_without_the_password() {
        let cases = [
            ("", "expected"),
            ("data/mail", "expected"),
            ("https://geheim@example.org", "expected"),
            ("file:", "path of a folder"),
            ("file://mail", "path of a folder"),
            ("smtp://", "host is missing"),
            ("smtp://a:geheim@", "host is missing"),
            ("smtp://a:geheim@:25", "host is missing"),
            ("smtp://a@host", "with a password"),
            ("smtp://a:@host", "with a password"),
            ("smtp://a:geh@eim@host", "percent-encoded"),
            ("smtp://a:1#geheim@host", "percent-encoded"),
            ("smtp://a:1/geheim@host", "percent-encoded"),
            ("smtp://a:1?geheim@host", "percent-encoded"),
            ("smtp://a:geheim@ho st", "spaces"),
            ("smtp://a:geheim@host/me/geheim", "for EHLO"),
            ("smtp://a:geheim@host:port", "cannot be read"),
            ("smtp://a:geheim%FF@host", "cannot be read"),
            ("smtp://a:geheim@host?tsl=required", "are known"),
            ("smtp://a:geheim@host?tls=no", "are known"),
            ("smtps://a:geheim@host?tls=required", "nothing after"),
        ];
        for (text, says) in cases {
            let error = text.parse::<MailUrl>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("geh") && !error.contains('\n'), "{error}");
        }
    }
}
