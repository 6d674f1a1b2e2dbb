//! The service under test: the program on a fresh database.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, QueryResult, Statement};
use tempfile::TempDir;

/// Password of the first superuser.
pub(crate) const PASSWORD: &str = "a rather long phrase of mine";

/// Limit that is never reached, while each check of it still takes its time.
const PLENTY: &str = "1000000/1000s";

/// A running service.
pub(crate) struct Service {
    child: Child,
    /// Listen address as host and port.
    pub(crate) address: String,
    program: String,
    database_url: Option<String>,
    /// The server, and the database to drop at the end.
    database: Option<(String, String)>,
    folder: TempDir,
}

impl Service {
    pub(crate) fn on_sqlite(program: &str) -> Self {
        Self::start(program, None, None)
    }

    pub(crate) fn on_postgres(program: &str, server: &str) -> Self {
        let name = format!("vestibule_silence_{}", std::process::id());
        execute(server, &format!("CREATE DATABASE {name}"));
        let (base, _) = server.rsplit_once('/').expect("the URL names a database");
        Self::start(program, Some(format!("{base}/{name}")), Some((server.to_owned(), name)))
    }

    fn start(program: &str, database_url: Option<String>, database: Option<(String, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = command(program, folder.path(), database_url.as_deref()).spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening =
            lines.map(Result::unwrap).find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned));
        let Some(address) = listening else { panic!("it did not start: {:?}", child.wait()) };
        Self { child, address, program: program.to_owned(), database_url, database, folder }
    }

    /// Creates accounts without passwords by importing this sheet.
    pub(crate) fn import(&self, sheet: &str) {
        let path = self.folder.path().join("people.csv");
        std::fs::File::create(&path).and_then(|mut file| file.write_all(sheet.as_bytes())).unwrap();
        let mut import = command(&self.program, self.folder.path(), self.database_url.as_deref());
        let done = import.args(["import", "users", "people.csv", "--no-welcome"]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Changes rows directly in the database.
    pub(crate) fn execute(&self, statement: &str) {
        execute(&self.url(), statement);
    }

    /// Names and ids returned by a statement.
    pub(crate) fn ids(&self, statement: &str) -> HashMap<String, String> {
        in_database(&self.url(), async |db| {
            let found = db.query_all_raw(Statement::from_string(db.get_database_backend(), statement));
            let found = found.await.expect("the statement is valid");
            let pair = |row: &QueryResult| {
                (row.try_get_by_index(0).unwrap(), row.try_get_by_index::<Uuid>(1).unwrap().to_string())
            };
            found.iter().map(pair).collect()
        })
    }

    fn url(&self) -> String {
        let file = || format!("sqlite://{}", self.folder.path().join("data/vestibule.db").display());
        self.database_url.clone().unwrap_or_else(file)
    }

    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some((server, name)) = self.database.take() {
            execute(&server, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

fn command(program: &str, folder: &Path, database_url: Option<&str>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("VESTIBULE_LISTEN", "127.0.0.1:0").env("VESTIBULE_ADMIN_PASSWORD", PASSWORD);
    command.env("VESTIBULE_LOG", "off").env("VESTIBULE_IDLE_TIMEOUT", "1h");
    for limit in ["MAIL_ADDRESS", "MAIL_CLIENT", "SIGN_IN", "SIGN_IN_CLIENT", "SIGN_IN_ACCOUNT", "LINK", "REGISTER"] {
        command.env(format!("VESTIBULE_LIMIT_{limit}"), PLENTY);
    }
    if let Some(url) = database_url {
        command.env("VESTIBULE_DATABASE_URL", url);
    }
    command
}

fn execute(url: &str, statement: &str) {
    in_database(url, async |db| {
        db.execute_unprepared(statement).await.expect("the statement is valid");
    });
}

fn in_database<T>(url: &str, work: impl AsyncFnOnce(&DatabaseConnection) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = Database::connect(url).await.expect("the database is reachable");
        let done = work(&db).await;
        db.close().await.unwrap();
        done
    })
}
