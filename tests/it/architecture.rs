//! Layering of the modules, checked in the source.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;

/// The modules from left to right; each may import itself, those to its left, and those on the same rank.
const RANKS: [&[&str]; 12] = [
    &["error", "texts", "tools"],
    &["config"],
    &["database"],
    &["entity"],
    &["domain"],
    &["doctor"],
    &["app"],
    &["graphql"],
    &["http"],
    &["worker"],
    &["cli"],
    &["main"],
];

/// Crates, and the only modules that may use them.
const HOMES: [(&str, &[&str]); 6] = [
    ("argon2", &["tools"]),
    ("argon2_rust", &["tools"]),
    ("async_graphql", &["graphql", "http"]),
    ("axum", &["http"]),
    ("clap", &["config", "cli"]),
    ("lettre", &["tools"]),
];

fn check(problem: fn(module: &str, line: &str) -> Option<String>) -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    let mut seen = 0;
    for file in rust_files(&root) {
        let path = file.strip_prefix(&root)?;
        let module = path.iter().next().and_then(|part| part.to_str()).unwrap_or_default().trim_end_matches(".rs");
        for (number, line) in fs::read_to_string(&file)?.lines().enumerate() {
            seen += usize::from(line.contains("crate::"));
            if let Some(problem) = problem(module, line) {
                problems.push(format!("{}:{}: {problem}", path.display(), number + 1));
            }
        }
    }
    assert!(seen > 100, "the source was not found");
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

fn wrong_direction(module: &str, line: &str) -> Option<String> {
    let rank = |name: &str| RANKS.iter().position(|names| names.contains(&name));
    let own = rank(module)?;
    line.split("crate::").skip(1).find_map(|rest| {
        let target = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        (rank(target)? > own).then(|| format!("{module} must not import {target}"))
    })
}

fn away_from_home(module: &str, line: &str) -> Option<String> {
    let code = line.split("//").next().unwrap_or_default();
    let uses = |name: &str| {
        code.split(name).skip(1).any(|rest| rest.starts_with("::") && !code.contains(&format!("_{name}::")))
    };
    HOMES
        .iter()
        .find(|(name, homes)| uses(name) && !homes.contains(&module))
        .map(|(name, _)| format!("{name} must not be used in {module}"))
}

/// Every member of the workspace takes the workspace's lints, which forbid unsafe code.
#[test]
fn unsafe_code_is_forbidden() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    assert!(manifest.contains("unsafe_code = \"forbid\""), "the workspace forbids it");
    let (_, members) = manifest.split_once("members = [").expect("the workspace has members");
    let members = members.split(']').next().unwrap_or_default().split('"').skip(1).step_by(2);
    for member in members.chain(["."]) {
        let manifest = fs::read_to_string(root.join(member).join("Cargo.toml"))?;
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member} takes the workspace's lints");
    }
    Ok(())
}

pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the source exists").map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false if path.extension().is_some_and(|extension| extension == "rs") => vec![path],
            false => Vec::new(),
        })
        .collect()
}

/// A function that takes a proof of a right writes only in the transaction of that proof. Rate limits and sweeps are
/// exempt, because they are not actions of the user.
#[test]
fn changes_run_in_a_transaction_that_checks_the_right_again() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain");
    let (mut problems, mut seen) = (Vec::new(), 0);
    for file in rust_files(&root) {
        let path = file.strip_prefix(&root)?.to_owned();
        if path == Path::new("rate_limits/mod.rs") || path == Path::new("auth/authorize.rs") {
            continue;
        }
        let source = fs::read_to_string(&file)?;
        for function in source.split("\nasync fn ").flat_map(|part| part.split("\npub async fn ")).skip(1) {
            let (signature, body) = function.split_once("{\n").unwrap_or((function, ""));
            let body = body.split("\n}\n").next().unwrap_or(body);
            let proofs = ["Staff<'", "SessionUser<'", "Exporter<'", "&Viewer"];
            if !proofs.iter().any(|proof| signature.contains(proof)) {
                continue;
            }
            seen += 1;
            let name = signature.split(['(', '<']).next().unwrap_or_default();
            let is_of_user = |line: &&str| !line.contains("limits::") && !line.contains("note(");
            let lines = body.lines().filter(is_of_user);
            for line in lines.filter(|line| line.contains("db.begin(") || line.contains("db.writer()")) {
                problems.push(format!("{}: {name}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(seen > 20, "the functions were not found");
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

#[test]
fn modules_import_only_leftwards() -> Outcome {
    check(wrong_direction)
}

#[test]
fn crates_stay_at_home() -> Outcome {
    check(away_from_home)
}
