//! Look of the site: logo, accent color, legal links, and the header of a signed-in user.

use test_macros::both_databases;

use crate::pages::{Browser, attribute, text};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";

async fn branded(place: &Place) -> TestApp {
    let logo = place.folder.join("logo.svg");
    std::fs::create_dir_all(&place.folder).unwrap();
    std::fs::write(&logo, SVG).unwrap();
    TestApp::start_with(place, |config| {
        config.brand.site_logo = Some(logo);
        config.brand.site_color = Some("#ffcc00".parse().unwrap());
        config.brand.imprint_url = Some("https://example.com/imprint?a=1&b=2".parse().unwrap());
        config.brand.terms_url = Some("https://example.com/terms".parse().unwrap());
    })
    .await
}

#[both_databases]
async fn pages_have_the_logo_the_color_and_the_legal_links_of_the_site(place: Place) {
    let app = branded(&place).await;
    let page = app.anyone().get("/account/forgot").await;
    let html = text(&page);
    let footer = html.split_once("<footer>").unwrap().1;
    assert!(footer.contains("href=\"https://example.com/imprint?a=1&#38;b=2\">Imprint</a>"), "{footer}");
    assert!(footer.contains(">Terms</a>") && !footer.contains("Privacy"), "{footer}");
    assert!(page.header("content-security-policy").contains("img-src 'self';"));

    let logo = app.anyone().get(&attribute(html.split("class=\"site\"").nth(1).unwrap(), "src")).await;
    assert_eq!((logo.status, logo.header("content-type")), (200, "image/svg+xml"));
    assert!(logo.header("content-security-policy").contains("default-src 'none'"), "no script of it runs");
    assert!(logo.header("content-security-policy").ends_with("sandbox"));
    assert_eq!(logo.header("x-content-type-options"), "nosniff");

    let style = app.anyone().get(&attribute(html.split("style.css").nth(1).unwrap(), "href")).await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert_eq!(style.header("cache-control"), "public, max-age=3600");
    assert!(text(&style).contains("--accent: #ffcc00; --on-accent: #000000;"), "{}", text(&style));
}

#[both_databases]
async fn without_settings_pages_have_neither_logo_nor_links(place: Place) {
    let app = TestApp::start(&place).await;
    let page = app.anyone().get("/account/forgot").await;
    let html = text(&page);
    assert!(!html.contains("<img") && !html.contains("brand.css") && !html.contains("Imprint"), "{html}");
    assert_eq!(app.anyone().get("/account/logo").await.status, 404);
}

#[both_databases]
async fn the_header_names_the_user_and_signs_out(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    browser.submit(&page, &[("identifier", "ada"), ("password", PASSWORD)]).await;
    let stolen = browser.clone();
    let page = browser.open("/account").await;
    let (header, _) = text(&page).split_once("<main").unwrap();
    assert!(header.contains("<bdi>ada</bdi>") && header.contains("action=\"/account/sign-out\""), "{header}");

    let told = browser.submit(&browser.clone().open("/account/sign-out").await, &[]).await;
    assert!(text(&told).contains("You are signed out."), "{}", text(&told));
    assert_eq!(browser.cookie("refresh_token"), Some(""));
    let locked = stolen.clone().open("/account").await;
    assert_eq!((locked.status, locked.header("location").starts_with("/account/sign-in")), (303, true));
}

#[both_databases]
async fn a_link_to_sign_out_ends_nothing_and_a_form_from_elsewhere_neither(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    browser.submit(&page, &[("identifier", "ada"), ("password", PASSWORD)]).await;
    assert!(text(&browser.open("/account/sign-out").await).contains("You will be signed out on this browser."));
    let token = browser.cookie("refresh_token").unwrap();
    let forged = app.anyone().request("POST", "/account/sign-out").body("everywhere=1");
    let forged = forged.header("content-type", "application/x-www-form-urlencoded");
    let forged = forged.header("cookie", format!("refresh_token={token}"));
    assert_eq!(app.anyone().finish(forged).await.status, 403);
    assert_eq!(browser.open("/account").await.status, 200, "the session is still open");
}

#[both_databases]
async fn signing_out_everywhere_ends_all_sessions_of_the_user_alone(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    app.add_user("eve").await;
    let sign_in = async |name: &str| {
        let mut browser = Browser::new(&app);
        let page = browser.open("/account/sign-in").await;
        browser.submit(&page, &[("identifier", name), ("password", PASSWORD)]).await;
        browser
    };
    let (mut one, mut other, mut eve) = (sign_in("ada").await, sign_in("ada").await, sign_in("eve").await);
    let page = one.open("/account/sign-out").await;
    one.submit(&page, &[("everywhere", "1")]).await;
    assert_eq!(other.open("/account").await.status, 303);
    assert_eq!(eve.open("/account").await.status, 200);
}
