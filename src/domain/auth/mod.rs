//! Identity and credentials: authentication, sign-in, sessions, tokens, passwords and their revocation.

// Authentication of access tokens and API tokens.
pub mod authenticate;
// Transactions of a signed-in user.
pub mod authorize;
// The caller, and the proofs of their rights.
pub mod identity;
// Signing in with a password.
pub mod sign_in;
// The second factor of sign-ins.
pub mod second_factor;
// Passkeys.
pub mod passkeys;
// Opening, refreshing and ending sessions.
pub mod sessions;
// Issuing access and refresh tokens.
pub mod token_issuer;
// The keys that sign access tokens.
pub mod signing_keys;
// Personal API tokens for scripts.
pub mod api_tokens;
// Checking, hashing and verifying passwords.
pub mod passwords;
// Live connections and their lifetime.
pub mod live_connections;
// Revocation of sessions, links and tokens.
pub mod revocation;
// Devices of sign-ins with a second factor.
pub mod known_devices;
// Networks of recent sign-ins.
pub mod known_networks;
// Log lines about refused rights.
pub mod refused_rights;
