//! Uploads: form, length limits, and rights.

use std::time::Duration;
use test_macros::both_databases;

use image::ImageFormat;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::avatars::{MAP, REMOVE, UPLOAD, file, form, operations, send, stored};
use crate::test_app::TestApp;
use crate::test_database::Place;

const IMPORT: &str = "mutation($input: ImportUsersInput!) { importUsers(input: $input) { created errors { code } } }";

/// A partially sent request with a file.
struct Begun(TcpStream);

impl Begun {
    async fn send(app: &TestApp, document: &str, token: Option<&str>) -> Self {
        let operations = json!({ "query": document, "variables": { "input": { "file": null } } }).to_string();
        let part = |name: &str, content: &str| {
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a\"\r\n\r\n{content}")
        };
        let body = [part("operations", &operations), part("map", MAP), part("0", "email\r\na@x.example")].join("\r\n");
        let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\ngraphql-require-preflight: 1\r\n{authorization}\
             content-type: multipart/form-data; boundary=x\r\ncontent-length: 9000000\r\n\r\n"
        );
        let mut socket = TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
        socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        Self(socket)
    }

    /// Response before the file is complete; `None` if the service keeps reading.
    async fn answer(&mut self, patience: Duration) -> Option<String> {
        let mut answer = Vec::new();
        let read = async {
            while !answer.ends_with(b"}") {
                if self.0.read_buf(&mut answer).await.unwrap_or_default() == 0 {
                    break;
                }
            }
        };
        tokio::time::timeout(patience, read).await.ok()?;
        Some(String::from_utf8(answer).unwrap())
    }
}

#[both_databases]
async fn requests_with_files_are_of_one_form(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let png = || Part::bytes(file(8, 8, ImageFormat::Png)).file_name("a.png");
    let text = |operations: &str, map: &str| {
        Form::new().text("operations", operations.to_owned()).text("map", map.to_owned()).part("0", png())
    };
    let mime = |essence: &str| {
        let part = Part::text(operations()).mime_str(essence).unwrap();
        Form::new().part("operations", part).text("map", MAP).part("0", png())
    };
    for (what, form) in [
        ("no part", Form::new()),
        ("no map", Form::new().text("operations", operations()).part("0", png())),
        ("no file", Form::new().text("operations", operations()).text("map", MAP)),
        ("no operations", Form::new().text("map", MAP).part("0", png())),
        ("the file first", Form::new().part("0", png()).text("operations", operations()).text("map", MAP)),
        ("two files", text(&operations(), MAP).part("1", png())),
        ("two files in the map", text(&operations(), r#"{"0":["variables.input.file"],"1":["variables.b"]}"#)),
        ("a file for two variables", text(&operations(), r#"{"0":["variables.input.file","variables.b"]}"#)),
        ("an unknown variable", text(&operations(), r#"{"0":["variables.input.nonsense"]}"#)),
        ("no variable", text(&operations(), r#"{"0":["query"]}"#)),
        ("another file", text(&operations(), r#"{"1":["variables.input.file"]}"#)),
        ("an empty map", text(&operations(), "{}")),
        ("a map that is none", text(&operations(), "[]")),
        ("a batch", text(&format!("[{}]", operations()), r#"{"0":["0.variables.input.file"]}"#)),
        ("no JSON", text("{", MAP)),
        ("operations in multipart/mixed", mime("multipart/mixed")),
        ("operations in another charset", mime("text/plain; charset=iso-8859-1")),
    ] {
        let answer = send(&ada, form).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{what}: {}", answer.body);
    }
    for name in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json; charset=utf8",
        "text/plain",
        "text/plain; charset=utf-8",
    ] {
        let form = mime(name);
        assert!(send(&ada, form).await.body["data"]["uploadAvatar"]["user"]["avatarUrl"].is_string());
    }
    let long = format!("{}{}", operations(), " ".repeat(128 * 1024));
    assert_eq!(send(&ada, text(&long, MAP)).await.code(), "PAYLOAD_TOO_LARGE");

    let request = |header: &'static str, value: &'static str| {
        ada.request("POST", "/graphql").header(header, value).multipart(text(&operations(), MAP))
    };
    for (header, value) in [("x-other", "1"), ("apollo-require-preflight", ""), ("origin", "http://localhost")] {
        let answer = ada.finish(request(header, value)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{header}");
    }
    for header in ["apollo-require-preflight", "graphql-require-preflight", "x-apollo-operation-name"] {
        assert_eq!(
            ada.finish(request(header, "1")).await.body["data"]["uploadAvatar"]["errors"],
            json!([]),
            "{header}"
        );
    }
    for kind in ["multipart/mixed; boundary=x", "application/x-www-form-urlencoded"] {
        let request = ada.request("POST", "/graphql").header("content-type", kind).body("--x--");
        assert_eq!(ada.finish(request.header("graphql-require-preflight", "1")).await.status, 415, "{kind}");
    }
    let request = ada.request("POST", "/graphql").header("content-type", "multipart/form-data").body("--x--");
    assert_eq!(ada.finish(request.header("graphql-require-preflight", "1")).await.status, 400);
}

#[both_databases]
async fn a_body_that_is_too_long_is_not_taken_in_for_ever(place: Place) {
    let app = TestApp::start(&place).await;
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ngraphql-require-preflight: 1\r\n\
                content-type: multipart/form-data; boundary=x\r\n";
    let mut socket = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    socket.write_all(format!("{head}content-length: 99000000\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");

    // Neither endless headers of a part nor a body without a length. Sixteen MiB are read and discarded.
    for endless in ["--x\r\nx: ", "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n"] {
        let mut socket = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
        socket.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
        socket.write_all(format!("{:x}\r\n{endless}\r\n", endless.len()).as_bytes()).await.unwrap();
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
        let mut sent = 0;
        while sent < 1000 && socket.write_all(chunk.as_bytes()).await.is_ok() {
            sent += 1;
        }
        assert!(sent < 500, "it takes {sent} times 64 KB");
    }
}

#[both_databases]
async fn nobody_else_may_upload(place: Place) {
    let app = TestApp::start(&place).await;
    let png = file(8, 8, ImageFormat::Png);
    assert_eq!(send(&app.anyone(), form(png.clone())).await.code(), "UNAUTHENTICATED MISSING");
    assert_eq!(send(&app.anyone().with_token("nonsense"), form(png)).await.code(), "UNAUTHENTICATED INVALID");
    assert_eq!(app.anyone().code(REMOVE, json!({})).await, "UNAUTHENTICATED MISSING");
    assert_eq!(stored(&place), [""; 0]);
}

#[both_databases]
async fn a_text_in_place_of_a_file_is_refused(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    for text in [
        "#__graphql_file__:0",
        "#__graphql_file__:99999999999",
        "#__graphql_file__:x",
        "#__graphql_file__:",
        "#__graphql_file__:99999999999999999999999",
        "a.png",
    ] {
        assert_eq!(ada.code(UPLOAD, json!({ "input": { "file": text } })).await, "BAD_USER_INPUT", "{text}");
        let literal = format!("mutation {{ uploadAvatar(input: {{ file: \"{text}\" }}) {{ errors {{ code }} }} }}");
        assert_eq!(ada.code(&literal, json!({})).await, "BAD_USER_INPUT", "{text}");
        let default = format!(
            "mutation($file: Upload! = \"{text}\") {{ uploadAvatar(input: {{ file: $file }}) {{ errors {{ code }} }} }}"
        );
        assert_eq!(ada.code(&default, json!({})).await, "GRAPHQL_VALIDATION_FAILED", "{text}");
    }
    assert_eq!(stored(&place), [""; 0]);
}

#[both_databases]
async fn a_file_is_for_the_one_variable_that_the_map_names(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let document = "mutation($mine: Upload!, $more: Upload) {
        uploadAvatar(input: { file: $mine }) { errors { code } } removeAvatar { errors { code } } }";
    let form = |variables: serde_json::Value, map: &str| {
        let operations = json!({ "query": document, "variables": variables }).to_string();
        let file = Part::bytes(file(8, 8, ImageFormat::Png)).file_name("a.png");
        Form::new().text("operations", operations).text("map", map.to_owned()).part("0", file)
    };
    for (variables, map) in [
        (json!({ "mine": "#__graphql_file__:0", "more": null }), r#"{"0":["variables.more"]}"#),
        (json!({ "mine": { "a": ["#__graphql_file__:0"] }, "more": null }), r#"{"0":["variables.more"]}"#),
        (json!({ "mine": "x" }), r#"{"0":["variables.mine"]}"#),
        (json!({ "mine": {} }), r#"{"0":["variables.mine"]}"#),
        (json!({ "mine": null }), r#"{"0":["variables.mine.x"]}"#),
        (json!({ "mine": [null] }), r#"{"0":["variables.mine.1"]}"#),
        (json!({ "mine": null }), r#"{"0":["variables."]}"#),
    ] {
        assert_eq!(send(&ada, form(variables.clone(), map)).await.code(), "BAD_REQUEST", "{variables} {map}");
    }
    // A file for a variable of another type is not read.
    let other = "mutation($name: String!) { updateMe(input: { firstName: $name }) { errors { code } } }";
    let operations = json!({ "query": other, "variables": { "name": null } }).to_string();
    let map = r#"{"0":["variables.name"]}"#;
    let form = Form::new().text("operations", operations).text("map", map).part("0", Part::text("x"));
    let answer = send(&ada, form).await;
    assert!(!answer.body.to_string().contains("graphql_file"), "{}", answer.body);
    let me = ada.data("{ me { firstName } }", json!({})).await;
    assert_eq!(me["me"]["firstName"], "");
}

#[both_databases]
async fn uploads_that_trickle_hold_nobody_else_up(place: Place) {
    let app = TestApp::start(&place).await;
    let eve = app.add_user("eve").await.sign_in(&app).await;
    let (ada, boss) = (app.add_user("ada").await.sign_in(&app).await, app.add_staff("boss").await.sign_in(&app).await);
    let mut trickling = Vec::new();
    let mut refused = 0;
    for _ in 0..12 {
        trickling.push(Begun::send(&app, UPLOAD, eve.access.as_deref()).await);
        trickling.push(Begun::send(&app, UPLOAD, None).await);
    }
    for begun in &mut trickling {
        // Refused connections may be closed at any time.
        let _ = begun.0.write_all(b",").await;
    }
    for begun in &mut trickling {
        // At most four files per user are read concurrently, and none of unknown callers.
        let answer = begun.answer(Duration::from_millis(100)).await;
        refused += usize::from(answer.is_some_and(|answer| answer.contains("SERVICE_UNAVAILABLE")));
    }
    assert_eq!(refused, 8);
    let promptly = async {
        let answer = send(&ada, form(file(80, 80, ImageFormat::Png))).await;
        assert!(answer.body["data"]["uploadAvatar"]["user"]["avatarUrl"].is_string(), "{}", answer.body);
        let payload = crate::spreadsheet_import::import(&boss, "email\nnew@example.com\n").await;
        assert_eq!(crate::spreadsheet_import::counts(&payload), (1, 0, 0));
    };
    tokio::time::timeout(Duration::from_secs(8), promptly).await.expect("a slow upload blocks no others");
    // Slow uploads do not block anything else for the same user.
    eve.data("{ me { id } }", json!({})).await;
}

#[both_databases]
async fn a_file_without_the_right_to_send_it_is_refused_before_it_is_read(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let (_, reading) = crate::api_tokens::make(&boss, &["READ", "EXPORT"]).await;
    let (_, writing) = crate::api_tokens::make(&boss, &["READ", "WRITE"]).await;
    let query = "query($input: UploadAvatarInput!) { me { id } }";
    for (document, token, code) in [
        (UPLOAD, None, "UNAUTHENTICATED"),
        (UPLOAD, Some("nonsense"), "UNAUTHENTICATED"),
        (UPLOAD, Some(reading.as_str()), "FORBIDDEN"),
        (IMPORT, None, "UNAUTHENTICATED"),
        (IMPORT, ada.access.as_deref(), "FORBIDDEN"),
        (IMPORT, Some(&reading), "FORBIDDEN"),
        (IMPORT, Some(&writing), "FORBIDDEN"),
        (query, ada.access.as_deref(), "GRAPHQL_VALIDATION_FAILED"),
        ("mutation { nonsense", ada.access.as_deref(), "GRAPHQL_PARSE_FAILED"),
    ] {
        let mut begun = Begun::send(&app, document, token).await;
        let answer = begun.answer(Duration::from_secs(8)).await;
        assert!(answer.as_ref().is_some_and(|answer| answer.contains(code)), "{document} {token:?}: {answer:?}");
    }
    // Nor is it read because of other fields, or because another operation would accept it.
    let import = "importUsers(input: $input) { errors { code } }";
    let besides = [
        format!("mutation($input: ImportUsersInput!) {{ removeAvatar {{ errors {{ code }} }} {import} }}"),
        format!(
            "mutation($input: ImportUsersInput!, $off: Boolean = true) {{ removeAvatar @skip(if: $off) {{ errors {{ code }} }} {import} }}"
        ),
        format!(
            "mutation($input: ImportUsersInput!) {{ ...F }} fragment F on Mutation {{ removeAvatar {{ errors {{ code }} }} ... {{ {import} }} }}"
        ),
        "mutation($input: ImportUsersInput) { removeAvatar { errors { code } } }".to_owned(),
    ];
    for document in &besides {
        for token in [ada.access.as_deref(), Some(writing.as_str())] {
            let mut begun = Begun::send(&app, document, token).await;
            assert!(begun.answer(Duration::from_secs(8)).await.is_some(), "{document}");
        }
    }
    // It is read for callers with the right.
    for (document, token) in [(UPLOAD, Some(writing.as_str())), (IMPORT, boss.access.as_deref())] {
        let mut begun = Begun::send(&app, document, token).await;
        assert_eq!(begun.answer(Duration::from_millis(100)).await, None, "{document}");
    }
    assert_eq!(stored(&place), [""; 0]);
}

#[both_databases]
async fn a_file_that_is_too_large_leaves_nothing_on_the_disk(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let answer = crate::spreadsheet_import::post(&boss, vec![b'x'; 10 * 1024 * 1024 + 1], json!({})).await;
    assert_eq!(answer.body["data"]["importUsers"]["errors"][0]["code"], "FILE_TOO_LARGE", "{}", answer.body);
    let answer = crate::spreadsheet_import::post(&boss, vec![b'x'; 12 * 1024 * 1024], json!({})).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let names = std::fs::read_dir(&place.folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with(".tmp")), "temporary files have no name");
}
