//! Scalars: every accepted value can be stored and returned; all others are refused with a code.

use std::collections::BTreeMap;
use test_macros::both_databases;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sea_orm::EntityTrait as _;
use sea_orm::sea_query::Expr;
use serde_json::{Value, json};
use vestibule::entity::api_token;
use vestibule::tools::clock::Timestamp;

use crate::api_tokens::make;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const SCHEMA: &str = "{ __schema {
    queryType { fields { ...F } } mutationType { fields { ...F } }
    types { kind name inputFields { name type { ...T } defaultValue } enumValues { name } }
} }
fragment F on __Field { name args { name type { ...T } defaultValue } type { ...T } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// All lists that return stored values.
const LISTS: [&str; 7] = [
    "{ me { id username email pendingEmail firstName lastName name phone address bio dateJoined updatedAt lastLogin } }",
    "{ users(first: 200) { nodes { id username email firstName lastName name phone address bio dateJoined updatedAt } } }",
    "{ apiTokens { id name scopes createdAt lastUsedAt expiresAt } }",
    "{ sessions { id createdAt lastUsedAt expiresAt ip userAgent } }",
    "{ recentSamples { key title createdAt modifiedAt } }",
    "{ auditEvents(first: 200) { nodes { id action createdAt ip userAgent } } }",
    "{ outgoingMails(first: 200) { nodes { id kind recipient createdAt nextAttemptAt sentAt lastError } } }",
];

/// Operations that end the caller's session, or take a file.
const LEFT_OUT: [&str; 5] = ["logout", "refresh", "uploadAvatar", "importUsers", "startImport"];

/// Boundary values of a scalar.
fn extremes(scalar: &str) -> Vec<Value> {
    match scalar {
        "Int" => vec![json!(0), json!(-1), json!(i32::MAX), json!(i32::MIN), json!(i64::MAX), json!(1.5)],
        "Boolean" => vec![json!(true), json!(0)],
        "DateTime" | "Date" => TIMES.iter().map(|text| json!(text)).collect(),
        "ID" | "String" => {
            let mut texts: Vec<Value> = TEXTS.iter().map(|text| json!(text)).collect();
            texts.extend([json!("x".repeat(5000)), json!("\u{1f43b}".repeat(2000)), json!(7), json!(i64::MIN)]);
            texts.extend(TIMES.iter().map(|text| json!(text)));
            texts
        }
        _ => Vec::new(),
    }
}

const TIMES: [&str; 12] = [
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59-23:59",
    "9999-12-31T23:59:60Z",
    "+10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
];

const TEXTS: [&str; 20] = [
    "",
    " ",
    "\0",
    "a\0b",
    "\u{1}\u{7f}\u{80}\u{9f}",
    "\r\n",
    "\u{2028}\u{2029}",
    "\u{202e}abc\u{2066}",
    "\u{200b}\u{200d}\u{feff}",
    "\u{fffe}\u{ffff}\u{10ffff}",
    "\u{e000}\u{f0000}",
    "e\u{301}\u{301}\u{301}\u{301}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{fdfa}\u{1e9e}\u{130}",
    "' OR 1=1 --",
    "%_\\",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "a@\u{430}.example",
    "x\u{0}@example.com",
];

/// Types of the schema by name.
type Types = BTreeMap<String, Value>;

/// Named type without list and non-null wrappers.
fn named(ty: &Value) -> &Value {
    if ty["ofType"].is_null() { ty } else { named(&ty["ofType"]) }
}

fn spell(ty: &Value) -> String {
    match ty["kind"].as_str().unwrap() {
        "NON_NULL" => format!("{}!", spell(&ty["ofType"])),
        "LIST" => format!("[{}]", spell(&ty["ofType"])),
        _ => ty["name"].as_str().unwrap().to_owned(),
    }
}

/// Ordinary value of a type; required fields only for inputs.
fn ordinary(types: &Types, ty: &Value, id: &str) -> Value {
    if ty["kind"] == "NON_NULL" {
        return ordinary(types, &ty["ofType"], id);
    }
    if ty["kind"] == "LIST" {
        return json!([ordinary(types, &ty["ofType"], id)]);
    }
    let name = ty["name"].as_str().unwrap();
    match name {
        "ID" => json!(id),
        "String" => json!(PASSWORD),
        "Int" => json!(1),
        "Boolean" => json!(true),
        "DateTime" => json!("2026-06-01T00:00:00Z"),
        "Date" => json!("2026-01-05"),
        _ => match types[name]["enumValues"].as_array() {
            Some(values) => values[0]["name"].clone(),
            None => {
                let fields = types[name]["inputFields"].as_array().unwrap().iter();
                let needed =
                    fields.filter(|field| field["type"]["kind"] == "NON_NULL" && field["defaultValue"].is_null());
                let given = needed
                    .map(|field| (field["name"].as_str().unwrap().to_owned(), ordinary(types, &field["type"], id)));
                Value::Object(given.collect())
            }
        },
    }
}

/// Paths and types of all scalars in a value of this type.
fn places(types: &Types, ty: &Value, path: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let name = named(ty)["name"].as_str().unwrap();
    if let Some(fields) = types[name]["inputFields"].as_array() {
        for field in fields {
            let path = [path, &[field["name"].as_str().unwrap().to_owned()]].concat();
            places(types, &field["type"], &path, found);
        }
    } else if types[name]["kind"] == "SCALAR" {
        found.push((path.to_vec(), name.to_owned()));
    }
}

/// Sets the value at a path.
fn put(into: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *into = value;
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    put(&mut into[first.as_str()], rest, value);
}

/// Asserts that a response is not an internal error.
fn is_no_fault(answer: &crate::test_client::Answer, what: &str) {
    assert!(answer.status < 500, "{what}: {}", answer.body);
    let codes = answer.body["errors"].as_array().into_iter().flatten();
    for error in codes {
        let code = error["extensions"]["code"].as_str().unwrap_or_default();
        assert!(
            !["", "INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "UNAUTHENTICATED"].contains(&code),
            "{what}: {}",
            answer.body
        );
    }
}

async fn all_lists_are_shown(client: &Client, after: &str) {
    for list in LISTS {
        let answer = client.send(list, json!({})).await;
        assert!(answer.body["errors"].is_null(), "{list} after {after}: {}", answer.body);
    }
}

#[both_databases]
async fn no_value_of_a_scalar_in_the_schema_is_a_fault_of_ours(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let admin = app.admin().await;
    let ada = app.add_user("ada").await.id;
    let schema = admin.data(SCHEMA, json!({})).await["__schema"].clone();
    let types = schema["types"].as_array().unwrap().iter();
    let types: Types = types.map(|ty| (ty["name"].as_str().unwrap().to_owned(), ty.clone())).collect();
    let mut tried = 0;
    for (root, key) in [("query", "queryType"), ("mutation", "mutationType")] {
        for field in schema[key]["fields"].as_array().unwrap() {
            let name = field["name"].as_str().unwrap();
            if LEFT_OUT.contains(&name) {
                continue;
            }
            for arg in field["args"].as_array().unwrap() {
                let mut found = Vec::new();
                places(&types, &arg["type"], &[], &mut found);
                for (path, scalar) in found {
                    // Other fields and parts of the document are unaffected.
                    let others = field["args"].as_array().unwrap().iter();
                    let needed: Vec<&Value> = others
                        .filter(|other| {
                            other["name"] == arg["name"]
                                || (other["type"]["kind"] == "NON_NULL" && other["defaultValue"].is_null())
                        })
                        .collect();
                    let list = |of: &dyn Fn(&str, &Value) -> String| {
                        let parts = needed.iter().map(|arg| of(arg["name"].as_str().unwrap(), &arg["type"]));
                        parts.collect::<Vec<_>>().join(", ")
                    };
                    let declared = list(&|name, ty| format!("${name}: {}", spell(ty)));
                    let given = list(&|name, _| format!("{name}: ${name}"));
                    let returned = named(&field["type"]);
                    let selection = match returned["kind"].as_str().unwrap() {
                        "OBJECT" => "{ __typename }",
                        _ => "",
                    };
                    let document = format!("{root}({declared}) {{ {name}({given}) {selection} }}");
                    for value in extremes(&scalar) {
                        let mut variables = json!({});
                        for arg in &needed {
                            let name = arg["name"].as_str().unwrap();
                            variables[name] = ordinary(&types, &arg["type"], &ada);
                        }
                        let at = [&[arg["name"].as_str().unwrap().to_owned()][..], &path].concat();
                        put(&mut variables, &at, value.clone());
                        let answer = admin.send(&document, variables).await;
                        is_no_fault(&answer, &format!("{name} {} {value}", at.join(".")));
                        tried += 1;
                    }
                }
            }
            all_lists_are_shown(&admin, name).await;
        }
    }
    assert!(tried > 500, "only {tried} values were tried");
    app.deliver().await;
    all_lists_are_shown(&admin, "the mails").await;
}

/// Reproducible sample of values.
fn draw<T>(of: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| of.new_tree(&mut runner).unwrap().current()).collect()
}

/// Text as stored by the service: composed, with line feeds, trimmed of blanks and invisible characters. `is_one_line`
/// also drops characters that only suggest line breaks.
fn kept(text: &str, is_one_line: bool) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    let text = text.replace("\r\n", "\n");
    let dropped = if is_one_line { "\u{feff}\u{ad}\u{200b}\u{2060}" } else { "\u{feff}" };
    vestibule::tools::text::trim(&text).nfc().filter(|c| !dropped.contains(*c)).collect()
}

#[both_databases]
async fn a_text_that_is_accepted_is_shown_as_it_was_given(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let update = "mutation($input: UpdateMeInput!) { updateMe(input: $input) {
        user { username firstName lastName phone address bio } errors { code field } } }";
    let sample = "mutation($key: String!, $title: String!) { recordSample(input: { key: $key, title: $title }) {
        sample { key title } errors { code field } } }";
    let token = "mutation($input: CreateApiTokenInput!) { createApiToken(input: $input) {
        apiToken { name } errors { code field } } }";
    let mut accepted = 0;
    let any = prop_oneof![".{0,40}", "[\\PC\\s]{0,40}", "[\\p{L}\\p{M}]{1,20}", "(\\PC|\\x00|\u{202e}|\u{feff}){0,9}"];
    for text in draw(any, 60) {
        for field in ["username", "firstName", "lastName", "phone", "address", "bio"] {
            let answer = ada.send(update, json!({ "input": { field: text } })).await;
            is_no_fault(&answer, &format!("{field} {text:?}"));
            let payload = &answer.body["data"]["updateMe"];
            if payload["errors"] == json!([]) {
                accepted += 1;
                let is_one_line = !matches!(field, "address" | "bio");
                assert_eq!(payload["user"][field], kept(&text, is_one_line), "{field} {text:?}");
                let me = ada.data("{ me { username firstName lastName phone address bio } }", json!({})).await;
                assert_eq!(me["me"], payload["user"], "{field} {text:?}");
            }
        }
        for (document, variables, name, field) in [
            (sample, json!({ "key": "k", "title": text }), "recordSample", ["sample", "title"]),
            (sample, json!({ "key": text, "title": "t" }), "recordSample", ["sample", "key"]),
            (token, json!({ "input": { "name": text } }), "createApiToken", ["apiToken", "name"]),
        ] {
            let answer = ada.send(document, variables).await;
            is_no_fault(&answer, &format!("{name} {text:?}"));
            let payload = &answer.body["data"][name];
            if payload["errors"] == json!([]) {
                accepted += 1;
                assert_eq!(payload[field[0]][field[1]], kept(&text, true), "{name} {text:?}");
            }
        }
    }
    assert!(accepted > 100, "only {accepted} texts were accepted");
    ada.data("{ apiTokens { name } recentSamples { key title } }", json!({})).await;
}

#[both_databases]
async fn a_time_that_is_accepted_is_shown_as_it_was_given(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.limits.limits = false;
        // The latest time allowed by a setting.
        config.api_tokens.api_token_ttl = std::time::Duration::from_secs(10 * 365 * 24 * 60 * 60);
    })
    .await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let create = "mutation($end: DateTime) { createApiToken(input: { name: \"x\", expiresAt: $end }) {
        apiToken { id expiresAt } errors { code field } } }";
    let delete = "mutation($id: ID!) { deleteApiToken(input: { id: $id }) { errors { code } } }";
    let year = prop_oneof![Just(0_u32), Just(1), Just(9999), 2025..=2037_u32, 0..=9999_u32];
    let time =
        (year, 1..=12_u32, 1..=28_u32, 0..=23_u32, 0..=59_u32, 0..=999_999_u32, any::<bool>(), 0..=23_u32, 0..=59_u32);
    let mut accepted = 0;
    for (year, month, day, hour, minute, micro, ahead, hours, minutes) in draw(time, 150) {
        let sign = if ahead { '+' } else { '-' };
        let text =
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:59.{micro:06}{sign}{hours:02}:{minutes:02}");
        let answer = ada.send(create, json!({ "end": text })).await;
        is_no_fault(&answer, &text);
        let payload = &answer.body["data"]["createApiToken"];
        if let Some(shown) = payload["apiToken"]["expiresAt"].as_str() {
            accepted += 1;
            assert_eq!(Timestamp::parse(shown), Timestamp::parse(&text), "{text}");
            ada.data(delete, json!({ "id": payload["apiToken"]["id"] })).await;
        }
    }
    assert!(accepted > 10, "only {accepted} times were accepted");
    for text in ["9999-12-31T23:59:59-23:59", "0000-12-31T23:59:59+00:00"] {
        assert_eq!(ada.code(create, json!({ "end": text })).await, "BAD_USER_INPUT", "{text}");
    }
    ada.data("{ apiTokens { expiresAt } }", json!({})).await;
}

#[both_databases]
async fn a_time_that_an_older_version_stored_hides_no_list(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (_, secret) = make(&ada, &["READ"]).await;
    for (stored, shown) in [
        (Some(i64::MAX), json!("9999-12-31T23:59:59.999Z")),
        (Some(253_402_387_139_000), json!("9999-12-31T23:59:59.999Z")),
        (None, Value::Null),
    ] {
        let end = stored.map(Timestamp::from_millis);
        let update = api_token::Entity::update_many().col_expr(api_token::Column::ExpiresAt, Expr::value(end));
        update.exec(app.db()).await.unwrap();
        let script = app.anyone().with_token(&secret);
        let data = script.data("{ apiTokens { expiresAt } }", json!({})).await;
        assert_eq!(data["apiTokens"][0]["expiresAt"], shown);
    }
}

#[both_databases]
async fn times_at_the_edges_filter_lists_without_a_fault(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let users = "query($f: UserFilter) { users(filter: $f) { totalCount } }";
    let events = "query($f: AuditEventFilter) { auditEvents(filter: $f) { totalCount } }";
    let (first, last) = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z");
    for (document, field, filter, expected) in [
        (users, "users", json!({ "joinedAfter": first }), 1),
        (users, "users", json!({ "joinedAfter": last }), 0),
        (users, "users", json!({ "joinedBefore": first }), 0),
        (users, "users", json!({ "joinedBefore": last }), 1),
        (users, "users", json!({ "joinedAfter": first, "joinedBefore": last }), 1),
        (users, "users", json!({ "joinedOn": "0001-01-01" }), 0),
        (users, "users", json!({ "joinedOn": "9999-12-31" }), 0),
        (users, "users", json!({ "joinedOn": "2026-01-05" }), 1),
        (events, "auditEvents", json!({ "createdAfter": first }), 2),
        (events, "auditEvents", json!({ "createdAfter": last }), 0),
        (events, "auditEvents", json!({ "createdBefore": first }), 0),
        (events, "auditEvents", json!({ "createdBefore": last }), 2),
    ] {
        let data = admin.data(document, json!({ "f": filter })).await;
        assert_eq!(data[field]["totalCount"], expected, "{filter}");
    }
    for text in ["0000-01-01", "10000-01-01"] {
        assert_eq!(admin.code(users, json!({ "f": { "joinedOn": text } })).await, "BAD_USER_INPUT", "{text}");
    }
}
