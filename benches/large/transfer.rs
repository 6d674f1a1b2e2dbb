//! Exports of all users, and an import.

use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::service::Service;

/// Maximum number of imported rows.
const ROWS: u64 = 100_000;

const EMAILS: &str = "{ allEmails }";

const IMPORT: &str = "mutation($input: ImportUsersInput!) {
    importUsers(input: $input) { created rowErrors { message } errors { message } }
}";

/// Exports all users in each format, imports others, and prints the time taken.
pub(crate) async fn measure(service: &Service, access: &str, users: u64) {
    // The client requires a TLS provider, although nothing is encrypted here. Only the first call installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    for path in ["export/users.csv", "export/users.xlsx"] {
        let before = service.forget_peak();
        let began = Instant::now();
        let mut first = None;
        let (mut bytes, mut lines) = (0, 0);
        let asked = client.get(format!("http://{}/{path}", service.address)).bearer_auth(access);
        let mut answer = asked.send().await.unwrap().error_for_status().unwrap();
        while let Some(chunk) = answer.chunk().await.unwrap() {
            first.get_or_insert_with(|| began.elapsed());
            bytes += chunk.len();
            lines += chunk.split(|byte| *byte == b'\n').count() - 1;
        }
        assert!(path.ends_with("xlsx") || lines as u64 > users, "{lines} lines");
        report(service, path, (first.unwrap_or_default(), began.elapsed()), bytes, before);
    }

    let before = service.forget_peak();
    let began = Instant::now();
    let graphql = format!("http://{}/graphql", service.address);
    let asked = client.post(&graphql).bearer_auth(access).json(&json!({ "query": EMAILS }));
    let answer = asked.send().await.unwrap();
    let first = began.elapsed();
    let bytes = answer.bytes().await.unwrap().len();
    report(service, "allEmails", (first, began.elapsed()), bytes, before);

    let rows = ROWS.min(users);
    let sheet: String = (0..rows).map(|i| format!("import{i}@example.net,import.{i},Imported,Person {i}\n")).collect();
    let sheet = format!("email,username,first_name,last_name\n{sheet}");
    let bytes = sheet.len();
    let operations = json!({ "query": IMPORT, "variables": { "input": { "file": null } } }).to_string();
    let form = Form::new()
        .text("operations", operations)
        .text("map", r#"{ "0": ["variables.input.file"] }"#)
        .part("0", Part::text(sheet).file_name("users.csv"));
    let before = service.forget_peak();
    let began = Instant::now();
    let asked = client.post(&graphql).bearer_auth(access).header("graphql-require-preflight", "1").multipart(form);
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["importUsers"]["created"], rows, "{answer}");
    report(service, "importUsers", (began.elapsed(), began.elapsed()), bytes, before);
}

fn report(service: &Service, name: &str, (first, all): (Duration, Duration), bytes: usize, before: u64) {
    println!(
        "  {name:<20} {:>6} KiB in {all:>7.1?}, first byte after {first:>7.1?}; the service used {before} MiB, peak {} MiB",
        bytes / 1024,
        service.peak()
    );
}
