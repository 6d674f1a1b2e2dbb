//! `vestibule import`

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::Config;
use crate::domain::import::spreadsheet::mapping::{Mapping, MatchBy};
use crate::domain::import::spreadsheet::{
    self, Counts, Import, ImportOptions, ImportedBy, Outcome, Progress, RightsChange,
};
use crate::domain::operator::Operator;
use crate::error::{Error, Result};

/// Options of `import users`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Spreadsheet (.xlsx or .csv) with a column `email`
    file: PathBuf,

    /// Report what would change without writing anything
    #[arg(long)]
    dry_run: bool,

    /// Do not send welcome emails to new users
    #[arg(long)]
    no_welcome: bool,

    /// JSON file with the meaning of the sheet's own headings and words
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,

    /// Key by which rows match accounts
    #[arg(long, value_enum, default_value_t = Key::Email)]
    match_by: Key,
}

/// Key by which rows match accounts.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Key {
    /// Email address
    Email,
    /// Username; the email address can change
    Username,
    /// External id; username and email address can change
    ExternalId,
}

impl From<Key> for MatchBy {
    fn from(key: Key) -> Self {
        match key {
            Key::Email => Self::Email,
            Key::Username => Self::Username,
            Key::ExternalId => Self::ExternalId,
        }
    }
}

/// The content of a file.
async fn content(path: &Path) -> Result<Vec<u8>> {
    let problem = |error| Error::internal(format!("{}: {error}", super::shown(path)));
    tokio::fs::read(path).await.map_err(problem)
}

/// The mapping in a file.
async fn mapping(path: &Path) -> Result<Mapping> {
    let problem = |error| Error::Command(format!("{}: {error}", super::shown(path)));
    serde_json::from_slice(&content(path).await?).map_err(problem)
}

/// Imports users from a spreadsheet.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let Options { file, dry_run, no_welcome, mapping: map, match_by } = options;
    let file = content(&file).await?;
    let mapping = match map {
        Some(path) => mapping(&path).await?,
        None => Mapping::default(),
    };
    let options = ImportOptions { mapping, match_by: match_by.into(), send_welcome: !no_welcome };
    let app = super::open(config).await?;
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let watch = |progress| show(&bar, progress);
    let import = Import { file, dry_run, options };
    let operator = Operator::new();
    let by = ImportedBy::Operator(&operator);
    let imported = spreadsheet::import(&app.db, &app.clock.now(), &app.importer, by, import, &watch).await;
    bar.finish_and_clear();
    match imported? {
        Outcome::Done(counts, rights, sheets) | Outcome::Outdated(counts, rights, sheets) => {
            let Counts { created, updated, unchanged } = counts;
            if let (Some(read), false) = (&sheets.read, sheets.passed_over.is_empty()) {
                super::say(&format!("imported sheet: {read}; ignored sheets: {}", sheets.passed_over.join(", ")));
            }
            for RightsChange { row, email, field, before, after, .. } in &rights {
                let before = before.as_deref().unwrap_or("new account");
                super::say(&format!("row {row}, {email}: {} {before} -> {after}", field.name()));
            }
            let would = if dry_run { "would be " } else { "" };
            super::say(&format!("{would}created: {created}, {would}updated: {updated}, unchanged: {unchanged}"));
            Ok(())
        }
        Outcome::Refused(problems, _) => {
            for error in &problems.list {
                let column = error.column.as_ref().map(|column| format!(", {column}")).unwrap_or_default();
                super::say(&format!("row {}{column}: {}", error.row, error.message));
            }
            if problems.total > problems.list.len() as u64 {
                super::say(&super::counted(problems.total, "error in total", "errors in total"));
            }
            Err(Error::Command("nothing was imported: fix these rows and try again".to_owned()))
        }
    }
}

/// Shows the progress on standard error, if that is a terminal.
pub(super) fn show(bar: &ProgressBar, progress: Progress) {
    match progress {
        Progress::Read(rows) => bar.set_message(super::counted(rows as u64, "row read", "rows read")),
        Progress::Done(steps, of) => {
            if bar.length().is_none() {
                if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent} %") {
                    bar.set_style(style);
                }
                bar.set_length(of as u64);
            }
            bar.set_position(steps as u64);
        }
    }
}
