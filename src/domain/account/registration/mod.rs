//! Registration: a pending registration is stored separately until its address is confirmed, and only then becomes a
//! user.

// Registrations that wait for confirmation of their address.
pub mod pending;
// Creating a registration.
pub mod register;
// Confirming a registration by its link.
pub mod confirm;
// Requesting another mail with a link.
pub mod resend;

pub use self::pending::sweep;

use crate::config::Registration;
use crate::error::{Error, Result};

/// Refuses if registration is closed.
fn require_open(registration: Registration) -> Result<()> {
    match registration {
        Registration::Open => Ok(()),
        Registration::Closed => Err(Error::Forbidden),
    }
}
