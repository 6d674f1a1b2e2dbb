//! Imports that are kept: uploaded once, checked, corrected and applied.

use std::io::Cursor;
use std::time::Duration;
use test_macros::both_databases;

use calamine::{Reader as _, Xlsx};
use reqwest::multipart::{Form, Part};
use sea_orm::{ActiveEnum as _, ActiveValue::Set, EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use vestibule::domain::import::spreadsheet::jobs::{HISTORY, KEPT};
use vestibule::domain::leases::LEASE;
use vestibule::entity::import_job::{self, State};
use vestibule::entity::{import_file, import_mapping, user};
use vestibule::worker;

use crate::api_tokens::make;
use crate::avatars::{MAP, send};
use crate::spreadsheet_import::workbook;
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::{Answer, Client};
use crate::test_database::Place;

const START: &str = "mutation($input: StartImportInput!) { startImport(input: $input) { job {
    id state fileName columns { suggested { heading target words { word value } } samples values } matchBy
} errors { code field message } } }";

const CHECK: &str =
    "mutation($input: CheckImportInput!) { checkImport(input: $input) { job { id state } errors { code field } } }";

const APPLY: &str = "mutation($id: ID!) { applyImport(input: { id: $id }) { job { id state } errors { code field } } }";

const JOB: &str = "query($id: ID!) { importJob(id: $id) {
    state progress failure created updated unchanged rightsChangeCount rowErrorCount markedWorkbookPath expiresAt appliedAt
    createdBy { username } columns { samples } rowErrorKinds { column count } rowErrors { row column value }
    rightsChanges { row email field before after } rightsDifferences { isNew change { email field after } }
} }";

async fn post(client: &Client, file: impl Into<Vec<u8>>) -> Answer {
    let operations = json!({ "query": START, "variables": { "input": { "file": null } } }).to_string();
    let file = Part::bytes(file.into()).file_name("Mitglieder.xlsx");
    send(client, Form::new().text("operations", operations).text("map", MAP).part("0", file)).await
}

/// Uploads a file to import.
pub(crate) async fn start(client: &Client, file: impl Into<Vec<u8>>) -> Value {
    let answer = post(client, file).await;
    assert!(answer.body["errors"].is_null(), "{}", answer.body);
    let payload = answer.body["data"]["startImport"].clone();
    assert_eq!(payload["errors"], json!([]));
    payload["job"].clone()
}

async fn job(client: &Client, id: &Value) -> Value {
    client.data(JOB, json!({ "id": id })).await["importJob"].clone()
}

/// The import once its step has ended.
async fn ended(client: &Client, id: &Value) -> Value {
    for _ in 0..600 {
        let now = job(client, id).await;
        if !["CHECKING", "APPLYING"].contains(&now["state"].as_str().unwrap()) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the step does not end");
}

/// A dry run to its end.
async fn check(client: &Client, id: &Value, options: Value) -> Value {
    let mut input = options;
    input["id"] = id.clone();
    let begun = client.data(CHECK, json!({ "input": input })).await["checkImport"].clone();
    assert_eq!(begun["errors"], json!([]), "{begun}");
    ended(client, id).await
}

async fn apply(client: &Client, id: &Value) -> Value {
    let begun = client.data(APPLY, json!({ "id": id })).await["applyImport"].clone();
    assert_eq!(begun["errors"], json!([]), "{begun}");
    ended(client, id).await
}

/// The mapping that was suggested for a file.
fn suggested(job: &Value) -> Value {
    job["columns"].as_array().unwrap().iter().map(|column| column["suggested"].clone()).collect()
}

async fn users(app: &TestApp) -> u64 {
    user::Entity::find().count(app.db()).await.unwrap()
}

#[both_databases]
async fn a_file_is_uploaded_once_then_checked_and_applied(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let file = workbook([
        vec!["E-Mail", "Vorname", "Nachname", "Funktion", "aktiv", "Schuhgröße"],
        vec!["ann@example.com", "Ann", "Bär", "Leitung", "ja", "44"],
        vec!["bob@example.com", "Bob", "Cy", "Mitglied", "nein", "45"],
    ]);
    let started = start(&admin, file).await;
    assert_eq!((&started["state"], &started["fileName"]), (&json!("UPLOADED"), &json!("Mitglieder.xlsx")));
    let targets: Vec<&Value> =
        started["columns"].as_array().unwrap().iter().map(|column| &column["suggested"]["target"]).collect();
    assert_eq!(json!(targets), json!(["EMAIL", "FIRST_NAME", "LAST_NAME", "ROLE", "IS_ACTIVE", null]));
    assert_eq!(started["columns"][3]["samples"], json!(["Leitung", "Mitglied"]));
    assert_eq!(started["columns"][4]["suggested"]["words"][0], json!({ "word": "ja", "value": "true" }));

    let checked = check(&admin, &started["id"], json!({ "mapping": suggested(&started) })).await;
    assert_eq!(json!([checked["state"], checked["created"], checked["progress"]]), json!(["CHECKED", 2, 100]));
    assert_eq!(checked["rightsChanges"][0]["after"], "MANAGER");
    assert_eq!(users(&app).await, 1, "a dry run changes nothing");

    let applied = apply(&admin, &started["id"]).await;
    assert_eq!(json!([applied["state"], applied["created"], applied["failure"]]), json!(["APPLIED", 2, null]));
    assert!(applied["appliedAt"].is_string());
    assert_eq!(users(&app).await, 3);
    let file = import_file::Entity::find().one(app.db()).await.unwrap().unwrap();
    assert!(file.file.is_empty(), "the file is deleted once it was applied");
    let again = admin.data(APPLY, json!({ "id": started["id"] })).await["applyImport"]["errors"].clone();
    assert_eq!(again[0]["code"], "INVALID");

    let history = "{ importJobs { totalCount nodes { fileName state created createdBy { username } } } }";
    let history = admin.data(history, json!({})).await["importJobs"].clone();
    let only = json!({ "fileName": "Mitglieder.xlsx", "state": "APPLIED", "created": 2, "createdBy": { "username": "admin" } });
    assert_eq!(history, json!({ "totalCount": 1, "nodes": [only] }));
}

#[both_databases]
async fn the_next_file_with_the_same_headings_gets_the_same_mapping(place: Place) {
    let app = TestApp::start(&place).await;
    let (admin, staff) = (app.admin().await, app.add_staff("boss").await.sign_in(&app).await);
    let first = start(&admin, "Adresse;Kennwort der Liste\nann@example.com;Leitung\n").await;
    let mapping = json!([
        { "heading": "Adresse", "target": "EMAIL", "words": [] },
        { "heading": "Kennwort der Liste", "target": "ROLE", "words": [{ "word": "Leitung", "value": "AGENT" }] },
    ]);
    let options = json!({ "mapping": mapping, "matchBy": "EMAIL" });
    assert_eq!(check(&admin, &first["id"], options).await["state"], "CHECKED");
    let next = start(&staff, "KENNWORT DER LISTE;adresse\nx;bob@example.com\n").await;
    assert_eq!(next["columns"][0]["suggested"]["target"], "ROLE");
    assert_eq!(next["columns"][1]["suggested"]["target"], "EMAIL");

    let list = "{ importMappings { id columns { heading } matchBy } }";
    let known = staff.data(list, json!({})).await["importMappings"].clone();
    assert_eq!(known[0]["columns"][1]["heading"], "Kennwort der Liste");
    let forget = "mutation($id: ID!) { deleteImportMapping(input: { id: $id }) { deletedId errors { code } } }";
    let gone = staff.data(forget, json!({ "id": known[0]["id"] })).await["deleteImportMapping"].clone();
    assert_eq!(gone, json!({ "deletedId": known[0]["id"], "errors": [] }));
    assert_eq!(staff.refusals(forget, json!({ "id": known[0]["id"] })).await, ["NOT_FOUND"]);
    assert_eq!(import_mapping::Entity::find().count(app.db()).await.unwrap(), 0);
    let next = start(&staff, "Kennwort der Liste;Adresse\nx;bob@example.com\n").await;
    assert_eq!(next["columns"][1]["suggested"]["target"], "ADDRESS");
}

#[both_databases]
async fn the_same_workbook_comes_back_with_its_faulty_cells_marked(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let file = workbook([
        vec!["email", "Rolle", "notes"],
        vec!["nobody", "boss", "=1+1"],
        vec!["ann@example.com", "AGENT", "keep me"],
        vec!["", "AGENT", "without an address"],
    ]);
    let started = start(&admin, file).await;
    let path = |job: &Value| job["markedWorkbookPath"].as_str().map(str::to_owned);
    let mapping = json!([{ "heading": "Rolle", "target": "ROLE" }, { "heading": "notes" }]);
    let refused = check(&admin, &started["id"], json!({ "mapping": mapping.clone() })).await;
    assert_eq!(json!([refused["state"], refused["rowErrorCount"]]), json!(["REFUSED", 3]));
    let path = path(&refused).unwrap();
    let bytes = crate::spreadsheet_import::download(&admin, &path).await;
    let mut book = Xlsx::new(Cursor::new(&bytes)).unwrap();
    let rows = book.worksheet_range("Sheet1").unwrap();
    assert_eq!(rows.get_value((1, 2)).unwrap().to_string(), "=1+1");
    assert_eq!(rows.get_value((2, 2)).unwrap().to_string(), "keep me");
    let mut archive = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    let notes = std::io::read_to_string(archive.by_name("xl/comments1.xml").unwrap()).unwrap();
    for (cell, note) in [("A2", "Enter an email address"), ("B2", "Use ADMIN"), ("A4", "Enter an email address")] {
        assert!(notes.contains(&format!("ref=\"{cell}\"")) && notes.contains(note), "{cell}: {notes}");
    }
    // It can be corrected and imported again: marks are no content.
    let again = start(&admin, bytes).await;
    let refused = check(&admin, &again["id"], json!({ "mapping": mapping })).await;
    assert_eq!(refused["rowErrorCount"], 3);

    let other = app.add_staff("boss").await.sign_in(&app).await;
    let answer = other.get(&path).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(answer.body["errors"][0]["message"], "This import does not exist, or another user uploaded its file.");
    let token = app.anyone().with_token(make(&admin, &["READ", "WRITE", "EXPORT"]).await.1);
    assert_eq!(token.get(&path).await.status, 403);
}

#[both_databases]
async fn an_application_is_refused_if_other_rights_would_change(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let admin = app.admin().await;
    let started = start(&admin, "email,role\nada@example.com,MEMBER\nann@example.com,AGENT\n").await;
    let checked = check(&admin, &started["id"], json!({})).await;
    assert_eq!(json!([checked["state"], checked["rightsChangeCount"]]), json!(["CHECKED", 1]));
    let promote = "mutation($id: ID!) { updateUser(input: { id: $id, role: MANAGER }) { errors { code } } }";
    assert_eq!(admin.refusals(promote, json!({ "id": ada.id })).await, [""; 0]);

    let outdated = apply(&admin, &started["id"]).await;
    assert_eq!(outdated["state"], "CHECKED", "{outdated}");
    assert!(outdated["failure"].as_str().unwrap().contains("other rights would change"), "{outdated}");
    let difference =
        json!({ "isNew": true, "change": { "email": "ada@example.com", "field": "ROLE", "after": "MEMBER" } });
    assert_eq!(outdated["rightsDifferences"], json!([difference]));
    assert_eq!(users(&app).await, 2, "nothing was written");

    let applied = apply(&admin, &started["id"]).await;
    assert_eq!(json!([applied["state"], applied["created"], applied["updated"]]), json!(["APPLIED", 1, 1]));
}

#[both_databases]
async fn errors_that_appear_after_the_dry_run_stop_the_application(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let started = start(&admin, "email,username\nann@example.com,zoe\n").await;
    assert_eq!(check(&admin, &started["id"], json!({})).await["state"], "CHECKED");
    app.add(json!({ "email": "zed@example.com", "username": "zoe", "password": PASSWORD })).await;
    let refused = apply(&admin, &started["id"]).await;
    assert_eq!(json!([refused["state"], refused["rowErrors"][0]["column"]]), json!(["REFUSED", "username"]));
    assert_eq!(users(&app).await, 2);
}

#[both_databases]
async fn only_its_user_sees_the_content_of_an_import(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let started = start(&boss, "email\nann@example.com\nnobody\n").await;
    let id = &started["id"];
    assert_eq!(check(&boss, id, json!({})).await["rowErrors"][0]["value"], "nobody");
    let seen = job(&admin, id).await;
    assert_eq!(
        json!([seen["state"], seen["rowErrorCount"], seen["createdBy"]["username"]]),
        json!(["REFUSED", 1, "boss"])
    );
    let hidden = json!([seen["rowErrors"], seen["columns"], seen["markedWorkbookPath"], seen["expiresAt"]]);
    assert_eq!(hidden, json!([[], [], null, null]));
    for document in [CHECK, APPLY] {
        assert_eq!(admin.refusals(document, json!({ "id": id, "input": { "id": id } })).await, ["NOT_FOUND id"]);
    }
    let token = app.anyone().with_token(make(&boss, &["READ", "MANAGE_USERS"]).await.1);
    assert_eq!(job(&token, id).await["rowErrors"], json!([]));
    assert_eq!(token.code(CHECK, json!({ "input": { "id": id } })).await, "FORBIDDEN");
}

#[both_databases]
async fn a_step_needs_a_recent_proof_and_an_upload_does_not(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    app.wait(Duration::from_secs(11 * 60));
    let mut admin = admin;
    admin.refresh().await.unwrap();
    let started = start(&admin, "email\nann@example.com\n").await;
    for document in [CHECK, APPLY] {
        let variables = json!({ "id": started["id"], "input": { "id": started["id"] } });
        assert_eq!(admin.refusals(document, variables).await, ["REAUTHENTICATION_REQUIRED"]);
    }
    let proved = app.anyone().sign_in(ADMIN.0, ADMIN.1).await;
    assert_eq!(check(&proved, &started["id"], json!({})).await["state"], "CHECKED");
}

#[both_databases]
async fn files_are_sealed_and_deleted_after_an_hour(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let started = start(&admin, "email\nann@example.com\n").await;
    let kept = import_file::Entity::find().one(app.db()).await.unwrap().unwrap();
    for sealed in [&kept.file, &kept.columns] {
        assert!(!sealed.windows(3).any(|part| part == b"ann"), "the file is not readable in the database");
    }
    app.wait(KEPT.saturating_sub(Duration::from_secs(1)));
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(import_file::Entity::find().count(app.db()).await.unwrap(), 1);
    app.wait(Duration::from_secs(1));
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(import_file::Entity::find().count(app.db()).await.unwrap(), 0);
    let admin = app.admin().await;
    assert_eq!(admin.refusals(CHECK, json!({ "input": { "id": started["id"] } })).await, ["NOT_FOUND id"]);
    assert_eq!(job(&admin, &started["id"]).await["state"], "UPLOADED", "the history stays");
    app.wait(HISTORY);
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(import_job::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn a_user_keeps_five_files(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let first = start(&admin, "email\n").await;
    for _ in 0..5 {
        start(&admin, "email\n").await;
    }
    assert_eq!(import_file::Entity::find().count(app.db()).await.unwrap(), 5);
    assert_eq!(job(&admin, &first["id"]).await["expiresAt"], Value::Null);
}

#[both_databases]
async fn the_step_of_a_process_that_died_is_reported_and_can_be_repeated(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let started = start(&admin, "email\nann@example.com\n").await;
    let mut row: import_job::ActiveModel = import_job::Entity::find().one(app.db()).await.unwrap().unwrap().into();
    row.state = Set(State::Applying);
    import_job::Entity::update(row).exec(app.db()).await.unwrap();
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(job(&admin, &started["id"]).await["state"], State::Applying.to_value());
    app.wait(LEASE);
    worker::run_maintenance(&app.app).await.unwrap();
    let failed = job(&admin, &started["id"]).await;
    assert!(
        failed["state"] == "FAILED" && failed["failure"].as_str().unwrap().contains("Nothing was written"),
        "{failed}"
    );
    assert_eq!(check(&admin, &started["id"], json!({})).await["state"], "CHECKED");
}

#[both_databases]
async fn an_ended_session_stops_the_import_that_waits(place: Place) {
    let app = TestApp::start(&place).await;
    let person = app.add_staff("boss").await;
    let (admin, boss) = (app.admin().await, person.sign_in(&app).await);
    let started = start(&boss, "email\nann@example.com\n").await;
    assert_eq!(check(&boss, &started["id"], json!({})).await["state"], "CHECKED");
    // Another import runs, so that this one waits.
    let turn = vestibule::domain::leases::take(&app.app.db, app.app.clock, "import").await.unwrap().unwrap();
    boss.data(APPLY, json!({ "id": started["id"] })).await;
    let demote = "mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code } } }";
    assert_eq!(admin.refusals(demote, json!({ "id": person.id })).await, [""; 0]);
    turn.end().await;
    let failed = ended(&admin, &started["id"]).await;
    assert_eq!(failed["state"], "FAILED", "{failed}");
    assert_eq!(users(&app).await, 2);
}

/// A sheet of 10,000 users, 38 of them with a wrong address.
fn ten_thousand(has_errors: bool) -> String {
    let row = |number: u32| match number {
        number if has_errors && number % 270 == 0 => format!("wrong{number},Person {number},AGENT\n"),
        number => format!("p{number}@example.com,Person {number},AGENT\n"),
    };
    std::iter::once("email,first_name,role\n".to_owned()).chain((0..10_000).map(row)).collect()
}

#[both_databases]
async fn ten_thousand_rows_are_checked_marked_and_applied(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let started = start(&admin, ten_thousand(true)).await;
    let refused = check(&admin, &started["id"], json!({})).await;
    assert_eq!(json!([refused["state"], refused["rowErrorCount"]]), json!(["REFUSED", 38]));
    let marked = crate::spreadsheet_import::download(&admin, refused["markedWorkbookPath"].as_str().unwrap()).await;
    assert_eq!(Xlsx::new(Cursor::new(&marked)).unwrap().worksheet_range("Users").unwrap().height(), 10_001);
    let started = start(&admin, ten_thousand(false)).await;
    assert_eq!(check(&admin, &started["id"], json!({ "sendWelcome": false })).await["created"], 10_000);
    let applied = apply(&admin, &started["id"]).await;
    assert_eq!(json!([applied["state"], applied["created"]]), json!(["APPLIED", 10_000]), "{applied}");
}
