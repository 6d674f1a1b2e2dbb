//! Where mails and files of users go.

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

/// Speaks with the mail server as before a mail; with an address, sends one there.
pub(super) async fn look_at_mails(config: &Config, to: Option<&str>) -> Report {
    let mut report = Report::default();
    // Where the file cannot be read, the database has told already.
    let trust = Trust::read(config.ca_file.as_ref()).unwrap_or_default();
    match config.mail_url() {
        MailUrl::Folder(folder) => folder_of_mails(&folder, &mut report),
        MailUrl::Smtp(url) => {
            let talk = probe(&url, &trust, &config.mail_from).await;
            let done = talk.done.join(", ");
            match talk.failed {
                None => {
                    let how = if talk.encrypted { "encrypted" } else { "not encrypted" };
                    report.ok("mail", format!("{url} accepts {done} ({how})"));
                }
                Some((step, error)) if done.is_empty() => {
                    report.fail("mail", format!("{url}: {step} fails: {error}"), remedy(step));
                }
                Some((step, error)) => {
                    let found = format!("{url} accepts {done}, but {step} fails: {error}");
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
        "connect" => "see host, port and scheme of VESTIBULE_MAIL_URL, the firewall, and that the server runs",
        "EHLO" => {
            "give the name that the server expects after the host in VESTIBULE_MAIL_URL: smtp://HOST/mail.example.com"
        }
        "STARTTLS" => "see that the server offers STARTTLS with a certificate for this name, or use smtps://",
        "AUTH" => "see user and password in VESTIBULE_MAIL_URL, percent-encoded",
        "MAIL FROM" => "set VESTIBULE_MAIL_FROM to an address that the server lets this user send from",
        _ => "see the server's own log",
    }
}

async fn send(config: &Config, trust: &Trust, to: &str, report: &mut Report) {
    let now = Clock::System.now();
    let text = "This is a test: whoever runs the service asked it to send a mail here.";
    let message = Message {
        to: to.to_owned(),
        to_name: String::new(),
        subject: format!("A test of {}", config.site_name),
        text: text.to_owned(),
        html: format!("<p>{text}</p>"),
        id: now.id(),
    };
    match Transport::new(&config.mail_url(), trust).send(&config.mail_from, now.at, &message).await {
        Ok(()) => report.ok("mail", format!("a mail to {to} was handed over: see that it arrives")),
        Err(error) => report.fail("mail", format!("a mail to {to} was not taken: {error}"), "see what the server says"),
    }
}

/// Whether a mail could be written there; the folder itself is made with the first.
fn folder_of_mails(folder: &Path, report: &mut Report) {
    match try_to_write(folder) {
        Ok(()) => report.ok("mail", format!("mails can be written to {}", folder.display())),
        Err(error) => {
            let found = format!("mails cannot be written to {}: {error}", folder.display());
            report.fail("mail", found, "mend the rights of the folder, or set VESTIBULE_MAIL_URL");
        }
    }
}

/// Writes a file, and deletes it, in this folder or, where it is not there yet, in the one where it would be made.
fn try_to_write(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let file = there.join(format!(".doctor-{}.part", Clock::System.now().id().simple()));
    OpenOptions::new().write(true).create_new(true).open(&file)?;
    fs::remove_file(&file)
}

/// Writes, reads and deletes a file, and looks for one that must be there.
pub(super) async fn look_at_media(config: &Config, health: Option<&Health>) -> Report {
    let mut report = Report::default();
    let url = config.media_url();
    let avatar = health.and_then(|health| health.avatar.as_deref()).and_then(|name| name.parse::<FileName>().ok());
    if let MediaUrl::Folder(folder) = &url
        && !folder.is_dir()
    {
        let found = format!("there is no folder {}", folder.display());
        match avatar {
            Some(_) => {
                report.fail("media", format!("{found}, but users have pictures"), "restore it, or mount its disk");
            }
            None => match try_to_write(folder) {
                Ok(()) => report.warn("media", found, "the next start makes it"),
                Err(error) => {
                    let remedy = "set VESTIBULE_MEDIA_URL to a folder that can be made and written";
                    report.fail("media", format!("{found}, and none can be made: {error}"), remedy);
                }
            },
        }
        return report;
    }
    let store = match MediaStore::open(&url) {
        Ok(store) => store,
        Err(error) => {
            report.fail("media", format!("{url:?} cannot be opened: {error}"), "see VESTIBULE_MEDIA_URL");
            return report;
        }
    };
    match store.probe(&format!("doctor-{}", Clock::System.now().id().simple())).await {
        Ok(()) => report.ok("media", format!("{url:?} takes, gives and deletes files")),
        Err(error) => {
            let remedy = "see VESTIBULE_MEDIA_URL, its credentials, and the rights of the folder or bucket";
            report.fail("media", format!("{url:?}: {error}"), remedy);
            return report;
        }
    }
    if let Some(name) = avatar {
        match store.get(&name.path()).await {
            Ok(Some(_)) => report.ok("media", "a picture that a user has is there"),
            _ => {
                let remedy = "restore the store from a backup, or see that it is the one of before";
                report.fail("media", format!("{} is not there, but a user has it", name.path()), remedy);
            }
        }
    }
    report
}
