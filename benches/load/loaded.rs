//! Work during which reads are measured: simultaneous sign-ins, idle subscriptions, an import.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rust_xlsxwriter::Workbook;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseBackend};
use serde_json::json;
use tokio::time::sleep;

use crate::PASSWORD;
use crate::beside::Beside;
use crate::idle::{self, Idle};
use crate::service::Service;
use crate::wire::{self, Wire};

/// Number of simultaneous sign-ins.
const STORM: usize = 200;

/// Number of imported rows.
const ROWS: u32 = 100_000;

/// Two hundred clients sign in simultaneously and repeatedly. A refused client retries after a second, as the response
/// says.
pub(crate) async fn storm(name: &str, service: &Service, beside: &mut Beside<'_>, span: Duration) {
    people(service).await;
    let ((), calm) = beside.during(sleep(span)).await;
    let before = service.memory();
    let (began, signed_in, refused) = (Instant::now(), &Cell::new(0_usize), &Cell::new(0_usize));
    let each = (0..STORM).map(async |person| {
        let login = wire::login(&format!("person{person}"), PASSWORD);
        let mut wire = Wire::connect(service).await;
        while began.elapsed() < span {
            if wire.try_ask(&login).await.is_some() {
                signed_in.set(signed_in.get() + 1);
            } else {
                refused.set(refused.get() + 1);
                sleep(Duration::from_secs(1)).await;
            }
        }
    });
    let (_, stormy) = beside.during(join_all(each)).await;
    let (signed_in, refused, most) = (signed_in.get(), refused.get(), stormy.memory);
    let took = began.elapsed();
    println!("{name}: {STORM} simultaneous sign-ins: {signed_in} succeeded in {took:.1?}, {refused} refused");
    println!("{name}: {before} MiB before, peak {most} MiB");
    calm.print("before");
    stormy.print("during the storm");
}

/// Thousands of idle WebSockets with a subscription.
pub(crate) async fn sockets(name: &str, service: &Service, beside: &mut Beside<'_>, span: Duration) {
    let access = Wire::connect(service).await.sign_in(PASSWORD).await.access;
    let ((), calm) = beside.during(sleep(span)).await;
    let before = service.memory();
    let (mut idle, opening) = beside.during(Idle::open(service, &access)).await;
    let ((), listening) = beside.during(sleep(span)).await;
    let (took, count, more) = (idle.opened_in, idle::CONNECTIONS, service.memory().saturating_sub(before));
    println!("{name}: {count} idle connections use {more} MiB, opened in {took:.1?}");
    calm.print("before");
    opening.print("while they open");
    listening.print("with them");
    assert_eq!(idle.count(), usize::from(count), "all are still open");
}

/// Staff import a hundred thousand users.
pub(crate) async fn import(name: &str, service: &Service, beside: &mut Beside<'_>, span: Duration) {
    let access = Wire::connect(service).await.sign_in(PASSWORD).await.access;
    let upload = upload(&access, &workbook());
    let ((), calm) = beside.during(sleep(span)).await;
    let before = service.memory();
    let began = Instant::now();
    let importing = async {
        let payload = Wire::connect(service).await.ask_json(&upload).await;
        assert_eq!(payload["data"]["importUsers"]["created"], ROWS, "{payload}");
        began.elapsed()
    };
    let (took, busy) = beside.during(importing).await;
    let more = busy.memory.saturating_sub(before);
    println!("{name}: {ROWS} rows imported in {took:.1?}, using up to {more} MiB more, including the sheet reader");
    calm.print("before");
    busy.print("during the import");
}

/// Creates the users that sign in, with the first superuser's password.
async fn people(service: &Service) {
    let mut options = ConnectOptions::new(service.database_url());
    options.max_connections(1);
    let db = Database::connect(options).await.expect("the database can be reached");
    let id =
        if db.get_database_backend() == DatabaseBackend::Postgres { "gen_random_uuid()" } else { "randomblob(16)" };
    let statement = format!(
        "WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {STORM})
         INSERT INTO users (id, username, username_key, email, email_key, password_hash, first_name, last_name,
             first_name_key, last_name_key, phone, address, bio, role, permission, is_active, is_staff, is_superuser,
             is_verified, date_joined, updated_at)
         SELECT {id}, 'person' || i, 'person' || i, 'person' || i || '@example.net', 'person' || i || '@example.net',
             password_hash, '', '', '', '', '', '', '', 'MEMBER', 'ONLY_VIEW', is_active, 1 = 0, 1 = 0, is_verified,
             date_joined, updated_at
         FROM users, numbers WHERE username = 'admin'"
    );
    db.execute_unprepared(&statement).await.expect("the rows fit");
}

/// Spreadsheet to import.
fn workbook() -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write_row(0, 0, ["email", "username", "first_name", "last_name", "phone", "role"]).unwrap();
    for row in 1..=ROWS {
        let cells = [
            format!("colleague{row}@example.com"),
            format!("colleague{row}"),
            format!("First{}", row % 1000),
            format!("Last{row}"),
            format!("+49 30 {row:07}"),
            "MEMBER".to_owned(),
        ];
        sheet.write_row(row, 0, cells).unwrap();
    }
    book.save_to_buffer().unwrap()
}

/// Import request, a form of the GraphQL multipart request specification.
fn upload(access: &str, sheet: &[u8]) -> Vec<u8> {
    let import = "mutation($input: ImportUsersInput!) { importUsers(input: $input) {
        created rowErrors { row column code message } errors { code field message }
    } }";
    let operations = json!({ "query": import, "variables": { "input": { "file": null, "sendWelcome": false } } });
    let part =
        |name: &str, rest: &str| format!("--boundary\r\ncontent-disposition: form-data; name=\"{name}\"{rest}\r\n\r\n");
    let mut body = part("operations", "").into_bytes();
    body.extend(format!("{operations}\r\n{}{}\r\n", part("map", ""), json!({ "0": ["variables.input.file"] })).bytes());
    body.extend(part("0", "; filename=\"users.xlsx\"").bytes());
    body.extend(sheet);
    body.extend(b"\r\n--boundary--\r\n");
    let mut request = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {access}\r\ngraphql-require-preflight: 1\r\n\
         content-type: multipart/form-data; boundary=boundary\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    request
}
