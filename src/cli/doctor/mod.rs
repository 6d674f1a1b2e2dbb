//! `vestibule doctor`: looks at what the service stands on, and says what to do. It changes nothing, asks each thing by
//! itself and for a time only, and so works where nothing else does.

// What files are there, and who may read them.
mod files;
// What hashing costs here.
mod hashing;
// What was found, line by line.
mod report;
// What the settings come to.
mod settings;
// What the rows tell, and the database.
mod database;
// Where mails and files of users go.
mod services;

use std::time::Duration;

use tokio::time::timeout;

use self::report::{Level, Report};
use crate::config::Config;
use crate::domain::operator::health::Health;
use crate::error::{Error, Result};
use crate::tools::secret::MasterSecrets;
use crate::tools::secret_file;

/// How long one thing may be looked at.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What to look at besides.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Send a mail there, to see that it arrives
    #[arg(long, value_name = "ADDRESS")]
    mail_to: Option<String>,

    /// How long a hash may take, to be told what parameters this machine affords for that
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = hashing::parse_time)]
    time: Duration,

    /// Look at settings, files and the database only: nothing is sent and nothing measured
    #[arg(long, conflicts_with_all = ["mail_to", "time"])]
    quick: bool,

    /// Print one JSON array instead
    #[arg(long)]
    json: bool,
}

/// Looks at everything, and fails where anything must be mended.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let mut reports = vec![settings::look(&config), files::look(&config)];
    let secrets = secrets(&config);
    let database = database::look(&config, secrets.as_ref());
    let (found, health) = match timeout(TIMEOUT, database).await {
        Ok(found) => found,
        Err(_) => (silent("database", "see that the database server runs and is not overloaded"), None),
    };
    reports.push(found);
    if !options.quick {
        reports.extend(outside_and_hashing(config, &options, health.as_ref()).await?);
    }
    let report = Report(reports.into_iter().flat_map(|report| report.0).collect());
    print(&report, options.json)?;
    match report.count(Level::Fail) {
        0 => Ok(()),
        1 => Err(Error::BadInput("one thing must be mended".to_owned())),
        failures => Err(Error::BadInput(format!("{failures} things must be mended"))),
    }
}

/// Slow checks: mails, the media store, and hashing.
async fn outside_and_hashing(config: Config, options: &Options, health: Option<&Health>) -> Result<Vec<Report>> {
    let mails = timeout(2 * TIMEOUT, services::look_at_mails(&config, options.mail_to.as_deref())).await;
    let mails = mails.unwrap_or_else(|_| silent("mail", "see VESTIBULE_MAIL_URL, and that the server runs"));
    let media = timeout(TIMEOUT, services::look_at_media(&config, health)).await;
    let media = media.unwrap_or_else(|_| silent("media", "see VESTIBULE_MEDIA_URL, and that the store runs"));
    let time = options.time;
    let hashing = tokio::task::spawn_blocking(move || hashing::look(&config, time)).await.map_err(Error::internal)?;
    Ok(vec![mails, media, hashing])
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        super::say(&serde_json::to_string_pretty(&report.0).map_err(Error::internal)?);
        return Ok(());
    }
    report.0.iter().for_each(|finding| super::say(&finding.lines()));
    let counts = [Level::Ok, Level::Warn, Level::Fail].map(|level| report.count(level));
    super::say(&format!("{} ok, {} to look at, {} to mend", counts[0], counts[1], counts[2]));
    Ok(())
}

/// What did not answer.
fn silent(check: &'static str, remedy: &str) -> Report {
    let mut report = Report::default();
    report.fail(check, "there was no answer in time", remedy);
    report
}

/// The service's secrets, where there are any.
fn secrets(config: &Config) -> Option<MasterSecrets> {
    let current = config.secret_key.as_ref().map(|key| key.bytes().to_vec());
    let current = current.or_else(|| secret_file::read(&config.secret_key_path()).ok())?;
    Some(MasterSecrets { current, previous: config.secret_key_previous.as_ref().map(|key| key.bytes().to_vec()) })
}
