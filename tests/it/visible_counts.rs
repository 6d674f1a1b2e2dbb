//! Counts of lists: they count exactly the rows that the viewer may see, by a session and by an API token.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ActiveModelTrait as _, ActiveValue::Set};
use serde_json::{Value, json};
use vestibule::entity::user;
use vestibule::tools::mail::SendError;

use crate::api_tokens::make;
use crate::parity::recovery::REQUEST;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

/// A service with two superusers, two kinds of staff and others, who all did something.
struct Scene {
    app: TestApp,
    /// Superusers, and then other staff: each by a session and by an API token of each scope that reads lists.
    superusers: Vec<Client>,
    staff: Vec<Client>,
    /// A user without rights, by a session and an API token.
    others: Vec<Client>,
    /// Ids of the superusers.
    hidden: Vec<String>,
}

impl Scene {
    async fn new(place: &Place) -> Self {
        let app = TestApp::start_with(place, |config| config.limits.limits = false).await;
        let admin = app.admin().await;
        let boss = app.add_staff("boss").await;
        let director = json!({ "username": "director", "email": "director@example.com", "role": "ADMIN" });
        let director = app.add(with_password(director)).await;
        let second = app.add_staff("second").await;
        app.add(with_password(json!({ "username": "manager", "email": "m@example.com", "role": "MANAGER" }))).await;
        app.add(with_password(json!({ "username": "gone", "email": "gone@example.com", "isActive": false }))).await;
        let ada = app.add_user("ada").await;
        let promoted = user::ActiveModel {
            id: Set(second.id.parse().unwrap()),
            is_superuser: Set(true),
            external_id: Set(Some("7".to_owned())),
            is_verified: Set(false),
            ..Default::default()
        };
        // Nobody signs in without a confirmed address.
        let second_client = second.sign_in(&app).await;
        promoted.update(app.db()).await.unwrap();
        let me = admin.data("{ me { id } }", json!({})).await["me"]["id"].as_str().unwrap().to_owned();

        let mut superusers = Vec::new();
        for session in [admin, second_client] {
            superusers.extend([token(&app, &session).await, session]);
        }
        let mut staff = Vec::new();
        for person in [&boss, &director] {
            let session = person.sign_in(&app).await;
            staff.extend([token(&app, &session).await, session]);
        }
        let session = ada.sign_in(&app).await;
        let others = vec![token(&app, &session).await, session];
        Self { app, superusers, staff, others, hidden: vec![me, second.id] }
    }

    fn is_hidden(&self, id: &Value) -> bool {
        self.hidden.iter().any(|hidden| *id == **hidden)
    }

    /// Checks that all superusers get the same list, and all other staff the same list without the hidden rows, each
    /// with its length as the count. Returns the number of hidden rows.
    async fn compare(&self, document: &str, variables: &Value, is_hidden: impl Fn(&Value) -> bool) -> usize {
        let read = async |client: &Client| {
            let data = client.data(document, variables.clone()).await;
            let list = data.as_object().unwrap().values().next().unwrap().clone();
            let nodes = list["nodes"].as_array().unwrap().clone();
            assert_eq!(list["totalCount"], nodes.len(), "{document} {variables}");
            nodes
        };
        let whole = read(&self.superusers[0]).await;
        for client in &self.superusers {
            assert_eq!(read(client).await, whole, "{document} {variables}");
        }
        let visible: Vec<Value> = whole.iter().filter(|node| !is_hidden(node)).cloned().collect();
        for client in &self.staff {
            assert_eq!(read(client).await, visible, "{document} {variables}");
        }
        whole.len() - visible.len()
    }
}

fn with_password(mut input: Value) -> Value {
    input["password"] = json!(PASSWORD);
    input
}

/// The same user with an API token that reads lists.
async fn token(app: &TestApp, session: &Client) -> Client {
    let (_, secret) = make(session, &["READ", "EXPORT"]).await;
    app.mails().await;
    app.anyone().with_token(secret)
}

#[both_databases]
async fn no_count_of_users_includes_superusers_for_other_staff(place: Place) {
    const USERS: &str = "query($search: String, $filter: UserFilter) {
        users(search: $search, filter: $filter, first: 200, orderBy: [{ field: USERNAME }]) {
            totalCount nodes { id username }
        }
    }";
    let scene = Scene::new(&place).await;
    // The filter by activity reads the database.
    scene.app.app.presence.publish(&scene.app.app.db, &scene.app.app.clock.now()).await.unwrap();
    let day = json!({ "joinedOn": "2026-01-05" });
    let filters = [
        (json!({}), 2),
        (json!({ "isActive": true }), 2),
        (json!({ "isActive": false }), 0),
        (json!({ "isStaff": true }), 2),
        (json!({ "isStaff": false }), 0),
        (json!({ "isVerified": true }), 1),
        (json!({ "isVerified": false }), 1),
        (json!({ "isOnline": true }), 2),
        (json!({ "isOnline": false }), 0),
        (json!({ "role": "ADMIN" }), 1),
        (json!({ "role": "MEMBER" }), 1),
        (json!({ "externalId": "7" }), 1),
        (day.clone(), 2),
        (json!({ "joinedOn": "2026-01-04" }), 0),
        (json!({ "joinedAfter": "2026-01-01T00:00:00Z" }), 2),
        (json!({ "joinedBefore": "2027-01-01T00:00:00Z" }), 2),
        (json!({ "isActive": true, "isStaff": true, "isOnline": true }), 2),
    ];
    for (filter, hidden) in &filters {
        let variables = json!({ "filter": filter });
        let found = scene.compare(USERS, &variables, |user| scene.is_hidden(&user["id"])).await;
        assert_eq!(found, *hidden, "{filter}");
    }
    for (search, hidden) in
        [("admin", 1), ("ADMIN@local", 1), ("second", 1), ("d", 2), ("m", 2), ("example.com", 1), ("ada", 0)]
    {
        for filter in [json!({}), json!({ "isActive": true }), day.clone()] {
            let variables = json!({ "search": search, "filter": filter });
            let found = scene.compare(USERS, &variables, |user| scene.is_hidden(&user["id"])).await;
            assert_eq!(found, hidden, "{search} {filter}");
        }
    }
    for client in &scene.others {
        assert_eq!(client.code(USERS, json!({})).await, "FORBIDDEN");
    }
}

#[both_databases]
async fn pages_end_where_the_count_says(place: Place) {
    const PAGE: &str = "query($first: Int, $last: Int, $offset: Int) {
        users(first: $first, last: $last, offset: $offset) {
            totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage }
        }
    }";
    let scene = Scene::new(&place).await;
    for (clients, count) in [(&scene.superusers, 7), (&scene.staff, 5)] {
        for client in clients {
            let page = async |variables: Value| client.data(PAGE, variables).await["users"].clone();
            for (variables, length, has_next, has_previous) in [
                (json!({ "first": count }), count, false, false),
                (json!({ "first": count - 1 }), count - 1, true, false),
                (json!({ "last": count }), count, false, false),
                (json!({ "last": count - 1 }), count - 1, false, true),
                (json!({ "first": 1, "offset": count - 1 }), 1, false, true),
                (json!({ "first": 1, "offset": count }), 0, false, true),
            ] {
                let page = page(variables.clone()).await;
                let nodes = page["nodes"].as_array().unwrap().len();
                assert_eq!((&page["totalCount"], nodes), (&json!(count), length), "{variables}");
                let info = &page["pageInfo"];
                assert_eq!(info["hasNextPage"], has_next, "{variables}");
                if length > 0 {
                    assert_eq!(info["hasPreviousPage"], has_previous, "{variables}");
                }
            }
        }
    }
}

#[both_databases]
async fn superusers_are_counted_online_for_superusers_only(place: Place) {
    let scene = Scene::new(&place).await;
    // Both superusers, two staff, and one other have used the service.
    let count = async |client: &Client| client.data("{ onlineCount }", json!({})).await["onlineCount"].clone();
    let listed = async |client: &Client| {
        client.data("{ onlineUsers { id } }", json!({})).await["onlineUsers"].as_array().unwrap().len()
    };
    for is_written in [false, true] {
        for client in &scene.superusers {
            assert_eq!((count(client).await, listed(client).await), (json!(5), 5), "{is_written}");
        }
        for client in &scene.staff {
            assert_eq!((count(client).await, listed(client).await), (json!(3), 3), "{is_written}");
        }
        for client in &scene.others {
            assert_eq!(count(client).await, json!(3), "{is_written}");
        }
        // Once from memory, and once from the database.
        scene.app.app.presence.publish(&scene.app.app.db, &scene.app.app.clock.now()).await.unwrap();
    }
}

#[both_databases]
async fn no_count_of_mails_includes_those_to_superusers_for_other_staff(place: Place) {
    const MAILS: &str = "query($status: MailStatus, $recipient: String) {
        outgoingMails(status: $status, recipient: $recipient, first: 200) {
            totalCount nodes { id recipient status }
        }
    }";
    let scene = Scene::new(&place).await;
    let app = &scene.app;
    app.transport().fail_next(2, &SendError::permanent("550 no"));
    for email in ["admin@localhost", "ada@example.com", "second@example.com", "boss@example.com", "nobody@example.com"]
    {
        app.anyone().data(REQUEST, json!({ "email": email })).await;
        app.wait(Duration::from_secs(1));
        app.mails().await;
    }
    let is_hidden = |mail: &Value| ["admin@localhost", "second@example.com"].iter().any(|to| mail["recipient"] == *to);
    let mut hidden = Vec::new();
    for variables in [
        json!({}),
        json!({ "status": "SENT" }),
        json!({ "status": "FAILED" }),
        json!({ "status": "QUEUED" }),
        json!({ "recipient": "admin@localhost" }),
        json!({ "recipient": "SECOND@example.com" }),
        json!({ "recipient": "ada@example.com" }),
        json!({ "recipient": "nobody@example.com" }),
        json!({ "recipient": "admin@localhost", "status": "FAILED" }),
    ] {
        hidden.push(scene.compare(MAILS, &variables, is_hidden).await);
    }
    assert!(hidden[0] > 2 && hidden[1] > 0 && hidden[5] > 1, "{hidden:?}");
    assert_eq!([hidden[2], hidden[3], hidden[6], hidden[7], hidden[8]], [1, 0, 0, 0, 1], "{hidden:?}");
    // A mail that refers to no user yet.
    app.anyone().data(REQUEST, json!({ "email": "second@example.com" })).await;
    assert_eq!(scene.compare(MAILS, &json!({ "status": "QUEUED" }), is_hidden).await, 1);
}

#[both_databases]
async fn no_count_of_events_includes_those_of_superusers_for_other_staff(place: Place) {
    const EVENTS: &str = "query($filter: AuditEventFilter) {
        auditEvents(filter: $filter, first: 200) { totalCount nodes { id } }
    }";
    let scene = Scene::new(&place).await;
    let read = async |client: &Client, filter: &Value| {
        let list = client.data(EVENTS, json!({ "filter": filter })).await["auditEvents"].clone();
        assert_eq!(list["totalCount"], list["nodes"].as_array().unwrap().len(), "{filter}");
        list
    };
    let mut filters = vec![json!({}), json!({ "action": "LOGIN" }), json!({ "action": "API_TOKEN_CREATED" })];
    filters.extend(scene.hidden.iter().map(|id| json!({ "userId": id })));
    for filter in filters {
        let whole = read(&scene.superusers[0], &filter).await;
        let part = read(&scene.staff[0], &filter).await;
        for client in &scene.superusers {
            assert_eq!(read(client, &filter).await, whole, "{filter}");
        }
        for client in &scene.staff {
            assert_eq!(read(client, &filter).await, part, "{filter}");
        }
        let (all, some) = (whole["totalCount"].as_u64().unwrap(), part["totalCount"].as_u64().unwrap());
        assert!(some < all, "{filter}: {some} of {all}");
        assert_eq!(some == 0, filter.get("userId").is_some(), "{filter}");
    }
}

#[both_databases]
async fn exports_have_the_rows_that_lists_count(place: Place) {
    let scene = Scene::new(&place).await;
    for (clients, count) in [(&scene.superusers, 7), (&scene.staff, 5)] {
        for client in clients {
            let emails = client.data("{ allEmails }", json!({})).await["allEmails"].as_str().unwrap().to_owned();
            assert_eq!(emails.split(';').count(), count);
            assert_eq!(emails.contains("admin@localhost"), count == 7);
            let file = client.get("/export/users.csv").await;
            assert_eq!(file.body.as_str().unwrap().lines().count(), count + 1);
        }
    }
    for client in &scene.others {
        assert_eq!(client.code("{ allEmails }", json!({})).await, "FORBIDDEN");
        assert_eq!(client.get("/export/users.csv").await.status, 403);
    }
}
