//! Exports in the session of the console.

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::json;
use test_macros::both_databases;
use vestibule::entity::audit_event::{self, Action};

use super::{signed_in, superuser};
use crate::test_app::TestApp;
use crate::test_database::Place;

async fn exports(app: &TestApp) -> u64 {
    let exported = audit_event::Column::Action.eq(Action::Exported);
    audit_event::Entity::find().filter(exported).count(app.db()).await.unwrap()
}

/// Addresses in an export as comma-separated text.
fn addresses(text: &str) -> Vec<&str> {
    text.lines().skip(1).map(|line| line.split('"').nth(1).unwrap()).collect()
}

#[both_databases]
async fn a_link_exports_the_users_of_the_list_and_is_recorded(place: Place) {
    let app = TestApp::start(&place).await;
    for (name, role) in [("ann", "MANAGER"), ("anna", "MEMBER"), ("bert", "MANAGER")] {
        app.add(json!({ "email": format!("{name}@example.com"), "username": name, "role": role })).await;
    }
    let mut browser = superuser(&app).await;
    let before = exports(&app).await;
    let export = browser.open("/export/users.csv?search=ann&role=MANAGER").await;
    assert_eq!(export.status, 200);
    assert_eq!(addresses(export.body.as_str().unwrap()), ["ann@example.com"]);
    let all = browser.open("/export/users.csv").await;
    assert_eq!(addresses(all.body.as_str().unwrap()).len(), 4);
    assert_eq!(browser.open("/export/users.xlsx?isActive=true").await.status, 200);
    assert_eq!(exports(&app).await, before + 3);
    assert_eq!(browser.open("/export/users.csv?role=KING").await.status, 400);
    let boss = app.add_staff("boss").await;
    let mut boss = signed_in(&app, &boss).await;
    let seen = boss.open("/export/users.csv?isActive=true").await;
    assert_eq!(addresses(seen.body.as_str().unwrap()).len(), 4, "superusers are left out");
}

#[both_databases]
async fn no_other_site_causes_an_export(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let browser = superuser(&app).await;
    let before = exports(&app).await;
    let cookie = format!("refresh_token={}", browser.cookie("refresh_token").unwrap());
    for header in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "null"),
        ("origin", "https://evil.example"),
        ("sec-purpose", "prefetch;prerender"),
    ] {
        let request =
            app.anyone().request("GET", "/export/users.csv").header("cookie", &cookie).header(header.0, header.1);
        assert_eq!(app.anyone().finish(request).await.status, 401, "{header:?}");
    }
    assert_eq!(exports(&app).await, before);
    let mut other = signed_in(&app, &ada).await;
    assert_eq!(other.open("/export/users.csv").await.status, 403);
    assert_eq!(crate::pages::Browser::new(&app).open("/export/users.csv").await.status, 401);
}
