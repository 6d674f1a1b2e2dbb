//! Checks of the sources of breached passwords.

use std::path::Path;

use super::report::Report;
use crate::config::{BaseUrl, Config};
use crate::error::{Error, Result};
use crate::tools::breached_passwords::{BreachedList, RangeApi};
use crate::tools::certificates::Trust;
use crate::tools::text::counted;

const CHECK: &str = "breached";

/// Checks the file, and unless `is_quick` also its checksum and the service.
pub(super) async fn check(config: &Config, is_quick: bool) -> Result<Report> {
    let mut report = Report::default();
    if let Some(path) = config.breached_passwords_file.clone() {
        let checked = tokio::task::spawn_blocking(move || check_list(&path, is_quick));
        report = checked.await.map_err(Error::internal)?;
    }
    if let Some(url) = config.breached_passwords_api.as_ref().filter(|_| !is_quick) {
        check_api(config, url, &mut report).await;
    }
    Ok(report)
}

fn check_list(path: &Path, is_quick: bool) -> Report {
    let mut report = Report::default();
    let list = BreachedList::open(path);
    let checked = list.and_then(|list| if is_quick { Ok(list) } else { list.verify().map(|()| list) });
    match checked {
        Ok(list) => {
            let hashes = counted(list.hashes().into(), "breached password", "breached passwords");
            report.ok(CHECK, format!("{} has {hashes}", path.display()));
        }
        Err(problem) => {
            let remedy = "correct VESTIBULE_BREACHED_PASSWORDS_FILE, or build the list with \
                          `vestibule breached-passwords build`";
            report.fail(CHECK, format!("{}: {problem}", path.display()), remedy);
        }
    }
    report
}

async fn check_api(config: &Config, url: &BaseUrl, report: &mut Report) {
    // The check of the database reports an unreadable file.
    let trust = Trust::read(config.ca_file.as_ref()).unwrap_or_default();
    let answered = match RangeApi::new(url.as_str(), &trust) {
        Ok(api) => api.probe().await,
        Err(problem) => Err(problem),
    };
    match answered {
        Ok(()) => report.ok(CHECK, format!("{} returns ranges of hashes", url.as_str())),
        Err(problem) => {
            let remedy = "check VESTIBULE_BREACHED_PASSWORDS_API, VESTIBULE_CA_FILE and the firewall; until then the \
                          service accepts passwords that only this API knows";
            report.fail(CHECK, format!("{}: {problem}", url.as_str()), remedy);
        }
    }
}
