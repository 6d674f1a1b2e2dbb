//! Language of the source: doc comments open with a noun or a verb.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::architecture::rust_files;

/// First words of clauses that replace a noun.
const CLAUSES: [&str; 10] = ["What", "Who", "How", "Where", "Whether", "Whose", "When", "Why", "Whoever", "Whom"];

/// Maximum share of doc comments that open with such a word, in percent.
const MAX_SHARE: usize = 2;

#[test]
fn doc_comments_open_with_a_name_and_not_with_a_clause() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut comments, mut clauses) = (0, Vec::new());
    for folder in ["src", "migration/src", "tests/it", "tests/silence/src", "tests/faults/src"] {
        for file in rust_files(&root.join(folder)) {
            let text = fs::read_to_string(&file)?;
            let mut is_inside = false;
            for line in text.lines().map(str::trim_start) {
                let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
                if let Some(sentence) = doc.filter(|_| !is_inside) {
                    comments += 1;
                    let word = sentence.split_whitespace().next().unwrap_or_default();
                    if CLAUSES.contains(&word) {
                        clauses.push(format!("{}: {line}", file.strip_prefix(root)?.display()));
                    }
                }
                is_inside = doc.is_some();
            }
        }
    }
    assert!(comments > 2000, "the doc comments were not found");
    if clauses.len() * 100 < comments * MAX_SHARE {
        return Ok(());
    }
    Err(format!("{} of {comments} doc comments open with a clause: {clauses:#?}", clauses.len()).into())
}
