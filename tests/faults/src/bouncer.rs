//! PgBouncer in front of a PostgreSQL server.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::database::run;
use crate::outcome::{Outcome, wait_until};
use crate::service::signal;

/// A running PgBouncer, stopped on drop.
pub(crate) struct Bouncer {
    child: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Bouncer {
    /// Starts PgBouncer in front of the server on this port, with this `pool_mode` and default settings.
    pub(crate) async fn start(server: u16, pool_mode: &str) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let here = folder.path().display();
        // `any` maps every client to the user of the database entry.
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server} user=vestibule\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = any\npool_mode = {pool_mode}\nunix_socket_dir =\nlogfile = {here}/log\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings)?;
        let program = program().ok_or("pgbouncer is not installed")?;
        let mut command = Command::new(&program);
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg("-R").arg("postgres").arg(folder.path()))?;
            command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(&program);
        }
        let child = command.arg("-q").arg(&file).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let bouncer = Self { child, port, _folder: folder };
        let listens = async || Ok(TcpStream::connect(("127.0.0.1", port)).await.is_ok());
        let waited = wait_until(Duration::from_secs(10), listens).await;
        waited.map_err(|error| format!("pgbouncer is not listening: {error}"))?;
        Ok(bouncer)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        if signal(self.child.id(), Signal::INT).is_ok() {
            let _ = self.child.wait();
        }
    }
}

/// Reason to skip rows with PgBouncer.
pub(crate) fn left_out() -> Option<&'static str> {
    program().is_none().then_some("PgBouncer is not installed (on Debian: apt-get install pgbouncer)")
}

fn program() -> Option<PathBuf> {
    let on_path = crate::setting("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&on_path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join("pgbouncer")).find(|path| path.is_file())
}
