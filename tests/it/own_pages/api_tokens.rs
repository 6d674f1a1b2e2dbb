//! API tokens of a user.

use std::time::Duration;

use serde_json::json;
use test_macros::both_databases;

use super::{plain, signed_in};
use crate::pages::{content, text};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Answer;
use crate::test_database::Place;

const TYPED: [(&str, &str); 3] = [("name", "Nightly <b>export</b>"), ("scope-read", "1"), ("expiresAt", "30")];
const LIST: &str = "{ apiTokens { id name scopes expiresAt } }";

fn secret(page: &Answer) -> String {
    let codes = text(page).split("<code>").nth(1).unwrap_or_else(|| panic!("no secret: {}", text(page)));
    codes.split("</code>").next().unwrap().to_owned()
}

#[both_databases]
async fn a_token_is_created_shown_once_rotated_and_deleted(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let form = browser.open("/account/tokens/new").await;
    assert!(!text(&form).contains("scope-manage-users"), "for staff only");
    let made = browser.submit(&form, &TYPED).await;
    let token = secret(&made);
    assert!(!text(&made).contains("<b>export"));
    let tokens = app.anyone().with_token(token.clone()).data(LIST, json!({})).await["apiTokens"].clone();
    assert_eq!(tokens[0]["scopes"], json!(["READ"]));
    assert!(tokens[0]["expiresAt"].as_str().unwrap().starts_with("2026-02-04T09:00:00"), "{tokens}");

    // The same form sent again makes no second token, and shows no secret.
    let again = browser.submit(&form, &TYPED).await;
    assert!(plain(&again).contains("This was done already.") && !text(&again).contains(&token), "{}", plain(&again));
    assert_eq!(plain(&again).matches("Nightly").count(), 1);

    let id = tokens[0]["id"].as_str().unwrap();
    let page = browser.open(&format!("/account/tokens/token?id={id}")).await;
    let rotated = browser.submit_to(&page, "/account/tokens/rotate", &[]).await;
    let renewed = secret(&rotated);
    assert_eq!(app.anyone().with_token(token).code(LIST, json!({})).await, "UNAUTHENTICATED INVALID");
    app.anyone().with_token(renewed.clone()).data(LIST, json!({})).await;
    let again = browser.submit_to(&page, "/account/tokens/rotate", &[]).await;
    assert!(plain(&again).contains("This was done already."));
    app.anyone().with_token(renewed.clone()).data(LIST, json!({})).await;
    let list = browser.submit_to(&page, "/account/tokens/delete", &[]).await;
    assert!(plain(&list).contains("The token is deleted.") && plain(&list).contains("You have no API tokens."));
    assert_eq!(app.anyone().with_token(renewed).code(LIST, json!({})).await, "UNAUTHENTICATED INVALID");
    let mails = app.mails().await;
    assert_eq!(mails.iter().filter(|mail| mail.to == ada.email).count(), 2, "one about each secret");
}

#[both_databases]
async fn mistakes_are_told_beside_the_fields_and_input_is_kept(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let form = browser.open("/account/tokens/new").await;
    let refused = browser.submit(&form, &[("name", ""), ("scope-write", ""), ("expiresAt", "90")]).await;
    let html = content(text(&refused));
    assert_eq!(refused.status, 422);
    for part in ["id=\"name-error\"", "id=\"scopes-error\"", "href=\"#scopes\"", "<option value=\"90\" selected>"] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let forged = browser.submit(&form, &[("name", "x"), ("scope-manage-users", "1"), ("expiresAt", "9999")]).await;
    assert_eq!(forged.status, 422, "the scope is for staff");
}

#[both_databases]
async fn an_old_session_proves_first_and_comes_back(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let mut browser = signed_in(&app, "ada").await;
    let form = browser.open("/account/tokens/new").await;
    let made = browser.submit(&form, &TYPED).await;
    let id = app.anyone().with_token(secret(&made)).data(LIST, json!({})).await["apiTokens"][0]["id"].clone();
    let token = format!("/account/tokens/token?id={}", id.as_str().unwrap());
    app.wait(Duration::from_secs(11 * 60));
    let form = browser.open("/account/tokens/new").await;
    let asked = browser.follow(form).await;
    assert!(plain(&asked).contains("Confirm that it is you"), "{}", plain(&asked));
    let wrong = browser.submit(&asked, &[("password", "wrong")]).await;
    assert_eq!(wrong.status, 422);
    let form = browser.submit(&wrong, &[("password", PASSWORD)]).await;
    assert!(plain(&form).contains("Create an API token"), "{}", plain(&form));

    app.wait(Duration::from_secs(11 * 60));
    let page = browser.open(&token).await;
    let asked = browser.submit_to(&page, "/account/tokens/rotate", &[]).await;
    assert!(plain(&asked).contains("Confirm that it is you"), "{}", plain(&asked));
    let page = browser.submit(&asked, &[("password", PASSWORD)]).await;
    assert!(plain(&page).contains("<h1>API tokens</h1>"), "{}", plain(&page));
    let page = browser.open(&token).await;
    secret(&browser.submit_to(&page, "/account/tokens/rotate", &[]).await);
}

#[both_databases]
async fn tokens_of_somebody_else_are_unknown(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    app.add_user("eve").await;
    let mut eve = signed_in(&app, "eve").await;
    let form = eve.open("/account/tokens/new").await;
    let theirs = secret(&eve.submit(&form, &TYPED).await);
    let id = app.anyone().with_token(theirs.clone()).data(LIST, json!({})).await["apiTokens"][0]["id"].clone();
    let id = id.as_str().unwrap();
    let mut ada = signed_in(&app, "ada").await;
    let form = ada.open("/account/tokens/new").await;
    ada.submit(&form, &TYPED).await;
    let own = ada.open("/account/tokens").await;
    let own = text(&own).split("/account/tokens/token?id=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = ada.open(&format!("/account/tokens/token?id={own}")).await;
    for id in [id, "019b8d62-7a80-737f-9974-f356954f143d", "x"] {
        let unknown = ada.open(&format!("/account/tokens/token?id={id}")).await;
        assert_eq!(unknown.status, 422, "{id}");
        assert!(!plain(&unknown).contains("Nightly"));
        for path in ["/account/tokens/rotate", "/account/tokens/delete"] {
            let refused = ada.submit_to(&page, path, &[("id", id), ("once", id)]).await;
            assert_eq!(refused.status, 422, "{path}: {id}");
        }
    }
    app.anyone().with_token(theirs).data(LIST, json!({})).await;
}
