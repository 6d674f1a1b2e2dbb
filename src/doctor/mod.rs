//! Checks of settings, files, database and external services, with advice. They change nothing. Each check runs
//! independently and with a timeout, so the doctor works even if the service does not.

// Sources of breached passwords.
mod breached_passwords;
// Files and their permissions, disk space, open files.
pub(crate) mod files;
// Speed of password hashing.
pub(crate) mod hashing;
// Findings.
pub mod report;
// Combinations of settings.
mod settings;
// The database and its rows.
mod database;
// The installation, for superusers.
pub mod system;
// Mail server and media store.
mod services;

use std::time::Duration;

use tokio::time::timeout;

use self::report::Report;
use crate::config::Config;
use crate::domain::operator::health::Health;
use crate::error::{Error, Result};
use crate::tools::secret::MasterSecrets;
use crate::tools::secret_file;

/// Timeout of one check.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Timeout of reading the list of breached passwords, which may have gigabytes.
const LIST_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Checks that send or measure something.
#[derive(Clone, Debug)]
pub struct SlowChecks {
    /// Recipient of a test email.
    pub mail_to: Option<String>,
    /// Time budget for hashing one password.
    pub time: Duration,
}

/// Runs the checks of settings, files and database, and the slow ones on request.
///
/// # Errors
/// [`Error::Internal`] if a check cannot run at all. Problems are findings.
pub async fn examine(config: &Config, slow: Option<&SlowChecks>) -> Result<Report> {
    let mut reports = vec![settings::check(config), files::check(config)];
    let secrets = secrets(config);
    let database = database::check(config, secrets.as_ref());
    let (found, health) = match timeout(TIMEOUT, database).await {
        Ok(found) => found,
        Err(_) => (silent("database", "check that the database server is running and not overloaded"), None),
    };
    reports.push(found);
    reports.push(match timeout(LIST_TIMEOUT, breached_passwords::check(config, slow.is_none())).await {
        Ok(found) => found?,
        Err(_) => silent("breached", "check that the disk of VESTIBULE_BREACHED_PASSWORDS_FILE is not overloaded"),
    });
    if let Some(slow) = slow {
        reports.extend(outside_and_hashing(config, slow, health.as_ref()).await?);
    }
    Ok(Report(reports.into_iter().flat_map(|report| report.0).collect()))
}

/// Slow checks: mail server, media store and hashing.
async fn outside_and_hashing(config: &Config, slow: &SlowChecks, health: Option<&Health>) -> Result<Vec<Report>> {
    let mails = timeout(2 * TIMEOUT, services::check_mails(config, slow.mail_to.as_deref())).await;
    let mails = mails.unwrap_or_else(|_| silent("mail", "check VESTIBULE_MAIL_URL, and that the server is running"));
    let media = timeout(TIMEOUT, services::check_media(config, health)).await;
    let media = media.unwrap_or_else(|_| silent("media", "check VESTIBULE_MEDIA_URL, and that the store is running"));
    let (config, time) = (config.clone(), slow.time);
    let hashing = tokio::task::spawn_blocking(move || hashing::check(&config, time)).await.map_err(Error::internal)?;
    Ok(vec![mails, media, hashing])
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
