//! Database migrations of Vestibule, one file each, without dependencies on the service.
//!
//! Times are milliseconds since 1970-01-01T00:00:00Z, ids are UUIDs, and enumerations are stored by name, so that both
//! databases store the same values.

use sea_orm_migration::MigrationTrait;
pub use sea_orm_migration::MigratorTrait;

mod m0001_users;
mod m0002_sessions;
mod m0003_one_time_tokens;
mod m0004_signing_keys;
mod m0005_mails;
mod m0006_audit_events;
mod m0007_samples;
mod m0008_registrations;
mod m0009_avatars;
mod m0010_api_tokens;
mod m0011_pending_email;
mod m0012_rate_limits;
mod m0013_user_search_index;
mod m0015_audit_and_mail_lists;
mod m0016_retention;
mod m0017_user_filter_indexes;
mod m0018_imported_ids;
mod m0020_email_undos;
mod m0021_former_usernames;
mod m0022_registration_secret;
mod m0024_api_token_expiry;
mod m0025_known_networks;
mod m0026_instance_and_key_notice;
mod m0027_temporary_password;
mod m0028_mail_recipient_index;
mod m0029_email_proof;
mod m0030_search_index_secure_delete;
mod m0034_address_key_form;
mod m0035_leases;
mod m0036_sent_forms;
mod m0037_mail_order;
mod m0038_audit_reasons;
mod m0039_staff_set_passwords;
mod m0040_session_proof_time;
mod m0041_second_factors;
mod m0042_passkeys;
mod m0043_imported_factors;
mod m0044_known_devices;
mod m0049_import_jobs;
mod m0050_search_terms;
mod m0051_audit_ip_index;

/// Migrates a database to the current schema.
pub struct Migrator;

#[sea_orm_migration::async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_users::Migration),
            Box::new(m0002_sessions::Migration),
            Box::new(m0003_one_time_tokens::Migration),
            Box::new(m0004_signing_keys::Migration),
            Box::new(m0005_mails::Migration),
            Box::new(m0006_audit_events::Migration),
            Box::new(m0007_samples::Migration),
            Box::new(m0008_registrations::Migration),
            Box::new(m0009_avatars::Migration),
            Box::new(m0010_api_tokens::Migration),
            Box::new(m0011_pending_email::Migration),
            Box::new(m0012_rate_limits::Migration),
            Box::new(m0013_user_search_index::Migration),
            Box::new(m0015_audit_and_mail_lists::Migration),
            Box::new(m0016_retention::Migration),
            Box::new(m0017_user_filter_indexes::Migration),
            Box::new(m0018_imported_ids::Migration),
            Box::new(m0020_email_undos::Migration),
            Box::new(m0021_former_usernames::Migration),
            Box::new(m0022_registration_secret::Migration),
            Box::new(m0024_api_token_expiry::Migration),
            Box::new(m0025_known_networks::Migration),
            Box::new(m0026_instance_and_key_notice::Migration),
            Box::new(m0027_temporary_password::Migration),
            Box::new(m0028_mail_recipient_index::Migration),
            Box::new(m0029_email_proof::Migration),
            Box::new(m0030_search_index_secure_delete::Migration),
            Box::new(m0034_address_key_form::Migration),
            Box::new(m0035_leases::Migration),
            Box::new(m0036_sent_forms::Migration),
            Box::new(m0037_mail_order::Migration),
            Box::new(m0038_audit_reasons::Migration),
            Box::new(m0039_staff_set_passwords::Migration),
            Box::new(m0040_session_proof_time::Migration),
            Box::new(m0041_second_factors::Migration),
            Box::new(m0042_passkeys::Migration),
            Box::new(m0043_imported_factors::Migration),
            Box::new(m0044_known_devices::Migration),
            Box::new(m0049_import_jobs::Migration),
            Box::new(m0050_search_terms::Migration),
            Box::new(m0051_audit_ip_index::Migration),
        ]
    }
}
