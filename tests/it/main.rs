//! Integration tests: each starts the real router on a fresh database. They run on SQLite and, if
//! `VESTIBULE_TEST_POSTGRES_URL` names a server, on PostgreSQL.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may end immediately and say why")]
#![expect(clippy::unused_async, reason = "every test of both databases has the same form")]

mod test_app;
mod test_client;
mod test_database;
mod fixture;
mod socket;

/// Result of a test that reports several problems together.
pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

mod account;
mod api_tokens;
mod architecture;
mod audit;
mod audit_visibility;
mod avatars;
mod backup;
mod base_path;
mod user_updates;
mod object_store;
mod copy;
mod database;
mod doctor;
mod graphql_endpoint;
mod examples;
mod exports;
mod faults;
mod federation;
mod user_search;
mod foreign_headers;
mod forged_tokens;
mod former_usernames;
mod graphiql;
mod pre_hijacking;
mod hostile_sheets;
mod address_identity;
mod spreadsheet_import;
mod rate_limits;
mod mail_links;
mod language;
mod listening;
mod presence;
mod data_loaders;
mod mail;
mod metrics;
mod django_import;
mod mutations;
mod client_networks;
mod cli_admin;
mod outbox_order;
mod pages;
mod parity;
mod password_page;
mod passwords;
mod query_plans;
mod process;
mod refresh_model;
mod refused_rights;
mod registration;
mod recovery;
mod retention;
mod revocation;
mod rights;
mod scalar_values;
mod schema;
mod repeated_forms;
mod secrets;
mod security;
mod database_servers;
mod sessions;
mod settings;
mod sign_in_help;
mod signing_keys;
mod enumeration;
mod stale_rights;
mod temporary_passwords;
mod text_normalization;
mod upgrade;
mod certificate_authorities;
mod undo_email_change;
mod uploads;
mod usernames;
mod users;
mod http_hardening;
