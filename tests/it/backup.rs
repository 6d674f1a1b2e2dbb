//! `vestibule backup`: copy of the database in a file, taken while the service runs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::json;
use vestibule::entity::user;

use crate::fixture::furnish;
use crate::process::{command, run};
use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

const CREATE: &str =
    "mutation($email: String!) { createUser(input: { email: $email }) { user { id } errors { code } } }";

/// Creates users until stopped, and returns the acknowledged ones in order.
async fn write(admin: Client, name: &'static str, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let email = format!("{name}{}@example.com", acknowledged.len());
        let made = admin.data(CREATE, json!({ "email": email })).await;
        assert!(made["createUser"]["user"].is_object(), "{made}");
        acknowledged.push(email);
    }
    acknowledged
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("backup")).collect();
    names.sort();
    names
}

#[both_databases]
async fn a_backup_under_load_holds_all_that_was_acknowledged_before(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let furnished = furnish(&app).await;
    let admin = app.admin().await;
    let before = write(admin.clone(), "before", Arc::new(AtomicBool::new(true))).await;
    assert!(before.is_empty());
    for number in 0..20 {
        admin.data(CREATE, json!({ "email": format!("before{number}@example.com") })).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writing = ["ann", "ben", "cid"].map(|name| tokio::spawn(write(admin.clone(), name, Arc::clone(&stop))));
    let backup = {
        let place = place.clone();
        tokio::task::spawn_blocking(move || run(command(&place), &["backup", "backup.db"], ""))
    };
    let (success, printed, errors) = backup.await.unwrap();
    stop.store(true, Ordering::SeqCst);
    assert!(success, "{errors}");
    assert!(printed.contains("backup written to backup.db (") && printed.contains("the secret key"), "{printed}");
    let mode = std::fs::metadata(place.folder.join("backup.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(files(&place.folder), ["backup.db"]);

    // On PostgreSQL, the backup is copied back.
    let mut restored = format!("sqlite://{}", place.folder.join("backup.db").display());
    if !place.database_url.starts_with("sqlite") {
        let target = place.second_database().await;
        let mut copy = command(&place);
        copy.env("VESTIBULE_DATABASE_URL", &restored);
        let (success, _, errors) = run(copy, &["copy", "--to", &crate::copy::to(&place, &target)], "");
        assert!(success, "{errors}");
        restored = target;
    }
    let there = Place { database_url: restored, folder: place.folder.clone() };
    let second = app.start_second(&there).await;
    furnished.check(&second).await;
    let find = async |prefix: &str| {
        let found =
            user::Entity::find().filter(user::Column::Email.starts_with(prefix)).all(second.db()).await.unwrap();
        found.into_iter().map(|user| user.email).collect::<std::collections::HashSet<_>>()
    };
    assert_eq!(find("before").await.len(), 20);
    let mut written = 0;
    for (name, writing) in ["ann", "ben", "cid"].into_iter().zip(writing) {
        let (acknowledged, there) = (writing.await.unwrap(), find(name).await);
        // Created sequentially, so the backup has the first ones without a gap.
        let beginning = acknowledged.iter().take_while(|email| there.contains(*email)).count();
        assert!(there.len() <= beginning + 1, "{there:?}");
        written += acknowledged.len();
    }
    assert!(written > 0, "nothing was written while the backup was taken");
}

#[both_databases]
async fn a_backup_replaces_no_file_and_leaves_none_where_it_fails(place: Place) {
    let mut nothing = command(&place);
    nothing.env("VESTIBULE_DATABASE_URL", place.second_database().await);
    let (success, _, errors) = run(nothing, &["backup", "backup.db"], "");
    assert!(!success && (errors.contains("no database at") || errors.contains("not up to date")), "{errors}");
    assert_eq!(files(&place.folder), [""; 0]);
    let _app = TestApp::start(&place).await;
    std::fs::write(place.folder.join("backup.db"), "precious").unwrap();
    let (success, _, errors) = run(command(&place), &["backup", "backup.db"], "");
    assert!(!success);
    assert_eq!(errors, "vestibule: backup.db already exists: choose another name\n");
    assert_eq!(std::fs::read(place.folder.join("backup.db")).unwrap(), b"precious");
    let (success, _, errors) = run(command(&place), &["backup", "nowhere/backup.db"], "");
    assert!(!success && errors.starts_with("vestibule: nowhere/backup.db: "), "{errors}");
    assert_eq!(files(&place.folder), ["backup.db"]);
}
