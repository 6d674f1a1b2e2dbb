//! Synthetic rows, generated inside the database. Indexes are dropped meanwhile and rebuilt afterwards, which takes a
//! fraction of the time.

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseBackend, DatabaseConnection, Statement};

/// Number of rows per statement.
const BATCH: u64 = 100_000;

/// A day in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Age of the oldest event in days, and age of the oldest event with a client address.
const DAYS: [u64; 2] = [360, 179];

/// Separate connection to the service's database.
pub(crate) struct Store {
    pub(crate) db: DatabaseConnection,
    is_postgres: bool,
    users: u64,
    events: u64,
}

impl Store {
    pub(crate) async fn connect(url: &str) -> Self {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1);
        let db = Database::connect(options).await.expect("the database can be reached");
        let is_postgres = db.get_database_backend() == DatabaseBackend::Postgres;
        // Synthetic rows need not be durable.
        let quick = match is_postgres {
            true => "SET synchronous_commit = off; SET statement_timeout = 0; SET maintenance_work_mem = '256MB'",
            false => "PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; PRAGMA temp_store = MEMORY",
        };
        db.execute_unprepared(quick).await.unwrap();
        Self { db, is_postgres, users: 0, events: 0 }
    }

    /// Adds users with a session each, and events, up to these totals.
    pub(crate) async fn fill(&mut self, users: u64, events: u64, now: u64) {
        let made = self.without_indexes("users").await;
        self.in_parts(self.users, users, |begin, end| self.users_from(begin, end)).await;
        self.run_all(made).await;
        let made = self.without_indexes("sessions").await;
        self.run(&self.sessions_from(now)).await;
        self.run_all(made).await;
        self.users = users;

        self.name_people().await;
        let made = self.without_indexes("audit_events").await;
        let known_since = now - DAYS[1] * DAY;
        let span = (now - DAYS[0] * DAY, now - 1000);
        self.in_parts(self.events, events, |begin, end| self.events_from((begin, end, events), span, known_since))
            .await;
        self.run_all(made).await;
        self.events = events;
        self.settle().await;
    }

    /// Adds events whose client address is due for deletion.
    pub(crate) async fn add_overdue(&self, number: u64, now: u64) {
        let span = (now - (DAYS[0] + 20) * DAY, now - (DAYS[0] + 10) * DAY);
        self.in_parts(0, number, |begin, end| self.events_from((begin, end, number), span, 0)).await;
    }

    /// Number of events whose client address is due for deletion.
    pub(crate) async fn overdue(&self, now: u64) -> i64 {
        let until = now - DAYS[0] * DAY;
        self.number(&format!("SELECT count(*) FROM audit_events WHERE ip IS NOT NULL AND created_at < {until}")).await
    }

    /// Vacuums and analyzes now, instead of in PostgreSQL's background process.
    async fn settle(&self) {
        if self.is_postgres {
            for table in ["users", "sessions", "audit_events"] {
                self.run(&format!("VACUUM ANALYZE {table}")).await;
            }
            // Some users lack the permission.
            let _ = self.db.execute_unprepared("CHECKPOINT").await;
        } else {
            self.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
        }
    }

    pub(crate) async fn run(&self, statement: &str) {
        self.db.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    pub(crate) async fn number(&self, query: &str) -> i64 {
        let statement = Statement::from_string(self.db.get_database_backend(), query);
        self.db.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    async fn run_all(&self, statements: Vec<String>) {
        for statement in statements {
            self.run(&statement).await;
        }
    }

    async fn in_parts(&self, from: u64, to: u64, statement: impl Fn(u64, u64) -> String) {
        let mut begin = from;
        while begin < to {
            let end = to.min(begin + BATCH);
            self.run(&statement(begin, end)).await;
            begin = end;
        }
    }

    /// Drops the indexes of a table except that of its key, and returns the statements that create them.
    async fn without_indexes(&self, table: &str) -> Vec<String> {
        let list = match self.is_postgres {
            true => format!(
                "SELECT indexname AS name, indexdef AS made FROM pg_indexes
                 WHERE tablename = '{table}' AND indexname <> '{table}_pkey'"
            ),
            false => format!(
                "SELECT name, sql AS made FROM sqlite_master WHERE type = 'index' AND tbl_name = '{table}' AND sql <> ''"
            ),
        };
        let rows = self.db.query_all_raw(Statement::from_string(self.db.get_database_backend(), list)).await.unwrap();
        let mut made = Vec::new();
        for row in rows {
            let name: String = row.try_get("", "name").unwrap();
            self.run(&format!("DROP INDEX {name}")).await;
            made.push(row.try_get("", "made").unwrap());
        }
        made
    }

    fn numbers(begin: u64, end: u64) -> String {
        format!("RECURSIVE numbers(i) AS (SELECT {begin} UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {end})")
    }

    fn users_from(&self, begin: u64, end: u64) -> String {
        let (id, flag) = if self.is_postgres { ("gen_random_uuid()", "") } else { ("randomblob(16)", "0 + ") };
        let syllable = |of: &str| format!("substr('babecibodafemigorukalesitovuwaxe', 1 + 2 * (({of}) % 16), 2)");
        let first = [syllable("i * 7"), syllable("i / 16"), syllable("i / 16 / 5")].join(" || ");
        let last = [syllable("i * 5"), syllable("i / 3"), syllable("i / 48"), syllable("i / 768")].join(" || ");
        // A telephone number, and its digits as the service stores them.
        let number = "CAST(491701000000 + i AS text)".to_owned();
        let digits = ('0'..='9').zip('A'..);
        let letters =
            digits.fold(number.clone(), |text, (digit, letter)| format!("replace({text}, '{digit}', '{letter}')"));
        format!(
            "WITH {}, named AS (SELECT i, {first} AS first, {last} AS last, '+' || {number} AS phone, '\n' || {letters} AS terms
                 FROM numbers)
             INSERT INTO users (id, username, username_key, email, email_key, first_name, last_name, first_name_key,
                 last_name_key, phone, search_terms, address, bio, role, permission, is_active, is_staff, is_superuser,
                 is_verified, date_joined, updated_at)
             SELECT {id}, first || '.' || i, first || '.' || i, first || i || '@example.com', first || i || '@example.com',
                 first, last, first, last, phone, terms, '', '', CASE WHEN i % 50 = 0 THEN 'MANAGER' ELSE 'MEMBER' END,
                 'ONLY_VIEW', {flag}(i % 100 <> 0), {flag}(i % 20000 = 7), {flag}(1 = 0), {flag}(i % 10 <> 0),
                 1600000000000 + CAST(i AS bigint) * 180000, 1600000000000 FROM named",
            Self::numbers(begin, end)
        )
    }

    /// Adds a session for each user without one, used within the last 29 days.
    fn sessions_from(&self, now: u64) -> String {
        let (id, ago) = match self.is_postgres {
            true => ("gen_random_uuid()", "CAST(random() * 2505600000 AS bigint)"),
            false => ("randomblob(16)", "abs(random()) % 2505600000"),
        };
        format!(
            "INSERT INTO sessions (id, user_id, counter, used, rotated_at, created_at, last_used_at, expires_at, ip, user_agent)
             SELECT {id}, id, 7, 7, {now} - ago, {now} - 2592000000, {now} - ago, {now} + 5184000000, '192.0.2.7',
                 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'
             FROM (SELECT id, {ago} AS ago FROM users WHERE id NOT IN (SELECT user_id FROM sessions)) AS those"
        )
    }

    /// Numbers the users, so that events can be assigned to them.
    async fn name_people(&self) {
        let id = if self.is_postgres { "uuid" } else { "blob" };
        self.run("DROP TABLE IF EXISTS people").await;
        self.run(&format!("CREATE TEMPORARY TABLE people (n integer PRIMARY KEY, id {id})")).await;
        self.run("INSERT INTO people SELECT row_number() OVER (ORDER BY date_joined) - 1, id FROM users").await;
        self.run(if self.is_postgres { "ANALYZE people" } else { "SELECT 1" }).await;
    }

    /// Adds events `begin` to `end` of `all`: nine of ten by users themselves, one by the first staff user, and one in
    /// a hundred thousand grants the staff flag.
    fn events_from(&self, (begin, end, all): (u64, u64, u64), (first, last): (u64, u64), known_since: u64) -> String {
        let (hex, id) = match self.is_postgres {
            true => (
                "lpad(to_hex(at), 12, '0') || '7' || substr(md5(CAST(i AS text)), 1, 3) || '8' || substr(md5(CAST(i AS text)), 5, 15)",
                "CAST(hex AS uuid)",
            ),
            false => ("printf('%012x7%03x8', at, abs(random()) % 4096) || substr(hex(randomblob(8)), 2)", "unhex(hex)"),
        };
        format!(
            "WITH {}, timed AS (SELECT i, {first} + CAST(i AS bigint) * {} / {all} AS at FROM numbers),
             made AS (SELECT i, at, {hex} AS hex, CASE WHEN i % 100000 = 0 THEN 'STAFF_GRANTED' WHEN i % 10 = 1 THEN
                 'USER_UPDATED' WHEN i % 10 = 2 THEN 'LOGIN_FAILED' WHEN i % 10 < 5 THEN 'LOGOUT' ELSE 'LOGIN' END AS action
                 FROM timed)
             INSERT INTO audit_events (id, action, actor_id, target_id, ip, user_agent, created_at)
             SELECT {id}, action, CASE WHEN action IN ('STAFF_GRANTED', 'USER_UPDATED') THEN (SELECT id FROM people WHERE n = 7)
                 WHEN action <> 'LOGIN_FAILED' THEN people.id END, people.id,
                 CASE WHEN at >= {known_since} THEN '192.0.2.' || i % 250 END,
                 CASE WHEN at >= {known_since} THEN 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'
                 END, at
             FROM made JOIN people ON people.n = CAST(i AS bigint) * 7919 % {}",
            Self::numbers(begin, end),
            last - first,
            self.users
        )
    }
}
