//! Upgrades: databases of each release in `tests/fixtures`, with rows of every kind, work with this version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use test_macros::both_databases;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, Database, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;
use vestibule::config::Config;
use vestibule::entity::user;
use vestibule::tools::token::RefreshToken;

use crate::copy::schema;
use crate::fixture::{Furnished, furnish};
use crate::test_app::TestApp;
use crate::test_database::Place;

/// Secret that sealed the rows; it protects nothing else.
const SECRET: &str = "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W";

/// Issuer of the tokens.
const PUBLIC_URL: &str = "http://id.example.com";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Directories of the releases with databases.
fn releases() -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
    let mut releases: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    releases.sort();
    releases
}

fn as_then(config: &mut Config) {
    config.secret_key = Some(SECRET.parse().unwrap());
    config.public_url = Some(PUBLIC_URL.parse().unwrap());
}

fn is_sqlite(place: &Place) -> bool {
    place.database_url.starts_with("sqlite")
}

fn dump_of(place: &Place) -> &'static str {
    if is_sqlite(place) { "sqlite.sql" } else { "postgres.sql" }
}

fn tokens_of(place: &Place) -> &'static str {
    if is_sqlite(place) { "sqlite.json" } else { "postgres.json" }
}

#[both_databases]
async fn a_database_of_each_release_is_migrated_and_works(place: Place) {
    let fresh = TestApp::start(&place).await;
    let present = schema(fresh.db()).await;
    let releases = releases();
    assert!(!releases.is_empty());
    for release in releases {
        let url = load(&place, &fs::read_to_string(release.join(dump_of(&place))).unwrap()).await;
        let then = Place { database_url: url.clone(), folder: place.folder.join("then") };
        let app = TestApp::start_with(&then, as_then).await;
        assert!(app.app.db.is_migrated().await.unwrap());
        assert_eq!(schema(app.db()).await, present, "{}", release.display());
        let furnished = fs::read_to_string(release.join(tokens_of(&place))).unwrap();
        let mut furnished = serde_json::from_str::<Furnished>(&furnished).unwrap();
        if release.ends_with("0.1.0") {
            renew(&app, &mut furnished).await;
        }
        furnished.check(&app).await;
        app.app.db.clone().close().await.unwrap();
        unload(&place, &url).await;
    }
}

/// Replaces the refresh token of 0.1.0 with the current one of the same session. Tokens of 0.1.0 name no installation
/// and are refused, because a copy of the database would accept them as well.
async fn renew(app: &TestApp, furnished: &mut Furnished) {
    let mut old = app.anyone();
    furnished.refresh.clone_into(&mut old.refresh);
    assert_eq!(old.refresh().await.unwrap_err(), "INVALID_TOKEN");
    let bytes = URL_SAFE_NO_PAD.decode(&furnished.refresh).unwrap();
    let session = Uuid::from_slice(&bytes[..16]).unwrap();
    let counter = i32::from_be_bytes(bytes[16..20].try_into().unwrap());
    furnished.refresh = RefreshToken { session, counter }.to_text(&app.app.token_issuer().master_keys);
}

/// Creates a database from a dump.
async fn load(place: &Place, dump: &str) -> String {
    let url = place.second_database().await;
    match url.strip_prefix("sqlite://") {
        Some(file) => rusqlite::Connection::open(file).unwrap().execute_batch(dump).unwrap(),
        None => {
            let mut options = sea_orm::ConnectOptions::new(&url);
            options.max_connections(1).sqlx_logging(false);
            let db = Database::connect(options).await.unwrap();
            db.execute_unprepared(dump).await.unwrap();
            db.close().await.unwrap();
        }
    }
    url
}

/// Drops the database.
async fn unload(place: &Place, url: &str) {
    match url.strip_prefix("sqlite://") {
        Some(file) => {
            for end in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(format!("{file}{end}"));
            }
        }
        None => {
            let (_, name) = url.rsplit_once('/').unwrap();
            let db = Database::connect(&place.database_url).await.unwrap();
            db.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
        }
    }
}

#[both_databases]
async fn each_release_has_its_database(place: Place) {
    let changes = include_str!("../../CHANGELOG.md").lines().filter_map(|line| line.strip_prefix("## "));
    // A version gets its database at its release.
    let changes = changes.filter(|heading| !heading.ends_with("unreleased"));
    let versions = changes.map(|heading| heading.trim_matches(['[', ']']).split([' ', ']']).next().unwrap_or_default());
    for version in versions.filter(|version| version.starts_with(|first: char| first.is_ascii_digit())) {
        let dump = fixtures().join(version).join(dump_of(&place));
        assert!(dump.is_file(), "{} is missing: run tests/fixtures/add before a release", dump.display());
    }
}

/// Writes the database of this version; run only by `tests/fixtures/add`.
#[both_databases(ignore = "it writes the fixtures of a release")]
async fn the_database_of_this_version_is_written(place: Place) {
    let app = TestApp::start_with(&place, as_then).await;
    let furnished = furnish(&app).await;
    app.app.db.clone().close().await.unwrap();
    let folder = fixtures().join(env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(&folder).unwrap();
    let mut dump = match place.database_url.strip_prefix("sqlite://") {
        Some(file) => {
            let mut dump = Command::new("sqlite3");
            dump.arg(file).arg(".dump");
            dump
        }
        None => {
            let mut dump = Command::new("pg_dump");
            dump.args(["--no-owner", "--no-privileges", "--inserts", "--dbname", &place.database_url]);
            dump
        }
    };
    let dumped = dump.output().expect("sqlite3 and pg_dump are installed");
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    let text = String::from_utf8(dumped.stdout).unwrap();
    // Commands of pg_dump for psql are no SQL.
    let text: String = text.lines().filter(|line| !line.starts_with('\\')).map(|line| format!("{line}\n")).collect();
    fs::write(folder.join(dump_of(&place)), text).unwrap();
    fs::write(folder.join(tokens_of(&place)), serde_json::to_string_pretty(&furnished).unwrap() + "\n").unwrap();
}

#[both_databases]
async fn addresses_proved_before_the_column_existed_are_known(place: Place) {
    use crate::parity::registration::{VERIFY, register, wanted};
    let app = TestApp::start(&place).await;
    for email in ["registered@example.com", "moved@example.com"] {
        let link = register(&app, wanted(email)).await;
        app.anyone().data(VERIFY, link.variables()).await;
    }
    let reset = app.add_user("reset").await;
    app.add_user("vouched").await;
    let (uid, token) = crate::parity::recovery::reset_link(&app, &reset.email).await;
    let confirm = "mutation($u: ID!, $t: String!) { confirmReset(input: { uid: $u, token: $t,
        newPassword: \"quite a new long phrase\" }) { success } }";
    app.anyone().data(confirm, serde_json::json!({ "u": uid, "t": token })).await;
    app.wait(std::time::Duration::from_secs(1));
    let moved = user::Entity::find().filter(user::Column::Email.eq("moved@example.com")).one(app.db()).await.unwrap();
    let update =
        "mutation($id: ID!) { updateUser(input: { id: $id, email: \"elsewhere@example.com\" }) { errors { code } } }";
    app.admin().await.data(update, serde_json::json!({ "id": moved.unwrap().id })).await;

    for statement in [
        "UPDATE users SET email_proved = FALSE",
        "ALTER TABLE users DROP COLUMN password_by_staff",
        "DELETE FROM seaql_migrations WHERE version = 'm0039_staff_set_passwords'",
    ] {
        app.db().execute_unprepared(statement).await.unwrap();
    }
    let again = app.start_second(&place).await;
    let proved = user::Entity::find().filter(user::Column::EmailProved.eq(true)).order_by_asc(user::Column::Email);
    let proved = proved.all(again.db()).await.unwrap();
    let proved: Vec<&str> = proved.iter().map(|user| user.email.as_str()).collect();
    assert_eq!(proved, ["registered@example.com", "reset@example.com"]);
}
