//! The examples of the documentation: the first session, which the README starts and `docs/api.md` continues, and other
//! blocks of code.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;

use image::ImageFormat;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use test_macros::both_databases;

use crate::avatars;
use crate::cli_admin::beside;
use crate::parity::recovery::link;
use crate::parity::registration;
use crate::process::run;
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const README: &str = include_str!("../../README.md");
const API: &str = include_str!("../../docs/api.md");

/// Fields of responses whose values differ between runs.
const VARYING: [&str; 9] = [
    "id",
    "username",
    "accessToken",
    "accessExpiresAt",
    "refreshToken",
    "refreshExpiresAt",
    "lastLogin",
    "dateJoined",
    "endCursor",
];

/// Document of an example.
fn document(name: &str) -> String {
    fs::read_to_string(format!("{}/examples/{name}.graphql", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Runs an example, and returns the only field of its data. It must succeed.
async fn example(client: &Client, name: &str, variables: Value) -> Value {
    let data = client.data(&document(name), variables).await;
    let (_, field) = data.as_object().unwrap().iter().next().expect("the document has a field");
    assert!(field["errors"].is_null() || field["errors"] == json!([]), "{name}: {field}");
    field.clone()
}

#[both_databases]
async fn the_first_session(place: Place) {
    let app = TestApp::start(&place).await;
    let login = async |identifier: &str, password: &str| {
        let variables = json!({ "identifier": identifier, "password": password });
        let tokens = example(&app.anyone(), "first-session/1-login", variables).await["tokens"].clone();
        (app.anyone().with_token(tokens["accessToken"].as_str().unwrap()), tokens["refreshToken"].clone())
    };
    let (admin, _) = login(ADMIN.0, ADMIN.1).await;
    assert_eq!(example(&admin, "first-session/2-me", json!({})).await["isSuperuser"], true);

    let ada = json!({ "email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace" });
    let created = example(&admin, "first-session/3-create-user", ada).await;
    assert_eq!(created["user"]["name"], "Ada Lovelace");
    let (uid, token) = link(&app.mails().await[0]);
    let confirm = json!({ "uid": uid, "token": token, "newPassword": PASSWORD });
    assert_eq!(example(&app.anyone(), "first-session/4-confirm-reset", confirm).await["success"], true);
    app.mails().await;

    let promoted =
        example(&admin, "first-session/5-toggle-staff", json!({ "id": created["user"]["id"], "isStaff": true })).await;
    assert_eq!(promoted["user"]["isStaff"], true);
    let (ada, refresh_token) = login("ada@example.com", PASSWORD).await;
    let newest = example(&ada, "first-session/6-users", json!({ "first": 10 })).await["nodes"][0]["username"].clone();
    assert_eq!(newest, created["user"]["username"]);

    example(&app.anyone(), "first-session/7-request-reset", json!({ "email": "ada@example.com" })).await;
    let (uid, token) = link(&app.mails().await[0]);
    let confirm = json!({ "uid": uid, "token": token, "newPassword": "quite a new long phrase" });
    let next = example(&app.anyone(), "first-session/8-refresh", json!({ "refreshToken": refresh_token })).await;
    let ada = app.anyone().with_token(next["tokens"]["accessToken"].as_str().unwrap());
    assert_eq!(example(&ada, "first-session/9-logout", json!({ "everywhere": true })).await["success"], true);
    example(&app.anyone(), "first-session/4-confirm-reset", confirm).await;
    login(newest.as_str().unwrap(), "quite a new long phrase").await;
}

#[both_databases]
async fn from_registering_to_deleting(place: Place) {
    let app = TestApp::start(&place).await;
    let wanted = json!({ "email": "ada@example.com", "password": PASSWORD });
    let registered = example(&app.anyone(), "own-account/1-register", wanted).await;
    assert_eq!(registered["success"], true);
    let token = registration::token(&app.mails().await[0]);
    let link = json!({ "token": token, "registrationSecret": registered["registrationSecret"] });
    let verified = example(&app.anyone(), "own-account/2-verify-email", link).await;
    let ada = app.anyone().with_token(verified["tokens"]["accessToken"].as_str().unwrap());
    let named = json!({ "firstName": "Ada", "lastName": "Lovelace", "bio": "Counts." });
    assert_eq!(example(&ada, "own-account/3-update-me", named).await["user"]["name"], "Ada Lovelace");
    let passwords = json!({ "oldPassword": PASSWORD, "newPassword": "quite a new long phrase" });
    assert_eq!(example(&ada, "own-account/4-change-password", passwords).await["success"], true);
    assert_eq!(example(&ada, "own-account/5-sessions", json!({})).await[0]["isCurrent"], true);
    let made = json!({ "name": "nightly", "scopes": ["EXPORT"] });
    let secret = example(&ada, "own-account/6-create-api-token", made).await["secret"].clone();
    let script = app.anyone().with_token(secret.as_str().unwrap());
    assert_eq!(script.get("/export/samples.csv").await.status, 200);
    let proof = json!({ "currentPassword": "quite a new long phrase" });
    assert_eq!(example(&ada, "own-account/7-delete-me", proof).await["outcome"], "DELETED");
    assert_eq!(script.get("/export/samples.csv").await.status, 401);
}

/// Blocks of code in this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    page.split(&start).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// Commands in the console blocks of a page, each with its printed output.
fn commands(page: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in blocks(page, "console").into_iter().flat_map(str::lines) {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((command, output))) => {
                // A quoted argument continues on the next line.
                let is_open = command.matches('\'').count() % 2 == 1;
                let text = if is_open { command } else { output };
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    commands
}

/// Text between two others, at the first occurrence.
fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = page.split_once(start).unwrap_or_else(|| panic!("no {start}"));
    rest.split(end).next().unwrap_or_default()
}

/// Replaces printed values of variables by those of this run.
fn actual(variables: Value, known: &HashMap<String, String>) -> Value {
    match variables {
        Value::String(text) => known.get(&text).cloned().unwrap_or(text).into(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, actual(value, known))).collect(),
        other => other,
    }
}

/// Compares a printed response with that of this run, and records varying values.
fn compare(printed: &Value, response: &Value, name: &str, known: &mut HashMap<String, String>) {
    match (printed, response) {
        (Value::Object(printed), Value::Object(response)) => {
            assert_eq!(printed.keys().collect::<BTreeSet<_>>(), response.keys().collect::<BTreeSet<_>>(), "{name}");
            for (name, value) in printed {
                compare(value, &response[name], name, known);
            }
        }
        (Value::Array(printed), Value::Array(response)) => {
            assert_eq!(printed.len(), response.len(), "{name}");
            for (printed, response) in printed.iter().zip(response) {
                compare(printed, response, name, known);
            }
        }
        (Value::String(printed), Value::String(response)) if VARYING.contains(&name) => {
            known.insert(printed.clone(), response.clone());
        }
        _ => assert_eq!(printed, response, "{name}"),
    }
}

#[both_databases]
async fn the_session_in_the_documents_is_answered_as_printed(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.anyone();
    let password = between(README, "password (shown only once): ", "\n").to_owned();
    let printed_link = between(API, "\"token\": \"", "\"").to_owned();
    let mut known = HashMap::from([(password, ADMIN.1.to_owned())]);
    let mut requests = 0;
    for (command, output) in commands(README).into_iter().chain(commands(API)) {
        if let Some(token) = command.strip_prefix("TOKEN=") {
            client = app.anyone().with_token(&known[token]);
        }
        let Some((name, variables)) = command.strip_prefix("gql ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let variables = serde_json::from_str(variables.trim().trim_matches('\'')).unwrap();
        let answer = client.send(&document(&format!("first-session/{name}")), actual(variables, &known)).await;
        compare(&serde_json::from_str(&output).unwrap(), &answer.body, name, &mut known);
        if name == "3-create-user" {
            known.insert(printed_link.clone(), link(&app.mails().await[0]).1);
        }
        requests += 1;
        app.wait(Duration::from_secs(1));
    }
    assert_eq!(requests, 7, "requests were not found");
}

#[both_databases]
async fn the_import_in_the_documents_prints_what_they_show(place: Place) {
    let commands = commands(API);
    let found = |start: &str| commands.iter().find(|(command, _)| command.starts_with(start)).unwrap();
    fs::write(place.folder.join("people.csv"), &found("cat people.csv").1).unwrap();
    let (command, shown) = found("vestibule import users ");
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    let (success, printed, errors) = run(beside(&place), &arguments, "");
    assert!(!success);
    assert_eq!(printed + &errors, *shown);
}

#[both_databases]
async fn the_upload_in_the_documents_is_accepted(place: Place) {
    let app = TestApp::start(&place).await;
    let part = |name: &str| between(API, &format!("-F '{name}="), "'").to_owned();
    let picture = Part::bytes(avatars::file(8, 8, ImageFormat::Png)).file_name("me.png");
    let form = Form::new().text("operations", part("operations")).text("map", part("map")).part("0", picture);
    let answer = avatars::send(&app.admin().await, form).await;
    assert!(answer.body["data"]["uploadAvatar"]["user"]["avatarUrl"].is_string(), "{}", answer.body);
}

#[both_databases]
async fn the_graphql_documents_in_the_pages_fit_the_schema(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let mut documents = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        for document in blocks(&fs::read_to_string(&path).unwrap(), "graphql") {
            let answer = admin.send(document, json!({ "id": "of nothing" })).await;
            assert!(answer.body["errors"].is_null(), "{}: {document}: {}", path.display(), answer.body);
            documents += 1;
        }
    }
    assert!(documents > 0, "the documents were not found");
}
