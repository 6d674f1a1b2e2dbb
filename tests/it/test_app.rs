//! A service to test: the real router on a real port, with a clock that the test sets and mails that stay in memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, Statement};
use serde_json::json;
use tokio::net::TcpListener;
use vestibule::app::App;
use vestibule::config::{BaseUrl, Config};
use vestibule::database::Writer;
use vestibule::domain::import::spreadsheet::Importer;
use vestibule::entity::user;
use vestibule::http;
use vestibule::tools::certificates::Trust;
use vestibule::tools::clock::{Clock, SetClock, Timestamp};
use vestibule::tools::mail::{Memory, Message, Transport};
use vestibule::tools::sheet::Reader;
use vestibule::worker;

use crate::test_client::Client;
use crate::test_database::Place;

/// The superuser that every test finds.
pub(crate) const ADMIN: (&str, &str) = ("admin@localhost", "a rather long phrase of mine");

/// The password of everybody else.
pub(crate) const PASSWORD: &str = "another long phrase, theirs";

/// When tests begin.
pub(crate) const START: &str = "2026-01-05T09:00:00Z";

/// A running service. It stops with the test.
pub(crate) struct TestApp {
    /// What the service was built from.
    pub(crate) app: Arc<App>,
    /// Its clock, which stands still until the test moves it.
    pub(crate) clock: SetClock,
    /// Where it listens.
    pub(crate) url: String,
    memory: Memory,
}

impl TestApp {
    /// A service with the default settings.
    pub(crate) async fn start(place: &Place) -> Self {
        Self::start_with(place, |_| {}).await
    }

    /// A service with some other settings.
    pub(crate) async fn start_with(place: &Place, change: impl FnOnce(&mut Config)) -> Self {
        let clock = SetClock::new(Timestamp::parse(START).unwrap());
        Self::start_at(place, clock, change, |_| {}).await
    }

    /// A service that counts its statements.
    pub(crate) async fn start_counting(place: &Place, counter: Arc<AtomicUsize>) -> Self {
        Self::start_counting_with(place, counter, |_| {}).await
    }

    /// A service with some other settings that counts its statements.
    pub(crate) async fn start_counting_with(
        place: &Place,
        counter: Arc<AtomicUsize>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let clock = SetClock::new(Timestamp::parse(START).unwrap());
        let count = move |_: &Statement| {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        Self::start_at(place, clock, change, |app| app.db.on_statement(count)).await
    }

    /// A service whose statements are kept.
    pub(crate) async fn start_recording(place: &Place, statements: Arc<Mutex<Vec<Statement>>>) -> Self {
        let clock = SetClock::new(Timestamp::parse(START).unwrap());
        let keep = move |statement: &Statement| statements.lock().unwrap().push(statement.clone());
        Self::start_at(place, clock, |_| {}, |app| app.db.on_statement(keep)).await
    }

    /// A service in which each statement that has this text among its values panics, in the resolver that made it.
    pub(crate) async fn start_panicking(place: &Place, text: &'static str) -> Self {
        let clock = SetClock::new(Timestamp::parse(START).unwrap());
        let strike = move |statement: &Statement| {
            assert!(!format!("{:?}", statement.values).contains(text), "a panic that the test ordered");
        };
        Self::start_at(place, clock, |_| {}, |app| app.db.on_statement(strike)).await
    }

    /// One more service on the same database, with the same clock, as a second instance would be.
    pub(crate) async fn start_second(&self, place: &Place) -> Self {
        self.start_second_with(place, |_| {}).await
    }

    /// The same with some other settings.
    pub(crate) async fn start_second_with(&self, place: &Place, change: impl FnOnce(&mut Config)) -> Self {
        let public_url = self.app.public_url.clone();
        let change = |config: &mut Config| {
            config.public_url = Some(public_url);
            change(config);
        };
        Self::start_at(place, self.clock, change, |_| {}).await
    }

    /// A service whose mails go to files, as by default.
    pub(crate) async fn start_on_files(place: &Place) -> Self {
        let clock = SetClock::new(Timestamp::parse(START).unwrap());
        let files = |app: &mut App| app.mailer.transport = Transport::new(&app.config.mail_url(), &Trust::default());
        Self::start_at(place, clock, |_| {}, files).await
    }

    /// A service whose clock shows the system's time, beside which commands are run.
    pub(crate) async fn start_at_system_time(place: &Place) -> Self {
        Self::start_at(place, SetClock::new(Clock::System.now().at), |_| {}, |_| {}).await
    }

    async fn start_at(
        place: &Place,
        clock: SetClock,
        change: impl FnOnce(&mut Config),
        equip: impl FnOnce(&mut App),
    ) -> Self {
        let mut config = Config::defaults();
        config.data_dir.clone_from(&place.folder);
        config.database_url = Some(place.database_url.parse().unwrap());
        config.argon2 = "m=8,t=1,p=1".parse().unwrap();
        config.admin_password = Some(ADMIN.1.parse().unwrap());
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let public_url: BaseUrl = config.public_url.clone().unwrap_or_else(|| url.parse().unwrap());
        let mut app = App::open(config, public_url, Clock::Set(clock)).await.expect("the service starts");
        let memory = Memory::default();
        app.mailer.transport = Transport::Memory(memory.clone());
        // The program that runs is the one of the tests, which reads no sheets.
        let reader = Reader::new(env!("CARGO_BIN_EXE_vestibule").into());
        app.importer = Importer::new(reader, app.limits.clone(), app.clock);
        equip(&mut app);
        let app = Arc::new(app);
        app.ensure_superuser().await.expect("the first superuser is made");
        tokio::spawn(http::serve(
            listener,
            http::router(&app),
            http::ServerOptions::of(&app.config, &app.traffic),
            std::future::pending(),
        ));
        Self { app, clock, url, memory }
    }

    /// A client that is not signed in.
    pub(crate) fn anyone(&self) -> Client {
        Client::new(&self.url)
    }

    /// The superuser, signed in.
    pub(crate) async fn admin(&self) -> Client {
        self.anyone().sign_in(ADMIN.0, ADMIN.1).await
    }

    /// Makes an account, as the superuser would; its address is `NAME@example.com`, its password [`PASSWORD`].
    pub(crate) async fn add_user(&self, name: &str) -> Person {
        self.add(json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD })).await
    }

    /// Makes an account whose user proved by a mailed link that they read its address, as by registering.
    pub(crate) async fn add_reader(&self, name: &str) -> Person {
        let person = self.add_user(name).await;
        self.prove(&person).await;
        person
    }

    /// Notes that the person proved to read their present address.
    pub(crate) async fn prove(&self, person: &Person) {
        let prove = user::Entity::update_many().col_expr(user::Column::EmailProved, Expr::value(true));
        let own = user::Column::Id.eq(person.id.parse::<uuid::Uuid>().unwrap());
        assert_eq!(prove.filter(own).exec(self.db()).await.unwrap().rows_affected, 1);
    }

    /// Makes a staff account.
    pub(crate) async fn add_staff(&self, name: &str) -> Person {
        let email = format!("{name}@example.com");
        self.add(json!({ "username": name, "email": email, "password": PASSWORD, "isStaff": true })).await
    }

    /// Makes an account of this `CreateUserInput`.
    pub(crate) async fn add(&self, input: serde_json::Value) -> Person {
        let create = "mutation($input: CreateUserInput!) {
            createUser(input: $input) { user { id email } errors { code field message } }
        }";
        let data = self.admin().await.data(create, json!({ "input": input })).await;
        let payload = &data["createUser"];
        assert_eq!(payload["errors"], json!([]));
        self.mails().await;
        let text = |field: &str| payload["user"][field].as_str().unwrap().to_owned();
        Person { id: text("id"), email: text("email") }
    }

    /// Lets the worker work as it does in the process: what it does comes at its own time.
    pub(crate) fn start_worker(&self) {
        tokio::spawn(worker::run(Arc::clone(&self.app), std::future::pending()));
    }

    /// Lets the worker deliver what is due.
    pub(crate) async fn deliver(&self) {
        loop {
            let now = self.app.clock.now();
            let mails = self.app.take_mails(&now, 10).await.expect("mails are taken");
            if mails.is_empty() {
                return;
            }
            futures_util::future::join_all(mails.into_iter().map(|mail| self.app.send_mail(&now, mail))).await;
        }
    }

    /// Lets the worker deliver what is due, and returns the mails that went out since this was last asked.
    pub(crate) async fn mails(&self) -> Vec<Message> {
        self.deliver().await;
        self.memory.take()
    }

    /// The same where commands, which know the system's time alone, have put mails in line.
    pub(crate) async fn mails_at_system_time(&self) -> Vec<Message> {
        let ahead = Clock::System.now().at.millis() - self.clock_now().millis();
        self.wait(Duration::from_millis(u64::try_from(ahead).unwrap_or_default()));
        self.mails().await
    }

    /// The way mails go, to let it fail.
    pub(crate) fn transport(&self) -> &Memory {
        &self.memory
    }

    /// Moves the clock on.
    pub(crate) fn wait(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// What the clock shows.
    pub(crate) fn clock_now(&self) -> Timestamp {
        self.app.clock.now().at
    }

    /// The database, to look at rows.
    pub(crate) fn db(&self) -> &Writer {
        self.app.db.writer()
    }
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
}

impl Person {
    /// The person, signed in.
    pub(crate) async fn sign_in(&self, app: &TestApp) -> Client {
        app.anyone().sign_in(&self.email, PASSWORD).await
    }
}
