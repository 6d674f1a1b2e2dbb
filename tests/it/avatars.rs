//! Avatars: refused files, stored data, and delivery.

use std::io::Cursor;
use test_macros::both_databases;

use image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::process::{Serving, command};
use crate::test_app::{ADMIN, TestApp};
use crate::test_client::{Answer, Client};
use crate::test_database::Place;

pub(crate) const UPLOAD: &str = "mutation($input: UploadAvatarInput!) { uploadAvatar(input: $input) {
    user { avatarUrl small: avatarUrl(size: 64) large: avatarUrl(size: 1024) } errors { code field message }
} }";

pub(crate) const REMOVE: &str = "mutation { removeAvatar { user { avatarUrl } errors { code } } }";

const RED: Rgb<u8> = Rgb([200, 20, 20]);
const BLUE: Rgb<u8> = Rgb([20, 20, 200]);

/// A picture with a red left half and a blue right half.
fn picture(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { RED } else { BLUE }).into()
}

/// Encodes a picture as a file.
pub(crate) fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture(width, height).write_to(&mut file, format).unwrap();
    file.into_inner()
}

pub(crate) fn operations() -> String {
    json!({ "query": UPLOAD, "variables": { "input": { "file": null } } }).to_string()
}

pub(crate) const MAP: &str = r#"{"0":["variables.input.file"]}"#;

/// Multipart form of an upload.
pub(crate) fn form(file: Vec<u8>) -> Form {
    let file = Part::bytes(file).file_name("../../me.png").mime_str("image/png").unwrap();
    Form::new().text("operations", operations()).text("map", MAP).part("0", file)
}

pub(crate) async fn send(client: &Client, form: Form) -> Answer {
    let request = client.request("POST", "/graphql").header("graphql-require-preflight", "1");
    client.finish(request.multipart(form)).await
}

/// Uploads a file and returns the payload.
pub(crate) async fn upload(client: &Client, file: Vec<u8>) -> Value {
    let answer = send(client, form(file)).await;
    assert!(answer.body["errors"].is_null(), "{}", answer.body);
    answer.body["data"]["uploadAvatar"].clone()
}

async fn refusal(client: &Client, file: Vec<u8>) -> String {
    let payload = upload(client, file).await;
    assert!(payload["user"].is_null());
    format!("{} {}", payload["errors"][0]["code"].as_str().unwrap(), payload["errors"][0]["field"].as_str().unwrap())
}

/// Path of a URL of this service.
pub(crate) fn path(app: &TestApp, address: &Value) -> String {
    address.as_str().unwrap().strip_prefix(&app.url).expect("the address is absolute").to_owned()
}

/// Names of the files in the store.
pub(crate) fn stored(place: &Place) -> Vec<String> {
    let folder = place.folder.join("media/avatars");
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Response with a file.
struct Served {
    status: u16,
    headers: reqwest::header::HeaderMap,
    bytes: Vec<u8>,
}

async fn get(client: &Client, path: &str) -> Served {
    let response = client.request("GET", path).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Served { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut png = file(4, 4, ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    // Checksum of the PNG header (ISO 3309).
    let crc = png[12..29].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    png[29..33].copy_from_slice(&(!crc).to_be_bytes());
    png
}

/// A GIF with this number of identical frames.
fn gif_of(frames: usize) -> Vec<u8> {
    let mut gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff".to_vec();
    gif.extend(b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00".repeat(frames));
    gif.push(0x3b);
    gif
}

/// A photograph with EXIF orientation and location.
fn photograph(width: u32, height: u32) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    exif.extend(b"48.858N 2.294E");
    let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe1];
    jpeg.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    jpeg.extend(exif);
    jpeg.extend(&file(width, height, ImageFormat::Jpeg)[2..]);
    jpeg
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[both_databases]
async fn files_that_are_no_pictures_or_too_large_are_refused(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let png = file(64, 64, ImageFormat::Png);
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("SVG", b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>".to_vec()),
        ("HTML", b"<!doctype html><script>alert(1)</script>".to_vec()),
        ("HTML that begins as a GIF", b"GIF89a/*<svg/onload=alert(1)>*/=alert(1)".to_vec()),
        ("a PDF", b"%PDF-1.7\n".to_vec()),
        ("a BMP", [&b"BM"[..], &file(8, 8, ImageFormat::Png)].concat()),
        ("a PNG cut short", png[..png.len() - 30].to_vec()),
        ("the first bytes of a PNG", b"\x89PNG\r\n\x1a\n<script>".to_vec()),
        ("a JPEG cut short", {
            let jpeg = file(64, 64, ImageFormat::Jpeg);
            jpeg[..jpeg.len() - 100].to_vec()
        }),
        ("a PNG with another's data", png_header(4000, 4000)),
        ("a PNG without pixels", png_header(0, 5)),
    ] {
        assert_eq!(refusal(&ada, bytes).await, "FILE_UNSUPPORTED file", "{what}");
    }
    let mut heavy = png.clone();
    heavy.resize(10 * 1024 * 1024 + 1, 0);
    for (what, bytes) in [("more than 10 MB", heavy), ("30000 by 30000", png_header(30_000, 30_000))] {
        assert_eq!(refusal(&ada, bytes).await, "FILE_TOO_LARGE file", "{what}");
    }
    assert_eq!(stored(&place), [""; 0]);
    for frames in [3, 5000] {
        assert!(upload(&ada, gif_of(frames)).await["user"]["avatarUrl"].is_string(), "{frames}");
    }
}

#[both_databases]
async fn of_a_file_nothing_is_kept_but_the_picture(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let mut polyglot = file(80, 80, ImageFormat::Png);
    polyglot.extend(b"<script>alert(document.domain)</script>");
    for (bytes, secret) in [(polyglot, "<script>"), (photograph(80, 80), "48.858N")] {
        assert!(contains(&bytes, secret));
        let payload = upload(&ada, bytes).await;
        for size in ["avatarUrl", "small"] {
            let kept = get(&ada, &path(&app, &payload["user"][size])).await;
            assert_eq!(kept.status, 200);
            assert!(!contains(&kept.bytes, secret) && !contains(&kept.bytes, "Exif"));
        }
    }
}

#[both_databases]
async fn photographs_are_rotated_upright(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let payload = upload(&ada, photograph(120, 80)).await;
    let kept = get(&ada, &path(&app, &payload["user"]["avatarUrl"])).await;
    let square = image::load_from_memory(&kept.bytes).unwrap();
    assert_eq!(square.dimensions(), (80, 80));
    // The left of the original is at the top.
    assert!(square.get_pixel(40, 10).0[0] > 150 && square.get_pixel(40, 70).0[2] > 150);
    assert!(square.get_pixel(5, 10).0[0] > 150 && square.get_pixel(75, 70).0[2] > 150);
}

#[both_databases]
async fn names_that_are_not_ours_lead_nowhere(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    std::fs::write(place.folder.join("media/secret.jpg"), "secret").unwrap();
    let payload = upload(&ada, file(8, 8, ImageFormat::Png)).await;
    let ours = path(&app, &payload["user"]["avatarUrl"]);
    let name = ours.rsplit('/').next().unwrap();
    for path in [
        "/media/avatars/..%2f..%2fsecret.key",
        "/media/avatars/..%2fsecret.jpg",
        "/media/avatars/%2e%2e%2fsecret.jpg",
        "/media/avatars/..%5csecret.jpg",
        "/media/avatars/%252e%252e%252fsecret.jpg",
        "/media/avatars//etc/passwd",
        "/media/avatars/%2fetc%2fpasswd",
        "/media/avatars/%00",
        "/media/avatars/%ff%fe",
        "/media/avatars/",
        "/media/avatars/.",
        "/media/secret.jpg",
        "/media/avatars/secret.jpg%00.png",
        &format!("/media/avatars/{name}%00"),
        &format!("/media/avatars/{name}/"),
        &format!("/media/avatars/.%2f{name}"),
        &format!("/media/avatars/{}", name.to_uppercase()),
        &format!("/media/avatars/{}", name.replace(".jpg", ".webp")),
        &format!("/media/avatars/{}-8.jpg", "0".repeat(64)),
    ] {
        assert_eq!(get(&ada, path).await.status, 404, "{path}");
    }
    // As sent by a client that does not normalize paths.
    for path in ["/media/avatars/../secret.jpg", "/media/avatars/../../secret.key", "/media/avatars/./../../test.db"] {
        let mut socket = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
        socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 404", "{path}");
    }
}

#[both_databases]
async fn an_avatar_is_served_inertly_and_kept_for_a_day(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let payload = upload(&ada, file(80, 80, ImageFormat::Png)).await;
    let path = path(&app, &payload["user"]["avatarUrl"]);
    let Served { headers, bytes, .. } = get(&app.anyone(), &path).await;
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "image/jpeg");
    assert_eq!(header("cache-control"), "public, max-age=86400, immutable");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(header("cross-origin-resource-policy"), "cross-origin");
    assert_eq!(image::guess_format(&bytes).unwrap(), ImageFormat::Jpeg);

    let head = app.anyone().finish(app.anyone().request("HEAD", &path)).await;
    assert_eq!((head.status, head.header("content-length")), (200, bytes.len().to_string().as_str()));
    for (tag, status) in [(header("etag"), 304), ("W/\"a\", *", 304), ("\"other\"", 200)] {
        let request = app.anyone().request("GET", &path).header("if-none-match", tag);
        assert_eq!(app.anyone().finish(request).await.status, status, "{tag}");
    }
    assert_eq!(app.anyone().finish(app.anyone().request("POST", &path)).await.status, 405);

    // A cache that revalidates after a day learns that the picture was removed, whatever it has stored.
    let tag = header("etag").to_owned();
    ada.data(REMOVE, json!({})).await;
    let request = app.anyone().request("GET", &path).header("if-none-match", tag);
    let gone = app.anyone().finish(request).await;
    assert_eq!((gone.status, gone.header("cache-control")), (404, "no-store"));
}

#[both_databases]
async fn sizes_are_those_that_there_are(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.public_url = Some("https://accounts.example/id".parse().unwrap());
    })
    .await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    upload(&ada, file(300, 200, ImageFormat::Png)).await;
    let url = "query($size: Int!) { me { avatarUrl(size: $size) } }";
    for (size, suffix) in [(1, "-64.jpg"), (64, "-64.jpg"), (65, "-128.jpg"), (129, "-200.jpg"), (1024, "-200.jpg")] {
        let data = ada.data(url, json!({ "size": size })).await;
        let address = data["me"]["avatarUrl"].as_str().unwrap();
        assert!(address.starts_with("https://accounts.example/id/media/avatars/"), "{address}");
        assert!(address.ends_with(suffix), "{size}: {address}");
    }
    for size in [0, -1, 1025, i32::MIN] {
        assert_eq!(ada.code(url, json!({ "size": size })).await, "BAD_USER_INPUT", "{size}");
    }
}

#[both_databases]
async fn removing_lets_the_files_go(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let bob = app.add_user("bob").await.sign_in(&app).await;
    let same = file(80, 80, ImageFormat::Png);
    upload(&ada, same.clone()).await;
    let bobs = path(&app, &upload(&bob, same.clone()).await["user"]["avatarUrl"]);
    // The same picture is stored anew, so that a concurrent removal cannot delete its files.
    upload(&ada, same).await;
    assert_eq!(stored(&place).len(), 4);
    for _ in 0..2 {
        let data = ada.data(REMOVE, json!({})).await;
        assert_eq!(data["removeAvatar"], json!({ "user": { "avatarUrl": null }, "errors": [] }));
    }
    assert_eq!(stored(&place).len(), 2);
    assert_eq!(get(&app.anyone(), &bobs).await.status, 200);
    assert_eq!(ada.data("{ me { avatarUrl } }", json!({})).await["me"]["avatarUrl"], Value::Null);
}

#[both_databases]
async fn a_store_that_fails_changes_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    std::fs::write(place.folder.join("media/avatars"), "a file where the folder should be").unwrap();
    let answer = send(&ada, form(file(80, 80, ImageFormat::Png))).await;
    assert_eq!(answer.code(), "SERVICE_UNAVAILABLE");
    assert_eq!(ada.data("{ me { avatarUrl } }", json!({})).await["me"]["avatarUrl"], Value::Null);
}

#[both_databases]
async fn a_photograph_in_other_colours_is_converted(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let photograph = include_bytes!("../pictures/p3.jpg");
    let payload = upload(&ada, photograph.to_vec()).await;
    let kept = get(&ada, &path(&app, &payload["user"]["avatarUrl"])).await;
    let red = |bytes: &[u8]| {
        let picture = image::load_from_memory(bytes).unwrap().to_rgb8();
        picture.get_pixel(picture.width() / 2, picture.height() / 2).0
    };
    // The file's profile makes its red stronger than in sRGB; the small picture has no profile.
    let (there, here) = (red(photograph), red(&kept.bytes));
    assert!(here != there && !contains(&kept.bytes, "ICC_PROFILE"), "{there:?} {here:?}");
    let whole = photograph.len();
    assert_eq!(refusal(&ada, photograph[..whole - 2].to_vec()).await, "FILE_UNSUPPORTED file");
}

#[both_databases]
async fn large_photographs_share_the_memory_that_is_set_aside(place: Place) {
    let mut setup = command(&place);
    setup.env("VESTIBULE_ADMIN_PASSWORD", ADMIN.1);
    let serving = Serving::start(setup);
    let admin = Client::new(&serving.url).sign_in(ADMIN.0, ADMIN.1).await;
    assert!(upload(&admin, file(64, 64, ImageFormat::Jpeg)).await["user"]["avatarUrl"].is_string());
    let before = serving.peak_memory();
    // 48 megapixels; two of these exceed the memory limit.
    let grey = RgbImage::from_raw(8000, 6000, vec![128; 8000 * 6000 * 3]).unwrap();
    let mut photograph = Vec::new();
    DynamicImage::from(grey).write_to(&mut Cursor::new(&mut photograph), ImageFormat::Jpeg).unwrap();
    let (one, other) = tokio::join!(upload(&admin, photograph.clone()), upload(&admin, photograph));
    assert!(one["user"]["avatarUrl"].is_string() && other["user"]["avatarUrl"].is_string(), "{one} {other}");
    let more = serving.peak_memory() - before;
    assert!(more < 320 * 1024 * 1024, "{more} bytes more");
}
