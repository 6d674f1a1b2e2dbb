//! Fields of forms.

use crate::error::Refusal;
use crate::texts::Text;

/// A field of a form, named as in the schema.
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    /// Its label.
    pub(super) label: Text,
    /// Its element.
    pub(super) control: Control,
    /// Its value.
    pub(super) value: String,
    /// The stored value when the form was opened; none for a form that changes nothing stored.
    pub(super) was: Option<String>,
    /// Explanation.
    pub(super) hint: Option<Text>,
    /// Reason why it cannot be changed.
    pub(super) locked: Option<Text>,
    /// True if it must not be empty.
    pub(super) required: bool,
    /// The problem with its value.
    pub(super) error: Option<String>,
}

/// Element of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// A line of text with the kind of on-screen keyboard, or an empty one.
    Line(&'static str),
    /// Several lines.
    Lines,
    /// A password with its kind of autofill.
    Password(&'static str),
    /// A choice: values and labels.
    Choice(Vec<(&'static str, Text)>),
    /// A choice whose options are all visible: values and labels.
    Radio(Vec<(&'static str, Text)>),
    /// A check box with the value `true`.
    Flag,
}

impl Field {
    /// An optional field.
    pub(super) fn new(name: &'static str, label: Text, control: Control, value: impl Into<String>) -> Self {
        let value = value.into();
        Self { name, label, control, value, was: None, hint: None, locked: None, required: false, error: None }
    }

    /// The same with an explanation.
    pub(super) fn hinting(self, hint: Text) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// The same, required.
    pub(super) fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same with the problem with its value among these.
    pub(super) fn with_error(self, refusals: &[Refusal]) -> Self {
        let error = refusals.iter().find(|refusal| refusal.field == Some(self.name)).map(Refusal::message);
        Self { error, ..self }
    }

    /// Ids of the elements that describe it.
    pub(super) fn described_by(&self) -> Option<String> {
        let name = self.name;
        let parts = [
            self.hint.is_some().then(|| format!("{name}-hint")),
            self.locked.is_some().then(|| format!("{name}-lock")),
            self.error.is_some().then(|| format!("{name}-error")),
        ];
        let ids: Vec<String> = parts.into_iter().flatten().collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }
}

/// A text as it was before it passed through a form, which writes line breaks in two characters.
pub(super) fn plain(text: &str) -> String {
    text.replace("\r\n", "\n")
}
