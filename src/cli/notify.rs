//! Notifies systemd of the state of the service over its notification socket (`sd_notify`). Does nothing without
//! `NOTIFY_SOCKET`.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;

/// The service is ready for requests.
pub(super) const READY: &str = "READY=1";

/// The service is stopping and finishes requests in progress.
pub(super) const STOPPING: &str = "STOPPING=1";

/// Sends a state to systemd. A failure is only logged.
pub(super) fn say(state: &str) {
    #[expect(clippy::disallowed_methods, reason = "systemd sets it for the processes it starts; it is not a setting")]
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(state, &address) {
        tracing::warn!(%error, state, "cannot notify systemd (NOTIFY_SOCKET)");
    }
}

fn send(state: &str, address: &OsStr) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // A receiver that does not read must not block the service.
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) = address.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return socket.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    socket.send_to(state.as_bytes(), address).map(drop)
}
