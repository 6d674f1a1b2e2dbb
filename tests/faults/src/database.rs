//! Data of a service: a directory and, for PostgreSQL, a database on our own server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, Statement};
use tempfile::TempDir;

use crate::outcome::{Outcome, because, wait_until};
use crate::service::signal;

/// Kind of database for a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A fresh directory and database, deleted on drop.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) folder: TempDir,
    pub(crate) url: String,
}

impl Place {
    pub(crate) fn sqlite() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}", folder.path().join("vestibule.db").display());
        Ok(Self { kind: Kind::Sqlite, folder, url })
    }

    /// Path of the SQLite file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("vestibule.db")
    }

    /// A separate connection to the database.
    pub(crate) async fn connect(&self) -> Outcome<DatabaseConnection> {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(1).sqlx_logging(false);
        Ok(Database::connect(options).await?)
    }

    /// Texts in the first column of a query.
    pub(crate) async fn texts(&self, sql: &str) -> Outcome<Vec<String>> {
        let db = self.connect().await?;
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
        let texts = rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect::<Result<_, _>>()?;
        db.close().await?;
        Ok(texts)
    }

    /// Damage found by SQLite's integrity check.
    pub(crate) async fn check_integrity(&self) -> Outcome<()> {
        if self.kind == Kind::Sqlite {
            let found = self.texts("PRAGMA integrity_check").await?;
            because(found == ["ok"], || format!("integrity_check: {found:?}"))?;
        }
        Ok(())
    }
}

/// Our own PostgreSQL server in a temporary directory, stopped on drop.
pub(crate) struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    /// Port.
    pub(crate) port: u16,
    databases: AtomicU32,
}

impl Cluster {
    /// Creates and starts a server.
    pub(crate) fn start() -> Outcome<Self> {
        let programs = find_programs().ok_or("PostgreSQL is not installed")?;
        let folder = tempfile::tempdir()?;
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()))?;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self { programs, folder, port, databases: AtomicU32::new(0) };
        let data = cluster.data();
        run(cluster
            .program("initdb")
            .args(["--auth=trust", "--username=vestibule", "--no-sync", "--pgdata"])
            .arg(data))?;
        cluster.control(&["start", "--wait"])?;
        Ok(cluster)
    }

    /// A streaming standby of this server, to be promoted by `control`.
    pub(crate) fn standby(&self) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()))?;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let standby = Self { programs: self.programs.clone(), folder, port, databases: AtomicU32::new(0) };
        let from = ["--host=127.0.0.1", &format!("--port={}", self.port), "--username=vestibule"];
        let how = ["--checkpoint=fast", "--no-sync", "--write-recovery-conf", "--pgdata"];
        run(standby.program("pg_basebackup").args(from).args(how).arg(standby.data()))?;
        standby.control(&["start", "--wait"])?;
        Ok(standby)
    }

    /// Waits for a standby, and makes replication synchronous, so that no commit is lost with the server.
    pub(crate) async fn wait_for_standby(&self, place: &Place) -> Outcome<()> {
        let follows = async || {
            Ok(!place.texts("SELECT state::text FROM pg_stat_replication WHERE state = 'streaming'").await?.is_empty())
        };
        wait_until(Duration::from_secs(20), follows).await.map_err(|error| format!("the standby: {error}"))?;
        let db = place.connect().await?;
        db.execute_unprepared("ALTER SYSTEM SET synchronous_standby_names = '*'").await?;
        db.execute_unprepared("SELECT pg_reload_conf()").await?;
        Ok(db.close().await?)
    }

    /// Creates a fresh database.
    pub(crate) async fn place(&self) -> Outcome<Place> {
        let name = format!("faults_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let server = format!("postgres://vestibule@127.0.0.1:{}", self.port);
        let db = Database::connect(format!("{server}/postgres")).await?;
        db.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
        db.close().await?;
        Ok(Place { kind: Kind::Postgres, folder: tempfile::tempdir()?, url: format!("{server}/{name}") })
    }

    /// Stops the server as a crash would, or starts it.
    pub(crate) fn control(&self, arguments: &[&str]) -> Outcome<()> {
        let options = format!("-c port={} -c listen_addresses=127.0.0.1 -c max_connections=300", self.port);
        let options = format!("{options} -c unix_socket_directories={}", self.folder.path().display());
        let log = self.folder.path().join("log");
        let mut command = self.program("pg_ctl");
        command.arg("--pgdata").arg(self.data()).arg("--log").arg(log).args(["--options", &options]).args(arguments);
        run(&mut command)
    }

    /// Suspends all its processes, or resumes them.
    pub(crate) fn freeze(&self, frozen: bool) -> Outcome<()> {
        let wanted = if frozen { Signal::STOP } else { Signal::CONT };
        let text = std::fs::read_to_string(self.data().join("postmaster.pid"))?;
        let postmaster: u32 = text.lines().next().ok_or("postmaster.pid is empty")?.parse()?;
        // Twice, to include processes that were being forked.
        for _ in 0..2 {
            for process in children(postmaster)?.into_iter().chain([postmaster]) {
                // A backend may have ended meanwhile.
                let _ = signal(process, wanted);
            }
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A client program of PostgreSQL.
    pub(crate) fn client(&self, name: &str) -> Command {
        let beside = self.programs.join(name);
        Command::new(if beside.is_file() { beside } else { name.into() })
    }

    /// A server program of PostgreSQL, which refuses to run as root.
    fn program(&self, name: &str) -> Command {
        let beside = self.programs.join(name);
        // Debian links some programs elsewhere.
        let linked = self.programs.join("initdb").canonicalize().ok().map(|initdb| initdb.with_file_name(name));
        let program = if beside.is_file() { beside } else { linked.unwrap_or(beside) };
        if !rustix::process::geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command.current_dir(self.folder.path()).args(["-u", "postgres", "--"]).arg(program);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.freeze(false);
        if let Err(error) = self.control(&["stop", "--mode=immediate", "--wait"]) {
            eprintln!("our own PostgreSQL server did not stop: {error}");
        }
    }
}

/// Reason to skip rows with PostgreSQL.
pub(crate) fn left_out() -> Option<&'static str> {
    find_programs().is_none().then_some("PostgreSQL is not installed (on Debian: apt-get install postgresql)")
}

fn find_programs() -> Option<PathBuf> {
    let on_path = crate::setting("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let installed = std::fs::read_dir("/usr/lib/postgresql").ok();
    let mut installed: Vec<PathBuf> = installed.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    installed.sort();
    folders.extend(installed.iter().rev().map(|version| version.join("bin")));
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
}

fn children(parent: u32) -> Outcome<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        if after_name.split(' ').nth(1).and_then(|id| id.parse().ok()) == Some(parent) {
            found.push(process);
        }
    }
    Ok(found)
}

/// Runs a program to its end; an error contains its output.
pub(crate) fn run(command: &mut Command) -> Outcome<()> {
    // The server started by pg_ctl inherits the output, so a pipe would never end.
    let printed = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(printed.try_clone()?).stderr(printed.try_clone()?);
    let ended = command.status()?;
    because(ended.success(), || {
        use std::io::{Read as _, Seek as _};
        let (mut text, mut printed) = (String::new(), &printed);
        let read = printed.rewind().and_then(|()| printed.read_to_string(&mut text));
        format!("{command:?} failed: {}", read.map_or_else(|error| error.to_string(), |_| text.trim().to_owned()))
    })
}

/// Path of libfaketime on Debian; `None` if it is not installed.
pub(crate) fn faketime() -> Option<PathBuf> {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/local/lib"];
    places.iter().map(|place| Path::new(place).join("faketime/libfaketime.so.1")).find(|path| path.is_file())
}

/// Waits until this count of rows is zero.
pub(crate) async fn until_none(place: &Place, sql: &str, patience: Duration) -> Outcome<Duration> {
    let db = place.connect().await?;
    let count = async || {
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
        let count: i64 = row.ok_or("COUNT returns a row")?.try_get_by_index(0)?;
        Ok(count == 0)
    };
    let waited = wait_until(patience, count).await.map_err(|error| format!("{sql}: {error}"))?;
    db.close().await?;
    Ok(waited)
}
