//! Sessions: rotation, grace period, reuse, and expiry.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use vestibule::domain::auth::signing_keys::{NOTICE, Start};
use vestibule::domain::operator::Operator;
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::session;

use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::{Answer, Client};
use crate::test_database::Place;

const ME: &str = "{ me { id } }";
const TTL: Duration = Duration::from_mins(5);
const DAY: Duration = Duration::from_hours(24);

async fn alive(client: &Client) -> bool {
    client.send(ME, json!({})).await.body["errors"].is_null()
}

fn dead() -> Result<(), String> {
    Err("INVALID_TOKEN".to_owned())
}

#[both_databases]
async fn two_tabs_that_refresh_at_once_get_the_same_successor(place: Place) {
    let app = TestApp::start(&place).await;
    let mut one = app.add_user("ada").await.sign_in(&app).await;
    let mut two = one.clone();
    one.refresh().await.unwrap();
    assert!(alive(&one).await);
    app.wait(Duration::from_secs(10));
    two.refresh().await.unwrap();
    assert_eq!(one.refresh, two.refresh);
    assert!(alive(&two).await);
}

#[both_databases]
async fn a_lost_answer_is_repeated_however_late_while_nothing_of_it_was_used(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let mut lost = client.clone();
    lost.refresh().await.unwrap();
    app.wait(DAY);
    client.refresh().await.unwrap();
    assert_eq!(client.refresh, lost.refresh);
    client.refresh().await.unwrap();
    assert!(alive(&client).await);
}

#[both_databases]
async fn a_used_access_token_ends_the_repeating(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let mut old = client.clone();
    client.refresh().await.unwrap();
    assert!(alive(&client).await);
    app.wait(Duration::from_secs(11));
    assert_eq!(old.refresh().await, dead());
    assert!(!alive(&client).await, "one of the two is a thief: both are out");
}

#[both_databases]
async fn a_reused_token_ends_the_session_and_is_audited(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut client = ada.sign_in(&app).await;
    let mut thief = client.clone();
    client.refresh().await.unwrap();
    client.refresh().await.unwrap();
    app.wait(Duration::from_secs(11));
    assert_eq!(thief.refresh().await, dead());
    assert_eq!(client.refresh().await, dead());
    assert_eq!(client.code(ME, json!({})).await, "UNAUTHENTICATED REVOKED");
    let events = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::RefreshReused));
    let events = events.all(app.db()).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].target_id.map(|id| id.to_string()), Some(ada.id));
}

#[both_databases]
async fn two_generations_back_is_reuse_even_within_the_grace(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let mut old = client.clone();
    client.refresh().await.unwrap();
    client.refresh().await.unwrap();
    assert_eq!(old.refresh().await, dead());
    assert_eq!(client.refresh().await, dead());
}

#[both_databases]
async fn of_many_refreshes_at_once_all_get_one_successor(place: Place) {
    let app = TestApp::start(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    let attempts = (0..20).map(|_| {
        let mut tab = client.clone();
        async move {
            tab.refresh().await.unwrap();
            tab.refresh
        }
    });
    let successors = futures_util::future::join_all(attempts).await;
    assert!(successors.iter().all(|successor| *successor == successors[0]));
    let sessions = session::Entity::find().filter(session::Column::Counter.gt(0)).all(app.db()).await.unwrap();
    assert_eq!(sessions.iter().map(|session| session.counter).collect::<Vec<_>>(), [1]);
}

#[both_databases]
async fn two_instances_refresh_one_session(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let second = app.start_second(&place).await;
    let mut elsewhere = second.anyone();
    elsewhere.refresh.clone_from(&client.refresh);
    let (here, there) = tokio::join!(client.refresh(), elsewhere.refresh());
    here.unwrap();
    there.unwrap();
    assert_eq!(client.refresh, elsewhere.refresh);
    assert!(alive(&client).await && alive(&elsewhere).await);
    client.data("mutation { logout { success } }", json!({})).await;
    assert_eq!(elsewhere.code(ME, json!({})).await, "UNAUTHENTICATED REVOKED");
}

#[both_databases]
async fn an_unused_session_ends_and_a_used_one_ends_too_in_time(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut idle = ada.sign_in(&app).await;
    app.wait(30 * DAY);
    assert_eq!(idle.refresh().await, dead());

    let mut busy = ada.sign_in(&app).await;
    for _ in 0..89 {
        app.wait(DAY);
        busy.refresh().await.unwrap();
    }
    app.wait(DAY.checked_sub(TTL / 2).unwrap());
    busy.refresh().await.unwrap();
    assert!(alive(&busy).await);
    app.wait(TTL / 2);
    assert_eq!(busy.code(ME, json!({})).await, "UNAUTHENTICATED REVOKED");
    assert_eq!(busy.refresh().await, dead());
}

#[both_databases]
async fn a_step_back_of_the_clock_does_no_harm(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    app.clock.step_back(Duration::from_hours(1));
    assert!(alive(&client).await);
    client.refresh().await.unwrap();
    assert!(alive(&client).await);
}

#[both_databases]
async fn a_step_back_of_the_clock_does_not_make_a_dead_token_young(place: Place) {
    let app = TestApp::start(&place).await;
    let mut thief = app.add_user("ada").await.sign_in(&app).await;
    let mut owner = thief.clone();
    owner.refresh().await.unwrap();
    assert!(alive(&owner).await);
    app.clock.step_back(Duration::from_hours(1));
    assert_eq!(thief.refresh().await, dead());
    assert_eq!(owner.code(ME, json!({})).await, "UNAUTHENTICATED REVOKED");
}

#[both_databases]
async fn signing_in_replaces_the_session_in_the_cookie_and_a_stale_cookie_does_no_harm(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut first = ada.sign_in(&app).await;
    let browser = |token: &str| app.anyone().with_header("cookie", format!("refresh_token={token}"));
    let second = browser(&first.refresh).sign_in("ada", PASSWORD).await;
    assert_eq!(first.refresh().await, dead());
    assert!(alive(&second).await);
    for stale in [first.refresh.as_str(), "nonsense", ""] {
        browser(stale).sign_in("ada", PASSWORD).await;
    }

    // Using an exchanged token is reuse here, too.
    let mut rotated = ada.sign_in(&app).await;
    let old = rotated.refresh.clone();
    rotated.refresh().await.unwrap();
    rotated.refresh().await.unwrap();
    assert_eq!(count_of(&app, Action::RefreshReused).await, 0);
    browser(&old).sign_in("ada", PASSWORD).await;
    assert!(!alive(&rotated).await);
    assert_eq!(count_of(&app, Action::RefreshReused).await, 1);

    // And so is showing one to a page.
    let mut rotated = ada.sign_in(&app).await;
    let old = rotated.refresh.clone();
    rotated.refresh().await.unwrap();
    rotated.refresh().await.unwrap();
    assert_eq!(browser(&old).get("/account/security").await.status, 303);
    assert!(!alive(&rotated).await);
    assert_eq!(count_of(&app, Action::RefreshReused).await, 2);
    let refused = browser("nonsense").send("mutation { refresh { errors { code } } }", json!({})).await;
    assert_eq!(refused.body["data"]["refresh"]["errors"][0]["code"], "INVALID_TOKEN");
    assert!(refused.header("set-cookie").starts_with("refresh_token=; Max-Age=0;"));
}

#[both_databases]
async fn logout_everywhere_ends_every_session(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let bob = app.add_user("bob").await.sign_in(&app).await;
    let (laptop, phone) = (ada.sign_in(&app).await, ada.sign_in(&app).await);
    let logout = "mutation($e: Boolean!) { logout(input: { everywhere: $e }) { success errors { code } } }";
    laptop.data(logout, json!({ "e": true })).await;
    assert!(!alive(&laptop).await && !alive(&phone).await);
    assert!(alive(&bob).await);
    // Repeating it is no error, but sign-out without any token is.
    assert_eq!(laptop.data(logout, json!({ "e": false })).await["logout"]["success"], true);
    assert_eq!(app.anyone().code(logout, json!({ "e": false })).await, "UNAUTHENTICATED MISSING");
    let nonsense = "mutation { logout(input: { refreshToken: \"nonsense\" }) { success errors { code field } } }";
    assert_eq!(app.anyone().refusals(nonsense, json!({})).await, ["INVALID_TOKEN"]);
}

const LOGOUT: &str = "mutation($input: LogoutInput! = {}) { logout(input: $input) { success errors { code field } } }";

async fn count_of(app: &TestApp, action: Action) -> usize {
    let events = audit_event::Entity::find().filter(audit_event::Column::Action.eq(action));
    events.all(app.db()).await.unwrap().len()
}

#[both_databases]
async fn signing_out_with_a_token_that_was_exchanged_before_is_reuse(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    for (round, by_cookie) in [false, true].into_iter().enumerate() {
        let (mut laptop, phone) = (ada.sign_in(&app).await, ada.sign_in(&app).await);
        let stolen = laptop.refresh.clone();
        for _ in 0..3 {
            laptop.refresh().await.unwrap();
        }
        let refused = if by_cookie {
            let thief = app.anyone().with_header("cookie", format!("refresh_token={stolen}"));
            thief.refusals(LOGOUT, json!({ "input": { "everywhere": true } })).await
        } else {
            let input = json!({ "refreshToken": stolen, "everywhere": true });
            app.anyone().refusals(LOGOUT, json!({ "input": input })).await
        };
        assert_eq!(refused, ["INVALID_TOKEN"]);
        assert!(!alive(&laptop).await, "as by refreshing: one of the two is a thief");
        assert!(alive(&phone).await, "and the other sessions are not the thief's to end");
        assert_eq!(count_of(&app, Action::RefreshReused).await, round + 1);
        assert_eq!(count_of(&app, Action::Logout).await, 0);
        assert_eq!(app.mails().await.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [ada.email.as_str()]);
        // One mail an hour reports it.
        app.wait(Duration::from_hours(1));
    }
}

#[both_databases]
async fn signing_out_with_the_predecessor_works_as_long_as_it_may_be_repeated(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let everywhere = |client: &Client| json!({ "input": { "refreshToken": client.refresh, "everywhere": true } });
    // Within the grace period even with the successor in use; later only while it is unused.
    for (is_used, wait) in [(true, Duration::from_secs(10)), (false, DAY)] {
        let (mut laptop, mut phone) = (ada.sign_in(&app).await, ada.sign_in(&app).await);
        let tab = laptop.clone();
        laptop.refresh().await.unwrap();
        if is_used {
            assert!(alive(&laptop).await);
        }
        app.wait(wait);
        assert_eq!(app.anyone().refusals(LOGOUT, everywhere(&tab)).await, [""; 0]);
        assert_eq!((laptop.refresh().await, phone.refresh().await), (dead(), dead()));
    }
    assert_eq!(count_of(&app, Action::RefreshReused).await, 0);

    let (mut laptop, phone) = (ada.sign_in(&app).await, ada.sign_in(&app).await);
    let tab = laptop.clone();
    laptop.refresh().await.unwrap();
    assert!(alive(&laptop).await);
    app.wait(Duration::from_secs(11));
    assert_eq!(app.anyone().refusals(LOGOUT, everywhere(&tab)).await, ["INVALID_TOKEN"]);
    assert!(!alive(&laptop).await && alive(&phone).await);
    assert_eq!(count_of(&app, Action::RefreshReused).await, 1);
}

#[both_databases]
async fn signing_out_with_a_token_that_ran_out_ends_nothing_else(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let (lost, mut phone) = (ada.sign_in(&app).await, ada.sign_in(&app).await);
    app.wait(29 * DAY);
    phone.refresh().await.unwrap();
    app.wait(DAY);
    let input = json!({ "input": { "refreshToken": lost.refresh, "everywhere": true } });
    assert_eq!(app.anyone().data(LOGOUT, input).await["logout"], json!({ "success": true, "errors": [] }));
    phone.refresh().await.unwrap();
}

const LOGIN: &str = "mutation($input: LoginInput!) { login(input: $input) {
    tokens { accessToken refreshToken } errors { code field } } }";

const REFRESH: &str = "mutation($input: RefreshInput! = {}) { refresh(input: $input) {
    tokens { accessToken refreshToken } errors { code field } } }";

const LISTED: &str = "https://app.example";

async fn start_with_listed_origin(place: &Place) -> TestApp {
    TestApp::start_with(place, |config| config.allowed_origins = vec![LISTED.parse().unwrap()]).await
}

type Headers<'a> = &'a [(&'static str, &'a str)];

/// Refresh token of a response: from the cookie, and from the body.
fn given(answer: &Answer, field: &str) -> (Option<String>, Option<String>) {
    let payload = &answer.body["data"][field];
    assert_eq!(payload["errors"], json!([]), "{}", answer.body);
    assert!(payload["tokens"]["accessToken"].is_string());
    let cookie = answer.header("set-cookie").strip_prefix("refresh_token=");
    let cookie = cookie.and_then(|rest| rest.split(';').next()).filter(|token| !token.is_empty());
    (cookie.map(str::to_owned), payload["tokens"]["refreshToken"].as_str().map(str::to_owned))
}

#[both_databases]
async fn a_refresh_token_is_in_the_cookie_or_in_the_body(place: Place) {
    let app = start_with_listed_origin(&place).await;
    app.add_user("ada").await;
    let ours = app.url.clone();
    let cases: [(&str, Headers<'_>, Value, bool); 13] = [
        ("a program", &[], json!(null), false),
        ("a program with a cookie jar", &[], json!("COOKIE"), true),
        ("a program that says so", &[], json!("BODY"), false),
        ("a page of the service", &[("origin", ours.as_str())], json!(null), true),
        (
            "a page that a proxy serves",
            &[("origin", "http://localhost:1"), ("sec-fetch-site", "same-origin")],
            json!(null),
            true,
        ),
        ("a page that sends no origin", &[("sec-fetch-site", "same-origin")], json!(null), true),
        ("a page of a listed origin", &[("origin", LISTED)], json!(null), true),
        ("the same", &[("origin", LISTED), ("sec-fetch-site", "same-site")], json!("COOKIE"), true),
        ("a page that keeps it itself", &[("origin", LISTED)], json!("BODY"), false),
        ("a foreign page", &[("origin", "https://evil.example")], json!(null), false),
        ("a foreign page without an origin", &[("sec-fetch-site", "cross-site")], json!(null), false),
        ("a sandboxed page", &[("origin", "null")], json!(null), false),
        ("a foreign page that says so", &[("origin", "https://evil.example")], json!("BODY"), false),
    ];
    for (what, headers, wanted, in_cookie) in cases {
        let client = headers.iter().fold(app.anyone(), |client, (name, value)| client.with_header(name, *value));
        let input = json!({ "identifier": "ada", "password": PASSWORD, "refreshTokenIn": wanted });
        let answer = client.send(LOGIN, json!({ "input": input })).await;
        let (cookie, body) = given(&answer, "login");
        assert_eq!((cookie.is_some(), body.is_some()), (in_cookie, !in_cookie), "{what}");
        if !in_cookie {
            assert_eq!(answer.header("set-cookie"), "", "{what}");
        }
        let token = cookie.or(body).unwrap();
        assert!(!in_cookie || !answer.body.to_string().contains(&token), "{what}");

        // The same by refreshing with the argument.
        let input = json!({ "refreshToken": token, "refreshTokenIn": wanted });
        let (cookie, body) = given(&client.send(REFRESH, json!({ "input": input })).await, "refresh");
        assert_eq!((cookie.is_some(), body.is_some()), (in_cookie, !in_cookie), "{what}");
    }
}

#[both_databases]
async fn a_refresh_token_from_the_cookie_is_never_shown_to_scripts(place: Place) {
    let app = start_with_listed_origin(&place).await;
    let ada = app.add_user("ada").await;
    for origin in [None, Some(app.url.as_str()), Some(LISTED)] {
        let mut owner = ada.sign_in(&app).await;
        let browser = |token: &str| {
            let client = app.anyone().with_header("cookie", format!("refresh_token={token}"));
            match origin {
                Some(origin) => client.with_header("origin", origin),
                None => client,
            }
        };
        let script = json!({ "input": { "refreshTokenIn": "BODY" } });
        let refused = browser(&owner.refresh).send(REFRESH, script).await;
        let errors = &refused.body["data"]["refresh"]["errors"];
        assert_eq!(*errors, json!([{ "code": "INVALID", "field": "refreshTokenIn" }]));
        assert_eq!(refused.header("set-cookie"), "", "the cookie stays, for nothing was exchanged");

        for wanted in [json!({}), json!({ "refreshTokenIn": "COOKIE" }), json!({ "refreshToken": null })] {
            let answer = browser(&owner.refresh).send(REFRESH, json!({ "input": wanted })).await;
            let (cookie, body) = given(&answer, "refresh");
            assert_eq!(body, None, "{origin:?}, {wanted}");
            owner.refresh = cookie.unwrap();
            assert!(!answer.body.to_string().contains(&owner.refresh));
        }
    }
}

#[both_databases]
async fn a_foreign_page_that_asks_for_the_cookie_is_refused_before_anything_happens(place: Place) {
    let app = start_with_listed_origin(&place).await;
    let ada = app.add_user("ada").await;
    let mut owner = ada.sign_in(&app).await;
    let foreign = app.anyone().with_header("origin", "https://evil.example");
    let refused = ["INVALID refreshTokenIn"];
    let input = json!({ "identifier": "ada", "password": PASSWORD, "refreshTokenIn": "COOKIE" });
    assert_eq!(foreign.refusals(LOGIN, json!({ "input": input })).await, refused);
    let input = json!({ "refreshToken": owner.refresh, "refreshTokenIn": "COOKIE" });
    assert_eq!(foreign.refusals(REFRESH, json!({ "input": input })).await, refused);
    owner.refresh().await.unwrap();
    assert_eq!(count_of(&app, Action::RefreshReused).await, 0);

    // The link is still valid.
    app.anyone().data("mutation { requestReset(input: { email: \"ada@example.com\" }) { success } }", json!({})).await;
    let (uid, token) = crate::parity::recovery::link(&app.mails().await[0]);
    let confirm = "mutation($input: ConfirmResetInput!) { confirmReset(input: $input) {
        tokens { accessToken refreshToken } errors { code field } } }";
    let input = |wanted: &str| {
        json!({ "input": { "uid": uid, "token": token, "newPassword": "quite a new long phrase", "login": true,
            "refreshTokenIn": wanted } })
    };
    assert_eq!(foreign.refusals(confirm, input("COOKIE")).await, refused);
    let page = app.anyone().with_header("origin", LISTED);
    let (cookie, body) = given(&page.send(confirm, input("COOKIE")).await, "confirmReset");
    assert!(cookie.is_some() && body.is_none());
    app.mails().await;

    let register = "mutation($email: String!) {
        register(input: { email: $email, password: \"another long phrase, theirs\" }) { success } }";
    app.anyone().data(register, json!({ "email": "eve@example.com" })).await;
    let token = crate::parity::registration::token(&app.mails().await[0]);
    let verify = "mutation($input: VerifyEmailInput!) { verifyEmail(input: $input) {
        tokens { accessToken refreshToken } errors { code field } } }";
    let input = |wanted: &str| json!({ "input": { "token": token, "password": "another long phrase, theirs", "refreshTokenIn": wanted } });
    assert_eq!(foreign.refusals(verify, input("COOKIE")).await, refused);
    let (cookie, body) = given(&page.send(verify, input("COOKIE")).await, "verifyEmail");
    assert!(cookie.is_some() && body.is_none());
}

#[both_databases]
async fn signing_in_for_the_body_leaves_no_dead_cookie(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut before = ada.sign_in(&app).await;
    let browser = app.anyone().with_header("cookie", format!("refresh_token={}", before.refresh));
    let browser = browser.with_header("origin", app.url.clone());
    let input = json!({ "identifier": "ada", "password": PASSWORD, "refreshTokenIn": "BODY" });
    let answer = browser.send(LOGIN, json!({ "input": input })).await;
    assert!(given(&answer, "login").1.is_some());
    assert!(answer.header("set-cookie").starts_with("refresh_token=; Max-Age=0;"));
    assert_eq!(before.refresh().await, dead(), "the new session took its place");
}

#[both_databases]
async fn the_fifty_first_session_ends_the_oldest(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut oldest = ada.sign_in(&app).await;
    let mut second = oldest.clone();
    for number in 0..50 {
        app.wait(Duration::from_secs(1));
        let client = ada.sign_in(&app).await;
        if number == 0 {
            second = client;
        }
    }
    assert_eq!(oldest.refresh().await, dead());
    second.refresh().await.unwrap();
    let id: uuid::Uuid = ada.id.parse().unwrap();
    let count = session::Entity::find().filter(session::Column::UserId.eq(id)).count(app.db()).await.unwrap();
    assert_eq!(count, 50);
}

#[both_databases]
async fn a_bad_bearer_matters_only_where_one_is_needed(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let nonsense = app.anyone().with_token("nonsense");
    assert_eq!(nonsense.code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    assert!(alive(&nonsense.clone().sign_in("ada", PASSWORD).await).await);
    app.wait(TTL + Duration::from_secs(5));
    assert_eq!(client.code(ME, json!({})).await, "UNAUTHENTICATED EXPIRED");
    let mixed = client.send("{ me { id } passwordPolicy { minLength } }", json!({})).await;
    assert_eq!(mixed.body["data"]["passwordPolicy"]["minLength"], 8);
    assert_eq!(mixed.body["data"]["me"], json!(null));
    client.refresh().await.unwrap();
    assert!(alive(&client).await);
    let basic = app.anyone().with_header("authorization", "Basic YTpi");
    assert_eq!(basic.code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
}

#[both_databases]
async fn a_cookie_from_a_foreign_page_is_not_used(place: Place) {
    let app = TestApp::start(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let refresh = "mutation { refresh { tokens { accessToken } errors { code field } } }";
    let page = |origin: &str| {
        let cookie = format!("refresh_token={}", client.refresh);
        app.anyone().with_header("cookie", cookie).with_header("origin", origin)
    };
    for foreign in ["https://evil.example", "null"] {
        assert_eq!(page(foreign).refusals(refresh, json!({})).await, ["INVALID_TOKEN"]);
    }
    assert_eq!(page(&app.url).refusals(refresh, json!({})).await, [""; 0]);
    client.refresh().await.unwrap();
}

#[both_databases]
async fn dead_sessions_are_swept_away(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await.sign_in(&app).await;
    let sweep = async || {
        vestibule::domain::auth::sessions::sweep(&app.app.db, &app.app.clock.now(), &app.app.config.sessions).await
    };
    assert_eq!(sweep().await.unwrap(), 0);
    app.wait(30 * DAY);
    assert_eq!(sweep().await.unwrap(), session_count_of_admin() + 1);
    assert_eq!(session::Entity::find().count(app.db()).await.unwrap(), 0);
}

/// Number of superuser sessions: creating an account signs the superuser in once.
fn session_count_of_admin() -> u64 {
    1
}

#[both_databases]
async fn the_signing_key_rotates_and_old_tokens_expire(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    let jwks =
        async |app: &TestApp| app.anyone().get("/.well-known/jwks.json").await.body["keys"].as_array().unwrap().len();
    assert_eq!(jwks(&app).await, 1);

    app.app.rotate_keys(&app.app.clock.now(), &Operator::new(), Start::AtOnce).await.unwrap();
    assert_eq!(jwks(&app).await, 2);
    assert!(alive(&client).await, "the old key still verifies");
    client.refresh().await.unwrap();
    assert!(alive(&client).await);
    // The other instance sees the new key for the first time in this token, in many concurrent requests.
    let elsewhere = second.anyone().with_token(client.access.clone().unwrap());
    let met = futures_util::future::join_all((0..20).map(|_| alive(&elsewhere))).await;
    assert!(met.iter().all(|alive| *alive), "{met:?}");

    app.wait(TTL + NOTICE);
    app.app.reload_keys(&app.app.clock.now()).await.unwrap();
    assert_eq!(jwks(&app).await, 1);
}

/// Random walks through the states of a session, compared with a second model: a session lasts until a rotated token is
/// used after its grace period.
#[both_databases]
async fn every_order_of_uses_leaves_only_one_successor(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut random = oorandom(7);
    for _ in 0..12 {
        let mut clients = vec![ada.sign_in(&app).await];
        let mut used = vec![false];
        let mut rotated = app.app.clock.now().at;
        for _ in 0..10 {
            let now = app.app.clock.now().at;
            let last = clients.len() - 1;
            match random() % 4 {
                0 => app.wait(Duration::from_secs(6)),
                1 => {
                    assert!(alive(&clients[last]).await);
                    used[last] = true;
                }
                2 => {
                    let mut next = clients[last].clone();
                    next.refresh().await.unwrap();
                    used[last] = true;
                    clients.push(next);
                    used.push(false);
                    rotated = now;
                }
                _ if last > 0 => {
                    let back = 1 + usize::try_from(random() % 2).unwrap();
                    let mut old = clients[last.saturating_sub(back)].clone();
                    let repeats = (back == 1 || last < back)
                        && (!used[last] || now <= rotated.plus(app.app.config.sessions.refresh_grace));
                    match old.refresh().await {
                        Ok(()) => {
                            assert!(repeats, "a token was accepted that is dead");
                            assert_eq!(old.refresh, clients[last].refresh, "there are two branches");
                        }
                        Err(code) => {
                            assert!(!repeats, "{code} for a token that may be repeated");
                            assert!(!alive(&clients[last]).await);
                            break;
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// Small random number generator (xorshift), for reproducible walks.
fn oorandom(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[both_databases]
async fn one_mail_an_hour_reports_reused_tokens(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let reuse = async || {
        let mut client = ada.sign_in(&app).await;
        let first = client.clone();
        client.refresh().await.unwrap();
        client.refresh().await.unwrap();
        assert_eq!(first.clone().refresh().await, Err("INVALID_TOKEN".to_owned()));
    };
    for _ in 0..5 {
        reuse().await;
    }
    assert_eq!(app.mails().await.len(), 1);
    assert_eq!(count_of(&app, Action::RefreshReused).await, 5);
    app.wait(Duration::from_hours(1));
    reuse().await;
    assert_eq!(app.mails().await.len(), 1);
    assert_eq!(count_of(&app, Action::RefreshReused).await, 6);
}
