//! Listening for connections: at addresses, at a socket file, or at sockets that systemd passed.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};

use crate::config::{BaseUrl, Listen};

/// Number of connections that the system accepts for us and lets wait.
const MAX_WAITING: usize = 1024;

/// The peer of connections by a socket file: some process of this machine.
const SOMEBODY_HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Sockets at which connections come in.
#[derive(Debug, Default)]
pub struct Listener {
    tcp: Vec<TcpListener>,
    unix: Vec<UnixListener>,
    /// The socket files that it has made, which go away with it.
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
    /// Listens there. A socket file that nobody listens at any more is replaced.
    ///
    /// # Errors
    /// What the system says.
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
                // The name may have an address of a protocol that this machine does not speak.
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
        // Every program that may enter the folder may ask, as with a port of this machine.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(bound)
    }

    /// The sockets that systemd passed to this process; none where it passed none.
    ///
    /// # Errors
    /// What the system says, and where one is no socket for connections.
    pub fn inherited() -> io::Result<Option<Self>> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut all = Self::default();
        for index in 0..passed.len() {
            // A socket of the other kind is kept for the second attempt.
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

    /// All places where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn places(&self) -> io::Result<Vec<Listen>> {
        let tcp = self.tcp.iter().map(|listener| listener.local_addr().map(Listen::Address));
        let unix = self.unix.iter().map(|listener| {
            let address = listener.local_addr()?;
            Ok(Listen::File(address.as_pathname().unwrap_or(Path::new("")).to_owned()))
        });
        tcp.chain(unix).collect()
    }

    /// The next connection, and who opened it.
    pub(in crate::http) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        for listener in &self.tcp {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, peer)| (Stream::Tcp(stream), peer)));
            }
        }
        for listener in &self.unix {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, _)| (Stream::Unix(stream), SOMEBODY_HERE)));
            }
        }
        Poll::Pending
    }

    /// Stops listening at once, and returns the connections that the system has accepted for us until then.
    pub(in crate::http) fn into_waiting(mut self) -> Vec<(Stream, SocketAddr)> {
        let mut waiting = Vec::new();
        for listener in std::mem::take(&mut self.tcp).into_iter().filter_map(|listener| listener.into_std().ok()) {
            for _ in 0..MAX_WAITING {
                let Ok((stream, peer)) = listener.accept() else { break };
                let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                waiting.extend(stream.ok().map(|stream| (Stream::Tcp(stream), peer)));
            }
        }
        for listener in std::mem::take(&mut self.unix).into_iter().filter_map(|listener| listener.into_std().ok()) {
            for _ in 0..MAX_WAITING {
                let Ok((stream, _)) = listener.accept() else { break };
                let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
                waiting.extend(stream.ok().map(|stream| (Stream::Unix(stream), SOMEBODY_HERE)));
            }
        }
        waiting
    }
}

/// The address that clients on this machine find a place by where no setting names one; none of a socket file.
pub fn own_url(places: &[Listen]) -> Option<BaseUrl> {
    places.iter().find_map(Listen::url)
}

/// A connection that came in.
pub(in crate::http) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Sends what is written at once.
    pub(in crate::http) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }
}
