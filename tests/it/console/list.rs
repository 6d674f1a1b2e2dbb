//! The list of users.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use test_macros::both_databases;

use super::superuser;
use crate::pages::{attribute, text};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

/// The usernames on a page.
fn names(page: &Answer) -> Vec<String> {
    let cells = text(page).split("data-label=\"Username\"><bdi>").skip(1);
    cells.map(|cell| cell.split('<').next().unwrap().to_owned()).collect()
}

/// The address of a link with this text.
fn link(page: &Answer, label: &str) -> String {
    let html = text(page);
    let before = html.split(&format!(">{label}</a>")).next().filter(|before| before.len() < html.len());
    let before = before.unwrap_or_else(|| panic!("no link {label}"));
    attribute(before.rsplit("<a").next().unwrap(), "href").replace("&#38;", "&")
}

#[both_databases]
async fn pages_follow_each_other_in_every_order(place: Place) {
    let app = TestApp::start(&place).await;
    for number in 0..60 {
        let email = format!("u{number:02}@example.com");
        app.add(json!({ "email": email, "username": format!("u{number:02}"), "lastName": format!("L{}", number % 7) }))
            .await;
    }
    let mut browser = superuser(&app).await;
    for sort in ["username", "-username", "email", "lastName", "-lastName", "dateJoined", "lastActivity"] {
        let mut page = browser.open(&format!("/console/users?sort={sort}&total=1")).await;
        assert!(text(&page).contains("61 users</p>") && text(&page).contains("Page 1 of 3"), "{}", text(&page));
        let mut seen = names(&page);
        let first = seen.clone();
        for number in 2..=3 {
            page = browser.open(&link(&page, "Next")).await;
            assert!(text(&page).contains(&format!("Page {number} of 3")));
            seen.extend(names(&page));
        }
        assert!(!text(&page).contains(">Next</a>"));
        let mut all = seen.clone();
        all.sort();
        all.dedup();
        assert_eq!((seen.len(), all.len()), (61, 61), "{sort}");
        let second = browser.open(&link(&page, "Previous")).await;
        let back = browser.open(&link(&second, "Previous")).await;
        assert_eq!((names(&second), names(&back)), (seen[25..50].to_vec(), first), "{sort}");
        let third = browser.open(&format!("/console/users?sort={sort}&page=3")).await;
        assert_eq!(names(&third), seen[50..], "{sort}");
    }
}

#[both_databases]
async fn search_and_filters_are_in_the_address(place: Place) {
    let app = TestApp::start(&place).await;
    for (name, role, is_active) in [("ann", "MANAGER", true), ("anna", "MEMBER", false), ("bert", "MANAGER", true)] {
        let email = format!("{name}@example.com");
        app.add(json!({ "email": email, "username": name, "role": role, "isActive": is_active, "password": PASSWORD }))
            .await;
    }
    let mut browser = superuser(&app).await;
    let mut found = async |query: &str| {
        let mut names = names(&browser.open(&format!("/console/users?{query}")).await);
        names.sort();
        names
    };
    assert_eq!(found("search=ann").await, ["ann", "anna"]);
    assert_eq!(found("search=ann&isActive=false").await, ["anna"]);
    assert_eq!(found("role=MANAGER").await, ["ann", "bert"]);
    assert_eq!(found("joinedFrom=2026-01-05&joinedTo=2026-01-05&search=ann").await, ["ann", "anna"]);
    assert_eq!(found("joinedTo=2026-01-04").await, [""; 0]);
    assert_eq!(found("isStaff=&hasSecondFactor=true").await, [""; 0]);
    let none = browser.open("/console/users?search=nobody").await;
    assert!(text(&none).contains("No user matches") && text(&none).contains("Clear search and filters"));
    let wrong = browser.open("/console/users?role=KING").await;
    assert_eq!(wrong.status, 400);
    assert!(text(&wrong).contains("The value of `role` is invalid."));
    let filtered = browser.open("/console/users?search=ann&isActive=false").await;
    let export = "/export/users.csv?search=ann&#38;isActive=false&#38;bom=true";
    assert!(text(&filtered).contains(export), "{}", text(&filtered));
}

#[both_databases]
async fn a_page_costs_as_many_statements_for_many_users_as_for_few(place: Place) {
    let counter = Arc::new(AtomicUsize::new(0));
    let app = TestApp::start_counting(&place, Arc::clone(&counter)).await;
    let mut browser = superuser(&app).await;
    let mut counted = Vec::new();
    let mut last = None;
    for round in 0..2 {
        for number in 0..20 {
            let name = format!("u{round}-{number}");
            last = Some(app.add(json!({ "email": format!("{name}@example.com"), "username": name })).await);
        }
        let mut statements = async |path: &str| {
            browser.open(path).await;
            let before = counter.load(Ordering::SeqCst);
            assert_eq!(browser.open(path).await.status, 200);
            counter.load(Ordering::SeqCst) - before
        };
        let id = last.as_ref().unwrap().id.clone();
        counted.push((statements("/console/users").await, statements(&format!("/console/users/{id}")).await));
    }
    assert_eq!(counted[0], counted[1]);
    let (list, user) = counted[0];
    assert!(list <= 3 && user <= 15, "{counted:?}");
}

#[both_databases]
async fn the_first_page_has_less_than_60_kilobytes(place: Place) {
    let app = TestApp::start(&place).await;
    for number in 0..30 {
        let input = json!({
            "email": format!("a.rather.long.address.{number}@department.example.com"), "username": format!("somebody{number}"),
            "firstName": "Anna Katharina Elisabeth", "lastName": "von Größmann-Übermüller",
        });
        app.add(input).await;
    }
    let mut browser = superuser(&app).await;
    let page = browser.open("/console/users").await;
    let html = text(&page);
    let files = html.split("<link rel=\"stylesheet\"").skip(1).map(|link| attribute(link, "href"));
    let files: Vec<String> =
        files.chain(html.split("<script").skip(1).map(|script| attribute(script, "src"))).collect();
    assert_eq!(files.len(), 4, "two stylesheets and two scripts");
    let mut bytes = html.len();
    for file in files {
        let file = app.anyone().request("GET", &file).send().await.unwrap();
        assert_eq!(file.status(), 200);
        bytes += file.bytes().await.unwrap().len();
    }
    assert!(bytes < 60 * 1024, "{bytes} bytes, of which {} are the page", html.len());
}
