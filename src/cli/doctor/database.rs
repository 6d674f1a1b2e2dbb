//! The database, and what its rows tell: migrations, superusers, keys, the clock, mails that wait.

use std::time::Duration;

use super::report::Report;
use crate::config::Config;
use crate::database::{Db, Options, ServerInfo, Unfit};
use crate::domain::auth::signing_keys;
use crate::domain::operator::health::{self, Health};
use crate::domain::operator::{self, Operator};
use crate::error::Error;
use crate::tools::clock::{Clock, SKEW, Timestamp};
use crate::tools::secret::{InstanceName, MasterKeys, MasterSecrets};

/// What a statement may take that does nothing.
const LATENCY: Duration = Duration::from_millis(20);

/// A mail that is due for longer than this waits for a service that does not run.
const BACKLOG: Duration = Duration::from_secs(5 * 60);

/// By how much clocks may differ without anybody minding.
const DRIFT: i64 = 2000;

/// After this time a signing key should be replaced.
const KEY_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Looks at the database; with it comes what the rows tell, as far as they can be read.
pub(super) async fn look(config: &Config, secrets: Option<&MasterSecrets>) -> (Report, Option<Health>) {
    let mut report = Report::default();
    let url = config.database_url();
    if let Some(file) = url.sqlite_path().filter(|file| !file.exists()) {
        let found = format!("there is no {} yet", file.display());
        report.warn(
            "database",
            found,
            "the first start, or `vestibule migrate`, makes it; else see VESTIBULE_DATABASE_URL",
        );
        return (report, None);
    }
    let options = match Options::of(config) {
        Ok(options) => options,
        Err(problem) => {
            report.fail("settings", problem, "name a file of certificates in PEM that the service may read");
            return (report, None);
        }
    };
    let db = match Db::look(&url, &options.trust).await {
        Ok(db) => db,
        Err(problem) => {
            let remedy = "see VESTIBULE_DATABASE_URL, that the server runs, and the rights of the file";
            report.fail("database", format!("it cannot be opened: {problem}"), remedy);
            return (report, None);
        }
    };
    match db.unfit().await {
        Ok(None) => {}
        Ok(Some(Unfit { found, remedy })) => report.fail("database", found, remedy),
        Err(error) => report.fail("database", told(&error), "see the database's own log"),
    }
    let connections = i64::from(options.readers + options.writers + 1);
    match db.facts().await {
        Ok(facts) => database(&facts, connections, &mut report),
        Err(error) => report.fail("database", told(&error), "see that it is a database of Vestibule and not damaged"),
    }
    clock(&db, &mut report).await;
    match db.pending_migrations().await {
        Ok(0) => report.ok("database", "every migration has run"),
        Ok(pending) => {
            let found = crate::cli::counted(pending as u64, "migration has not run", "migrations have not run");
            report.fail("database", found, "make a backup, then `vestibule migrate`, or start this version");
            return (report, None);
        }
        Err(error) => {
            report.fail("database", told(&error), "run the version that wrote it, or restore a backup of before");
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
            report.fail("database", told(&error), "see the database's own log");
            (report, None)
        }
    }
}

fn told(error: &Error) -> String {
    match error {
        Error::Unavailable(_) => "it does not answer: it is locked, overloaded or damaged".to_owned(),
        error => crate::cli::explain(error),
    }
}

/// `taken`: how many connections an instance opens to PostgreSQL, with the one by which it hears others.
fn database(facts: &ServerInfo, taken: i64, report: &mut Report) {
    let ServerInfo { version, latency, connections, size, is_wal } = facts;
    let found = format!("{version}, {} MiB, answers in {:.1} ms", size >> 20, latency.as_secs_f64() * 1000.0);
    match *latency > LATENCY {
        true => report.warn("database", found, "each request makes several statements: bring it closer"),
        false => report.ok("database", found),
    }
    if !is_wal {
        let remedy = "the service turns that on at its start; a network file system cannot, so keep the file elsewhere";
        report.warn("database", "SQLite does not write ahead (journal_mode is not wal)", remedy);
    }
    if let Some((open, most)) = connections {
        let found = format!("{open} of {most} connections are open; an instance takes {taken}");
        match open + taken > *most {
            true => report.warn("database", found, "raise max_connections, or run fewer instances"),
            false => report.ok("database", found),
        }
    }
}

/// Compares the database's clock with this one, as it was half-way between question and answer.
async fn clock(db: &Db, report: &mut Report) {
    let before = Clock::System.now().at.millis();
    let Ok(Some(clock)) = db.clock().await else { return };
    let after = Clock::System.now().at.millis();
    let ahead = clock.millis() - i64::midpoint(before, after);
    let found = format!("the database's clock is {:.1} s ahead of this one", seconds(ahead));
    let remedy = "let both machines set their clocks by NTP";
    if ahead.unsigned_abs() > SKEW.as_millis().try_into().unwrap_or(u64::MAX) {
        report.fail("clock", found, remedy);
    } else if ahead.abs() > DRIFT {
        report.warn("clock", found, remedy);
    } else {
        report.ok("clock", found);
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
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
                "`vestibule create-superuser`, or `vestibule users enable`; a start makes the first",
            );
        }
        1 => report.ok("users", "one superuser can sign in"),
        number => report.ok("users", format!("{number} superusers can sign in")),
    }
    if health.temporary_passwords > 0 {
        let found = match health.temporary_passwords {
            1 => "one temporary password was not replaced".to_owned(),
            number => format!("{number} temporary passwords were not replaced"),
        };
        let end = if config.is_reachable() { "; each expires after 24 hours" } else { "" };
        report.warn("users", found, format!("sign in and change them{end}; `vestibule users reset` mails a link"));
    }
    if !health.double_addresses.is_empty() {
        let found = format!(
            "these accounts are not found by their address, because another account has the same: {}",
            health.double_addresses.join(", ")
        );
        report.warn(
            "users",
            found,
            "give one account of each pair another address, or delete it, and restart the service",
        );
    }
    signing_keys(health, master_keys, now, report);
    match health.youngest {
        Some(youngest) if youngest > now.plus(SKEW) => {
            let found = format!("it is {now} here, but something happened at {youngest} already");
            report.fail("clock", found, "set the clock: sessions and links hold for too long, or not at all");
        }
        _ => report.ok("clock", format!("it is {now}, later than all that was recorded")),
    }
    let waits = health.mails.due_since.filter(|due| *due < now.minus(BACKLOG));
    let mut found = format!("{} mails wait, {} were given up", health.mails.waiting, health.mails.given_up);
    if health.mails.held > 0 {
        found += &format!(", {} are held back", health.mails.held);
    }
    match waits {
        Some(due) => {
            let error = health.mails.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
            let remedy =
                "see that the service runs, and below what the mail server says; `vestibule mail list --waiting`";
            report.fail("mail", format!("{found}; the first is due since {due}{error}"), remedy);
        }
        None if health.mails.given_up > 0 => {
            report.warn(
                "mail",
                found,
                "`vestibule mail list --failed`, and `vestibule mail retry` once the cause is gone",
            );
        }
        None if health.mails.held > 0 => {
            report.warn("mail", found, "`vestibule mail list --held`, and `vestibule mail release` or `cancel`");
        }
        None => report.ok("mail", found),
    }
}

/// Checks whether the previous secret is still needed.
async fn previous_key(db: &Db, master_keys: &MasterKeys, report: &mut Report) {
    match operator::keys::count_old_seals(db, &Operator::new(), master_keys).await {
        Ok(0) => {
            let found = "nothing stored is sealed under VESTIBULE_SECRET_KEY_PREVIOUS";
            report.warn(
                "keys",
                found,
                "take it out once sessions from before have been refreshed: VESTIBULE_REFRESH_TTL",
            );
        }
        Ok(count) => {
            let found = match count {
                1 => "one stored secret is not sealed under VESTIBULE_SECRET_KEY".to_owned(),
                _ => format!("{count} stored secrets are not sealed under VESTIBULE_SECRET_KEY"),
            };
            report.warn("keys", found, "`vestibule keys reseal`, once all instances have the new secret key");
        }
        Err(error) => report.fail("keys", told(&error), "see the database's own log"),
    }
}

fn signing_keys(health: &Health, master_keys: Option<&MasterKeys>, now: Timestamp, report: &mut Report) {
    let Some(signing) = signing_keys::signing(&health.keys, now) else {
        return report.warn("keys", "there is no key to sign with", "the next start makes one");
    };
    let Some(master_keys) = master_keys else {
        let remedy = "restore secret.key, or set VESTIBULE_SECRET_KEY; if it is lost for good: `vestibule keys reset --lost-secret`";
        return report.fail("keys", "there are sealed keys, and no secret to open them with", remedy);
    };
    if master_keys.unseal(&signing.kid, &signing.sealed_private_key).is_none() {
        let remedy = "give the secret of before: VESTIBULE_SECRET_KEY, or secret.key in the data folder";
        return report.fail("keys", "the secret is not the one that the signing key was sealed with", remedy);
    }
    let verifying = health.keys.iter().filter(|key| key.expires_at.is_none_or(|end| end > now)).count();
    let since = signing.signs_from.max(signing.created_at);
    let found = format!("{} signs since {since}; {verifying} verify", signing.kid);
    match signing.created_at.plus(KEY_AGE) < now {
        true => report.warn("keys", format!("{found}: it is more than a year old"), "`vestibule keys rotate`"),
        false => report.ok("keys", found),
    }
}
