//! Mutation tests: checks that the tests notice the removal of each guard. In a copy of the code, every guard of
//! `guards.toml` gets a switch. The copy is built once. Then the tests of each guard run without it, and one must fail.

#![expect(clippy::print_stdout, reason = "it prints a table")]

mod table;

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Files and directories that are not copied.
const LEFT_OUT: [&str; 6] = [".git", "target", "data", "node_modules", "corpus", "artifacts"];

/// Code added to the copy that reports if a guard is removed.
const SWITCH: &str = r#"
pub(crate) fn mutant(number: usize) -> bool {
    static REMOVED: std::sync::LazyLock<Option<usize>> =
        std::sync::LazyLock::new(|| std::env::var("VESTIBULE_MUTANT").ok()?.parse().ok());
    *REMOVED == Some(number)
}
"#;

/// Setting of the tests: URL of a PostgreSQL server.
const SERVER: &str = "VESTIBULE_TEST_POSTGRES_URL";

/// Timeout of the tests of a guard. Tests that hang count as failed.
const TIMEOUT: Duration = Duration::from_secs(300);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let selection = Selection::parse(std::env::args().skip(1))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (guards, files) = table::read(root)?;
    let files = table::plant(&guards, files).map_err(|problems| problems.join("\n"))?;
    let work = root.join("target/mutations");
    let copy = work.join("tree");
    clone(root, &copy, &mut |path| {
        let planted = files.get(path).cloned();
        if path == "src/lib.rs" { Some(fs::read_to_string(root.join(path)).ok()? + SWITCH) } else { planted }
    })?;
    let [lib, it] = build(&copy, &work.join("out"))?;
    let log = work.join("log");
    let (mut checked, mut unnoticed, mut skipped) = (0, 0, 0);
    let started = Instant::now();
    for number in selection.order(guards.len()) {
        let guard = &guards[number];
        if !guard.name.contains(&selection.name) {
            continue;
        }
        if selection.time.is_some_and(|time| started.elapsed() > time) {
            break;
        }
        let (program, tests) = match guard.test.split_once(' ') {
            Some(("lib", tests)) => (&lib, tests),
            Some(("it", tests)) => (&it, tests),
            _ => return Err(format!("{}: its test must start with `lib` or `it`", guard.name).into()),
        };
        if is_of_postgres(tests) && setting(SERVER).is_none() {
            println!("{:<10} {:<70} {tests}", "SKIPPED", guard.name);
            skipped += 1;
            continue;
        }
        let verdict = match (run(program, tests, None, &copy, &log)?, run(program, tests, Some(number), &copy, &log)?) {
            (Ran::Passed, Ran::Failed) => "noticed",
            (Ran::Passed, Ran::Hung) => "noticed: the test hung",
            (Ran::Passed, Ran::Passed) => "UNNOTICED",
            _ => "NO SUCH TEST, or it fails even with the guard",
        };
        checked += 1;
        unnoticed += usize::from(!verdict.starts_with("noticed"));
        println!("{verdict:<10} {:<70} {tests}", guard.name);
    }
    println!("\n{checked} of {} guards checked, {unnoticed} unnoticed", guards.len());
    if skipped > 0 {
        skip(&format!("mutations: {skipped} guards that only PostgreSQL needs: {SERVER} is not set"))?;
    }
    Ok(if unnoticed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The guards to remove.
#[derive(Default)]
struct Selection {
    /// A part of their names.
    name: String,
    /// Time after which no further guard is removed.
    time: Option<Duration>,
}

impl Selection {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut selection = Self::default();
        while let Some(argument) = arguments.next() {
            if argument == "--seconds" {
                let seconds = arguments.next().ok_or("--seconds needs a number")?;
                selection.time = Some(Duration::from_secs(seconds.parse()?));
            } else {
                selection.name = argument;
            }
        }
        Ok(selection)
    }

    /// All guards in the order of the table. With a time limit the first one is random, so that each is removed in one
    /// of several runs.
    fn order(&self, guards: usize) -> impl Iterator<Item = usize> {
        let first = match self.time {
            Some(_) => usize::try_from(RandomState::new().build_hasher().finish() % guards as u64).unwrap_or_default(),
            None => 0,
        };
        (first..guards).chain(0..first)
    }
}

/// Copies a directory with some files changed. Up-to-date files are not touched, so that little is rebuilt.
fn clone(from: &Path, to: &Path, change: &mut impl FnMut(&str) -> Option<String>) -> Result<(), Box<dyn Error>> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(to.join(&folder))?;
        for entry in fs::read_dir(from.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            let content = match path.to_str().and_then(&mut *change) {
                Some(text) => text.into_bytes(),
                None => fs::read(from.join(&path))?,
            };
            if fs::read(to.join(&path)).ok().as_ref() != Some(&content) {
                fs::write(to.join(&path), content)?;
            }
        }
    }
    Ok(())
}

/// Builds the tests of the copy, and returns the programs of the unit tests and the integration tests. They need a
/// separate target directory: in that of the original code they would be mistaken for its own.
fn build(copy: &Path, out: &Path) -> Result<[PathBuf; 2], Box<dyn Error>> {
    let built = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--lib", "--test", "it", "--no-run", "--message-format", "json"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", out)
        // One database is enough to find a missing test, so that tests of PostgreSQL are ignored.
        .env_remove(SERVER)
        .stderr(Stdio::inherit())
        .output()?;
    let mut programs = [const { None }; 2];
    for line in String::from_utf8(built.stdout)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let place = match message["target"]["kind"][0].as_str() {
            Some("lib") => 0,
            Some("test") => 1,
            _ => continue,
        };
        if let (Some(program), Some(found)) = (message["executable"].as_str(), programs.get_mut(place)) {
            *found = Some(PathBuf::from(program));
        }
        if let Some(text) = message["message"]["rendered"].as_str().filter(|text| text.starts_with("error")) {
            println!("{text}");
        }
    }
    match programs {
        [Some(lib), Some(it)] if built.status.success() => Ok([lib, it]),
        _ => Err("the copy does not build".into()),
    }
}

/// True for a test of behaviour that only PostgreSQL has.
fn is_of_postgres(tests: &str) -> bool {
    tests.ends_with("::postgres")
}

/// Value of a variable; `None` if it is empty.
fn setting(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "settings of the tests, not of the service")]
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Reports something that cannot be checked on this machine, also to the file named by `VESTIBULE_SKIPPED`.
fn skip(what: &str) -> Result<(), Box<dyn Error>> {
    println!("SKIPPED: {what}");
    if let Some(path) = setting("VESTIBULE_SKIPPED") {
        File::options().create(true).append(true).open(path)?.write_all(format!("{what}\n").as_bytes())?;
    }
    Ok(())
}

/// Result of a test run.
enum Ran {
    Passed,
    Failed,
    Hung,
}

/// Runs the tests whose names contain this text; fails if there are none.
fn run(program: &Path, tests: &str, removed: Option<usize>, copy: &Path, log: &Path) -> Result<Ran, Box<dyn Error>> {
    let output = File::create(log)?;
    let mut command = Command::new(program);
    command.arg(tests).current_dir(copy);
    match is_of_postgres(tests) {
        true => command.arg("--include-ignored"),
        false => command.env_remove(SERVER),
    };
    command.stdout(output.try_clone()?).stderr(output);
    if let Some(number) = removed {
        command.env("VESTIBULE_MUTANT", number.to_string());
    }
    let mut child = command.spawn()?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if started.elapsed() > TIMEOUT => {
                child.kill()?;
                child.wait()?;
                return Ok(Ran::Hung);
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let report = fs::read_to_string(log).unwrap_or_default();
    let has_run = !report.contains("test result: ok. 0 passed");
    Ok(if status.success() && has_run { Ran::Passed } else { Ran::Failed })
}
