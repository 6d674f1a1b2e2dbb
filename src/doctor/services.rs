//! Checks of the mail server and the media store.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use super::report::Report;
use crate::config::Config;
use crate::domain::avatars::name::FileName;
use crate::domain::operator::health::Health;
use crate::tools::certificates::Trust;
use crate::tools::clock::Clock;
use crate::tools::mail::{MailUrl, Message, Transport, probe};
use crate::tools::media::{MediaStore, MediaUrl};

/// Checks the mail server up to the sender of an email; sends a test email if an address is given.
pub(super) async fn check_mails(config: &Config, to: Option<&str>) -> Report {
    let mut report = Report::default();
    // The check of the database reports an unreadable file.
    let trust = Trust::read(config.ca_file.as_ref()).unwrap_or_default();
    match config.mail_url() {
        MailUrl::Folder(folder) => folder_of_mails(&folder, &mut report),
        MailUrl::Smtp(url) => {
            let talk = probe(&url, &trust, &config.mail_from).await;
            let done = talk.done.join(", ");
            match talk.failed {
                None => {
                    let how = if talk.encrypted { "encrypted" } else { "unencrypted" };
                    report.ok("mail", format!("{url} accepts {done} ({how})"));
                }
                Some((step, error)) if done.is_empty() => {
                    report.fail("mail", format!("{url}: {step} failed: {error}"), remedy(step));
                }
                Some((step, error)) => {
                    let found = format!("{url} accepts {done}, but {step} failed: {error}");
                    report.fail("mail", found, remedy(step));
                }
            }
        }
    }
    if let Some(to) = to {
        send(config, &trust, to, &mut report).await;
    }
    report
}

fn remedy(step: &str) -> &'static str {
    match step {
        "connect" => "check host, port and scheme of VESTIBULE_MAIL_URL, the firewall, and that the server is running",
        "EHLO" => "add the name that the server expects to VESTIBULE_MAIL_URL: smtp://HOST/mail.example.com",
        "STARTTLS" => "check that the server offers STARTTLS with a certificate for this name, or use smtps://",
        "AUTH" => "check user and password in VESTIBULE_MAIL_URL; they must be percent-encoded",
        "MAIL FROM" => "set VESTIBULE_MAIL_FROM to an address that this user may send from",
        _ => "check the log of the mail server",
    }
}

async fn send(config: &Config, trust: &Trust, to: &str, report: &mut Report) {
    let now = Clock::System.now();
    let text = "This is a test email. The operator of the service requested it.";
    let message = Message {
        to: to.to_owned(),
        to_name: String::new(),
        subject: format!("Test email from {}", config.site_name),
        text: text.to_owned(),
        html: format!("<p>{text}</p>"),
        id: now.id(),
    };
    match Transport::new(&config.mail_url(), trust).send(&config.mail_from, now.at, &message).await {
        Ok(()) => report.ok("mail", format!("sent a test email to {to}: check that it arrives")),
        Err(error) => {
            let found = format!("cannot send a test email to {to}: {error}");
            report.fail("mail", found, "check the response of the mail server");
        }
    }
}

/// Checks that emails can be written to the directory. The first email creates it.
fn folder_of_mails(folder: &Path, report: &mut Report) {
    match try_to_write(folder) {
        Ok(()) => report.ok("mail", format!("emails can be written to {}", folder.display())),
        Err(error) => {
            let found = format!("cannot write emails to {}: {error}", folder.display());
            report.fail("mail", found, "fix the permissions of the directory, or set VESTIBULE_MAIL_URL");
        }
    }
}

/// Writes and deletes a file in this directory, or in its nearest existing parent.
fn try_to_write(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let file = there.join(format!(".doctor-{}.part", Clock::System.now().id().simple()));
    OpenOptions::new().write(true).create_new(true).open(&file)?;
    fs::remove_file(&file)
}

/// Writes, reads and deletes a file, and checks that a known avatar exists.
pub(super) async fn check_media(config: &Config, health: Option<&Health>) -> Report {
    let mut report = Report::default();
    let url = config.media_url();
    let avatar = health.and_then(|health| health.avatar.as_deref()).and_then(|name| name.parse::<FileName>().ok());
    if let MediaUrl::Folder(folder) = &url
        && !folder.is_dir()
    {
        let found = format!("directory {} does not exist", folder.display());
        match avatar {
            Some(_) => {
                report.fail("media", format!("{found}, but users have avatars"), "restore it, or mount its disk");
            }
            None => match try_to_write(folder) {
                Ok(()) => report.warn("media", found, "the next start creates it"),
                Err(error) => {
                    let remedy = "set VESTIBULE_MEDIA_URL to a directory that can be created and written";
                    report.fail("media", format!("{found} and cannot be created: {error}"), remedy);
                }
            },
        }
        return report;
    }
    let store = match MediaStore::open(&url) {
        Ok(store) => store,
        Err(error) => {
            report.fail("media", format!("cannot open {url:?}: {error}"), "check VESTIBULE_MEDIA_URL");
            return report;
        }
    };
    match store.probe(&format!("doctor-{}", Clock::System.now().id().simple())).await {
        Ok(()) => report.ok("media", format!("{url:?} stores, returns and deletes files")),
        Err(error) => {
            let remedy = "check VESTIBULE_MEDIA_URL, its credentials, and the permissions of the directory or bucket";
            report.fail("media", format!("{url:?}: {error}"), remedy);
            return report;
        }
    }
    if let Some(name) = avatar {
        match store.get(&name.path()).await {
            Ok(Some(_)) => report.ok("media", "found the avatar of a user"),
            _ => {
                let remedy = "restore the store from a backup, or check that it is the right store";
                report.fail("media", format!("{} is missing, but it is the avatar of a user", name.path()), remedy);
            }
        }
    }
    report
}
