//! What the service does: plain async functions over a connection, each in a file named for it. All faces call these
//! (GraphQL, pages, command line, worker), and every rule stands here and nowhere above.
//!
//! An operation takes the database first, then the moment, then the proof of a right where one is needed, then its
//! input. Whatever it writes, it writes in one transaction, its audit event and its mails included.

// Who is asking, and what they may do.
pub mod access;
// What signed-in users do with their own account.
pub mod account;
// The tokens that users make for scripts.
pub mod api_tokens;
// The trail of who did what to whom.
pub mod audit;
// Pictures of users.
pub mod avatars;
// The whole service from one database to another.
pub mod copy;
// Lists as files, read page by page.
pub mod exports;
// The targets of fuzzing.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
// How many there are of what is kept.
pub mod figures;
// Audit events about exhausted limits.
mod exhausted_limits;
// What nobody may do to superusers and to themselves.
pub mod guard_rails;
// Users from a spreadsheet.
pub mod import;
// The installation that the database belongs to.
pub mod instance;
// The keys that sign access tokens.
pub mod keys;
// The networks from which users signed in lately.
pub mod known_networks;
// Limits on what can be asked for.
pub mod limits;
// What whoever runs the command line may do.
pub mod operator;
// Mails: put in line with the change that they tell of, delivered by a worker.
pub mod outbox;
// Pages of long lists.
pub mod paging;
// Users of a Django project, taken over with their passwords.
pub mod moving;
// From a typed password to a stored hash.
pub mod passwords;
// Who was seen when.
pub mod presence;
// Log lines about refused rights.
pub mod refused_rights;
// Making an account for oneself.
pub mod registration;
// Recovering a forgotten password.
pub mod reset;
// Everything that ends what an account was used by.
pub mod revocation;
// What is personal goes away in time.
pub mod retention;
// What users record.
pub mod samples;
// Forms of pages that are sent twice.
pub mod sent_forms;
// Being signed in: opening, refreshing and ending sessions.
pub mod sessions;
// Signing in with a password.
pub mod sign_in;
// Removing many rows without keeping anybody from writing.
mod sweeping;
// The tokens that clients are given.
pub mod tokens;
// Turns at work that one instance does at a time.
pub mod turns;
// Administering users.
pub mod users;
// Who stays connected, and for how long they may.
pub mod vigil;
// Confirming an address with the link that was mailed to it.
pub mod verify_email;
