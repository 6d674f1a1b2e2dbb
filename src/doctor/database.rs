//! Checks of the database and its rows: migrations, superusers, keys, clock, waiting emails.

use std::time::Duration;

use super::report::Report;
use crate::config::Config;
use crate::database::{self, Db, Options, ServerInfo, Unfit};
use crate::domain::auth::signing_keys;
use crate::domain::operator::health::{self, Health};
use crate::domain::operator::{self, Operator};
use crate::error::Error;
use crate::tools::clock::{Clock, SKEW, Timestamp};
use crate::tools::secret::{InstanceName, MasterKeys, MasterSecrets};
use crate::tools::text::counted;

/// Maximum latency of an empty statement.
const LATENCY: Duration = Duration::from_millis(20);

/// Maximum delay of a due email. A longer one means that the service is not running.
const BACKLOG: Duration = Duration::from_secs(5 * 60);

/// Tolerated difference of clocks in milliseconds.
const DRIFT: i64 = 2000;

/// Recommended maximum age of a signing key.
const KEY_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Checks the database, and returns facts read from its rows if it can be read.
pub(super) async fn check(config: &Config, secrets: Option<&MasterSecrets>) -> (Report, Option<Health>) {
    let mut report = Report::default();
    let url = config.database_url();
    if let Some(file) = url.sqlite_path().filter(|file| !file.exists()) {
        let found = format!("{} does not exist yet", file.display());
        report.warn(
            "database",
            found,
            "the first start or `vestibule migrate` creates it; otherwise check VESTIBULE_DATABASE_URL",
        );
        return (report, None);
    }
    if let Some(obstacle) = url.sqlite_path().and_then(database::file_obstacle) {
        report.fail("database", obstacle, "chown or chmod the file and its folder for the user of the service");
    }
    let options = match Options::of(config) {
        Ok(options) => options,
        Err(problem) => {
            report.fail("settings", problem, "set VESTIBULE_CA_FILE to a readable file of PEM certificates");
            return (report, None);
        }
    };
    let db = match Db::open_read_only(&url, &options.trust).await {
        Ok(db) => db,
        Err(problem) => {
            let remedy = "check VESTIBULE_DATABASE_URL, that the server is running, and the file permissions";
            report.fail("database", format!("cannot open the database: {problem}"), remedy);
            return (report, None);
        }
    };
    match db.unfit().await {
        Ok(None) => {}
        Ok(Some(Unfit { found, remedy })) => {
            // Further checks would blame something else.
            report.fail("database", found, remedy);
            return (report, None);
        }
        Err(error) => report.fail("database", describe(&error), "check the database log"),
    }
    let connections = i64::from(options.readers + options.writers + 1);
    match db.facts().await {
        Ok(facts) => server(&facts, connections, &mut report),
        Err(error) => report.fail("database", describe(&error), "check that it is an undamaged database of Vestibule"),
    }
    clock(&db, &mut report).await;
    match db.pending_migrations().await {
        Ok(0) => report.ok("database", "no pending migrations"),
        Ok(pending) => {
            let found = counted(pending as u64, "pending migration", "pending migrations");
            report.fail("database", found, "back up the database, then run `vestibule migrate` or start this version");
            return (report, None);
        }
        Err(error) => {
            report.fail("database", describe(&error), "run the version that wrote it, or restore an earlier backup");
            return (report, None);
        }
    }
    match health::examine(&db, &Operator::new()).await {
        Ok(health) => {
            let url = config.public_url.as_ref().map_or("", |url| url.as_str());
            let instance = health.instance.map(|id| InstanceName { id, public_url: url });
            let master_keys = secrets.zip(instance).map(|(secrets, instance)| MasterKeys::new(secrets, instance));
            rows(&health, master_keys.as_ref(), config, &mut report);
            if let (Some(master_keys), Some(_)) = (&master_keys, &config.secret_key_previous) {
                previous_key(&db, master_keys, &mut report).await;
            }
            (report, Some(health))
        }
        Err(error) => {
            report.fail("database", describe(&error), "check the database log");
            (report, None)
        }
    }
}

fn describe(error: &Error) -> String {
    match error {
        Error::Unavailable(_) => "no response: the database is locked, overloaded or damaged".to_owned(),
        error => operator::explain(error),
    }
}

/// `taken`: number of connections an instance opens to PostgreSQL, including the one for notifications.
fn server(facts: &ServerInfo, taken: i64, report: &mut Report) {
    let ServerInfo { version, latency, connections, size, is_wal } = facts;
    let found = format!("{version}, {} MiB, latency {:.1} ms", size >> 20, latency.as_secs_f64() * 1000.0);
    match *latency > LATENCY {
        true => report.warn("database", found, "each request runs several statements: move the database closer"),
        false => report.ok("database", found),
    }
    if !is_wal {
        let remedy = "the service enables it at start; network file systems do not support it, so use a local disk";
        report.warn("database", "write-ahead logging of SQLite is off (journal_mode is not wal)", remedy);
    }
    if let Some((open, most)) = connections {
        let found = format!("{open} of {most} connections are open; an instance needs {taken}");
        match open + taken > *most {
            true => report.warn("database", found, "raise max_connections, or run fewer instances"),
            false => report.ok("database", found),
        }
    }
}

/// Compares the clocks of the database and this machine, assuming equal latency in both directions.
async fn clock(db: &Db, report: &mut Report) {
    let before = Clock::System.now().at.millis();
    let Ok(Some(clock)) = db.clock().await else { return };
    let after = Clock::System.now().at.millis();
    let ahead = clock.millis() - i64::midpoint(before, after);
    let found = format!("the database clock is {:.1} s ahead of this machine", seconds(ahead));
    let remedy = "synchronize the clocks of both machines with NTP";
    if ahead.unsigned_abs() > SKEW.as_millis().try_into().unwrap_or(u64::MAX) {
        report.fail("clock", found, remedy);
    } else if ahead.abs() > DRIFT {
        report.warn("clock", found, remedy);
    } else {
        report.ok("clock", found);
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is only displayed")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

fn rows(health: &Health, master_keys: Option<&MasterKeys>, config: &Config, report: &mut Report) {
    let now = Clock::System.now().at;
    match health.superusers {
        0 => {
            let found = "no superuser can sign in";
            report.warn(
                "users",
                found,
                "run `vestibule create-superuser` or `vestibule users enable`; a start creates the first one",
            );
        }
        number => {
            report.ok("users", counted(number, "superuser can sign in", "superusers can sign in"));
        }
    }
    let public_url = config.public_url.clone().or_else(|| config.listen.url());
    let known_as = public_url.and_then(|url| config.relying_party(&url).ok().flatten());
    for (domain, number) in &health.passkeys {
        let number = u64::try_from(*number).unwrap_or_default();
        let passkeys = counted(number, "passkey belongs", "passkeys belong");
        let found = format!("{passkeys} to {domain}");
        if known_as.as_ref().is_some_and(|service| service.id == *domain) {
            report.ok("users", found);
        } else {
            let remedy =
                "set VESTIBULE_PASSKEY_DOMAIN or VESTIBULE_PUBLIC_URL back, or ask their users to add new ones";
            report.warn("users", format!("{found}, and so do not work"), remedy);
        }
    }
    if health.temporary_passwords > 0 {
        let found = counted(
            health.temporary_passwords,
            "temporary password has not been changed",
            "temporary passwords have not been changed",
        );
        let end = if config.is_reachable() { " within 24 hours of its creation" } else { "" };
        let remedy = format!("sign in and change each{end}, or run `vestibule users reset` to email a link");
        report.warn("users", found, remedy);
    }
    if !health.double_addresses.is_empty() {
        let found = format!(
            "accounts that cannot be found by email address, because another account has the same: {}",
            health.double_addresses.join(", ")
        );
        report.warn(
            "users",
            found,
            "change the address of one account of each pair, or delete it, then restart the service",
        );
    }
    signing_keys(health, master_keys, now, report);
    match health.youngest {
        Some(youngest) if youngest > now.plus(SKEW) => {
            let found = format!("the time is {now}, but an event was recorded at {youngest}");
            report.fail("clock", found, "set the clock: sessions and links expire too late or immediately");
        }
        _ => report.ok("clock", format!("the time is {now}, later than all recorded events")),
    }
    let waits = health.mails.due_since.filter(|due| *due < now.minus(BACKLOG));
    let waiting = counted(health.mails.waiting, "email waiting", "emails waiting");
    let mut found = format!("{waiting}, {} failed", health.mails.given_up);
    if health.mails.held > 0 {
        found += &format!(", {} held", health.mails.held);
    }
    match waits {
        Some(due) => {
            let error = health.mails.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
            let remedy =
                "check that the service is running, and the mail server below; see `vestibule mail list --waiting`";
            report.fail("mail", format!("{found}; the oldest has been due since {due}{error}"), remedy);
        }
        None if health.mails.given_up > 0 => {
            report.warn(
                "mail",
                found,
                "run `vestibule mail list --failed`, fix the cause, then `vestibule mail retry`",
            );
        }
        None if health.mails.held > 0 => {
            report.warn("mail", found, "run `vestibule mail list --held`, then `vestibule mail release` or `cancel`");
        }
        None => report.ok("mail", found),
    }
}

/// Checks if the previous secret key is still needed.
async fn previous_key(db: &Db, master_keys: &MasterKeys, report: &mut Report) {
    match operator::keys::count_old_seals(db, &Operator::new(), master_keys).await {
        Ok(0) => {
            let found = "no stored secret is sealed with VESTIBULE_SECRET_KEY_PREVIOUS";
            report.warn(
                "keys",
                found,
                "unset it once all older sessions have been refreshed, after VESTIBULE_REFRESH_TTL at most",
            );
        }
        Ok(count) => {
            let found = counted(
                count,
                "stored secret is not sealed with VESTIBULE_SECRET_KEY",
                "stored secrets are not sealed with VESTIBULE_SECRET_KEY",
            );
            report.warn("keys", found, "run `vestibule keys reseal` once all instances have the new secret key");
        }
        Err(error) => report.fail("keys", describe(&error), "check the database log"),
    }
}

fn signing_keys(health: &Health, master_keys: Option<&MasterKeys>, now: Timestamp, report: &mut Report) {
    let Some(signing) = signing_keys::signing(&health.keys, now) else {
        return report.warn("keys", "no signing key", "the next start creates one");
    };
    let Some(master_keys) = master_keys else {
        let remedy = "restore secret.key, or set VESTIBULE_SECRET_KEY; if it is lost permanently, run \
                      `vestibule keys reset --lost-secret`";
        return report.fail("keys", "the secret key for the sealed signing keys is missing", remedy);
    };
    if master_keys.unseal(&signing.kid, &signing.sealed_private_key).is_none() {
        let remedy = "restore the earlier secret key: VESTIBULE_SECRET_KEY, or secret.key in the data directory";
        return report.fail("keys", "the secret key does not match the signing key", remedy);
    }
    let verifying = health.keys.iter().filter(|key| key.expires_at.is_none_or(|end| end > now)).count();
    let since = signing.signs_from.max(signing.created_at);
    let verifying = counted(verifying as u64, "key verifies", "keys verify");
    let found = format!("{} has been signing since {since}; {verifying}", signing.kid);
    match signing.created_at.plus(KEY_AGE) < now {
        true => report.warn("keys", format!("{found}; it is more than a year old"), "run `vestibule keys rotate`"),
        false => report.ok("keys", found),
    }
}
