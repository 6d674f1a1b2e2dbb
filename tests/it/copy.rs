//! `vestibule copy`: copies everything, or nothing.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Command;
use test_macros::both_databases;

use sea_orm::{ConnectionTrait, Database, EntityTrait as _, PaginatorTrait as _, Statement};
use vestibule::database::{Db, Options};
use vestibule::domain::operator::copy;
use vestibule::entity::{audit_event, user};

use crate::fixture::furnish;
use crate::process::{Serving, command, run};
use crate::test_app::TestApp;
use crate::test_database::Place;

/// The command line on this database.
fn on(place: &Place, url: &str) -> Command {
    let mut command = command(place);
    command.env("VESTIBULE_DATABASE_URL", url);
    command
}

fn file(place: &Place, name: &str) -> String {
    format!("sqlite://{}", place.folder.join(name).display())
}

/// Argument for this target: a file with its URL, which may contain a password.
pub(crate) fn to(place: &Place, url: &str) -> String {
    let path = place.folder.join("address-of-target");
    std::fs::write(&path, format!("{url}\n")).unwrap();
    format!("@{}", path.display())
}

/// Copies, and returns the reported tables.
fn copied(place: &Place, from: &str, to: &str) -> Vec<String> {
    let (success, printed, errors) =
        run(on(place, from), &["copy", "--while-running", "--to", &self::to(place, to)], "");
    assert!(success, "{errors}");
    let lines: Vec<String> = printed.lines().map(str::to_owned).collect();
    let (tables, told) = lines.split_at(lines.len() - 2);
    assert!(told[0].ends_with(" rows copied and verified"), "{printed}");
    assert!(told[1].contains("secret") && told[1].contains("media"), "{printed}");
    tables.to_vec()
}

#[both_databases]
async fn everything_is_copied_and_works(place: Place) {
    let app = TestApp::start(&place).await;
    let furnished = furnish(&app).await;
    // From PostgreSQL to SQLite and back, or from SQLite to SQLite and on.
    let (between, last) = (file(&place, "between.db"), place.second_database().await);
    let first = copied(&place, &place.database_url, &between);
    assert_eq!(first.len(), copy::tables().len());
    for line in &first {
        let rows: Vec<&str> = line.split_whitespace().collect();
        assert!(rows[1].parse::<u64>().unwrap() > 0, "nothing was tried of this table: {line}");
    }
    assert_eq!(copied(&place, &between, &last), first, "the digests do not depend on the database");
    let there = Place { database_url: last, folder: place.folder.clone() };
    furnished.check(&app.start_second(&there).await).await;
}

/// Tables of a database with their columns, without internal tables and `leases`, which belong to the source.
pub(crate) async fn schema(db: &impl ConnectionTrait) -> BTreeSet<(String, String)> {
    let sql = match db.get_database_backend() {
        // `table_info` lists the columns that are not generated.
        sea_orm::DatabaseBackend::Sqlite => {
            "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'user_trigram%' AND NOT (t.name = 'users' AND c.name = 'number')"
        }
        _ => {
            "SELECT table_name::text, column_name::text FROM information_schema.columns
             WHERE table_schema = 'public' AND column_name <> 'search_text'"
        }
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    let text = |row: &sea_orm::QueryResult, index| row.try_get_by_index::<String>(index).unwrap();
    let columns = rows.iter().map(|row| (text(row, 0), text(row, 1)));
    columns.filter(|(table, _)| !["seaql_migrations", "leases"].contains(&table.as_str())).collect()
}

#[both_databases]
async fn every_table_and_column_is_copied(place: Place) {
    let app = TestApp::start(&place).await;
    let copied = copy::tables()
        .into_iter()
        .flat_map(|table| table.columns.into_iter().map(move |column| (table.name.to_owned(), column)));
    assert_eq!(copied.collect::<BTreeSet<_>>(), schema(app.db()).await);
}

#[both_databases]
async fn a_copy_that_is_killed_leaves_nothing_and_can_be_begun_again(place: Place) {
    let app = TestApp::start(&place).await;
    furnish(&app).await;
    // The third from last of the tables, large enough that copying takes a while.
    let many = match app.db().get_database_backend() {
        sea_orm::DatabaseBackend::Sqlite => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
             INSERT INTO audit_events (id, action, created_at) SELECT randomblob(16), 'LOGIN', i FROM n"
        }
        _ => {
            "INSERT INTO audit_events (id, action, created_at)
             SELECT gen_random_uuid(), 'LOGIN', i FROM generate_series(1, 30000) i"
        }
    };
    app.db().execute_unprepared(many).await.unwrap();
    let target = place.second_database().await;
    let mut child = on(&place, &place.database_url)
        .args(["copy", "--while-running", "--to", &to(&place, &target)])
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("users "), "{line}");
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "the copy was over before it could be killed");

    // Not even a table was created.
    let db = Database::connect(&target).await.unwrap();
    assert_eq!(schema(&db).await, BTreeSet::new());
    copied(&place, &place.database_url, &target);
    let events = audit_event::Entity::find();
    assert_eq!(events.clone().count(&db).await.unwrap(), events.count(app.db()).await.unwrap());
}

#[both_databases]
async fn a_copy_that_reads_back_differently_is_rolled_back(place: Place) {
    let app = TestApp::start(&place).await;
    furnish(&app).await;
    let url = place.second_database().await;
    let target = Db::connect(&url.parse().unwrap(), &Options::default()).await.unwrap();
    let txn = target.begin_alone().await.unwrap();
    Db::migrate(&txn).await.unwrap();
    let spoil = match txn.get_database_backend() {
        sea_orm::DatabaseBackend::Sqlite => {
            "CREATE TRIGGER spoil AFTER INSERT ON samples BEGIN UPDATE samples SET title = 'x' WHERE id = new.id; END"
        }
        _ => {
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN new.title := 'x'; RETURN new; END $$;
             CREATE TRIGGER spoil BEFORE INSERT ON samples FOR EACH ROW EXECUTE FUNCTION spoil()"
        }
    };
    txn.execute_unprepared(spoil).await.unwrap();
    txn.commit().await.unwrap();
    let (success, _, errors) =
        run(on(&place, &place.database_url), &["copy", "--while-running", "--to", &to(&place, &url)], "");
    assert!(!success);
    assert!(errors.starts_with("vestibule: samples differs after copying: 1 rows written"), "{errors}");
    assert_eq!(user::Entity::find().count(target.reader()).await.unwrap(), 0, "nothing was kept");
}

#[both_databases]
async fn a_target_that_holds_something_is_refused(place: Place) {
    let app = TestApp::start(&place).await;
    let before = user::Entity::find().count(app.db()).await.unwrap();
    let (success, printed, errors) = run(
        on(&place, &place.database_url),
        &["copy", "--while-running", "--to", &to(&place, &place.database_url)],
        "",
    );
    assert!(!success && printed.is_empty());
    let expected = "vestibule: the target is not empty: users contains rows. Choose an empty database\n";
    assert_eq!(errors, expected);
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), before);
}

#[both_databases]
async fn a_missing_or_outdated_source_is_reported(place: Place) {
    let target = file(&place, "target.db");
    let missing = file(&place, "missing.db");
    let (success, _, errors) = run(on(&place, &missing), &["copy", "--to", &to(&place, &target)], "");
    assert!(!success && errors.starts_with("vestibule: no database at "), "{errors}");
    assert!(!place.folder.join("missing.db").exists() && !place.folder.join("target.db").exists());

    let empty = place.second_database().await;
    drop(Database::connect(format!("{empty}{}", if empty.starts_with("sqlite") { "?mode=rwc" } else { "" })).await);
    let (success, _, errors) = run(on(&place, &empty), &["copy", "--to", &to(&place, &target)], "");
    assert!(!success);
    assert_eq!(errors, "vestibule: the source is not up to date. Run `vestibule migrate` on it first\n");
}

#[both_databases]
async fn a_copy_is_one_file(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    copied(&place, &place.database_url, &file(&place, "copy.db"));
    for end in ["-wal", "-shm"] {
        assert!(!place.folder.join(format!("copy.db{end}")).exists(), "{end}");
    }
    std::fs::create_dir(place.folder.join("elsewhere")).unwrap();
    std::fs::rename(place.folder.join("copy.db"), place.folder.join("elsewhere/moved.db")).unwrap();
    let moved = Database::connect(file(&place, "elsewhere/moved.db")).await.unwrap();
    assert_eq!(user::Entity::find().count(&moved).await.unwrap(), 2);
}

#[both_databases]
async fn a_running_service_is_noticed(place: Place) {
    let serving = Serving::start(command(&place));
    let target = to(&place, &file(&place, "copy.db"));
    let (success, _, errors) = run(on(&place, &place.database_url), &["copy", "--to", &target], "");
    assert!(!success && !place.folder.join("copy.db").exists());
    assert!(errors.starts_with("vestibule: the service is running on this database. Stop it first"), "{errors}");
    serving.stop();
    let (success, _, errors) = run(on(&place, &place.database_url), &["copy", "--to", &target], "");
    assert!(success, "{errors}");
}
