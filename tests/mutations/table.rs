//! The table of guards, and their places in the code.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

/// A guard, and the test that must fail without it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guard {
    /// Description of the rule that it enforces.
    pub(crate) name: String,
    /// Its file.
    file: String,
    /// Its text, unique in the file: an expression, a statement with its semicolon, or the pattern of a match arm with
    /// its arrow.
    text: String,
    /// Replacement of an expression. Statements and arms are omitted instead.
    with: Option<String>,
    /// A longer text, unique in the file, that contains `text` once.
    within: Option<String>,
    /// Another guard to remove together with it.
    also: Option<Box<Guard>>,
    /// `lib` or `it`, and a part of the names of the tests. One of them must fail.
    #[serde(default)]
    pub(crate) test: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    guard: Vec<Guard>,
}

/// Guards of one place, with their numbers in the table.
type Numbered<'a> = Vec<(usize, &'a Guard)>;

/// Contents of files by path, relative to the root of the repository.
pub(crate) type Files = BTreeMap<String, String>;

/// Reads the guards of `tests/mutations/guards.toml` and their files.
pub(crate) fn read(root: &Path) -> Result<(Vec<Guard>, Files), String> {
    let text = read_file(root, "tests/mutations/guards.toml")?;
    let Table { guard: guards } = toml::from_str(&text).map_err(|error| error.to_string())?;
    let mut files = Files::new();
    for part in guards.iter().flat_map(Guard::parts) {
        if !files.contains_key(&part.file) {
            files.insert(part.file.clone(), read_file(root, &part.file)?);
        }
    }
    Ok((guards, files))
}

fn read_file(root: &Path, path: &str) -> Result<String, String> {
    std::fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
}

/// Puts every guard under a switch: it is removed if `crate::mutant` returns true for its number.
///
/// # Errors
/// All guards that are not found exactly once, or overlap others.
pub(crate) fn plant(guards: &[Guard], mut files: Files) -> Result<Files, Vec<String>> {
    // Guards by file and place.
    let mut places: BTreeMap<(&str, usize), (Range<usize>, Numbered<'_>)> = BTreeMap::new();
    let mut problems = Vec::new();
    for (number, guard) in guards.iter().enumerate() {
        for part in guard.parts() {
            match part.find(files.get(&part.file).map_or("", String::as_str)) {
                Ok(range) => {
                    let place = places.entry((&part.file, range.start)).or_insert_with(|| (range.clone(), Vec::new()));
                    if place.0 != range {
                        problems.push(format!("{}: overlaps another guard", guard.name));
                    }
                    place.1.push((number, part));
                }
                Err(problem) => problems.push(format!("{}: {problem} in {}", guard.name, part.file)),
            }
        }
    }
    let mut end = (String::new(), 0);
    for ((file, start), (range, parts)) in &places {
        if end.0 == *file && *start < end.1 {
            problems.push(format!("{}: overlaps another guard", parts.first().map_or("", |(_, part)| &part.name)));
        }
        end = ((*file).to_owned(), range.end);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let changes: Vec<(String, Range<usize>, String)> = places
        .into_iter()
        .map(|((file, _), (range, parts))| {
            let text = parts.iter().fold(String::new(), |_, (_, part)| part.text.clone());
            (file.to_owned(), range, parts.into_iter().fold(text, |text, (number, part)| part.switched(&text, number)))
        })
        .collect();
    // In reverse order, so that earlier places stay valid.
    for (file, range, text) in changes.into_iter().rev() {
        if let Some(source) = files.get_mut(&file) {
            source.replace_range(range, &text);
        }
    }
    Ok(files)
}

impl Guard {
    fn parts(&self) -> impl Iterator<Item = &Guard> {
        std::iter::successors(Some(self), |guard| guard.also.as_deref())
    }

    fn find(&self, source: &str) -> Result<Range<usize>, String> {
        let once = |source: &str, text: &str| match source.match_indices(text).map(|(at, _)| at).collect::<Vec<_>>()[..]
        {
            [at] => Ok(at),
            ref places => Err(format!("found `{text}` {} times", places.len())),
        };
        let (start, source) = match &self.within {
            None => (0, source),
            Some(longer) => (once(source, longer)?, longer.as_str()),
        };
        let start = start + once(source, &self.text)?;
        Ok(start..start + self.text.len())
    }

    /// Text with this guard under its switch.
    fn switched(&self, text: &str, number: usize) -> String {
        let removed = format!("crate::mutant({number})");
        match &self.with {
            Some(with) => format!("(if {removed} {{ {with} }} else {{ {text} }})"),
            None if text.ends_with("=>") => {
                let pattern = text.trim_end_matches("=>").trim_end();
                let and = if pattern.contains(" if ") { "&&" } else { "if" };
                format!("{pattern} {and} !{removed} =>")
            }
            None => format!("if !{removed} {{ {text} }}"),
        }
    }
}
