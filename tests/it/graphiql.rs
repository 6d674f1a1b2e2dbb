//! GraphiQL, and all pages: none loads anything from elsewhere. `tests/browser/graphiql.mjs` tests it in a browser.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;
use test_macros::both_databases;

use crate::architecture::rust_files;
use crate::pages::{Browser, attribute, text};
use crate::test_app::{ADMIN, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

/// Sources that content security policies may name.
const SOURCES: [&str; 4] = ["'none'", "'self'", "'unsafe-inline'", "data:"];

/// Files of the bundle that the page loads.
fn assets(page: &str) -> Vec<&str> {
    page.split('"').filter(|part| part.starts_with("/graphiql/assets/")).collect()
}

/// Paths of all routes, as in the source.
fn routes() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let files = rust_files(&source).into_iter().map(|file| fs::read_to_string(file).unwrap());
    let routes: BTreeSet<String> = files
        .flat_map(|code| {
            let paths = code.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
            paths.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(routes.len() > 15, "the routes were not found: {routes:?}");
    routes
}

/// Addresses that a browser loads with a page, also those in an email within the page. Links are not loaded.
fn loaded(html: &str) -> Vec<String> {
    let plain = html.replace("&#60;", "<").replace("&#62;", ">").replace("&#34;", "\"").replace("&#39;", "'");
    let tags = plain.split('<').skip(1).filter_map(|tag| tag.split('>').next());
    let loading = tags.filter(|tag| !tag.starts_with("a ")).flat_map(|tag| {
        let values = ["src", "srcset", "href", "data", "poster", "background"].map(|name| {
            let value = tag.split(&format!(" {name}=")).nth(1)?;
            Some(value.trim_start_matches(['"', '\'']).split(['"', '\'']).next()?.to_owned())
        });
        values.into_iter().flatten()
    });
    loading.chain(imported(&plain)).collect()
}

/// Addresses that a style sheet loads.
fn imported(style: &str) -> Vec<String> {
    let urls = style.split("url(").skip(1).filter_map(|rest| rest.split(')').next());
    let imports = style.split("@import").skip(1).filter_map(|rest| rest.split(';').next());
    urls.chain(imports).map(|address| address.trim().trim_matches(['"', '\'']).to_owned()).collect()
}

/// True for paths of this service and for data in the address itself.
fn is_local(address: &str) -> bool {
    address.starts_with("data:") || !address.contains("//") && !address.contains(':') && !address.contains('\\')
}

#[test]
fn foreign_addresses_are_found() {
    let foreign = "https://example.com/x";
    for html in [
        format!("<script src=\"{foreign}\"></script>"),
        format!("<link rel=\"stylesheet\" href='{foreign}'>"),
        format!("<img alt=\"\" srcset=\"{foreign} 2x\">"),
        format!("<style>@import \"{foreign}\";</style>"),
        format!("<p style=\"background: url({foreign})\">"),
        format!("<iframe srcdoc=\"&#60;img src=&#34;{foreign}&#34;&#62;\"></iframe>"),
        "<script src=\"//example.com/x\"></script>".to_owned(),
    ] {
        assert!(loaded(&html).iter().any(|address| !is_local(address)), "{html}");
    }
    let local = "<a href=\"https://example.com\">x</a><link href=\"/account/style.css\"><link href=\"data:,\">";
    assert_eq!(loaded(local), ["/account/style.css", "data:,"]);
    assert!(loaded(local).iter().all(|address| is_local(address)));
}

/// Checks a page and its style sheets.
async fn loads_nothing_from_elsewhere(app: &TestApp, path: &str, page: &Answer) {
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
    for directive in policy.split(';') {
        let mut sources = directive.split_whitespace().skip(1);
        assert!(sources.all(|source| SOURCES.contains(&source)), "{path}: {directive}");
    }
    let addresses = loaded(text(page));
    assert!(!addresses.is_empty(), "{path} has no style sheet");
    for address in addresses {
        assert!(is_local(&address), "{path} loads {address}");
        if std::path::Path::new(&address).extension().is_some_and(|extension| extension == "css") {
            let style = app.anyone().get(&address).await;
            let foreign: Vec<String> =
                imported(text(&style)).into_iter().filter(|address| !is_local(address)).collect();
            assert!(style.status == 200 && foreign.is_empty(), "{path}, {address}: {foreign:?}");
        }
    }
}

#[both_databases]
async fn no_page_loads_anything_from_elsewhere(place: Place) {
    let app = TestApp::start_on_files(&place).await;
    app.anyone().data("mutation { requestReset(input: { email: \"admin@localhost\" }) { success } }", json!({})).await;
    app.deliver().await;
    let mails = app.anyone().get("/dev/mail").await;
    let mail = text(&mails).split("/dev/mail/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    browser.submit(&page, &[("identifier", ADMIN.0), ("password", ADMIN.1)]).await;
    let mut pages = BTreeSet::new();
    for route in routes() {
        for browser in [&mut Browser::new(&app), &mut browser.clone()] {
            let path = route.replace("{id}", &mail).replace("{name}", "none");
            let page = browser.open(&path).await;
            if page.header("content-type").starts_with("text/html") {
                loads_nothing_from_elsewhere(&app, &path, &page).await;
                pages.insert(route.clone());
            }
        }
    }
    for known in ["/account/sign-in", "/account/password", "/account/undo", "/dev/mail", "/dev/mail/{id}", "/graphiql"]
    {
        assert!(pages.contains(known), "{known} is not among {pages:?}");
    }
}

#[both_databases]
async fn the_page_is_html_with_scripts_of_this_service_only(place: Place) {
    let app = TestApp::start(&place).await;
    let page = app.anyone().get("/graphiql").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let (html, policy) = (text(&page), page.header("content-security-policy"));
    assert_eq!(attribute(html, "lang"), "en");
    assert!(!html.contains("://"), "{html}");
    assert!(policy.contains("script-src 'self';") && policy.contains("connect-src 'self';"), "{policy}");
    let files = assets(html);
    assert!([".js", ".css"].iter().all(|kind| files.iter().any(|file| file.ends_with(kind))), "{files:?}");
}

#[both_databases]
async fn its_files_are_kept_and_have_their_types(place: Place) {
    let app = TestApp::start(&place).await;
    let page = app.anyone().get("/graphiql").await;
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("graphiql/bundle/assets");
    let names = fs::read_dir(bundle).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> =
        names.map(|name| format!("/graphiql/assets/{}", name.strip_suffix(".gz").unwrap())).collect();
    assert!(assets(text(&page)).iter().all(|file| files.contains(*file)), "{files:?}");
    for path in &files {
        let plain = app.anyone().get(path).await;
        let packed = app.anyone().with_header("accept-encoding", "br, gzip").get(path).await;
        let kind = match path.rsplit_once('.').unwrap().1 {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "ttf" => "font/ttf",
            other => panic!("{path} has the unexpected type {other}"),
        };
        for (answer, encoding) in [(plain, ""), (packed, "gzip")] {
            assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
            assert_eq!(answer.header("content-encoding"), encoding, "{path}");
            assert_eq!(answer.header("vary"), "accept-encoding", "{path}");
            assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable", "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        }
    }
    for path in ["/graphiql/assets/nowhere.js", "/graphiql/assets/..%2Findex.html", "/graphiql/assets/%FF"] {
        assert_eq!(app.anyone().get(path).await.status, 404, "{path}");
    }
}

#[both_databases]
async fn switched_off_nothing_of_it_is_served(place: Place) {
    let app = TestApp::start_with(&place, |config| config.graphiql = true).await;
    let page = app.anyone().get("/graphiql").await;
    let app = TestApp::start_with(&place, |config| config.graphiql = false).await;
    let files = assets(text(&page));
    assert!(!files.is_empty());
    for path in ["/", "/graphiql", "/graphiql/assets/nowhere.js"].into_iter().chain(files) {
        assert_eq!(app.anyone().get(path).await.status, 404, "{path}");
    }
}
