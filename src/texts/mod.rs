//! Texts for people, in [Fluent](https://projectfluent.org) catalogues: error messages, pages and mails.
//!
//! Code refers to a text by its id and parameters; the sentence is rendered where it is shown. English is the only
//! language so far. Another language is another folder beside `en`.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

/// The catalogues: one file for each part of the service.
const ENGLISH: [&str; 5] = [
    include_str!("en/account.ftl"),
    include_str!("en/import.ftl"),
    include_str!("en/pages.ftl"),
    include_str!("en/console.ftl"),
    include_str!("en/mails.ftl"),
];

static BUNDLE: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| {
    let mut bundle = FluentBundle::new_concurrent(vec!["en".parse::<LanguageIdentifier>().expect("it is a language")]);
    // Direction marks around parameters would end up in copied addresses.
    bundle.set_use_isolating(false);
    for source in ENGLISH {
        let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(resource, _)| resource);
        bundle.add_resource_overriding(resource);
    }
    bundle
});

/// A text of the catalogue with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    id: &'static str,
    params: Vec<(&'static str, Param)>,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    /// A number, which also selects the plural.
    Number(u64),
    /// Any other value, as it is shown.
    Text(String),
}

impl Text {
    /// The text with this id, without parameters.
    pub const fn new(id: &'static str) -> Self {
        Self { id, params: Vec::new() }
    }

    /// The same text with a parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Param>) -> Self {
        self.params.push((name, value.into()));
        self
    }

    /// Its catalogue id.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Its parameters by name.
    pub fn params(&self) -> &[(&'static str, Param)] {
        &self.params
    }

    /// The sentence in English.
    pub fn english(&self) -> String {
        let Some(pattern) = BUNDLE.get_message(self.id).and_then(|message| message.value()) else {
            return self.id.to_owned();
        };
        let args: FluentArgs<'_> = self.params.iter().map(|(name, value)| (*name, FluentValue::from(value))).collect();
        BUNDLE.format_pattern(pattern, Some(&args), &mut Vec::new()).into_owned()
    }
}

impl From<&'static str> for Text {
    fn from(id: &'static str) -> Self {
        Self::new(id)
    }
}

impl Param {
    /// The value as shown.
    pub fn shown(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl<'a> From<&'a Param> for FluentValue<'a> {
    fn from(param: &'a Param) -> Self {
        match param {
            #[expect(clippy::cast_precision_loss, reason = "no number that is shown is that large")]
            Param::Number(number) => Self::from(*number as f64),
            Param::Text(text) => Self::from(text.as_str()),
        }
    }
}

impl From<String> for Param {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Param {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Param {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use fluent_syntax::ast::Entry;
    use fluent_syntax::parser;

    use super::*;

    /// The ids of all messages. Fails on errors in the catalogues.
    fn ids() -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for source in ENGLISH {
            let resource = parser::parse(source).unwrap_or_else(|(_, errors)| panic!("{errors:?}"));
            for entry in resource.body {
                if let Entry::Message(message) = entry {
                    assert!(ids.insert(message.id.name.to_owned()), "{} is there twice", message.id.name);
                }
            }
        }
        ids
    }

    /// Collects the source of the service, including templates but not this module.
    fn sources(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("texts") {
                continue;
            }
            if path.is_dir() {
                sources(&path, text);
            } else if let Ok(content) = fs::read_to_string(&path) {
                text.push_str(&content);
            }
        }
    }

    #[test]
    fn every_text_is_used_and_every_id_in_use_has_a_text() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut source = String::new();
        sources(&root.join("src"), &mut source);
        let ids = ids();
        let unused: Vec<&String> = ids.iter().filter(|id| !source.contains(&format!("\"{id}\""))).collect();
        assert!(unused.is_empty(), "nothing uses {unused:?}");
        let is_id = |text: &str| {
            text.contains('-') && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        };
        let mut seen = 0;
        for call in ["Refusal::new(", "Text::new(", ".text("] {
            for rest in source.split(call).skip(1) {
                let arguments: String = rest.chars().take(160).take_while(|c| *c != ')').collect();
                for literal in arguments.split('"').skip(1).step_by(2).filter(|literal| is_id(literal)) {
                    seen += 1;
                    assert!(ids.contains(literal), "no catalogue has {literal}");
                }
            }
        }
        assert!(seen > 100, "the ids were not found");
    }

    #[test]
    fn a_text_has_its_parameters_and_its_plural() {
        let text = Text::new("password-too-short").with("min", 8_usize);
        assert_eq!(text.english(), "Use at least 8 characters.");
        let wait = |minutes: u64| Text::new("too-many-attempts").with("minutes", minutes).english();
        assert_eq!(wait(1), "Too many attempts. Try again in 1 minute.");
        assert_eq!(wait(20), "Too many attempts. Try again in 20 minutes.");
    }
}
