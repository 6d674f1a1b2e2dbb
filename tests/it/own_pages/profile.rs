//! Profile and photo.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use serde_json::json;
use test_macros::both_databases;

use super::{plain, signed_in};
use crate::pages::{attribute, text};
use crate::test_app::TestApp;
use crate::test_database::Place;

const ME: &str = "{ me { username firstName lastName phone address bio avatarUrl(size: 64) } }";

fn png() -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(300, 200).write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

#[both_databases]
async fn somebody_changes_their_details(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open("/account/profile").await;
    let typed = [
        ("firstName", "<b>Ada</b>"),
        ("lastName", "لوفلايس"),
        ("username", "ada.l"),
        ("phone", "+44 20 1"),
        ("address", "1 Street\nTown"),
        ("bio", "日本語"),
    ];
    let saved = browser.submit(&page, &typed).await;
    assert!(text(&saved).contains("Your profile is saved."), "{}", text(&saved));
    assert!(!text(&saved).contains("<b>Ada") && text(&saved).contains("value=\"&#60;b&#62;Ada&#60;/b&#62;\""));
    let me = ada.sign_in(&app).await.data(ME, json!({})).await["me"].clone();
    for (name, value) in typed {
        assert_eq!(me[name], value, "{name}");
    }
    let refused = browser.submit(&saved, &[("username", "a@b"), ("firstName", &"x".repeat(200))]).await;
    assert_eq!(refused.status, 422);
    assert!(text(&refused).contains("id=\"username-error\"") && text(&refused).contains("id=\"firstName-error\""));
    assert!(text(&refused).contains("value=\"a@b\""), "typed values are kept");
}

#[both_databases]
async fn a_photo_is_uploaded_replaced_and_removed(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open("/account/profile").await;
    assert!(!text(&page).contains("class=\"photo\""));
    let page = browser.submit_file(&page, "/account/profile/photo", png()).await;
    assert!(text(&page).contains("Your photo is saved."), "{}", text(&page));
    let path = attribute(text(&page).split("class=\"photo\"").nth(1).unwrap(), "src");
    let photo = app.anyone().get(&path).await;
    assert_eq!((photo.status, photo.header("content-type").starts_with("image/")), (200, true));
    let page = browser.submit_to(&page, "/account/profile/photo/remove", &[]).await;
    assert!(text(&page).contains("Your photo is removed.") && !text(&page).contains("class=\"photo\""));
    assert_eq!(app.anyone().get(&path).await.status, 404);
}

#[both_databases]
async fn files_that_are_no_photo_are_refused(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let page = browser.open("/account/profile").await;
    for (file, told) in [
        (Vec::new(), "Choose a photo."),
        (b"<svg onload=alert(1)>".to_vec(), "id=\"file-error\""),
        (vec![0; 10_485_761], "too large"),
        (vec![0; 12_000_000], "too large"),
    ] {
        let refused = browser.submit_file(&page, "/account/profile/photo", file).await;
        assert_eq!(refused.status, 422);
        assert!(plain(&refused).contains(told), "{told}: {}", text(&refused));
    }
}

#[both_databases]
async fn a_photo_from_elsewhere_is_not_read(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let browser = signed_in(&app, "ada").await;
    let send = async |cookies: String, csrf: &str| {
        let part = reqwest::multipart::Part::bytes(png()).file_name("a.png");
        let form = reqwest::multipart::Form::new().text("csrf", csrf.to_owned()).part("file", part);
        let request = app.anyone().request("POST", "/account/profile/photo").multipart(form);
        app.anyone().finish(request.header("cookie", cookies)).await.status
    };
    let (token, csrf) = (browser.cookie("refresh_token").unwrap(), browser.cookie("csrf").unwrap());
    assert_eq!(send(format!("refresh_token={token}; csrf={csrf}"), "").await, 403);
    assert_eq!(send(format!("refresh_token={token}"), csrf).await, 403);
    assert_eq!(send(format!("csrf={csrf}"), csrf).await, 303, "to the sign-in");
    assert_eq!(send(format!("refresh_token={token}; csrf={csrf}"), csrf).await, 303);
}
