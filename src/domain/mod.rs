//! What the service does: plain async functions over a connection, each in a file named for it. All faces call these
//! (GraphQL, pages, command line, worker), and every rule stands here and nowhere above.
//!
//! An operation takes the database first, then the moment, then the proof of a right where one is needed, then its
//! input. Whatever it writes, it writes in one transaction, its audit event and its mails included.

/// Who is asking, and what they may do.
pub mod access;
/// The trail of who did what to whom.
pub mod audit;
/// Pictures of users.
pub mod avatars;
/// What nobody may do to superusers and to themselves.
pub mod guard_rails;
/// The keys that sign access tokens.
pub mod keys;
/// Mails: put in line with the change that they tell of, delivered by a worker.
pub mod outbox;
/// Pages of long lists.
pub mod paging;
/// From a typed password to a stored hash.
pub mod passwords;
/// Recovering a forgotten password.
pub mod reset;
/// What users record.
pub mod samples;
/// Being signed in: opening, refreshing and ending sessions.
pub mod sessions;
/// Signing in with a password.
pub mod sign_in;
/// The tokens that clients are given.
pub mod tokens;
/// Administering users.
pub mod users;
