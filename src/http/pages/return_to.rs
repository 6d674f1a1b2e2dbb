//! The page to go on to, `returnTo`. Any site can link here with this parameter, so that only pages of this service's
//! origin and of listed origins are followed. Anything else is ignored.

use url::Url;

use crate::app::App;
use crate::config::BaseUrl;

/// Name of the parameter and of the hidden field.
pub(super) const RETURN_TO: &str = "returnTo";

/// Maximum length in bytes: the address may contain another one, for the page after it.
const MAX_LENGTH: usize = 2000;

/// A page that may be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReturnTo {
    /// Address for links and redirects: a path of this origin, or an address of a listed one.
    to: String,
    /// Origin of a page elsewhere.
    origin: Option<String>,
}

impl ReturnTo {
    /// The page at an address that somebody sent; `None` unless it may be followed.
    pub(super) fn parse(app: &App, text: &str) -> Option<Self> {
        let front_ends = app.config.allowed_origins.iter().cloned();
        let front_ends = front_ends.chain(app.config.frontend_url.as_ref().map(BaseUrl::origin));
        let known: Vec<String> = front_ends.map(|origin| origin.as_str().to_owned()).collect();
        parse(&app.public_url, &known, text)
    }

    /// Address for links and redirects.
    pub(super) fn address(&self) -> &str {
        &self.to
    }

    /// Origin of a page elsewhere; `None` for a page of this origin.
    pub(super) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Host of a page elsewhere, for the label of a link.
    pub(super) fn host(&self) -> Option<&str> {
        self.origin().and_then(|origin| origin.split_once("://")).map(|(_, host)| host)
    }
}

fn parse(public: &BaseUrl, known: &[String], text: &str) -> Option<ReturnTo> {
    // Browsers drop some of these characters and read a backslash as a slash.
    let is_odd = |char: char| char.is_control() || char.is_whitespace() || char == '\\';
    if text.len() > MAX_LENGTH || text.chars().any(is_odd) {
        return None;
    }
    let own = Url::parse(public.as_str()).ok()?;
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_address = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    let url = match (is_path, is_address) {
        (true, _) => own.join(text).ok()?,
        (_, true) => Url::parse(text).ok()?,
        (false, false) => return None,
    };
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let origin = url.origin().ascii_serialization();
    if url.origin() == own.origin() {
        let to = &url[url::Position::BeforePath..];
        return (!to.starts_with("//")).then(|| ReturnTo { to: to.to_owned(), origin: None });
    }
    known.contains(&origin).then(|| ReturnTo { to: url.into(), origin: Some(origin) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(text: &str) -> Option<String> {
        let known = ["https://app.example".to_owned(), "http://localhost:5173".to_owned()];
        parse(&"https://id.example/base".parse().unwrap(), &known, text).map(|page| page.to)
    }

    #[test]
    fn own_paths_and_listed_origins_are_followed() {
        for (text, to) in [
            ("/base/account/security", "/base/account/security"),
            ("/app?a=b&c=%2F%2Fd#e", "/app?a=b&c=%2F%2Fd#e"),
            ("/", "/"),
            ("/a/../b", "/b"),
            ("/größe?'\"<>", "/gr%C3%B6%C3%9Fe?%27%22%3C%3E"),
            ("/@evil.example", "/@evil.example"),
            ("/%2f%2fevil.example", "/%2f%2fevil.example"),
            ("/%5cevil.example", "/%5cevil.example"),
            ("https://app.example", "https://app.example/"),
            ("https://app.example:443/x", "https://app.example/x"),
            ("https://APP.example/x?y#z", "https://app.example/x?y#z"),
            ("http://localhost:5173/", "http://localhost:5173/"),
            ("https://id.example/base/account", "/base/account"),
        ] {
            assert_eq!(followed(text).as_deref(), Some(to), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_followed() {
        for text in [
            "",
            "account",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\u{0}/account",
            " /account",
            "/ /evil.example",
            "/.//evil.example",
            "/a/..//evil.example",
            "/%2e//evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:app.example",
            "HTTPS://app.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "mailto:a@app.example",
            "https://evil.example",
            "https://app.example.evil.example",
            "https://app.example@evil.example",
            "https://evil.example\\@app.example",
            "https://evil.example#@app.example",
            "https://evil.example?https://app.example",
            "https://user@app.example",
            "https://user:secret@app.example",
            "https://app.example:8443",
            "http://app.example",
            "https://app.example.",
            "https://id.example:8443/account",
            "https://id.example//evil.example",
            "%2F%2Fevil.example",
            "%68ttps://app.example",
            "https://app%2eexample.evil.example",
            "https://app.example%00.evil.example",
            "https://\u{ff41}pp.evil.example",
            "app://app.example",
        ] {
            assert_eq!(followed(text), None, "{text:?}");
        }
        assert_eq!(followed(&format!("/{}", "x".repeat(MAX_LENGTH))), None);
    }
}
