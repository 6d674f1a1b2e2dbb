//! `vestibule doctor`: checks settings, files, database and external services, and suggests fixes. It changes nothing.
//! Each check runs independently and with a timeout, so it works even if the service does not.

// Sources of breached passwords.
mod breached_passwords;
// Files and their permissions, disk space, open files.
mod files;
// Speed of password hashing.
mod hashing;
// Findings.
mod report;
// Combinations of settings.
mod settings;
// The database and its rows.
mod database;
// Mail server and media store.
mod services;

use std::time::Duration;

use tokio::time::timeout;

use self::report::{Level, Report};
use crate::config::Config;
use crate::domain::operator::health::Health;
use crate::error::{Error, Result};
use crate::tools::secret::MasterSecrets;
use crate::tools::secret_file;

/// Timeout of one check.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Timeout of reading the list of breached passwords, which may have gigabytes.
const LIST_TIMEOUT: Duration = Duration::from_secs(5 * 60);

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

/// Runs all checks; fails if any of them fails.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let mut reports = vec![settings::check(&config), files::check(&config)];
    let secrets = secrets(&config);
    let database = database::check(&config, secrets.as_ref());
    let (found, health) = match timeout(TIMEOUT, database).await {
        Ok(found) => found,
        Err(_) => (silent("database", "check that the database server is running and not overloaded"), None),
    };
    reports.push(found);
    reports.push(match timeout(LIST_TIMEOUT, breached_passwords::check(&config, options.quick)).await {
        Ok(found) => found?,
        Err(_) => silent("breached", "check that the disk of VESTIBULE_BREACHED_PASSWORDS_FILE is not overloaded"),
    });
    if !options.quick {
        reports.extend(outside_and_hashing(config, &options, health.as_ref()).await?);
    }
    let report = Report(reports.into_iter().flat_map(|report| report.0).collect());
    print(&report, options.json)?;
    match report.count(Level::Fail) {
        0 => Ok(()),
        failures => Err(Error::Command(super::counted(failures as u64, "check failed", "checks failed"))),
    }
}

/// Slow checks: mail server, media store and hashing.
async fn outside_and_hashing(config: Config, options: &Options, health: Option<&Health>) -> Result<Vec<Report>> {
    let mails = timeout(2 * TIMEOUT, services::check_mails(&config, options.mail_to.as_deref())).await;
    let mails = mails.unwrap_or_else(|_| silent("mail", "check VESTIBULE_MAIL_URL, and that the server is running"));
    let media = timeout(TIMEOUT, services::check_media(&config, health)).await;
    let media = media.unwrap_or_else(|_| silent("media", "check VESTIBULE_MEDIA_URL, and that the store is running"));
    let time = options.time;
    let hashing = tokio::task::spawn_blocking(move || hashing::check(&config, time)).await.map_err(Error::internal)?;
    Ok(vec![mails, media, hashing])
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

/// Report of a check that timed out.
fn silent(check: &'static str, remedy: &str) -> Report {
    let mut report = Report::default();
    report.fail(check, "no response in time", remedy);
    report
}

/// Secret keys of the service, if available.
fn secrets(config: &Config) -> Option<MasterSecrets> {
    let current = config.secret_key.as_ref().map(|key| key.bytes().to_vec());
    let current = current.or_else(|| secret_file::read(&config.secret_key_path()).ok())?;
    Some(MasterSecrets { current, previous: config.secret_key_previous.as_ref().map(|key| key.bytes().to_vec()) })
}
