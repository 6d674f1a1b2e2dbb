//! A service whose public URL has a path: `https://example.com/id`.

use serde_json::json;
use test_macros::both_databases;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::pages::{Browser, text};
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const PUBLIC: &str = "https://example.com/id";

async fn start(place: &Place) -> TestApp {
    TestApp::start_with(place, |config| config.public_url = Some(PUBLIC.parse().unwrap())).await
}

/// Path of a link in a mail, as forwarded by the proxy.
fn path_of(mail: &str) -> &str {
    let link = mail.split_whitespace().find(|word| word.starts_with(PUBLIC)).expect("the mail has a link");
    link.strip_prefix("https://example.com").unwrap()
}

#[both_databases]
async fn pages_forms_and_links_work_under_the_path(place: Place) {
    let app = start(&place).await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/id/account/register").await;
    let html = text(&page);
    for part in
        ["href=\"/id/account/style.css?v=", "action=\"/id/account/register\"", "<a href=\"/id/account/sign-in\">"]
    {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("\"/account/"), "{html}");
    assert_eq!(app.anyone().get("/id/account/style.css").await.status, 200);
    let wanted =
        [("email", "eve@example.com"), ("username", ""), ("password", PASSWORD), ("passwordConfirm", PASSWORD)];
    assert!(text(&browser.submit(&page, &wanted).await).contains("Check your email"));
    let mails = app.mails().await;
    let page = browser.open(path_of(&mails[0].text)).await;
    assert!(text(&browser.submit(&page, &[]).await).contains("You are signed in"));

    let page = browser.open("/id/account/forgot").await;
    browser.submit(&page, &[("email", "eve@example.com")]).await;
    let mails = app.mails().await;
    let page = browser.open(path_of(&mails[0].text)).await;
    let new = "quite a new long phrase";
    let done = browser.submit(&page, &[("newPassword", new), ("newPasswordConfirm", new)]).await;
    assert!(text(&done).contains("Your new password is set"));
    let signed_in = browser.submit(&done, &[("identifier", "eve@example.com"), ("password", new)]).await;
    assert!(text(&signed_in).contains("<a href=\"/id/graphiql\">"), "{}", text(&signed_in));

    let chosen = browser.open("/id/account/sign-in?returnTo=%2Fid%2Faccount%2Fsecurity").await;
    assert!(text(&chosen).contains("<a href=\"/id/account/security\">Continue</a>"), "{}", text(&chosen));
    let foreign = Browser::new(&app).submit(&page, &[]).await;
    assert!(text(&foreign).contains("<a href=\"/id/account/reset\">"), "{}", text(&foreign));
}

#[both_databases]
async fn cookies_go_to_the_path_alone(place: Place) {
    let app = start(&place).await;
    let page = app.anyone().get("/id/account/sign-in").await;
    let csrf = page.header("set-cookie");
    assert!(csrf.starts_with("__Secure-csrf=") && csrf.contains("; Path=/id; Secure; HttpOnly;"), "{csrf}");
    let login = "mutation($i: String!, $p: String!) {
        login(input: { identifier: $i, password: $p }) { tokens { refreshToken } errors { code } }
    }";
    let page = Client::new(&format!("{}/id", app.url)).with_header("origin", "https://example.com");
    let answer = page.send(login, json!({ "i": ADMIN.0, "p": ADMIN.1 })).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Secure-refresh_token=") && cookie.contains("; Path=/id; Secure;"), "{cookie}");
    let kept = cookie.split(';').next().unwrap();
    let refreshed = page.with_header("cookie", kept).send("mutation { refresh { errors { code } } }", json!({})).await;
    assert_eq!(refreshed.body["data"]["refresh"]["errors"], json!([]));
}

#[both_databases]
async fn graphiql_and_its_files_are_under_the_path(place: Place) {
    let app = start(&place).await;
    for path in ["/id", "/id/"] {
        let answer = app.anyone().get(path).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/id/graphiql"), "{path}");
    }
    let request = app.anyone().request("GET", "/id/graphql").header("accept", "text/html");
    assert_eq!(app.anyone().finish(request).await.header("location"), "/id/graphiql");
    let page = app.anyone().get("/id/graphiql").await;
    let html = text(&page);
    let files: Vec<&str> = html.split('"').filter(|part| part.contains("/graphiql/assets/")).collect();
    assert!(!files.is_empty(), "{html}");
    for file in files {
        assert!(file.starts_with("/id/graphiql/assets/"), "{file}");
        assert_eq!(app.anyone().get(file).await.status, 200, "{file}");
    }
}

#[both_databases]
async fn a_proxy_may_take_the_path_off_or_leave_it(place: Place) {
    let app = start(&place).await;
    for path in ["", "/id"] {
        let client = Client::new(&format!("{}{path}", app.url)).sign_in(ADMIN.0, ADMIN.1).await;
        assert_eq!(client.data("{ me { username } }", json!({})).await["me"]["username"], "admin");
        assert_eq!(client.get("/readyz").await.status, 200);
        assert_eq!(client.get("/export/users.csv").await.status, 200);
        assert!(text(&client.get("/account/sign-in").await).contains("action=\"/id/account/sign-in\""));
        let keys = client.get("/.well-known/jwks.json").await;
        assert!(keys.body["keys"].is_array());
    }
}

#[both_databases]
async fn sockets_and_avatars_are_under_the_path(place: Place) {
    use image::ImageFormat;
    let app = start(&place).await;
    let mut request = format!("{}/id/graphql", app.url.replace("http", "ws")).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    let (_, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(answer.status().as_u16(), 101);

    let ada = app.add_user("ada").await.sign_in(&app).await;
    crate::avatars::upload(&ada, crate::avatars::file(80, 80, ImageFormat::Png)).await;
    let url = ada.data("{ me { avatarUrl } }", json!({})).await["me"]["avatarUrl"].as_str().unwrap().to_owned();
    let path = url.strip_prefix("https://example.com").unwrap();
    assert!(path.starts_with("/id/media/avatars/"), "{path}");
    assert_eq!(app.anyone().get(path).await.status, 200);
}

#[both_databases]
async fn a_path_that_only_begins_alike_is_another_one(place: Place) {
    let app = start(&place).await;
    for path in ["/idea", "/idea/graphql", "/id/id/graphql", "/ID/account/sign-in"] {
        assert_eq!(app.anyone().get(path).await.status, 404, "{path}");
    }
    let app = TestApp::start(&place).await;
    assert_eq!(app.anyone().get("/id/account/sign-in").await.status, 404);
}
