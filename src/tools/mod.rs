//! Leaves that know neither the database nor GraphQL; none imports another's rules.

// The tokens that scripts hold.
pub mod api_token;
// Authorities that vouch for servers.
pub mod certificates;
// Time and chance, as one value that is handed in.
pub mod clock;
// The signatures of access tokens.
mod ed25519;
// The targets of fuzzing.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
// E-mail addresses and usernames, as they are written and as they are compared.
pub mod identifier;
// Errors of the operating system, in words.
pub mod io_error;
// Pictures that people send, made safe to show.
pub mod image;
// Mails: their wording, and the way out of the house.
pub mod mail;
// Where files are kept that users send.
pub mod media;
// What is counted and timed, for those who watch the service.
pub mod metrics;
// The networks that clients are counted by.
pub mod network;
// Passwords and their hashes.
pub mod password;
// The rules for new passwords.
pub mod password_policy;
// Secrets, their digests, and the keys derived from the service's own.
pub mod secret;
// The service's secret where no setting gives one.
pub mod secret_file;
// Tables for spreadsheet programs.
pub mod sheet;
// Text that people type, made fit to be kept.
pub mod text;
// The tokens that clients hold.
pub mod token;
// What need not be found out again.
pub mod cache;
// What comes in, counted and timed.
pub mod request_metrics;
// What the machine has to offer.
pub mod system;
// A pace that something keeps.
pub mod rate;
