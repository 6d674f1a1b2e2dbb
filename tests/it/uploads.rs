//! Requests with a file: their form, their length, and who may send them.

use image::ImageFormat;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::TestApp;
use crate::avatars::{MAP, REMOVE, UPLOAD, file, form, operations, send, stored};
use crate::engine::Place;

crate::tests![
    requests_with_files_are_of_one_form,
    a_body_that_is_too_long_is_not_taken_in_for_ever,
    nobody_else_may_upload,
    a_text_that_stands_for_a_file_is_none,
    a_file_is_for_the_one_variable_that_the_map_names,
];

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
        ("operations in text/plain", mime("text/plain")),
    ] {
        let answer = send(&ada, form).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{what}: {}", answer.body);
    }
    for form in [mime("application/json"), mime("application/json; charset=utf-8")] {
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

async fn a_body_that_is_too_long_is_not_taken_in_for_ever(place: Place) {
    let app = TestApp::start(&place).await;
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ngraphql-require-preflight: 1\r\n\
                content-type: multipart/form-data; boundary=x\r\n";
    let mut socket = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    socket.write_all(format!("{head}content-length: 99000000\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");

    // Neither headers of a part without end nor a body without announced length. Sixteen MiB are read and forgotten.
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

async fn nobody_else_may_upload(place: Place) {
    let app = TestApp::start(&place).await;
    let png = file(8, 8, ImageFormat::Png);
    assert_eq!(send(&app.anyone(), form(png.clone())).await.code(), "UNAUTHENTICATED MISSING");
    assert_eq!(send(&app.anyone().with_token("nonsense"), form(png)).await.code(), "UNAUTHENTICATED INVALID");
    assert_eq!(app.anyone().code(REMOVE, json!({})).await, "UNAUTHENTICATED MISSING");
    assert_eq!(stored(&place), [""; 0]);
}

async fn a_text_that_stands_for_a_file_is_none(place: Place) {
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
    // Where a file comes for a variable that takes none, it is not read for another.
    let other = "mutation($name: String!) { updateMe(input: { firstName: $name }) { errors { code } } }";
    let operations = json!({ "query": other, "variables": { "name": null } }).to_string();
    let map = r#"{"0":["variables.name"]}"#;
    let form = Form::new().text("operations", operations).text("map", map).part("0", Part::text("x"));
    let answer = send(&ada, form).await;
    assert!(!answer.body.to_string().contains("graphql_file"), "{}", answer.body);
    let me = ada.data("{ me { firstName } }", json!({})).await;
    assert_eq!(me["me"]["firstName"], "");
}
