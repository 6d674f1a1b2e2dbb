//! The service as a process of its own.

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
use crate::outcome::{Outcome, because};

/// The first superuser's password.
pub(crate) const PASSWORD: &str = "a rather long phrase of mine";

/// How long a debug binary may take to start on a slow machine; a good one takes a second.
const START: Duration = Duration::from_secs(60);

/// A running service; it is killed when this is dropped.
pub(crate) struct Service {
    child: Child,
    /// Kept, so that what it still prints does not stop it.
    _printed: Lines<BufReader<ChildStdout>>,
    /// Whether this start made the first superuser.
    pub(crate) made_superuser: bool,
    /// Where it listens, as host and port.
    pub(crate) address: String,
    /// From the start of the process to the line that tells where it listens.
    pub(crate) started_in: Duration,
    log: PathBuf,
}

impl Service {
    /// Starts the service that is judged.
    pub(crate) async fn start(place: &Place, settings: &[(&str, &str)]) -> Outcome<Self> {
        let mut command = Command::new(crate::binary());
        equip(&mut command, place);
        command.envs(settings.iter().copied());
        Self::launch(command, place).await
    }

    /// Starts the service with a fault inside: this program as the child that `inside.rs` describes.
    pub(crate) async fn start_faulty(place: &Place, fault: &str) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--inside", fault]);
        equip(&mut command, place);
        Self::launch(command, place).await
    }

    /// Starts the service as this program's child.
    pub(crate) async fn start_under(program: &[OsString], place: &Place, settings: &[(&str, &str)]) -> Outcome<Self> {
        let (first, rest) = program.split_first().ok_or("there is no program")?;
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

    /// What a command of the service printed, whether it found fault or not.
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
        let address = timeout(START, listening).await.map_err(|_| "it did not start within a minute")??;
        let Some(address) = address else {
            let errors = std::fs::read_to_string(&log)?;
            return Err(errors.lines().last().unwrap_or("it ended without a word").to_owned().into());
        };
        Ok(Self { child, _printed: printed, made_superuser, address, started_in: started.elapsed(), log })
    }

    /// A client that is not signed in.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address)
    }

    /// The superuser, signed in.
    pub(crate) async fn admin(&self) -> Outcome<Client> {
        self.client().sign_in("admin@localhost", PASSWORD).await
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, wanted: Signal) -> Outcome<()> {
        signal(self.child.id().ok_or("it has ended")?, wanted)
    }

    /// Kills it where it is, as `kill -9` does.
    pub(crate) async fn kill(mut self) -> Outcome<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for its end, and tells whether it ended well.
    pub(crate) async fn ended(&mut self, patience: Duration) -> Outcome<bool> {
        let ended = timeout(patience, self.child.wait()).await;
        Ok(ended.map_err(|_| format!("it was still there after {patience:?}"))??.success())
    }

    /// Whether it still lives.
    pub(crate) fn lives(&mut self) -> Outcome<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// The memory that it occupies, in MiB.
    pub(crate) fn memory(&self) -> Outcome<u64> {
        let id = self.child.id().ok_or("it has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("this is no Linux")?;
        Ok(line.split_whitespace().next().ok_or("VmRSS has a number")?.parse::<u64>()? / 1024)
    }

    /// Nothing in its log tells of a fault of its own.
    pub(crate) fn check_log(&self) -> Outcome<()> {
        let log = std::fs::read_to_string(&self.log)?;
        let fault = log.lines().find(|line| line.contains("panicked") || line.contains("by a fault of the service"));
        because(fault.is_none(), || format!("the log says: {}", fault.unwrap_or_default()))
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(process: u32, wanted: Signal) -> Outcome<()> {
    let id = Pid::from_raw(process.cast_signed()).ok_or("there is no process 0")?;
    Ok(kill_process(id, wanted)?)
}

/// The settings that all have: nothing of this machine's, cheap hashes, and one public address for every port.
fn equip(command: &mut Command, place: &Place) {
    command.env_clear().current_dir(place.folder.path());
    command.env("VESTIBULE_DATABASE_URL", &place.url).env("VESTIBULE_DATA_DIR", place.folder.path());
    command.env("VESTIBULE_LISTEN", "127.0.0.1:0").env("VESTIBULE_PUBLIC_URL", "http://accounts.example");
    command.env("VESTIBULE_ADMIN_PASSWORD", PASSWORD).env("VESTIBULE_ARGON2", "m=8,t=1,p=1");
    command.env("VESTIBULE_LIMITS", "off").env("VESTIBULE_ACCESS_TTL", "1h").env("VESTIBULE_LOG", "warn");
    command.env("VESTIBULE_SECRET_KEY", "one secret of all instances, 0123456789");
}
