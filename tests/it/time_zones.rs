//! Time zones: of the machine, of the database, and of times that clients send.

use std::process::Command;
use std::time::Duration;
use test_macros::{both_databases, postgres_only};

use sea_orm::{ColumnTrait as _, ConnectionTrait as _, Database, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use vestibule::domain::import::django::mapping::Mapping;
use vestibule::domain::import::django::source::Source;
use vestibule::domain::import::django::{self, Options, Report};
use vestibule::entity::user;
use vestibule::tools::certificates::Trust;
use vestibule::tools::clock::{Clock, Timestamp};

use crate::cli_admin::done;
use crate::process::{Serving, command, only_mail, run};
use crate::test_app::{ADMIN, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const ME: &str = "{ me { id } }";

/// Sets the time zone of new sessions of a PostgreSQL database, in POSIX syntax, and a national format of dates.
async fn set_zone(place: &Place, zone: &str) {
    let (_, name) = place.database_url.rsplit_once('/').unwrap();
    let db = Database::connect(&place.database_url).await.unwrap();
    for setting in [format!("timezone TO '{zone}'"), "datestyle TO 'German'".to_owned()] {
        db.execute_unprepared(&format!("ALTER DATABASE {name} SET {setting}")).await.unwrap();
    }
    db.close().await.unwrap();
}

#[both_databases]
async fn the_time_zone_of_the_machine_or_the_database_changes_nothing(place: Place) {
    // In one of the two, it is another day than in UTC. The syntax needs no files of time zones.
    for zone in ["<+14>-14", "<-12>+12"] {
        if place.database_url.starts_with("postgres") {
            set_zone(&place, zone).await;
        }
        let there = || -> Command {
            let mut command = command(&place);
            command.env("TZ", zone).env("VESTIBULE_ADMIN_PASSWORD", ADMIN.1).env("VESTIBULE_LOG_FORMAT", "json");
            command
        };
        let before = Clock::System.now().at;
        let is_now = |text: &str| {
            let time = Timestamp::parse(text).unwrap_or_else(|| panic!("no time: {text}"));
            assert!(text.ends_with('Z') && (before..=Clock::System.now().at).contains(&time), "{text} with {zone}");
        };
        let serving = Serving::start(there());
        let admin = Client::new(&serving.url).sign_in("admin", ADMIN.1).await;
        let me = admin.data("{ me { lastLogin } }", json!({})).await["me"].clone();
        is_now(me["lastLogin"].as_str().unwrap());
        admin.data("mutation { requestReset(input: { email: \"admin@localhost\" }) { success } }", json!({})).await;
        let mail = only_mail(&place).await;
        let date = mail_parser::MessageParser::default().parse(&mail).unwrap().date().unwrap().to_timestamp();
        assert!((before.seconds()..=Clock::System.now().at.seconds()).contains(&date), "{mail}");
        for file in std::fs::read_dir(place.folder.join("data/mail")).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }

        let export = admin.get("/export/users.csv").await;
        let days = [before, Clock::System.now().at].map(|time| format!("users-{}.csv", &time.to_string()[..10]));
        assert!(days.iter().any(|day| export.header("content-disposition").contains(day)), "{:?}", export.headers);
        let rows = csv::Reader::from_reader(export.body.as_str().unwrap().as_bytes()).into_records();
        let rows: Vec<csv::StringRecord> = rows.map(Result::unwrap).collect();
        is_now(&rows[0][13]);

        let (success, events, errors) = run(there(), &["audit", "list", "--json", "--since", "1m"], "");
        assert!(success, "{errors}");
        let events: Value = serde_json::from_str(&events).unwrap();
        is_now(events[0]["time"].as_str().unwrap());
        for line in serving.stop().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            is_now(line["timestamp"].as_str().unwrap());
        }
    }
}

#[both_databases]
async fn a_time_with_an_offset_is_the_same_moment_in_utc(place: Place) {
    let app = TestApp::start(&place).await;
    app.wait(Duration::from_hours(1));
    let ada = app.add_user("ada").await.sign_in(&app).await;
    app.wait(Duration::from_mins(1));
    let admin = app.admin().await;
    let lists = "query($after: DateTime!, $before: DateTime!) {
        users(filter: { joinedAfter: $after, joinedBefore: $before }) { nodes { dateJoined } }
        auditEvents(filter: { action: USER_CREATED, createdAfter: $after, createdBefore: $before }) {
            nodes { createdAt }
        }
    }";
    for (after, before, is_it) in [
        ("2026-01-05T11:59:59+02:00", "2026-01-05T12:00:01+02:00", true),
        ("2026-01-05T04:29:59-05:30", "2026-01-05T04:30:01-05:30", true),
        ("2026-01-05T23:59:59+14:00", "2026-01-06T00:00:01+14:00", true),
        ("2026-01-05T11:59:59Z", "2026-01-05T12:00:01Z", false),
        ("2026-01-06T00:00:01+14:00", "2026-01-06T00:00:03+14:00", false),
    ] {
        let found = admin.data(lists, json!({ "after": after, "before": before })).await;
        let at = "2026-01-05T10:00:00.000Z";
        let (users, events) = (json!([{ "dateJoined": at }]), json!([{ "createdAt": at }]));
        let expected = if is_it { (&users, &events) } else { (&json!([]), &json!([])) };
        assert_eq!((&found["users"]["nodes"], &found["auditEvents"]["nodes"]), expected, "{after}");
        let listed = done(&place, &["audit", "list", "--json", "--action", "USER_CREATED", "--since", after]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), usize::from(is_it), "{after}");
    }

    let create = "mutation($at: DateTime!) { createApiToken(input: { name: \"x\", scopes: [READ], expiresAt: $at }) {
        apiToken { expiresAt } secret } }";
    let made = ada.data(create, json!({ "at": "2026-01-05T12:30:00+02:00" })).await["createApiToken"].clone();
    assert_eq!(made["apiToken"]["expiresAt"], "2026-01-05T10:30:00.000Z");
    let script = app.anyone().with_token(made["secret"].as_str().unwrap());
    app.wait(Duration::from_secs(28 * 60 + 59));
    script.data(ME, json!({})).await;
    app.wait(Duration::from_secs(1));
    assert_eq!(script.code(ME, json!({})).await, "UNAUTHENTICATED EXPIRED");
}

#[postgres_only]
async fn times_of_a_database_in_another_zone_are_imported_as_the_same_moments(place: Place) {
    let app = TestApp::start(&place).await;
    for statement in [
        "CREATE TABLE people (nr integer PRIMARY KEY, mail text, pass text, joined timestamptz, seen timestamptz)",
        "INSERT INTO people VALUES (1, 'ann@example.com', '!', '2025-07-05 11:30:00+02:30', '2025-12-31 23:30:00-01')",
    ] {
        app.db().execute_unprepared(statement).await.unwrap();
    }
    set_zone(&place, "<+14>-14").await;
    let mapping = Mapping::parse(
        "table = 'people'\n[columns]\nid = 'nr'\nemail = 'mail'\npassword = 'pass'\ndate_joined = 'joined'\n\
         last_login = 'seen'\nusername = ''\nfirst_name = ''\nlast_name = ''\nis_active = ''\nis_staff = ''\n\
         is_superuser = ''\n",
    );
    let mapping = mapping.unwrap();
    let source = Source::open(&place.database_url, &Trust::default(), &mapping, false).await.unwrap();
    let mut report = Report::default();
    let options = Options::default();
    let input = django::Import { source, mapping: &mapping, options, second_factor: app.app.second_factor_rules() };
    django::take_over(&app.app.db, &app.app.clock, input, &mut report, &|_| ()).await.unwrap();
    assert_eq!((report.created, report.naive_times), (1, 0));
    let ann = user::Entity::find().filter(user::Column::Email.eq("ann@example.com")).one(app.db()).await.unwrap();
    let ann = ann.unwrap();
    assert_eq!(ann.date_joined.to_string(), "2025-07-05T09:00:00.000Z");
    assert_eq!(ann.last_login.unwrap().to_string(), "2026-01-01T00:30:00.000Z");
}
