//! Passkeys: registration, sign-in, proofs, and everything that must not work.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use vestibule::entity::{passkey, session, sign_in_challenge, user};

use crate::authenticator::Authenticator;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::{Answer, Client};
use crate::test_database::Place;

/// Lifetime of a challenge.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

const DESCRIPTOR: &str = "type id transports";

pub(crate) const FINISH: &str =
    "mutation($input: FinishPasskeyRegistrationInput!) { finishPasskeyRegistration(input: $input) {
    passkey { id name isSynced lastUsedAt } recoveryCodes errors { code field }
} }";

pub(crate) const SIGN_IN: &str =
    "mutation($passkey: PasskeyAssertionInput!) { loginWithPasskey(input: { passkey: $passkey }) {
    tokens { accessToken refreshToken } user { id } errors { code field message }
} }";

const LOGIN: &str = "mutation($name: String!, $password: String!) {
    login(input: { identifier: $name, password: $password }) {
        tokens { accessToken } errors { code field }
        challenge { token methods passkeyOptions { challenge rpId allowCredentials { type id transports } } }
    }
}";

const COMPLETE: &str = "mutation($input: CompleteLoginInput!) { completeLogin(input: $input) {
    tokens { accessToken } errors { code field }
} }";

const REAUTHENTICATE: &str = "mutation($proof: ProofInput!) { reauthenticate(input: { proof: $proof }) {
    session { methods } errors { code field }
} }";

const MINE: &str = "{ me { passkeys { id name lastUsedAt } hasSecondFactor recoveryCodesLeft } }";

const DELETE: &str = "mutation($id: ID!) { deletePasskey(input: { id: $id }) { deletedId errors { code field } } }";

/// Origin at which browsers open the service of a test.
pub(crate) fn origin(app: &TestApp) -> String {
    app.url.replace("127.0.0.1", "localhost")
}

/// Options for a registration.
pub(crate) async fn creation(client: &Client) -> Value {
    let document = format!(
        "mutation {{ startPasskeyRegistration {{ errors {{ code field }} options {{
            challenge timeout attestation rp {{ id name }} user {{ id name displayName }}
            pubKeyCredParams {{ type alg }} excludeCredentials {{ {DESCRIPTOR} }}
            authenticatorSelection {{ residentKey requireResidentKey userVerification }}
        }} }} }}"
    );
    let started = client.data(&document, json!({})).await["startPasskeyRegistration"].clone();
    assert_eq!(started["errors"], json!([]));
    started["options"].clone()
}

/// Options for a sign-in by anybody.
pub(crate) async fn request(app: &TestApp) -> Value {
    request_at(&app.url).await
}

/// The same for a service at this URL.
pub(crate) async fn request_at(url: &str) -> Value {
    let document = format!(
        "mutation {{ startPasskeyLogin {{ options {{
            challenge timeout rpId userVerification allowCredentials {{ {DESCRIPTOR} }}
        }} }} }}"
    );
    Client::new(url).data(&document, json!({})).await["startPasskeyLogin"]["options"].clone()
}

async fn finish(client: &Client, credential: &Value) -> Value {
    let input = json!({ "input": { "credential": credential, "name": "Ada's phone" } });
    client.data(FINISH, input).await["finishPasskeyRegistration"].clone()
}

/// Registers a passkey for a signed-in user. Returns the whole response.
pub(crate) async fn send_registration(client: &Client, authenticator: &mut Authenticator) -> Answer {
    let credential = authenticator.create(&creation(client).await);
    let answer = client.send(FINISH, json!({ "input": { "credential": credential, "name": "" } })).await;
    assert_eq!(answer.body["data"]["finishPasskeyRegistration"]["errors"], json!([]));
    answer
}

/// Registers a passkey for a signed-in user.
pub(crate) async fn register(client: &Client, authenticator: &mut Authenticator) -> Value {
    let credential = authenticator.create(&creation(client).await);
    let registered = finish(client, &credential).await;
    assert_eq!(registered["errors"], json!([]));
    registered
}

pub(crate) async fn sign_in(app: &TestApp, passkey: &Value) -> Value {
    app.anyone().data(SIGN_IN, json!({ "passkey": passkey })).await["loginWithPasskey"].clone()
}

fn code(payload: &Value) -> &str {
    payload["errors"][0]["code"].as_str().unwrap_or("none")
}

#[both_databases]
async fn a_user_registers_a_passkey_and_signs_in_with_it_alone(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    app.mails().await;
    let mut phone = Authenticator::new(&origin(&app));
    let options = creation(&client).await;
    assert_eq!(options["rp"]["id"], "localhost");
    assert_eq!((&options["attestation"], &options["timeout"]), (&json!("none"), &json!(600_000)));
    assert_eq!(options["pubKeyCredParams"].as_array().unwrap().len(), 4);
    let credential = phone.create(&options);
    let registered = finish(&client, &credential).await;
    assert_eq!(registered["passkey"]["name"], "Ada's phone");
    assert_eq!(registered["passkey"]["isSynced"], true);
    assert_eq!(registered["recoveryCodes"].as_array().unwrap().len(), 10, "it is the first second factor");
    let mails = app.mails().await;
    assert!(mails.len() == 1 && mails[0].subject.contains("passkey"), "{mails:?}");

    app.wait(Duration::from_secs(1));
    let signed_in = sign_in(&app, &phone.get(&request(&app).await)).await;
    assert_eq!((code(&signed_in), &signed_in["user"]["id"]), ("none", &json!(ada.id)));
    let client = app.anyone().with_token(signed_in["tokens"]["accessToken"].as_str().unwrap());
    let mine = client.data(MINE, json!({})).await;
    assert_eq!(mine["me"]["passkeys"][0]["lastUsedAt"], "2026-01-05T09:00:01.000Z");
    assert_eq!(mine["me"]["hasSecondFactor"], true);
    let sessions = client.data("{ sessions { isCurrent methods } }", json!({})).await;
    let current = sessions["sessions"].as_array().unwrap().iter().find(|one| one["isCurrent"] == true).unwrap();
    assert_eq!(current["methods"], json!(["PASSKEY"]));
}

#[both_databases]
async fn a_password_alone_no_longer_signs_in(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut phone = Authenticator::new(&origin(&app));
    register(&ada.sign_in(&app).await, &mut phone).await;
    let sessions = session::Entity::find().count(app.db()).await.unwrap();
    let login = json!({ "name": "ada", "password": PASSWORD });
    let asked = app.anyone().data(LOGIN, login).await["login"].clone();
    assert_eq!((code(&asked), &asked["tokens"]), ("SECOND_FACTOR_REQUIRED", &Value::Null));
    assert_eq!(asked["challenge"]["methods"], json!(["PASSKEY", "RECOVERY_CODE"]));
    assert_eq!(session::Entity::find().count(app.db()).await.unwrap(), sessions);
    let options = &asked["challenge"]["passkeyOptions"];
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    let complete = |passkey: Value| {
        let token = &asked["challenge"]["token"];
        json!({ "input": { "challengeToken": token, "proof": { "passkey": passkey } } })
    };
    let mut stranger = Authenticator::new(&origin(&app));
    register(&app.add_user("bob").await.sign_in(&app).await, &mut stranger).await;
    let theirs = stranger.get(&request(&app).await);
    let refused = app.anyone().data(COMPLETE, complete(theirs)).await["completeLogin"].clone();
    assert_eq!(code(&refused), "SECOND_FACTOR_INCORRECT", "the passkey of another account proves nothing");
    let right = phone.get(options);
    let done = app.anyone().data(COMPLETE, complete(right.clone())).await["completeLogin"].clone();
    assert_eq!(code(&done), "none");
    let client = app.anyone().with_token(done["tokens"]["accessToken"].as_str().unwrap());
    let sessions = client.data("{ sessions { isCurrent methods } }", json!({})).await;
    let current = sessions["sessions"].as_array().unwrap().iter().find(|one| one["isCurrent"] == true).unwrap();
    assert_eq!(current["methods"], json!(["PASSWORD", "PASSKEY"]));
    let again = app.anyone().data(COMPLETE, complete(right)).await["completeLogin"].clone();
    assert_eq!(code(&again), "INVALID_TOKEN");
}

#[both_databases]
async fn options_for_strangers_write_no_row(place: Place) {
    let app = TestApp::start(&place).await;
    let challenges = [request(&app).await, request(&app).await].map(|options| options["challenge"].clone());
    assert_ne!(challenges[0], challenges[1]);
    assert_eq!(sign_in_challenge::Entity::find().count(app.db()).await.unwrap(), 0);
    assert_eq!(session::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn a_challenge_has_one_purpose_one_use_and_an_end(place: Place) {
    let app = TestApp::start(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    let bob = app.add_user("bob").await.sign_in(&app).await;
    let mut phone = Authenticator::new(&origin(&app));
    let options = creation(&client).await;
    let credential = phone.create(&options);
    assert_eq!(code(&finish(&bob, &credential).await), "INVALID_TOKEN", "the challenge belongs to another user");
    assert_eq!(code(&finish(&client, &credential).await), "none");
    let second = Authenticator::new(&origin(&app)).create(&json!({ "excludeCredentials": [],
        "challenge": options["challenge"], "user": options["user"], "rp": options["rp"] }));
    assert_eq!(code(&finish(&client, &second).await), "INVALID_TOKEN", "it was used");

    let used = phone.get(&request(&app).await);
    assert_eq!(code(&sign_in(&app, &used).await), "none");
    assert_eq!(code(&sign_in(&app, &used).await), "INVALID_TOKEN");
    let asked = request(&app).await;
    let registered = Authenticator::new(&origin(&app)).create(&json!({ "excludeCredentials": [],
        "challenge": asked["challenge"], "user": options["user"], "rp": options["rp"] }));
    assert_eq!(code(&finish(&client, &registered).await), "INVALID_TOKEN", "it was made for a sign-in");

    let late = phone.get(&request(&app).await);
    app.wait(LIFETIME);
    assert_eq!(code(&sign_in(&app, &late).await), "INVALID_TOKEN");
    assert_eq!(code(&sign_in(&app, &phone.get(&request(&app).await)).await), "none", "new options sign in");
    let made_up = phone.get(&json!({ "challenge": "eA", "rpId": "localhost", "allowCredentials": [] }));
    assert_eq!(code(&sign_in(&app, &made_up).await), "INVALID_TOKEN");
    app.wait(LIFETIME + Duration::from_secs(3600));
    vestibule::domain::auth::second_factor::challenge::sweep(&app.app.db, &app.app.clock.now()).await.unwrap();
    assert_eq!(sign_in_challenge::Entity::find().count(app.db()).await.unwrap(), 0, "used ones are forgotten in time");
}

#[both_databases]
async fn a_passkey_of_a_user_who_may_not_sign_in_looks_unknown(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut phone = Authenticator::new(&origin(&app));
    register(&ada.sign_in(&app).await, &mut phone).await;
    // A deactivation ends younger ones.
    app.wait(Duration::from_secs(8 * 24 * 60 * 60));
    let admin = app.admin().await;
    let mut unknown = Authenticator::new(&origin(&app));
    let refused =
        async |authenticator: &mut Authenticator| sign_in(&app, &authenticator.get(&request(&app).await)).await;
    let expected = refused(&mut unknown).await;
    assert_eq!(expected["errors"][0]["code"], "INVALID_CREDENTIALS");
    let switch = "mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code } } }";
    admin.data(switch, json!({ "id": ada.id })).await;
    assert_eq!(refused(&mut phone).await, expected, "deactivated");
    admin.data(switch, json!({ "id": ada.id })).await;
    let row = user::Entity::find_by_id(ada.id.parse::<uuid::Uuid>().unwrap()).one(app.db()).await.unwrap().unwrap();
    user::ActiveModel { is_verified: Set(false), ..row.clone().into() }.update(app.db()).await.unwrap();
    assert_eq!(refused(&mut phone).await, expected, "unverified");
    user::ActiveModel { is_verified: Set(true), ..row.into() }.update(app.db()).await.unwrap();
    assert_eq!(code(&refused(&mut phone).await), "none");
    admin
        .data("mutation($id: ID!) { deleteUser(input: { id: $id }) { errors { code } } }", json!({ "id": ada.id }))
        .await;
    assert_eq!(refused(&mut phone).await, expected, "deleted");
    assert_eq!(passkey::Entity::find().count(app.db()).await.unwrap(), 0, "passkeys go with the account");
}

#[both_databases]
async fn a_wrong_answer_looks_like_an_unknown_passkey(place: Place) {
    let app = TestApp::start(&place).await;
    let mut phone = Authenticator::new(&origin(&app));
    register(&app.add_user("ada").await.sign_in(&app).await, &mut phone).await;
    let expected = sign_in(&app, &Authenticator::new(&origin(&app)).get(&request(&app).await)).await;
    phone.verifies = false;
    assert_eq!(sign_in(&app, &phone.get(&request(&app).await)).await, expected, "its user was not verified");
    phone.verifies = true;
    "https://evil.example".clone_into(&mut phone.origin);
    assert_eq!(sign_in(&app, &phone.get(&request(&app).await)).await, expected, "another origin");
    phone.origin = origin(&app);
    phone.is_synced = false;
    assert_eq!(sign_in(&app, &phone.get(&request(&app).await)).await, expected, "no longer synced");
    phone.is_synced = true;
    let mut options = request(&app).await;
    options["rpId"] = json!("evil.example");
    assert_eq!(sign_in(&app, &phone.get(&options).clone()).await, expected, "another domain");
    let mut bent = phone.get(&request(&app).await);
    bent["response"]["userHandle"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(sign_in(&app, &bent).await, expected, "another user");
    let mut bent = phone.get(&request(&app).await);
    bent["response"]["signature"] = phone.get(&request(&app).await)["response"]["signature"].clone();
    assert_eq!(sign_in(&app, &bent).await, expected, "the signature of another challenge");
    let mut bent = phone.get(&request(&app).await);
    bent["response"]["signature"] = json!("not base64url!");
    assert_eq!(code(&sign_in(&app, &bent).await), "INVALID");
    assert_eq!(code(&sign_in(&app, &phone.get(&request(&app).await)).await), "none");
}

#[both_databases]
async fn a_counter_of_a_device_never_goes_back(place: Place) {
    let app = TestApp::start(&place).await;
    let mut key = Authenticator::counting(&origin(&app), 5);
    register(&app.add_user("ada").await.sign_in(&app).await, &mut key).await;
    app.mails().await;
    assert_eq!(code(&sign_in(&app, &key.get(&request(&app).await)).await), "none");
    key.counter = 5;
    assert_eq!(code(&sign_in(&app, &key.get(&request(&app).await)).await), "INVALID_CREDENTIALS", "6 again");
    let mails = app.mails().await;
    assert!(mails.len() == 1 && mails[0].subject.contains("copied"), "{mails:?}");
    let admin = app.admin().await;
    let trail = admin.data("{ auditEvents(first: 2) { nodes { action reason } } }", json!({})).await;
    assert!(trail.to_string().contains("PASSKEY_COPIED"), "{trail}");
    key.counter = 6;
    assert_eq!(code(&sign_in(&app, &key.get(&request(&app).await)).await), "none");

    // Synced ones count nothing, or each device for itself.
    let mut synced = Authenticator::new(&origin(&app));
    register(&app.add_user("bob").await.sign_in(&app).await, &mut synced).await;
    for counter in [0, 0, 7, 3, 3, 0] {
        synced.counter = counter;
        assert_eq!(code(&sign_in(&app, &synced.get(&request(&app).await)).await), "none", "{counter}");
    }
    // A device that does not count.
    let mut silent = Authenticator::counting(&origin(&app), 0);
    register(&app.add_user("eve").await.sign_in(&app).await, &mut silent).await;
    for _ in 0..2 {
        assert_eq!(code(&sign_in(&app, &silent.get(&request(&app).await)).await), "none");
    }
}

#[both_databases]
async fn an_authenticator_has_one_passkey_of_a_user(place: Place) {
    let app = TestApp::start(&place).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    let mut phone = Authenticator::new(&origin(&app));
    register(&client, &mut phone).await;
    let mut options = creation(&client).await;
    assert_eq!(options["excludeCredentials"].as_array().unwrap().len(), 1, "the browser refuses a second one");
    assert_eq!(options["excludeCredentials"][0]["transports"], json!(["hybrid", "internal"]));
    options["excludeCredentials"] = json!([]);
    let credential = phone.create(&options);
    assert_eq!(code(&finish(&client, &credential).await), "ALREADY_EXISTS");
    let bob = app.add_user("bob").await.sign_in(&app).await;
    let credential = phone.create(&creation(&bob).await);
    assert_eq!(code(&finish(&bob, &credential).await), "ALREADY_EXISTS", "nor one of another user");
    let mut second = Authenticator::new(&origin(&app));
    assert_eq!(register(&client, &mut second).await["recoveryCodes"], Value::Null, "only with the first one");
}

#[both_databases]
async fn registering_and_removing_need_a_recent_proof(place: Place) {
    let app = TestApp::start_with(&place, |config| config.sessions.access_ttl = Duration::from_secs(60 * 60)).await;
    let client = app.add_user("ada").await.sign_in(&app).await;
    let mut phone = Authenticator::new(&origin(&app));
    let id = register(&client, &mut phone).await["passkey"]["id"].clone();
    app.wait(Duration::from_secs(10 * 60));
    let start = "mutation { startPasskeyRegistration { options { challenge } errors { code field } } }";
    assert_eq!(client.refusals(start, json!({})).await, ["REAUTHENTICATION_REQUIRED"]);
    assert_eq!(client.refusals(DELETE, json!({ "id": id })).await, ["REAUTHENTICATION_REQUIRED"]);
    let proof = json!({ "proof": { "passkey": phone.get(&request(&app).await) } });
    let proved = client.data(REAUTHENTICATE, proof).await["reauthenticate"].clone();
    assert_eq!((code(&proved), &proved["session"]["methods"]), ("none", &json!(["PASSWORD", "PASSKEY"])));
    let rename = "mutation($id: ID!) { renamePasskey(input: { id: $id, name: \"Old phone\" }) { passkey { name } errors { code field } } }";
    assert_eq!(client.data(rename, json!({ "id": id })).await["renamePasskey"]["passkey"]["name"], "Old phone");
    let bob = app.add_user("bob").await.sign_in(&app).await;
    assert_eq!(bob.refusals(rename, json!({ "id": id })).await, ["NOT_FOUND id"]);
    assert_eq!(bob.refusals(DELETE, json!({ "id": id })).await, ["NOT_FOUND id"]);
    assert_eq!(client.refusals(DELETE, json!({ "id": id })).await, [""; 0]);
    let mine = client.data(MINE, json!({})).await;
    assert_eq!(mine["me"], json!({ "passkeys": [], "hasSecondFactor": false, "recoveryCodesLeft": 0 }));
}

#[both_databases]
async fn the_last_way_to_sign_in_stays(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let mut phone = Authenticator::new(&origin(&app));
    let id = register(&client, &mut phone).await["passkey"]["id"].clone();
    let row = user::Entity::find_by_id(ada.id.parse::<uuid::Uuid>().unwrap()).one(app.db()).await.unwrap().unwrap();
    user::ActiveModel { password_hash: Set(None), ..row.into() }.update(app.db()).await.unwrap();
    assert_eq!(client.refusals(DELETE, json!({ "id": id })).await, ["INVALID id"]);
    register(&client, &mut Authenticator::new(&origin(&app))).await;
    assert_eq!(client.refusals(DELETE, json!({ "id": id })).await, [""; 0], "another one is left");
}

#[both_databases]
async fn fifty_uses_of_one_assertion_on_two_instances_are_one_session(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let mut phone = Authenticator::new(&origin(&app));
    register(&app.add_user("ada").await.sign_in(&app).await, &mut phone).await;
    let before = session::Entity::find().count(app.db()).await.unwrap();
    let passkey = phone.get(&request(&app).await);
    let uses = (0..50).map(|number| sign_in(if number % 2 == 0 { &app } else { &second }, &passkey));
    let answers = futures_util::future::join_all(uses).await;
    assert_eq!(answers.iter().filter(|answer| code(answer) == "none").count(), 1);
    assert_eq!(session::Entity::find().count(app.db()).await.unwrap(), before + 1);
}

#[both_databases]
async fn a_reset_of_factors_by_staff_removes_passkeys(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut phone = Authenticator::new(&origin(&app));
    register(&ada.sign_in(&app).await, &mut phone).await;
    let reset = "mutation($id: ID!) { resetFactors(input: { id: $id }) { errors { code field } } }";
    assert_eq!(app.admin().await.refusals(reset, json!({ "id": ada.id })).await, [""; 0]);
    assert_eq!(code(&sign_in(&app, &phone.get(&request(&app).await)).await), "INVALID_CREDENTIALS");
    let login = json!({ "name": "ada", "password": PASSWORD });
    assert_eq!(code(&app.anyone().data(LOGIN, login).await["login"]), "none");
}

#[both_databases]
async fn passkeys_belong_to_the_domain_of_the_service(place: Place) {
    let app = TestApp::start(&place).await;
    let mut phone = Authenticator::new(&origin(&app));
    register(&app.add_user("ada").await.sign_in(&app).await, &mut phone).await;
    let moved =
        app.start_second_with(&place, |config| config.public_url = Some("https://id.example.com".parse().unwrap()));
    let moved = moved.await;
    assert_eq!(request(&moved).await["rpId"], "id.example.com");
    let counts = vestibule::domain::auth::passkeys::list::count_by_domain(app.db()).await.unwrap();
    assert_eq!(counts, [("localhost".to_owned(), 1)], "the start and doctor count them");
    let parent = app.start_second_with(&place, |config| {
        config.public_url = Some("https://id.example.com".parse().unwrap());
        config.passkey_domain = Some("example.com".parse().unwrap());
    });
    assert_eq!(request(&parent.await).await["rpId"], "example.com");
    let by_address =
        app.start_second_with(&place, |config| config.public_url = Some("https://192.0.2.1".parse().unwrap()));
    let document = "mutation { startPasskeyLogin { options { challenge } } }";
    assert_eq!(by_address.await.anyone().code(document, json!({})).await, "FORBIDDEN");
}

#[both_databases]
async fn a_passkey_that_an_intruder_added_ends_with_a_reset(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let mut own = Authenticator::new(&origin(&app));
    register(&ada.sign_in(&app).await, &mut own).await;
    app.wait(Duration::from_secs(8 * 24 * 60 * 60));
    let signed_in = sign_in(&app, &own.get(&request(&app).await)).await;
    let stolen = app.anyone().with_token(signed_in["tokens"]["accessToken"].as_str().unwrap());
    let mut theirs = Authenticator::new(&origin(&app));
    register(&stolen, &mut theirs).await;
    assert_eq!(code(&sign_in(&app, &theirs.get(&request(&app).await)).await), "none");
    let set = "mutation($id: ID!) { setUserPassword(input: { id: $id, password: \"one of the staff desk\" }) {
        errors { code field }
    } }";
    assert_eq!(app.admin().await.refusals(set, json!({ "id": ada.id })).await, [""; 0]);
    assert_eq!(code(&sign_in(&app, &theirs.get(&request(&app).await)).await), "INVALID_CREDENTIALS");
    assert_eq!(code(&sign_in(&app, &own.get(&request(&app).await)).await), "none", "the owner's old one stays");
}

#[both_databases]
async fn a_copied_passkey_is_reported_once_an_hour(place: Place) {
    let app = TestApp::start(&place).await;
    let mut key = Authenticator::counting(&origin(&app), 10);
    register(&app.add_user("ada").await.sign_in(&app).await, &mut key).await;
    app.mails().await;
    for _ in 0..3 {
        key.counter = 5;
        assert_eq!(code(&sign_in(&app, &key.get(&request(&app).await)).await), "INVALID_CREDENTIALS");
    }
    assert_eq!(app.mails().await.len(), 1);
    app.wait(Duration::from_secs(60 * 60));
    key.counter = 5;
    sign_in(&app, &key.get(&request(&app).await)).await;
    assert_eq!(app.mails().await.len(), 1);
}
