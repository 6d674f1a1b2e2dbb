//! Import of users from spreadsheets.

use std::time::Duration;
use test_macros::both_databases;

use calamine::{Reader as _, Xlsx};
use reqwest::multipart::{Form, Part};
use rust_xlsxwriter::Workbook;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde_json::{Value, json};
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{lease, mail, user};

use crate::avatars::{MAP, send};
use crate::process::{command, run};
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::{Answer, Client};
use crate::test_database::Place;

const IMPORT: &str = "mutation($input: ImportUsersInput!) { importUsers(input: $input) {
    created updated unchanged sheet otherSheets rightsChangeCount rightsChanges { row userId email field before after } rowErrors { row column code message value otherRow otherUserId } rowErrorCount rowErrorKinds { column code count firstRow message } errors { code field message }
} }";

/// Sends a file to import.
pub(crate) async fn post(client: &Client, file: Vec<u8>, mut input: Value) -> Answer {
    input["file"] = Value::Null;
    let operations = json!({ "query": IMPORT, "variables": { "input": input } }).to_string();
    let file = Part::bytes(file).file_name("users.xlsx");
    send(client, Form::new().text("operations", operations).text("map", MAP).part("0", file)).await
}

/// Payload of an import.
pub(crate) async fn import(client: &Client, file: impl Into<Vec<u8>>) -> Value {
    import_with(client, file, json!({})).await
}

async fn import_with(client: &Client, file: impl Into<Vec<u8>>, input: Value) -> Value {
    let answer = post(client, file.into(), input).await;
    assert!(answer.body["errors"].is_null(), "{}", answer.body);
    answer.body["data"]["importUsers"].clone()
}

/// A workbook with these rows.
pub(crate) fn workbook<'a>(rows: impl IntoIterator<Item = impl IntoIterator<Item = &'a str>>) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (number, row) in (0..).zip(rows) {
        sheet.write_row(number, 0, row).unwrap();
    }
    book.save_to_buffer().unwrap()
}

/// Numbers of created, updated and unchanged users; the import must have no errors.
pub(crate) fn counts(payload: &Value) -> (u64, u64, u64) {
    assert_eq!((&payload["rowErrors"], &payload["errors"]), (&json!([]), &json!([])), "{payload}");
    let count = |name: &str| payload[name].as_u64().unwrap();
    (count("created"), count("updated"), count("unchanged"))
}

/// Row errors as `ROW COLUMN CODE`; nothing may have been written.
fn row_errors(payload: &Value) -> Vec<String> {
    assert_eq!(payload["errors"], json!([]));
    assert!(payload["created"].is_null() && payload["updated"].is_null() && payload["unchanged"].is_null());
    let one = |error: &Value| {
        let column = error["column"].as_str().unwrap_or("-");
        format!("{} {column} {}", error["row"], error["code"].as_str().unwrap())
    };
    payload["rowErrors"].as_array().unwrap().iter().map(one).collect()
}

async fn user(app: &TestApp, email: &str) -> user::Model {
    let found = user::Entity::find().filter(user::Column::Email.eq(email)).one(app.db()).await.unwrap();
    found.unwrap_or_else(|| panic!("there is no {email}"))
}

async fn events(app: &TestApp) -> Vec<(Action, Option<uuid::Uuid>)> {
    let events = audit_event::Entity::find().order_by_asc(audit_event::Column::CreatedAt).all(app.db()).await.unwrap();
    let mut events: Vec<_> = events.into_iter().map(|event| (event.action, event.target_id)).collect();
    events.retain(|(action, _)| *action != Action::Login);
    events
}

/// Rows of the template.
pub(crate) async fn template(client: &Client) -> Vec<Vec<String>> {
    let mut book = Xlsx::new(std::io::Cursor::new(download(client, "/import/users.xlsx").await)).unwrap();
    let range = book.worksheet_range("Users").unwrap();
    range.rows().map(|row| row.iter().map(ToString::to_string).collect()).collect()
}

pub(crate) async fn download(client: &Client, path: &str) -> Vec<u8> {
    let mut request = client.request("GET", path);
    if let Some(token) = &client.access {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap().to_vec()
}

#[both_databases]
async fn users_are_created_with_defaults_and_invited(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let file = workbook([
        vec![
            "Bio",
            " EMAIL ",
            "role",
            "Is_Active",
            "username",
            "first_name",
            "last_name",
            "phone",
            "address",
            "permission",
        ],
        vec![
            "One\ntwo",
            " Ann@Example.com ",
            "manager",
            "NO",
            "ann.b",
            "Zoe\u{308}",
            "=1+1",
            "+44 20",
            "1 High St",
            "full_access",
        ],
        vec!["", "bob@example.com"],
    ]);
    assert_eq!(counts(&import(&admin, file).await), (2, 0, 0));

    let ann = user(&app, "Ann@Example.com").await;
    assert_eq!(
        (ann.email_key.as_str(), ann.username.as_str(), ann.username_key.as_str()),
        ("ann@example.com", "ann.b", "ann.b")
    );
    assert_eq!((ann.first_name.as_str(), ann.last_name.as_str(), ann.bio.as_str()), ("Zo\u{eb}", "=1+1", "One\ntwo"));
    assert_eq!((ann.phone.as_str(), ann.address.as_str()), ("+44 20", "1 High St"));
    assert_eq!((ann.role, ann.permission), (user::Role::Manager, user::Permission::FullAccess));
    assert!(!ann.is_active && !ann.is_verified && !ann.is_staff && !ann.is_superuser && ann.password_hash.is_none());
    let bob = user(&app, "bob@example.com").await;
    assert!(bob.username.starts_with("user-"), "{}: nobody chose it", bob.username);
    assert_eq!((bob.role, bob.permission), (user::Role::Member, user::Permission::OnlyView));
    assert!(bob.is_active && bob.first_name.is_empty());

    // Only users who can sign in get a mail. The link sets a password, and confirms the address.
    let mails = app.mails().await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].to == "bob@example.com" && mails[0].text.contains("/account/"), "{}", mails[0].text);

    assert_eq!(counts(&import_with(&admin, "email\ncy@example.com", json!({ "sendWelcome": false })).await), (1, 0, 0));
    assert_eq!(
        mail::Entity::find().filter(mail::Column::Recipient.eq("cy@example.com")).count(app.db()).await.unwrap(),
        0
    );
}

#[both_databases]
async fn users_are_updated_by_address_and_the_rest_stays(place: Place) {
    let app = TestApp::start(&place).await;
    app.add(
        json!({ "email": "Ada@example.com", "username": "ada", "password": PASSWORD, "firstName": "Ada", "phone": "1",
        "role": "AGENT" }),
    )
    .await;
    let before = user(&app, "Ada@example.com").await;
    app.wait(Duration::from_secs(5));
    let file = workbook([
        vec!["email", "first_name", "phone", "username"],
        vec!["aDA@EXAMPLE.com", "Augusta", "", "Countess"],
    ]);
    assert_eq!(counts(&import(&app.admin().await, file).await), (0, 1, 0));
    let after = user(&app, "Ada@example.com").await;
    let expected = user::Model {
        first_name: "Augusta".to_owned(),
        first_name_key: "augusta".to_owned(),
        username: "Countess".to_owned(),
        username_key: "countess".to_owned(),
        updated_at: app.clock_now(),
        ..before
    };
    assert_eq!(after, expected);
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn a_second_time_changes_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let file = "email,first_name,role,is_active,bio\nann@example.com,Ann,AGENT,no,\"a\r\nb\"\nbob@example.com,,,,\n";
    assert_eq!(counts(&import(&admin, file).await), (2, 0, 0));
    app.mails().await;
    let (users, known) = (user::Entity::find().all(app.db()).await.unwrap(), events(&app).await.len());
    app.wait(Duration::from_secs(5));
    assert_eq!(counts(&import(&admin, file).await), (0, 0, 2));
    assert_eq!(events(&app).await.len(), known);
    assert_eq!(user::Entity::find().all(app.db()).await.unwrap().len(), users.len());
    assert!(user(&app, "ann@example.com").await.updated_at < app.clock_now());
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn all_errors_are_reported_by_row_and_column(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let admin = app.admin().await;
    let long = "x".repeat(151);
    let file = format!(
        "email,username,first_name,role,permission,is_active,phone,shoe size\n\
         ann@example.com,ann,{long},boss,all,maybe,1,44\n\
         ,b@d,,,,,,,stray\n\
         nobody,ada,,,,,,\n\
         \n\
         ANN@example.com,ANN,a\u{202e}b,admin,,,,\n\
         cy@example.com,ADA,,,,,,\n"
    );
    let payload = import(&admin, file).await;
    let expected = [
        "1 shoe size INVALID",
        "2 first_name TOO_LONG",
        "2 role INVALID",
        "2 permission INVALID",
        "2 is_active INVALID",
        "3 username INVALID",
        "3 - INVALID",
        "3 email REQUIRED",
        "4 email INVALID",
        "6 first_name INVALID",
        "6 username ALREADY_EXISTS",
        "6 email ALREADY_EXISTS",
        "7 username ALREADY_EXISTS",
    ];
    assert_eq!(row_errors(&payload), expected);
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 2);

    let file = workbook([vec!["email", "phone"], vec![""], vec!["x"], vec!["y"]]);
    assert_eq!(row_errors(&import(&admin, file).await), ["3 email INVALID", "4 email INVALID"]);

    let many = format!("email\n{}", "nobody\n".repeat(3000));
    let errors = row_errors(&import(&admin, many).await);
    assert_eq!((errors.len(), errors[999].as_str()), (1000, "1001 email INVALID"));
}

#[both_databases]
async fn the_heading_decides(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    for (file, expected) in [
        ("", vec!["1 email REQUIRED"]),
        ("username,phone\nann,1\n", vec!["1 email REQUIRED"]),
        (
            "ann@example.com,Ann\nbob@example.com,Bob\n",
            vec!["1 ann@example.com INVALID", "1 Ann INVALID", "1 email REQUIRED"],
        ),
        ("email,phone,Email,Phone\n", vec!["1 Email INVALID", "1 Phone INVALID"]),
        ("email,,phone\nann@example.com,x,1\n", vec!["2 - INVALID"]),
        ("email,password\nann@example.com,geheim\n", vec!["1 password INVALID"]),
        ("email,is_superuser\nann@example.com,true\n", vec!["1 is_superuser INVALID"]),
        ("email,is_staff\nann@example.com,true\n", vec!["2 is_staff INVALID"]),
    ] {
        assert_eq!(row_errors(&import(&admin, file).await), expected, "{file}");
    }
    assert_eq!(counts(&import(&admin, "email,phone\n").await), (0, 0, 0));
    for (number, file) in
        ["phone;email\n1;a{}@x.example", "\u{feff}email\ta b\r\na{}@x.example", "\"EMAIL\",\na{}@x.example,"]
            .iter()
            .enumerate()
    {
        let file = file.replace("{}", &number.to_string()).replace("\ta b", "");
        assert_eq!(counts(&import(&admin, file).await), (1, 0, 0));
    }
}

#[both_databases]
async fn guard_rails_hold(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    app.add_staff("carl").await;
    let (staff, admin) = (boss, app.admin().await);
    let second = app.add(json!({ "email": "second@localhost", "username": "second" })).await.id;
    let second = user::ActiveModel { id: Set(second.parse().unwrap()), is_superuser: Set(true), ..Default::default() };
    user::Entity::update(second).exec(app.db()).await.unwrap();
    let row = |cells: &str| format!("email,first_name,role,is_active,permission\n{cells}\n");
    for (client, cells, expected) in [
        (&staff, "admin@localhost,Mallory,,", "2 email CANNOT_EDIT_SUPERUSER"),
        (&staff, "admin@localhost,,,no", "2 email CANNOT_EDIT_SUPERUSER"),
        (&staff, "admin@localhost,,MANAGER,", "2 email CANNOT_EDIT_SUPERUSER"),
        // Nothing would change, which staff must not learn.
        (&staff, "admin@localhost,,MEMBER,yes", "2 email CANNOT_EDIT_SUPERUSER"),
        (&staff, "boss@example.com,,,no", "2 is_active CANNOT_DEACTIVATE_SELF"),
        (&staff, "boss@example.com,,ADMIN,", "2 role CANNOT_DEMOTE_SELF"),
        (&admin, "second@localhost,Mallory,,", "2 first_name CANNOT_EDIT_SUPERUSER"),
        (&admin, "second@localhost,,,no", "2 is_active CANNOT_EDIT_SUPERUSER"),
        (&admin, "admin@localhost,,,no", "2 is_active CANNOT_DEACTIVATE_SELF"),
        (&admin, "admin@localhost,,AGENT,", "2 role CANNOT_DEMOTE_SELF"),
        (&staff, "boss@example.com,,,,FULL_ACCESS", "2 permission CANNOT_DEMOTE_SELF"),
        (&admin, "admin@localhost,,,,DOWNLOAD", "2 permission CANNOT_DEMOTE_SELF"),
        (&admin, "second@localhost,,,,DOWNLOAD", "2 permission CANNOT_EDIT_SUPERUSER"),
    ] {
        assert_eq!(row_errors(&import(client, row(cells)).await), [expected], "{cells}");
    }
    for (client, cells) in [
        (&staff, "boss@example.com,Bo,,yes"),
        (&staff, "carl@example.com,O,ADMIN,no,DOWNLOAD"),
        (&admin, "admin@localhost,Al,,"),
    ] {
        assert_eq!(counts(&import(client, row(cells)).await), (0, 1, 0), "{cells}");
    }
    let kept = user(&app, ADMIN.0).await;
    assert!(kept.is_active && kept.is_superuser && kept.first_name == "Al");
}

#[both_databases]
async fn a_dry_run_writes_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let admin = app.admin().await;
    let before = (user::Entity::find().all(app.db()).await.unwrap(), events(&app).await);
    let file = "email,first_name\nada@example.com,Ada\nnew@example.com,\nadmin@localhost,\n";
    let told = import_with(&admin, file, json!({ "dryRun": true })).await;
    assert_eq!(counts(&told), (1, 1, 1));
    let wrong = import_with(&admin, "email\nnobody\n", json!({ "dryRun": true })).await;
    assert_eq!(row_errors(&wrong), ["2 email INVALID"]);
    assert_eq!((user::Entity::find().all(app.db()).await.unwrap(), events(&app).await), before);
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(import(&admin, file).await, told);
}

#[both_databases]
async fn one_wrong_row_keeps_all_out(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let mut file = "email,role\n".to_owned();
    for number in 0..1200 {
        file += &format!("u{number}@example.com,member\n");
    }
    let payload = import(&admin, file + "last@example.com,nothing\n").await;
    assert_eq!(row_errors(&payload), ["1202 role INVALID"]);
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 1);
}

#[both_databases]
async fn usernames_are_made_where_none_are_given(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ann").await;
    let admin = app.admin().await;
    let file = "email,username\nann@x.example,\nann@y.example,\nbob@x.example,\nz@x.example,bob\nz@y.example,ann2\n";
    assert_eq!(counts(&import(&admin, file).await), (5, 0, 0));
    for email in ["ann@x.example", "ann@y.example"] {
        let name = user(&app, email).await.username;
        assert!(name.starts_with("user-") && !name.contains("ann"), "nothing of the address is in it: {name}");
    }
    assert_eq!(user(&app, "z@x.example").await.username, "bob");
    assert!(user(&app, "bob@x.example").await.username.starts_with("user-"));

    // Swapped names are refused: each is taken while the other user has it.
    let swap = "email,username\nz@x.example,ann2\nz@y.example,bob\n";
    let expected = ["2 username ALREADY_EXISTS", "3 username ALREADY_EXISTS"];
    assert_eq!(row_errors(&import(&admin, swap).await), expected);
    // A user's name in another spelling is no conflict.
    assert_eq!(counts(&import(&admin, "email,username\nz@x.example,BOB\n").await), (0, 1, 0));
}

#[both_databases]
async fn each_change_leaves_its_event(place: Place) {
    let app = TestApp::start(&place).await;
    for name in ["ada", "bea", "cy", "dora"] {
        app.add_user(name).await;
    }
    let boss = app.add_staff("boss").await;
    let staff = boss.sign_in(&app).await;
    import(&staff, "email,is_active\ncy@example.com,no\n").await;
    app.wait(Duration::from_secs(1));
    let known = events(&app).await.len();
    let file = "email,phone,is_active\nada@example.com,1,\nbea@example.com,,no\ncy@example.com,2,yes\ndora@example.com,,yes\n\
                eve@example.com,,\n";
    assert_eq!(counts(&import(&staff, file).await), (1, 3, 1));
    let mut expected = vec![
        (Action::UserUpdated, Some(user(&app, "ada@example.com").await.id)),
        (Action::Deactivated, Some(user(&app, "bea@example.com").await.id)),
        (Action::UserUpdated, Some(user(&app, "cy@example.com").await.id)),
        (Action::Activated, Some(user(&app, "cy@example.com").await.id)),
        (Action::UserCreated, Some(user(&app, "eve@example.com").await.id)),
        (Action::UsersImported, None),
    ];
    let mut seen = events(&app).await.split_off(known);
    let order = |event: &(Action, Option<uuid::Uuid>)| format!("{event:?}");
    expected.sort_by_key(order);
    seen.sort_by_key(order);
    assert_eq!(seen, expected);
    let all = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::UserCreated));
    let last = all.order_by_desc(audit_event::Column::CreatedAt).one(app.db()).await.unwrap().unwrap();
    assert_eq!((last.actor_id.map(|id| id.to_string()), last.ip.as_deref()), (Some(boss.id), Some("127.0.0.1")));
}

#[both_databases]
async fn users_deactivated_by_an_import_are_signed_out(place: Place) {
    let app = TestApp::start(&place).await;
    let mut ada = app.add_user("ada").await.sign_in(&app).await;
    import(&app.admin().await, "email,is_active\nada@example.com,false\n").await;
    assert_eq!(ada.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    assert_eq!(ada.refresh().await, Err("INVALID_TOKEN".to_owned()));
}

#[both_databases]
async fn an_export_is_imported_unchanged(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_staff("boss").await;
    app.add(
        json!({ "email": "+eve@example.com", "username": "eve", "password": PASSWORD, "firstName": "=HYPERLINK(\"x\")",
        "lastName": "'=1", "phone": "+44 20", "address": "1 \"High\" Street\nLondon; x,\ty", "role": "ADMIN" }),
    )
    .await;
    app.add(json!({ "email": "zoe@example.com", "username": "12", "phone": "007", "isActive": false })).await;
    let (admin, staff) = (app.admin().await, app.anyone().sign_in("boss", PASSWORD).await);
    for path in ["/export/users.csv", "/export/users.xlsx", "/import/users.xlsx"] {
        assert_eq!(counts(&import(&admin, download(&admin, path).await).await), (0, 0, 4), "{path}");
        assert_eq!(counts(&import(&staff, download(&staff, path).await).await), (0, 0, 3), "{path}");
    }
    let imported = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::UsersImported));
    assert_eq!(imported.count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn only_staff_by_a_session_may_import(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let file = || b"email\nnew@example.com\n".to_vec();
    assert_eq!(post(&app.anyone(), file(), json!({})).await.code(), "UNAUTHENTICATED MISSING");
    assert_eq!(post(&ada, file(), json!({})).await.code(), "FORBIDDEN");
    let (_, secret) = crate::api_tokens::make(&boss, &["READ", "WRITE", "EXPORT", "MANAGE_USERS"]).await;
    assert_eq!(post(&app.anyone().with_token(secret), file(), json!({})).await.code(), "FORBIDDEN");
    for text in ["#__graphql_file__:0", "users.xlsx"] {
        assert_eq!(boss.code(IMPORT, json!({ "input": { "file": text } })).await, "BAD_USER_INPUT");
    }
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 3);
}

#[both_databases]
async fn the_sheet_to_fill_in_shows_users_to_staff_only(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let (_, reading) = crate::api_tokens::make(&boss, &["READ"]).await;
    let (_, exporting) = crate::api_tokens::make(&boss, &["EXPORT"]).await;
    let exported = async || {
        let exported = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::Exported));
        exported.count(app.db()).await.unwrap()
    };
    for client in [&app.anyone(), &ada, &app.anyone().with_token(reading)] {
        let rows = template(client).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0][..2], ["email", "username"]);
    }
    assert_eq!(exported().await, 0);
    for client in [&boss, &app.anyone().with_token(exporting)] {
        let rows = template(client).await;
        assert!(rows.iter().all(|row| row.len() == 10));
        let mut emails: Vec<&str> = rows[1..].iter().map(|row| row[0].as_str()).collect();
        emails.sort_unstable();
        assert_eq!(emails, ["ada@example.com", "boss@example.com"]);
    }
    assert_eq!(exported().await, 2);

    let answer = app.anyone().with_token("nonsense").get("/import/users.xlsx").await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHENTICATED INVALID"));
    let answer = app.anyone().get("/import/users.xlsx").await;
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"import-users-2026-01-05.xlsx\"");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[both_databases]
async fn many_users_are_imported_and_updated(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let sheet = |name: &str| {
        let rows = (0..2300).map(|number| format!("u{number}@example.com,{name}{number},{number}\n"));
        format!("email,first_name,username\n{}", rows.collect::<String>())
    };
    assert_eq!(counts(&import(&admin, sheet("A")).await), (2300, 0, 0));
    assert_eq!(counts(&import(&admin, sheet("B")).await), (0, 2300, 0));
    assert_eq!(counts(&import(&admin, sheet("B")).await), (0, 0, 2300));
    let last = user(&app, "u2299@example.com").await;
    assert_eq!((last.first_name.as_str(), last.username.as_str()), ("B2299", "2299"));
    let queued = mail::Entity::find().filter(mail::Column::Kind.eq(mail::Kind::Welcome)).count(app.db()).await.unwrap();
    assert_eq!(queued, 2300);
}

#[both_databases]
async fn a_row_that_resembles_an_account_is_wrong_and_names_both_addresses(place: Place) {
    let app = TestApp::start(&place).await;
    app.add(json!({ "email": "boss@ex\u{430}mple.com", "username": "intruder" })).await;
    app.add_user("ada").await;
    let (admin, staff) = (app.admin().await, app.add_staff("carl").await.sign_in(&app).await);
    for (row, other) in [
        ("boss@example.com", "boss@ex\u{430}mple.com"),
        ("\u{430}da@example.com", "ada@example.com"),
        ("ada@xn--exmple-4nf.com", "ada@example.com"),
    ] {
        let payload = import(&admin, format!("email,role\n{row},ADMIN\n")).await;
        assert_eq!(row_errors(&payload), ["2 email ALREADY_EXISTS"], "{row}");
        let message = payload["rowErrors"][0]["message"].as_str().unwrap();
        assert!(message.contains(row) && message.contains(other), "{message}");
    }
    // Staff cannot see superusers, not even by look-alikes.
    let payload = import(&staff, "email\n\u{430}dmin@localhost\n").await;
    assert_eq!(row_errors(&payload), ["2 email ALREADY_EXISTS"]);
    assert!(!payload["rowErrors"][0]["message"].as_str().unwrap().contains(ADMIN.0));
    // Two rows of one sheet.
    let payload = import(&admin, "email\nann@example.com\n\u{430}nn@example.com\nANN@example.com\n").await;
    assert_eq!(row_errors(&payload), ["3 email ALREADY_EXISTS", "4 email ALREADY_EXISTS"]);
    let message = payload["rowErrors"][0]["message"].as_str().unwrap();
    assert!(message.contains("\u{430}nn@example.com looks like the address ann@example.com in row 2"), "{message}");
    let intruder = user(&app, "boss@ex\u{430}mple.com").await;
    assert_eq!((intruder.role, intruder.username.as_str()), (user::Role::Member, "intruder"));
    // An equivalent spelling is the same user.
    app.add(json!({ "email": "zoe@m\u{fc}nchen.example", "username": "zoe" })).await;
    let file = "email,first_name\nZOE@xn--mnchen-3ya.example,Zoe\n";
    assert_eq!(counts(&import(&admin, file).await), (0, 1, 0));
    assert_eq!(user(&app, "zoe@m\u{fc}nchen.example").await.first_name, "Zoe");
}

#[both_databases]
async fn changes_of_rights_are_listed_by_a_dry_run_and_by_the_import(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let bob = app.add(json!({ "email": "bob@example.com", "username": "bob", "role": "MANAGER" })).await;
    app.add(json!({ "email": "cy@example.com", "username": "cy", "isStaff": true })).await;
    let file = "email,first_name,role,permission\n\
                bob@example.com,,MEMBER,DOWNLOAD\n\
                ada@example.com,,admin,\n\
                cy@example.com,Cy,ADMIN,ONLY_VIEW\n\
                dee@example.com,,ADMIN,FULL_ACCESS\n\
                eve@example.com,Eve,MEMBER,\n";
    let change = |row: u32, id: Value, name: &str, field: &str, before: Value, after: &str| {
        let email = format!("{name}@example.com");
        json!({ "row": row, "userId": id, "email": email, "field": field, "before": before, "after": after })
    };
    let cy = json!(user(&app, "cy@example.com").await.id.to_string());
    let expected = json!([
        change(2, json!(bob.id), "bob", "ROLE", json!("MANAGER"), "MEMBER"),
        change(2, json!(bob.id), "bob", "PERMISSION", json!("ONLY_VIEW"), "DOWNLOAD"),
        change(3, json!(ada.id), "ada", "ROLE", json!("MEMBER"), "ADMIN"),
        change(3, json!(ada.id), "ada", "STAFF", json!("false"), "true"),
        change(4, cy, "cy", "ROLE", json!("MEMBER"), "ADMIN"),
        change(5, Value::Null, "dee", "ROLE", Value::Null, "ADMIN"),
        change(5, Value::Null, "dee", "PERMISSION", Value::Null, "FULL_ACCESS"),
        change(5, Value::Null, "dee", "STAFF", Value::Null, "true"),
    ]);
    let admin = app.admin().await;
    for dry_run in [true, true, false] {
        let payload = import_with(&admin, file, json!({ "dryRun": dry_run })).await;
        assert_eq!(counts(&payload), (2, 3, 0));
        assert_eq!(payload["rightsChanges"], expected);
        assert_eq!(payload["rightsChangeCount"], 8);
    }
    let again = import(&admin, file).await;
    assert_eq!((&again["rightsChanges"], &again["rightsChangeCount"]), (&json!([]), &json!(0)));
    let wrong = import(&admin, "email,role\nada@example.com,MEMBER\nnobody,\n").await;
    assert_eq!((&wrong["rightsChanges"], &wrong["rightsChangeCount"]), (&json!([]), &Value::Null));
    let rows: String = (0..1100).map(|number| format!("user{number}@example.com,DOWNLOAD\n")).collect();
    let many = import_with(&admin, format!("email,permission\n{rows}"), json!({ "dryRun": true })).await;
    assert_eq!((many["rightsChanges"].as_array().unwrap().len(), &many["rightsChangeCount"]), (1000, &json!(1100)));
}

#[both_databases]
async fn the_command_line_imports_too(place: Place) {
    let file = place.folder.join("users.csv");
    let path = file.to_str().unwrap();
    let import = |text: &str, options: &[&str]| {
        std::fs::write(&file, text).unwrap();
        run(command(&place), &[&["import", "users", path], options].concat(), "")
    };
    let two = "email,role\nann@example.com,ADMIN\nbob@example.com,\n";
    let said = |text: &str| (true, format!("{text}\n"), String::new());
    let rights = "row 2, ann@example.com: role new account -> ADMIN\n\
                  row 2, ann@example.com: is_staff new account -> true\n";
    let dry = said(&format!("{rights}would be created: 2, would be updated: 0, unchanged: 0"));
    assert_eq!(import(two, &["--dry-run"]), dry);
    assert_eq!(import(two, &["--no-welcome"]), said(&format!("{rights}created: 2, updated: 0, unchanged: 0")));
    assert_eq!(import(two, &[]), said("created: 0, updated: 0, unchanged: 2"));
    let (success, printed, errors) = import("email,role\nann@example.com,boss\n,\nnobody,\n", &[]);
    assert!(!success);
    let expected = [
        "row 2, role: Use ADMIN, MANAGER, AGENT or MEMBER.",
        "row 4, email: Enter an email address such as name@example.com.",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
    assert_eq!(errors, "vestibule: nothing was imported: fix these rows and try again\n");
    let (success, printed, errors) = import("\0", &[]);
    assert!(!success && printed.is_empty() && errors.starts_with("vestibule: file: The file is neither"), "{errors}");

    let app = TestApp::start_with(&place, |config| config.data_dir.push("data")).await;
    assert_eq!(user(&app, "ann@example.com").await.role, user::Role::Admin);
    assert_eq!(mail::Entity::find().count(app.db()).await.unwrap(), 0);
    let events = audit_event::Entity::find().all(app.db()).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.action == Action::UsersImported).count(), 1);
    assert!(events.iter().all(|event| event.actor_id.is_none()));
}

#[both_databases]
async fn a_file_whose_quotation_marks_do_not_match_is_refused_with_the_line(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    for (file, expected) in [
        (
            "email,address\nuq1@example.com,\"One Road\nuq2@example.com,Two Road\nuq3@example.com,Three Road\n",
            "Line 2: the quotation mark that opens a cell is never closed.",
        ),
        (
            "email,address,first_name\num1@example.com,\"One Road,A\num2@example.com,\"Two Road\",B\n\
             um3@example.com,Three Road,C\n",
            "Line 2: the quotation mark that opens a cell is not closed before line 3, where text follows.",
        ),
        (
            "email,bio\na@example.com, \"x, y\"\n",
            "Line 2: a cell contains a quotation mark but does not start with one.",
        ),
    ] {
        let payload = import(&admin, file).await;
        let error = &payload["errors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!("FILE_UNSUPPORTED"), &json!("file")), "{payload}");
        assert!(error["message"].as_str().unwrap().starts_with(expected), "{payload}");
        assert!(payload["created"].is_null(), "{payload}");
    }
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 1);
}

#[both_databases]
async fn a_formula_without_a_value_is_an_error_of_its_row(place: Place) {
    let app = TestApp::start(&place).await;
    let file = include_bytes!("../sheets/formula-without-value.xlsx");
    let payload = import(&app.admin().await, file.to_vec()).await;
    assert_eq!(row_errors(&payload), ["2 first_name INVALID", "2 is_active INVALID"]);
    let message = payload["rowErrors"][1]["message"].as_str().unwrap();
    assert!(
        message.starts_with("The cell has a formula that was never calculated. Open the file in a spreadsheet program"),
        "{message}"
    );
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 1);
}

#[both_databases]
async fn rows_that_nobody_filled_in_are_no_users(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let blank = "email,first_name\r\nr3@example.com,A\r\n,\r\n , \r\n,,\r\nr4@example.com,B\r\n,\r\n";
    assert_eq!(counts(&import(&admin, blank).await), (2, 0, 0));

    // A column of checkboxes has one in each of the thousand rows of a new sheet.
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write_row(0, 0, ["email", "is_active", "first_name"]).unwrap();
    sheet.write(1, 0, "ticked@example.com").unwrap().write(1, 1, true).unwrap();
    sheet.write(2, 0, "unticked@example.com").unwrap();
    for row in 2..1000 {
        sheet.write(row, 1, false).unwrap();
    }
    assert_eq!(counts(&import(&admin, book.save_to_buffer().unwrap()).await), (2, 0, 0));
    assert!(user(&app, "ticked@example.com").await.is_active && !user(&app, "unticked@example.com").await.is_active);
    for (row, expected) in
        [("FALSE,,", "2 email INVALID"), (",FALSE,Ann", "2 email REQUIRED"), (",true,", "2 email REQUIRED")]
    {
        let payload = import(&admin, format!("email,is_active,first_name\n{row}\n")).await;
        assert_eq!(row_errors(&payload), [expected], "{row}");
    }
}

#[both_databases]
async fn a_workbook_with_a_logo_is_imported(place: Place) {
    let app = TestApp::start(&place).await;
    let file = include_bytes!("../sheets/logo-svg.xlsx");
    assert_eq!(counts(&import(&app.admin().await, file.to_vec()).await), (1, 0, 0));
    assert_eq!(user(&app, "op@example.com").await.first_name, "Op");
}

#[both_databases]
async fn the_sheet_of_users_is_found_and_others_are_named(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let mut book = Workbook::new();
    let mut chart = rust_xlsxwriter::Chart::new(rust_xlsxwriter::ChartType::Pie);
    chart.add_series().set_values("Users!$A$1:$A$2");
    book.add_chartsheet().set_name("Growth").unwrap().insert_chart(0, 0, &chart).unwrap();
    book.add_worksheet().set_name("Read me").unwrap().write(0, 0, "Fill in the next sheet.").unwrap();
    for (name, address) in [("Users", "ann@example.com"), ("Last year", "bob@example.com")] {
        let sheet = book.add_worksheet().set_name(name).unwrap();
        sheet.write(0, 0, "Email").unwrap().write(1, 0, address).unwrap();
    }
    let payload = import(&admin, book.save_to_buffer().unwrap()).await;
    assert_eq!(counts(&payload), (1, 0, 0));
    assert_eq!((&payload["sheet"], &payload["otherSheets"]), (&json!("Users"), &json!(["Last year"])));
    assert_eq!(user(&app, "ann@example.com").await.email, "ann@example.com");
    let payload = import(&admin, "email\nann@example.com\n").await;
    assert_eq!((&payload["sheet"], &payload["otherSheets"]), (&Value::Null, &json!([])));
}

#[both_databases]
async fn pasted_invisible_characters_are_removed_or_reported(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let file = "email,first_name,phone\n\u{feff}ann@example.com\u{200b},Zo\u{200b}e,\u{202a}+44 20\u{202c}\n";
    assert_eq!(counts(&import(&admin, file).await), (1, 0, 0));
    let ann = user(&app, "ann@example.com").await;
    assert_eq!((ann.first_name.as_str(), ann.phone.as_str()), ("Zoe", "+44 20"));
    assert_eq!(counts(&import(&admin, file).await), (0, 0, 1));
    let payload = import(&admin, "email\nbob@ex\u{200b}ample.com\n").await;
    assert_eq!(row_errors(&payload), ["2 email INVALID"]);
    let message = &payload["rowErrors"][0]["message"];
    assert_eq!(message, "This contains an invisible character (U+200B). Type it again instead of pasting it.");
    app.anyone()
        .data(
            "mutation { requestReset(input: { email: \"\u{200e}ann@example.com \" }) { success errors { code } } }",
            Value::Null,
        )
        .await;
    let mails = app.mails().await;
    assert_eq!(mails.last().map(|mail| mail.to.as_str()), Some("ann@example.com"));
}

#[both_databases]
async fn files_of_spreadsheet_programs_are_read_as_they_show(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let named = "sep=;\r\nemail;address\r\nsep@example.com;\"1, High St\"\r\n";
    assert_eq!(counts(&import(&admin, named).await), (1, 0, 0));
    assert_eq!(user(&app, "sep@example.com").await.address, "1, High St");
    let wide: Vec<u8> = "\u{feff}email\tfirst_name\r\nwide@example.com\tZo\u{eb}\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(counts(&import(&admin, wide).await), (1, 0, 0));
    assert_eq!(user(&app, "wide@example.com").await.first_name, "Zo\u{eb}");
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write_row(0, 0, ["email", "phone", "bio"]).unwrap();
    let format = rust_xlsxwriter::Format::new().set_num_format("0000000000");
    sheet.write(1, 0, "zero@example.com").unwrap().write_with_format(1, 1, 612_345_678, &format).unwrap();
    sheet.write(1, 2, 12.5).unwrap();
    assert_eq!(counts(&import(&admin, book.save_to_buffer().unwrap()).await), (1, 0, 0));
    let zero = user(&app, "zero@example.com").await;
    assert_eq!((zero.phone.as_str(), zero.bio.as_str()), ("0612345678", "12.5"));
    // A byte order mark makes Excel read the text as UTF-8; the import accepts both forms.
    let marked = download(&admin, "/export/users.csv?bom=true").await;
    assert!(marked.starts_with(b"\xef\xbb\xbf\"email\""));
    assert_eq!(counts(&import(&admin, marked).await), (0, 0, 4));
    assert!(download(&admin, "/export/users.csv").await.starts_with(b"\"email\""));
    let answer = admin.get("/export/samples.csv?bom=1").await;
    assert_eq!((answer.status, &answer.body["errors"][0]["message"]), (400, &json!("Use `bom=true` or `bom=false`.")));
}

#[both_databases]
async fn the_sheet_to_fill_in_explains_its_columns(place: Place) {
    let app = TestApp::start(&place).await;
    let mut book = Xlsx::new(std::io::Cursor::new(download(&app.anyone(), "/import/users.xlsx").await)).unwrap();
    assert_eq!(book.sheet_names(), ["Users", "Columns"]);
    let range = book.worksheet_range("Columns").unwrap();
    let rows: Vec<Vec<String>> = range.rows().map(|row| row.iter().map(ToString::to_string).collect()).collect();
    let names: Vec<&str> = rows[1..11].iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, vestibule::domain::import::spreadsheet::COLUMNS);
    assert_eq!(rows[8][2..], ["ADMIN, MANAGER, AGENT, MEMBER", "MEMBER"]);
    assert!(rows.iter().all(|row| row.iter().all(|cell| cell.len() < 200)), "{rows:?}");
    // The filled-in template is imported.
    let filled = template(&app.admin().await).await;
    assert_eq!(
        counts(&import(&app.admin().await, workbook(filled.iter().map(|row| row.iter().map(String::as_str)))).await),
        (0, 0, 1)
    );
}

#[both_databases]
async fn an_import_of_another_instance_keeps_others_waiting_and_costs_them_nothing(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_bulk = "1/1h".parse().unwrap()).await;
    let admin = app.admin().await;
    let ends_at = app.clock_now().plus(vestibule::domain::leases::LEASE);
    let row =
        lease::ActiveModel { name: Set("import".to_owned()), holder: Set(uuid::Uuid::nil()), ends_at: Set(ends_at) };
    lease::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let file = b"email\nann@example.com\n";
    for _ in 0..3 {
        let refused = post(&admin, file.to_vec(), json!({})).await;
        assert_eq!(refused.body["errors"][0]["extensions"]["code"], "SERVICE_UNAVAILABLE", "{}", refused.body);
        assert!(refused.body["errors"][0]["message"].as_str().unwrap().starts_with("Another import is running"));
    }
    // The other instance died: its turn expires, and the limit is unchanged.
    app.wait(vestibule::domain::leases::LEASE);
    assert_eq!(counts(&import(&admin, *file).await), (1, 0, 0));
    assert_eq!(lease::Entity::find().count(app.db()).await.unwrap(), 0, "the turn was given back");
    let limited = post(&admin, file.to_vec(), json!({})).await;
    assert_eq!(limited.body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    assert_eq!(lease::Entity::find().count(app.db()).await.unwrap(), 0);
}
