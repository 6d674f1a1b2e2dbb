//! A service under test: the real router on a real port, with a settable clock and mails in memory.

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

/// Address and password of the superuser.
pub(crate) const ADMIN: (&str, &str) = ("admin@localhost", "a rather long phrase of mine");

/// Password of all other users.
pub(crate) const PASSWORD: &str = "another long phrase, theirs";

/// Time at the start of each test.
pub(crate) const START: &str = "2026-01-05T09:00:00Z";

/// A running service, stopped on drop.
pub(crate) struct TestApp {
    /// State of the service.
    pub(crate) app: Arc<App>,
    /// Clock of the service, which only the test advances.
    pub(crate) clock: SetClock,
    /// Base URL of the service.
    pub(crate) url: String,
    memory: Memory,
}

impl TestApp {
    /// Starts a service with the default settings.
    pub(crate) async fn start(place: &Place) -> Self {
        Self::start_with(place, |_| {}).await
    }

    /// Starts a service with changed settings.
    pub(crate) async fn start_with(place: &Place, change: impl FnOnce(&mut Config)) -> Self {
        let clock = SetClock::new(Timestamp::parse(START).unwrap());
        Self::start_at(place, clock, change, |_| {}).await
    }

    /// Starts a service that counts its statements.
    pub(crate) async fn start_counting(place: &Place, counter: Arc<AtomicUsize>) -> Self {
        Self::start_counting_with(place, counter, |_| {}).await
    }

    /// Starts a service with changed settings that counts its statements.
    pub(crate) async fn start_counting_with(
        place: &Place,
        counter: Arc<AtomicUsize>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let clock = SetClock::new(Timestamp::parse(START).unwrap());
        Self::start_at(place, clock, change, |app| count_statements(app, counter)).await
    }

    /// Starts a service that records its statements.
    pub(crate) async fn start_recording(place: &Place, statements: Arc<Mutex<Vec<Statement>>>) -> Self {
        let clock = SetClock::new(Timestamp::parse(START).unwrap());
        let keep = move |statement: &Statement| statements.lock().unwrap().push(statement.clone());
        Self::start_at(place, clock, |_| {}, |app| app.db.on_statement(keep)).await
    }

    /// Starts a service whose resolvers panic at each statement with this text among its values.
    pub(crate) async fn start_panicking(place: &Place, text: &'static str) -> Self {
        let clock = SetClock::new(Timestamp::parse(START).unwrap());
        let strike = move |statement: &Statement| {
            assert!(!format!("{:?}", statement.values).contains(text), "a panic that the test ordered");
        };
        Self::start_at(place, clock, |_| {}, |app| app.db.on_statement(strike)).await
    }

    /// Starts a second instance with the same database and clock.
    pub(crate) async fn start_second(&self, place: &Place) -> Self {
        self.start_second_with(place, |_| {}).await
    }

    /// Starts a second instance with changed settings.
    pub(crate) async fn start_second_with(&self, place: &Place, change: impl FnOnce(&mut Config)) -> Self {
        self.start_beside(place, change, |_| {}).await
    }

    /// Starts a second instance with changed settings that counts its statements.
    pub(crate) async fn start_second_counting_with(
        &self,
        place: &Place,
        counter: Arc<AtomicUsize>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        self.start_beside(place, change, |app| count_statements(app, counter)).await
    }

    async fn start_beside(
        &self,
        place: &Place,
        change: impl FnOnce(&mut Config),
        equip: impl FnOnce(&mut App),
    ) -> Self {
        let public_url = self.app.public_url.clone();
        let change = |config: &mut Config| {
            config.public_url = Some(public_url);
            change(config);
        };
        Self::start_at(place, self.clock, change, equip).await
    }

    /// Starts a service that writes mails to files, the default.
    pub(crate) async fn start_on_files(place: &Place) -> Self {
        let clock = SetClock::new(Timestamp::parse(START).unwrap());
        let files = |app: &mut App| app.mailer.transport = Transport::new(&app.config.mail_url(), &Trust::default());
        Self::start_at(place, clock, |_| {}, files).await
    }

    /// Starts a service with the system clock, for tests that run commands beside it.
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
        // The running program is the test, which reads no sheets.
        let reader = Reader::new(env!("CARGO_BIN_EXE_vestibule").into());
        app.importer = Importer::new(reader, app.limits.clone(), app.clock);
        equip(&mut app);
        let app = Arc::new(app);
        app.ensure_superuser().await.expect("the first superuser is created");
        tokio::spawn(http::serve(
            listener,
            http::router(&app),
            http::ServerOptions::of(&app.config, &app.request_metrics),
            std::future::pending(),
        ));
        Self { app, clock, url, memory }
    }

    /// An anonymous client.
    pub(crate) fn anyone(&self) -> Client {
        Client::new(&self.url)
    }

    /// The superuser, signed in.
    pub(crate) async fn admin(&self) -> Client {
        self.anyone().sign_in(ADMIN.0, ADMIN.1).await
    }

    /// Creates an account as the superuser, with the address `NAME@example.com` and [`PASSWORD`].
    pub(crate) async fn add_user(&self, name: &str) -> Person {
        self.add(json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD })).await
    }

    /// Creates an account with an address confirmed by a link, as after registering.
    pub(crate) async fn add_reader(&self, name: &str) -> Person {
        let person = self.add_user(name).await;
        self.prove(&person).await;
        person
    }

    /// Records that the person confirmed their current address.
    pub(crate) async fn prove(&self, person: &Person) {
        let prove = user::Entity::update_many().col_expr(user::Column::EmailProved, Expr::value(true));
        let own = user::Column::Id.eq(person.id.parse::<uuid::Uuid>().unwrap());
        assert_eq!(prove.filter(own).exec(self.db()).await.unwrap().rows_affected, 1);
    }

    /// Creates a staff account.
    pub(crate) async fn add_staff(&self, name: &str) -> Person {
        let email = format!("{name}@example.com");
        self.add(json!({ "username": name, "email": email, "password": PASSWORD, "isStaff": true })).await
    }

    /// Creates an account with this `CreateUserInput`.
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

    /// Starts the worker as in the process, with its own schedule.
    pub(crate) fn start_worker(&self) {
        tokio::spawn(worker::run(Arc::clone(&self.app), std::future::pending()));
    }

    /// Delivers the due mails.
    pub(crate) async fn deliver(&self) {
        loop {
            let now = self.app.clock.now();
            let mails = self.app.take_mails(&now, 10).await.expect("mails are delivered");
            if mails.is_empty() {
                return;
            }
            futures_util::future::join_all(mails.into_iter().map(|mail| self.app.send_mail(&now, mail))).await;
        }
    }

    /// Delivers the due mails, and returns those sent since the last call.
    pub(crate) async fn mails(&self) -> Vec<Message> {
        self.deliver().await;
        self.memory.take()
    }

    /// Like `mails`, for mails queued by commands, which use the system clock.
    pub(crate) async fn mails_at_system_time(&self) -> Vec<Message> {
        let ahead = Clock::System.now().at.millis() - self.clock_now().millis();
        self.wait(Duration::from_millis(u64::try_from(ahead).unwrap_or_default()));
        self.mails().await
    }

    /// Mail transport, for simulated failures.
    pub(crate) fn transport(&self) -> &Memory {
        &self.memory
    }

    /// Advances the clock.
    pub(crate) fn wait(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// Current time of the clock.
    pub(crate) fn clock_now(&self) -> Timestamp {
        self.app.clock.now().at
    }

    /// The database, for direct access to rows.
    pub(crate) fn db(&self) -> &Writer {
        self.app.db.writer()
    }
}

fn count_statements(app: &mut App, counter: Arc<AtomicUsize>) {
    app.db.on_statement(move |_: &Statement| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
}

/// A user with an account.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
}

impl Person {
    /// A client signed in as this person.
    pub(crate) async fn sign_in(&self, app: &TestApp) -> Client {
        app.anyone().sign_in(&self.email, PASSWORD).await
    }
}
