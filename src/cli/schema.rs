//! `vestibule schema`. Needs no database.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::graphql;
use crate::graphql::schema_diff::{Change, Severity, compare};

/// Options of `schema diff`.
#[derive(Args)]
pub(super) struct DiffOptions {
    /// File with the older schema
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// Also fail if a change might break clients
    #[arg(long)]
    strict: bool,
}

/// Prints the schema.
#[expect(clippy::unnecessary_wraps, reason = "all commands return a result")]
pub(super) fn print(config: &Config) -> Result<()> {
    super::say(present(config).trim_end());
    Ok(())
}

/// Prints the changes, breaking ones first.
pub(super) fn diff(config: &Config, options: &DiffOptions) -> Result<()> {
    let name = super::shown(&options.old);
    let old = std::fs::read_to_string(&options.old).map_err(|error| Error::Command(format!("{name}: {error}")))?;
    let changes = compare(&old, &present(config)).map_err(|problem| Error::Command(format!("{name}: {problem}")))?;
    for change in &changes {
        super::say(&change.to_string());
    }
    let count = |severity| changes.iter().filter(|change: &&Change| change.severity == severity).count();
    let (breaking, dangerous) = (count(Severity::Breaking), count(Severity::Dangerous));
    super::say(&format!("{breaking} breaking, {dangerous} dangerous, {} safe", count(Severity::Safe)));
    if breaking > 0 {
        return Err(Error::Command("the schema has breaking changes".to_owned()));
    }
    if options.strict && dangerous > 0 {
        return Err(Error::Command("the schema has dangerous changes (--strict)".to_owned()));
    }
    Ok(())
}

/// Schema for these settings.
fn present(config: &Config) -> String {
    if config.federation { graphql::federation_sdl() } else { graphql::sdl() }
}
