//! Avatars.

use image::ImageFormat;
use serde_json::json;
use test_macros::both_databases;

use crate::avatars::{file, path, stored, upload};
use crate::test_app::TestApp;
use crate::test_database::Place;

#[both_databases]
async fn an_avatar_is_uploaded_as_multipart_and_served_under_media(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    assert!(ada.data("{ me { avatarUrl } }", json!({})).await["me"]["avatarUrl"].is_null());

    let first = upload(&ada, file(600, 700, ImageFormat::Jpeg)).await;
    assert_eq!(first["errors"], json!([]));
    let old = path(&app, &first["user"]["avatarUrl"]);
    assert!(old.starts_with("/media/avatars/") && old.ends_with("-256.jpg"), "{old}");
    assert!(path(&app, &first["user"]["large"]).ends_with("-512.jpg"));
    let served = app.anyone().request("GET", &old).send().await.unwrap();
    assert_eq!((served.status().as_u16(), &served.headers()["content-type"]), (200, &"image/jpeg".parse().unwrap()));
    let picture = image::load_from_memory(&served.bytes().await.unwrap()).unwrap();
    assert_eq!((picture.width(), picture.height()), (256, 256));
    assert_eq!(stored(&place).len(), 4);

    let second = upload(&ada, file(600, 600, ImageFormat::Png)).await;
    let new = path(&app, &second["user"]["avatarUrl"]);
    assert_ne!(old, new);
    assert_eq!(app.anyone().get(&old).await.status, 404);
    assert_eq!(app.anyone().request("GET", &new).send().await.unwrap().status(), 200);
    assert_eq!(stored(&place).len(), 4);
    let me = ada.data("{ me { avatarUrl } }", json!({})).await;
    assert_eq!(path(&app, &me["me"]["avatarUrl"]), new);
}
