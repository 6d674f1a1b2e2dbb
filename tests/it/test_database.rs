//! Where a test runs: a fresh SQLite file, or a fresh database of a PostgreSQL server.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Mutex;

use libtest_mimic::{Failed, Trial};
use sea_orm::{ConnectionTrait as _, Database};
use tempfile::TempDir;
use vestibule::database::{Db, Options};
use vestibule::tools::clock::Clock;

/// A test as a function of the place where it runs.
type Run = fn(Place) -> Pin<Box<dyn Future<Output = ()>>>;

/// A test, which runs on each database.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    name: &'static str,
    run: Run,
}

/// A fresh database and folder, for one test alone.
#[derive(Clone)]
pub(crate) struct Place {
    /// The setting `VESTIBULE_DATABASE_URL`.
    pub(crate) database_url: String,
    /// The setting `VESTIBULE_DATA_DIR`.
    pub(crate) folder: PathBuf,
}

impl Place {
    /// An empty database of the same kind, which goes away with the place; there is one at most.
    pub(crate) async fn second_database(&self) -> String {
        if self.database_url.starts_with("sqlite") {
            return format!("sqlite://{}", self.folder.join("second.db").display());
        }
        let url = second(&self.database_url);
        let (_, name) = url.rsplit_once('/').expect("the address names a database");
        let server = Database::connect(postgres_url().unwrap_or_default()).await.expect("the server answers");
        server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("its user may create databases");
        server.close().await.expect("the server is left alone");
        url
    }
}

/// The name of the second database of a place.
fn second(name: &str) -> String {
    format!("{name}_2")
}

impl Test {
    pub(crate) fn new(path: &'static str, run: Run) -> Self {
        Self { name: path.trim_start_matches("it::"), run }
    }

    /// Its module and function.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The test on SQLite, and on PostgreSQL: shown as ignored where there is no server to run it on.
    pub(crate) fn trials(&self) -> [Trial; 2] {
        let Self { name, run } = *self;
        let server = postgres_url();
        let left_out = server.is_none();
        [
            Trial::test(format!("sqlite::{name}"), move || on_sqlite(run)),
            Trial::test(format!("postgres::{name}"), move || on_postgres(&server.unwrap_or_default(), run))
                .with_ignored_flag(left_out),
        ]
    }
}

/// The PostgreSQL server to test on; its user must be allowed to create databases.
pub(crate) fn postgres_url() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the service")]
    std::env::var("VESTIBULE_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty())
}

fn on_sqlite(run: Run) -> Result<(), Failed> {
    let folder = TempDir::new()?;
    let database_url = format!("sqlite://{}", folder.path().join("test.db").display());
    block_on(run(Place { database_url, folder: folder.path().to_owned() }))
}

fn on_postgres(server: &str, run: Run) -> Result<(), Failed> {
    let folder = TempDir::new()?;
    let name = format!("vestibule_test_{}", Clock::System.now().id().simple());
    let (base, _) = server.rsplit_once('/').ok_or("VESTIBULE_TEST_POSTGRES_URL must be postgres://host/database")?;
    let template = template(base, server)?;
    administer(server, format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
    let place = Place { database_url: format!("{base}/{name}"), folder: folder.path().to_owned() };
    let outcome = std::panic::catch_unwind(|| block_on(run(place)));
    administer(server, format!("DROP DATABASE {name} WITH (FORCE)"))?;
    administer(server, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", second(&name)))?;
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Drops what the tests share, once they are over.
pub(crate) fn clean_up() -> Result<(), Failed> {
    match (postgres_url(), TEMPLATE.lock()?.take()) {
        (Some(server), Some(name)) => administer(&server, format!("DROP DATABASE {name}")),
        _ => Ok(()),
    }
}

fn administer(server: &str, statement: String) -> Result<(), Failed> {
    block_on(async move {
        let server = Database::connect(server).await.expect("the PostgreSQL server answers");
        server.execute_unprepared(&statement).await.expect("its user may create databases");
    })
}

static TEMPLATE: Mutex<Option<String>> = Mutex::new(None);

/// The name of a database that every test's is a copy of: copying costs less than running all migrations.
fn template(base: &str, server: &str) -> Result<String, Failed> {
    let mut known = TEMPLATE.lock()?;
    if let Some(name) = known.as_ref() {
        return Ok(name.clone());
    }
    let name = format!("vestibule_template_{}", Clock::System.now().id().simple());
    administer(server, format!("CREATE DATABASE {name}"))?;
    let url = format!("{base}/{name}").parse()?;
    block_on(async move {
        let db = Db::connect(&url, &Options::default()).await.expect("the template can be reached");
        let txn = db.begin_alone().await.expect("nobody else uses the template");
        Db::migrate(&txn).await.expect("the migrations run");
        txn.commit().await.expect("the migrations hold");
        db.close().await.expect("the template is left alone");
    })?;
    Ok(known.insert(name).clone())
}

fn block_on(future: impl Future<Output = ()>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(future);
    Ok(())
}
