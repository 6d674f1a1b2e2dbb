//! Forged, truncated and misplaced tokens, and disabled accounts: all are refused everywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use test_macros::both_databases;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::api_tokens::make;
use crate::pages::Browser;
use crate::parity::recovery::reset_link;
use crate::parity::registration::{Link, VERIFY, register, token, wanted};
use crate::socket::Socket;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const ME: &str = "{ me { id } }";

const REFRESH: &str =
    "mutation($t: String) { refresh(input: { refreshToken: $t }) { tokens { accessToken } errors { code } } }";

const CONFIRM: &str = "mutation($uid: ID!, $t: String!) {
    confirmReset(input: { uid: $uid, token: $t, newPassword: \"quite a new long phrase\" }) { success errors { code } }
}";

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Counts requests for a key.
async fn listener() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, count)
}

/// Tokens that resemble a valid one, with wrong or missing signatures.
fn forged(good: &str, admins: &str, jwks: &Value, url: &str) -> Vec<String> {
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims) = (decode(parts[0]), decode(parts[1]));
    let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let own = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let own_key = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(own.public_key().as_ref()) });
    let public_text = jwks["keys"][0]["x"].as_str().unwrap();
    let public = URL_SAFE_NO_PAD.decode(public_text).unwrap();

    let with = |base: &Value, changes: Value| {
        let mut changed = base.clone();
        for (key, value) in changes.as_object().unwrap() {
            changed[key] = value.clone();
        }
        changed
    };
    let headers = [
        json!({}),
        json!({ "kid": "another" }),
        json!({ "kid": null }),
        json!({ "kid": "" }),
        json!({ "kid": "../../../../dev/null" }),
        json!({ "kid": "x' UNION SELECT 'key" }),
        json!({ "kid": url }),
        json!({ "jwk": own_key }),
        json!({ "jwk": own_key, "kid": "mine" }),
        json!({ "jku": url }),
        json!({ "jku": url, "kid": "mine" }),
        json!({ "x5u": url }),
        json!({ "x5u": url, "kid": "mine" }),
        json!({ "x5c": [STANDARD.encode(own.public_key().as_ref())] }),
        json!({ "crit": ["exp"] }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "typ": "JWT" }),
        json!({ "typ": null }),
        json!({ "typ": "application/at+jwt", "cty": "JWT" }),
        json!({ "alg": "none" }),
        json!({ "alg": "None" }),
        json!({ "alg": "NONE" }),
        json!({ "alg": "" }),
        json!({ "alg": null }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "PS512" }),
        json!({ "alg": "Ed25519" }),
    ];
    let admin = json!({ "sub": admins, "staff": true, "superuser": true, "role": "ADMIN" });
    let later = json!({ "exp": claims["exp"].as_i64().unwrap() + 86_400 * 365 });
    let mut tokens = Vec::new();
    for changes in &headers {
        let header = with(&header, changes.clone());
        for claims in [&claims, &with(&claims, admin.clone()), &with(&claims, later.clone())] {
            let message = format!("{}.{}", encode(&header), encode(claims));
            tokens.push(format!("{message}.{}", URL_SAFE_NO_PAD.encode(own.sign(message.as_bytes()))));
            tokens.push(format!("{message}."));
        }
    }
    for algorithm in ["HS256", "HS384", "HS512"] {
        let header = with(&header, json!({ "alg": algorithm }));
        let message = format!("{}.{}", encode(&header), encode(&with(&claims, admin.clone())));
        for secret in [&public, public_text.as_bytes(), b"", b"secret", jwks.to_string().as_bytes()] {
            let kind = match algorithm {
                "HS256" => ring::hmac::HMAC_SHA256,
                "HS384" => ring::hmac::HMAC_SHA384,
                _ => ring::hmac::HMAC_SHA512,
            };
            let mac = ring::hmac::sign(&ring::hmac::Key::new(kind, secret), message.as_bytes());
            tokens.push(format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac)));
        }
    }
    // The valid token, modified.
    let [head, body, signature] = parts[..] else { panic!("{good}") };
    tokens.extend((1..=20).map(|cut| good[..good.len() - cut].to_owned()));
    tokens.push(format!("{head}.{}.{signature}", encode(&with(&claims, admin))));
    tokens.push(format!("{}.{body}.{signature}", encode(&with(&header, json!({ "x": 1 })))));
    for bent in [
        format!("{head}.{body}"),
        format!("{head}.{body}.{signature}."),
        format!("{head}.{body}.{signature}.{signature}"),
        format!("{head}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{body}.{head}.{signature}"),
        format!("{head}.{body}.{}", signature.to_uppercase()),
        format!("{head}.{body}.{signature}=="),
        format!("{head}.{body}={}.{signature}", ""),
        format!("{head}.{body}.{signature}A"),
        format!("{head}.{body}.{}", "A".repeat(86)),
        format!("{head}.{body}.{}", "_".repeat(86)),
        format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode("{}")),
        format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode("[]")),
        format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode([0xff, 0xfe])),
        format!("\"{good}\""),
        format!("{good},{good}"),
        good.replace('.', "%2e"),
        "a.b.c".to_owned(),
        "..".to_owned(),
        "null".to_owned(),
        "x".repeat(6000),
    ] {
        tokens.push(bent);
    }
    tokens
}

#[both_databases]
async fn no_forged_access_token_is_taken_and_no_key_is_fetched(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let admins = app.admin().await.data(ME, json!({})).await["me"]["id"].as_str().unwrap().to_owned();
    let jwks = app.anyone().get("/.well-known/jwks.json").await.body;
    let (url, fetched) = listener().await;
    let good = ada.access.clone().unwrap();
    ada.data(ME, json!({})).await;
    let tokens = forged(&good, &admins, &jwks, &url);
    assert!(tokens.len() >= 170, "{}", tokens.len());
    let mut socket_tokens = tokens.iter().step_by(40);
    for token in &tokens {
        let answer = app.anyone().with_token(token).send(ME, json!({})).await;
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{token}: {}", answer.body);
    }
    for token in socket_tokens.by_ref() {
        let mut socket = Socket::open(&app.url).await;
        socket.say(json!({ "type": "connection_init", "payload": { "token": token } })).await;
        assert_eq!(socket.closed().await, 4403, "{token}");
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 0);
    ada.data(ME, json!({})).await;
}

/// One secret of each kind, all of the same user or registration.
struct Secrets {
    uid: String,
    access: String,
    refresh: String,
    api: String,
    reset: String,
    verify: String,
    /// Secret of the client that registered.
    registration: String,
}

async fn secrets(app: &TestApp) -> Secrets {
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(app).await;
    let (_, api) = make(&client, &["READ", "WRITE", "EXPORT"]).await;
    let (uid, reset) = reset_link(app, &ada.email).await;
    let Link { token: verify, secret: registration } = register(app, wanted("eve@example.com")).await;
    let (access, refresh) = (client.access.clone().unwrap(), client.refresh.clone());
    Secrets { uid, access, refresh, api, reset, verify, registration }
}

/// Places that accept this text as a credential.
async fn places(app: &TestApp, uid: &str, text: &str) -> Vec<&'static str> {
    let mut open = Vec::new();
    let mut note = |place, is_open: bool| {
        if is_open {
            open.push(place);
        }
    };
    let bearer = app.anyone().with_token(text);
    note("bearer", bearer.send(ME, json!({})).await.body["data"]["me"].is_object());
    note("export", bearer.get("/export/samples.csv").await.status == 200);
    let mut socket = Socket::open(&app.url).await;
    socket.say(json!({ "type": "connection_init", "payload": { "token": text } })).await;
    note("socket", socket.is_welcome().await);
    let data = app.anyone().data(REFRESH, json!({ "t": text })).await;
    note("refresh", data["refresh"]["tokens"].is_object());
    let cookie = app.anyone().with_header("cookie", format!("refresh_token={text}"));
    let data = cookie.data(REFRESH, json!({})).await;
    note("cookie", data["refresh"]["tokens"].is_object());
    let valid = "query($uid: ID!, $t: String!) { resetTokenIsValid(uid: $uid, token: $t) }";
    note("valid", app.anyone().data(valid, json!({ "uid": uid, "t": text })).await["resetTokenIsValid"] == true);
    let data = app.anyone().data(CONFIRM, json!({ "uid": uid, "t": text })).await;
    note("reset", data["confirmReset"]["success"] == true);
    let undo = "mutation($t: String!) { undoEmailChange(input: { token: $t }) { success } }";
    let data = app.anyone().data(undo, json!({ "t": text })).await;
    note("undo", data["undoEmailChange"]["success"] == true);
    let start = "mutation($t: String!) { startPasskeySignUp(input: { token: $t }) { options { challenge } } }";
    let data = app.anyone().data(start, json!({ "t": text })).await;
    note("passkey", data["startPasskeySignUp"]["options"].is_object());
    let typed = json!({ "token": text, "password": PASSWORD });
    note("verify", app.anyone().data(VERIFY, typed).await["verifyEmail"]["user"].is_object());
    open
}

async fn unlimited(place: &Place) -> TestApp {
    TestApp::start_with(place, |config| config.limits.limits = false).await
}

#[both_databases]
async fn no_token_is_good_for_anything_but_its_own_purpose(place: Place) {
    let app = unlimited(&place).await;
    let Secrets { uid, access, refresh, api, reset, verify, registration } = secrets(&app).await;
    assert_eq!(places(&app, &uid, &registration).await, [""; 0], "it opens nothing without the link");
    assert_eq!(places(&app, &uid, &access).await, ["bearer", "export", "socket"]);
    assert_eq!(places(&app, &uid, &api).await, ["bearer", "export", "socket"]);
    // Two immediate uses are a second tab within the grace period.
    assert_eq!(places(&app, &uid, &refresh).await, ["refresh", "cookie"]);
    assert_eq!(places(&app, &uid, &verify).await, ["passkey", "verify"]);
    assert_eq!(places(&app, &uid, &reset).await, ["valid", "reset"]);
    // Public values are no credentials.
    for text in [&uid, "", "null", "ada", "ada@example.com"] {
        assert_eq!(places(&app, &uid, text).await, [""; 0], "{text}");
    }
}

#[both_databases]
async fn no_token_is_good_when_it_is_cut_short(place: Place) {
    let app = unlimited(&place).await;
    let Secrets { uid, access, refresh, api, reset, verify, .. } = secrets(&app).await;
    for text in [&access, &refresh, &api, &reset, &verify] {
        for length in [text.len() - 1, text.len() - 2, text.len() / 2, 8] {
            assert_eq!(places(&app, &uid, &text[..length]).await, [""; 0], "{length} of {text}");
        }
        assert_eq!(places(&app, &uid, &format!("{text}A")).await, [""; 0], "{text}");
        assert_eq!(places(&app, &uid, &text[1..]).await, [""; 0], "{text}");
    }
    assert_eq!(places(&app, &uid, &verify).await, ["passkey", "verify"], "the whole one is good");
}

#[both_databases]
async fn no_token_is_read_from_an_address(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (_, api) = make(&ada, &["READ", "EXPORT"]).await;
    for secret in [ada.access.as_ref().unwrap(), &api] {
        for name in ["access_token", "token", "authorization", "Authorization", "bearer", "jwt", "api_key"] {
            let got = app.anyone().get(&format!("/graphql?query=%7Bme%7Bid%7D%7D&{name}={secret}")).await;
            assert_eq!(got.body["errors"][0]["extensions"]["reason"], "MISSING", "{name}: {}", got.body);
            assert_eq!(app.anyone().get(&format!("/export/samples.csv?{name}={secret}")).await.status, 401, "{name}");
        }
        let header = app.anyone().with_header("x-access-token", secret.clone());
        assert_eq!(header.code(ME, json!({})).await, "UNAUTHENTICATED MISSING");
        let cookie = app.anyone().with_header("cookie", format!("access_token={secret}; token={secret}"));
        assert_eq!(cookie.code(ME, json!({})).await, "UNAUTHENTICATED MISSING");
    }
}

#[both_databases]
async fn a_deactivated_account_has_no_way_in(place: Place) {
    let app = unlimited(&place).await;
    let Secrets { uid, access, refresh, api, reset, .. } = secrets(&app).await;
    let ada = app.anyone().sign_in("ada", PASSWORD).await;
    let update = "mutation($p: String!) { updateMe(input: { email: \"new@example.com\", currentPassword: $p }) { errors { code } } }";
    ada.data(update, json!({ "p": PASSWORD })).await;
    let moving = token(&app.mails().await[0]);
    let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: false }) { errors { code } } }";
    app.admin().await.data(toggle, json!({ "id": uid })).await;
    for text in [&access, &refresh, &api, &reset, &moving] {
        assert_eq!(places(&app, &uid, text).await, [""; 0]);
    }
    let login = "mutation($n: String!, $p: String!) { login(input: { identifier: $n, password: $p }) { tokens { accessToken } errors { code } } }";
    for name in ["ada", "ada@example.com"] {
        assert_eq!(app.anyone().refusals(login, json!({ "n": name, "p": PASSWORD })).await, ["ACCOUNT_INACTIVE"]);
    }
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    assert_eq!(browser.submit(&page, &[("identifier", "ada"), ("password", PASSWORD)]).await.status, 422);
    assert!(browser.cookie("refresh_token").is_none());
    // No mail restores access either.
    app.anyone().data("mutation { requestReset(input: { email: \"ada@example.com\" }) { success } }", json!({})).await;
    app.anyone()
        .data("mutation($input: RegisterInput!) { register(input: $input) { success } }", wanted("ada@example.com"))
        .await;
    for mail in app.mails().await {
        assert!(!mail.text.contains("token="), "{}", mail.text);
    }
}

/// Contents of the database, as bytes and as text.
async fn dump(app: &TestApp, place: &Place) -> Vec<u8> {
    use sea_orm::{ConnectionTrait as _, Statement};
    let Some(file) = place.database_url.strip_prefix("sqlite://") else {
        let backend = sea_orm::DatabaseBackend::Postgres;
        let tables = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'";
        let tables = app.db().query_all_raw(Statement::from_string(backend, tables)).await.unwrap();
        let mut all = String::new();
        for table in tables {
            let name: String = table.try_get("", "name").unwrap();
            let rows = format!("SELECT coalesce(string_agg(t::text, '|'), '') AS rows FROM \"{name}\" t");
            let rows = app.db().query_one_raw(Statement::from_string(backend, rows)).await.unwrap().unwrap();
            all += &rows.try_get::<String>("", "rows").unwrap();
        }
        return all.into_bytes();
    };
    let mut all = std::fs::read(file).unwrap();
    all.extend(std::fs::read(format!("{file}-wal")).unwrap_or_default());
    all
}

#[both_databases]
async fn no_secret_that_was_given_out_is_in_the_database(place: Place) {
    let app = TestApp::start(&place).await;
    let Secrets { access, refresh, api, reset, verify, registration, .. } = secrets(&app).await;
    let mut client: Client = app.anyone();
    client.refresh.clone_from(&refresh);
    client.refresh().await.unwrap();
    let dump = dump(&app, &place).await;
    let has = |needle: &[u8]| dump.windows(needle.len()).any(|window| window == needle);
    assert!(has(b"ada@example.com"), "the dump holds what is stored");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for secret in [
        PASSWORD,
        crate::test_app::ADMIN.1,
        &access,
        &refresh,
        &client.refresh,
        &api,
        &api[4..40],
        &reset,
        &verify,
        &registration,
    ] {
        assert!(!has(secret.as_bytes()), "{secret}");
        if let Ok(bytes) = URL_SAFE_NO_PAD.decode(secret) {
            assert!(!has(&bytes) && !has(hex(&bytes).as_bytes()), "{secret} as bytes");
        }
    }
    // The proving part of a refresh token, too.
    let mac = URL_SAFE_NO_PAD.decode(&client.refresh).unwrap()[20..].to_vec();
    assert!(!has(&mac) && !has(hex(&mac).as_bytes()));
}
