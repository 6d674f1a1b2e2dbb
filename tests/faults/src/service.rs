//! The service as a separate process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::client::Client;
use crate::database::Place;
use crate::outcome::{Outcome, because, within};

/// Password of the first superuser.
pub(crate) const PASSWORD: &str = "a rather long phrase of mine";

/// Start timeout of a debug binary on a slow machine. A fast machine needs a second.
const START: Duration = Duration::from_secs(60);

/// A running service, killed on drop.
pub(crate) struct Service {
    child: Child,
    /// Kept open, so that later output does not stop the process.
    _printed: Lines<BufReader<ChildStdout>>,
    /// True if this start created the first superuser.
    pub(crate) made_superuser: bool,
    /// Listen address as host and port.
    pub(crate) address: String,
    /// Time from the start of the process to its listening line.
    pub(crate) started_in: Duration,
    log: PathBuf,
}

impl Service {
    /// Starts the service under test.
    pub(crate) async fn start(place: &Place, settings: &[(&str, &str)]) -> Outcome<Self> {
        let mut command = Command::new(crate::binary());
        equip(&mut command, place);
        command.envs(settings.iter().copied());
        Self::launch(command, place).await
    }

    /// Starts the service with a fault inside: this program as the child process of `inside.rs`.
    pub(crate) async fn start_faulty(place: &Place, fault: &str) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--inside", fault]);
        equip(&mut command, place);
        Self::launch(command, place).await
    }

    /// Starts the service as a child process.
    pub(crate) async fn start_under(program: &[OsString], place: &Place, settings: &[(&str, &str)]) -> Outcome<Self> {
        let (first, rest) = program.split_first().ok_or("no program is given")?;
        let mut command = Command::new(first);
        command.args(rest).arg(crate::binary());
        equip(&mut command, place);
        command.envs(settings.iter().copied());
        Self::launch(command, place).await
    }

    /// Runs a command of the service to its end.
    pub(crate) async fn run(place: &Place, arguments: &[&str]) -> Outcome<()> {
        let mut command = Command::new(crate::binary());
        equip(&mut command, place);
        let ended = command.args(arguments).stdout(Stdio::null()).status().await?;
        because(ended.success(), || format!("vestibule {} failed", arguments.join(" ")))
    }

    /// Output of a command of the service, regardless of its exit code.
    pub(crate) async fn printed(place: &Place, arguments: &[&str]) -> Outcome<String> {
        let mut command = Command::new(crate::binary());
        equip(&mut command, place);
        Ok(String::from_utf8(command.args(arguments).output().await?.stdout)?)
    }

    async fn launch(mut command: Command, place: &Place) -> Outcome<Self> {
        let log = place.folder.path().join("log");
        let errors = std::fs::File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).kill_on_drop(true);
        let started = Instant::now();
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("its output is piped")?;
        let mut printed = BufReader::new(stdout).lines();
        let mut made_superuser = false;
        let listening = async {
            while let Some(line) = printed.next_line().await? {
                if let Some(url) = line.strip_prefix("listening on http://") {
                    return Ok(Some(url.to_owned()));
                }
                made_superuser |= line.starts_with("first superuser");
            }
            Ok::<_, std::io::Error>(None)
        };
        let address = timeout(START, listening).await.map_err(|_| "the service did not start within a minute")??;
        let Some(address) = address else {
            let errors = std::fs::read_to_string(&log)?;
            return Err(errors.lines().last().unwrap_or("the service exited without output").to_owned().into());
        };
        Ok(Self { child, _printed: printed, made_superuser, address, started_in: started.elapsed(), log })
    }

    /// An anonymous client.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address)
    }

    /// The superuser, signed in.
    pub(crate) async fn admin(&self) -> Outcome<Client> {
        self.client().sign_in("admin@localhost", PASSWORD).await
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, wanted: Signal) -> Outcome<()> {
        signal(self.child.id().ok_or("the process has ended")?, wanted)
    }

    /// Kills the process with SIGKILL.
    pub(crate) async fn kill(mut self) -> Outcome<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for the process to end, and returns true for exit code 0.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Outcome<bool> {
        let ended = within(limit, self.child.wait()).await;
        Ok(ended.map_err(|error| format!("the end of the process: {error}"))??.success())
    }

    /// True if the process is running.
    pub(crate) fn lives(&mut self) -> Outcome<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Memory in use in MiB.
    pub(crate) fn memory(&self) -> Outcome<u64> {
        let id = self.child.id().ok_or("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("this is no Linux")?;
        Ok(line.split_whitespace().next().ok_or("VmRSS has a number")?.parse::<u64>()? / 1024)
    }

    /// Fails if the log contains a panic or an internal error.
    pub(crate) fn check_log(&self) -> Outcome<()> {
        let log = std::fs::read_to_string(&self.log)?;
        let is_fault =
            |line: &&str| ["panicked", "internal error", "request failed"].iter().any(|text| line.contains(text));
        let fault = log.lines().find(is_fault);
        because(fault.is_none(), || format!("found in the log: {}", fault.unwrap_or_default()))
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(process: u32, wanted: Signal) -> Outcome<()> {
    let id = Pid::from_raw(process.cast_signed()).ok_or("process id 0")?;
    Ok(kill_process(id, wanted)?)
}

/// Common settings: none of this machine, cheap hashes, and the same public URL for every port.
fn equip(command: &mut Command, place: &Place) {
    command.env_clear().current_dir(place.folder.path());
    command.env("VESTIBULE_DATABASE_URL", &place.url).env("VESTIBULE_DATA_DIR", place.folder.path());
    command.env("VESTIBULE_LISTEN", "127.0.0.1:0").env("VESTIBULE_PUBLIC_URL", "http://accounts.example");
    command.env("VESTIBULE_ADMIN_PASSWORD", PASSWORD).env("VESTIBULE_ARGON2", "m=8,t=1,p=1");
    command.env("VESTIBULE_LIMITS", "off").env("VESTIBULE_ACCESS_TTL", "1h").env("VESTIBULE_LOG", "warn");
    command.env("VESTIBULE_SECRET_KEY", "one secret of all instances, 0123456789");
}
