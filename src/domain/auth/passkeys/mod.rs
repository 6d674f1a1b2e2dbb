//! Passkeys: possession of a device, and a PIN or biometrics that the device verified. One is as good as a password and
//! a second factor together.

// Verification and use of a passkey.
pub mod assertion;
// Challenges of ceremonies.
pub mod ceremony;
// Passkeys of users.
pub mod list;
// Sign-in with a passkey alone.
pub mod sign_in;
