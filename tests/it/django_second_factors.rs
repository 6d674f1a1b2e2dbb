//! Import of the second factors of a Django project: apps and static tokens of django-otp; apps, recovery codes and
//! passkeys of allauth. `tests/django/run` does the same with rows that these packages write.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use vestibule::domain::import::django::{Options, Report};
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{factor, passkey, recovery_code};
use vestibule::error::Error;
use vestibule::tools::recovery_code::RecoveryCode;
use vestibule::tools::totp::{CodeForm, TimeStep, TotpSecret};

use crate::authenticator::Authenticator;
use crate::django_import::{OLD, move_in, move_in_database, row, told, user};
use crate::pages::{Browser, text};
use crate::passkeys::{origin, request, sign_in as sign_in_with};
use crate::second_factor::{COMPLETE, FACTORS, LOGIN, STEP, complete, enroll, refusals};
use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

/// The key of the RFCs, as django-otp and allauth store it.
const KEY: &str = "3132333435363738393031323334353637383930";
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A seed of allauth, and the first of its codes. `generate_codes` of allauth yields the same.
const SEED: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const CODES: [&str; 3] = ["64942586", "03959085", "07990366"];

fn phone() -> TotpSecret {
    TotpSecret::from_bytes(b"12345678901234567890").unwrap()
}

/// The code that the phone shows, some steps from now.
fn code(app: &TestApp, later: i64) -> String {
    phone().code(TimeStep(now(app) + later))
}

fn now(app: &TestApp) -> i64 {
    TimeStep::at(app.clock_now()).0
}

/// A device of django-otp, with some fields changed.
fn device(user: u32, changes: &Value) -> Value {
    let mut fields = json!({
        "user": user, "name": "default", "confirmed": true, "throttling_failure_count": 0, "key": KEY, "step": 30,
        "t0": 0, "digits": 6, "tolerance": 1, "drift": 0, "last_t": -1,
    });
    for (field, value) in changes.as_object().unwrap() {
        fields[field] = value.clone();
    }
    json!({ "model": "otp_totp.totpdevice", "pk": user, "fields": fields })
}

/// Static tokens of django-otp.
fn tokens(user: u32, tokens: &[&str]) -> Vec<Value> {
    let fields = json!({ "user": user, "name": "backup", "confirmed": true });
    let device = json!({ "model": "otp_static.staticdevice", "pk": user + 50, "fields": fields });
    let token = |token: &&str| {
        let fields = json!({ "device": user + 50, "token": token });
        json!({ "model": "otp_static.statictoken", "pk": 1, "fields": fields })
    };
    tokens.iter().map(token).chain([device]).collect()
}

fn authenticator(user: u32, kind: &str, data: &Value) -> Value {
    let fields = json!({ "user": user, "type": kind, "data": data, "created_at": "2025-12-05T09:00:00Z",
        "last_used_at": null });
    json!({ "model": "mfa.authenticator", "pk": 1, "fields": fields })
}

/// The first step of a sign-in.
async fn login(app: &TestApp, name: &str) -> Value {
    app.anyone().data(LOGIN, json!({ "i": name, "p": OLD })).await["login"].clone()
}

/// Both steps; the errors of the second one.
async fn sign_in(app: &TestApp, name: &str, proof: Value) -> Vec<String> {
    let payload = login(app, name).await;
    assert_eq!(payload["errors"][0]["code"], "SECOND_FACTOR_REQUIRED", "{payload}");
    refusals(&complete(&app.anyone(), payload["challenge"]["token"].as_str().unwrap(), proof).await)
}

/// A client signed in by a code of the phone.
async fn client(app: &TestApp, name: &str) -> Client {
    let token = login(app, name).await["challenge"]["token"].clone();
    let payload = app.anyone().data(COMPLETE, json!({ "t": token, "p": { "totpCode": code(app, 0) } })).await;
    app.wait(STEP);
    app.anyone().with_token(payload["completeLogin"]["tokens"]["accessToken"].as_str().unwrap())
}

async fn codes_left(app: &TestApp) -> u64 {
    recovery_code::Entity::find().count(app.db()).await.unwrap()
}

async fn events(app: &TestApp, name: &str, action: Action) -> Vec<audit_event::Model> {
    let theirs = audit_event::Column::TargetId.eq(row(app, name).await.id);
    let events = audit_event::Entity::find().filter(theirs).filter(audit_event::Column::Action.eq(action));
    events.all(app.db()).await.unwrap()
}

fn factors(report: &Report) -> (usize, usize, usize) {
    (report.factors, report.recovery_codes, report.removed_factors)
}

async fn plainly(app: &TestApp, dump: &[Value]) -> Report {
    move_in(app, dump, Options::default()).await
}

const WRONG_APP: [&str; 1] = ["SECOND_FACTOR_INCORRECT totpCode"];
const WRONG_CODE: [&str; 1] = ["SECOND_FACTOR_INCORRECT recoveryCode"];
const FINE: [&str; 0] = [];

#[both_databases]
async fn the_phone_and_the_static_tokens_of_django_otp_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let mut dump =
        vec![user(1, "ann", &json!({})), device(1, &json!({ "last_t": now(&app) })), user(2, "bob", &json!({}))];
    dump.push(device(2, &json!({ "confirmed": false })));
    dump.extend(tokens(1, &["mfrggzdf", "nbswy3dp"]));
    let report = plainly(&app, &dump).await;
    assert_eq!((factors(&report), told(&report)), ((1, 2, 0), vec![]));
    assert_eq!(login(&app, "ann").await["challenge"]["methods"], json!(["TOTP", "RECOVERY_CODE"]));
    assert_eq!(login(&app, "bob").await["errors"], json!([]), "a device that was not confirmed does not count");

    assert_eq!(sign_in(&app, "ann", json!({ "totpCode": code(&app, 0) })).await, WRONG_APP, "it was used in Django");
    assert_eq!(sign_in(&app, "ann", json!({ "totpCode": code(&app, 1) })).await, FINE);
    assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": "MFRG-GZDF" })).await, FINE);
    assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": "mfrggzdf" })).await, WRONG_CODE, "once");
    assert_eq!(codes_left(&app).await, 1);

    let stored = factor::Entity::find().one(app.db()).await.unwrap().unwrap();
    assert!(!stored.sealed_secret.windows(20).any(|part| part == phone().reveal()));
    let added = events(&app, "ann", Action::FactorAdded).await;
    assert_eq!((added.len(), added[0].actor_id), (1, None), "by the operator");
    assert_eq!(app.mails().await.len(), 2, "about the used code and the new device");
    let again = plainly(&app, &dump).await;
    assert_eq!(factors(&again), (0, 0, 0));
    assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": "mfrggzdf" })).await, WRONG_CODE, "it does not come back");
}

#[both_databases]
async fn a_thief_of_the_database_does_not_learn_imported_codes(place: Place) {
    let app = TestApp::start(&place).await;
    let mut dump = vec![user(1, "ann", &json!({})), device(1, &json!({}))];
    dump.extend(tokens(1, &["mfrggzdf"]));
    plainly(&app, &dump).await;
    let row = recovery_code::Entity::find().one(app.db()).await.unwrap().unwrap();
    let hash = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref().to_vec();
    let sealed = row.sealed_code.unwrap();
    assert!(row.digest != hash("mfrggzdf") && row.digest != hash(&format!("{}mfrggzdf", row.user_id)));
    assert!(!sealed.windows(8).any(|part| part == b"mfrggzdf"));
    // The codes of one user do not serve another one.
    let mut others = vec![user(2, "bob", &json!({})), device(2, &json!({}))];
    others.extend(tokens(2, &["nbswy3dp"]));
    plainly(&app, &others).await;
    assert_eq!(sign_in(&app, "bob", json!({ "recoveryCode": "mfrggzdf" })).await, WRONG_CODE);
}

#[both_databases]
async fn the_phone_and_the_unused_recovery_codes_of_allauth_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let mut totp = authenticator(1, "totp", &json!({ "secret": SECRET }));
    totp["fields"]["last_used_at"] = json!(app.clock_now().to_string());
    let codes = authenticator(1, "recovery_codes", &json!({ "seed": SEED, "used_mask": 1 }));
    let report = plainly(&app, &[user(1, "ann", &json!({})), totp, codes]).await;
    assert_eq!((factors(&report), told(&report)), ((1, 9, 0), vec![]));
    for later in [0, 1] {
        let refused = sign_in(&app, "ann", json!({ "totpCode": code(&app, later) })).await;
        assert_eq!(refused, WRONG_APP, "it may have been used in Django, which stores only the time");
    }
    app.wait(STEP);
    assert_eq!(sign_in(&app, "ann", json!({ "totpCode": code(&app, 1) })).await, FINE);
    assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": CODES[0] })).await, WRONG_CODE, "it was used in Django");
    assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": CODES[1] })).await, FINE);
}

#[both_databases]
async fn the_page_takes_a_recovery_code_of_eight_digits(place: Place) {
    let app = TestApp::start(&place).await;
    let codes = authenticator(1, "recovery_codes", &json!({ "seed": SEED, "used_mask": 0 }));
    let totp = authenticator(1, "totp", &json!({ "secret": SECRET }));
    plainly(&app, &[user(1, "ann", &json!({})), totp, codes]).await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/account/sign-in").await;
    let mut asked = browser.submit(&page, &[("identifier", "ann"), ("password", OLD)]).await;
    for wrong in ["12345678", "1"] {
        asked = browser.submit(&asked, &[("code", wrong)]).await;
        assert!(asked.status == 422 && text(&asked).contains("This code is wrong"), "{}", text(&asked));
    }
    let done = browser.submit(&asked, &[("code", CODES[0])]).await;
    assert!(text(&done).contains("You are signed in"), "{}", text(&done));
}

#[both_databases]
async fn apps_with_other_digits_and_periods_work(place: Place) {
    let app = TestApp::start(&place).await;
    let dump = [user(1, "ann", &json!({})), device(1, &json!({ "digits": 8, "step": 60, "key": &KEY[..32] }))];
    assert_eq!(factors(&plainly(&app, &dump).await), (1, 0, 0));
    let form = CodeForm::new(8, 60).unwrap();
    let slow = TotpSecret::from_bytes(&phone().reveal()[..16]).unwrap().in_form(form);
    let shown = slow.code(form.step_at(app.clock_now()));
    assert_eq!(sign_in(&app, "ann", json!({ "totpCode": shown })).await, FINE);
    assert_eq!(sign_in(&app, "ann", json!({ "totpCode": shown })).await, WRONG_APP);
}

#[both_databases]
async fn second_factors_that_do_not_work_here_are_reported_and_block_nobody(place: Place) {
    let app = TestApp::start(&place).await;
    let mut dump: Vec<Value> = (1..=5).map(|pk| user(pk, &format!("u{pk}"), &json!({}))).collect();
    dump.push(device(1, &json!({ "t0": 7 })));
    dump.push(device(2, &json!({ "drift": 5 })));
    dump.push(authenticator(3, "totp", &json!({ "secret": "gAAAAABl_kZ0c2VjcmV0" })));
    dump.push(authenticator(4, "recovery_codes", &json!({ "migrated_codes": ["mfrggzdf"] })));
    dump.extend([device(5, &json!({ "last_t": 5, "key": KEY.replace('0', "1") })), device(5, &json!({ "last_t": 9 }))]);
    let report = plainly(&app, &dump).await;
    assert_eq!((report.created, report.refused.len(), factors(&report)), (5, 0, (2, 0, 0)));
    let expected = [
        "1 second factor: The app was not imported: its codes count from a time of their own",
        "2 second factor: The clock of the phone is 150 seconds off",
        "3 second factor: The secret of the app cannot be read. If the project encrypts it",
        "4 second factor: The recovery codes were not imported, because no app was imported with them.",
        "5 second factor: The user has 2 apps, and one is kept: the app that was used last.",
    ];
    let all = told(&report);
    assert_eq!(all.len(), expected.len());
    assert!(all.iter().zip(expected).all(|(told, expected)| told.starts_with(expected)), "{all:?}");
    assert_eq!(sign_in(&app, "u5", json!({ "totpCode": code(&app, 0) })).await, FINE, "the app that was used last");
}

#[both_databases]
async fn second_factors_follow_django_until_they_change_here(place: Place) {
    let app = TestApp::start(&place).await;
    let ann = user(1, "ann", &json!({}));
    let with = |last: i64, rest: &[&str]| {
        let mut dump = vec![ann.clone(), device(1, &json!({ "last_t": last }))];
        dump.extend(tokens(1, rest));
        dump
    };
    plainly(&app, &with(-1, &["aaaaaaaa", "bbbbbbbb", "cccccccc"])).await;
    assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": "aaaaaaaa" })).await, FINE);
    // Until the evening, she signs in there: with the phone, with a token, and gets a new one.
    let there = with(now(&app), &["aaaaaaaa", "cccccccc", "dddddddd"]);
    assert_eq!(factors(&plainly(&app, &there).await), (0, 1, 0));
    assert_eq!(sign_in(&app, "ann", json!({ "totpCode": code(&app, 0) })).await, WRONG_APP);
    for (typed, expected) in
        [("aaaaaaaa", &WRONG_CODE[..]), ("bbbbbbbb", &WRONG_CODE), ("cccccccc", &FINE), ("dddddddd", &FINE)]
    {
        assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": typed })).await, expected, "{typed}");
    }
    app.mails().await;

    // Another phone there replaces the one here, and none there removes it.
    let other = KEY.replace('0', "1");
    let dump = [ann.clone(), device(1, &json!({ "key": other }))];
    assert_eq!(factors(&plainly(&app, &dump).await), (1, 0, 0));
    assert_eq!(sign_in(&app, "ann", json!({ "totpCode": code(&app, 0) })).await, WRONG_APP);
    let none = [ann.clone(), user(2, "bob", &json!({})), device(2, &json!({}))];
    assert_eq!(factors(&plainly(&app, &none).await), (1, 0, 1));
    assert_eq!(login(&app, "ann").await["errors"], json!([]));
    let subjects: Vec<String> =
        app.mails().await.into_iter().map(|mail| format!("{} {}", mail.to, mail.subject)).collect();
    assert_eq!(subjects.len(), 2, "one added, one removed; none to the new account: {subjects:?}");
    assert_eq!(events(&app, "ann", Action::FactorRemoved).await.len(), 1);
    // A dump without second factors says nothing about them.
    assert_eq!(factors(&plainly(&app, &[ann, user(2, "bob", &json!({}))]).await), (0, 0, 0));
    assert_eq!(login(&app, "bob").await["errors"][0]["code"], "SECOND_FACTOR_REQUIRED");
}

#[both_databases]
async fn second_factors_that_changed_here_stay(place: Place) {
    let app = TestApp::start(&place).await;
    let mut dump = vec![user(1, "ann", &json!({})), user(2, "bob", &json!({}))];
    dump.extend([device(1, &json!({})), device(2, &json!({}))]);
    dump.extend([tokens(1, &["aaaaaaaa"]), tokens(2, &["bbbbbbbb"])].concat());
    assert_eq!(factors(&plainly(&app, &dump).await), (2, 2, 0));
    // Ann gets another phone, and Bob removes his.
    let ann = client(&app, "ann").await;
    enroll(&app, &ann).await;
    let bob = client(&app, "bob").await;
    let id = bob.data(FACTORS, json!({})).await["me"]["factors"][0]["id"].clone();
    let delete = "mutation($id: ID!) { deleteFactor(input: { id: $id }) { errors { code field } } }";
    assert_eq!(bob.refusals(delete, json!({ "id": id })).await, [""; 0]);
    for changes in [json!({}), json!({ "last_t": now(&app) })] {
        let mut later = dump[..2].to_vec();
        later.extend([device(1, &changes), device(2, &changes)]);
        later.extend([tokens(1, &["aaaaaaaa", "cccccccc"]), tokens(2, &["bbbbbbbb", "dddddddd"])].concat());
        assert_eq!(factors(&plainly(&app, &later).await), (0, 0, 0));
    }
    let another = [dump[0].clone(), device(1, &json!({ "key": KEY.replace('0', "1") }))];
    assert_eq!(factors(&plainly(&app, &another).await), (0, 0, 0), "also if Django has another one since");
    assert_eq!(sign_in(&app, "ann", json!({ "totpCode": code(&app, 0) })).await, WRONG_APP);
    assert_eq!(codes_left(&app).await, 10, "Ann's new ones");
    assert_eq!(login(&app, "bob").await["errors"], json!([]));
}

#[both_databases]
async fn of_accounts_that_the_import_leaves_alone_only_used_codes_are_followed(place: Place) {
    let app = TestApp::start(&place).await;
    let people = [
        user(1, "boss", &json!({ "is_superuser": true, "is_staff": true })),
        user(2, "bob", &json!({})),
        user(3, "eve", &json!({})),
        user(4, "root", &json!({ "email": "ADMIN@localhost" })),
    ];
    let with = |last: i64, key: &str, token: &str| {
        let mut dump = people.to_vec();
        for pk in 1..=2 {
            dump.push(device(pk, &json!({ "key": key, "last_t": last })));
            dump.extend(tokens(pk, &["aaaaaaaa", token]));
        }
        dump
    };
    let options = Options { link: true, ..Options::default() };
    assert_eq!(factors(&move_in(&app, &with(-1, KEY, "bbbbbbbb"), options).await), (2, 4, 0));
    app.wait(Duration::from_secs(60));
    let rename = "mutation { updateMe(input: { firstName: \"Own\" }) { errors { code field } } }";
    assert_eq!(client(&app, "bob").await.refusals(rename, json!({})).await, [""; 0]);
    assert_eq!(app.anyone().sign_in("eve", OLD).await.refusals(rename, json!({})).await, [""; 0]);
    app.wait(Duration::from_secs(60));

    plainly(&app, &with(now(&app), KEY, "cccccccc")).await;
    for name in ["boss", "bob"] {
        assert_eq!(sign_in(&app, name, json!({ "totpCode": code(&app, 0) })).await, WRONG_APP, "{name}");
        for typed in ["bbbbbbbb", "cccccccc"] {
            assert_eq!(sign_in(&app, name, json!({ "recoveryCode": typed })).await, WRONG_CODE, "{name} {typed}");
        }
        assert_eq!(sign_in(&app, name, json!({ "recoveryCode": "aaaaaaaa" })).await, FINE, "{name}");
    }
    let mut dump = with(-1, &KEY.replace('0', "1"), "dddddddd");
    dump.extend([device(3, &json!({})), device(4, &json!({}))]);
    let report = plainly(&app, &dump).await;
    assert_eq!(factors(&report), (0, 0, 0));
    let stays = |id: u8| format!("{id} second factor: The authenticator app differs from the one in Django.");
    let all = told(&report);
    assert!([1, 2, 3].iter().all(|id| all.iter().any(|line| line.starts_with(&stays(*id)))), "{all:?}");
    app.wait(STEP);
    assert_eq!(sign_in(&app, "boss", json!({ "totpCode": code(&app, 1) })).await, FINE);
    assert_eq!(login(&app, "eve").await["errors"], json!([]));
    app.admin().await.data("{ me { id } }", json!({})).await;
}

#[both_databases]
async fn imported_codes_cannot_be_guessed(place: Place) {
    let app = TestApp::start(&place).await;
    let mut dump = vec![user(1, "ann", &json!({})), device(1, &json!({}))];
    dump.extend(tokens(1, &["aaaaaaaa"]));
    plainly(&app, &dump).await;
    for attempt in 0..20 {
        assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": format!("wrong{attempt}") })).await, WRONG_CODE);
    }
    let stopped = ["TOTP_STOPPED recoveryCode"];
    assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": "aaaaaaaa" })).await, stopped);
    assert_eq!(login(&app, "ann").await["challenge"]["methods"], json!([]));
    // Nobody guesses those created here.
    let code = RecoveryCode::random();
    let own = recovery_code::ActiveModel {
        digest: sea_orm::ActiveValue::Set(code.digest()),
        user_id: sea_orm::ActiveValue::Set(row(&app, "ann").await.id),
        created_at: sea_orm::ActiveValue::Set(app.clock_now()),
        sealed_code: sea_orm::ActiveValue::Set(None),
    };
    recovery_code::Entity::insert(own).exec_without_returning(app.db()).await.unwrap();
    assert_eq!(login(&app, "ann").await["challenge"]["methods"], json!(["RECOVERY_CODE"]));
    assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": code.to_text() })).await, FINE);
    app.wait(Duration::from_hours(24));
    assert_eq!(sign_in(&app, "ann", json!({ "recoveryCode": "aaaaaaaa" })).await, FINE);
}

#[both_databases]
async fn passkeys_of_allauth_sign_in_if_they_belong_to_the_domain(place: Place) {
    let app = TestApp::start(&place).await;
    let created = |phone: &mut Authenticator, domain: &str, handle: &str| {
        let options =
            json!({ "challenge": "eA", "excludeCredentials": [], "user": { "id": handle }, "rp": { "id": domain } });
        json!({ "name": "Master key", "credential": phone.create(&options) })
    };
    let mut phones: Vec<Authenticator> = (0..4).map(|_| Authenticator::new(&origin(&app))).collect();
    // By allauth: base64url of "10", which is 36 in base 36.
    let first = created(&mut phones[0], "localhost", "MTA");
    let elsewhere = created(&mut phones[1], "shop.example", "MTA");
    phones[2].verifies = false;
    let unverified = created(&mut phones[2], "localhost", "MTA");
    let dump = [
        user(36, "ann", &json!({})),
        authenticator(36, "webauthn", &first),
        authenticator(36, "webauthn", &elsewhere),
        authenticator(36, "webauthn", &unverified),
        authenticator(36, "recovery_codes", &json!({ "seed": SEED, "used_mask": 0 })),
    ];
    let report = plainly(&app, &dump).await;
    assert_eq!(factors(&report), (1, 10, 0));
    let expected = ["for another relying party", "the user was not verified"];
    let all = told(&report);
    assert!(all.len() == 2 && all.iter().zip(expected).all(|(told, reason)| told.contains(reason)), "{all:?}");
    assert_eq!(login(&app, "ann").await["challenge"]["methods"], json!(["PASSKEY", "RECOVERY_CODE"]));
    let signed_in = sign_in_with(&app, &phones[0].get(&request(&app).await)).await;
    assert_eq!(signed_in["errors"], json!([]));
    let id = passkey::Entity::find().one(app.db()).await.unwrap().unwrap();
    assert_eq!((id.name.as_str(), id.transports.as_str()), ("Master key", "hybrid,internal"));
    assert_eq!(events(&app, "ann", Action::PasskeyAdded).await.len(), 1);
    // A reset ends young passkeys, and this one is a month old.
    let set = "mutation($id: ID!) { setUserPassword(input: { id: $id, password: \"one of the staff desk\" }) {
        errors { code field }
    } }";
    assert_eq!(app.admin().await.refusals(set, json!({ "id": id.user_id })).await, [""; 0]);
    assert_eq!(sign_in_with(&app, &phones[0].get(&request(&app).await)).await["errors"], json!([]));
    // Another handle is another user.
    let mut bent = phones[0].get(&request(&app).await);
    bent["response"]["userHandle"] = json!("MTE");
    assert_eq!(sign_in_with(&app, &bent).await["errors"][0]["code"], "INVALID_CREDENTIALS");
}

#[both_databases]
async fn removed_passkeys_stay_removed(place: Place) {
    let app = TestApp::start(&place).await;
    let mut phone = Authenticator::new(&origin(&app));
    let options =
        json!({ "challenge": "eA", "excludeCredentials": [], "user": { "id": "MQ" }, "rp": { "id": "localhost" } });
    let data = json!({ "name": "x", "credential": phone.create(&options) });
    let (ann, bob) = (user(1, "ann", &json!({})), user(2, "bob", &json!({})));
    let dump = [ann.clone(), authenticator(1, "webauthn", &data), bob.clone()];
    assert_eq!(factors(&plainly(&app, &dump).await), (1, 0, 0));
    let signed_in = sign_in_with(&app, &phone.get(&request(&app).await)).await;
    let client = app.anyone().with_token(signed_in["tokens"]["accessToken"].as_str().unwrap());
    let id = passkey::Entity::find().one(app.db()).await.unwrap().unwrap().id;
    let delete = "mutation($id: ID!) { deletePasskey(input: { id: $id }) { errors { code field } } }";
    assert_eq!(client.refusals(delete, json!({ "id": id })).await, [""; 0]);
    assert_eq!(factors(&plainly(&app, &dump).await), (0, 0, 0));
    // Removed there.
    let mut second = Authenticator::new(&origin(&app));
    let data = json!({ "name": "y", "credential": second.create(&options) });
    assert_eq!(factors(&plainly(&app, &[ann.clone(), authenticator(1, "webauthn", &data)]).await), (1, 0, 0));
    let without = [ann, bob, device(2, &json!({}))];
    assert_eq!(factors(&plainly(&app, &without).await), (1, 0, 1));
    assert_eq!(login(&app, "ann").await["errors"], json!([]));
}

#[both_databases]
async fn a_dry_run_says_which_second_factors_would_come(place: Place) {
    let app = TestApp::start(&place).await;
    let mut dump = vec![user(1, "ann", &json!({})), device(1, &json!({}))];
    dump.extend(tokens(1, &["aaaaaaaa"]));
    let report = move_in(&app, &dump, Options { dry_run: true, ..Options::default() }).await;
    assert_eq!(factors(&report), (1, 1, 0));
    assert_eq!(factor::Entity::find().count(app.db()).await.unwrap() + codes_left(&app).await, 0);
    assert_eq!(factors(&plainly(&app, &dump).await), (1, 1, 0));
}

#[both_databases]
async fn second_factors_are_read_from_the_tables_of_a_project(place: Place) {
    let app = TestApp::start(&place).await;
    // Other tables of the same database serve as those of another application. The mapped id is not the primary key.
    for statement in [
        "CREATE TABLE people (pk integer PRIMARY KEY, nr text, mail text, pass text)",
        "CREATE TABLE otp_totp_totpdevice (id integer PRIMARY KEY, user_id integer, name text, confirmed boolean, key text,
            step integer, t0 bigint, digits integer, tolerance integer, drift integer, last_t bigint)",
        "CREATE TABLE otp_static_staticdevice (id integer PRIMARY KEY, user_id integer, name text, confirmed boolean)",
        "CREATE TABLE otp_static_statictoken (id integer PRIMARY KEY, device_id integer, token text)",
        "CREATE TABLE mfa_authenticator (id integer PRIMARY KEY, user_id integer, type text, data text,
            created_at text, last_used_at text)",
        &format!(
            "INSERT INTO people SELECT n, 'k' || n, 'p' || n || '@example.com', '{}' FROM
            (WITH RECURSIVE c(n) AS (SELECT 1001 UNION ALL SELECT n + 1 FROM c WHERE n < 1602) SELECT n FROM c) AS numbers",
            crate::django_import::HASHES[0].1
        ),
        &format!("INSERT INTO otp_totp_totpdevice VALUES (1, 1002, 'x', true, '{KEY}', 30, 0, 6, 1, 0, -1)"),
        &format!("INSERT INTO otp_totp_totpdevice VALUES (2, 1602, 'x', true, '{KEY}', 30, 0, 6, 1, 0, -1)"),
        &format!("INSERT INTO otp_totp_totpdevice VALUES (3, 1003, 'x', false, '{KEY}', 30, 0, 6, 1, 0, -1)"),
        "INSERT INTO otp_static_staticdevice VALUES (7, 1602, 'x', true), (8, 1002, 'x', false)",
        "INSERT INTO otp_static_statictoken VALUES (1, 7, 'mfrggzdf'), (2, 8, 'nbswy3dp')",
        &format!("INSERT INTO mfa_authenticator VALUES (1, 1004, 'totp', '{{\"secret\": \"{SECRET}\"}}',
            '2025-12-05 09:00:00+00', NULL)"),
    ] {
        app.db().execute_unprepared(statement).await.unwrap();
    }
    let mapping = "table = 'people'\n[columns]\nid = 'nr'\nemail = 'mail'\npassword = 'pass'\nfirst_name = ''\n\
        is_active = ''\nusername = ''\nlast_name = ''\nis_staff = ''\nis_superuser = ''\ndate_joined = ''\nlast_login = ''\n";
    let report = move_in_database(&app, &place, mapping).await.unwrap();
    assert_eq!((report.created, factors(&report)), (602, (3, 1, 0)), "{:?}", told(&report));
    for name in ["p1002@example.com", "p1004@example.com", "p1602@example.com"] {
        assert_eq!(sign_in(&app, name, json!({ "totpCode": code(&app, 0) })).await, FINE, "{name}");
    }
    assert_eq!(sign_in(&app, "p1602@example.com", json!({ "recoveryCode": "mfrggzdf" })).await, FINE);
    assert_eq!(login(&app, "p1003@example.com").await["errors"], json!([]));
    assert_eq!(factors(&move_in_database(&app, &place, mapping).await.unwrap()), (0, 0, 0));
    app.db().execute_unprepared("ALTER TABLE otp_totp_totpdevice DROP COLUMN drift").await.unwrap();
    let refused = move_in_database(&app, &place, mapping).await.unwrap_err();
    assert!(matches!(refused, Error::BadInput(text) if text.english().contains("otp_totp_totpdevice has no drift")));
}
