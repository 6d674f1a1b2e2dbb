//! Check of `docs/rights.md`: it lists every operation and every field of a user, and matches the service.

use std::collections::{BTreeMap, BTreeSet};
use test_macros::both_databases;

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::api_tokens::make;
use crate::socket::Socket;
use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

const TABLE: &str = include_str!("../../docs/rights.md");

pub(crate) const SCHEMA: &str = "{ __schema {
    queryType { fields { ...F } } mutationType { fields { ...F } } subscriptionType { fields { ...F } }
} __type(name: \"User\") { fields { name } } }
fragment F on __Field { name args { name type { ...T } defaultValue } type { ...T } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// Rows of tables with a name in backticks in the first column.
pub(crate) fn rows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let rows = TABLE.lines().filter_map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((name, cells.collect()))
    });
    rows.collect()
}

pub(crate) fn operations(schema: &Value) -> Vec<(&'static str, Value)> {
    let roots = [("Query", "queryType"), ("Mutation", "mutationType"), ("Subscription", "subscriptionType")];
    let of = |(root, key): (&'static str, &str)| {
        let fields = schema["__schema"][key]["fields"].as_array().unwrap().clone();
        fields.into_iter().map(move |field| (root, field))
    };
    roots.into_iter().flat_map(of).collect()
}

#[both_databases]
async fn the_table_names_every_operation_and_field(place: Place) {
    let app = TestApp::start(&place).await;
    let schema = app.anyone().data(SCHEMA, json!({})).await;
    let operations = operations(&schema);
    let mut names: BTreeSet<String> =
        operations.iter().map(|(root, field)| format!("{root}.{}", field["name"].as_str().unwrap())).collect();
    let fields = schema["__type"]["fields"].as_array().unwrap().iter();
    names.extend(fields.map(|field| field["name"].as_str().unwrap().to_owned()));
    let told: BTreeSet<String> = rows().into_keys().map(str::to_owned).collect();
    assert_eq!(told, names);
}

/// Input without effect, for each operation that requires one.
fn harmless(operation: &str) -> Value {
    let nobody = "00000000-0000-7000-8000-000000000000";
    match operation {
        "user" | "node" | "importJob" | "signInProblems" => json!({ "id": nobody }),
        "nodes" => json!({ "ids": [nobody] }),
        "resetTokenIsValid" => json!({ "uid": nobody, "token": "x" }),
        "login" => json!({ "input": { "identifier": "nobody", "password": "x" } }),
        "refresh" | "logout" => json!({ "input": { "refreshToken": "x" } }),
        "register" => json!({ "input": { "email": "x", "password": "x" } }),
        "verifyEmail" | "undoEmailChange" | "startPasskeySignUp" => json!({ "input": { "token": "x" } }),
        "registerWithoutPassword" | "resendVerification" | "requestReset" | "createUser" => {
            json!({ "input": { "email": "x" } })
        }
        "confirmReset" => json!({ "input": { "uid": nobody, "token": "x", "newPassword": "x" } }),
        "changePassword" => json!({ "input": { "oldPassword": "x", "newPassword": "x" } }),
        "uploadAvatar" | "importUsers" | "startImport" => json!({ "input": { "file": null } }),
        "deactivateMe" | "deleteMe" => json!({ "input": { "currentPassword": "x" } }),
        "revokeSession"
        | "rotateApiToken"
        | "deleteApiToken"
        | "toggleStaff"
        | "toggleActive"
        | "deleteUser"
        | "deleteFactor"
        | "deletePasskey"
        | "resetFactors"
        | "retryMail"
        | "updateUser"
        | "endUserSessions"
        | "revokeUserApiToken"
        | "checkImport"
        | "applyImport"
        | "deleteImportMapping" => {
            json!({ "input": { "id": nobody } })
        }
        "reauthenticate" => json!({ "input": { "proof": { "password": "x" } } }),
        "completeLogin" => json!({ "input": { "challengeToken": "x", "proof": { "totpCode": "1" } } }),
        "renamePasskey" => json!({ "input": { "id": nobody, "name": "x" } }),
        "loginWithPasskey" => json!({ "input": { "passkey": credential("signature") } }),
        "finishPasskeyRegistration" => json!({ "input": { "credential": credential("attestationObject") } }),
        "confirmTotpEnrollment" => json!({ "input": { "enrollmentToken": "x", "totpCode": "1" } }),
        "createApiToken" => json!({ "input": { "name": "" } }),
        "recordSample" => json!({ "input": { "key": "", "title": "" } }),
        "setUserPassword" => json!({ "input": { "id": nobody, "password": "x" } }),
        "deleteUsers" | "holdMails" | "releaseMails" | "cancelMails" => json!({ "input": { "ids": [] } }),
        "setUsersActive" => json!({ "input": { "ids": [], "isActive": true } }),
        "sendLink" => json!({ "input": { "id": nobody, "kind": "PASSWORD_RESET" } }),
        "updateMe" => json!({ "input": {} }),
        _ => json!({}),
    }
}

/// A credential that is none, with the field of its kind.
fn credential(field: &str) -> Value {
    let mut response = json!({ "clientDataJSON": "eA", field: "eA" });
    if field == "signature" {
        response["authenticatorData"] = json!("eA");
    }
    json!({ "id": "eA", "rawId": "eA", "type": "public-key", "response": response })
}

/// Document with one operation, and its arguments as variables.
fn document(root: &str, field: &Value, variables: &Value) -> String {
    let args = field["args"].as_array().unwrap().iter();
    let args: Vec<(&str, String)> = args
        .filter(|arg| variables.get(arg["name"].as_str().unwrap()).is_some())
        .map(|arg| (arg["name"].as_str().unwrap(), spell(&arg["type"])))
        .collect();
    let list = |parts: Vec<String>| if parts.is_empty() { String::new() } else { format!("({})", parts.join(", ")) };
    let declared = list(args.iter().map(|(name, ty)| format!("${name}: {ty}")).collect());
    let given = list(args.iter().map(|(name, _)| format!("{name}: ${name}")).collect());
    let mut returned = &field["type"];
    while !returned["ofType"].is_null() {
        returned = &returned["ofType"];
    }
    let has_fields = returned["kind"] == "OBJECT" || returned["kind"] == "INTERFACE";
    let selection = if has_fields { "{ __typename }" } else { "" };
    format!("{} X{declared} {{ {}{given} {selection} }}", root.to_lowercase(), field["name"].as_str().unwrap())
}

fn spell(ty: &Value) -> String {
    match ty["kind"].as_str().unwrap() {
        "NON_NULL" => format!("{}!", spell(&ty["ofType"])),
        "LIST" => format!("[{}]", spell(&ty["ofType"])),
        _ => ty["name"].as_str().unwrap().to_owned(),
    }
}

/// Permission for an operation: `yes` for any result, or the reason of the refusal.
pub(crate) async fn ask(url: &str, client: &Client, root: &str, field: &Value) -> String {
    let name = field["name"].as_str().unwrap();
    let variables = harmless(name);
    let document = document(root, field, &variables);
    if root == "Subscription" {
        return ask_by_socket(url, client, &document).await;
    }
    let answer = if variables["input"].get("file").is_some() {
        let operations = json!({ "query": document, "variables": variables }).to_string();
        let form = Form::new()
            .text("operations", operations)
            .text("map", "{\"0\":[\"variables.input.file\"]}")
            .part("0", Part::bytes(b"nothing of the kind".to_vec()).file_name("x"));
        let request = client.request("POST", "/graphql").header("graphql-require-preflight", "1").multipart(form);
        client.finish(request).await
    } else {
        client.send(&document, variables).await
    };
    match answer.body["errors"][0]["extensions"]["code"].as_str() {
        Some(code @ ("UNAUTHENTICATED" | "FORBIDDEN" | "SECOND_FACTOR_ENROLLMENT_REQUIRED")) => code.to_owned(),
        Some(code) => panic!("{name}: {code}: {}", answer.body),
        None => "yes".to_owned(),
    }
}

/// Permission for a subscription, from its first result or its end.
async fn ask_by_socket(url: &str, client: &Client, document: &str) -> String {
    let mut socket = Socket::open(url).await;
    let payload = client.access.as_ref().map(|token| json!({ "Authorization": format!("Bearer {token}") }));
    socket.say(json!({ "type": "connection_init", "payload": payload })).await;
    if !socket.is_welcome().await {
        // The protocol has one code for both (4403).
        return if client.access.is_some() { "FORBIDDEN" } else { "UNAUTHENTICATED" }.to_owned();
    }
    socket.subscribe("x", document).await;
    let answer = socket.hear().await["payload"].take();
    let errors = if answer.is_array() { &answer } else { &answer["errors"] };
    match errors[0]["extensions"]["code"].as_str() {
        Some(code @ ("UNAUTHENTICATED" | "FORBIDDEN" | "SECOND_FACTOR_ENROLLMENT_REQUIRED")) => code.to_owned(),
        Some(code) => panic!("{document}: {code}: {answer}"),
        None => "yes".to_owned(),
    }
}

#[both_databases]
async fn the_table_is_right_about_each_operation(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let anyone = app.anyone();
    let user = app.add_user("ada").await.sign_in(&app).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let mut tokens = Vec::new();
    for scope in ["READ", "WRITE", "EXPORT", "MANAGE_USERS"] {
        tokens.push((scope, app.anyone().with_token(make(&staff, &[scope]).await.1)));
    }
    let schema = anyone.data(SCHEMA, json!({})).await;
    let table = rows();
    let mut untrue = Vec::new();
    for (root, field) in operations(&schema) {
        let name = format!("{root}.{}", field["name"].as_str().unwrap());
        let [for_anyone, for_user, for_staff, scope] = table[name.as_str()][..] else { panic!("{name}") };
        let said = |may: &str, otherwise: &str| if may == "yes" { "yes".to_owned() } else { otherwise.to_owned() };
        let mut check = |who: String, seen: String, expected: String| {
            if seen != expected {
                untrue.push(format!("{name} by {who}: {seen}, not {expected}"));
            }
        };
        check("anyone".to_owned(), ask(&app.url, &anyone, root, &field).await, said(for_anyone, "UNAUTHENTICATED"));
        check("a user".to_owned(), ask(&app.url, &user, root, &field).await, said(for_user, "FORBIDDEN"));
        check("staff".to_owned(), ask(&app.url, &staff, root, &field).await, said(for_staff, "FORBIDDEN"));
        for (held, token) in &tokens {
            let may = if scope == "–" || scope == *held { "yes" } else { "no" };
            check(format!("a token with {held}"), ask(&app.url, token, root, &field).await, said(may, "FORBIDDEN"));
        }
    }
    assert_eq!(untrue, [""; 0]);
}
