//! User search: search, filters, order, and pagination.

use std::cmp::Reverse;
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ConnectionTrait as _, DatabaseBackend, EntityTrait as _};
use serde_json::{Value, json};

use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;
use vestibule::entity::user::{self, Role};

const FIND: &str = "query(
    $first: Int, $after: String, $last: Int, $before: String, $offset: Int,
    $search: String, $filter: UserFilter, $orderBy: [UserOrder!]! = [{ field: USERNAME }]
) {
    users(
        first: $first, after: $after, last: $last, before: $before, offset: $offset,
        search: $search, filter: $filter, orderBy: $orderBy
    ) {
        totalCount
        nodes { username }
        pageInfo { hasPreviousPage hasNextPage startCursor endCursor }
    }
}";

fn names(data: &Value) -> Vec<String> {
    let nodes = data["users"]["nodes"].as_array().unwrap();
    nodes.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

/// Usernames found by a search; the count must agree.
pub(crate) async fn found(client: &Client, search: &str) -> Vec<String> {
    let data = client.data(FIND, json!({ "search": search })).await;
    let names = names(&data);
    assert_eq!(data["users"]["totalCount"], names.len(), "{search}");
    // A short page uses another plan than a whole list.
    let page = client.data(FIND, json!({ "search": search, "first": 1 })).await;
    assert_eq!(self::names(&page), names[..names.len().min(1)], "{search}");
    names
}

async fn people(place: &Place) -> (TestApp, Client) {
    let app = TestApp::start(place).await;
    for (username, email, first_name, last_name) in [
        ("ada", "Countess@lovelace.example", "Ada", "Lovelace"),
        ("bob_b", "bob@example.com", "Bob", "Øster-Ås"),
        ("bobxb", "robert@example.com", "", ""),
        ("cy", "cy@100-percent.example", "Cyrus%", "李小龍"),
        ("dora", "dora@example.org", "Dóra", "ИВАНОВА"),
        ("eve", "eve@example.org", "\"Eve\"", "O'Neil\\"),
    ] {
        app.wait(Duration::from_secs(60 * 60 * 24));
        let input = json!({ "username": username, "email": email, "firstName": first_name, "lastName": last_name });
        app.add(input).await;
    }
    let staff = app.add_staff("zoe").await.sign_in(&app).await;
    (app, staff)
}

#[both_databases]
async fn any_part_of_a_name_or_address_is_found_in_any_case(place: Place) {
    let (app, staff) = people(&place).await;
    for (search, expected) in [
        ("ovela", vec!["ada"]),
        ("COUNTESS", vec!["ada"]),
        ("ada lovelace", vec!["ada"]),
        ("  Ada \t Love ", vec!["ada"]),
        ("love ADA", vec!["ada"]),
        ("example.ORG", vec!["dora", "eve"]),
        ("ivan", vec![]),
        ("иванов", vec!["dora"]),
        ("DÓRA", vec!["dora"]),
        ("øster-ås", vec!["bob_b"]),
        ("ØSTER", vec!["bob_b"]),
        ("小龍", vec!["cy"]),
        ("李小龍", vec!["cy"]),
        ("lovelaceada", vec![]),
        ("nobody", vec![]),
    ] {
        assert_eq!(found(&staff, search).await, expected, "{search}");
    }
    assert_eq!(found(&staff, "   ").await.len(), 7);
    assert_eq!(found(&staff, "admin").await, [""; 0], "superusers show to superusers only");
    assert_eq!(found(&app.admin().await, "admin").await, ["admin"]);
}

#[both_databases]
async fn signs_that_mean_something_to_databases_are_letters(place: Place) {
    let (_app, staff) = people(&place).await;
    for (search, expected) in [
        ("bob_b", vec!["bob_b"]),
        ("b_b", vec!["bob_b"]),
        ("_", vec!["bob_b"]),
        ("%", vec!["cy"]),
        ("us%", vec!["cy"]),
        ("100%", vec![]),
        ("%%%", vec![]),
        ("\"eve\"", vec!["eve"]),
        ("\"", vec!["eve"]),
        ("e\"", vec!["eve"]),
        ("o'n", vec!["eve"]),
        ("neil\\", vec!["eve"]),
        ("\\", vec!["eve"]),
        ("a OR b", vec![]),
        ("ada*", vec![]),
        ("NEAR(ada)", vec![]),
    ] {
        assert_eq!(found(&staff, search).await, expected, "{search}");
    }
}

#[both_databases]
async fn one_letter_and_two_are_enough(place: Place) {
    let (_app, staff) = people(&place).await;
    assert_eq!(found(&staff, "Y").await, ["cy"]);
    assert_eq!(found(&staff, "bx").await, ["bobxb"]);
    assert_eq!(found(&staff, "XB").await, ["bobxb"]);
    assert_eq!(found(&staff, "李").await, ["cy"]);
    assert_eq!(found(&staff, "Å").await, ["bob_b"]);
    // The last letters of the whole search text.
    assert_eq!(found(&staff, "\\").await, ["eve"]);
    assert_eq!(found(&staff, "龍").await, ["cy"]);
    assert_eq!(found(&staff, "qq").await, [""; 0]);
    assert_eq!(found(&staff, "e").await, ["ada", "bob_b", "bobxb", "cy", "dora", "eve", "zoe"]);
}

#[both_databases]
async fn a_search_knows_every_change(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let staff = app.add_staff("zoe").await.sign_in(&app).await;
    assert_eq!(found(&staff, "grace").await, [""; 0]);
    let update = "mutation($input: UpdateUserInput!) { updateUser(input: $input) { errors { code field message } } }";
    let input = json!({ "id": ada.id, "lastName": "Hopper", "firstName": "Grace", "email": "admiral@navy.example" });
    assert_eq!(staff.refusals(update, json!({ "input": input })).await, [""; 0]);
    for search in ["grace", "hop", "navy", "gr", "ada"] {
        assert_eq!(found(&staff, search).await, ["ada"], "{search}");
    }
    assert_eq!(found(&staff, "ada@").await, [""; 0]);
    let own = "mutation { updateMe(input: { username: \"amazing\" }) { errors { code } } }";
    ada_signed_in(&app).await.data(own, json!({})).await;
    assert_eq!(found(&staff, "amaz").await, ["amazing"]);
    assert_eq!(found(&staff, "ada").await, [""; 0]);
    let delete = "mutation($id: ID!) { deleteUser(input: { id: $id }) { outcome errors { code } } }";
    assert_eq!(staff.data(delete, json!({ "id": ada.id })).await["deleteUser"]["outcome"], "DELETED");
    assert_eq!(found(&staff, "hopper").await, [""; 0]);
    assert_eq!(found(&staff, "ho").await, [""; 0]);
}

async fn ada_signed_in(app: &TestApp) -> Client {
    app.anyone().sign_in("ada", crate::test_app::PASSWORD).await
}

#[both_databases]
async fn filters_hold_together(place: Place) {
    let (app, staff) = people(&place).await;
    let filtered = async |filter: Value, search: Value| {
        names(&staff.data(FIND, json!({ "filter": filter, "search": search })).await)
    };
    let everybody = filtered(json!({}), Value::Null).await;
    assert_eq!(everybody.len(), 7);
    assert_eq!(filtered(json!({ "isStaff": true }), Value::Null).await, ["zoe"]);
    assert_eq!(filtered(json!({ "isStaff": false }), Value::Null).await.len(), 6);
    assert_eq!(filtered(json!({ "isVerified": true }), Value::Null).await, ["zoe"]);
    assert_eq!(filtered(json!({ "isOnline": true }), Value::Null).await, [""; 0], "nothing was written down yet");
    app.app.presence.flush(&app.app.db).await.unwrap();
    assert_eq!(filtered(json!({ "isOnline": true }), Value::Null).await, ["zoe"]);
    assert_eq!(filtered(json!({ "isOnline": false }), json!("e")).await.len(), 6);
    assert_eq!(filtered(json!({ "joinedOn": "2026-01-07" }), Value::Null).await, ["bob_b"]);
    assert_eq!(filtered(json!({ "joinedOn": "2026-01-07", "isActive": true }), json!("bob")).await, ["bob_b"]);
    assert_eq!(filtered(json!({ "joinedOn": "2026-01-07", "isActive": false }), json!("bob")).await, [""; 0]);
    assert_eq!(filtered(json!({ "joinedAfter": "2026-01-10T09:00:00Z" }), Value::Null).await, ["eve", "zoe"]);
    assert_eq!(
        filtered(
            json!({ "joinedAfter": "2026-01-06T09:00:00Z", "joinedBefore": "2026-01-08T10:00:00+01:00" }),
            Value::Null
        )
        .await,
        ["bob_b"]
    );
    app.add(json!({ "username": "mia", "email": "mia@example.com", "role": "MANAGER", "isActive": false })).await;
    assert_eq!(filtered(json!({ "role": "MANAGER" }), Value::Null).await, ["mia"]);
    assert_eq!(filtered(json!({ "isActive": false }), json!("mi")).await, ["mia"]);
    assert_eq!(staff.code(FIND, json!({ "filter": { "joinedOn": "2026-02-30" } })).await, "BAD_USER_INPUT");
    assert_eq!(staff.code(FIND, json!({ "filter": { "joinedOn": "20260107" } })).await, "BAD_USER_INPUT");
}

#[both_databases]
async fn every_order_can_be_paged_both_ways_without_gaps_or_repeats(place: Place) {
    let app = TestApp::start(&place).await;
    for number in 0..12 {
        if number % 3 == 0 {
            app.wait(Duration::from_secs(1));
        }
        let input = json!({
            "username": format!("u{}", (number * 7) % 12), "email": format!("e{}@example.com", (number * 5) % 12),
            "firstName": (["", "Åsa", "bo"][number % 3]), "lastName": (["Ek", "ek", "Dahl", ""][number % 4]),
            "password": crate::test_app::PASSWORD,
        });
        let person = app.add(input).await;
        if number % 4 == 1 {
            person.sign_in(&app).await.data("{ me { id } }", json!({})).await;
        }
    }
    app.app.presence.flush(&app.app.db).await.unwrap();
    let admin = app.admin().await;
    let fields = ["ID", "USERNAME", "EMAIL", "FIRST_NAME", "LAST_NAME", "DATE_JOINED", "LAST_ACTIVITY"];
    let mut orders = vec![json!([])];
    for (position, field) in fields.iter().enumerate() {
        for (one, other) in [("ASC", "DESC"), ("DESC", "DESC")] {
            let term = json!({ "field": field, "direction": one });
            orders.push(json!([term]));
            orders.push(json!([term, { "field": (fields[(position + 3) % 7]), "direction": other }, term]));
        }
    }
    for order in orders {
        for filter in [json!(null), json!({ "isActive": true })] {
            let list = json!({ "orderBy": order, "filter": filter });
            let page = async |window: Value| {
                let mut variables = list.clone();
                variables.as_object_mut().unwrap().extend(window.as_object().unwrap().clone());
                let data = admin.data(FIND, variables).await;
                (names(&data), data["users"]["pageInfo"].clone())
            };
            let (all, _) = page(json!({ "first": 200 })).await;
            assert_eq!(all.len(), 13);
            let (mut forward, mut after) = (Vec::new(), Value::Null);
            loop {
                let (names, info) = page(json!({ "first": 5, "after": after })).await;
                forward.extend(names);
                after = info["endCursor"].clone();
                if info["hasNextPage"] == false {
                    break;
                }
            }
            assert_eq!(forward, all, "{list}");
            let (mut backward, mut before) = (Vec::new(), Value::Null);
            loop {
                let (names, info) = page(json!({ "last": 5, "before": before })).await;
                backward.splice(0..0, names);
                before = info["startCursor"].clone();
                if info["hasPreviousPage"] == false {
                    break;
                }
            }
            assert_eq!(backward, all, "{list}");
            assert_eq!(page(json!({ "first": 3, "offset": 4 })).await.0, all[4..7], "{list}");
        }
    }
}

#[both_databases]
async fn a_page_is_reached_by_its_number(place: Place) {
    let (_app, staff) = people(&place).await;
    let data = staff.data(FIND, json!({ "first": 3, "offset": 3 })).await;
    assert_eq!(names(&data), ["cy", "dora", "eve"]);
    let info = &data["users"]["pageInfo"];
    assert_eq!((&info["hasPreviousPage"], &info["hasNextPage"]), (&json!(true), &json!(true)));
    assert_eq!(data["users"]["totalCount"], 7);
    let next = json!({ "first": 3, "after": info["endCursor"] });
    assert_eq!(names(&staff.data(FIND, next).await), ["zoe"]);
    assert_eq!(names(&staff.data(FIND, json!({ "offset": 3, "search": "example.org" })).await), [""; 0]);
    assert_eq!(names(&staff.data(FIND, json!({ "offset": 1, "search": "example.org" })).await), ["eve"]);
    assert_eq!(names(&staff.data(FIND, json!({ "offset": 1_000_000 })).await), [""; 0]);
    for window in [
        json!({ "offset": -1 }),
        json!({ "offset": 1, "after": info["endCursor"] }),
        json!({ "offset": 1, "last": 1 }),
        json!({ "first": 201 }),
    ] {
        assert_eq!(staff.code(FIND, window.clone()).await, "BAD_USER_INPUT", "{window}");
    }
}

#[both_databases]
async fn a_cursor_is_good_for_its_own_order_only(place: Place) {
    let (_app, staff) = people(&place).await;
    let by = |field: &str, direction: &str| json!([{ "field": field, "direction": direction }]);
    let data = staff.data(FIND, json!({ "first": 1, "orderBy": by("LAST_NAME", "ASC") })).await;
    let cursor = &data["users"]["pageInfo"]["endCursor"];
    for order in [by("LAST_NAME", "DESC"), by("FIRST_NAME", "ASC"), by("DATE_JOINED", "ASC"), by("USERNAME", "ASC")] {
        let list = json!({ "after": cursor, "orderBy": order });
        assert_eq!(staff.code(FIND, list.clone()).await, "BAD_USER_INPUT", "{list}");
    }
    let list = json!({ "first": 9, "after": cursor, "orderBy": by("LAST_NAME", "ASC") });
    assert_eq!(names(&staff.data(FIND, list).await).len(), 6);
}

#[both_databases]
async fn hostile_texts_find_nothing_and_break_nothing(place: Place) {
    let (_app, staff) = people(&place).await;
    for text in [
        "' OR 1=1 --",
        "'; DROP TABLE users; --",
        "\" OR \"a",
        "a\" AND \"b",
        "x' UNION SELECT password_hash FROM users --",
        "$1",
        "?",
        "{}",
        "${jndi:ldap://x}",
        "\u{202e}\u{feff}",
        "\u{1f468}\u{200d}\u{1f469}",
        "-ada",
        "ada:",
        "^ada",
        "(",
        "ada)",
        "username_key : a",
        "🙂",
        "ﷺﷺﷺﷺﷺﷺﷺﷺﷺﷺﷺﷺ",
        "\u{301}",
        "\\'",
        "%_%",
        "NOT",
        "AND",
        "a\u{200b}b",
        "1' ; WAITFOR DELAY '0:0:5'--",
        "') OR ('1'='1",
        "\" OR 1=1--",
        "admin'--",
        "0x27 OR 1",
        "CHAR(39)||CHAR(39)",
        "' AND pg_sleep(5)--",
        "'||(SELECT password_hash FROM users LIMIT 1)||'",
    ] {
        assert_eq!(found(&staff, text).await, [""; 0], "{text}");
        for variables in [
            json!({ "after": text }),
            json!({ "before": text, "last": 3 }),
            json!({ "orderBy": [{ "field": text }] }),
            json!({ "orderBy": [{ "field": "USERNAME", "direction": text }] }),
            json!({ "filter": { "joinedAfter": text } }),
            json!({ "filter": { "role": text } }),
        ] {
            assert_eq!(staff.code(FIND, variables.clone()).await, "BAD_USER_INPUT", "{variables}");
        }
    }
    let long = "a".repeat(101);
    for text in ["a\u{1}b", "\u{7}", long.as_str()] {
        assert_eq!(staff.code(FIND, json!({ "search": text })).await, "BAD_USER_INPUT", "{text:?}");
    }
    assert_eq!(found(&staff, &"a".repeat(100)).await, [""; 0]);
    let order = json!({ "orderBy": [{ "field": "password_hash" }] });
    assert_eq!(staff.code(FIND, order).await, "BAD_USER_INPUT");
    assert_eq!(found(&staff, "").await.len(), 7);
}

/// Adds many users: every other one is inactive, every third not verified, every hundredth a manager, and every 97th
/// matches "seldom".
async fn crowd(app: &TestApp, number: u32) {
    let is_postgres = app.db().get_database_backend() == DatabaseBackend::Postgres;
    let (id, flag) = if is_postgres { ("gen_random_uuid()", "") } else { ("randomblob(16)", "0 + ") };
    let statement = format!(
        "WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {number})
         INSERT INTO users (id, username, username_key, email, email_key, first_name, last_name, first_name_key,
             last_name_key, phone, address, bio, role, permission, is_active, is_staff, is_superuser, is_verified,
             date_joined, updated_at)
         SELECT {id}, 'u' || i, 'u' || i, i || '@example.com', i || '@example.com', '', '',
             CASE WHEN i % 97 = 0 THEN 'seldom' ELSE 'often' END, 'name' || (i % 7), '', '', '',
             CASE WHEN i % 100 = 0 THEN 'MANAGER' ELSE 'MEMBER' END, 'ONLY_VIEW',
             {flag}(i % 2 = 0), {flag}(1 = 0), {flag}(1 = 0), {flag}(i % 3 <> 0), 1000000000000 + i * 1000, 0 FROM numbers"
    );
    app.db().execute_unprepared(&statement).await.unwrap();
}

/// Predicate of a filter.
type Passes = fn(&user::Model) -> bool;

#[both_databases]
async fn among_thousands_every_way_of_looking_finds_the_same(place: Place) {
    let app = TestApp::start(&place).await;
    crowd(&app, 8000).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let mut all = user::Entity::find().all(app.db()).await.unwrap();
    all.retain(|user| !user.is_superuser);
    let filters: [(Value, Passes); 6] = [
        (json!({}), |_| true),
        (json!({ "isActive": false }), |user| !user.is_active),
        (json!({ "isActive": true, "isVerified": false }), |user| user.is_active && !user.is_verified),
        (json!({ "isVerified": true }), |user| user.is_verified),
        (json!({ "role": "MANAGER", "isVerified": true }), |user| user.role == Role::Manager && user.is_verified),
        (json!({ "isActive": false, "joinedAfter": "2001-09-09T02:40:00Z" }), |user| {
            !user.is_active && user.date_joined.millis() > 1_000_003_200_000
        }),
    ];
    for by_name in [false, true] {
        let order = match by_name {
            false => json!([{ "field": "DATE_JOINED", "direction": "DESC" }]),
            true => json!([{ "field": "LAST_NAME" }, { "field": "USERNAME" }]),
        };
        match by_name {
            false => all.sort_by_key(|user| Reverse(user.date_joined)),
            true => all.sort_by(|a, b| (&a.last_name_key, &a.username_key).cmp(&(&b.last_name_key, &b.username_key))),
        }
        for (filter, is_wanted) in &filters {
            for search in [None, Some("often"), Some("seldom"), Some("u7"), Some("qqq")] {
                let has = |user: &&user::Model| {
                    search.is_none_or(|term| user.username_key.contains(term) || user.first_name_key.contains(term))
                };
                let wanted = all.iter().filter(|user| is_wanted(user)).filter(has);
                let wanted: Vec<String> = wanted.map(|user| user.username.clone()).collect();
                for offset in [0, 30, 3500] {
                    let variables = json!({
                        "first": 5, "offset": offset, "search": search, "filter": filter, "orderBy": order
                    });
                    let data = staff.data(FIND, variables.clone()).await;
                    let page: Vec<String> = wanted.iter().skip(offset).take(5).cloned().collect();
                    assert_eq!(names(&data), page, "{variables}");
                    assert_eq!(data["users"]["totalCount"], wanted.len(), "{variables}");
                    assert_eq!(data["users"]["pageInfo"]["hasNextPage"], wanted.len() > offset + 5, "{variables}");
                }
            }
        }
    }
}
