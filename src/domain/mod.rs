//! The rules of the service: plain async functions over a connection, each in a file named after it. GraphQL, pages,
//! command line and worker only translate input and output.
//!
//! An operation takes the database first, then the current time, then the proof of a right if needed, then its input.
//! All its writes, with audit events and mails, happen in one transaction.

// Registration, password reset, and changes to the own account.
pub mod account;
// The audit trail.
pub mod audit;
// Authentication, sessions, tokens and passwords.
pub mod auth;
// Pictures of users.
pub mod avatars;
// Exports of lists as files, read page by page.
pub mod exports;
// Fuzzing targets.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
// Imports of users.
pub mod import;
// The installation that the database belongs to.
pub mod instance;
// Emergency administration on the command line.
pub mod operator;
// The outbox: mails are queued with the change that they announce, and delivered by a worker.
pub mod outbox;
// Pagination.
pub mod paging;
// Last-seen times of users.
pub mod presence;
// Deletion of old personal data.
pub mod retention;
// Samples that users record.
pub mod samples;
// Figures for staff.
pub mod statistics;
// Forms of pages that are submitted twice.
pub mod sent_forms;
// Administering users.
pub mod users;
// Rate limits.
pub mod rate_limits;
// Leases for work that one instance does at a time.
pub mod leases;
