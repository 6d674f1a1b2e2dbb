//! Requirements on the configured database, and the errors if they are not met.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use test_macros::{both_databases, postgres_only, sqlite_only};

use sea_orm::{ConnectionTrait as _, Database, Statement};
use serde_json::json;
use vestibule::database::Options;

use crate::process::{Serving, command, run};
use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::{Place, postgres_url};

fn is_sqlite(place: &Place) -> bool {
    place.database_url.starts_with("sqlite")
}

/// Error line of a command that must fail.
fn refused(mut command: std::process::Command, url: &str, arguments: &[&str]) -> String {
    command.env("VESTIBULE_DATABASE_URL", url);
    let (success, _, errors) = run(command, arguments, "");
    assert!(!success, "{arguments:?}");
    let lines: Vec<&str> = errors.lines().filter(|line| line.starts_with("vestibule: ")).collect();
    assert_eq!(lines.len(), 1, "{errors}");
    lines[0].to_owned()
}

/// Findings of the doctor about the database.
fn examined(place: &Place, url: &str) -> String {
    let mut command = command(place);
    command.env("VESTIBULE_DATABASE_URL", url);
    let (_, printed, _) = run(command, &["doctor", "--time", "2ms"], "");
    printed
}

async fn administer(statement: &str) {
    let server = Database::connect(postgres_url().unwrap()).await.unwrap();
    server.execute_unprepared(statement).await.unwrap();
    server.close().await.unwrap();
}

#[postgres_only]
async fn a_database_that_is_not_utf8_is_refused(place: Place) {
    let url = format!("{}_2", place.database_url);
    let (_, name) = url.rsplit_once('/').unwrap();
    administer(&format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")).await;
    for arguments in [["serve"], ["migrate"]] {
        let line = refused(command(&place), &url, &arguments);
        assert!(line.contains(&format!("the database {name} has the encoding LATIN1, ")), "{line}");
        let owner = url::Url::parse(&url).unwrap().username().to_owned();
        let command = format!("createdb --encoding=UTF8 --template=template0 --owner={owner} NAME");
        assert!(line.contains(&command), "{line}");
    }
    let printed = examined(&place, &url);
    assert!(printed.contains(&format!("FAIL  database  the database {name} has the encoding LATIN1, ")), "{printed}");
    let db = Database::connect(&url).await.unwrap();
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), tables)).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 0, "nothing was made");
}

#[postgres_only]
async fn searching_works_where_its_extension_is_in_another_schema(place: Place) {
    let url = place.second_database().await;
    let db = Database::connect(&url).await.unwrap();
    db.execute_unprepared("CREATE SCHEMA \"Of others\"; CREATE EXTENSION pg_trgm SCHEMA \"Of others\"").await.unwrap();
    db.close().await.unwrap();
    let there = Place { database_url: url, folder: place.folder.clone() };
    let app = TestApp::start(&there).await;
    app.add_user("lovelace").await;
    let staff = app.admin().await;
    let found = staff.data("{ users(search: \"velac\") { nodes { username } } }", json!({})).await;
    assert_eq!(found["users"]["nodes"][0]["username"], "lovelace");
}

#[postgres_only]
async fn a_missing_extension_is_reported_with_the_command_that_creates_it(place: Place) {
    let url = place.second_database().await;
    let (_, name) = url.rsplit_once('/').unwrap();
    let role = format!("r_{name}");
    administer(&format!("CREATE ROLE {role} LOGIN PASSWORD 'of-a-test'")).await;
    let mut as_role = url::Url::parse(&url).unwrap();
    as_role.set_username(&role).unwrap();
    as_role.set_password(Some("of-a-test")).unwrap();
    let as_role = as_role.to_string();
    let line = refused(command(&place), &as_role, &["migrate"]);
    assert!(line.contains(&format!("as a superuser: psql {name} -c 'CREATE EXTENSION pg_trgm'")), "{line}");
    assert!(examined(&place, &as_role).contains("FAIL  database  the extension pg_trgm"));
    administer(&format!("DROP ROLE {role}")).await;
}

#[sqlite_only]
async fn a_data_folder_may_have_any_name(place: Place) {
    for name in ["a b: c", "what?", "100%", "%41#1", "ünï&x=1"] {
        let folder = place.folder.join(name);
        let here = || {
            let mut command = command(&place);
            command.env_remove("VESTIBULE_DATABASE_URL").env("VESTIBULE_DATA_DIR", &folder);
            command
        };
        let mut first = here();
        first.env("VESTIBULE_ADMIN_PASSWORD", "a rather long phrase of mine");
        let serving = Serving::start(first);
        Client::new(&serving.url).sign_in("admin", "a rather long phrase of mine").await;
        serving.stop();
        assert!(folder.join("vestibule.db").is_file() && folder.join("secret.key").is_file());
        let (success, printed, errors) = run(here(), &["users", "list"], "");
        assert!(success && printed.ends_with("1 of 1\n"), "{errors}");
        let copy = folder.join("backup.db");
        let (success, _, errors) = run(here(), &["backup", copy.to_str().unwrap()], "");
        assert!(success && copy.is_file(), "{errors}");
        let (_, printed, _) = run(here(), &["doctor", "--time", "2ms"], "");
        assert!(printed.contains("ok    database  no pending migrations"), "{printed}");
    }
    let mut entries: Vec<_> = fs::read_dir(&place.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    entries.sort();
    assert_eq!(entries.len(), 5, "no folder has another name: {entries:?}");
}

const SECRET: &str = "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W";

/// The command line of a user with read access only, even if the tests run as root.
fn as_reader(place: &Place, file: &Path) -> std::process::Command {
    let rights = |mode| Permissions::from_mode(mode);
    fs::set_permissions(file, rights(0o444)).unwrap();
    fs::set_permissions(&place.folder, rights(0o777)).unwrap();
    let mut command = command(place);
    command.env("VESTIBULE_SECRET_KEY", SECRET).env("VESTIBULE_DATA_DIR", &place.folder);
    if fs::metadata(file).unwrap().uid() == 0 {
        command.uid(65534);
    }
    command
}

#[both_databases]
async fn an_unusable_database_is_reported_in_one_line(place: Place) {
    let mut first = command(&place);
    first.env("VESTIBULE_SECRET_KEY", SECRET);
    assert!(run(first, &["migrate"], "").0);
    if is_sqlite(&place) {
        let file = place.folder.join("test.db");
        let db = Database::connect(&place.database_url).await.unwrap();
        db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
        db.close().await.unwrap();
        let create = ["create-superuser", "--email", "a@example.com"];
        let line = refused(as_reader(&place, &file), &place.database_url, &create);
        assert!(line.contains("the file is read-only. Check the permissions of the file"), "{line}");
        let other = place.folder.join("other.db");
        fs::write(&other, "this is no database, but a file of some length, so that it is looked at").unwrap();
        let line = refused(command(&place), &format!("sqlite://{}", other.display()), &["migrate"]);
        assert!(line.contains("the file is not an SQLite database"), "{line}");
        return;
    }
    let (server, name) = place.database_url.rsplit_once('/').unwrap();
    let line = refused(command(&place), &format!("{server}/nowhere_at_all"), &["serve"]);
    assert!(line.contains("\"nowhere_at_all\" does not exist (3D000). Create it: createdb"), "{line}");
    for arguments in [["serve"].as_slice(), &["users", "list"], &["backup", "x.db"]] {
        let line = refused(command(&place), "postgres://u:geheim@127.0.0.1:1/d", arguments);
        assert_eq!(
            line,
            "vestibule: VESTIBULE_DATABASE_URL: no server listens there. See that it runs, and the host and port of the \
             address"
        );
    }
    let line = refused(command(&place), "postgres://u@/d?host=/nowhere", &["serve"]);
    assert!(line.contains("there is no server socket there"), "{line}");
    administer(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let mut create = command(&place);
    create.env("VESTIBULE_SECRET_KEY", SECRET);
    let line = refused(create, &place.database_url, &["create-superuser", "--email", "a@example.com"]);
    assert!(line.contains("the database is read-only: ALTER DATABASE"), "{line}");
    administer(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
}

#[both_databases]
async fn an_empty_variable_counts_as_not_set(place: Place) {
    let mut empty = command(&place);
    for name in ["VESTIBULE_CONFIG", "VESTIBULE_DATA_DIR", "VESTIBULE_PUBLIC_URL", "VESTIBULE_TRUSTED_PROXIES"] {
        empty.env(name, "");
    }
    for name in ["VESTIBULE_ARGON2", "VESTIBULE_REFRESH_TTL", "VESTIBULE_OTLP_ENDPOINT", "VESTIBULE_LIMITS"] {
        empty.env(name, "");
    }
    let (success, _, errors) = run(empty, &["migrate"], "");
    assert!(success, "{errors}");
    assert!(place.folder.join("data/secret.key").is_file());
    // Without a secret, or with another database, unwanted files would be created.
    for name in ["VESTIBULE_SECRET_KEY", "VESTIBULE_DATABASE_URL", "VESTIBULE_MAIL_URL_FILE"] {
        let mut empty = command(&place);
        empty.env(name, "");
        let (success, _, errors) = run(empty, &["migrate"], "");
        assert!(!success);
        assert_eq!(errors, format!("vestibule: {name} is empty. Set or remove it\n"));
    }
}

#[both_databases]
async fn blanks_and_empty_lists_are_read(place: Place) {
    fs::create_dir(place.folder.join("data")).unwrap();
    let file = "otlp_sample = 0.1\ntrusted_proxies = []\nallowed_origins = []\nlimits = true\ndatabase_readers = 3";
    fs::write(place.folder.join("data/vestibule.toml"), file).unwrap();
    let mut spaced = command(&place);
    spaced.env("VESTIBULE_TRUSTED_PROXIES", "10.0.0.0/8, 192.168.0.0/16 ,::1");
    spaced.env("VESTIBULE_ALLOWED_ORIGINS", "https://a.example , https://b.example");
    for command in [spaced, command(&place)] {
        let (success, _, errors) = run(command, &["migrate"], "");
        assert!(success, "{errors}");
    }
}

#[both_databases]
async fn commands_leave_a_database_of_an_older_version_alone(place: Place) {
    let app = TestApp::start(&place).await;
    let newest = "SELECT max(version) FROM seaql_migrations";
    let db = Database::connect(&place.database_url).await.unwrap();
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), newest)).await.unwrap().unwrap();
    let newest: String = row.try_get_by_index(0).unwrap();
    db.execute_unprepared(&format!("DELETE FROM seaql_migrations WHERE version = '{newest}'")).await.unwrap();
    let sheet = place.folder.join("people.csv");
    fs::write(&sheet, "email\nada@example.com\n").unwrap();
    let sheet = sheet.to_str().unwrap();
    let beside = || {
        let mut command = command(&place);
        command.env("VESTIBULE_DATA_DIR", &place.folder);
        command
    };
    for arguments in [
        ["create-superuser", "--email", "root@example.com"].as_slice(),
        &["import", "users", sheet],
        &["import", "users", sheet, "--dry-run"],
        &["import", "django", sheet],
        &["keys", "rotate"],
        &["keys", "reseal"],
        &["users", "list"],
        &["sessions", "revoke", "--all"],
    ] {
        if arguments[1] == "django" {
            // A dump requires more columns.
            fs::write(sheet, "id,username,email,first_name,last_name,password,is_active,is_staff,is_superuser,last_login,date_joined\n").unwrap();
        }
        let line = refused(beside(), &place.database_url, arguments);
        assert!(line.starts_with("vestibule: the database has pending migrations: back it up"), "{arguments:?} {line}");
    }
    let left = "SELECT count(*) FROM seaql_migrations WHERE version";
    let left = Statement::from_string(db.get_database_backend(), format!("{left} = '{newest}'"));
    let row = db.query_one_raw(left).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 0, "nothing was migrated");
    drop(app);
    // An empty database is created.
    let empty = place.second_database().await;
    let mut fresh = command(&place);
    fresh.env("VESTIBULE_DATABASE_URL", empty);
    let (success, _, errors) = run(fresh, &["create-superuser", "--email", "root@example.com"], "");
    assert!(success, "{errors}");
}

#[both_databases]
async fn more_connections_are_opened_by_settings(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.database.database_readers = 3;
        config.database.database_writers = 7;
    });
    let most: Vec<(&str, u32)> = app.await.app.db.pools().iter().map(|pool| (pool.name, pool.most)).collect();
    let expected = if is_sqlite(&place) { [("read", 4), ("write", 1)] } else { [("read", 3), ("write", 7)] };
    assert_eq!(most, expected);
}

#[both_databases]
async fn a_database_that_becomes_read_only_shows_in_readiness_and_doctor(place: Place) {
    if is_sqlite(&place) {
        let file = place.folder.join("test.db");
        assert!(run(command(&place), &["migrate"], "").0);
        let mut reader = as_reader(&place, &file);
        reader.env("VESTIBULE_DATABASE_URL", &place.database_url);
        let (_, printed, _) = run(reader, &["doctor", "--quick"], "");
        assert!(printed.contains("FAIL  database  the file is read-only"), "{printed}");
        return;
    }
    let app = TestApp::start(&place).await;
    assert_eq!(app.anyone().get("/readyz").await.status, 200);
    let (_, name) = place.database_url.rsplit_once('/').unwrap();
    administer(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    administer(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await;
    let connections = Options::default();
    let mut ready = app.anyone().get("/readyz").await;
    // Each lost connection fails once.
    for _ in 0..connections.readers + connections.writers {
        if ready.body.as_str().is_some_and(|body| body.contains("read-only")) {
            break;
        }
        ready = app.anyone().get("/readyz").await;
    }
    assert_eq!(ready.status, 503);
    assert!(ready.body.as_str().is_some_and(|body| body.contains("read-only")), "{}", ready.body);
    assert!(examined(&place, &place.database_url).contains("FAIL  database  the database is read-only"));
    administer(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
}

#[postgres_only]
async fn an_extension_in_a_schema_without_the_right_to_it_is_reported(place: Place) {
    let url = place.second_database().await;
    let (_, name) = url.rsplit_once('/').unwrap();
    let role = format!("r_{name}");
    let db = Database::connect(&url).await.unwrap();
    for statement in
        ["CREATE SCHEMA ext", "CREATE EXTENSION pg_trgm SCHEMA ext", "GRANT ALL ON SCHEMA public TO public"]
    {
        db.execute_unprepared(statement).await.unwrap();
    }
    db.close().await.unwrap();
    administer(&format!("CREATE ROLE {role} LOGIN PASSWORD 'of-a-test'")).await;
    let mut as_role = url::Url::parse(&url).unwrap();
    as_role.set_username(&role).unwrap();
    as_role.set_password(Some("of-a-test")).unwrap();
    let told = format!("as a superuser: GRANT USAGE ON SCHEMA ext TO {role}");
    let line = refused(command(&place), as_role.as_str(), &["migrate"]);
    assert!(line.contains(&told), "{line}");
    assert!(examined(&place, as_role.as_str()).contains(&told));
    administer(&format!("DROP ROLE {role}")).await;
}
