//! What files are there, and who may read them; how much room and how many open files there are.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::report::Report;
use crate::cli::serve::OTHER_FILES;
use crate::config::Config;
use crate::tools::secret_file;
use crate::tools::system;

const CHECK: &str = "files";

/// Below this much room on a disk, something should be done soon.
const LITTLE: u64 = 1 << 30;

/// Below this much, a write may fail at any moment.
const NOTHING: u64 = 50 << 20;

pub(super) fn look(config: &Config) -> Report {
    let mut report = Report::default();
    let folder = &config.data_dir;
    if folder.is_dir() {
        rights(folder, "the data folder", 0o700, &mut report);
    } else if config.secret_key.is_none() {
        report.warn(CHECK, format!("there is no folder {} yet", folder.display()), "the first start makes it");
    }
    secret(config, &mut report);
    for (setting, file) in &config.secret_files {
        given(setting, file, &mut report);
    }
    let settings = config.config_file.clone().unwrap_or_else(|| config.data_dir.join("vestibule.toml"));
    if settings.is_file() {
        let mode = fs::metadata(&settings).map_or(0, |found| found.mode() & 0o777);
        let found = format!("{} (mode {mode:o})", settings.display());
        if mode & 0o022 != 0 {
            report.fail(CHECK, format!("others may write {found}"), format!("chmod go-w {}", settings.display()));
        } else if mode & 0o004 != 0 && !is_closed(settings.parent()) {
            let remedy = format!("chmod o-r {}, or keep secrets in files of their own", settings.display());
            report.warn(CHECK, format!("every user may read {found}"), remedy);
        }
    }
    let url = config.database_url();
    if let Some(file) = url.sqlite_path() {
        for end in ["", "-wal", "-shm"] {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            let part = Path::new(&name);
            // What is in a folder that others may not enter is out of their reach.
            if part.is_file() && !is_closed(part.parent()) {
                rights(part, "the database", 0o600, &mut report);
            }
        }
        room(file.parent().filter(|folder| folder.is_dir()).unwrap_or(Path::new(".")), &mut report);
    } else if folder.is_dir() {
        room(folder, &mut report);
    }
    open_files(config, &mut report);
    report
}

fn secret(config: &Config, report: &mut Report) {
    let file = config.secret_key_path();
    match (&config.secret_key, file.exists()) {
        (Some(_), _) => report.ok(CHECK, "the secret is a setting"),
        (None, true) => match secret_file::read(&file) {
            Ok(_) => rights(&file, "the secret", 0o600, report),
            Err(error) => {
                let remedy = "restore it, or give it as VESTIBULE_SECRET_KEY; sealed keys cannot be opened without it";
                report.fail(CHECK, format!("the secret {} cannot be read: {error}", file.display()), remedy);
            }
        },
        (None, false) => {
            let found = format!("there is no secret in {}", file.display());
            report.warn(CHECK, found, "the first start makes it; where there was one, restore it before you start");
        }
    }
}

/// Looks at a file that the operator provides; it may belong to root and a group of the service's.
fn given(setting: &str, file: &Path, report: &mut Report) {
    let (name, mode) = (file.display(), fs::metadata(file).map_or(0, |found| found.mode() & 0o777));
    let found = format!("{setting} is read from {name} (mode {mode:o})");
    if mode % 0o10 == 0 || is_closed(file.parent()) {
        report.ok(CHECK, found);
    } else {
        report.warn(CHECK, format!("{found}, which is open to every user"), format!("chmod o= {name}"));
    }
}

/// Whether nobody but its owner can enter a folder.
fn is_closed(folder: Option<&Path>) -> bool {
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::metadata(folder).is_ok_and(|found| found.mode().trailing_zeros() >= 6)
}

/// Whether a file or folder belongs to whoever runs this, and nobody else may do what `wanted` leaves out.
fn rights(path: &Path, what: &str, wanted: u32, report: &mut Report) {
    let name = path.display();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) => {
            return report.fail(CHECK, format!("{what} {name} cannot be looked at: {error}"), "mend its rights");
        }
    };
    let mode = found.mode() & 0o777;
    let (others, remedy) = (mode & 0o077 & !wanted, format!("chmod {wanted:o} {name}"));
    let is_own = found.uid() == system::own_id() || system::own_id() == 0;
    if !is_own {
        let remedy = format!("run as its owner, or chown {name} to the user that the service runs as");
        report.fail(
            CHECK,
            format!("{what} {name} belongs to user {}, this is {}", found.uid(), system::own_id()),
            remedy,
        );
    } else if mode & wanted & 0o600 != 0o600 {
        report.fail(CHECK, format!("{what} {name} cannot be read and written (mode {mode:o})"), remedy);
    } else if others & 0o022 != 0 || others != 0 && what == "the secret" {
        report.fail(CHECK, format!("{what} {name} is open to other users (mode {mode:o})"), remedy);
    } else if others != 0 {
        report.warn(CHECK, format!("{what} {name} can be read by other users (mode {mode:o})"), remedy);
    } else {
        report.ok(CHECK, format!("{what} {name} is its owner's alone (mode {mode:o})"));
    }
}

fn room(folder: &Path, report: &mut Report) {
    let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let remedy = "make room: without it nothing can be written, and SERVICE_UNAVAILABLE is the answer";
    match system::free_space(shown) {
        Err(error) => report.warn(CHECK, format!("how much room is left: {error}"), "see `df`"),
        Ok(free) if free < NOTHING => {
            report.fail(CHECK, format!("{} MiB of room are left in {}", free >> 20, shown.display()), remedy);
        }
        Ok(free) if free < LITTLE => {
            report.warn(CHECK, format!("{} MiB of room are left in {}", free >> 20, shown.display()), remedy);
        }
        Ok(free) => report.ok(CHECK, format!("{} GiB of room are left in {}", free >> 30, shown.display())),
    }
}

fn open_files(config: &Config, report: &mut Report) {
    let needed = u64::from(config.wire.connections) + OTHER_FILES;
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < needed => {
            let found = format!("{most} files may be open, and VESTIBULE_CONNECTIONS needs {needed}");
            report.warn(
                CHECK,
                found,
                format!("raise `ulimit -Hn` (systemd: LimitNOFILE={needed}), or lower the setting"),
            );
        }
        _ => report.ok(CHECK, format!("as many files may be open as connections need ({needed})")),
    }
}
