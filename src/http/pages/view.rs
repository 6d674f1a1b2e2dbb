//! What a page shows, and how it is shown: one template for all, so that all are alike to eyes, keyboards and readers.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};

use crate::error::Refusal;
use crate::tools::secret::Secret;

/// Nothing is loaded but the stylesheet, and forms go nowhere but here.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a page shows.
#[derive(Default)]
pub(super) struct View {
    /// Its heading.
    pub(super) title: &'static str,
    /// What just happened.
    pub(super) notice: Option<String>,
    /// Text above the form.
    pub(super) paragraphs: Vec<String>,
    /// The form.
    pub(super) form: Option<Form>,
    /// Links: label, and path of ours or address elsewhere.
    pub(super) links: Vec<(&'static str, String)>,
}

/// A form.
pub(super) struct Form {
    /// The path of ours where it is sent.
    pub(super) action: &'static str,
    /// What it sends unseen.
    pub(super) hidden: Vec<(&'static str, String)>,
    /// What is typed.
    pub(super) fields: Vec<Field>,
    /// What its button says.
    pub(super) button: &'static str,
}

/// A field of a form, named as in the schema.
#[derive(Default)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// The type of the input element.
    pub(super) kind: &'static str,
    /// What a keyboard on a screen is for (HTML, section 6.8.7); empty for any text. Addresses are text, because browsers
    /// refuse the type `email` of those with letters beyond ASCII before the "@".
    pub(super) inputmode: &'static str,
    /// What a browser or password manager may fill in (HTML, section 4.10.18.7).
    pub(super) autocomplete: &'static str,
    /// What was typed before; never a password.
    pub(super) value: String,
    pub(super) hint: Option<String>,
    pub(super) required: bool,
}

/// The surroundings of every page.
pub(super) struct Frame<'a> {
    /// The name of the site.
    pub(super) site: &'a str,
    /// The path under which browsers find the service.
    pub(super) base: &'a str,
    /// True on a development server, whose pages link to its mails.
    pub(super) dev_mail: bool,
}

#[derive(Template)]
#[template(path = "page.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    csrf: &'a str,
    /// Another text in each form, by which one that is sent twice differs from one that was filled in again.
    once: &'a str,
    view: &'a View,
    refusals: &'a [Refusal],
}

impl Page<'_> {
    /// The address of a link as the browser needs it.
    fn address(&self, href: &str) -> String {
        let base = if href.starts_with('/') { self.frame.base } else { "" };
        format!("{base}{href}")
    }

    fn problems(&self) -> &[Refusal] {
        self.refusals
    }

    fn error_of(&self, name: &str) -> Option<&str> {
        self.refusals.iter().find(|refusal| refusal.field == Some(name)).map(|refusal| refusal.message.as_str())
    }

    fn described_by(&self, field: &Field) -> Option<String> {
        let hint = field.hint.is_some().then(|| format!("{}-hint", field.name));
        let error = self.error_of(field.name).map(|_| format!("{}-error", field.name));
        let ids: Vec<String> = hint.into_iter().chain(error).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }
}

/// Shows a page, with what is wrong in its form.
pub(super) fn show(frame: &Frame<'_>, csrf: &str, status: StatusCode, view: &View, refusals: &[Refusal]) -> Response {
    let once = Secret::<16>::random().to_text();
    let page = Page { frame, csrf, once: &once, view, refusals };
    let html = page.render().expect("writing to a string does not fail");
    let mut response = (status, Html(html)).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
