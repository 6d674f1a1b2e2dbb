//! The service to measure: the release binary on a fresh database.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait as _, Database};
use tempfile::TempDir;

use crate::cores;

/// Argument that makes this program serve the references.
pub(crate) const REFERENCE: &str = "--serve-as-reference";

/// A running service.
pub(crate) struct Service {
    child: Child,
    /// Listen address as host and port.
    pub(crate) address: String,
    /// Time from the start of the process to its listening line, on an existing database.
    pub(crate) started_in: Duration,
    /// Server, and database to drop at the end.
    database: Option<(String, String)>,
    folder: TempDir,
}

pub(crate) fn postgres_url() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a setting of the driver, not of the service")]
    std::env::var("VESTIBULE_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty())
}

impl Service {
    pub(crate) fn on_sqlite() -> Self {
        Self::start(None, None)
    }

    pub(crate) async fn on_postgres(server: &str) -> Self {
        let name = format!("vestibule_load_{}", std::process::id());
        let db = Database::connect(server).await.expect("the PostgreSQL server answers");
        db.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("its user may create databases");
        let (base, _) = server.rsplit_once('/').expect("the address ends in a database");
        Self::start(Some(&format!("{base}/{name}")), Some((server.to_owned(), name)))
    }

    /// Reference server instead of the service: see [`crate::reference::serve`].
    pub(crate) fn reference() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.arg(REFERENCE).stdout(Stdio::piped());
        let started = Instant::now();
        let (child, address) = listening(&mut command);
        Self { child, address, started_in: started.elapsed(), database: None, folder: tempfile::tempdir().unwrap() }
    }

    fn start(url: Option<&str>, database: Option<(String, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut first = launch(folder.path(), url);
        first.0.kill().unwrap();
        first.0.wait().unwrap();
        let started = Instant::now();
        let (child, address) = launch(folder.path(), url);
        Self { child, address, started_in: started.elapsed(), database, folder }
    }

    /// URL of its database.
    pub(crate) fn database_url(&self) -> String {
        match &self.database {
            None => format!("sqlite://{}", self.folder.path().join("data/vestibule.db").display()),
            Some((server, name)) => format!("{}/{name}", server.rsplit_once('/').expect("it ends in a database").0),
        }
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(&self.child.id().to_string())
    }

    /// Memory in use in MiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Memory of the service and its child processes in MiB. Shared memory is counted for each.
    pub(crate) fn memory_in_all(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("this is Linux");
        let started = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
        let started = started.collect::<String>();
        // A process may have ended meanwhile.
        let theirs = started.split_whitespace().filter_map(|process| status_of(process, "VmRSS:"));
        self.memory() + theirs.sum::<u64>() / 1024
    }

    /// Peak memory since the last reset in MiB.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Resets the peak, and returns the memory in use in MiB.
    pub(crate) fn forget_peak(&self) -> u64 {
        // Documented in proc(5).
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("it is our own process");
        self.memory()
    }

    fn status(&self, name: &str) -> u64 {
        status_of(&self.child.id().to_string(), name).expect("it runs") / 1024
    }

    pub(crate) async fn stop(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        if let Some((server, name)) = self.database.take() {
            let db = Database::connect(&server).await.expect("the PostgreSQL server answers");
            db.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.expect("it is ours");
        }
    }
}

/// Memory of a process in KiB; `None` if it has ended.
fn status_of(process: &str, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find(|line| line.starts_with(name))?.split_whitespace().nth(1)?.parse().ok()
}

/// CPU time of a process so far; `self` is this one.
pub(crate) fn cpu_of(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("this is Linux");
    let after_name = stat.rsplit(") ").next().unwrap();
    let ticks = |index: usize| after_name.split(' ').nth(index).unwrap().parse::<u64>().unwrap();
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

fn launch(folder: &std::path::Path, url: Option<&str>) -> (Child, String) {
    #[expect(clippy::disallowed_methods, reason = "a setting of this program, not of the service")]
    let program = std::env::var("VESTIBULE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_vestibule").to_owned());
    let mut command = Command::new(program);
    command.env_clear().current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env("VESTIBULE_LISTEN", "127.0.0.1:0").env("VESTIBULE_ADMIN_PASSWORD", super::PASSWORD);
    command.env("VESTIBULE_LIMITS", "off").env("VESTIBULE_LOG", "error");
    command.env("VESTIBULE_SOCKETS_PER_CLIENT", "10000").env("VESTIBULE_CONNECTIONS_PER_CLIENT", "11000");
    command.env("VESTIBULE_ACCESS_TTL", "1h");
    command.env("VESTIBULE_CONNECTIONS_PER_CLIENT", "12000");
    if let Some(url) = url {
        command.env("VESTIBULE_DATABASE_URL", url);
    }
    listening(&mut command)
}

/// Starts the service on its own core, and waits for its listening line.
fn listening(command: &mut Command) -> (Child, String) {
    let mut child = cores::start_alone(|| command.spawn()).expect("the release binary was built");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listening =
        lines.map(Result::unwrap).find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned));
    let Some(address) = listening else { panic!("it did not start: {:?}", child.wait()) };
    (child, address)
}
