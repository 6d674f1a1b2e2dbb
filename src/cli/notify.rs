//! Tells systemd how far the service is, by a line to the socket that it names (`sd_notify`). Without such a socket nobody
//! asked.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;

/// The service answers.
pub(super) const READY: &str = "READY=1";

/// The service was told to stop, and lets what is under way finish.
pub(super) const STOPPING: &str = "STOPPING=1";

/// Says it where somebody listens. That it cannot be said is no reason not to serve.
pub(super) fn say(state: &str) {
    #[expect(clippy::disallowed_methods, reason = "it is no setting: systemd gives it to whom it starts")]
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(state, &address) {
        tracing::warn!(%error, state, "NOTIFY_SOCKET: systemd cannot be told");
    }
}

fn send(state: &str, address: &OsStr) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // Whoever does not take the line must not hold up the service.
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) = address.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return socket.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    socket.send_to(state.as_bytes(), address).map(drop)
}
