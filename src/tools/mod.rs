//! Leaves that know neither the database nor GraphQL; none imports another's rules.

/// Time and chance, as one value that is handed in.
pub mod clock;
/// Secrets, their digests, and the keys derived from the service's own.
pub mod secret;
