//! The right to the presence subscription, by role and scope, and its loss by an import.

use test_macros::both_databases;

use serde_json::{Value, json};

use crate::api_tokens::make;
use crate::cli_admin::done;
use crate::socket::Socket;
use crate::spreadsheet_import::{counts, import};
use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const LISTEN: &str = "subscription { onlineUsers { username } }";

const SCOPES: [&str; 4] = ["READ", "WRITE", "EXPORT", "MANAGE_USERS"];

/// Creates an account with these fields besides its name, address and password.
async fn add(app: &TestApp, name: &str, mut fields: Value) -> Person {
    fields["username"] = json!(name);
    fields["email"] = json!(format!("{name}@example.com"));
    fields["password"] = json!(PASSWORD);
    app.add(fields).await
}

/// Usernames in the first result of the subscription, or the code of the refusal.
async fn listen(app: &TestApp, client: &Client) -> Result<Vec<String>, String> {
    let mut socket = Socket::sign_in(&app.url, client).await;
    socket.subscribe("1", LISTEN).await;
    let message = socket.hear().await;
    if let Some(code) = message["payload"][0]["extensions"]["code"].as_str() {
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("1")));
        return Err(code.to_owned());
    }
    let users = message["payload"]["data"]["onlineUsers"].as_array().unwrap_or_else(|| panic!("{message}"));
    let mut names: Vec<String> = users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect();
    names.sort();
    Ok(names)
}

#[both_databases]
async fn the_subscription_is_for_staff_by_a_session_or_a_token_that_reads(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.limits.limits = false;
        config.sockets.sockets_per_client = 200;
    })
    .await;
    let mut sessions = vec![("superuser", app.admin().await)];
    for (who, fields) in [
        ("flagged", json!({ "isStaff": true })),
        ("director", json!({ "role": "ADMIN" })),
        ("flagged director", json!({ "role": "ADMIN", "isStaff": true })),
        ("manager", json!({ "role": "MANAGER", "permission": "FULL_ACCESS" })),
        ("agent", json!({ "role": "AGENT", "permission": "DOWNLOAD" })),
        ("member", json!({ "role": "MEMBER" })),
    ] {
        let person = add(&app, &who.replace(' ', "-"), fields).await;
        sessions.push((who, person.sign_in(&app).await));
    }
    for (_, session) in &sessions {
        session.data("{ me { id } }", json!({})).await;
    }
    let others = ["agent", "director", "flagged", "flagged-director", "manager", "member"];
    let all: Vec<&str> = std::iter::once("admin").chain(others).collect();
    for (who, session) in &sessions {
        let expected: Result<Vec<String>, String> = match *who {
            "superuser" => Ok(all.iter().map(|name| (*name).to_owned()).collect()),
            "flagged" | "director" | "flagged director" => Ok(others.iter().map(|name| (*name).to_owned()).collect()),
            _ => Err("FORBIDDEN".to_owned()),
        };
        assert_eq!(listen(&app, session).await, expected, "{who}");
        let without = SCOPES.map(|left_out| SCOPES.into_iter().filter(|scope| *scope != left_out).collect::<Vec<_>>());
        for mut scopes in SCOPES.map(|scope| vec![scope]).into_iter().chain(without) {
            if expected.is_err() {
                // Only staff can make such a token.
                scopes.retain(|scope| *scope != "MANAGE_USERS");
                if scopes.is_empty() {
                    continue;
                }
            }
            let script = app.anyone().with_token(make(session, &scopes).await.1);
            let expected = if scopes.contains(&"READ") { expected.clone() } else { Err("FORBIDDEN".to_owned()) };
            assert_eq!(listen(&app, &script).await, expected, "{who} {scopes:?}");
        }
    }
}

#[both_databases]
async fn queries_over_a_connection_need_the_same_scopes_as_over_http(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = add(&app, "boss", json!({ "role": "ADMIN" })).await.sign_in(&app).await;
    for document in
        ["{ me { id } }", "{ onlineCount }", "{ users { totalCount } }", "{ allEmails }", "{ sessions { id } }"]
    {
        for scope in SCOPES {
            let script = app.anyone().with_token(make(&boss, &[scope]).await.1);
            let answer = script.send(document, json!({})).await.body;
            let mut socket = Socket::sign_in(&app.url, &script).await;
            socket.subscribe("1", document).await;
            let mut message = socket.hear().await;
            let codes = |body: &Value| body["errors"][0]["extensions"]["code"].clone();
            assert_eq!(codes(&message["payload"]), codes(&answer), "{document} {scope}");
            assert_eq!(message["payload"]["data"].take(), answer["data"], "{document} {scope}");
        }
    }
}

/// A connection with a running subscription.
async fn listening(app: &TestApp, client: &Client) -> Socket {
    let mut socket = Socket::sign_in(&app.url, client).await;
    socket.subscribe("1", LISTEN).await;
    socket.data("1").await;
    socket
}

/// Checks all connections as the worker does, and returns the number of those that stay.
async fn check(app: &TestApp) -> usize {
    app.app.live_connections.check(&app.app.db, &app.app.clock.now(), &app.app.ring()).await.unwrap();
    app.app.live_connections.count()
}

#[both_databases]
async fn an_import_that_takes_a_role_ends_the_connections_of_its_users(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let director = add(&app, "director", json!({ "role": "ADMIN" })).await;
    let flagged = add(&app, "flagged", json!({ "role": "ADMIN", "isStaff": true })).await;
    let colleague = add(&app, "colleague", json!({ "role": "ADMIN" })).await;
    let session = director.sign_in(&app).await;
    let script = app.anyone().with_token(make(&session, &["READ"]).await.1);
    let mut by_session = listening(&app, &session).await;
    let mut by_token = listening(&app, &script).await;
    let mut by_flag = listening(&app, &flagged.sign_in(&app).await).await;
    let mut untouched = listening(&app, &colleague.sign_in(&app).await).await;
    assert_eq!(check(&app).await, 4);

    let sheet = "email,role\ndirector@example.com,MEMBER\nflagged@example.com,MEMBER\ncolleague@example.com,ADMIN\n";
    assert_eq!(counts(&import(&admin, sheet).await), (0, 2, 1));
    assert_eq!(check(&app).await, 2, "two are staff all the same");
    for socket in [&mut by_session, &mut by_token] {
        assert_eq!(socket.closed().await, 4403);
    }
    for socket in [&mut by_flag, &mut untouched] {
        socket.say(json!({ "type": "ping" })).await;
        assert!(socket.is_welcome().await);
    }
    for client in [&session, &script] {
        assert_eq!(client.code("{ users { totalCount } }", json!({})).await, "FORBIDDEN");
        assert_eq!(listen(&app, client).await, Err("FORBIDDEN".to_owned()));
    }

    // An open connection gets a new right at once, and does not outlive it either.
    let mut socket = Socket::sign_in(&app.url, &session).await;
    socket.subscribe("1", LISTEN).await;
    assert_eq!(socket.refusal("1").await, "FORBIDDEN");
    assert_eq!(counts(&import(&admin, "email,role\ndirector@example.com,ADMIN\n").await), (0, 1, 0));
    socket.subscribe("1", LISTEN).await;
    socket.data("1").await;
    assert_eq!(counts(&import(&admin, "email,role\ndirector@example.com,MANAGER\n").await), (0, 1, 0));
    check(&app).await;
    assert_eq!(socket.closed().await, 4403);

    // So does an import that deactivates a user.
    assert_eq!(counts(&import(&admin, "email,is_active\ncolleague@example.com,no\n").await), (0, 1, 0));
    check(&app).await;
    assert_eq!(untouched.closed().await, 4403);
}

#[both_databases]
async fn imports_by_commands_end_connections_of_a_running_service(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    // As in the process: the commands are other processes, and send no message.
    app.start_worker();
    let director = add(&app, "director", json!({ "role": "ADMIN" })).await;
    let mut socket = listening(&app, &director.sign_in(&app).await).await;
    let file = place.folder.join("people.csv");
    std::fs::write(&file, "email,role\ndirector@example.com,MEMBER\n").unwrap();
    let printed = done(&place, &["import", "users", file.to_str().unwrap()]);
    assert!(printed.ends_with("created: 0, updated: 1, unchanged: 0\n"), "{printed}");
    assert_eq!(socket.closed().await, 4403);

    // A user from Django, who is staff there and then no longer.
    let heading =
        "id,username,email,password,first_name,last_name,is_active,is_staff,is_superuser,date_joined,last_login";
    let hash = "pbkdf2_sha256$36000$KFv8N8T3Nz0BA5PEA93Riz$XPd08s4DB/E+VJBLOR8OvIoON+7bT+MlVpOGz5a6VR4=";
    let row = |is_staff: &str| format!("1,ann,ann@example.com,{hash},,,t,{is_staff},f,2020-02-03 04:05:06+00,");
    let take_over = |is_staff: &str| {
        std::fs::write(&file, format!("{heading}\n{}\n", row(is_staff))).unwrap();
        done(&place, &["import", "django", file.to_str().unwrap()])
    };
    assert!(take_over("t").starts_with("created: 1, updated: 0, unchanged: 0\n"));
    let ann = app.anyone().sign_in("ann", "l\u{e8}tmein").await;
    let mut socket = listening(&app, &ann).await;
    let printed = take_over("f");
    assert!(printed.contains("updated: 1"), "{printed}");
    assert_eq!(socket.closed().await, 4403);
}
