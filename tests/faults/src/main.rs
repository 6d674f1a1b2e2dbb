//! Fault injection. Each row breaks one dependency of the service, with real processes and a fresh database. It fails
//! if anything acknowledged is lost or the service does not behave as expected. See `README.md` in this directory.

mod bouncer;
mod client;
mod database;
mod inside;
mod load;
mod outcome;
mod proxy;
mod relay;
mod rows;
mod service;
mod sink;
mod traffic;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use crate::database::Kind;
use crate::outcome::{Findings, Outcome};
use crate::rows::{Lab, Row};

/// Timeout of one row, for services that hang. Much longer than any row takes.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Inject faults into the service's dependencies and check the results
#[derive(Parser)]
struct Arguments {
    /// Names of faults to inject [default: all]
    names: Vec<String>,

    /// List the faults and exit
    #[arg(long)]
    list: bool,

    /// Binary of the service [default: the debug build]
    #[arg(long, env = "VESTIBULE_BIN")]
    binary: Option<PathBuf>,

    /// Serve with a fault inside; used by this program itself
    #[arg(long, hide = true)]
    inside: Option<String>,
}

static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Service under test.
fn binary() -> &'static PathBuf {
    BINARY.get_or_init(|| PathBuf::from("target/debug/vestibule"))
}

#[expect(clippy::disallowed_methods, reason = "a setting of this program, not of the service")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::print_stdout, reason = "it is a tool that prints")]
fn say(line: &str) {
    println!("{line}");
}

/// Reports something that cannot be tested on this machine, also to the file named by `VESTIBULE_SKIPPED`.
fn skip(what: &str) -> Outcome<()> {
    use std::io::Write as _;
    say(&format!("SKIPPED: {what}"));
    let Some(path) = setting("VESTIBULE_SKIPPED").filter(|path| !path.is_empty()) else { return Ok(()) };
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    Ok(file.write_all(format!("{what}\n").as_bytes())?)
}

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(run(Arguments::parse())).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the rows; returns true if all of them passed.
async fn run(arguments: Arguments) -> Outcome<bool> {
    if let Some(fault) = arguments.inside {
        return Box::pin(inside::serve(fault)).await.map(|()| true);
    }
    let mut rows = rows::all();
    for name in &arguments.names {
        outcome::because(rows.iter().any(|row| row.name == name), || format!("unknown fault {name}: see --list"))?;
    }
    rows.retain(|row| arguments.names.is_empty() || arguments.names.iter().any(|name| name == row.name));
    if arguments.list {
        for row in &rows {
            say(&format!("{:<17} {}", row.name, row.expected));
        }
        return Ok(true);
    }
    let binary = match arguments.binary {
        Some(binary) => binary,
        None => build()?,
    };
    BINARY.get_or_init(|| binary);
    let lab = Lab::default();
    let (mut lines, mut all_well) = (Vec::new(), true);
    let mut skipped: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in &rows {
        let mut kinds = row.databases.to_vec();
        kinds.retain(|kind| {
            let without_server = || database::left_out().filter(|_| *kind == Kind::Postgres);
            let Some(why) = (row.left_out)().or_else(without_server) else { return true };
            lines.push(line(row, *kind, None, &format!("SKIPPED {why}")));
            skipped.entry(why).or_default().push(format!("{} on {}", row.name, kind.name()));
            false
        });
        let attempts = kinds.iter().map(|kind| async {
            let (line, went_well) = attempt(&lab, row, *kind).await;
            say(&line);
            (line, went_well)
        });
        let attempted = match row.at_once {
            true => join_all(attempts).await,
            false => stream::iter(attempts).then(|attempt| attempt).collect().await,
        };
        for (line, went_well) in attempted {
            all_well &= went_well;
            lines.push(line);
        }
    }
    say(&format!("\n{}\n{}", HEADING, lines.join("\n")));
    for (why, rows) in skipped {
        skip(&format!("faults: {}: {why}", rows.join(", ")))?;
    }
    say(if all_well { "\nAll faults passed." } else { "\nSome faults failed." });
    Ok(all_well)
}

const HEADING: &str = "fault             database    acknowledged   lost  duplicates  recovery  verdict";

/// Injects a fault. If everything is right but late, there is a second attempt, because other load on the machine may be
/// the cause. After a wrong result there is none.
async fn attempt(lab: &Lab, row: &Row, kind: Kind) -> (String, bool) {
    let mut before = String::new();
    loop {
        let started = Instant::now();
        let (outcome, late) = outcome::attempt(tokio::time::timeout(TIMEOUT, (row.run)(lab, kind))).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("it still hung after {TIMEOUT:?}").into()));
        let took = started.elapsed();
        let (findings, error) = match outcome {
            Ok(findings) => (Some(findings), findings.check().err()),
            Err(error) => (None, Some(error)),
        };
        if let Some(error) = error {
            return (line(row, kind, findings, &failed(row, &format!("{error}{before}"))), false);
        }
        let late = late.join(", ");
        match (late.is_empty(), before.is_empty()) {
            (true, _) => {
                let verdict = format!("ok      {} ({took:.0?}){before}", row.expected);
                return (line(row, kind, findings, &verdict), true);
            }
            (false, true) => before = format!(" at the second attempt; the first was late: {late}"),
            (false, false) => {
                return (line(row, kind, findings, &failed(row, &format!("late again: {late}{before}"))), false);
            }
        }
    }
}

fn failed(row: &Row, why: &str) -> String {
    format!("FAILED  {why} -- expected: {}", row.expected)
}

fn line(row: &Row, kind: Kind, findings: Option<Findings>, verdict: &str) -> String {
    let number = |of: fn(Findings) -> usize| findings.map_or("-".to_owned(), |findings| of(findings).to_string());
    let recovery = findings.and_then(|findings| findings.recovery);
    let recovery = recovery.map_or("-".to_owned(), |recovery| format!("{:.1} s", recovery.as_secs_f64()));
    let (acknowledged, lost) = (number(|findings| findings.acknowledged), number(|findings| findings.lost));
    let duplicates = number(|findings| findings.duplicates);
    let database = kind.name();
    format!("{:<17} {database:<11} {acknowledged:>12} {lost:>6} {duplicates:>11} {recovery:>9}  {verdict}", row.name)
}

/// Builds the service, and returns its debug binary.
fn build() -> Outcome<PathBuf> {
    let cargo = setting("CARGO").unwrap_or_else(|| "cargo".to_owned());
    let built =
        std::process::Command::new(cargo).args(["build", "--package", "vestibule", "--bin", "vestibule"]).status()?;
    outcome::because(built.success(), || "cannot build the service".to_owned())?;
    // Both binaries are built into the same directory.
    Ok(std::env::current_exe()?.with_file_name("vestibule"))
}
