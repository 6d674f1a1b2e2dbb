//! Questions before an action: its effect, the users concerned, and the button that does it.

use askama::Template;

use super::super::frame::Frame;
use super::super::view::PasskeyForm;
use super::StaffVisit;
use super::fields::{Control, Field};
use super::shell::{Page, Screen, Shell};
use super::users::Row;
use crate::texts::Text;

/// A page with a question.
#[derive(Template)]
#[template(path = "console/question.html", config = "src/http/pages/askama.toml")]
pub(super) struct Question<'a> {
    frame: Frame<'a>,
    pub(super) shell: Shell,
    /// Effect of the action.
    pub(super) paragraphs: Vec<Text>,
    /// The users concerned.
    pub(super) people: Vec<Row>,
    /// Users left out, with the reason.
    pub(super) left_out: Vec<(Row, String)>,
    /// Path on this service that the form is sent to.
    pub(super) action: String,
    /// Hidden fields: name and value.
    pub(super) hidden: Vec<(String, String)>,
    /// Visible fields.
    pub(super) fields: Vec<Field>,
    /// Label of the button; none if there is nothing to do.
    pub(super) button: Option<Text>,
    /// True if the action cannot be undone.
    pub(super) is_dangerous: bool,
    /// The page to go back to: its path on this service.
    pub(super) back: String,
    /// A passkey that may be used instead of the fields.
    pub(super) passkey: Option<PasskeyForm>,
}

impl Page for Question<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}

impl<'a> Question<'a> {
    /// A question with this heading, sent to this path.
    pub(super) fn new(staff: &'a StaffVisit, title: &Text, action: &str, back: &str) -> Self {
        Self {
            frame: staff.frame(),
            shell: Shell::new(Screen::Users, title.english()),
            paragraphs: Vec::new(),
            people: Vec::new(),
            left_out: Vec::new(),
            action: action.to_owned(),
            hidden: Vec::new(),
            fields: Vec::new(),
            button: None,
            is_dangerous: false,
            back: back.to_owned(),
            passkey: None,
        }
    }

    /// True if the form has a button of its own.
    fn has_form(&self) -> bool {
        self.passkey.is_none() || !self.fields.is_empty()
    }
}
