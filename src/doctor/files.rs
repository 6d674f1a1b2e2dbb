//! Checks of files and their permissions, disk space, and the limit on open files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::report::Report;
use crate::config::Config;
use crate::tools::secret_file;
use crate::tools::system;

const CHECK: &str = "files";

/// Maximum number of open files besides connections: databases, emails, spreadsheets.
pub(crate) const OTHER_FILES: u64 = 200;

const SECRET: &str = "the secret key";

/// Free space in bytes below which a warning is given.
const LITTLE: u64 = 1 << 30;

/// Free space in bytes below which writes may fail at any moment.
const NOTHING: u64 = 50 << 20;

pub(super) fn check(config: &Config) -> Report {
    let mut report = Report::default();
    let folder = &config.data_dir;
    if folder.is_dir() {
        permissions(folder, "the data directory", 0o700, &mut report);
    } else if config.secret_key.is_none() {
        report.warn(CHECK, format!("directory {} does not exist yet", folder.display()), "the first start creates it");
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
            report.fail(
                CHECK,
                format!("{found} is writable by other users"),
                format!("chmod go-w {}", settings.display()),
            );
        } else if mode & 0o004 != 0 && !is_closed(settings.parent()) {
            let remedy = format!("chmod o-r {}, or keep secrets in separate files", settings.display());
            report.warn(CHECK, format!("{found} is readable by every user"), remedy);
        }
    }
    let url = config.database_url();
    if let Some(file) = url.sqlite_path() {
        for end in ["", "-wal", "-shm"] {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            let part = Path::new(&name);
            // Files in a closed directory are out of reach for other users.
            if part.is_file() && !is_closed(part.parent()) {
                permissions(part, "the database", 0o600, &mut report);
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
        (Some(_), _) => report.ok(CHECK, "the secret key is given by a setting"),
        (None, true) => match secret_file::read(&file) {
            Ok(_) => permissions(&file, SECRET, 0o600, report),
            Err(error) => {
                let remedy = "restore it, or set VESTIBULE_SECRET_KEY; stored secrets cannot be opened without it";
                report.fail(CHECK, format!("cannot read the secret key {}: {error}", file.display()), remedy);
            }
        },
        (None, false) => {
            let found = format!("no secret key at {}", file.display());
            report.warn(CHECK, found, "the first start creates it; if there was one, restore it before starting");
        }
    }
}

/// Checks a secret file provided by the operator. It may belong to root and a group of the service.
fn given(setting: &str, file: &Path, report: &mut Report) {
    let (name, mode) = (file.display(), fs::metadata(file).map_or(0, |found| found.mode() & 0o777));
    let found = format!("{setting} is read from {name} (mode {mode:o})");
    if mode % 0o10 == 0 || is_closed(file.parent()) {
        report.ok(CHECK, found);
    } else {
        report.warn(CHECK, format!("{found}, which is accessible to every user"), format!("chmod o= {name}"));
    }
}

/// True if only its owner can enter a directory.
fn is_closed(folder: Option<&Path>) -> bool {
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::metadata(folder).is_ok_and(|found| found.mode().trailing_zeros() >= 6)
}

/// Checks that a file or directory belongs to the current user and that others have no permission outside `wanted`.
fn permissions(path: &Path, what: &str, wanted: u32, report: &mut Report) {
    let name = path.display();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) => {
            return report.fail(CHECK, format!("cannot inspect {what} {name}: {error}"), "fix its permissions");
        }
    };
    let mode = found.mode() & 0o777;
    let (others, remedy) = (mode & 0o077 & !wanted, format!("chmod {wanted:o} {name}"));
    let is_own = found.uid() == system::own_id() || system::own_id() == 0;
    if !is_own {
        let remedy = format!("run as its owner, or chown {name} to the user of the service");
        report.fail(
            CHECK,
            format!(
                "{what} {name} belongs to user {}, but this process runs as user {}",
                found.uid(),
                system::own_id()
            ),
            remedy,
        );
    } else if mode & wanted & 0o600 != 0o600 {
        report.fail(CHECK, format!("{what} {name} is not readable and writable (mode {mode:o})"), remedy);
    } else if others & 0o022 != 0 || others != 0 && what == SECRET {
        report.fail(CHECK, format!("{what} {name} is accessible to other users (mode {mode:o})"), remedy);
    } else if others != 0 {
        report.warn(CHECK, format!("{what} {name} is readable by other users (mode {mode:o})"), remedy);
    } else {
        report.ok(CHECK, format!("{what} {name} is private to its owner (mode {mode:o})"));
    }
}

fn room(folder: &Path, report: &mut Report) {
    let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let remedy = "free some space: when the disk is full, writes fail with SERVICE_UNAVAILABLE";
    match system::free_space(shown) {
        Err(error) => report.warn(CHECK, format!("cannot determine free disk space: {error}"), "check `df`"),
        Ok(free) if free < NOTHING => {
            report.fail(CHECK, format!("{} MiB free in {}", free >> 20, shown.display()), remedy);
        }
        Ok(free) if free < LITTLE => {
            report.warn(CHECK, format!("{} MiB free in {}", free >> 20, shown.display()), remedy);
        }
        Ok(free) => report.ok(CHECK, format!("{} GiB free in {}", free >> 30, shown.display())),
    }
}

fn open_files(config: &Config, report: &mut Report) {
    let needed = u64::from(config.wire.connections) + OTHER_FILES;
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < needed => {
            let found = format!("the limit on open files is {most}, but VESTIBULE_CONNECTIONS needs {needed}");
            report.warn(
                CHECK,
                found,
                format!("raise `ulimit -Hn` (systemd: LimitNOFILE={needed}), or lower VESTIBULE_CONNECTIONS"),
            );
        }
        _ => report.ok(CHECK, format!("the limit on open files is sufficient ({needed} needed)")),
    }
}
