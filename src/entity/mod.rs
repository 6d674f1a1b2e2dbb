//! SeaORM models, one file per table, with named filters; no rules.

// What scripts sign in with.
pub mod api_token;
// Fields of a user that an audit event changed.
pub mod audit_change;
// Who did what to whom.
pub mod audit_event;
// The installation that the database belongs to.
pub mod instance;
// The networks from which users signed in lately.
pub mod known_network;
// Changes of address that can be undone.
pub mod email_undo;
// Usernames that were given up lately.
pub mod former_username;
// How much of each limit is used up.
pub mod limit;
// The outbox.
pub mod mail;
// The digests of the secrets in mailed links.
pub mod one_time_token;
// Who wants an account and has not confirmed the address yet.
pub mod registration;
// What users record.
pub mod sample;
// The forms of pages that did their work lately.
pub mod sent_form;
// Where users are signed in.
pub mod session;
// The keys that sign access tokens.
pub mod signing_key;
// The accounts.
pub mod user;
// Files that are to be deleted.
pub mod pending_deletion;
// What was taken over from another system.
pub mod imported_id;
// Work that one instance does at a time.
pub mod lease;
