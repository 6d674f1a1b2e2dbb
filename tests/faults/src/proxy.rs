//! nginx in front of two instances, with the configuration in `packaging/`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::outcome::{Outcome, because, wait_until};
use crate::service::signal;

/// Configuration for operators.
const SITE: &str = include_str!("../../../packaging/nginx.conf");

/// A running nginx, stopped on drop.
pub(crate) struct Proxy {
    child: Child,
    folder: TempDir,
    /// Listen address as host and port.
    pub(crate) address: String,
}

/// A completed request in nginx's log.
pub(crate) struct Passed {
    /// Start and end in milliseconds since the epoch.
    pub(crate) began: i64,
    pub(crate) ended: i64,
    pub(crate) status: u16,
    pub(crate) method: String,
    /// Instances it was passed to, in order.
    pub(crate) instances: Vec<String>,
    /// True if an instance had already received it when it was passed to the next.
    pub(crate) was_sent_twice: bool,
}

impl Proxy {
    /// Starts nginx in front of these instances.
    pub(crate) async fn start(instances: [&str; 2]) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let here = folder.path().display();
        let mut site = SITE.to_owned();
        let changes = [
            ("server 127.0.0.1:8000", format!("server {}", instances[0])),
            ("#server 127.0.0.1:8001", format!("server {}", instances[1])),
            ("listen 443 ssl http2", format!("listen {address}")),
            ("listen [::]:443 ssl http2;", String::new()),
            ("listen 80", format!("listen unix:{here}/plain")),
            ("listen [::]:80;", String::new()),
            ("/var/log/nginx/vestibule.log vestibule", format!("{here}/passed.log passed")),
        ];
        for (from, to) in changes {
            because(site.contains(from), || format!("packaging/nginx.conf does not contain {from}"))?;
            site = site.replace(from, &to);
        }
        let site: Vec<&str> = site.lines().filter(|line| !line.trim_start().starts_with("ssl_")).collect();
        std::fs::write(folder.path().join("site.conf"), site.join("\n"))?;
        // Otherwise its workers run as a user without access to the directory.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let paths =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {here}/{kind};"));
        let main = format!(
            "{user} daemon off; worker_processes 2; pid {here}/pid; error_log {here}/error.log warn;\n\
             events {{ worker_connections 2048; }}\n\
             http {{\n{}\n\
             log_format passed '$msec|$request_time|$status|$request_method|$upstream_addr|$upstream_connect_time';\n\
             include {here}/site.conf;\n}}\n",
            paths.join(" ")
        );
        std::fs::write(folder.path().join("nginx.conf"), main)?;
        let mut command = Command::new(program().ok_or("nginx is not installed")?);
        command.arg("-p").arg(folder.path()).args(["-e", "error.log", "-c"]).arg(folder.path().join("nginx.conf"));
        let child = command.stdin(Stdio::null()).spawn()?;
        let proxy = Self { child, folder, address };
        let listens = async || Ok(TcpStream::connect(&proxy.address).await.is_ok());
        wait_until(Duration::from_secs(10), listens)
            .await
            .map_err(|error| format!("nginx is not listening: {error}"))?;
        Ok(proxy)
    }

    /// Requests completed so far.
    pub(crate) fn passed(&self) -> Outcome<Vec<Passed>> {
        let log = std::fs::read_to_string(self.folder.path().join("passed.log"))?;
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole.lines().map(|line| parse(line).ok_or_else(|| format!("nginx logged {line}").into())).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A kill would leave its workers running.
        if signal(self.child.id(), Signal::TERM).is_ok() {
            let _ = self.child.wait();
        }
    }
}

fn parse(line: &str) -> Option<Passed> {
    let mut fields = line.split('|');
    let mut millis = || fields.next()?.replace('.', "").parse::<i64>().ok();
    let (ended, took) = (millis()?, millis()?);
    let (status, method) = (fields.next()?.parse().ok()?, fields.next()?.to_owned());
    let instances: Vec<String> = fields.next()?.split(", ").map(str::to_owned).collect();
    // A missing time means that there was no connection.
    let was_sent_twice = instances.len() > 1 && !fields.next()?.starts_with('-');
    Some(Passed { began: ended - took, ended, status, method, instances, was_sent_twice })
}

/// Reason to skip rows with nginx.
pub(crate) fn left_out() -> Option<&'static str> {
    program().is_none().then_some("nginx is not installed (on Debian: apt-get install nginx-light)")
}

fn program() -> Option<PathBuf> {
    let on_path = crate::setting("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&on_path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join("nginx")).find(|path| path.is_file())
}
