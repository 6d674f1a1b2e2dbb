//! Imports with a sheet's own headings and words, and with other keys than the address.

use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use vestibule::entity::{mail, user};

use crate::process::{command, run};
use crate::spreadsheet_import::{counts, post, workbook};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

/// Payload of an import with these options.
async fn import(client: &Client, file: impl Into<Vec<u8>>, input: Value) -> Value {
    let answer = post(client, file.into(), input).await;
    assert!(answer.body["errors"].is_null(), "{}", answer.body);
    answer.body["data"]["importUsers"].clone()
}

async fn row(app: &TestApp, username: &str) -> user::Model {
    let found = user::Entity::find().filter(user::Column::Username.eq(username)).one(app.db()).await.unwrap();
    found.unwrap_or_else(|| panic!("there is no {username}"))
}

/// Mapping of a German sheet.
fn german() -> Value {
    json!([
        { "heading": "e-mail", "target": "EMAIL" },
        { "heading": "Kürzel", "target": "USERNAME" },
        { "heading": "Nachname", "target": "LAST_NAME" },
        { "heading": "Rolle", "target": "ROLE", "words": [{ "word": "leitung", "value": "MANAGER" }] },
        { "heading": "Aktiv", "target": "IS_ACTIVE", "words": [
            { "word": "ja", "value": "true" }, { "word": "nein", "value": "false" }, { "word": "?", "value": "" },
        ] },
        { "heading": "Schuhgröße", "target": null },
    ])
}

#[both_databases]
async fn a_sheet_keeps_its_own_headings_and_words(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let file = workbook([
        vec!["Schuhgröße", "E-Mail", "Kürzel", "NACHNAME", "Rolle", "Aktiv"],
        vec!["44", "ann@example.com", "ann", "Bär", "Leitung", "NEIN"],
        vec!["#45", "bob@example.com", "bob", "", "agent", "?"],
    ]);
    assert_eq!(counts(&import(&admin, file, json!({ "mapping": german() })).await), (2, 0, 0));
    let (ann, bob) = (row(&app, "ann").await, row(&app, "bob").await);
    assert_eq!((ann.last_name.as_str(), ann.role, ann.is_active), ("Bär", user::Role::Manager, false));
    assert_eq!((bob.role, bob.is_active), (user::Role::Agent, true));
}

#[both_databases]
async fn the_worksheet_is_found_by_the_mapped_heading(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let mut book = rust_xlsxwriter::Workbook::new();
    book.add_worksheet().set_name("Hinweise").unwrap().write(0, 0, "Bitte lesen").unwrap();
    let sheet = book.add_worksheet().set_name("Personen").unwrap();
    sheet.write(0, 0, "E-Mail").unwrap().write(1, 0, "ann@example.com").unwrap();
    let file = book.save_to_buffer().unwrap();
    let mapping = json!([{ "heading": "E-Mail", "target": "EMAIL" }]);
    let imported = import(&admin, file, json!({ "mapping": mapping })).await;
    assert_eq!((counts(&imported), &imported["sheet"]), ((1, 0, 0), &json!("Personen")));
}

#[both_databases]
async fn a_wrong_mapping_is_refused_before_the_file_is_read(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    for (mapping, code, message) in [
        (json!([{ "heading": " ", "target": "EMAIL" }]), "REQUIRED", "Name the heading"),
        (json!([{ "heading": "a", "target": "EMAIL" }, { "heading": "A " }]), "INVALID", "appears twice"),
        (
            json!([{ "heading": "a", "target": "BIO" }, { "heading": "b", "target": "BIO" }]),
            "INVALID",
            "stand for `bio`",
        ),
        (
            json!([{ "heading": "a", "target": "ROLE", "words": [{ "word": "x", "value": "KING" }] }]),
            "INVALID",
            "Use ADMIN, MANAGER",
        ),
        (json!([{ "heading": "x".repeat(201), "target": "EMAIL" }]), "TOO_LONG", "200 characters"),
    ] {
        let payload = import(&admin, "email\nann@example.com\n", json!({ "mapping": mapping })).await;
        let error = &payload["errors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!("mapping")), "{mapping}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 1);
}

#[both_databases]
async fn errors_name_the_value_and_what_it_collides_with(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let admin = app.admin().await;
    let file = "E-Mail;Kürzel;Rolle\n\
        ann@example.com;ann;Leitung\n\
        nobody;bob;König\n\
        cy@example.com;ANN;\n\
        ann@example.com;dora;\n\
        eve@example.com;ada;\n";
    let payload = import(&admin, file, json!({ "mapping": german() })).await;
    let errors = payload["rowErrors"].as_array().unwrap();
    let seen: Vec<Value> = errors
        .iter()
        .map(|error| json!([error["row"], error["column"], error["value"], error["otherRow"], error["otherUserId"]]))
        .collect();
    let expected = json!([
        [3, "E-Mail", "nobody", null, null],
        [3, "Rolle", "König", null, null],
        [4, "Kürzel", "ANN", 2, null],
        [5, "E-Mail", "ann@example.com", 2, null],
        [6, "Kürzel", "ada", null, ada.id],
    ]);
    assert_eq!(json!(seen), expected);
    assert_eq!(payload["rowErrorCount"], 5);
}

#[both_databases]
async fn many_errors_are_counted_by_kind_without_a_cut(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let file = format!("email,role\n{}ann@example.com,boss\n", "nobody,\n".repeat(3000));
    let payload = import(&admin, file, json!({})).await;
    assert_eq!((payload["rowErrors"].as_array().unwrap().len(), &payload["rowErrorCount"]), (1000, &json!(3001)));
    let kinds = &payload["rowErrorKinds"];
    assert_eq!(json!([kinds[0]["column"], kinds[0]["count"], kinds[0]["firstRow"]]), json!(["email", 3000, 2]));
    assert_eq!(json!([kinds[1]["column"], kinds[1]["count"], kinds[1]["firstRow"]]), json!(["role", 1, 3002]));
}

#[both_databases]
async fn an_address_changes_by_sheet_as_by_update_user(place: Place) {
    let app = TestApp::start(&place).await;
    let person = app.add(json!({ "email": "ada@example.com", "username": "ada", "password": PASSWORD })).await;
    app.prove(&person).await;
    app.add_user("bob").await;
    let admin = app.admin().await;
    app.mails().await;
    let by_username = json!({ "matchBy": "USERNAME" });
    let file = "username,email,first_name\nADA,countess@example.com,Augusta\n";
    assert_eq!(counts(&import(&admin, file, by_username.clone()).await), (0, 1, 0));
    let ada = row(&app, "ada").await;
    assert_eq!((ada.email.as_str(), ada.email_key.as_str()), ("countess@example.com", "countess@example.com"));
    assert_eq!((ada.first_name.as_str(), ada.email_proved), ("Augusta", false));
    let notices = mail::Entity::find().filter(mail::Column::Kind.eq(mail::Kind::EmailChanged));
    let notices = notices.filter(mail::Column::Recipient.eq("ada@example.com"));
    assert_eq!(notices.count(app.db()).await.unwrap(), 1, "the old address gets the undo link");
    let events = admin.data("{ auditEvents(filter: { action: EMAIL_CHANGED }) { totalCount } }", json!({})).await;
    assert_eq!(events["auditEvents"]["totalCount"], 1);

    // The same file again changes nothing. Addresses of others are refused, also those that can be restored.
    assert_eq!(counts(&import(&admin, file, by_username.clone()).await), (0, 0, 1));
    for (address, holder) in [("countess@example.com", json!(ada.id)), ("ada@example.com", Value::Null)] {
        let payload = import(&admin, format!("username,email\nbob,{address}\n"), by_username.clone()).await;
        let error = &payload["rowErrors"][0];
        let seen = json!([error["row"], error["column"], error["code"], error["otherUserId"]]);
        assert_eq!(seen, json!([2, "email", "ALREADY_EXISTS", holder]), "{payload}");
    }
    // Nobody changes their own address, and a new account needs one.
    let payload = import(&admin, "username,email\nadmin,x@example.com\nnew,\n", by_username).await;
    let codes: Vec<&str> =
        payload["rowErrors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["INVALID", "REQUIRED"], "{payload}");
}

#[both_databases]
async fn rows_match_by_external_id(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let admin = app.admin().await;
    // The first sheet gives accounts their ids.
    let mapping = json!([{ "heading": "Personalnummer", "target": "EXTERNAL_ID" }]);
    let ids = "email,Personalnummer\nada@example.com,007\nbob@example.com,008\n";
    assert_eq!(counts(&import(&admin, ids, json!({ "mapping": mapping.clone() })).await), (1, 1, 0));
    assert_eq!(row(&app, "ada").await.external_id.as_deref(), Some("007"));

    let by_id = json!({ "mapping": mapping.clone(), "matchBy": "EXTERNAL_ID" });
    let file = "Personalnummer,email,username\n007,countess@example.com,countess\n009,cy@example.com,cy\n";
    assert_eq!(counts(&import(&admin, file, by_id.clone()).await), (1, 1, 0));
    assert_eq!(row(&app, "countess").await.email, "countess@example.com");
    assert_eq!(row(&app, "cy").await.external_id.as_deref(), Some("009"));

    // An id neither changes nor moves.
    let moved = "email,Personalnummer\ncountess@example.com,010\nnew@example.com,009\n";
    let payload = import(&admin, moved, json!({ "mapping": mapping })).await;
    let errors: Vec<Value> = payload["rowErrors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| json!([error["row"], error["column"], error["code"]]))
        .collect();
    assert_eq!(
        json!(errors),
        json!([[2, "Personalnummer", "INVALID"], [3, "Personalnummer", "ALREADY_EXISTS"]]),
        "{payload}"
    );
    let twice = "Personalnummer,first_name\n007,a\n007,b\n,c\n";
    let payload = import(&admin, twice, by_id).await;
    assert_eq!(json!([payload["rowErrors"][0]["otherRow"], payload["rowErrors"][1]["code"]]), json!([2, "REQUIRED"]));
    // Without a mapping, the column of an export is ignored.
    assert_eq!(counts(&import(&admin, "email,external_id\ncy@example.com,999\n", json!({})).await), (0, 0, 1));
}

#[both_databases]
async fn the_command_line_takes_a_mapping_and_a_key(place: Place) {
    let [sheet, mapping] = ["users.csv", "mapping.json"].map(|name| place.folder.join(name));
    let import = |text: &str, options: &[&str]| {
        std::fs::write(&sheet, text).unwrap();
        let own = ["import", "users", sheet.to_str().unwrap(), "--mapping", mapping.to_str().unwrap()];
        run(command(&place), &[&own, options].concat(), "")
    };
    let columns = json!([
        { "heading": "Mail", "target": "EMAIL" },
        { "heading": "Nr", "target": "EXTERNAL_ID" },
        { "heading": "Rolle", "target": "ROLE", "words": [{ "word": "Leitung", "value": "MANAGER" }] },
    ]);
    std::fs::write(&mapping, json!({ "columns": columns }).to_string()).unwrap();
    let rights = "row 2, ann@example.com: role new account -> MANAGER\n";
    let done = |text: &str| (true, format!("{text}\n"), String::new());
    let first = import("Mail,Nr,Rolle\nann@example.com,7,leitung\n", &["--no-welcome"]);
    assert_eq!(first, done(&format!("{rights}created: 1, updated: 0, unchanged: 0")));
    let moved = import("Mail,Nr\nanna@example.com,7\n", &["--match-by", "external-id", "--no-welcome"]);
    assert_eq!(moved, done("created: 0, updated: 1, unchanged: 0"));
    std::fs::write(&mapping, "{").unwrap();
    let (success, _, errors) = import("Mail\n", &[]);
    assert!(!success && errors.contains("mapping.json"), "{errors}");
}
