//! Listening sockets: addresses, a socket file, or sockets passed by systemd.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio_util::either::Either;

use crate::config::{BaseUrl, Listen};

/// Maximum length of the system's queue of connections.
const MAX_QUEUED: usize = 1024;

/// Peer of connections by a socket file: a process on this machine.
const LOCAL_PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An accepted connection.
pub(in crate::http) type Stream = Either<TcpStream, UnixStream>;

/// Listening sockets.
#[derive(Debug, Default)]
pub struct Listener {
    tcp: Vec<TcpListener>,
    unix: Vec<UnixListener>,
    /// Socket files that it created, removed on drop.
    files: Vec<PathBuf>,
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self { tcp: vec![listener], unix: Vec::new(), files: Vec::new() }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

impl Listener {
    /// Listens at an address or a socket file. A socket file without a listener is replaced.
    ///
    /// # Errors
    /// The error of the system.
    pub async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Address(address) => Ok(TcpListener::bind(address).await?.into()),
            Listen::Name(name, port) => Self::bind_name(name, *port).await,
            Listen::File(path) => Self::bind_file(path),
        }
    }

    /// Listens at all addresses of a name, on one port.
    async fn bind_name(name: &str, port: u16) -> io::Result<Self> {
        let mut bound = Self::default();
        let (mut port, mut failed) = (port, None);
        for address in lookup_host((name, port)).await? {
            match TcpListener::bind(SocketAddr::new(address.ip(), port)).await {
                Ok(listener) => {
                    port = listener.local_addr()?.port();
                    bound.tcp.push(listener);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
                    return Err(error);
                }
                // The name may have an address of a protocol that this machine does not support.
                Err(error) => failed = Some(error),
            }
        }
        if bound.tcp.is_empty() {
            return Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
        }
        Ok(bound)
    }

    fn bind_file(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            if BlockingUnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let bound = Self { tcp: Vec::new(), unix: vec![listener], files: vec![path.to_owned()] };
        // Every program with access to the folder may connect, as with a local port.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(bound)
    }

    /// The sockets that systemd passed to this process, if any.
    ///
    /// # Errors
    /// The error of the system, or of a socket that cannot listen.
    pub fn inherited() -> io::Result<Option<Self>> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut all = Self::default();
        for index in 0..passed.len() {
            // On the wrong type, the socket is kept for the second attempt.
            if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
                listener.set_nonblocking(true)?;
                all.tcp.push(TcpListener::from_std(listener)?);
            } else if let Some(listener) = passed.take_unix_listener(index)? {
                listener.set_nonblocking(true)?;
                all.unix.push(UnixListener::from_std(listener)?);
            }
        }
        Ok((!all.tcp.is_empty() || !all.unix.is_empty()).then_some(all))
    }

    /// All addresses and socket files.
    ///
    /// # Errors
    /// The error of the system.
    pub fn places(&self) -> io::Result<Vec<Listen>> {
        let tcp = self.tcp.iter().map(|listener| listener.local_addr().map(Listen::Address));
        let unix = self.unix.iter().map(|listener| {
            let address = listener.local_addr()?;
            Ok(Listen::File(address.as_pathname().unwrap_or(Path::new("")).to_owned()))
        });
        tcp.chain(unix).collect()
    }

    /// Accepts the next connection. Returns it with its peer.
    pub(in crate::http) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        for listener in &self.tcp {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, peer)| (Either::Left(stream), peer)));
            }
        }
        for listener in &self.unix {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, _)| (Either::Right(stream), LOCAL_PEER)));
            }
        }
        Poll::Pending
    }

    /// Stops listening, and returns the connections in the system's queue.
    pub(in crate::http) fn into_queued(mut self) -> Vec<(Stream, SocketAddr)> {
        let mut queued = Vec::new();
        for listener in std::mem::take(&mut self.tcp).into_iter().filter_map(|listener| listener.into_std().ok()) {
            for _ in 0..MAX_QUEUED {
                let Ok((stream, peer)) = listener.accept() else { break };
                let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                queued.extend(stream.ok().map(|stream| (Either::Left(stream), peer)));
            }
        }
        for listener in std::mem::take(&mut self.unix).into_iter().filter_map(|listener| listener.into_std().ok()) {
            for _ in 0..MAX_QUEUED {
                let Ok((stream, _)) = listener.accept() else { break };
                let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
                queued.extend(stream.ok().map(|stream| (Either::Right(stream), LOCAL_PEER)));
            }
        }
        queued
    }
}

/// URL for clients on this machine, used without a configured one; none for socket files.
pub fn own_url(places: &[Listen]) -> Option<BaseUrl> {
    places.iter().find_map(Listen::url)
}
