//! Databases of tests: a fresh SQLite file, or a fresh database on a PostgreSQL server.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, Database, DatabaseBackend, Statement};
use tempfile::TempDir;
use vestibule::database::{Db, Options};
use vestibule::tools::clock::Clock;
use vestibule::tools::secret;

/// Time limit of a test, so that one that would wait for ever fails with its name.
const LIMIT: Duration = Duration::from_secs(300);

/// A fresh database and folder for a single test.
#[derive(Clone)]
pub(crate) struct Place {
    /// The setting `VESTIBULE_DATABASE_URL`.
    pub(crate) database_url: String,
    /// The setting `VESTIBULE_DATA_DIR`.
    pub(crate) folder: PathBuf,
}

impl Place {
    /// Creates a second, empty database of the same kind, deleted on drop. There is at most one.
    pub(crate) async fn second_database(&self) -> String {
        if self.database_url.starts_with("sqlite") {
            return format!("sqlite://{}", self.folder.join("second.db").display());
        }
        let url = second(&self.database_url);
        let (_, name) = url.rsplit_once('/').expect("the address names a database");
        let server = Database::connect(postgres_url().unwrap_or_default()).await.expect("the server is reachable");
        server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("the user may create databases");
        server.close().await.expect("the connection to the server can be closed");
        url
    }
}

/// Name of the second database.
fn second(name: &str) -> String {
    format!("{name}_2")
}

/// Makes Cargo compile the tests again when the variable changes: without a server, tests of PostgreSQL are ignored.
const _: Option<&str> = option_env!("VESTIBULE_TEST_POSTGRES_URL");

/// URL of the PostgreSQL server for tests; its user must be allowed to create databases.
pub(crate) fn postgres_url() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the service")]
    std::env::var("VESTIBULE_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty())
}

/// Runs a test on a fresh SQLite file.
pub(crate) fn on_sqlite<F: Future<Output = ()>>(test: fn(Place) -> F) {
    let folder = TempDir::new().expect("a folder can be created");
    let database_url = format!("sqlite://{}", folder.path().join("test.db").display());
    block_on(in_time(test(Place { database_url, folder: folder.path().to_owned() })));
}

/// Runs a test on a fresh database of the PostgreSQL server.
pub(crate) fn on_postgres<F: Future<Output = ()>>(test: fn(Place) -> F) {
    let server = postgres_url().expect("VESTIBULE_TEST_POSTGRES_URL is set, as it was when the tests were compiled");
    let folder = TempDir::new().expect("a folder can be created");
    let name = format!("vestibule_test_{}", Clock::System.now().id().simple());
    let (base, _) = server.rsplit_once('/').expect("VESTIBULE_TEST_POSTGRES_URL is postgres://host/database");
    let template = template(base, &server);
    administer(&server, &[format!("CREATE DATABASE {name} TEMPLATE {template}")]);
    let place = Place { database_url: format!("{base}/{name}"), folder: folder.path().to_owned() };
    let outcome = std::panic::catch_unwind(|| block_on(in_time(test(place))));
    let drop = |name: &str| format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    administer(&server, &[drop(&name), drop(&second(&name))]);
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(LIMIT, test).await.expect("the test ends within its time limit");
}

fn administer(server: &str, statements: &[String]) {
    block_on(async move {
        let server = Database::connect(server).await.expect("the PostgreSQL server is reachable");
        for statement in statements {
            server.execute_unprepared(statement).await.expect("the user may create databases");
        }
        server.close().await.expect("the connection to the server can be closed");
    });
}

/// Name of the template database for all tests: copying is cheaper than running all migrations. It depends on the
/// migrations and is kept for later runs. It is created under another name first, so that it is never incomplete.
fn template(base: &str, server: &str) -> &'static str {
    static TEMPLATE: LazyLock<Mutex<Option<&'static str>>> = LazyLock::new(Mutex::default);
    let mut known = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = *known {
        return name;
    }
    let name: &'static str = format!("vestibule_template_{}", digest_of_migrations()).leak();
    if !is_there(server, name) {
        let draft = format!("{name}_{}", Clock::System.now().id().simple());
        administer(server, &[format!("CREATE DATABASE {draft}")]);
        let url = format!("{base}/{draft}").parse().expect("the address is valid");
        block_on(async move {
            let db = Db::connect(&url, &Options::default()).await.expect("the template is reachable");
            let txn = db.begin_alone().await.expect("the template is not in use");
            Db::migrate(&txn).await.expect("the migrations run");
            txn.commit().await.expect("the migrations can be committed");
            db.close().await.expect("the connection to the template can be closed");
        });
        let renamed = std::panic::catch_unwind(|| {
            administer(server, &[format!("ALTER DATABASE {draft} RENAME TO {name}")]);
        });
        if renamed.is_err() {
            assert!(is_there(server, name), "another process made the template meanwhile");
            administer(server, &[format!("DROP DATABASE {draft}")]);
        }
    }
    *known = Some(name);
    name
}

fn is_there(server: &str, database: &str) -> bool {
    let sql = format!("SELECT 1 FROM pg_database WHERE datname = '{database}'");
    let mut found = false;
    block_on(async {
        let server = Database::connect(server).await.expect("the PostgreSQL server is reachable");
        let statement = Statement::from_string(DatabaseBackend::Postgres, sql);
        found = server.query_one_raw(statement).await.expect("the catalog is readable").is_some();
        server.close().await.expect("the connection to the server can be closed");
    });
    found
}

/// Hexadecimal digest of the sources of all migrations.
fn digest_of_migrations() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migration/src");
    let entries = fs::read_dir(folder).expect("the migrations exist").map(|entry| entry.unwrap().path());
    let files: BTreeMap<PathBuf, Vec<u8>> = entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let digest = secret::digest_parts(&files.values().map(Vec::as_slice).collect::<Vec<_>>());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be created").block_on(future);
}
