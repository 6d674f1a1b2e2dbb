//! `docs/security.md` tells the truth: its figures are the program's, and every test that it names is there.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

const PAGE: &str = include_str!("../../docs/security.md");

/// Steps that are not in this suite, each with a command of its own.
const STEPS: [&str; 8] = [
    "tests/django/run",
    "tests/silence/run",
    "tests/mutations/run",
    "tests/browser/run",
    "tests/graphql-http/run",
    "fuzz/run",
    "cargo run -p faults",
    ".ci/run",
];

/// `names` are the situations of this suite, as `module::name`.
pub(crate) fn trials(names: Vec<String>) -> Vec<Trial> {
    vec![
        Trial::test("security::every_test_that_the_page_names_exists", move || tests_exist(&names)),
        Trial::test("security::the_page_tells_every_limit_with_its_default", limits_are_told),
        Trial::test("security::figures_in_sentences_are_those_of_the_code", figures_are_true),
    ]
}

/// The last cells of the tables of promises: what shows each.
fn shown() -> Vec<(&'static str, Vec<&'static str>)> {
    let (_, tables) = PAGE.split_once("\n## Requirement, promise, test").expect("the page has its tables");
    let rows = tables.lines().filter(|line| line.starts_with('|') && !line.starts_with("|-"));
    let rows =
        rows.filter(|line| !["| requirement", "| class", "| further rule"].iter().any(|head| line.starts_with(head)));
    rows.map(|line| {
        let (_, last) = line.trim_end_matches('|').rsplit_once('|').expect("a row has cells");
        (line, last.split('`').skip(1).step_by(2).collect())
    })
    .collect()
}

fn tests_exist(names: &[String]) -> Result<(), Failed> {
    let mut problems = Vec::new();
    let rows = shown();
    assert!(rows.len() > 60, "the tables were not found");
    for (line, tests) in rows {
        if tests.is_empty() && !line.contains("not promised") {
            problems.push(format!("nothing shows this: {line}"));
        }
        for test in tests {
            if !STEPS.contains(&test) && !names.iter().any(|name| name == test) && !is_there(test) {
                problems.push(format!("there is no test {test}"));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

/// Whether there is a test of this path in the library, or one of this suite that is of no database.
fn is_there(test: &str) -> bool {
    let Some((module, name)) = test.rsplit_once("::") else { return false };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = module.trim_end_matches("::tests").replace("::", "/");
    for file in [
        format!("src/{path}.rs"),
        format!("src/{path}/mod.rs"),
        format!("src/{path}/tests.rs"),
        format!("tests/it/{path}.rs"),
    ] {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        let is_function = text.contains(&format!("fn {name}("));
        if is_function && (text.contains("#[test]") || text.contains("#[tokio::test"))
            || text.contains(&format!("Trial::test(\"{test}\""))
        {
            return true;
        }
    }
    false
}

fn limits_are_told() -> Result<(), Failed> {
    let help = Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["serve", "--help"]).output()?;
    let help = String::from_utf8(help.stdout)?;
    let mut lines = help.lines().map(str::trim).peekable();
    let mut untold = Vec::new();
    let mut told = 0;
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("[env: ").map(|rest| rest.trim_end_matches([']', '='])) else { continue };
        let is_meant =
            ["_LIMIT_", "_TTL", "_KEEP_", "_GRACE", "_SOCKETS", "_CONNECTIONS", "_TIMEOUT", "_ARGON2", "_MIN_LENGTH"];
        if !is_meant.iter().any(|part| name.contains(part)) {
            continue;
        }
        let default =
            lines.peek().and_then(|line| line.strip_prefix("[default: ")?.strip_suffix(']')).unwrap_or("none");
        match PAGE.contains(&format!("| `{name}` | `{default}` |")) {
            true => told += 1,
            false => untold.push(format!("| `{name}` | `{default}` |")),
        }
    }
    assert!(told + untold.len() > 15, "the program tells of no limits");
    if untold.is_empty() { Ok(()) } else { Err(format!("docs/security.md has no rows: {untold:#?}").into()) }
}

/// Sentences of the page with a `{}` for each figure, and the constants that the figures are, in their units.
const FIGURES: [(&str, &[Figure]); 16] = [
    (
        "a document has {} KiB, {} selections, {} aliases, {} directives",
        &[
            Figure("graphql/execution/limits/mod.rs", "MAX_BYTES", KIB),
            Figure("graphql/execution/limits/mod.rs", "MAX_SELECTIONS", 1),
            Figure("graphql/execution/limits/mod.rs", "MAX_ALIASES", 1),
            Figure("graphql/execution/limits/mod.rs", "MAX_DIRECTIVES", 1),
        ],
    ),
    ("and {} levels at most", &[Figure("graphql/mod.rs", "MAX_DEPTH", 1)]),
    ("A body has {} KiB", &[Figure("http/graphql/mod.rs", "MAX_BODY", KIB)]),
    (
        "A user sends {} at once and all together {}",
        &[Figure("http/graphql/multipart.rs", "ARRIVING_PER_USER", 1), Figure("http/graphql/multipart.rs", "ARRIVING", 1)],
    ),
    (
        "{} at a time, {} of them of one user",
        &[Figure("http/graphql/multipart.rs", "IN_MEMORY", 1), Figure("http/graphql/multipart.rs", "IN_MEMORY_PER_USER", 1)],
    ),
    ("A user has {} at most; one more ends", &[Figure("domain/auth/sessions.rs", "SESSIONS_PER_USER", 1)]),
    ("{} lines a minute for each user", &[Figure("domain/auth/refused_rights.rs", "LINES", 1)]),
    ("A network is known to an account for {} days", &[Figure("domain/auth/known_networks.rs", "KNOWN_FOR", DAY)]),
    ("within {} days keeps a budget of its own", &[Figure("domain/auth/known_networks.rs", "KNOWN_FOR", DAY)]),
    ("| {} days after the last sign-in from there |", &[Figure("domain/auth/known_networks.rs", "KNOWN_FOR", DAY)]),
    ("reloads ({} s)", &[Figure("domain/auth/signing_keys.rs", "RELOAD", SECOND)]),
    ("renewed ({} min)", &[Figure("domain/auth/signing_keys.rs", "CACHE", 60 * SECOND)]),
    ("signing in with it ends after {} hours", &[Figure("domain/auth/passwords.rs", "TEMPORARY", 3600 * SECOND)]),
    ("has {} times the budget of one client", &[Figure("tools/network.rs", "SITE_FACTOR", 1)]),
    (
        "are refused to others for {} days on every path",
        &[Figure("domain/users/reserved.rs", "USERNAME_RESERVED", DAY)],
    ),
    ("have 8 to {} characters", &[Figure("tools/password/mod.rs", "MAX_LENGTH", 1)]),
];

const KIB: u64 = 1024;
/// Times are in milliseconds.
const SECOND: u64 = 1000;
const DAY: u64 = 24 * 3600 * SECOND;

/// A constant of this file below `src/`, and its unit.
struct Figure(&'static str, &'static str, u64);

impl Figure {
    fn read(&self) -> String {
        let Self(file, name, unit) = self;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, rest) = text.split_once(&format!("const {name}: ")).unwrap_or_else(|| panic!("{file} has no {name}"));
        let value =
            rest.split_once(" = ").and_then(|(_, rest)| rest.split_once(';')).expect("a constant has a value").0;
        let (factor, product) = match value.strip_suffix(')').and_then(|call| call.split_once('(')) {
            Some(("Duration::from_secs", seconds)) => (SECOND, seconds),
            Some(("Duration::from_millis", millis)) => (1, millis),
            _ => (1, value),
        };
        let number =
            |text: &str| text.trim().replace('_', "").parse::<u64>().unwrap_or_else(|_| panic!("{name}: {value}"));
        (factor * product.split('*').map(number).product::<u64>() / unit).to_string()
    }
}

fn figures_are_true() -> Result<(), Failed> {
    let page = PAGE.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentences = FIGURES.iter().map(|(sentence, figures)| {
        figures.iter().fold((*sentence).to_owned(), |text, figure| text.replacen("{}", &figure.read(), 1))
    });
    let untrue: Vec<String> = sentences.filter(|sentence| !page.contains(sentence.as_str())).collect();
    if untrue.is_empty() { Ok(()) } else { Err(format!("docs/security.md does not say: {untrue:#?}").into()) }
}
