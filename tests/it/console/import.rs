//! Imports of users in the console, without scripts.

use std::time::Duration;

use reqwest::multipart::{Form as Multipart, Part};
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::json;
use test_macros::both_databases;
use vestibule::entity::user;

use super::{Form, signed_in, superuser};
use crate::pages::{Browser, attribute, text};
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

/// Uploads a file with this secret, and returns the page of the import.
async fn upload_with(browser: &mut Browser<'_>, app: &TestApp, csrf: &str, file: &str) -> Answer {
    let file = Part::bytes(file.as_bytes().to_vec()).file_name("<b>Mitglieder.csv");
    let form = Multipart::new().text("csrf", csrf.to_owned()).part("file", file);
    let sent = browser.finish(app.anyone().request("POST", "/console/import").multipart(form)).await;
    if sent.status != 303 {
        return sent;
    }
    let page = sent.header("location").to_owned();
    browser.open(&page).await
}

async fn upload(browser: &mut Browser<'_>, app: &TestApp, file: &str) -> Answer {
    let page = browser.open("/console/import").await;
    let csrf = Form::of(&page, "/console/import").value("csrf").to_owned();
    upload_with(browser, app, &csrf, file).await
}

/// Address of the form of a dry run.
fn action(page: &Answer) -> String {
    let form =
        text(page).split("<form").find(|form| form.contains("heading-0")).unwrap_or_else(|| panic!("{}", text(page)));
    attribute(form, "action")
}

/// The page once the step has ended.
async fn ended(browser: &mut Browser<'_>, path: &str) -> Answer {
    for _ in 0..200 {
        let page = browser.open(path).await;
        if !text(&page).contains("http-equiv=\"refresh\"") {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the step does not end");
}

const MESSY: &str = "E-Mail;Nachname;Funktion;aktiv;Schuhgröße\n\
    ann@example.com;Bär;Leitung;ja;44\n\
    nobody;Cy;Mitglied;nein;45\n\
    ann@example.com;Dora;Köchin;ja;46\n";

#[both_databases]
async fn a_messy_sheet_is_mapped_checked_corrected_and_applied(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = superuser(&app).await;
    let page = upload(&mut browser, &app, MESSY).await;
    assert!(text(&page).contains("&#60;b&#62;Mitglieder.csv") && !text(&page).contains("<b>Mit"), "{}", text(&page));
    let path = action(&page);
    let form = Form::of(&page, &path);
    let meanings: Vec<&str> = (0..5).map(|index| form.value(&format!("target-{index}"))).collect();
    assert_eq!(meanings, ["email", "last_name", "role", "is_active", ""]);
    assert!(form.value("words-2").contains("Leitung = MANAGER"), "{}", form.value("words-2"));
    form.send(&mut browser).await;
    let refused = ended(&mut browser, &path).await;
    for part in ["Nothing was changed.", "nobody", "Köchin", "Row 2", "Kinds of errors", "marked.xlsx"] {
        assert!(text(&refused).contains(part), "{part} in {}", text(&refused));
    }
    let request = app.anyone().request("GET", &format!("{path}/marked.xlsx"));
    let marked = browser.finish(request).await;
    assert_eq!(marked.status, 200);
    assert!(marked.header("content-disposition").contains("import-marked-"));

    let right =
        MESSY.replace("nobody", "cy@example.com").replace("ann@example.com;Dora;Köchin", "dora@example.com;Dora;");
    let page = upload(&mut browser, &app, &right).await;
    let path = action(&page);
    Form::of(&page, &path).send(&mut browser).await;
    let checked = ended(&mut browser, &path).await;
    for part in ["<dd>3</dd>", "MANAGER", "(new account)", "ann@example.com"] {
        assert!(text(&checked).contains(part), "{part} in {}", text(&checked));
    }
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 1);
    Form::of(&checked, &format!("{path}/apply")).send(&mut browser).await;
    let applied = ended(&mut browser, &path).await;
    assert!(text(&applied).contains("All changes were written."), "{}", text(&applied));
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 4);
    let history = browser.open("/console/import").await;
    assert!(text(&history).contains("3 created, 0 updated, 0 unchanged") && text(&history).contains("3 errors"));
}

#[both_databases]
async fn a_wrong_mapping_is_explained_and_what_was_typed_stays(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = superuser(&app).await;
    let page = upload(&mut browser, &app, MESSY).await;
    let path = action(&page);
    let form = Form::of(&page, &path).with("words-2", "Leitung = MANAGER\r\nKöchin").with("target-4", "bio");
    let again = form.send(&mut browser).await;
    assert_eq!(again.status, 422);
    assert!(text(&again).contains("This line has no `=`: Köchin"), "{}", text(&again));
    let form = Form::of(&again, &path);
    assert_eq!((form.value("words-2"), form.value("target-4")), ("Leitung = MANAGER\r\nKöchin", "bio"));
}

#[both_databases]
async fn an_old_session_proves_itself_before_a_check(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = superuser(&app).await;
    app.wait(Duration::from_secs(11 * 60));
    let page = upload(&mut browser, &app, "email\nann@example.com\n").await;
    let path = action(&page);
    let question = Form::of(&page, &path).send(&mut browser).await;
    assert!(text(&question).contains("Your password"), "{}", text(&question));
    Form::of(&question, &path).with("proofPassword", ADMIN.1).send(&mut browser).await;
    assert!(text(&ended(&mut browser, &path).await).contains("The file has no errors."));
}

#[both_databases]
async fn files_of_other_sites_and_of_people_who_are_no_staff_are_not_read(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add(json!({ "email": "ada@example.com", "username": "ada", "password": PASSWORD })).await;
    let mut browser = superuser(&app).await;
    browser.open("/console/import").await;
    assert_eq!(upload_with(&mut browser, &app, "wrong", MESSY).await.status, 403);
    let mut other = signed_in(&app, &ada).await;
    let csrf = other.cookie("csrf").unwrap().to_owned();
    assert_eq!(upload_with(&mut other, &app, &csrf, MESSY).await.status, 403);
    let list = browser.open("/console/import").await;
    assert!(text(&list).contains("Nobody has imported users yet."), "{}", text(&list));
}

#[both_databases]
async fn files_that_cannot_be_read_are_explained(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = superuser(&app).await;
    let page = upload(&mut browser, &app, "PK\u{3}\u{4}").await;
    assert!(page.status == 422 && text(&page).contains("The file is damaged"), "{}: {}", page.status, text(&page));
    let page = upload(&mut browser, &app, &"x".repeat(10 * 1024 * 1024 + 1)).await;
    assert!(text(&page).contains("The file is too large."), "{}", text(&page));
    assert_eq!(browser.open("/console/import/00000000-0000-7000-8000-000000000000").await.status, 404);
    assert_eq!(browser.open("/console/import/x").await.status, 404);
}
