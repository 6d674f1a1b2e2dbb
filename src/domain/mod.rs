//! What the service does: plain async functions over a connection, each in a file named for it. All faces call these
//! (GraphQL, pages, command line, worker), and every rule stands here and nowhere above.
//!
//! An operation takes the database first, then the moment, then the proof of a right where one is needed, then its
//! input. Whatever it writes, it writes in one transaction, its audit event and its mails included.

// What signed-in users do with their own account.
pub mod account;
// The audit trail.
pub mod audit;
// Identity and credentials.
pub mod auth;
// Pictures of users.
pub mod avatars;
// Lists as files, read page by page.
pub mod exports;
// The targets of fuzzing.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
// Imports of users.
pub mod import;
// The installation that the database belongs to.
pub mod instance;
// What whoever runs the command line may do.
pub mod operator;
// Mails: put in line with the change that they tell of, delivered by a worker.
pub mod outbox;
// Pages of long lists.
pub mod paging;
// Who was seen when.
pub mod presence;
// What is personal goes away in time.
pub mod retention;
// What users record.
pub mod samples;
// Forms of pages that are sent twice.
pub mod sent_forms;
// Administering users.
pub mod users;
// Limits on what can be asked for.
pub mod rate_limits;
// Turns at work that one instance does at a time.
pub mod leases;
