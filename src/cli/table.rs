//! Output of lists: aligned columns without terminal control characters, or JSON.

use serde_json::{Map, Value};

use crate::tools::text::plain;

/// Output format of a list.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct Format {
    /// Print JSON instead of columns; empty values are null
    #[arg(long)]
    json: bool,
}

impl Format {
    /// True if the output is JSON.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Prints rows below their headings, or an array with one object per row.
    pub(super) fn print(self, headings: &[&str], rows: &[Vec<String>]) {
        if self.json {
            let objects = rows.iter().map(|row| object(headings.iter().copied().zip(row)));
            super::say(&Value::Array(objects.collect()).to_string());
        } else {
            for line in lines(headings, rows) {
                super::say(&line);
            }
        }
    }

    /// Prints rows without headings, or one object per line.
    pub(super) fn print_more(self, headings: &[&str], rows: &[Vec<String>]) {
        for row in rows {
            if self.json {
                super::say(&object(headings.iter().copied().zip(row)).to_string());
            } else {
                let cells: Vec<String> = row.iter().map(|text| plain(text)).collect();
                super::say(&cells.join("  "));
            }
        }
    }

    /// Prints the fields of one record, one per line, or an object.
    pub(super) fn print_one(self, fields: &[(&str, String)]) {
        if self.json {
            super::say(&object(fields.iter().map(|(name, value)| (*name, value))).to_string());
            return;
        }
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
        for (name, value) in fields {
            super::say(&format!("{name:width$}{}", plain(value)));
        }
    }

    /// Prints a line that is omitted from JSON output.
    pub(super) fn note(self, line: &str) {
        if !self.json {
            super::say(line);
        }
    }
}

fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a String)>) -> Value {
    let value = |text: &String| if text.is_empty() { Value::Null } else { Value::String(text.clone()) };
    Value::Object(fields.map(|(name, text)| (key(name), value(text))).collect::<Map<_, _>>())
}

/// JSON key for a heading: `LAST LOGIN` becomes `lastLogin`.
fn key(heading: &str) -> String {
    let mut words = heading.split(' ');
    let first = words.next().unwrap_or_default().to_lowercase();
    words.fold(first, |key, word| {
        let mut letters = word.chars();
        let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
        key + &initial.into_iter().collect::<String>() + &letters.as_str().to_lowercase()
    })
}

fn lines(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<String>> = std::iter::once(headings.iter().map(|text| plain(text)).collect())
        .chain(rows.iter().map(|row| row.iter().map(|text| plain(text)).collect()))
        .collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row: &Vec<String>| row.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_control_nothing() {
        let rows =
            [vec!["1".to_owned(), "b\u{e4}r\u{1b}[2J\u{202e}\n".to_owned()], vec!["1000".to_owned(), String::new()]];
        let expected = ["ID    NAME", "1     b\u{e4}r\u{fffd}[2J\u{fffd}\u{fffd}", "1000  -"];
        assert_eq!(lines(&["ID", "NAME"], &rows), expected);
    }

    #[test]
    fn objects_have_the_keys_of_the_schema() {
        assert_eq!(["ID", "LAST LOGIN", "API tokens"].map(key), ["id", "lastLogin", "apiTokens"]);
    }
}
