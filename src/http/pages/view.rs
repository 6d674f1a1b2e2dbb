//! Content and rendering of a page. All pages share one template, so that all look alike and are equally accessible.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};

use super::frame::Frame;
use super::return_to::ReturnTo;
use crate::error::Refusal;
use crate::graphql::passkeys::{PasskeyCreationOptions, PasskeyRequestOptions};
use crate::texts::Text;
use crate::tools::clock::Timestamp;
use crate::tools::secret::Secret;

/// Content of a page.
pub(super) struct View {
    /// Heading.
    pub(super) title: Text,
    /// Link to the page above.
    pub(super) back: Option<(Text, String)>,
    /// Address that the browser loads at once.
    pub(super) reload: Option<String>,
    /// Result of the previous action.
    pub(super) notice: Option<Text>,
    /// Text above the form.
    pub(super) paragraphs: Vec<Text>,
    /// Form.
    pub(super) form: Option<Form>,
    /// Parts below the form.
    pub(super) sections: Vec<Section>,
    /// Links: label, and path on this service or address elsewhere.
    pub(super) links: Vec<(Text, String)>,
}

impl View {
    /// A page with this heading and nothing else.
    pub(super) fn new(title: Text) -> Self {
        Self {
            title,
            back: None,
            reload: None,
            notice: None,
            paragraphs: Vec::new(),
            form: None,
            sections: Vec::new(),
            links: Vec::new(),
        }
    }

    /// A page with this heading below the entrance of the account pages.
    pub(super) fn own(title: Text) -> Self {
        Self { back: Some((Text::new("page-account-title"), "/account".to_owned())), ..Self::new(title) }
    }

    /// True if a form asks for a passkey, by a script.
    fn needs_script(&self) -> bool {
        let forms = self.sections.iter().flat_map(|section| &section.forms).chain(&self.form);
        forms.into_iter().any(|form| form.passkey.is_some())
    }
}

/// A part of a page.
pub(super) struct Section {
    /// Heading.
    pub(super) heading: Option<Text>,
    /// Text above the rest.
    pub(super) paragraphs: Vec<Text>,
    /// An SVG picture made by this service.
    pub(super) picture: Option<String>,
    /// Address of a photo of the user.
    pub(super) photo: Option<String>,
    /// Codes to keep.
    pub(super) codes: Vec<String>,
    /// Entries of a list.
    pub(super) rows: Vec<Row>,
    /// Forms without errors of their own.
    pub(super) forms: Vec<Form>,
    /// Links: label, and path on this service.
    pub(super) links: Vec<(Text, String)>,
}

impl Section {
    /// A part with this heading and nothing else.
    pub(super) fn new(heading: Text) -> Self {
        Self { heading: Some(heading), ..Self::untitled() }
    }

    /// A part without a heading.
    pub(super) fn untitled() -> Self {
        Self {
            heading: None,
            paragraphs: Vec::new(),
            picture: None,
            photo: None,
            codes: Vec::new(),
            rows: Vec::new(),
            forms: Vec::new(),
            links: Vec::new(),
        }
    }
}

/// An entry of a list.
pub(super) struct Row {
    /// Name, which users may have chosen.
    pub(super) title: String,
    /// Mark beside the name.
    pub(super) badge: Option<Text>,
    /// Facts below the name.
    pub(super) facts: Vec<Fact>,
    /// Page about it.
    pub(super) href: Option<String>,
    /// Forms about it.
    pub(super) forms: Vec<Form>,
}

impl Row {
    /// An entry with this name and nothing else.
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), badge: None, facts: Vec::new(), href: None, forms: Vec::new() }
    }
}

/// A fact about an entry.
pub(super) enum Fact {
    /// A sentence.
    Sentence(Text),
    /// A text that users may have chosen.
    Typed(String),
    /// A labelled point in time.
    Time(Text, Timestamp),
}

/// A form.
pub(super) struct Form {
    /// Path on this service that it is sent to.
    pub(super) action: &'static str,
    /// Hidden fields: name and value.
    pub(super) hidden: Vec<(&'static str, String)>,
    /// Visible fields.
    pub(super) fields: Vec<Field>,
    /// Label of the button.
    pub(super) button: Text,
    /// True if the button is one of several.
    pub(super) is_quiet: bool,
    /// True if the button ends or deletes something.
    pub(super) is_dangerous: bool,
    /// True if its first field gets the focus, on a page with nothing else to do.
    pub(super) has_focus: bool,
    /// True if the answer is a file, after which the page stays open.
    pub(super) is_download: bool,
    /// The passkey that its script asks for; without scripts the form is hidden.
    pub(super) passkey: Option<PasskeyForm>,
}

impl Form {
    /// Class of its button.
    fn button_class(&self) -> Option<&'static str> {
        match (self.is_dangerous, self.is_quiet) {
            (true, true) => Some("quiet danger"),
            (true, false) => Some("danger"),
            (false, true) => Some("quiet"),
            (false, false) => None,
        }
    }

    /// True if a file is sent with it.
    fn has_file(&self) -> bool {
        self.fields.iter().any(|field| field.kind == "file")
    }
}

/// A form that is sent with a passkey.
pub(super) struct PasskeyForm {
    /// `create` or `get`.
    pub(super) ceremony: &'static str,
    /// Options as JSON; empty if the script fetches them.
    pub(super) options: String,
    /// Path from which the script fetches options; a new passkey sends the form there.
    pub(super) options_from: &'static str,
    /// True if browsers offer passkeys in the username field.
    pub(super) autofill: bool,
}

impl PasskeyForm {
    /// A form for a new passkey.
    pub(super) fn create(options: &PasskeyCreationOptions) -> Self {
        Self { ceremony: "create", options: json(options), options_from: "", autofill: false }
    }

    /// A form for a new passkey whose script fetches the options.
    pub(super) fn create_from(options_from: &'static str) -> Self {
        Self { ceremony: "create", options: String::new(), options_from, autofill: false }
    }

    /// A form for one of the passkeys of a user.
    pub(super) fn get(options: &PasskeyRequestOptions) -> Self {
        Self { ceremony: "get", options: json(options), options_from: "", autofill: false }
    }

    /// A form for any passkey.
    pub(super) fn sign_in() -> Self {
        Self { ceremony: "get", options: String::new(), options_from: "/account/passkey-options", autofill: true }
    }
}

fn json(options: &impl serde::Serialize) -> String {
    serde_json::to_string(options).expect("options are JSON")
}

/// A field of a form, named as in the schema.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: Text,
    /// Type of the input element, or `textarea`, `select` or `checkboxes`.
    pub(super) kind: &'static str,
    /// Kind of on-screen keyboard (HTML, section 6.8.7); empty for any text. Email addresses are text, because browsers
    /// refuse in the type `email` those with letters beyond ASCII before the "@".
    pub(super) inputmode: &'static str,
    /// Data for autofill by browsers and password managers (HTML, section 4.10.18.7).
    pub(super) autocomplete: &'static str,
    /// Value typed before; never a password.
    pub(super) value: String,
    pub(super) hint: Option<Text>,
    pub(super) required: bool,
    /// Options to choose from.
    pub(super) choices: Vec<Choice>,
}

/// An option of a field.
pub(super) struct Choice {
    /// Value of an option; name of a checkbox.
    pub(super) value: &'static str,
    pub(super) label: Text,
    pub(super) hint: Option<Text>,
    pub(super) is_chosen: bool,
}

impl Field {
    /// An empty, optional field for text.
    pub(super) fn new(name: &'static str, label: Text, autocomplete: &'static str) -> Self {
        Self {
            name,
            label,
            kind: "text",
            inputmode: "",
            autocomplete,
            value: String::new(),
            hint: None,
            required: false,
            choices: Vec::new(),
        }
    }

    /// A field for several lines.
    pub(super) fn lines(name: &'static str, label: Text, autocomplete: &'static str) -> Self {
        Self { kind: "textarea", ..Self::new(name, label, autocomplete) }
    }

    /// A required field for a password.
    pub(super) fn password(name: &'static str, label: Text, autocomplete: &'static str) -> Self {
        Self { kind: "password", required: true, ..Self::new(name, label, autocomplete) }
    }
}

#[derive(Template)]
#[template(path = "page.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    /// Random text per form: distinguishes a form sent twice from one filled in again.
    once: &'a str,
    view: &'a View,
    refusals: &'a [Refusal],
}

impl Page<'_> {
    fn problems(&self) -> &[Refusal] {
        self.refusals
    }

    /// Title of the document.
    fn document_title(&self) -> String {
        let text = match self.refusals.is_empty() {
            true => Text::new("page-document-title"),
            false => Text::new("page-document-title-error"),
        };
        text.with("title", self.view.title.english()).with("site", self.frame.site()).english()
    }

    fn error_of(&self, name: &str) -> Option<String> {
        self.refusals.iter().find(|refusal| refusal.field == Some(name)).map(Refusal::message)
    }

    fn described_by(&self, field: &Field) -> Option<String> {
        let hint = field.hint.is_some().then(|| format!("{}-hint", field.name));
        let error = self.error_of(field.name).map(|_| format!("{}-error", field.name));
        let ids: Vec<String> = hint.into_iter().chain(error).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }
}

/// Renders a page with the errors of its form.
pub(super) fn show(frame: &Frame<'_>, status: StatusCode, view: &View, refusals: &[Refusal]) -> Response {
    let once = Secret::<16>::random().to_text();
    let page = Page { frame, once: &once, view, refusals };
    let html = page.render().expect("writing to a string does not fail");
    let mut response = (status, Html(html)).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy(frame, view));
    response
}

/// Only stylesheets, pictures and scripts of this service are loaded. Forms are sent only to it; browsers apply this to
/// the redirect that follows too, so that it names the origin of the page to go on to.
fn policy(frame: &Frame<'_>, view: &View) -> HeaderValue {
    let connections = if view.needs_script() { "connect-src 'self'; " } else { "" };
    let origin = frame.return_to.and_then(ReturnTo::origin).map(|origin| format!(" {origin}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; {connections}\
         form-action 'self'{origin}; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("an origin is ASCII")
}
