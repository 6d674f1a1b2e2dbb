//! `vestibule doctor`

use std::time::Duration;

use crate::config::Config;
use crate::doctor::report::{Level, Report};
use crate::doctor::{SlowChecks, examine, hashing};
use crate::error::{Error, Result};

/// Options of `doctor`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Send a test email to this address
    #[arg(long, value_name = "ADDRESS")]
    mail_to: Option<String>,

    /// Time budget for hashing one password; prints the Argon2 parameters that fit it on this machine
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = hashing::parse_time)]
    time: Duration,

    /// Check only settings, files and the database, without sending or measuring anything
    #[arg(long, conflicts_with_all = ["mail_to", "time"])]
    quick: bool,

    /// Print a JSON array instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the checks; fails if any of them fails.
pub(super) async fn run(config: &Config, options: Options) -> Result<()> {
    let slow = SlowChecks { mail_to: options.mail_to, time: options.time };
    let report = examine(config, (!options.quick).then_some(&slow)).await?;
    print(&report, options.json)?;
    match report.count(Level::Fail) {
        0 => Ok(()),
        failures => Err(Error::Command(super::counted(failures as u64, "check failed", "checks failed"))),
    }
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        super::say(&serde_json::to_string_pretty(&report.0).map_err(Error::internal)?);
        return Ok(());
    }
    report.0.iter().for_each(|finding| super::say(&finding.lines()));
    let [ok, warnings, failures] = [Level::Ok, Level::Warn, Level::Fail].map(|level| report.count(level) as u64);
    let warnings = super::counted(warnings, "warning", "warnings");
    super::say(&format!("{ok} ok, {warnings}, {}", super::counted(failures, "failure", "failures")));
    Ok(())
}
