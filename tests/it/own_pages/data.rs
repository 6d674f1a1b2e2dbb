//! Download of the user's own data.

use std::io::{Cursor, Read as _};
use std::time::Duration;

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::audit_event::{self, Action};

use super::{plain, signed_in};
use crate::pages::Browser;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

/// Sends the download form of an open page, and returns the response with its bytes.
async fn download(app: &TestApp, browser: &mut Browser<'_>) -> (u16, String, Vec<u8>) {
    let page = browser.open("/account/data").await;
    assert!(plain(&page).contains("Download the archive"), "{}", plain(&page));
    let csrf = browser.cookie("csrf").unwrap();
    let cookies = format!("refresh_token={}; csrf={csrf}", browser.cookie("refresh_token").unwrap());
    let request = app.anyone().request("POST", "/account/data/download").body(format!("csrf={csrf}"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").header("cookie", cookies);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let disposition = response.headers().get("content-disposition").map(|value| value.to_str().unwrap().to_owned());
    (status, disposition.unwrap_or_default(), response.bytes().await.unwrap().to_vec())
}

fn json_of(archive: &[u8], name: &str) -> Value {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut text = String::new();
    archive.by_name(name).unwrap_or_else(|_| panic!("{name} is missing")).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"))
}

async fn exports(app: &TestApp) -> u64 {
    let exported = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::Exported));
    exported.count(app.db()).await.unwrap()
}

#[both_databases]
async fn the_archive_has_all_of_the_user_and_nothing_of_others(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let eve = app.add_user("eve").await;
    let record = "mutation($k: String!) { recordSample(input: { key: $k, title: \"t\" }) { errors { code } } }";
    let client = ada.sign_in(&app).await;
    for number in 0..3 {
        client.data(record, json!({ "k": format!("ada-{number}") })).await;
    }
    eve.sign_in(&app).await.data(record, json!({ "k": "eve-0" })).await;
    let update = "mutation($id: ID!) { updateUser(input: { id: $id, firstName: \"Ada\" }) { errors { code } } }";
    let staff = app
        .anyone()
        .with_header("user-agent", "the program of staff")
        .sign_in(crate::test_app::ADMIN.0, crate::test_app::ADMIN.1);
    staff.await.data(update, json!({ "id": ada.id })).await;

    let mut browser = signed_in(&app, "ada").await;
    let (status, disposition, archive) = download(&app, &mut browser).await;
    assert_eq!((status, &*disposition), (200, "attachment; filename=\"account-2026-01-05.zip\""));
    let profile = json_of(&archive, "profile.json");
    assert_eq!((&profile["email"], &profile["firstName"]), (&json!(ada.email), &json!("Ada")));
    assert_eq!(json_of(&archive, "sessions.json").as_array().unwrap().len(), 2);
    assert_eq!(json_of(&archive, "api-tokens.json"), json!([]));
    assert_eq!(json_of(&archive, "second-factors.json"), json!([]));
    let keys: Vec<Value> =
        json_of(&archive, "samples.json").as_array().unwrap().iter().map(|s| s["key"].clone()).collect();
    assert_eq!(keys, ["ada-0", "ada-1", "ada-2"]);
    let acts = json_of(&archive, "events-by-you.json");
    assert!(acts.as_array().unwrap().iter().any(|event| event["action"] == "LOGIN"), "{acts}");
    let about = json_of(&archive, "events-about-you.json");
    let about = about.as_array().unwrap();
    let updated = about.iter().find(|event| event["action"] == "USER_UPDATED").expect("staff changed the name");
    assert_eq!((&updated["ip"], &updated["userAgent"]), (&json!(null), &json!(null)), "they are of staff");
    assert!(!profile.to_string().contains("argon2"), "{profile}");
    assert_eq!(exports(&app).await, 1);
}

#[both_databases]
async fn long_lists_are_complete(place: Place) {
    use vestibule::entity::sample;
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let now = app.app.clock.now();
    for part in 0..3 {
        let rows = (0..500).map(|number| sample::ActiveModel {
            id: sea_orm::ActiveValue::Set(now.id()),
            key: sea_orm::ActiveValue::Set(format!("{part}-{number}")),
            title: sea_orm::ActiveValue::Set("title".to_owned()),
            created_at: sea_orm::ActiveValue::Set(now.at),
            modified_at: sea_orm::ActiveValue::Set(now.at),
            modified_by: sea_orm::ActiveValue::Set(Some(ada.id.parse().unwrap())),
        });
        sample::Entity::insert_many(rows).exec_without_returning(app.db()).await.unwrap();
    }
    let mut browser = signed_in(&app, "ada").await;
    let (_, _, archive) = download(&app, &mut browser).await;
    assert_eq!(json_of(&archive, "samples.json").as_array().unwrap().len(), 1500);
}

#[both_databases]
async fn an_old_session_proves_first(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    app.wait(Duration::from_secs(11 * 60));
    let page = browser.open("/account/data").await;
    let asked = browser.follow(page).await;
    assert!(plain(&asked).contains("Confirm that it is you"), "{}", plain(&asked));
    let page = browser.submit(&asked, &[("password", PASSWORD)]).await;
    assert!(plain(&page).contains("Download the archive"), "{}", plain(&page));

    let client = ada.sign_in(&app).await;
    app.wait(Duration::from_secs(11 * 60));
    let mut client = client;
    client.refresh().await.unwrap();
    let refused = client.get("/export/account.zip").await;
    assert_eq!(
        (refused.status, refused.body["errors"][0]["extensions"]["code"].as_str()),
        (400, Some("BAD_USER_INPUT"))
    );
    assert_eq!(exports(&app).await, 0);
}

#[both_databases]
async fn the_route_serves_sessions_and_no_token(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let answer = client.get("/export/account.zip").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/zip"));
    let head = client.finish(client.request("HEAD", "/export/account.zip")).await;
    assert_eq!((head.status, exports(&app).await), (200, 1), "asking for the headers alone exports nothing");
    assert_eq!(app.anyone().get("/export/account.zip").await.status, 401);
    let create =
        "mutation { createApiToken(input: { name: \"x\", scopes: [READ, WRITE, EXPORT] }) { secret errors { code } } }";
    let token = client.data(create, json!({})).await["createApiToken"]["secret"].as_str().unwrap().to_owned();
    assert_eq!(app.anyone().with_token(token).get("/export/account.zip").await.status, 403);
}
