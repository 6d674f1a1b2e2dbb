//! SeaORM models, one file per table, with named filters; no rules.

// API tokens of scripts.
pub mod api_token;
// Fields of a user that an audit event changed.
pub mod audit_change;
// The audit trail.
pub mod audit_event;
// The installation that the database belongs to.
pub mod instance;
// Devices from which users signed in with a second factor.
pub mod known_device;
// Networks from which users signed in recently.
pub mod known_network;
// Files and reports of imports, for a short time.
pub mod import_file;
// Imports of users from spreadsheets.
pub mod import_job;
// Remembered mappings of headings.
pub mod import_mapping;
// Changes of address that can be undone.
pub mod email_undo;
// Second factors of users.
pub mod factor;
// Usernames that were given up recently.
pub mod former_username;
// Usage of rate limits.
pub mod limit;
// The outbox.
pub mod mail;
// Digests of the secrets in mailed links.
pub mod one_time_token;
pub mod passkey;
// Recovery codes of users with a second factor.
pub mod recovery_code;
// Registrations without a confirmed address.
pub mod registration;
// Samples that users record.
pub mod sample;
// Recently submitted forms of pages.
pub mod sent_form;
// Sessions of users.
pub mod session;
// Challenges of sign-ins that were answered.
pub mod sign_in_challenge;
// The keys that sign access tokens.
pub mod signing_key;
// User accounts.
pub mod user;
// Files to delete.
pub mod pending_deletion;
// Users and tokens imported from another system.
pub mod imported_id;
// Leases for work that one instance does at a time.
pub mod lease;
