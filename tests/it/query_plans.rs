//! Query plans: no list reads a whole table. The database explains each statement of a page.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use test_macros::both_databases;

use sea_orm::{ConnectionTrait as _, DatabaseBackend, Statement};
use serde_json::{Value, json};
use vestibule::worker;

use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

const USERS: &str =
    "query($search: String, $filter: UserFilter, $orderBy: [UserOrder!], $after: String, $first: Int, $offset: Int) {
    users(search: $search, filter: $filter, orderBy: $orderBy, after: $after, first: $first, offset: $offset) {
        nodes { id } pageInfo { endCursor }
    }
}";

const TRAIL: &str = "query($filter: AuditEventFilter, $after: String, $first: Int) {
    auditEvents(filter: $filter, after: $after, first: $first) { nodes { id } pageInfo { endCursor } }
}";

const COUNT: &str = "query($filter: AuditEventFilter, $first: Int) {
    auditEvents(filter: $filter, first: $first) { totalCount pageInfo { endCursor } }
}";

const MAILS: &str = "query($status: MailStatus, $recipient: String, $after: String, $first: Int) {
    outgoingMails(status: $status, recipient: $recipient, after: $after, first: $first) { nodes { id } pageInfo { endCursor } }
}";

#[both_databases]
async fn no_page_of_a_list_reads_a_whole_table(place: Place) {
    let statements = Arc::new(Mutex::new(Vec::new()));
    let app = TestApp::start_recording(&place, Arc::clone(&statements)).await;
    for name in ["ada", "bob", "cyd"] {
        app.add_user(name).await.sign_in(&app).await.data("{ me { id } }", json!({})).await;
    }
    app.app.presence.flush(&app.app.db).await.unwrap();
    let boss = app.add_staff("boss").await;
    let staff = boss.sign_in(&app).await;
    let mut lists = vec![
        (TRAIL, json!({ "filter": {} })),
        (TRAIL, json!({ "filter": { "userId": boss.id } })),
        (TRAIL, json!({ "filter": { "action": "LOGIN" } })),
        (TRAIL, json!({ "filter": { "createdAfter": "2026-01-01T00:00:00Z", "userId": boss.id, "action": "LOGIN" } })),
        (TRAIL, json!({ "filter": { "createdAfter": "2026-01-01T00:00:00Z", "action": "LOGIN_FAILED" } })),
        (TRAIL, json!({ "filter": { "userId": boss.id, "action": "EXPORTED" } })),
        (COUNT, json!({})),
        (COUNT, json!({ "filter": { "userId": boss.id } })),
        (COUNT, json!({ "filter": { "action": "LOGIN" } })),
        (MAILS, json!({})),
        (MAILS, json!({ "status": "SENT" })),
        (MAILS, json!({ "recipient": "ada@example.com" })),
        ("{ onlineUsers { id } }", json!({})),
        (USERS, json!({ "offset": 5000 })),
        (USERS, json!({ "offset": 5000, "filter": { "isActive": false } })),
    ];
    let fields = ["ID", "USERNAME", "EMAIL", "FIRST_NAME", "LAST_NAME", "DATE_JOINED", "LAST_ACTIVITY"];
    let filters = [
        json!({}),
        json!({ "externalId": "17" }),
        json!({ "isActive": false }),
        json!({ "isStaff": true, "isActive": true }),
        json!({ "isVerified": false }),
        json!({ "hasSecondFactor": true, "isActive": true }),
        json!({ "role": "MANAGER", "isVerified": true }),
        json!({ "isOnline": true, "isActive": true }),
        json!({ "joinedOn": "2026-01-05", "isActive": true }),
        json!({ "joinedAfter": "2026-01-01T00:00:00Z" }),
    ];
    for field in fields {
        for direction in ["ASC", "DESC"] {
            let order = json!([{ "field": field, "direction": direction }]);
            lists.push((USERS, json!({ "orderBy": order })));
            let order = json!([{ "field": field, "direction": direction }, { "field": "FIRST_NAME" }]);
            lists.push((USERS, json!({ "orderBy": order })));
        }
        for filter in &filters {
            lists.push((USERS, json!({ "filter": filter, "orderBy": [{ "field": field }] })));
            for search in ["ada", "exampl", "a", "qx", "a q", "ada exampl a", "M\u{fc}ller", "o'n", "0170 12345"] {
                lists.push((USERS, json!({ "search": search, "filter": filter, "orderBy": [{ "field": field }] })));
            }
        }
    }
    for (document, variables) in lists {
        statements.lock().unwrap().clear();
        walk(&staff, document, &variables).await;
        let recorded = std::mem::take(&mut *statements.lock().unwrap());
        let lists: Vec<Statement> = recorded.into_iter().filter(|statement| is_list(&statement.sql)).collect();
        assert!(!lists.is_empty(), "{variables}");
        for statement in lists {
            let plan = explain(&app, &statement).await;
            let whole = whole_tables(&plan) + if statement.sql.contains("COUNT(") { whole_indexes(&plan) } else { 0 };
            assert_eq!(whole, 0, "{variables}\n{}\n{}", statement.sql, plan.join("\n"));
        }
    }
}

#[both_databases]
async fn figures_read_no_whole_table_and_the_trail_only_by_ranges(place: Place) {
    let statements = Arc::new(Mutex::new(Vec::new()));
    let app = TestApp::start_recording(&place, Arc::clone(&statements)).await;
    let boss = app.add_staff("boss").await;
    let staff = boss.sign_in(&app).await;
    let of_user = "query($id: ID!) { user(id: $id) { sessions { id } apiTokens { id }
        auditEvents { totalCount nodes { id } } mails { totalCount nodes { id } } } }";
    let figures = "{ statistics(days: 90) { users days { signIns } } }";
    for (document, variables) in [(figures, json!({})), (of_user, json!({ "id": boss.id }))] {
        statements.lock().unwrap().clear();
        staff.data(document, variables).await;
        let recorded = std::mem::take(&mut *statements.lock().unwrap());
        for statement in recorded.into_iter().filter(|statement| statement.sql.starts_with("SELECT")) {
            let plan = explain(&app, &statement).await;
            let of_trail = plan.iter().filter(|line| line.contains("SCAN audit_events USING")).count();
            assert_eq!(whole_tables(&plan) + of_trail, 0, "{}\n{}", statement.sql, plan.join("\n"));
        }
    }
}

#[both_databases]
async fn no_sweep_reads_a_whole_table(place: Place) {
    let statements = Arc::new(Mutex::new(Vec::new()));
    let app = TestApp::start_recording(&place, Arc::clone(&statements)).await;
    app.add_user("ada").await.sign_in(&app).await;
    statements.lock().unwrap().clear();
    worker::run_maintenance(&app.app).await.unwrap();
    let recorded = std::mem::take(&mut *statements.lock().unwrap());
    let is_sweep = |sql: &str| ["DELETE", "UPDATE"].iter().any(|verb| sql.starts_with(verb));
    let sweeps: Vec<Statement> = recorded.into_iter().filter(|statement| is_sweep(&statement.sql)).collect();
    let swept: BTreeSet<&str> = sweeps.iter().filter_map(|statement| statement.sql.split('"').nth(1)).collect();
    let tables = [
        "audit_events",
        "email_undos",
        "former_usernames",
        "import_files",
        "import_jobs",
        "known_devices",
        "known_networks",
        "limits",
        "mails",
        "one_time_tokens",
        "registrations",
        "sent_forms",
        "sessions",
        "sign_in_challenges",
    ];
    assert_eq!(swept, BTreeSet::from(tables));
    for statement in sweeps {
        assert!(statement.sql.contains("LIMIT"), "{}: it changes any number of rows at once", statement.sql);
        let plan = explain(&app, &statement).await;
        assert_eq!(whole_tables(&plan), 0, "{}\n{}", statement.sql, plan.join("\n"));
    }
}

/// Requests a page and the next one.
async fn walk(client: &Client, document: &str, variables: &Value) {
    let mut variables = variables.clone();
    variables["first"] = json!(1);
    let data = client.data(document, variables.clone()).await;
    let page = data.as_object().unwrap().values().next().unwrap();
    if let (Some(cursor), None) = (page["pageInfo"]["endCursor"].as_str(), variables.get("offset")) {
        variables["after"] = json!(cursor);
        client.data(document, variables).await;
    }
}

/// True for statements of the list. Looking up the caller's session is not one of them.
fn is_list(sql: &str) -> bool {
    sql.starts_with("SELECT") && !sql.contains("\"sessions\"")
}

async fn explain(app: &TestApp, statement: &Statement) -> Vec<String> {
    let db = app.db();
    let is_postgres = db.get_database_backend() == DatabaseBackend::Postgres;
    let (explain, column) = if is_postgres { ("EXPLAIN", "QUERY PLAN") } else { ("EXPLAIN QUERY PLAN", "detail") };
    let explained = Statement { sql: format!("{explain} {}", statement.sql), ..statement.clone() };
    let rows = if is_postgres {
        // Small tables are scanned because that is fastest, unless scans are disabled.
        let (txn, _) = app.app.db.begin(&app.app.clock.now()).await.unwrap();
        txn.execute_unprepared("SET LOCAL enable_seqscan = off").await.unwrap();
        txn.query_all_raw(explained).await.unwrap()
    } else {
        db.query_all_raw(explained).await.unwrap()
    };
    rows.iter().map(|row| row.try_get("", column).unwrap()).collect()
}

/// Number of full table scans in a plan. SQLite may also scan rows of a subquery, which its plan names earlier.
fn whole_tables(plan: &[String]) -> usize {
    let named = |name: &str| plan.iter().filter(|line| line.trim() == name).count();
    let tables = [
        "users",
        "audit_events",
        "import_files",
        "import_jobs",
        "known_devices",
        "known_networks",
        "mails",
        "limits",
        "one_time_tokens",
        "registrations",
        "sent_forms",
        "sessions",
        "sign_in_challenges",
    ];
    let scans = tables.iter().map(|table| {
        let subqueries = named(&format!("CO-ROUTINE {table}")) + named(&format!("MATERIALIZE {table}"));
        named(&format!("SCAN {table}")).saturating_sub(subqueries)
    });
    scans.sum::<usize>() + plan.iter().filter(|line| line.contains("Seq Scan")).count()
}

/// Number of full scans of an index over all users in SQLite. Such a scan is fine for filling a page, but not for
/// comparing selectivity.
fn whole_indexes(plan: &[String]) -> usize {
    let scans = plan.iter().filter(|line| line.starts_with("SCAN users USING"));
    scans
        .filter(|line| {
            !["users_inactive", "users_staff", "users_superusers", "users_with_second_factor"]
                .iter()
                .any(|few| line.contains(few))
        })
        .count()
}
