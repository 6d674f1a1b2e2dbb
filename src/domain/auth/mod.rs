//! Identity and credentials: authentication, sign-in, sessions, tokens, passwords and their revocation.

// Authentication of access tokens and API tokens.
pub mod authenticate;
// Transactions in which a signed-in user acts.
pub mod authorize;
// The caller, and the proofs of their rights.
pub mod identity;
// Signing in with a password.
pub mod sign_in;
// Being signed in: opening, refreshing and ending sessions.
pub mod sessions;
// The tokens that clients are given.
pub mod token_issuer;
// The keys that sign access tokens.
pub mod signing_keys;
// The tokens that users make for scripts.
pub mod api_tokens;
// From a typed password to a stored hash.
pub mod passwords;
// Who stays connected, and for how long they may.
pub mod live_connections;
// Everything that ends what an account was used by.
pub mod revocation;
// The networks from which users signed in lately.
pub mod known_networks;
// Log lines about refused rights.
pub mod refused_rights;
