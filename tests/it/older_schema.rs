//! Commands on a database with pending migrations: each says so, fails, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Output};
use test_macros::both_databases;

use sea_orm::{ConnectionTrait, Database, DatabaseBackend, EntityTrait as _, Statement};
use serde_json::json;
use vestibule::entity::{api_token, mail, session, signing_key};

use crate::api_tokens::make;
use crate::cli_admin::beside;
use crate::copy::schema;
use crate::operator_trail::commands;
use crate::test_app::TestApp;
use crate::test_database::Place;

/// Commands that need no database.
const WITHOUT_DATABASE: [&str; 5] = ["breached-passwords-build", "completions", "config-show", "man", "schema-diff"];

/// Commands that migrate the database.
const MIGRATING: [&str; 2] = ["migrate", "serve"];

/// Commands that read the database as it is.
const READING: [&str; 3] = ["backup", "copy", "doctor"];

/// Rows of all tables as text.
async fn contents(db: &impl ConnectionTrait) -> BTreeMap<String, Vec<String>> {
    let backend = db.get_database_backend();
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in schema(db).await {
        columns.entry(table).or_default().push(format!("quote(\"{column}\")"));
    }
    columns.insert("leases".to_owned(), vec!["quote(name)".to_owned()]);
    columns.insert("seaql_migrations".to_owned(), vec!["quote(version)".to_owned()]);
    let mut contents = BTreeMap::new();
    for (table, columns) in columns {
        let sql = match backend {
            DatabaseBackend::Sqlite => format!("SELECT {} FROM \"{table}\"", columns.join(" || '|' || ")),
            _ => format!("SELECT \"{table}\"::text FROM \"{table}\""),
        };
        let rows = db.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
        let mut rows: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        rows.sort();
        contents.insert(table, rows);
    }
    contents
}

/// Names of the files in the folder of the test.
fn files(place: &Place) -> BTreeSet<String> {
    let files = fs::read_dir(&place.folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    // The write-ahead log of SQLite appears and disappears.
    files.filter(|name| !name.starts_with("test.db")).collect()
}

fn output(mut command: Command, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A service with a user, an API token and a waiting mail, on a database that lacks the newest migration.
async fn outdated(place: &Place) -> TestApp {
    let app = TestApp::start(place).await;
    let ada = app.add_user("ada").await;
    make(&ada.sign_in(&app).await, &["READ"]).await;
    let reset = "mutation { requestReset(input: { email: \"ada@example.com\" }) { success } }";
    app.anyone().data(reset, json!({})).await;
    let newest = "SELECT version FROM seaql_migrations ORDER BY version DESC LIMIT 1";
    let forget = format!("DELETE FROM seaql_migrations WHERE version = ({newest})");
    app.db().execute_unprepared(&forget).await.unwrap();
    app
}

/// A command, and its arguments.
type Case<'a> = (&'a [&'a str], &'a [&'a str]);

/// Writes a sheet and an export of Django, which would change users, and returns their paths.
fn imports(place: &Place) -> [String; 2] {
    let heading =
        "id,username,email,password,first_name,last_name,is_active,is_staff,is_superuser,date_joined,last_login";
    let row = "1,ann,ann@example.com,!,,,t,f,f,2020-02-03 04:05:06+00,";
    let export = format!("{heading}\n{row}\n");
    let sheet = "email,role\nnew@example.com,\nada@example.com,ADMIN\n".to_owned();
    [("people.csv", sheet), ("django.csv", export)].map(|(name, text)| {
        fs::write(place.folder.join(name), text).unwrap();
        place.folder.join(name).display().to_string()
    })
}

#[both_databases]
async fn every_command_refuses_a_database_of_an_older_version(place: Place) {
    let app = outdated(&place).await;
    let session = &*session::Entity::find().one(app.db()).await.unwrap().unwrap().id.to_string();
    let token = &*api_token::Entity::find().one(app.db()).await.unwrap().unwrap().id.to_string();
    let mail = &*mail::Entity::find().one(app.db()).await.unwrap().unwrap().id.to_string();
    let key = &*signing_key::Entity::find().one(app.db()).await.unwrap().unwrap().kid;
    let [sheet, export] = &imports(&place);
    // Each would do something on a database of this version.
    let cases: [Case<'_>; 33] = [
        (&["api-tokens", "list"], &[]),
        (&["api-tokens", "revoke"], &[token]),
        (&["api-tokens", "revoke"], &["--all"]),
        (&["audit", "list"], &[]),
        (&["create-superuser"], &["--email", "root@example.com"]),
        (&["create-superuser"], &["--email", "ada@example.com", "--promote"]),
        (&["import", "django"], &[export]),
        (&["import", "django"], &[export, "--dry-run"]),
        (&["import", "users"], &[sheet]),
        (&["import", "users"], &[sheet, "--dry-run"]),
        (&["keys", "list"], &[]),
        (&["keys", "reseal"], &[]),
        (&["keys", "reset"], &["--lost-secret"]),
        (&["keys", "revoke"], &[key]),
        (&["keys", "rotate"], &["--now"]),
        (&["limits", "lift"], &["--user", "ada"]),
        (&["limits", "show"], &["--client", "127.0.0.1"]),
        (&["mail", "cancel"], &["--kind", "RESET_PASSWORD"]),
        (&["mail", "hold"], &["--kind", "RESET_PASSWORD"]),
        (&["mail", "list"], &[]),
        (&["mail", "release"], &["--kind", "RESET_PASSWORD"]),
        (&["mail", "retry"], &["--all"]),
        (&["mail", "show"], &[mail]),
        (&["sessions", "end"], &[session]),
        (&["sessions", "list"], &["ada"]),
        (&["sessions", "revoke"], &["--all", "--api-tokens"]),
        (&["users", "disable"], &["ada"]),
        (&["users", "enable"], &["ada"]),
        (&["users", "list"], &[]),
        (&["users", "reset"], &["ada"]),
        (&["users", "reset-factors"], &["ada"]),
        (&["users", "show"], &["ada"]),
        (&["users", "why"], &["ada"]),
    ];
    let expected = "vestibule: the database has pending migrations: back it up, then run `vestibule migrate`. Instances \
                    of the older version will then fail\n";
    let (rows, found) = (contents(app.db()).await, files(&place));
    for (command, arguments) in cases {
        let arguments = [command, arguments].concat();
        let (code, printed, errors) = output(beside(&place), &arguments);
        assert_eq!((code, printed.as_str(), errors.as_str()), (Some(1), "", expected), "{arguments:?}");
        assert_eq!((contents(app.db()).await, files(&place)), (rows.clone(), found.clone()), "{arguments:?}");
    }
    let tried = cases.iter().map(|(command, _)| command.join("-"));
    let others = WITHOUT_DATABASE.into_iter().chain(MIGRATING).chain(READING).map(str::to_owned);
    assert_eq!(commands(&place), tried.chain(others).collect(), "every command is tried, or is in one of the lists");
}

#[both_databases]
async fn commands_without_a_database_do_not_mind_an_older_one(place: Place) {
    let app = outdated(&place).await;
    let rows = contents(app.db()).await;
    for arguments in [["config", "show"].as_slice(), &["schema"], &["completions", "bash"], &["man"]] {
        let (code, printed, errors) = output(beside(&place), arguments);
        assert!(code == Some(0) && !printed.is_empty(), "{arguments:?}: {errors}");
        assert_eq!(contents(app.db()).await, rows, "{arguments:?}");
    }
}

#[both_databases]
async fn an_older_database_is_examined_and_neither_copied_nor_migrated(place: Place) {
    let app = outdated(&place).await;
    let rows = contents(app.db()).await;
    let (code, printed, _) = output(beside(&place), &["doctor", "--quick"]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("1 pending migration") && printed.contains("vestibule migrate"), "{printed}");
    // A copy would have the schema of this version.
    let target = format!("sqlite://{}", place.folder.join("copy.db").display());
    let (code, printed, errors) = output(beside(&place), &["copy", "--to", &target, "--while-running"]);
    let expected = "vestibule: the source is not up to date. Run `vestibule migrate` on it first\n";
    assert_eq!((code, printed.as_str(), errors.as_str()), (Some(1), "", expected));

    let backup = place.folder.join("backup.db");
    let (code, printed, errors) = output(beside(&place), &["backup", backup.to_str().unwrap()]);
    if place.database_url.starts_with("sqlite:") {
        assert_eq!(code, Some(0), "{errors}");
        assert!(printed.starts_with("backup written to "), "{printed}");
        let copy = Database::connect(format!("sqlite://{}", backup.display())).await.unwrap();
        assert_eq!(contents(&copy).await, rows);
    } else {
        // A backup of PostgreSQL is a copy.
        assert_eq!((code, printed.as_str(), errors.as_str()), (Some(1), "", expected));
        assert!(!backup.exists());
    }
    assert_eq!(contents(app.db()).await, rows);
}
