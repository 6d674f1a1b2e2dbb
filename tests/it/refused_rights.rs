//! Log lines for denied permissions.

use serde_json::json;
use test_macros::both_databases;

use crate::process::{Serving, command};
use crate::test_app::PASSWORD;
use crate::test_client::Client;
use crate::test_database::Place;

const ADMIN_PASSWORD: &str = "a rather long phrase of mine";

fn serve(place: &Place) -> Serving {
    let mut command = command(place);
    command.env("VESTIBULE_LOG_FORMAT", "json").env("VESTIBULE_ADMIN_PASSWORD", ADMIN_PASSWORD);
    Serving::start(command)
}

async fn add(admin: &Client, name: &str, is_staff: bool) -> (String, Client) {
    let create = "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } errors { code } } }";
    let input =
        json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD, "isStaff": is_staff });
    let data = admin.data(create, json!({ "input": input })).await;
    let id = data["createUser"]["user"]["id"].as_str().unwrap().to_owned();
    (id, admin.clone().sign_in(name, PASSWORD).await)
}

/// Lines about denied permissions: user, kind of credential, its id, field or route, and code.
fn lines(log: &str) -> Vec<[String; 5]> {
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let refused = lines.filter(|line| line["message"] == "permission denied");
    refused
        .map(|line| {
            assert_eq!(line["level"], "WARN");
            assert!(line["span"]["id"].is_string() || line["spans"][0]["id"].is_string(), "the request's id: {line}");
            ["user", "credential", "credential_id", "operation", "code"]
                .map(|name| line[name].as_str().unwrap().to_owned())
        })
        .collect()
}

#[both_databases]
async fn a_denied_permission_is_logged_with_caller_and_operation(place: Place) {
    let serving = serve(&place);
    let admin = Client::new(&serving.url).sign_in("admin", ADMIN_PASSWORD).await;
    let admin_id = admin.data("{ me { id } }", json!({})).await["me"]["id"].as_str().unwrap().to_owned();
    let (ada_id, ada) = add(&admin, "ada", false).await;
    let (boss_id, boss) = add(&admin, "boss", true).await;
    let session = ada.data("{ sessions { id isCurrent } }", json!({})).await["sessions"][0]["id"].clone();
    let boss_session = boss.data("{ sessions { id } }", json!({})).await["sessions"][0]["id"].clone();
    let make = "mutation { createApiToken(input: { name: \"x\", scopes: [READ] }) { secret apiToken { id } } }";
    let made = ada.data(make, json!({})).await["createApiToken"].clone();
    let script = Client::new(&serving.url).with_token(made["secret"].as_str().unwrap());

    // Names chosen by the client are not logged as the operation.
    ada.send("query { me: allEmails }", json!({})).await;
    ada.send("query { ...F } fragment F on Query { users { nodes { id } } }", json!({})).await;
    assert_eq!(ada.get("/export/users.csv").await.status, 403);
    script.send("mutation { recordSample(input: { key: \"k\", title: \"t\" }) { errors { code } } }", json!({})).await;
    script.send("{ sessions { id } }", json!({})).await;
    let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: false }) { errors { code } } }";
    boss.send(toggle, json!({ "id": boss_id })).await;
    boss.send(toggle, json!({ "id": admin_id })).await;
    // Permitted operations and invalid input leave no line.
    boss.send("{ allEmails }", json!({})).await;
    ada.send("mutation { updateMe(input: { username: \"a@b\" }) { errors { code } } }", json!({})).await;

    let log = serving.stop();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let (by_session, by_token) = (("session", text(&session)), ("api_token", text(&made["apiToken"]["id"])));
    let by_boss = ("session", text(&boss_session));
    let line = |user: &str, (credential, id): &(&str, String), what: &str, code: &str| {
        [user, *credential, id.as_str(), what, code].map(str::to_owned)
    };
    let expected = [
        line(&ada_id, &by_session, "allEmails", "FORBIDDEN"),
        line(&ada_id, &by_session, "users", "FORBIDDEN"),
        line(&ada_id, &by_session, "/export/users.csv", "FORBIDDEN"),
        line(&ada_id, &by_token, "recordSample", "FORBIDDEN"),
        line(&ada_id, &by_token, "sessions", "FORBIDDEN"),
        line(&boss_id, &by_boss, "toggleActive", "CANNOT_DEACTIVATE_SELF"),
        line(&boss_id, &by_boss, "toggleActive", "CANNOT_EDIT_SUPERUSER"),
    ];
    assert_eq!(lines(&log), expected, "{log}");
}

#[both_databases]
async fn many_refusals_of_one_user_leave_few_lines(place: Place) {
    let serving = serve(&place);
    let admin = Client::new(&serving.url).sign_in("admin", ADMIN_PASSWORD).await;
    let (ada_id, ada) = add(&admin, "ada", false).await;
    let (bob_id, bob) = add(&admin, "bob", false).await;
    for _ in 0..200 {
        ada.send("{ allEmails }", json!({})).await;
    }
    bob.send("{ allEmails }", json!({})).await;
    let lines = lines(&serving.stop());
    let of = |id: &str| lines.iter().filter(|line| line[0] == id).count();
    // A new minute may have begun meanwhile.
    assert!((20..=60).contains(&of(&ada_id)), "{}", of(&ada_id));
    assert_eq!(of(&bob_id), 1);
}
