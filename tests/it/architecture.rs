//! The rule of who may import whom, read off the source.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

/// The modules from left to right; each may import itself, those to its left, and those on the same rank.
const RANKS: [&[&str]; 11] = [
    &["error", "tools"],
    &["config"],
    &["database"],
    &["entity"],
    &["domain"],
    &["app"],
    &["graphql"],
    &["http"],
    &["worker"],
    &["cli"],
    &["main"],
];

/// Where a crate must stay.
const HOMES: [(&str, &[&str]); 6] = [
    ("argon2", &["tools"]),
    ("argon2_rust", &["tools"]),
    ("async_graphql", &["graphql", "http"]),
    ("axum", &["http"]),
    ("clap", &["config", "cli"]),
    ("lettre", &["tools"]),
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("architecture::modules_import_only_leftwards", || check(wrong_direction)),
        Trial::test("architecture::crates_stay_at_home", || check(away_from_home)),
        Trial::test("architecture::whoever_acts_does_so_in_a_transaction_that_asks_again", acts_on_old_rights),
        Trial::test("architecture::unsafe_code_is_forbidden", unsafe_code_is_forbidden),
    ]
}

fn check(problem: fn(module: &str, line: &str) -> Option<String>) -> Result<(), Failed> {
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
fn unsafe_code_is_forbidden() -> Result<(), Failed> {
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

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the source is there").map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false if path.extension().is_some_and(|extension| extension == "rs") => vec![path],
            false => Vec::new(),
        })
        .collect()
}

/// A function that takes the proof of a right opens no transaction but that of the proof, and writes nothing outside of it:
/// limits and the end of what is swept are no acts of the user.
fn acts_on_old_rights() -> Result<(), Failed> {
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
