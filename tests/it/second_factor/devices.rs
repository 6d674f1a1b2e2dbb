//! Emails about sign-ins with a second factor from devices that were not known, and the cookie that tells devices apart.

use std::time::Duration;

use sea_orm::EntityTrait as _;
use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::audit_event::Action;
use vestibule::entity::known_device;
use vestibule::tools::mail::Message;
use vestibule::worker;

use super::{COMPLETE, LOGIN, Phone, STEP, challenge, enroll, enrolled, events_of, plant, sign_in_by};
use crate::authenticator::Authenticator;
use crate::pages::{self, text};
use crate::passkeys::{self, origin};
use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_client::{Answer, Client};
use crate::test_database::Place;

/// A browser that keeps the device cookie.
#[derive(Clone)]
struct Browser<'a> {
    app: &'a TestApp,
    device: Option<String>,
}

impl<'a> Browser<'a> {
    fn new(app: &'a TestApp) -> Self {
        Self { app, device: None }
    }

    fn client(&self) -> Client {
        let client = self.app.anyone().with_header("origin", self.app.url.clone());
        let client = client.with_header("user-agent", "Surfer/7.0");
        self.device.iter().fold(client, |client, device| client.with_header("cookie", format!("device={device}")))
    }

    /// Keeps the device cookie of a response. Returns true if the response has one.
    fn keep(&mut self, answer: &Answer) -> bool {
        let mut cookies = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
        let Some(cookie) = cookies.find_map(|cookie| cookie.strip_prefix("device=")) else { return false };
        let (value, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax");
        self.device = Some(value.to_owned());
        true
    }

    /// Signs in with the code of the app.
    async fn sign_in(&mut self, person: &Person, phone: &Phone) {
        self.app.wait(STEP);
        let token = challenge(&self.client(), &person.email).await;
        let variables = json!({ "t": token, "p": { "totpCode": phone.code(self.app) } });
        let answer = self.client().send(COMPLETE, variables).await;
        assert_eq!(answer.body["data"]["completeLogin"]["errors"], json!([]));
        assert!(self.keep(&answer));
    }
}

/// The emails about new devices since the last call.
async fn announced(app: &TestApp) -> Vec<Message> {
    let mut mails = app.mails().await;
    mails.retain(|mail| mail.subject.contains("was used from a new device"));
    mails
}

#[both_databases]
async fn a_sign_in_from_a_new_browser_is_announced_once(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let mut browser = Browser::new(&app);
    browser.sign_in(&ada, &phone).await;
    let mails = announced(&app).await;
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [ada.email.as_str()]);
    for part in ["Program: Surfer/7.0\n", "Address: 127.0.0.1\n", "If it wasn't you", "/account/forgot"] {
        assert!(mails[0].text.contains(part), "{part}: {}", mails[0].text);
    }
    let kept = browser.device.clone();
    browser.sign_in(&ada, &phone).await;
    assert_eq!((announced(&app).await.len(), &browser.device), (0, &kept));
    assert_eq!(events_of(&app, &ada, Action::NewDevice).await, 1);
    Browser::new(&app).sign_in(&ada, &phone).await;
    assert_eq!(announced(&app).await.len(), 1, "without its cookie, it is a new one");
}

#[both_databases]
async fn a_refused_code_and_a_password_alone_make_no_device(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let bob = app.add_user("bob").await;
    let mut browser = Browser::new(&app);
    let token = challenge(&browser.client(), &ada.email).await;
    let wrong = json!({ "t": token, "p": { "totpCode": phone.wrong_code(&app) } });
    let refused = browser.client().send(COMPLETE, wrong).await;
    let signed_in = browser.client().send(LOGIN, json!({ "i": bob.email, "p": PASSWORD })).await;
    assert_eq!(signed_in.body["data"]["login"]["errors"], json!([]));
    assert!(!browser.keep(&refused) && !browser.keep(&signed_in));
    assert!(known_device::Entity::find().one(app.db()).await.unwrap().is_none());
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn the_browser_that_adds_a_factor_is_known(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = Browser::new(&app);
    let signed_in = browser.client().send(LOGIN, json!({ "i": ada.email, "p": PASSWORD })).await;
    let token = signed_in.body["data"]["login"]["tokens"]["accessToken"].as_str().unwrap();
    let client = browser.client().with_token(token);
    let enrollment = super::start(&client).await;
    let code = super::secret_of(&enrollment).code(vestibule::tools::totp::TimeStep::at(app.clock_now()));
    let confirmed = client.send(super::CONFIRM, json!({ "t": enrollment["token"], "c": code })).await;
    assert!(browser.keep(&confirmed));
    let phone = Phone { id: String::new(), secret: super::secret_of(&enrollment), recovery_codes: Vec::new() };
    browser.sign_in(&ada, &phone).await;
    assert_eq!(announced(&app).await.len(), 0);
}

#[both_databases]
async fn passkeys_know_their_devices_too(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut browser = Browser::new(&app);
    let signed_in = browser.client().send(LOGIN, json!({ "i": ada.email, "p": PASSWORD })).await;
    let token = signed_in.body["data"]["login"]["tokens"]["accessToken"].as_str().unwrap();
    let mut authenticator = Authenticator::new(&origin(&app));
    let registered = passkeys::send_registration(&browser.client().with_token(token), &mut authenticator).await;
    assert!(browser.keep(&registered));
    app.mails().await;
    for (mut browser, number) in [(browser, 0), (Browser::new(&app), 1)] {
        let passkey = authenticator.get(&passkeys::request(&app).await);
        let answer = browser.client().send(passkeys::SIGN_IN, json!({ "passkey": passkey })).await;
        assert_eq!(answer.body["data"]["loginWithPasskey"]["errors"], json!([]));
        assert!(browser.keep(&answer));
        assert_eq!(announced(&app).await.len(), number);
    }
}

#[both_databases]
async fn clients_without_cookies_are_known_by_their_network(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let ada = app.add_user("ada").await;
    let at = |address: &str| app.anyone().with_header("x-forwarded-for", address);
    let phone = enroll(&app, &at("203.0.113.9").sign_in(&ada.email, PASSWORD).await).await;
    app.mails().await;
    for (address, number) in [("203.0.113.9", 0), ("198.51.100.7", 1), ("198.51.100.7", 0), ("203.0.113.9", 0)] {
        app.wait(STEP);
        let token = challenge(&at(address), &ada.email).await;
        let proof = json!({ "totpCode": phone.code(&app) });
        let payload = super::complete(&at(address), &token, proof).await;
        assert_eq!(payload["errors"], json!([]));
        let mails = announced(&app).await;
        assert_eq!(mails.len(), number, "{address}");
        assert!(mails.iter().all(|mail| mail.text.contains(address)), "{mails:?}");
    }
    assert!(known_device::Entity::find().one(app.db()).await.unwrap().is_none());
}

#[both_databases]
async fn users_of_one_browser_have_nothing_in_common(place: Place) {
    let app = TestApp::start(&place).await;
    let mut browser = Browser::new(&app);
    for name in ["ada", "bob"] {
        let (person, _, phone) = enrolled(&app, name).await;
        browser.sign_in(&person, &phone).await;
        let mails = announced(&app).await;
        assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [person.email.as_str()]);
        browser.sign_in(&person, &phone).await;
        assert_eq!(announced(&app).await.len(), 0);
    }
    let rows = known_device::Entity::find().all(app.db()).await.unwrap();
    assert!(rows.len() == 2 && rows[0].digest != rows[1].digest, "{rows:?}");
    let secret = browser.device.unwrap();
    assert!(!format!("{rows:?}").contains(&secret));
}

#[both_databases]
async fn a_device_is_forgotten_after_a_year_and_with_an_intruder(place: Place) {
    const SECOND: Duration = Duration::from_secs(1);
    const ALMOST: Duration = Duration::from_secs(365 * 24 * 60 * 60 - 31);
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let phone = plant(&app, &ada).await;
    let mut browser = Browser::new(&app);
    let count = async || known_device::Entity::find().all(app.db()).await.unwrap().len();
    browser.sign_in(&ada, &phone).await;
    // The sign-in itself takes a step.
    app.wait(ALMOST);
    browser.sign_in(&ada, &phone).await;
    assert_eq!(announced(&app).await.len(), 1, "the first time");
    app.wait(ALMOST + SECOND);
    browser.sign_in(&ada, &phone).await;
    assert_eq!(announced(&app).await.len(), 1);
    app.wait(ALMOST + STEP);
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(count().await, 1);
    app.wait(SECOND);
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(count().await, 0);

    browser.sign_in(&ada, &phone).await;
    let (uid, token) = crate::parity::recovery::reset_link(&app, &ada.email).await;
    let reset = json!({ "input": { "uid": uid, "token": token, "newPassword": PASSWORD } });
    assert_eq!(app.anyone().refusals(crate::parity::recovery::CONFIRM, reset).await, [""; 0]);
    assert_eq!(count().await, 0);
    browser.sign_in(&ada, &phone).await;
    assert_eq!(count().await, 1);
    let remove = "mutation($id: ID!) { deleteUser(input: { id: $id }) { errors { code } } }";
    assert_eq!(app.admin().await.refusals(remove, json!({ "id": ada.id })).await, [""; 0]);
    assert_eq!(count().await, 0);
}

#[both_databases]
async fn the_fifty_first_device_replaces_the_oldest(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let mut first = Browser::new(&app);
    first.sign_in(&ada, &phone).await;
    for _ in 0..49 {
        Browser::new(&app).sign_in(&ada, &phone).await;
    }
    app.mails().await;
    first.sign_in(&ada, &phone).await;
    assert_eq!(announced(&app).await.len(), 0, "fifty are known");
    for _ in 0..50 {
        Browser::new(&app).sign_in(&ada, &phone).await;
    }
    app.mails().await;
    assert_eq!(known_device::Entity::find().all(app.db()).await.unwrap().len(), 50);
    first.sign_in(&ada, &phone).await;
    assert_eq!(announced(&app).await.len(), 1);
}

#[both_databases]
async fn pages_keep_the_device_of_their_browser(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let mut browser = pages::Browser::new(&app);
    for number in [1, 0] {
        app.wait(STEP);
        let page = browser.open("/account/sign-in?switch=1").await;
        let asked = browser.submit(&page, &[("identifier", &ada.email), ("password", PASSWORD)]).await;
        assert_eq!(browser.cookie("device").is_some(), number == 0);
        let done = browser.submit(&asked, &[("code", &phone.code(&app))]).await;
        assert!(text(&done).contains("Your account"), "{}", text(&done));
        assert_eq!(announced(&app).await.len(), number);
    }
}

#[both_databases]
async fn an_event_that_was_forgotten_leaves_the_rest_of_the_email(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    Browser::new(&app).sign_in(&ada, &phone).await;
    let forget = vestibule::entity::audit_event::Entity::update_many()
        .col_expr(vestibule::entity::audit_event::Column::Ip, sea_orm::sea_query::Expr::value(Option::<String>::None));
    forget.exec(app.db()).await.unwrap();
    let mails = announced(&app).await;
    assert!(mails.len() == 1 && !mails[0].text.contains("Address"), "{mails:?}");
    sign_in_by(&app, &ada.email, json!({ "recoveryCode": phone.recovery_codes[0] })).await;
    let mails = app.mails().await;
    assert_eq!(mails.len(), 1, "the network of this client is known: {mails:?}");
}

/// Signs in from a page with these headers. Returns true if the response sets the device cookie.
async fn gets_cookie(app: &TestApp, ada: &Person, phone: &Phone, headers: [(&'static str, &str); 2]) -> bool {
    app.wait(STEP);
    let with = |client: Client| headers.iter().fold(client, |client, (name, value)| client.with_header(name, *value));
    let token = challenge(&with(app.anyone()), &ada.email).await;
    let variables = json!({ "t": token, "p": { "totpCode": phone.code(app) } });
    let answer = with(app.anyone()).send(COMPLETE, variables).await;
    assert_eq!(answer.body["data"]["completeLogin"]["errors"], Value::Array(Vec::new()));
    Browser::new(app).keep(&answer)
}

#[both_databases]
async fn only_browsers_that_keep_it_get_the_cookie(place: Place) {
    let listed = "https://app.example";
    let app = TestApp::start_with(&place, |config| config.allowed_origins = vec![listed.parse().unwrap()]).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    for (origin, site, is_kept) in [
        (&*app.url, "same-origin", true),
        (listed, "same-site", true),
        (listed, "cross-site", false),
        ("https://evil.example", "same-site", false),
    ] {
        let kept = gets_cookie(&app, &ada, &phone, [("origin", origin), ("sec-fetch-site", site)]).await;
        assert_eq!(kept, is_kept, "{origin} {site}");
    }
    assert_eq!(announced(&app).await.len(), 2, "the others come from a known network");
}
