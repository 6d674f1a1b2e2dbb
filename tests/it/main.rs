//! The service as its clients meet it: every test here starts the real router on a fresh database, and runs on SQLite
//! and, where `VESTIBULE_TEST_POSTGRES_URL` names a server, on PostgreSQL as well.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may end at once and say why")]

mod app;
mod client;
mod engine;
mod furnished;
mod socket;

use libtest_mimic::{Arguments, Conclusion, Trial};

/// Lists the tests of a file; one that is forgotten here is dead code, which the compiler tells.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn all() -> Vec<crate::engine::Test> {
            vec![$(crate::engine::Test::new(concat!(module_path!(), "::", stringify!($name)), |place| Box::pin($name(place)))),*]
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
mod changing;
mod cloud;
mod copy;
mod database;
mod doctor;
mod endpoint;
mod examples;
mod exports;
mod faults;
mod federation;
mod finding;
mod foreign_bytes;
mod forgeries;
mod former_usernames;
mod graphiql;
mod hijacking;
mod hostile_sheets;
mod identity;
mod import;
mod limits;
mod links;
mod listening;
mod live;
mod loaders;
mod mail;
mod metrics;
mod moving;
mod mutations;
mod networks;
mod night;
mod outbox_order;
mod pages;
mod parity;
mod passwords;
mod plans;
mod process;
mod refresh_model;
mod refused_rights;
mod registration;
mod recovery;
mod retention;
mod revocation;
mod rights;
mod scalars;
mod schema;
mod second_click;
mod secrets;
mod security;
mod servers;
mod sessions;
mod settings;
mod sign_in_help;
mod signing_keys;
mod silence;
mod stale_rights;
mod temporary_passwords;
mod text_forms;
mod upgrade;
mod trust;
mod undo_email_change;
mod uploads;
mod usernames;
mod users;
mod wire;

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
        changing::all(),
        cloud::all(),
        copy::all(),
        database::all(),
        doctor::all(),
        endpoint::all(),
        examples::all(),
        exports::all(),
        faults::all(),
        federation::all(),
        finding::all(),
        foreign_bytes::all(),
        forgeries::all(),
        former_usernames::all(),
        graphiql::all(),
        hijacking::all(),
        hostile_sheets::all(),
        identity::all(),
        import::all(),
        limits::all(),
        links::all(),
        listening::all(),
        live::all(),
        loaders::all(),
        mail::all(),
        metrics::all(),
        moving::all(),
        networks::all(),
        night::all(),
        outbox_order::all(),
        pages::all(),
        parity::all(),
        passwords::all(),
        plans::all(),
        process::all(),
        refresh_model::all(),
        refused_rights::all(),
        registration::all(),
        recovery::all(),
        retention::all(),
        revocation::all(),
        rights::all(),
        scalars::all(),
        second_click::all(),
        secrets::all(),
        servers::all(),
        sessions::all(),
        sign_in_help::all(),
        signing_keys::all(),
        silence::all(),
        stale_rights::all(),
        temporary_passwords::all(),
        text_forms::all(),
        upgrade::all(),
        trust::all(),
        undo_email_change::all(),
        uploads::all(),
        usernames::all(),
        users::all(),
        wire::all(),
    ]
    .concat();
    let mut trials: Vec<Trial> = tests.iter().flat_map(engine::Test::trials).collect();
    trials.extend(architecture::trials());
    trials.extend(mutations::trials());
    trials.extend(schema::trials());
    trials.extend(settings::trials());
    trials.extend(upgrade::trials());
    let names: Vec<String> = tests.iter().map(|test| test.name().to_owned()).collect();
    trials.extend(security::trials(names));
    let conclusion: Conclusion = libtest_mimic::run(&arguments, trials);
    if let Err(failure) = engine::clean_up() {
        println!("what the tests shared could not be dropped: {}", failure.message().unwrap_or_default());
    }
    if engine::postgres_url().is_none() {
        println!("PostgreSQL was left out: set VESTIBULE_TEST_POSTGRES_URL to a server to test on it as well\n");
    }
    conclusion.exit_code()
}
