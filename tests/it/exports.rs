//! Exports of lists as files.

use std::io::Cursor;
use std::time::Duration;
use test_macros::both_databases;

use calamine::{Data, Reader as _, Xlsx};
use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, EntityTrait as _, IntoActiveModel as _};
use serde_json::json;
use vestibule::domain::auth::identity;
use vestibule::domain::exports;
use vestibule::domain::operator::Operator;
use vestibule::domain::users::list::Selection;
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{sample, user};

use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const COLUMNS: [&str; 16] = [
    "email",
    "username",
    "first_name",
    "last_name",
    "bio",
    "phone",
    "address",
    "role",
    "permission",
    "is_active",
    "is_staff",
    "is_verified",
    "date_joined",
    "last_login",
    "external_id",
    "id",
];

#[both_databases]
async fn an_export_breaks_off_where_session_or_rights_end(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("boss").await;
    let admin = app.admin().await;
    let toggle = "mutation($id: ID!) { toggleStaff(input: { id: $id }) { errors { code } } }";
    let logout = "mutation { logout(input: { everywhere: true }) { success } }";
    let (now, app_of) = (app.app.clock.now(), &app.app);
    for ends_session in [false, true] {
        let client = staff.sign_in(&app).await;
        let caller =
            app_of.authenticate(&now, &identity::Client::default(), client.access.as_ref().unwrap()).await.unwrap();
        let exporter = caller.exporter().unwrap();
        let mut export =
            exports::users(&app_of.db, &now, exporter, &app_of.limits, &Selection::default()).await.unwrap();
        match ends_session {
            true => drop(client.data(logout, json!({})).await),
            false => drop(admin.data(toggle, json!({ "id": staff.id })).await),
        }
        let refused = export.next(&app_of.db, &now).await.unwrap_err();
        let expected = if ends_session { "Unauthenticated(Revoked)" } else { "Forbidden" };
        assert_eq!(format!("{refused:?}"), expected);
        if !ends_session {
            admin.data(toggle, json!({ "id": staff.id })).await;
        }
    }
}

#[both_databases]
async fn an_export_breaks_off_where_the_key_of_its_token_ends(place: Place) {
    let app = TestApp::start(&place).await;
    let client = app.add_staff("boss").await.sign_in(&app).await;
    let (now, app_of) = (app.app.clock.now(), &app.app);
    let caller =
        app_of.authenticate(&now, &identity::Client::default(), client.access.as_ref().unwrap()).await.unwrap();
    let exporter = caller.exporter().unwrap();
    let mut export = exports::users(&app_of.db, &now, exporter, &app_of.limits, &Selection::default()).await.unwrap();
    let keys = app.anyone().get("/.well-known/jwks.json").await;
    let kid = keys.body["keys"][0]["kid"].as_str().unwrap().to_owned();
    app_of.revoke_key(&now, &Operator::new(), &kid).await.unwrap();
    let refused = export.next(&app_of.db, &now).await.unwrap_err();
    assert_eq!(format!("{refused:?}"), "Unauthenticated(Invalid)");
    // A concurrent request writes nothing either.
    let refused = exports::users(&app_of.db, &now, exporter, &app_of.limits, &Selection::default()).await.unwrap_err();
    assert_eq!(format!("{refused:?}"), "Unauthenticated(Invalid)");
}

#[both_databases]
async fn a_workbook_under_way_breaks_off_where_its_session_ends(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let client = boss.sign_in(&app).await;
    // Enough incompressible data that most of it waits for the client.
    let ada = app.add_user("ada").await;
    let template =
        user::Entity::find_by_id(ada.id.parse::<uuid::Uuid>().unwrap()).one(app.db()).await.unwrap().unwrap();
    let bio = || (0..600).map(|_| app.app.clock.now().secret().to_text()).collect::<String>();
    for number in 0..600 {
        let name = format!("user{number}");
        let email = format!("{name}@example.com");
        let row = user::Model {
            id: app.app.clock.now().id(),
            username: name.clone(),
            username_key: name,
            email: email.clone(),
            email_key: email,
            bio: bio(),
            ..template.clone()
        };
        user::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(app.db()).await.unwrap();
    }
    let token = client.access.clone().unwrap();
    let mut response = client.request("GET", "/export/users.xlsx").bearer_auth(token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.chunk().await.unwrap().is_some());
    let logout = "mutation { logout(input: { everywhere: true }) { success } }";
    boss.sign_in(&app).await.data(logout, json!({})).await;
    let rest = async {
        while response.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    assert!(rest.await.is_err(), "the answer breaks off");
}

/// Body of a successful export.
async fn bytes(client: &Client, path: &str) -> Vec<u8> {
    let token = client.access.clone().unwrap();
    let response = client.request("GET", path).bearer_auth(token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap().to_vec()
}

/// Rows of an export, with the heading first.
async fn csv_rows(client: &Client, path: &str) -> Vec<Vec<String>> {
    let bytes = bytes(client, path).await;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes.as_slice());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// Rows of a workbook. All cells must be text, times or empty.
async fn xlsx_rows(client: &Client) -> Vec<Vec<String>> {
    let mut book = Xlsx::new(Cursor::new(bytes(client, "/export/users.xlsx").await)).unwrap();
    assert_eq!(book.sheet_names(), ["Users"]);
    assert!(book.worksheet_formula("Users").unwrap().is_empty());
    let text = |cell: &Data| match cell {
        Data::String(text) => text.clone(),
        Data::DateTime(time) => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
        }
        Data::Empty => String::new(),
        other => panic!("a cell is no text: {other:?}"),
    };
    let range = book.worksheet_range("Users").unwrap();
    range.rows().map(|row| row.iter().map(text).collect()).collect()
}

#[both_databases]
async fn users_come_in_both_formats_with_the_same_rows(place: Place) {
    let app = TestApp::start(&place).await;
    app.wait(Duration::from_secs(1));
    let zoe = app.add(json!({
        "username": "zoe", "email": "Zoe@example.com", "password": PASSWORD, "firstName": "Zoë", "lastName": "O'Brien",
        "phone": "020 7946", "address": "1 \"High\" Street\nLondon", "role": "MANAGER", "permission": "DOWNLOAD",
        "isActive": false,
    }));
    let zoe = zoe.await;
    app.wait(Duration::from_secs(1));
    let admin = app.admin().await;
    let rows = csv_rows(&admin, "/export/users.csv").await;
    assert_eq!(rows[0], COLUMNS);
    assert_eq!(rows[1][..2], [ADMIN.0, "admin"]);
    assert_eq!(
        rows[2],
        [
            "Zoe@example.com",
            "zoe",
            "Zoë",
            "O'Brien",
            "",
            "020 7946",
            "1 \"High\" Street\nLondon",
            "MANAGER",
            "DOWNLOAD",
            "false",
            "false",
            "true",
            "2026-01-05T09:00:01.000Z",
            "",
            "",
            zoe.id.as_str(),
        ]
    );
    assert_eq!(rows[1][13], "2026-01-05T09:00:02.000Z");
    assert_eq!(rows.len(), 3);
    assert_eq!(xlsx_rows(&admin).await, rows);
}

#[both_databases]
async fn nothing_is_taken_for_a_formula(place: Place) {
    let app = TestApp::start(&place).await;
    let payload = "=HYPERLINK(\"http://evil.example\",\"x\")";
    app.wait(Duration::from_secs(1));
    app.add(json!({
        "username": "eve", "email": "+eve@example.com", "password": PASSWORD, "firstName": payload,
        "lastName": "-2+3+cmd|' /C calc'!A0", "phone": "+44 20 7946 0000", "address": "@SUM(1+1)*cmd|' /C calc'!A0",
    }))
    .await;
    let admin = app.admin().await;
    let rows = csv_rows(&admin, "/export/users.csv").await;
    assert_eq!(rows[2][0], "'+eve@example.com");
    assert_eq!(rows[2][2], format!("'{payload}"));
    assert_eq!(rows[2][3], "'-2+3+cmd|' /C calc'!A0");
    assert_eq!(rows[2][5], "'+44 20 7946 0000");
    assert_eq!(rows[2][6], "'@SUM(1+1)*cmd|' /C calc'!A0");
    assert!(rows.iter().flatten().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
    // Text cells of a workbook stay text, whatever they contain.
    let rows = xlsx_rows(&admin).await;
    assert_eq!((rows[2][2].as_str(), rows[2][5].as_str()), (payload, "+44 20 7946 0000"));

    let input = json!({ "input": { "key": "=1+1", "title": "@x" } });
    let record = "mutation($input: RecordSampleInput!) { recordSample(input: $input) { errors { code } } }";
    admin.data(record, input).await;
    assert_eq!(csv_rows(&admin, "/export/samples.csv").await[1][1..3], ["'=1+1", "'@x"]);
}

/// Cells of a file as Excel reads it with this separator: a quote counts at the beginning of a cell, up to the next
/// single one. Anything after that belongs to the cell, unchanged.
fn cells_by(text: &str, separator: char) -> Vec<String> {
    let mut cells = vec![String::new()];
    let (mut is_fresh, mut is_quoted) = (true, false);
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        let cell = cells.last_mut().unwrap();
        match sign {
            '"' if is_quoted && signs.peek() == Some(&'"') => cell.extend(signs.next()),
            '"' if is_quoted => is_quoted = false,
            '"' if is_fresh => is_quoted = true,
            sign if !is_quoted && (sign == separator || matches!(sign, '\r' | '\n')) => {
                cells.push(String::new());
                is_fresh = true;
                continue;
            }
            sign => cell.push(sign),
        }
        is_fresh = false;
    }
    cells
}

#[both_databases]
async fn no_cell_is_a_formula_in_any_locale(place: Place) {
    let app = TestApp::start(&place).await;
    app.wait(Duration::from_secs(1));
    let bio = "x;=1+1\n=2+2\n\n \"=3+3\"\n'=4\nplain - text, 5 = 5;＝6|@SUM(A1)\t+7";
    app.add(json!({
        "username": "eve", "email": "eve@example.com", "password": PASSWORD, "firstName": "a;=cmd|' /C calc'!A0",
        "lastName": "b\";=HYPERLINK(\"\"x\"\")", "phone": "1;+2|-3", "address": "=x,\"\";\"\"=y",
    }))
    .await;
    let eve = app.anyone().sign_in("eve", PASSWORD).await;
    let profile = "mutation($bio: String!) { updateMe(input: { bio: $bio }) { errors { code field } } }";
    assert_eq!(eve.refusals(profile, json!({ "bio": bio })).await, [""; 0]);
    let admin = app.admin().await;
    let input = json!({ "input": { "key": "k;=1+1", "title": "t\";\"@x" } });
    let record = "mutation($input: RecordSampleInput!) { recordSample(input: $input) { errors { code } } }";
    admin.data(record, input).await;
    for path in ["/export/users.csv", "/export/samples.csv"] {
        let text = String::from_utf8(bytes(&admin, path).await).unwrap();
        assert!(text.lines().next().unwrap().split(',').all(|cell| cell.starts_with('"') && cell.ends_with('"')));
        assert_eq!(cells_by("\"a;=1\",\"=2\"\r\n", ',')[..2], ["a;=1", "=2"]);
        assert_eq!(cells_by("\"a\",\"b;=2\"\r\n", ';')[..2], ["a,\"b", "=2\""]);
        // For English and German programs, and with tabs or other separators.
        for separator in [',', ';', '\t', '|'] {
            for cell in cells_by(&text, separator) {
                let begun = cell.trim_start_matches(|c: char| c == '"' || c.is_whitespace());
                assert!(!begun.starts_with(['=', '+', '-', '@', '＝']), "{cell:?} in {path} by {separator:?}");
            }
        }
    }
    let rows = csv_rows(&admin, "/export/users.csv").await;
    assert!(rows[2][4].starts_with("x;'=1+1\n'=2+2\n\n' \"=3+3\"\n''=4\nplain - text, 5 = 5"), "{}", rows[2][4]);
    // It is imported unchanged, and changes nothing.
    let payload = crate::spreadsheet_import::import(&admin, bytes(&admin, "/export/users.csv").await).await;
    assert_eq!(crate::spreadsheet_import::counts(&payload), (0, 0, 2));
}

#[both_databases]
async fn superusers_are_in_superusers_exports_only(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    app.add_user("ada").await;
    let mut names = Vec::new();
    for client in [&app.admin().await, &boss] {
        let rows = csv_rows(client, "/export/users.csv").await;
        assert_eq!(xlsx_rows(client).await.len(), rows.len());
        let mut users: Vec<String> = rows[1..].iter().map(|row| row[1].clone()).collect();
        users.sort();
        names.push(users);
    }
    assert_eq!(names[0], ["ada", "admin", "boss"]);
    assert_eq!(names[1], ["ada", "boss"]);
}

#[both_databases]
async fn a_file_is_an_attachment_with_the_day_in_its_name(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let workbook = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    for (path, name, media) in [
        ("/export/samples.csv", "samples-2026-01-05.csv", "text/csv; charset=utf-8"),
        ("/export/users.csv", "users-2026-01-05.csv", "text/csv; charset=utf-8"),
        ("/export/users.xlsx", "users-2026-01-05.xlsx", workbook),
    ] {
        let answer = admin.get(path).await;
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{name}\""));
        assert_eq!(answer.header("content-type"), media);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(csv_rows(&admin, "/export/samples.csv").await, [["id", "key", "title", "created_at", "modified_at"]]);
}

#[both_databases]
async fn refused_exports_have_a_status_and_a_code(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let token = ada.access.clone().unwrap();
    for path in ["/export/samples.csv", "/export/users.csv", "/export/users.xlsx"] {
        let answer = app.anyone().get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHENTICATED MISSING"));
        assert_eq!(answer.body["errors"][0]["message"], "You need to sign in.");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.header("content-type"), "application/json");
        let answer = app.anyone().get(&format!("{path}?access_token={token}&token={token}")).await;
        assert_eq!(answer.status, 401);
        let answer = app.anyone().with_token("nonsense").get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHENTICATED INVALID"));
        let answer = app.anyone().with_header("authorization", "Basic YTpi").get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHENTICATED INVALID"));
        let answer = ada.finish(ada.request("POST", path)).await;
        assert_eq!(answer.status, 405);
    }
    for path in ["/export/users.csv", "/export/users.xlsx"] {
        let answer = ada.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "FORBIDDEN"));
    }
    assert_eq!(ada.get("/export/samples.csv").await.status, 200);
    app.wait(Duration::from_secs(400));
    assert_eq!(ada.get("/export/samples.csv").await.code(), "UNAUTHENTICATED EXPIRED");
}

#[both_databases]
async fn an_export_is_recorded_and_a_refused_one_is_not(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let ada = app.add_user("ada").await;
    let (staff, client) = (boss.sign_in(&app).await, ada.sign_in(&app).await);
    let (_, secret) = crate::api_tokens::make(&staff, &["READ"]).await;
    for path in ["/export/samples.csv", "/export/users.csv", "/export/users.xlsx"] {
        staff.get(path).await;
        client.get(path).await;
        app.anyone().get(path).await;
        app.anyone().with_token(&secret).get(path).await;
    }
    let (boss, ada) = (boss.id.parse().ok(), ada.id.parse().ok());
    let events = audit_event::Entity::find().all(app.db()).await.unwrap();
    let mut seen: Vec<_> = events
        .into_iter()
        .filter(|event| event.action == Action::Exported)
        .map(|event| (event.actor_id, event.target_id, event.ip))
        .collect();
    let local = || Some("127.0.0.1".to_owned());
    let mut expected = vec![(boss, boss, local()), (ada, ada, local()), (boss, None, local()), (boss, None, local())];
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[both_databases]
async fn asking_for_the_headers_alone_exports_nothing(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_bulk = "1/1h".parse().unwrap()).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let head =
        async |client: &crate::test_client::Client, path: &str| client.finish(client.request("HEAD", path)).await;
    let before = audit_event::Entity::find().all(app.db()).await.unwrap().len();
    for path in ["/export/samples.csv", "/export/users.csv", "/export/users.xlsx", "/import/users.xlsx"] {
        let answer = head(&staff, path).await;
        assert_eq!((answer.status, answer.body), (200, json!("")), "{path}");
        let day = answer.headers["content-disposition"].to_str().unwrap();
        assert!(day.starts_with("attachment; filename=") && day.contains("2026-01-05"), "{day}");
        let is_users = path.starts_with("/export/users");
        assert_eq!(head(&ada, path).await.status, if is_users { 403 } else { 200 }, "{path}");
        let is_open = path.starts_with("/import");
        assert_eq!(head(&app.anyone(), path).await.status, if is_open { 200 } else { 401 }, "{path}");
    }
    assert_eq!(audit_event::Entity::find().all(app.db()).await.unwrap().len(), before);
    assert_eq!(staff.get("/export/users.csv").await.status, 200, "nothing was counted");
    assert_eq!(staff.get("/export/users.csv").await.status, 429);
}

#[both_databases]
async fn only_own_samples_are_exported(place: Place) {
    let app = TestApp::start(&place).await;
    let record = "mutation($input: RecordSampleInput!) { recordSample(input: $input) { errors { code } } }";
    let (ada, admin) = (app.add_user("ada").await.sign_in(&app).await, app.admin().await);
    for (client, key) in [(&ada, "A"), (&ada, "B"), (&admin, "C"), (&admin, "B")] {
        app.wait(Duration::from_secs(1));
        client.data(record, json!({ "input": { "key": key, "title": "T" } })).await;
    }
    let keys = async |client: &Client| -> Vec<String> {
        csv_rows(client, "/export/samples.csv").await[1..].iter().map(|row| row[1].clone()).collect()
    };
    assert_eq!(keys(&ada).await, ["A"]);
    assert_eq!(keys(&admin).await, ["B", "C"]);
}

#[both_databases]
async fn a_long_list_is_complete_and_in_order(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let mut expected = vec!["boss".to_owned()];
    let mut keys = Vec::new();
    let one = user::Entity::find().all(app.db()).await.unwrap().into_iter().find(|user| !user.is_superuser).unwrap();
    for batch in 0..10 {
        let (mut users, mut samples) = (Vec::new(), Vec::new());
        for number in 0..250 {
            app.wait(Duration::from_millis(1));
            let now = app.app.clock.now();
            let name = format!("user{batch}x{number}");
            let copy = user::Model { id: now.id(), username: name.clone(), username_key: name.clone(), ..one.clone() };
            let mut row = user::ActiveModel::from(copy);
            row.email = Set(format!("{name}@example.com"));
            row.email_key = Set(format!("{name}@example.com"));
            users.push(row);
            samples.push(sample::ActiveModel {
                id: Set(now.id()),
                key: Set(name.clone()),
                title: Set(name.clone()),
                created_at: Set(now.at),
                // Recorded again in the opposite order, at few different times.
                modified_at: Set(now.at.minus(Duration::from_secs(batch * 1000))),
                modified_by: Set(Some(one.id)),
            });
            keys.push(name.clone());
            expected.push(name);
        }
        user::Entity::insert_many(users).exec_without_returning(app.db()).await.unwrap();
        sample::Entity::insert_many(samples).exec_without_returning(app.db()).await.unwrap();
    }
    let column = |rows: Vec<Vec<String>>| -> Vec<String> { rows[1..].iter().map(|row| row[1].clone()).collect() };
    app.wait(Duration::from_millis(1));
    assert_eq!(column(csv_rows(&boss, "/export/users.csv").await), expected);
    assert_eq!(column(xlsx_rows(&boss).await), expected);
    assert_eq!(column(csv_rows(&boss, "/export/samples.csv").await), keys);
}

#[both_databases]
async fn nothing_is_left_on_the_disk(place: Place) {
    let app = TestApp::start(&place).await;
    let files = || {
        let names = std::fs::read_dir(&place.folder).unwrap().map(|file| file.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let admin = app.admin().await;
    let before = files();
    xlsx_rows(&admin).await;
    assert_eq!(files(), before);
}

#[both_databases]
async fn a_workbook_that_takes_too_long_does_not_count_as_exported(place: Place) {
    let app = TestApp::start_with(&place, |config| config.wire.export_timeout = Duration::ZERO).await;
    let admin = app.admin().await;
    let exported = async || {
        let events = audit_event::Entity::find().all(app.db()).await.unwrap();
        events.iter().filter(|event| event.action == Action::Exported).count()
    };
    for path in ["/export/users.xlsx", "/import/users.xlsx"] {
        assert_eq!(admin.get(path).await.status, 503, "{path}");
    }
    assert_eq!(exported().await, 0);
    assert_eq!(csv_rows(&admin, "/export/users.csv").await.len(), 2);
    assert_eq!(exported().await, 1);
}
