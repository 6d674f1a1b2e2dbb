//! Making an account for oneself: a registration waits under its own roof until its address is confirmed, and only then
//! is there a user.

// Registrations that wait for their address to be confirmed.
pub mod pending;
// Asking for an account.
pub mod register;
// Asking for another mail with a link.
pub mod resend;

pub use self::pending::sweep;

use crate::config::Registration;
use crate::error::{Error, Result};

/// Refuses where people may not make accounts for themselves.
fn require_open(registration: Registration) -> Result<()> {
    match registration {
        Registration::Open => Ok(()),
        Registration::Closed => Err(Error::Forbidden),
    }
}
