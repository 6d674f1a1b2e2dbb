//! Building blocks without knowledge of the database or GraphQL; none imports the rules of another.

// API tokens of scripts.
pub mod api_token;
// Binary data as letters and digits.
pub mod base32;
// Look of pages and emails.
pub mod brand;
// Archives of files.
pub mod archive;
// Passwords in public lists of stolen passwords.
pub mod breached_passwords;
// Trusted certificate authorities.
pub mod certificates;
// Time and randomness as one injected value.
pub mod clock;
// Colors and their contrast.
pub mod color;
// Names of devices.
pub mod device;
// Signatures of access tokens.
mod ed25519;
// Fuzzing targets.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
// Email addresses and usernames, as written and as compared.
pub mod identifier;
// Descriptions of operating system errors.
pub mod io_error;
// Uploaded pictures, re-encoded for safe display.
pub mod image;
// Mails: rendering and delivery.
pub mod mail;
// Storage of uploaded files.
pub mod media;
// Prometheus metrics.
pub mod metrics;
// Networks under which clients are counted.
pub mod network;
// Passwords and their hashes.
pub mod password;
// Rules for new passwords.
pub mod password_policy;
// Telephone numbers, as written and as searched.
pub mod phone;
// QR codes as pictures.
pub mod qr_code;
// Recovery codes for a lost second factor.
pub mod recovery_code;
// Secrets, their digests, and keys derived from the secret key.
pub mod secret;
// The secret key if no setting provides one.
pub mod secret_file;
// Spreadsheet tables.
pub mod sheet;
// Spellings of names.
pub mod spelling;
// Normalisation of typed text.
pub mod text;
// Access and refresh tokens of clients.
pub mod token;
// Passkeys.
pub mod webauthn;
// Limits on what exists at a time.
pub(crate) mod concurrency_limit;
// Time-based one-time passwords.
pub mod totp;
// A cache with a memory bound.
pub mod cache;
// Metrics of requests and operations.
pub mod request_metrics;
// Resources of the machine.
pub mod system;
// A rate limiter in memory.
pub mod rate;
