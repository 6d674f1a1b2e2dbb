//! GraphiQL's page. `tests/browser/graphiql.mjs` tests its bundle in a browser.

use crate::test_app::TestApp;
use crate::test_database::Place;
use test_macros::both_databases;

/// Files of the bundle that the page loads; empty if the binary has no bundle.
fn assets(page: &str) -> Vec<&str> {
    page.split('"').filter(|part| part.starts_with("/graphiql/assets/")).collect()
}

#[both_databases]
async fn the_page_is_ours_without_foreign_origins_or_says_how_to_build_it(place: Place) {
    let app = TestApp::start(&place).await;
    let page = app.anyone().get("/graphiql").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let (html, policy) = (page.body.as_str().unwrap(), page.header("content-security-policy"));
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    if assets(html).is_empty() {
        assert!(html.contains("<code>npm run build --prefix graphiql</code>"));
        assert!(policy.contains("script-src 'unsafe-inline' https://unpkg.com;"));
    } else {
        assert!(!html.contains("://") && !policy.contains("://"));
        assert!(policy.contains("script-src 'self';") && policy.contains("connect-src 'self';"));
    }
}

#[both_databases]
async fn its_files_are_kept_and_have_their_types(place: Place) {
    let app = TestApp::start(&place).await;
    let page = app.anyone().get("/graphiql").await;
    for path in assets(page.body.as_str().unwrap()) {
        let plain = app.anyone().get(path).await;
        let packed = app.anyone().with_header("accept-encoding", "br, gzip").get(path).await;
        let kind = match path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            _ => "text/javascript; charset=utf-8",
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
    let files = assets(page.body.as_str().unwrap());
    for path in ["/", "/graphiql", "/graphiql/assets/nowhere.js"].into_iter().chain(files) {
        assert_eq!(app.anyone().get(path).await.status, 404, "{path}");
    }
}
