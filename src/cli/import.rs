//! `vestibule import`

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::Config;
use crate::domain::import::spreadsheet::{self, Counts, Import, ImportedBy, Outcome, Progress, RightsChange};
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
}

/// Imports users from a spreadsheet.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let Options { file: path, dry_run, no_welcome } = options;
    let file =
        tokio::fs::read(&path).await.map_err(|error| Error::internal(format!("{}: {error}", super::shown(&path))))?;
    let app = super::open(config).await?;
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let watch = |progress| show(&bar, progress);
    let import = Import { file, dry_run, send_welcome: !no_welcome };
    let operator = Operator::new();
    let by = ImportedBy::Operator(&operator);
    let imported = spreadsheet::import(&app.db, &app.clock.now(), &app.importer, by, import, &watch).await;
    bar.finish_and_clear();
    match imported? {
        Outcome::Done(Counts { created, updated, unchanged }, rights, sheets) => {
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
        Outcome::Refused(errors) => {
            for error in &errors {
                let column = error.column.as_ref().map(|column| format!(", {column}")).unwrap_or_default();
                super::say(&format!("row {}{column}: {}", error.row, error.message));
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
