//! Pre-hijacking (Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security 2022): a link never gives its reader
//! a password, a name or a session of somebody else.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use vestibule::entity::{api_token, one_time_token, registration, session, user};
use vestibule::tools::mail::Message;

use crate::pages::Browser;
use crate::parity::registration::{LOGIN, Link, REGISTER, VERIFY, register, sign_up, token, wanted};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::{Answer, Client};
use crate::test_database::Place;

/// The attacker's password.
const THEIRS: &str = "some third phrase of the attacker";

/// Password chosen by the owner when following the link.
const NEW: &str = "drizzle over the pebble lantern";

fn planted(email: &str) -> Value {
    json!({ "input": {
        "email": email, "password": THEIRS, "username": "planted", "firstName": "Planted", "lastName": "Name",
        "phone": "+49 666",
    } })
}

async fn follow(client: &Client, variables: Value) -> Value {
    client.data(VERIFY, variables).await["verifyEmail"].clone()
}

fn codes(payload: &Value) -> Vec<(&str, &str)> {
    let errors = payload["errors"].as_array().unwrap();
    errors.iter().map(|error| (error["code"].as_str().unwrap(), error["field"].as_str().unwrap())).collect()
}

async fn login(app: &TestApp, email: &str, password: &str) -> Value {
    let input = json!({ "input": { "identifier": email, "password": password } });
    app.anyone().data(LOGIN, input).await["login"]["errors"][0]["code"].clone()
}

async fn account(app: &TestApp, email: &str) -> user::Model {
    user::Entity::find().filter(user::Column::Email.eq(email)).one(app.db()).await.unwrap().expect("the account exists")
}

#[both_databases]
async fn the_owner_of_an_address_confirms_a_strangers_registration_with_a_password_of_their_own(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, planted("ada@example.com")).await;
    let asked = follow(&app.anyone(), link.without_secret()).await;
    assert_eq!(codes(&asked), [("PASSWORD_REQUIRED", "password")]);
    assert_eq!((&asked["user"], &asked["tokens"]), (&json!(null), &json!(null)));
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 1, "there is no account yet");

    let confirmed = follow(&app.anyone(), link.with_password(NEW)).await;
    assert!(confirmed["tokens"]["accessToken"].is_string(), "{confirmed}");
    app.anyone().sign_in("ada@example.com", NEW).await;
    assert_eq!(login(&app, "ada@example.com", THEIRS).await, "INVALID_CREDENTIALS");
    let ada = account(&app, "ada@example.com").await;
    assert!(ada.username.starts_with("user-"), "{}", ada.username);
    assert_eq!([ada.first_name, ada.last_name, ada.phone], ["", "", ""], "a stranger may have typed them");
    assert_eq!(codes(&follow(&app.anyone(), link.with_password(NEW)).await), [("INVALID_TOKEN", "token")]);
}

#[both_databases]
async fn a_registration_that_was_swapped_does_not_swap_the_password(place: Place) {
    let app = TestApp::start(&place).await;
    let owner = sign_up(&app, wanted("ada@example.com")).await;
    let thief = register(&app, planted("ada@example.com")).await;
    assert_ne!(owner, thief.secret);
    // The owner has only the newer mail, and the secret of the replaced registration.
    let followed = Link { secret: owner, ..thief.clone() };
    assert_eq!(codes(&follow(&app.anyone(), followed.variables()).await), [("PASSWORD_REQUIRED", "password")]);
    let confirmed = follow(&app.anyone(), followed.with_password(PASSWORD)).await;
    assert_eq!(confirmed["user"]["email"], "ada@example.com");
    app.anyone().sign_in("ada@example.com", PASSWORD).await;
    assert_eq!(login(&app, "ada@example.com", THEIRS).await, "INVALID_CREDENTIALS");
    assert_ne!(account(&app, "ada@example.com").await.username, "planted");

    // Conversely, the secret of a replaced registration does not fit the next one.
    let thief = sign_up(&app, planted("eve@example.com")).await;
    let owner = register(&app, wanted("eve@example.com")).await;
    let stolen = Link { secret: thief, ..owner.clone() };
    assert_eq!(codes(&follow(&app.anyone(), stolen.variables()).await), [("PASSWORD_REQUIRED", "password")]);
    assert_eq!(follow(&app.anyone(), owner.variables()).await["errors"], json!([]));
    app.anyone().sign_in("eve@example.com", PASSWORD).await;
}

#[both_databases]
async fn the_registered_password_confirms_from_any_client_and_keeps_the_rest(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, planted("ada@example.com")).await;
    let confirmed = follow(&app.anyone(), link.with_password(THEIRS)).await;
    assert_eq!(confirmed["user"]["username"], "planted", "{confirmed}");
    let ada = account(&app, "ada@example.com").await;
    assert_eq!([ada.first_name, ada.last_name, ada.phone], ["Planted", "Name", "+49 666"]);
    app.anyone().sign_in("planted", THEIRS).await;
}

#[both_databases]
async fn the_client_that_registered_may_choose_another_password_at_the_link(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, planted("ada@example.com")).await;
    let typed = |password: &str| json!({ "token": link.token, "secret": link.secret, "password": password });
    let similar = follow(&app.anyone(), typed("Planted Name 2026")).await;
    assert_eq!(codes(&similar), [("PASSWORD_TOO_SIMILAR", "password")]);
    assert_eq!(follow(&app.anyone(), typed(NEW)).await["user"]["username"], "planted");
    app.anyone().sign_in("planted", NEW).await;
    assert_eq!(login(&app, "planted", THEIRS).await, "INVALID_CREDENTIALS");
}

#[both_databases]
async fn a_registration_without_a_secret_needs_the_password(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, wanted("ada@example.com")).await;
    let none = Expr::value(Option::<Vec<u8>>::None);
    let update = registration::Entity::update_many().col_expr(registration::Column::SecretDigest, none);
    update.exec(app.db()).await.unwrap();
    for secret in [link.secret.as_str(), "", "nonsense"] {
        let variables = json!({ "token": link.token, "secret": secret });
        assert_eq!(codes(&follow(&app.anyone(), variables).await), [("PASSWORD_REQUIRED", "password")], "{secret}");
    }
    assert_eq!(follow(&app.anyone(), link.with_password(PASSWORD)).await["errors"], json!([]));
}

/// Registration cookie set by a response.
fn cookie(answer: &Answer) -> Option<String> {
    let cookies = answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    cookies.filter(|cookie| cookie.starts_with("registration=")).map(str::to_owned).next()
}

#[both_databases]
async fn a_browser_that_registered_confirms_with_its_cookie(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.allowed_origins = vec!["https://app.example".parse().unwrap()];
    })
    .await;
    for (name, origin) in [("ada", app.url.clone()), ("eve", "https://app.example".to_owned())] {
        let browser = app.anyone().with_header("origin", origin);
        let answer = browser.send(REGISTER, wanted(&format!("{name}@example.com"))).await;
        assert_eq!(answer.body["data"]["register"]["registrationSecret"], json!(null), "scripts do not see it");
        let set = cookie(&answer).expect("the browser gets a cookie");
        let (pair, scope) = set.split_once("; ").unwrap();
        assert_eq!(scope, "Max-Age=86400; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(pair.len(), "registration=".len() + 43);
        let link = token(&app.mails().await[0]);
        let confirmed = follow(&browser.with_header("cookie", format!("a=b; {pair}")), json!({ "token": link })).await;
        assert!(confirmed["tokens"].is_object(), "{confirmed}");
    }
    // A browser gets the same for a known address.
    let browser = app.anyone().with_header("origin", app.url.clone());
    let answer = browser.send(REGISTER, wanted("ada@example.com")).await;
    assert_eq!(answer.body["data"]["register"]["registrationSecret"], json!(null));
    assert!(cookie(&answer).is_some());
    // Refused registrations set no cookie.
    assert_eq!(cookie(&browser.send(REGISTER, wanted("nonsense")).await), None);
}

#[both_databases]
async fn the_cookie_counts_from_known_pages_only(place: Place) {
    let app = TestApp::start(&place).await;
    let evil = app.anyone().with_header("origin", "https://evil.example");
    assert_eq!(cookie(&evil.send(REGISTER, wanted("eve@example.com")).await), None);
    app.mails().await;

    let link = register(&app, wanted("ada@example.com")).await;
    let held = format!("registration={}", link.secret);
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("origin", "null"), ("sec-fetch-site", "cross-site")],
    ] {
        let mut page = app.anyone().with_header("cookie", held.clone());
        for (name, value) in headers {
            page = page.with_header(name, value);
        }
        assert_eq!(codes(&follow(&page, link.without_secret()).await), [("PASSWORD_REQUIRED", "password")]);
    }
    let ours = app.anyone().with_header("cookie", held).with_header("sec-fetch-site", "same-origin");
    assert_eq!(follow(&ours, link.without_secret()).await["errors"], json!([]));
}

#[both_databases]
async fn a_weak_password_at_a_link_is_refused_and_the_link_stays_valid(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, planted("lovelace@example.com")).await;
    let typed =
        |password: &str, confirm: &str| json!({ "token": link.token, "password": password, "confirm": confirm });
    for (password, confirm, refusal) in [
        (NEW, "something else", ("PASSWORD_MISMATCH", "passwordConfirm")),
        ("short", "short", ("PASSWORD_TOO_SHORT", "password")),
        (&"x".repeat(129), &"x".repeat(129), ("TOO_LONG", "password")),
        ("password123", "password123", ("PASSWORD_TOO_COMMON", "password")),
        ("lovelace at home", "lovelace at home", ("PASSWORD_TOO_SIMILAR", "password")),
        ("", "", ("PASSWORD_REQUIRED", "password")),
    ] {
        assert_eq!(codes(&follow(&app.anyone(), typed(password, confirm)).await), [refusal], "{password}");
    }
    // The names are a stranger's, and do not reveal them either.
    assert_eq!(follow(&app.anyone(), typed("planted name drizzle", "planted name drizzle")).await["errors"], json!([]));
}

#[both_databases]
async fn refused_passwords_at_a_link_are_limited(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, wanted("ada@example.com")).await;
    for _ in 0..40 {
        assert_eq!(codes(&follow(&app.anyone(), link.without_secret()).await), [("PASSWORD_REQUIRED", "password")]);
    }
    for _ in 0..30 {
        let refused = follow(&app.anyone(), link.with_password("password123")).await;
        assert_eq!(codes(&refused), [("PASSWORD_TOO_COMMON", "password")]);
    }
    assert_eq!(app.anyone().code(VERIFY, link.with_password("password123")).await, "RATE_LIMITED");
    app.wait(Duration::from_mins(15));
    assert_eq!(follow(&app.anyone(), link.with_password(PASSWORD)).await["errors"], json!([]));
}

#[both_databases]
async fn somebody_elses_session_outlives_the_link(place: Place) {
    let app = TestApp::start(&place).await;
    let eve = app.add_user("eve").await.sign_in(&app).await;
    let link = register(&app, wanted("ada@example.com")).await;
    let browser = app.anyone().with_header("cookie", format!("refresh_token={}", eve.refresh));
    let answer = browser.send(VERIFY, link.variables()).await;
    let payload = &answer.body["data"]["verifyEmail"];
    assert_eq!((&payload["user"]["email"], &payload["tokens"]), (&json!("ada@example.com"), &json!(null)));
    assert_eq!(answer.header("set-cookie"), "", "the cookie stays Eve's");
    let ada = account(&app, "ada@example.com").await;
    let of_ada = session::Entity::find().filter(session::Column::UserId.eq(ada.id));
    assert_eq!(of_ada.count(app.db()).await.unwrap(), 0);
    eve.data("{ me { id } }", json!({})).await;

    // An ended session belongs to nobody.
    eve.data("mutation { logout { success } }", json!({})).await;
    let link = register(&app, wanted("bob@example.com")).await;
    assert!(follow(&browser, link.variables()).await["tokens"].is_object());
}

#[both_databases]
async fn one_of_many_passwords_at_once_becomes_the_accounts(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let link = register(&app, planted("ada@example.com")).await;
    let password = |number: usize| format!("quite a new phrase, number {number}");
    let attempts = (0..10).map(|number| {
        let client = if number % 2 == 0 { app.anyone() } else { second.anyone() };
        let variables = link.with_password(&password(number));
        async move { follow(&client, variables).await["user"].is_object() }
    });
    let outcomes = futures_util::future::join_all(attempts).await;
    let winners: Vec<usize> = (0..).zip(&outcomes).filter(|(_, won)| **won).map(|(at, _)| at).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    app.anyone().sign_in("ada@example.com", &password(winners[0])).await;
}

#[both_databases]
async fn mails_to_unconfirmed_addresses_repeat_no_names(place: Place) {
    let app = TestApp::start(&place).await;
    let eve = json!({
        "email": "eve@example.com", "username": "planted-too", "firstName": "Planted", "lastName": "Name", "password": PASSWORD,
    });
    let eve = app.anyone().sign_in(&app.add(eve).await.email, PASSWORD).await;
    let change = "mutation($p: String!) { updateMe(input: { email: \"bob@example.com\", currentPassword: $p }) {
        errors { code }
    } }";
    assert_eq!(eve.refusals(change, json!({ "p": PASSWORD })).await, [""; 0]);
    sign_up(&app, planted("ada@example.com")).await;
    let mails = app.mails().await;
    let mut to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, ["ada@example.com", "bob@example.com"]);
    for mail in &mails {
        assert!(mail.text.starts_with("Hello,\n"), "{}", mail.text);
        let all = format!("{}{}{}{}", mail.to_name, mail.subject, mail.text, mail.html);
        assert!(!all.to_lowercase().contains("planted"), "{all}");
    }
}

#[both_databases]
async fn before_confirmation_nothing_exists_that_could_outlive_it(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, planted("ada@example.com")).await;
    assert_eq!(login(&app, "ada@example.com", THEIRS).await, "INVALID_CREDENTIALS");
    let rows = [
        user::Entity::find().count(app.db()).await.unwrap() - 1,
        session::Entity::find().count(app.db()).await.unwrap(),
        api_token::Entity::find().count(app.db()).await.unwrap(),
        one_time_token::Entity::find().count(app.db()).await.unwrap(),
    ];
    assert_eq!(rows, [0; 4], "no account, session, API token, or pending address");
    // The registration's secret and link are invalid afterwards.
    follow(&app.anyone(), link.with_password(NEW)).await;
    assert_eq!(codes(&follow(&app.anyone(), link.variables()).await), [("INVALID_TOKEN", "token")]);
    assert_eq!(registration::Entity::find().count(app.db()).await.unwrap(), 0);
    // A link to the page in the mail of the stranger's registration is invalid, too.
    let page = app.anyone().get(&format!("/account/verify?token={}", link.token)).await;
    assert_eq!(page.status, 422);
}

fn html(answer: &Answer) -> &str {
    answer.body.as_str().unwrap()
}

fn path(app: &TestApp, mail: &Message) -> String {
    let link = mail.text.split_whitespace().find(|word| word.contains("/account/verify?")).unwrap();
    link.strip_prefix(&app.url).unwrap().to_owned()
}

async fn register_by_page(app: &TestApp, browser: &mut Browser<'_>, email: &str, password: &str) -> String {
    let page = browser.open("/account/register").await;
    let typed = [("email", email), ("username", ""), ("password", password), ("passwordConfirm", password)];
    assert!(html(&browser.submit(&page, &typed).await).contains("Check your email"));
    path(app, &app.mails().await[0])
}

#[both_databases]
async fn another_browser_is_asked_for_a_password_and_the_first_is_not(place: Place) {
    let app = TestApp::start(&place).await;
    let (mut stranger, mut owner) = (Browser::new(&app), Browser::new(&app));
    let link = register_by_page(&app, &mut stranger, "ada@example.com", THEIRS).await;
    let page = stranger.open(&link).await;
    assert!(html(&page).contains("ada@example.com") && !html(&page).contains("type=\"password\""));

    let page = owner.open(&link).await;
    assert!(html(&page).contains("Confirm ada@example.com to create your account"), "{}", html(&page));
    assert_eq!(html(&page).matches("type=\"password\"").count(), 2);
    assert!(html(&page).contains("someone else signed up with your address"));
    let without = owner.submit(&page, &[("password", ""), ("passwordConfirm", "")]).await;
    assert_eq!(without.status, 422);
    assert!(html(&without).contains("Enter a password to confirm ada@example.com"), "{}", html(&without));
    let weak = owner.submit(&without, &[("password", "password123"), ("passwordConfirm", "password123")]).await;
    assert!(html(&weak).contains("id=\"password-error\"") && !html(&weak).contains("password123"));
    let differ = owner.submit(&weak, &[("password", NEW), ("passwordConfirm", PASSWORD)]).await;
    assert!(html(&differ).contains("id=\"passwordConfirm-error\""));
    let done = owner.submit(&differ, &[("password", NEW), ("passwordConfirm", NEW)]).await;
    assert!(html(&done).contains("You are signed in"), "{}", html(&done));
    app.anyone().sign_in("ada@example.com", NEW).await;
    assert_eq!(login(&app, "ada@example.com", THEIRS).await, "INVALID_CREDENTIALS");
    assert_eq!(stranger.open(&link).await.status, 422, "the link is spent");
}

#[both_databases]
async fn pages_keep_somebody_elses_session(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("eve").await;
    let mut browser = Browser::new(&app);
    let link = register_by_page(&app, &mut browser, "ada@example.com", PASSWORD).await;
    let page = browser.open("/account/sign-in").await;
    browser.submit(&page, &[("identifier", "eve"), ("password", PASSWORD)]).await;
    let eves = browser.cookie("refresh_token").unwrap().to_owned();
    let page = browser.open(&link).await;
    let done = browser.submit(&page, &[]).await;
    assert!(html(&done).contains("still signed in to another account"), "{}", html(&done));
    assert_eq!(browser.cookie("refresh_token"), Some(eves.as_str()));
    app.anyone().sign_in("ada@example.com", PASSWORD).await;
}

/// Requests a change of this client's address, and returns the mail to the new address.
async fn ask_to_move(app: &TestApp, client: &Client, email: &str) -> Message {
    let change = "mutation($e: String!, $p: String!) { updateMe(input: { email: $e, currentPassword: $p }) {
        errors { code }
    } }";
    assert_eq!(client.refusals(change, json!({ "e": email, "p": PASSWORD })).await, [""; 0]);
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, email));
    mails.into_iter().next().unwrap()
}

#[both_databases]
async fn the_page_names_a_new_address_and_asks_for_the_accounts_password(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("eve").await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let link = path(&app, &ask_to_move(&app, &ada, "countess@example.com").await);
    let mut browser = Browser::new(&app);
    let page = browser.open(&link).await;
    let asked = "Confirm countess@example.com as the new email address of an account";
    assert!(html(&page).contains(asked), "{}", html(&page));
    assert_eq!(html(&page).matches("type=\"password\"").count(), 1);
    let without = browser.submit(&page, &[("password", "")]).await;
    assert!(
        html(&without).contains("Sign in to the account that changes its address to countess@example.com"),
        "{}",
        html(&without)
    );
    let wrong = browser.submit(&without, &[("password", "a guess")]).await;
    assert!(html(&wrong).contains("Enter the password of the account"), "{}", html(&wrong));
    // A browser signed in to another account has to prove this one as well.
    let sign_in = browser.open("/account/sign-in").await;
    browser.submit(&sign_in, &[("identifier", "eve"), ("password", PASSWORD)]).await;
    let page = browser.open(&link).await;
    assert_eq!(browser.submit(&page, &[("password", "")]).await.status, 422);
    let done = browser.submit(&page, &[("password", PASSWORD)]).await;
    assert!(html(&done).contains("is confirmed"), "{}", html(&done));
    app.anyone().sign_in("countess@example.com", PASSWORD).await;

    // A browser signed in to the account needs no password.
    let link = path(&app, &ask_to_move_later(&app, &ada, "lovelace@example.com").await);
    let mut browser = Browser::new(&app);
    let sign_in = browser.open("/account/sign-in").await;
    browser.submit(&sign_in, &[("identifier", "ada"), ("password", PASSWORD)]).await;
    let page = browser.open(&link).await;
    assert!(!html(&page).contains("type=\"password\""), "{}", html(&page));
    assert!(html(&browser.submit(&page, &[]).await).contains("is confirmed"));
    app.anyone().sign_in("lovelace@example.com", PASSWORD).await;
}

#[both_databases]
async fn the_owner_of_an_address_does_not_get_an_account_that_a_stranger_moved_there(place: Place) {
    let app = TestApp::start(&place).await;
    let mallory = app.add_reader("mallory").await.sign_in(&app).await;
    let victim = app.add_user("bob").await.sign_in(&app).await;
    let (_, script) = crate::api_tokens::make(&mallory, &["READ", "WRITE"]).await;
    app.mails().await;
    let link = token(&ask_to_move(&app, &mallory, "victim@example.com").await);
    let cookie = app.anyone().with_header("cookie", format!("refresh_token={}", victim.refresh));
    for client in [app.anyone(), victim, cookie, app.anyone().with_token(script)] {
        let refused = follow(&client, json!({ "token": link })).await;
        assert_eq!(codes(&refused), [("PASSWORD_REQUIRED", "password")]);
        assert_eq!(refused["user"], json!(null), "the account is not shown either");
    }
    // Choosing a password does not make the account the victim's.
    let chosen = json!({ "token": link, "password": NEW, "confirm": NEW });
    assert_eq!(codes(&follow(&app.anyone(), chosen).await), [("PASSWORD_INCORRECT", "password")]);
    assert_eq!(mallory.data("{ me { email } }", json!({})).await["me"]["email"], "mallory@example.com");
    // The victim can still register with the address.
    app.wait(Duration::from_hours(1));
    let own = register(&app, wanted("victim@example.com")).await;
    assert_eq!(follow(&app.anyone(), own.variables()).await["errors"], json!([]));
}

#[both_databases]
async fn an_account_moves_for_a_client_that_is_signed_in_to_it(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut client = ada.sign_in(&app).await;
    let link = token(&ask_to_move(&app, &client, "one@example.com").await);
    let held = format!("refresh_token={}", client.refresh);
    let page = app.anyone().with_header("cookie", held.clone());
    // Neither a page of another origin nor an exchanged refresh token is a proof.
    let foreign = page.clone().with_header("origin", "https://evil.example");
    assert_eq!(codes(&follow(&foreign, json!({ "token": link })).await), [("PASSWORD_REQUIRED", "password")]);
    client.refresh().await.unwrap();
    client.refresh().await.unwrap();
    app.wait(Duration::from_secs(11));
    assert_eq!(codes(&follow(&page, json!({ "token": link })).await), [("PASSWORD_REQUIRED", "password")]);
    let page = app.anyone().with_header("cookie", format!("refresh_token={}", client.refresh));
    let moved = follow(&page, json!({ "token": link })).await;
    assert_eq!((&moved["user"]["email"], &moved["tokens"]), (&json!("one@example.com"), &json!(null)));

    // An ended session is no proof; an active one is.
    let ended = app.anyone().sign_in("ada", PASSWORD).await;
    let link = token(&ask_to_move_later(&app, &client, "two@example.com").await);
    ended.data("mutation { logout { success } }", json!({})).await;
    assert_eq!(codes(&follow(&ended, json!({ "token": link })).await), [("PASSWORD_REQUIRED", "password")]);
    let moved = follow(&client, json!({ "token": link })).await;
    assert_eq!((&moved["user"]["email"], &moved["tokens"]), (&json!("two@example.com"), &json!(null)));
}

/// The same after the announcement of the previous change has been sent.
async fn ask_to_move_later(app: &TestApp, client: &Client, email: &str) -> Message {
    app.mails().await;
    ask_to_move(app, client, email).await
}

#[both_databases]
async fn an_account_moves_for_a_client_that_knows_its_password(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let link = token(&ask_to_move(&app, &ada, "countess@example.com").await);
    let moved = follow(&app.anyone(), json!({ "token": link, "password": PASSWORD })).await;
    assert_eq!((&moved["user"]["email"], &moved["tokens"]), (&json!("countess@example.com"), &json!(null)));
    app.anyone().sign_in("countess@example.com", PASSWORD).await;
}

#[both_databases]
async fn guesses_of_the_password_at_a_link_to_a_new_address_are_limited(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let link = token(&ask_to_move(&app, &ada, "countess@example.com").await);
    for number in 0..10 {
        let guess = json!({ "token": link, "password": format!("a guess, number {number}") });
        assert_eq!(codes(&follow(&app.anyone(), guess).await), [("PASSWORD_INCORRECT", "password")]);
    }
    let right = json!({ "token": link, "password": PASSWORD });
    assert_eq!(app.anyone().code(VERIFY, right).await, "RATE_LIMITED");
    assert_eq!(follow(&ada, json!({ "token": link })).await["errors"], json!([]), "the owner is signed in");
}

#[both_databases]
async fn wrong_links_are_limited_when_a_page_is_opened(place: Place) {
    let app = TestApp::start(&place).await;
    let wrong = format!("/account/verify?token={}", "A".repeat(43));
    for _ in 0..30 {
        assert_eq!(app.anyone().get(&wrong).await.status, 422);
    }
    assert_eq!(app.anyone().get(&wrong).await.status, 429);
}
