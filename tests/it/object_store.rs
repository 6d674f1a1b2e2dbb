//! Avatars in an S3-compatible store, simulated by a map.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use test_macros::both_databases;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use image::ImageFormat;
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::json;
use tokio::net::TcpListener;
use vestibule::entity::pending_deletion;

use vestibule::config::Config;
use vestibule::http::{ServerOptions, serve};
use vestibule::tools::request_metrics::RequestMetrics;

use crate::avatars::{file, path, upload};
use crate::test_app::TestApp;
use crate::test_database::Place;

type Bucket = Arc<Mutex<BTreeMap<String, Bytes>>>;

async fn play(State(bucket): State<Bucket>, method: Method, uri: Uri, body: Bytes) -> Response {
    let mut files = bucket.lock().unwrap();
    let headers = [("etag", "\"1\""), ("last-modified", "Mon, 05 Jan 2026 09:00:00 GMT")];
    match (method, files.get(uri.path())) {
        (Method::PUT, _) => {
            files.insert(uri.path().to_owned(), body);
            headers.into_response()
        }
        // Several are deleted together, by a list of their names.
        (Method::POST, _) if uri.query() == Some("delete") => {
            let list = String::from_utf8(body.to_vec()).unwrap();
            let mut deleted = String::new();
            for name in list.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()) {
                files.remove(&format!("{}/{name}", uri.path().trim_end_matches('/')));
                deleted += &format!("<Deleted><Key>{name}</Key></Deleted>");
            }
            format!("<DeleteResult>{deleted}</DeleteResult>").into_response()
        }
        (Method::GET, Some(file)) => (headers, file.clone()).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[both_databases]
async fn avatars_may_be_kept_in_a_bucket(place: Place) {
    let bucket = Bucket::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(play).with_state(Arc::clone(&bucket));
    tokio::spawn(serve(
        listener,
        router,
        ServerOptions::of(&Config::defaults(), &RequestMetrics::default()),
        std::future::pending(),
    ));
    let settings = "region=x&allow_http=true&access_key_id=a&secret_access_key=b";
    let url = format!("s3://bucket/ours?endpoint={endpoint}&{settings}");
    let app = TestApp::start_with(&place, |config| config.media_url = Some(url.parse().unwrap())).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;

    let names = || bucket.lock().unwrap().keys().cloned().collect::<Vec<_>>();
    let first = path(&app, &upload(&ada, file(80, 80, ImageFormat::Png)).await["user"]["avatarUrl"]);
    assert!(names().contains(&first.replace("/media/", "/bucket/ours/")), "{first}: {:?}", names());
    assert_eq!(app.anyone().request("GET", &first).send().await.unwrap().status(), 200);

    upload(&ada, file(40, 40, ImageFormat::Png)).await;
    assert_eq!(names().len(), 1);
    assert_eq!(app.anyone().get(&first).await.status, 404);
    ada.data("mutation { removeAvatar { errors { code } } }", json!({})).await;
    assert_eq!(names(), [""; 0]);
    assert_eq!(pending_deletion::Entity::find().count(app.db()).await.unwrap(), 0, "the store is believed");
}
