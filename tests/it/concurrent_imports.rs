//! Imports on two instances at once, and imports whose lease was lost.

use std::sync::{Arc, Mutex, mpsc};
use test_macros::{both_databases, postgres_only};

use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::json;
use vestibule::domain::import::django::mapping::Mapping;
use vestibule::domain::import::django::source::Source;
use vestibule::domain::import::django::{self, Options, Report};
use vestibule::domain::import::spreadsheet::{self, Counts, Import, ImportOptions, ImportedBy, Outcome, Progress};
use vestibule::domain::leases::LEASE;
use vestibule::domain::operator::Operator;
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{lease, mail, user};
use vestibule::error::Error;
use vestibule::tools::certificates::Trust;
use vestibule::tools::clock::Clock;

use crate::cli_admin::{done, refused};
use crate::spreadsheet_import::{counts, post};
use crate::test_app::{ADMIN, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

/// Number of new users in each sheet.
const NEW: u32 = 30;

/// A sheet with new users, and one that exists.
fn sheet(round: u32) -> Vec<u8> {
    let newcomers = String::from_utf8(newcomers(round)).unwrap();
    format!("{newcomers}ada@example.com,,Ada {round}\n").into_bytes()
}

/// A sheet with new users.
fn newcomers(round: u32) -> Vec<u8> {
    let mut sheet = "email,username,first_name\n".to_owned();
    for number in 0..NEW {
        // Some usernames are given, the others generated.
        let username = if number % 2 == 0 { format!("user-{round}-{number}") } else { String::new() };
        sheet += &format!("r{round}n{number}@example.com,{username},\n");
    }
    sheet.into_bytes()
}

async fn events(app: &TestApp, action: Action) -> u64 {
    let events = audit_event::Entity::find().filter(audit_event::Column::Action.eq(action));
    events.count(app.db()).await.unwrap()
}

async fn users(app: &TestApp) -> u64 {
    user::Entity::find().count(app.db()).await.unwrap()
}

/// True if the import was refused because of another one.
fn is_refused(answer: &Answer) -> bool {
    let error = &answer.body["errors"][0];
    if error.is_null() {
        return false;
    }
    assert_eq!(error["extensions"]["code"], "SERVICE_UNAVAILABLE", "{}", answer.body);
    assert!(error["message"].as_str().unwrap().starts_with("Another import is running"), "{}", answer.body);
    true
}

#[both_databases]
async fn two_instances_import_one_sheet_once(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let second = app.start_second_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_user("ada").await;
    let here = app.admin().await;
    let there = second.anyone().sign_in(ADMIN.0, ADMIN.1).await;
    let mut refusals = 0;
    for round in 1..=5_u32 {
        let (one, other) = tokio::join!(post(&here, sheet(round), json!({})), post(&there, sheet(round), json!({})));
        let answers = [one, other];
        let told = answers.iter().filter(|answer| is_refused(answer)).count();
        assert!(told < 2, "one of them may import");
        refusals += told;
        let results = answers.iter().filter(|answer| !is_refused(answer));
        let results: Vec<_> = results.map(|answer| counts(&answer.body["data"]["importUsers"])).collect();
        let new = u64::from(NEW);
        assert!(results.contains(&(new, 1, 0)), "{results:?}");
        assert!(results.iter().all(|result| [(new, 1, 0), (0, 0, new + 1)].contains(result)), "{results:?}");
        assert_eq!(results.iter().filter(|(created, ..)| *created > 0).count(), 1, "{results:?}");

        let rounds = u64::from(round);
        assert_eq!(users(&app).await, 2 + rounds * new);
        assert_eq!(events(&app, Action::UserCreated).await, 2 + rounds * new, "one for each user");
        assert_eq!(
            (events(&app, Action::UsersImported).await, events(&app, Action::UserUpdated).await),
            (rounds, rounds)
        );
        // The refused one tries again.
        assert_eq!(counts(&post(&there, sheet(round), json!({})).await.body["data"]["importUsers"]), (0, 0, new + 1));
    }
    assert!(refusals > 0, "the imports never met");
    let welcomes = mail::Entity::find().filter(mail::Column::Kind.eq(mail::Kind::Welcome));
    let welcomes = welcomes.filter(mail::Column::Recipient.ne(ada.email));
    assert_eq!(welcomes.count(app.db()).await.unwrap(), 5 * u64::from(NEW));
    assert_eq!(lease::Entity::find().count(app.db()).await.unwrap(), 0);
}

/// On SQLite, a lease is not even taken while another import writes.
#[postgres_only]
async fn an_import_that_lost_its_lease_makes_nobody_twice(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let options = || ImportOptions { send_welcome: true, ..ImportOptions::default() };
    let input = move || Import { file: newcomers(1), dry_run: false, options: options() };

    let (reached, has_reached) = tokio::sync::oneshot::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let (reached, may_go) = (Mutex::new(Some(reached)), Mutex::new(may_go));
    let state = Arc::clone(&app.app);
    let first = tokio::spawn(async move {
        let (operator, now) = (Operator::new(), state.clock.now());
        // Its rows are planned and not yet written, until `go` is dropped.
        let watch = |progress| {
            if let Progress::Done(..) = progress {
                if let Some(reached) = reached.lock().unwrap().take() {
                    reached.send(()).unwrap();
                }
                let _ = tokio::task::block_in_place(|| may_go.lock().unwrap().recv());
            }
        };
        spreadsheet::import(&state.db, &now, &state.importer, ImportedBy::Operator(&operator), input(), &watch).await
    });
    has_reached.await.unwrap();
    // As if the first instance had lost the database for so long that its lease expired.
    app.wait(LEASE);

    // The first goes on once the second has planned its own rows.
    let go = Mutex::new(Some(go));
    let watch = |progress| {
        if let Progress::Done(..) = progress {
            drop(go.lock().unwrap().take());
        }
    };
    let (state, operator) = (&second.app, Operator::new());
    let (now, by) = (state.clock.now(), ImportedBy::Operator(&operator));
    let late = spreadsheet::import(&state.db, &now, &state.importer, by, input(), &watch).await;
    // The database finds the conflict, whoever is first; another attempt finds the accounts.
    let (outcomes, new) = ([first.await.unwrap(), late], Counts { created: NEW, updated: 0, unchanged: 0 });
    let made = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Outcome::Done(counts, ..)) if *counts == new));
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Unavailable(_))));
    assert_eq!((made.count(), refused.count()), (1, 1), "{outcomes:?}");
    assert_eq!(users(&app).await, 1 + u64::from(NEW));
    assert_eq!(events(&app, Action::UsersImported).await, 1);
    let again = spreadsheet::import(&state.db, &now, &state.importer, by, input(), &|_| ()).await;
    let same = Counts { created: 0, updated: 0, unchanged: NEW };
    assert!(matches!(again, Ok(Outcome::Done(counts, ..)) if counts == same), "{again:?}");
}

#[both_databases]
async fn the_command_line_does_not_import_beside_an_instance(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let file = place.folder.join("people.csv");
    std::fs::write(&file, sheet(1)).unwrap();
    let import = ["import", "users", file.to_str().unwrap()];
    let ends_at = Clock::System.now().at.plus(LEASE);
    let row = lease::ActiveModel { name: Set("import".into()), holder: Set(uuid::Uuid::nil()), ends_at: Set(ends_at) };
    lease::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    assert_eq!(refused(&place, &import), "another import is running: try again when it has finished");
    assert_eq!(users(&app).await, 1);
    lease::Entity::delete_many().exec(app.db()).await.unwrap();
    assert!(done(&place, &import).ends_with("created: 31, updated: 0, unchanged: 0\n"));
    assert_eq!(lease::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn two_imports_from_django_at_once_make_nobody_twice(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let mut text =
        "id,username,email,password,first_name,last_name,is_active,is_staff,is_superuser,date_joined,last_login"
            .to_owned();
    for number in 1..=NEW {
        text += &format!("\n{number},u{number},u{number}@example.com,!,,,t,f,f,2020-02-03 04:05:06+00,");
    }
    let file = place.folder.join("users.csv");
    std::fs::write(&file, text).unwrap();
    let mapping = Mapping::default();
    let import = async |app: &TestApp| {
        let source = Source::open(file.to_str().unwrap(), &Trust::default(), &mapping, false).await.unwrap();
        let options = Options { token_life: app.app.config.api_tokens.api_token_ttl, ..Options::default() };
        let mut report = Report::default();
        let (db, clock) = (&app.app.db, &app.app.clock);
        let input = django::Import { source, mapping: &mapping, options, second_factor: app.app.second_factor_rules() };
        let outcome = django::take_over(db, clock, input, &mut report, &|_| ()).await;
        outcome.map(|()| (report.created, report.unchanged))
    };
    let (one, other) = tokio::join!(import(&app), import(&second));
    let new = NEW as usize;
    let mut created = 0;
    for outcome in [one, other] {
        match outcome {
            Ok(result) => {
                assert!([(new, 0), (0, new)].contains(&result), "{result:?}");
                created += usize::from(result.0 > 0);
            }
            Err(Error::Unavailable(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(created, 1);
    assert_eq!(users(&app).await, 1 + u64::from(NEW));
    assert_eq!(events(&app, Action::UserCreated).await, 1 + u64::from(NEW));
    assert_eq!(import(&second).await.unwrap(), (0, new));
}
