//! Spreadsheets of users.

use serde_json::json;
use test_macros::both_databases;

use crate::spreadsheet_import::{counts, download, import, post, template, workbook};
use crate::test_app::TestApp;
use crate::test_database::Place;

const HEADINGS: [&str; 10] =
    ["email", "username", "first_name", "last_name", "bio", "phone", "address", "role", "permission", "is_active"];

#[both_databases]
async fn the_template_has_headings_for_anyone_and_users_for_staff(place: Place) {
    let app = TestApp::start(&place).await;
    assert_eq!(template(&app.anyone()).await, [HEADINGS]);
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let expected = ["boss@example.com", "boss", "", "", "", "", "", "MEMBER", "ONLY_VIEW", "true"];
    assert_eq!(template(&boss).await, [HEADINGS, expected]);
}

#[both_databases]
async fn a_filled_template_creates_and_updates_users_by_address(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let admin = app.admin().await;
    let file = workbook([
        ["first_name", "bio", "email"],
        ["Ada", "Counts", "ada@example.com"],
        ["Ben", "", "ben@example.com"],
    ]);
    assert_eq!(counts(&import(&admin, file).await), (1, 1, 0));
    let users = admin.data("{ users { nodes { email firstName bio } } }", json!({})).await;
    let users = users["users"]["nodes"].as_array().unwrap();
    assert!(users.contains(&json!({ "email": "ada@example.com", "firstName": "Ada", "bio": "Counts" })));
    assert!(users.contains(&json!({ "email": "ben@example.com", "firstName": "Ben", "bio": "" })));

    let payload = import(&admin, *b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").await;
    assert_eq!(
        (&payload["errors"][0]["code"], &payload["errors"][0]["field"]),
        (&json!("FILE_UNSUPPORTED"), &json!("file"))
    );
    let missing = "mutation { importUsers(input: { file: null }) { created } }";
    assert!(!admin.send(missing, json!({})).await.body["errors"].is_null());
    assert_eq!(
        post(&admin, Vec::new(), json!({})).await.body["data"]["importUsers"]["rowErrors"][0]["column"],
        "email"
    );
}

#[both_databases]
async fn large_lists_of_users_are_exported_and_imported(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let rows: String = (0..1500).map(|number| format!("u{number}@example.com,U{number}\n")).collect();
    assert_eq!(counts(&import(&admin, format!("email,first_name\n{rows}")).await), (1500, 0, 0));
    for path in ["/export/users.xlsx", "/export/users.csv"] {
        assert_eq!(counts(&import(&admin, download(&admin, path).await).await), (0, 0, 1501));
    }
}
