//! The service as its clients meet it: every test here starts the real router on a fresh database, and runs on SQLite
//! and, where `VESTIBULE_TEST_POSTGRES_URL` names a server, on PostgreSQL as well.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may end at once and say why")]

mod test_app;
mod test_client;
mod test_database;
mod fixture;
mod socket;

use libtest_mimic::{Arguments, Conclusion, Trial};

/// Lists the tests of a file; one that is forgotten here is dead code, which the compiler tells.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn all() -> Vec<crate::test_database::Test> {
            vec![$(crate::test_database::Test::new(concat!(module_path!(), "::", stringify!($name)), |place| Box::pin($name(place)))),*]
        }
    };
}
pub(crate) use tests;

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

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let tests = [
        account::all(),
        api_tokens::all(),
        audit::all(),
        audit_visibility::all(),
        avatars::all(),
        backup::all(),
        base_path::all(),
        user_updates::all(),
        object_store::all(),
        copy::all(),
        database::all(),
        doctor::all(),
        graphql_endpoint::all(),
        examples::all(),
        exports::all(),
        faults::all(),
        federation::all(),
        user_search::all(),
        foreign_headers::all(),
        forged_tokens::all(),
        former_usernames::all(),
        graphiql::all(),
        pre_hijacking::all(),
        hostile_sheets::all(),
        address_identity::all(),
        spreadsheet_import::all(),
        rate_limits::all(),
        mail_links::all(),
        listening::all(),
        presence::all(),
        data_loaders::all(),
        mail::all(),
        metrics::all(),
        django_import::all(),
        client_networks::all(),
        cli_admin::all(),
        outbox_order::all(),
        pages::all(),
        parity::all(),
        passwords::all(),
        query_plans::all(),
        process::all(),
        refresh_model::all(),
        refused_rights::all(),
        registration::all(),
        recovery::all(),
        retention::all(),
        revocation::all(),
        rights::all(),
        scalar_values::all(),
        repeated_forms::all(),
        secrets::all(),
        database_servers::all(),
        sessions::all(),
        sign_in_help::all(),
        signing_keys::all(),
        enumeration::all(),
        stale_rights::all(),
        temporary_passwords::all(),
        text_normalization::all(),
        upgrade::all(),
        certificate_authorities::all(),
        undo_email_change::all(),
        uploads::all(),
        usernames::all(),
        users::all(),
        http_hardening::all(),
    ]
    .concat();
    let mut trials: Vec<Trial> = tests.iter().flat_map(test_database::Test::trials).collect();
    trials.extend(architecture::trials());
    trials.extend(mutations::trials());
    trials.extend(schema::trials());
    trials.extend(settings::trials());
    trials.extend(upgrade::trials());
    let names: Vec<String> = tests.iter().map(|test| test.name().to_owned()).collect();
    trials.extend(security::trials(names));
    let conclusion: Conclusion = libtest_mimic::run(&arguments, trials);
    if let Err(failure) = test_database::clean_up() {
        println!("what the tests shared could not be dropped: {}", failure.message().unwrap_or_default());
    }
    if test_database::postgres_url().is_none() {
        println!("PostgreSQL was left out: set VESTIBULE_TEST_POSTGRES_URL to a server to test on it as well\n");
    }
    conclusion.exit_code()
}
