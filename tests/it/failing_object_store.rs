//! An S3-compatible store that fails: errors, silence, connections that end early, and refused deletions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_macros::both_databases;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use image::ImageFormat;
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use vestibule::config::Config;
use vestibule::entity::{audit_event, pending_deletion};
use vestibule::http::{ServerOptions, serve};
use vestibule::tools::request_metrics::RequestMetrics;
use vestibule::worker;

use crate::avatars::{REMOVE, file, form, path, send, upload};
use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

/// Behaviour of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Works,
    /// Every response has this status.
    Status(u16),
    /// No request is answered.
    Silent,
    /// Each body that is sent ends in the middle, this many times.
    BreaksOff(u32),
    /// Everything works except deletion.
    KeepsAll,
}

/// The store: its files by path, and its behaviour.
#[derive(Clone, Default)]
struct Bucket {
    files: Arc<Mutex<BTreeMap<String, Bytes>>>,
    mood: Arc<Mutex<Mood>>,
    /// Notified of each request.
    asked: Arc<Notify>,
}

impl Bucket {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    fn names(&self) -> Vec<String> {
        self.files.lock().unwrap().keys().cloned().collect()
    }

    /// A service that keeps its files in this store.
    async fn start(&self, place: &Place) -> TestApp {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(respond).with_state(self.clone());
        let options = ServerOptions::of(&Config::defaults(), &RequestMetrics::default());
        tokio::spawn(serve(listener, router, options, std::future::pending()));
        let settings = "region=x&allow_http=true&access_key_id=a&secret_access_key=geheim&timeout=300ms";
        let url = format!("s3://bucket/ours?endpoint={endpoint}&{settings}");
        TestApp::start_with(place, |config| config.media_url = Some(url.parse().unwrap())).await
    }

    /// The body, or its first half before the connection ends.
    fn breaks_off(&self, body: Bytes) -> Body {
        let Mood::BreaksOff(times @ 1..) = self.mood() else { return Body::from(body) };
        self.set(Mood::BreaksOff(times - 1));
        let half = body.slice(..body.len() / 2);
        Body::from_stream(stream::iter([Ok(half), Err(std::io::Error::other("the connection ends"))]))
    }

    fn get(&self, path: &str, headers: &HeaderMap) -> Response {
        let Some(whole) = self.files.lock().unwrap().get(path).cloned() else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let range = headers.get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
        let start = range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
        let (start, size) = (start.unwrap_or(0), whole.len());
        let rest = whole.slice(start..);
        let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let length = [(header::CONTENT_LENGTH, rest.len().to_string())];
        let part = range.map(|_| [(header::CONTENT_RANGE, format!("bytes {start}-{}/{size}", size - 1))]);
        match part {
            Some(part) => (status, TAGS, length, part, self.breaks_off(rest)).into_response(),
            None => (status, TAGS, length, self.breaks_off(rest)).into_response(),
        }
    }

    /// Deletes the files named in this list.
    fn delete(&self, list: &str) -> Response {
        let mut result = String::new();
        for name in list.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()) {
            if self.mood() == Mood::KeepsAll {
                result += &format!("<Error><Key>{name}</Key><Code>AccessDenied</Code><Message>No</Message></Error>");
            } else {
                self.files.lock().unwrap().remove(&format!("/bucket/{name}"));
                result += &format!("<Deleted><Key>{name}</Key></Deleted>");
            }
        }
        format!("<DeleteResult>{result}</DeleteResult>").into_response()
    }
}

const TAGS: [(header::HeaderName, &str); 2] =
    [(header::ETAG, "\"1\""), (header::LAST_MODIFIED, "Mon, 05 Jan 2026 09:00:00 GMT")];

async fn respond(State(bucket): State<Bucket>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    bucket.asked.notify_one();
    match bucket.mood() {
        Mood::Status(status) => return StatusCode::from_u16(status).unwrap().into_response(),
        Mood::Silent => std::future::pending::<()>().await,
        Mood::Works | Mood::BreaksOff(_) | Mood::KeepsAll => {}
    }
    match method {
        Method::PUT => {
            bucket.files.lock().unwrap().insert(uri.path().to_owned(), body);
            TAGS.into_response()
        }
        Method::POST if uri.query() == Some("delete") => bucket.delete(&String::from_utf8_lossy(&body)),
        Method::GET => bucket.get(uri.path(), &headers),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn picture() -> Vec<u8> {
    file(80, 80, ImageFormat::Png)
}

async fn leftovers(app: &TestApp) -> u64 {
    pending_deletion::Entity::find().count(app.db()).await.unwrap()
}

async fn events(app: &TestApp) -> u64 {
    audit_event::Entity::find().count(app.db()).await.unwrap()
}

async fn avatar(client: &Client) -> Value {
    client.data("{ me { avatarUrl } }", json!({})).await["me"]["avatarUrl"].clone()
}

/// Status, `Retry-After`, media type, and content of a file as served.
async fn get(app: &TestApp, path: &str) -> (u16, Option<String>, String, Bytes) {
    let response = app.anyone().request("GET", path).send().await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, wait, media) = (response.status().as_u16(), header("retry-after"), header("content-type"));
    (status, wait, media.unwrap_or_default(), response.bytes().await.unwrap())
}

#[both_databases]
async fn an_upload_to_a_failing_store_changes_nothing(place: Place) {
    let bucket = Bucket::default();
    let app = bucket.start(&place).await;
    let person = app.add_user("ada").await;
    let ada = person.sign_in(&app).await;
    let before = events(&app).await;
    let moods = [Mood::Status(500), Mood::Status(503), Mood::Status(403), Mood::Status(507), Mood::Silent];
    for (mood, number) in moods.into_iter().zip(1..) {
        bucket.set(mood);
        let answer = send(&ada, form(picture())).await;
        assert_eq!(answer.code(), "SERVICE_UNAVAILABLE", "{mood:?}");
        let told = answer.body.to_string();
        assert!(!told.contains("bucket") && !told.contains("geheim") && !told.contains("127.0.0.1"), "{told}");
        assert_eq!(avatar(&ada).await, Value::Null, "{mood:?}");
        assert_eq!((events(&app).await, leftovers(&app).await), (before, number), "{mood:?}");
    }
    // The store may have kept something of each: its files are deleted later.
    bucket.set(Mood::Works);
    app.wait(Duration::from_hours(1));
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!((bucket.names(), leftovers(&app).await), (vec![], 0));
    let kept = upload(&person.sign_in(&app).await, picture()).await;
    assert_eq!(get(&app, &path(&app, &kept["user"]["avatarUrl"])).await.0, 200);
}

#[both_databases]
async fn a_picture_is_served_whole_or_not_at_all(place: Place) {
    let bucket = Bucket::default();
    let app = bucket.start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let path = path(&app, &upload(&ada, picture()).await["user"]["avatarUrl"]);
    let (status, _, media, whole) = get(&app, &path).await;
    assert_eq!((status, media.as_str()), (200, "image/jpeg"));
    assert_eq!(bucket.files.lock().unwrap().get(&path.replace("/media/", "/bucket/ours/")), Some(&whole));

    for mood in [Mood::Status(500), Mood::Status(503), Mood::Status(403), Mood::Silent, Mood::BreaksOff(u32::MAX)] {
        bucket.set(mood);
        let (status, wait, media, text) = get(&app, &path).await;
        assert_eq!((status, wait.as_deref()), (503, Some("5")), "{mood:?}");
        assert!(media.starts_with("text/plain") && text.len() < 100, "{mood:?}: {media} {text:?}");
    }
    // A connection that ends once is resumed.
    bucket.set(Mood::BreaksOff(1));
    assert_eq!(get(&app, &path).await, (200, None, "image/jpeg".to_owned(), whole.clone()));
    bucket.set(Mood::Status(404));
    assert_eq!(get(&app, &path).await.0, 404);
    bucket.set(Mood::Works);
    assert_eq!(get(&app, &path).await, (200, None, "image/jpeg".to_owned(), whole));
}

#[both_databases]
async fn a_picture_that_a_store_does_not_delete_is_deleted_later(place: Place) {
    let bucket = Bucket::default();
    let app = bucket.start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    for mood in [Mood::KeepsAll, Mood::Status(500), Mood::Silent] {
        bucket.set(Mood::Works);
        upload(&ada, picture()).await;
        assert_eq!((bucket.names().len(), leftovers(&app).await), (2, 0), "{mood:?}");
        bucket.set(mood);
        assert_eq!(ada.refusals(REMOVE, json!({})).await, [""; 0], "{mood:?}");
        assert_eq!(avatar(&ada).await, Value::Null, "{mood:?}");
        assert_eq!((bucket.names().len(), leftovers(&app).await), (2, 1), "{mood:?}");
        assert!(worker::run_maintenance(&app.app).await.is_err(), "{mood:?}");
        assert_eq!(leftovers(&app).await, 1, "{mood:?}");
        bucket.set(Mood::Works);
        worker::run_maintenance(&app.app).await.unwrap();
        assert_eq!((bucket.names(), leftovers(&app).await), (vec![], 0), "{mood:?}");
    }
}

#[both_databases]
async fn a_silent_store_keeps_no_other_request_waiting(place: Place) {
    let bucket = Bucket::default();
    let app = bucket.start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    bucket.set(Mood::Silent);
    let record = "mutation { recordSample(input: { key: \"k\", title: \"t\" }) { errors { code } } }";
    let mut uploading = Box::pin(send(&ada, form(picture())));
    tokio::select! {
        _ = &mut uploading => panic!("the store answered"),
        refusals = async {
            bucket.asked.notified().await;
            ada.refusals(record, json!({})).await
        } => assert_eq!(refusals, [""; 0]),
    }
    assert_eq!(uploading.await.code(), "SERVICE_UNAVAILABLE");
}
