//! Comparison of the documents with the code: tests named in `docs/security.md` exist, and figures match constants.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Outcome;

const PAGE: &str = include_str!("../../docs/security.md");

/// Checks outside this suite, each with a separate command.
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

/// Rows of the tables of promises, with the tests in their last cells.
fn promises() -> Vec<(&'static str, Vec<&'static str>)> {
    let (_, tables) = PAGE.split_once("\n## Promises and their tests").expect("the page has tables of promises");
    let rows = tables.lines().filter(|line| line.starts_with('|') && !line.starts_with("|-"));
    let rows =
        rows.filter(|line| !["| requirement", "| class", "| further rule"].iter().any(|head| line.starts_with(head)));
    rows.map(|line| {
        let (_, last) = line.trim_end_matches('|').rsplit_once('|').expect("a row has cells");
        (line, last.split('`').skip(1).step_by(2).collect())
    })
    .collect()
}

#[test]
fn every_test_that_the_page_names_exists() -> Outcome {
    let names = names()?;
    let mut problems = Vec::new();
    let rows = promises();
    assert!(rows.len() > 60, "the tables were not found");
    for (line, tests) in rows {
        if tests.is_empty() && !line.contains("not promised") {
            problems.push(format!("no test for this promise: {line}"));
        }
        for test in tests {
            if !STEPS.contains(&test) && !names.iter().any(|name| name == test) && !exists(test) {
                problems.push(format!("test {test} does not exist"));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

/// The tests of this suite that use a database, as `module::name`.
pub(crate) fn names() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut names = Vec::new();
    for file in crate::architecture::rust_files(&root) {
        let path = file.strip_prefix(&root)?.with_extension("");
        let module = path.iter().filter_map(|part| part.to_str()).collect::<Vec<_>>().join("::");
        let text = fs::read_to_string(&file)?;
        for attribute in ["both_databases", "sqlite_only", "postgres_only"] {
            for rest in text.split(&format!("#[{attribute}]\nasync fn ")).skip(1) {
                let name = rest.split('(').next().unwrap_or_default();
                names.push(format!("{module}::{name}"));
            }
        }
    }
    Ok(names)
}

/// True for a test with this path in the library, or one in this suite that uses no database.
fn exists(test: &str) -> bool {
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
        if is_function && (text.contains("#[test]") || text.contains("#[tokio::test")) {
            return true;
        }
    }
    false
}

#[test]
fn the_page_lists_every_limit_with_its_default() -> Outcome {
    let is_limit = |name: &str| {
        ["_LIMIT_", "_TTL", "_KEEP_", "_GRACE", "_SOCKETS", "_CONNECTIONS", "_TIMEOUT", "_ARGON2", "_MIN_LENGTH"]
            .iter()
            .any(|part| name.contains(part))
    };
    let limits = settings()?.into_iter().filter(|(name, _)| is_limit(name));
    let rows: Vec<String> =
        limits.map(|(name, default)| format!("| `{name}` | `{}` |", default.as_deref().unwrap_or("none"))).collect();
    assert!(rows.len() > 15, "the help lists no limits");
    let missing: Vec<_> = rows.iter().filter(|row| !PAGE.contains(row.as_str())).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("docs/security.md has no rows: {missing:#?}").into()) }
}

/// Names of settings and their defaults.
type Defaults = Vec<(String, Option<String>)>;

/// Settings with their defaults, from `serve --help`.
fn settings() -> Result<Defaults, Box<dyn std::error::Error>> {
    let help = Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["serve", "--help"]).output()?;
    let help = String::from_utf8(help.stdout)?;
    let mut lines = help.lines().map(str::trim).peekable();
    let mut settings = Vec::new();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("[env: ").map(|rest| rest.trim_end_matches([']', '='])) else { continue };
        let default = lines.peek().and_then(|line| line.strip_prefix("[default: ")?.strip_suffix(']'));
        settings.push((name.to_owned(), default.map(str::to_owned)));
    }
    Ok(settings)
}

/// Source of a figure.
enum Figure {
    /// A constant of a file below `src/`, and the unit of the figure. Durations are in milliseconds.
    Constant(&'static str, &'static str, u64),
    /// The default of a setting.
    Setting(&'static str),
}

use Figure::{Constant, Setting};

const KIB: u64 = 1024;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const SECURITY: &str = "docs/security.md";
const OPERATIONS: &str = "docs/operations.md";
const SPREADSHEETS: &str = "docs/spreadsheets.md";
const DJANGO: &str = "docs/django.md";
const MONITORING: &str = "docs/watching.md";
const PERFORMANCE: &str = "docs/performance.md";
const SETTINGS: &str = "docs/settings.md";
const API: &str = "docs/api.md";
const DEPLOYMENT: &str = "docs/deployment.md";

const LIMITS: &str = "graphql/execution/limits/mod.rs";
const IMPORT_JOBS: &str = "domain/import/spreadsheet/jobs/mod.rs";
const UPLOADS: &str = "http/graphql/multipart.rs";
const SHEETS: &str = "tools/sheet/read.rs";
const HASHES: &str = "tools/password/django.rs";
const PARAMS: &str = "tools/password/params.rs";
const KEYS: &str = "domain/auth/signing_keys.rs";
const RESERVED: &str = "domain/users/reserved.rs";
const SOCKET: &str = "http/graphql/socket/connection.rs";

const RANGES: &str = "tools/breached_passwords/range_api.rs";

const KNOWN: Figure = Constant("domain/auth/known_networks.rs", "KNOWN_FOR", DAY);
const DEVICE: Figure = Constant("domain/auth/known_devices.rs", "KNOWN_FOR", DAY);
const DEVICES: Figure = Constant("domain/auth/known_devices.rs", "DEVICES_PER_USER", 1);
const SESSIONS: Figure = Constant("domain/auth/sessions.rs", "SESSIONS_PER_USER", 1);
const TEMPORARY: Figure = Constant("domain/auth/passwords.rs", "TEMPORARY", HOUR);
const UNDELIVERED: Figure = Constant("domain/outbox/link.rs", "WAITS_FOR", DAY);
const MAX_BODY: Figure = Constant("http/graphql/mod.rs", "MAX_BODY", KIB);
const MAX_FILE: Figure = Constant(SHEETS, "MAX_MEGABYTES", 1);
const MAX_PASSWORD: Figure = Constant("tools/password/mod.rs", "MAX_LENGTH", 1);
const RANGE_PREFIX: Figure = Constant(RANGES, "PREFIX_LENGTH", 1);
const MAX_WAIT: Figure = Constant("tools/password/hasher.rs", "MAX_WAIT", 1);
const RELOAD: Figure = Constant(KEYS, "RELOAD", SECOND);
const CACHE: Figure = Constant(KEYS, "CACHE", MINUTE);
const SKEW: Figure = Constant("tools/clock.rs", "SKEW", MINUTE);
const PING: Figure = Constant(SOCKET, "PING_INTERVAL", SECOND);
const FINISH: Figure = Constant("http/connection/server.rs", "FINISH_TIMEOUT", SECOND);

/// Sentences of documents, with a `{}` for each figure.
const FIGURES: &[(&str, &str, &[Figure])] = &[
    (SECURITY, "have {} to {} characters", &[Setting("VESTIBULE_PASSWORD_MIN_LENGTH"), MAX_PASSWORD]),
    (SECURITY, "A user has {} at most; one more ends", &[SESSIONS]),
    (SECURITY, "a user has {} sessions at most", &[SESSIONS]),
    (SECURITY, "are refused to others for {} days on every path", &[Constant(RESERVED, "USERNAME_RESERVED", DAY)]),
    (SECURITY, "After {} renames within that time", &[Constant(RESERVED, "MOST_RESERVED", 1)]),
    (SECURITY, "within {} days keeps a budget of its own", &[KNOWN]),
    (SECURITY, "A network is known to an account for {} days", &[KNOWN]),
    (SECURITY, "| {} days after the last sign-in from there |", &[KNOWN]),
    (SECURITY, "signed in within {} days. Otherwise, each", &[KNOWN]),
    (SECURITY, "A device is known for {} days", &[DEVICE]),
    (SECURITY, "A user has {} known devices at most", &[DEVICES]),
    (SECURITY, "| {} days after the last use; {} per user |", &[DEVICE, DEVICES]),
    (SECURITY, "every instance reloads ({} s)", &[RELOAD]),
    (SECURITY, "key set are renewed ({} min), and clocks may differ ({} min)", &[CACHE, SKEW]),
    (SECURITY, "signing in with it ends after {} hours", &[TEMPORARY]),
    (SECURITY, "has {} times the budget of one client", &[Constant("tools/network.rs", "SITE_FACTOR", 1)]),
    (SECURITY, "a reset link, from the delivery of its email; an undelivered email waits for {} days", &[UNDELIVERED]),
    (SECURITY, "the pending registration or address; an undelivered email waits for {} days", &[UNDELIVERED]),
    (SECURITY, "a document has {} KiB", &[Constant(LIMITS, "MAX_BYTES", KIB)]),
    (SECURITY, "{} selections", &[Constant(LIMITS, "MAX_SELECTIONS", 1)]),
    (SECURITY, "{} aliases", &[Constant(LIMITS, "MAX_ALIASES", 1)]),
    (SECURITY, "{} directives", &[Constant(LIMITS, "MAX_DIRECTIVES", 1)]),
    (SECURITY, "and {} levels at most", &[Constant("graphql/mod.rs", "MAX_FIELD_DEPTH", 1)]),
    (SECURITY, "A mutation has {} fields at most", &[Constant(LIMITS, "MAX_MUTATIONS", 1)]),
    (SECURITY, "A body has {} KiB at most; with a file, {} MiB for the file", &[MAX_BODY, MAX_FILE]),
    (SECURITY, "and {} KiB for the rest", &[Constant(UPLOADS, "MAX_AROUND", KIB)]),
    (SECURITY, "A user sends {} files at a time", &[Constant(UPLOADS, "ARRIVING_PER_USER", 1)]),
    (SECURITY, "a client network {} times as many", &[Constant(UPLOADS, "ARRIVING_PER_NETWORK", 1)]),
    (SECURITY, "All users together send {}, each of {} MiB at most", &[Constant(UPLOADS, "ARRIVING", 1), MAX_FILE]),
    (SECURITY, "{} are reserved for imports by staff", &[Constant(UPLOADS, "RESERVED_FOR_IMPORTS", 1)]),
    (SECURITY, "After {} seconds a file must arrive", &[Constant(UPLOADS, "RATE_WINDOW", SECOND)]),
    (SECURITY, "arrive at {} KiB a second", &[Constant(UPLOADS, "MIN_IN_WINDOW", 5 * KIB)]),
    (SECURITY, "loaded into memory: {} at a time", &[Constant(UPLOADS, "IN_MEMORY", 1)]),
    (SECURITY, "at a time, {} of them of one user", &[Constant(UPLOADS, "IN_MEMORY_PER_USER", 1)]),
    (SECURITY, "After {} ms of waiting", &[MAX_WAIT]),
    (SECURITY, "gets the first {} hexadecimal digits", &[RANGE_PREFIX]),
    (SECURITY, "the first {} of 40 hexadecimal digits", &[RANGE_PREFIX]),
    (SECURITY, "does not answer within {} s", &[Constant(RANGES, "TIMEOUT", SECOND)]),
    (SECURITY, "{} lines a minute for each user", &[Constant("domain/auth/refused_rights.rs", "LINES", 1)]),
    (SECURITY, "a leeway of {} seconds", &[Constant("tools/token.rs", "LEEWAY", 1)]),
    (SECURITY, "a digest is kept for {} minutes", &[Constant("domain/sent_forms.rs", "KNOWN_FOR", MINUTE)]),
    (SECURITY, "| {} minutes after the last step;", &[Constant(IMPORT_JOBS, "KEPT", MINUTE)]),
    (SECURITY, "at most {} for each user |", &[Constant(IMPORT_JOBS, "MAX_FILES", 1)]),
    (SECURITY, "`import_jobs` | {} days", &[Constant(IMPORT_JOBS, "HISTORY", DAY)]),
    (SECURITY, "the last {} are kept", &[Constant("domain/import/spreadsheet/remembered.rs", "MAX_MAPPINGS", 1)]),
    (OPERATIONS, "a temporary password expires after {} hours", &[TEMPORARY]),
    (OPERATIONS, "sends a ping every {} seconds", &[PING]),
    (OPERATIONS, "Documents without a file have {} KiB at most", &[MAX_BODY]),
    (OPERATIONS, "An email is tried {} times", &[Constant("domain/outbox/deliver.rs", "ATTEMPTS", 1)]),
    (OPERATIONS, "undelivered for {} days are dropped", &[UNDELIVERED]),
    (OPERATIONS, "After `VESTIBULE_REFRESH_TTL` ({})", &[Setting("VESTIBULE_REFRESH_TTL")]),
    (OPERATIONS, "Rows are read {} at a time", &[Constant("domain/operator/copy/mod.rs", "BATCH", 1)]),
    (OPERATIONS, "`VESTIBULE_DATABASE_READERS` ({})", &[Setting("VESTIBULE_DATABASE_READERS")]),
    (OPERATIONS, "`VESTIBULE_DATABASE_WRITERS` ({})", &[Setting("VESTIBULE_DATABASE_WRITERS")]),
    (OPERATIONS, "Connecting times out after {} s", &[Constant("database/postgres.rs", "CONNECT_TIMEOUT", SECOND)]),
    (OPERATIONS, "It ends within {} s in any case", &[FINISH]),
    (OPERATIONS, "every instance has reloaded ({} s)", &[RELOAD]),
    (OPERATIONS, "have been renewed ({} min), and clocks may differ ({} min)", &[CACHE, SKEW]),
    (SPREADSHEETS, "at most {} rows, heading included", &[Constant(SHEETS, "MAX_ROW", 1)]),
    (SPREADSHEETS, "The first {} are", &[Constant("domain/import/spreadsheet/problems.rs", "MAX_KEPT", 1)]),
    (SPREADSHEETS, "and {} columns", &[Constant(SHEETS, "MAX_COLUMNS", 1)]),
    (SPREADSHEETS, "a file has at most {} MiB", &[MAX_FILE]),
    (SPREADSHEETS, "its lease expires after {} seconds", &[Constant("domain/leases.rs", "LEASE", SECOND)]),
    (DJANGO, "more than {} rounds of PBKDF2", &[Constant(HASHES, "MAX_ITERATIONS", 1)]),
    (DJANGO, "{} MiB of memory", &[Constant(HASHES, "MAX_MEMORY", KIB)]),
    (DJANGO, "{} passes or", &[Constant(PARAMS, "MAX_PASSES", 1)]),
    (DJANGO, "{} lanes of Argon2", &[Constant(PARAMS, "MAX_LANES", 1)]),
    (DJANGO, "N · r · p above {} for scrypt", &[Constant(HASHES, "MAX_SCRYPT_WORK", 1)]),
    (DJANGO, "a cost above {} for bcrypt", &[Constant(HASHES, "MAX_BCRYPT_COST", 1)]),
    (DJANGO, "fewer than {} rounds of PBKDF2", &[Constant(HASHES, "WEAK_ITERATIONS", 1)]),
    (DJANGO, "a cost below {} for bcrypt", &[Constant(HASHES, "WEAK_BCRYPT", 1)]),
    (DJANGO, "N · r below {} for scrypt", &[Constant(HASHES, "WEAK_SCRYPT", 1)]),
    (DJANGO, "Passwords of more than {} characters must be reset", &[MAX_PASSWORD]),
    (MONITORING, "queried every {} seconds at most", &[Constant("http/routes/metrics.rs", "COUNT_PAUSE", SECOND)]),
    (PERFORMANCE, "sign-ins wait for it for {} ms at most", &[MAX_WAIT]),
    (
        SETTINGS,
        "minimum password length, {} to {} characters",
        &[Setting("VESTIBULE_PASSWORD_MIN_LENGTH"), MAX_PASSWORD],
    ),
    (SETTINGS, "Networks the user signed in from in the last {} days are exempt", &[KNOWN]),
    (
        API,
        "| document | {} KiB, {} selections, {} levels, {} aliases, {} directives;",
        &[
            Constant(LIMITS, "MAX_BYTES", KIB),
            Constant(LIMITS, "MAX_SELECTIONS", 1),
            Constant("graphql/mod.rs", "MAX_FIELD_DEPTH", 1),
            Constant(LIMITS, "MAX_ALIASES", 1),
            Constant(LIMITS, "MAX_DIRECTIVES", 1),
        ],
    ),
    (API, "| mutation | {} root fields", &[Constant(LIMITS, "MAX_MUTATIONS", 1)]),
    (
        API,
        "| body | {} KiB; with a file, {} MiB for the file and {} KiB for the rest |",
        &[MAX_BODY, MAX_FILE, Constant(UPLOADS, "MAX_AROUND", KIB)],
    ),
    (
        API,
        "| page of a list | {} items; {} by default |",
        &[Constant("domain/paging.rs", "MAX_PAGE", 1), Constant("domain/paging.rs", "DEFAULT_PAGE", 1)],
    ),
    (
        API,
        "| WebSocket | {} KiB per message, {} operations at a time |",
        &[Constant("http/graphql/socket/mod.rs", "MAX_MESSAGE", KIB), Constant(SOCKET, "MAX_OPERATIONS", 1)],
    ),
    (API, "| time | {} to execute a document;", &[Setting("VESTIBULE_REQUEST_TIMEOUT")]),
    (API, "no `connection_init` within {} seconds", &[Constant(SOCKET, "INIT_TIMEOUT", SECOND)]),
    (API, "sends a WebSocket ping every {} seconds", &[PING]),
    (API, "may be cached for {} minutes", &[CACHE]),
    (API, "`nodes(ids: …)` up to {}, as", &[Constant("graphql/nodes.rs", "MAX_IDS", 1)]),
    (API, "The limit is {} entities per request", &[Constant("graphql/federation.rs", "MAX_REPRESENTATIONS", 1)]),
    (DEPLOYMENT, "for at most {} seconds", &[FINISH]),
];

impl Figure {
    fn read(&self, settings: &Defaults) -> String {
        match self {
            Constant(file, name, unit) => grouped(constant(file, name) / unit),
            Setting(name) => {
                let default = settings.iter().find(|(known, _)| known == name).and_then(|(_, default)| default.clone());
                default.unwrap_or_else(|| panic!("{name} has no default"))
            }
        }
    }
}

/// Value of a constant that is defined as a product of numbers.
fn constant(file: &str, name: &str) -> u64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, rest) = text.split_once(&format!("const {name}: ")).unwrap_or_else(|| panic!("{file} has no {name}"));
    let value = rest.split_once(" = ").and_then(|(_, rest)| rest.split_once(';')).expect("a constant has a value").0;
    let (unit, product) = match value.strip_suffix(')').and_then(|call| call.split_once('(')) {
        Some(("Duration::from_secs", seconds)) => (SECOND, seconds),
        Some(("Duration::from_millis", millis)) => (1, millis),
        _ => (1, value),
    };
    let number = |text: &str| text.replace('_', "").parse::<u64>().unwrap_or_else(|_| panic!("{name}: {value}"));
    let factor = |text: &str| match text.trim().trim_matches(['(', ')']).split_once(" << ") {
        Some((base, bits)) => number(base) << number(bits),
        None => number(text.trim()),
    };
    unit * product.split('*').map(factor).product::<u64>()
}

/// The number with separators, as in `10,000`.
fn grouped(number: u64) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", grouped(number / 1000), number % 1000) }
}

#[test]
fn figures_in_sentences_are_those_of_the_code() -> Outcome {
    let settings = settings()?;
    let mut missing = Vec::new();
    for (document, sentence, figures) in FIGURES {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document))?;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let sentence =
            figures.iter().fold((*sentence).to_owned(), |text, figure| text.replacen("{}", &figure.read(&settings), 1));
        if !text.contains(&sentence) {
            missing.push(format!("{document} does not say: {sentence}"));
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n").into()) }
}

/// Source of a file, or of all files of a folder, without its unit tests.
fn sources(path: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path);
    let files = if path.is_dir() { crate::architecture::rust_files(&path) } else { vec![path] };
    let mut sources = Vec::new();
    for file in files {
        sources.push(fs::read_to_string(file)?.split("#[cfg(test)]").next().unwrap_or_default().to_owned());
    }
    Ok(sources)
}

#[test]
fn the_api_page_lists_every_code() -> Outcome {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(API))?;
    let (user_errors, rest) = page.split_once("| `extensions.code` |").expect("the page has two tables of codes");
    let (errors, rest) = rest.split_once("\n\n").expect("a table ends");
    let is_code = |text: &&str| text.len() > 4 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let mut missing = Vec::new();

    let schema = include_str!("../../schema.graphql");
    let (_, codes) = schema.split_once("\nenum UserErrorCode {").expect("the schema has the codes");
    let codes: Vec<&str> = codes.split('}').next().unwrap_or_default().lines().map(str::trim).filter(is_code).collect();
    assert!(codes.len() > 20, "{codes:?}");
    let unlisted = codes.into_iter().filter(|code| !user_errors.contains(&format!("`{code}`")));
    missing.extend(unlisted.map(str::to_owned));

    let mut seen = 0;
    for part in ["graphql/errors.rs", "graphql/federation.rs", "graphql/execution", "http/graphql"] {
        for source in sources(part)? {
            for code in source.split('"').filter(is_code).filter(|text| !text.starts_with("VESTIBULE_")) {
                seen += 1;
                if !errors.contains(code) {
                    missing.push(code.to_owned());
                }
            }
        }
    }
    assert!(seen > 30, "the codes were not found");

    let protocol = sources("http/graphql/socket/protocol.rs")?.concat();
    let lines = protocol.lines().filter(|line| !line.trim_start().starts_with("//"));
    let numbers = lines.flat_map(|line| line.split(|letter: char| !letter.is_ascii_digit()));
    let numbers: Vec<&str> = numbers.filter(|number| number.len() == 4).collect();
    assert!(numbers.len() > 8, "{numbers:?}");
    let unlisted = numbers.into_iter().filter(|number| !rest.contains(&format!("\n| {number} |")));
    missing.extend(unlisted.map(str::to_owned));
    if missing.is_empty() { Ok(()) } else { Err(format!("{API} has no codes {missing:?}").into()) }
}
