//! Registration without a password: no disclosure to strangers, no credential before the link, one account per link.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _};
use serde_json::{Value, json};
use vestibule::config::{Registration, SecondFactorPolicy};
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{mail, passkey, registration, session};

use super::{
    CHANGE_EMAIL, LOGIN, ME, REGISTER, RESEND, Reader, START, VERIFY, code, invited, joined, named, phone_of, refusal,
    rows,
};
use crate::authenticator::Authenticator;
use crate::parity::registration::{REGISTER as REGISTER_BY_PASSWORD, token, wanted};
use crate::passkeys::{request, sign_in};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

/// Password of a stranger who registers the same address.
const THEIRS: &str = "some third phrase of the attacker";

#[both_databases]
async fn the_account_exists_once_its_link_is_followed_with_a_passkey(place: Place) {
    let app = TestApp::start(&place).await;
    let link = invited(&app, "ada@example.com").await;
    let mut phone = phone_of(&app);
    let options = link.options(&app).await;
    assert_eq!((&options["rp"]["id"], &options["user"]["name"]), (&json!("localhost"), &json!("ada@example.com")));
    assert_eq!((&options["user"]["displayName"], &options["attestation"]), (&json!("Ada Lovelace"), &json!("none")));
    assert_eq!(rows(&app).await, [0; 4], "options write no row");

    let verified = link.with_passkey(&app, &phone.create(&options)).await;
    assert_eq!(verified["errors"], json!([]));
    let user = &verified["user"];
    assert_eq!((&user["username"], &user["firstName"]), (&json!("ada"), &json!("Ada")));
    assert_eq!((&user["isVerified"], &user["hasPassword"]), (&json!(true), &json!(false)));
    assert_eq!(user["hasSecondFactor"], true, "a passkey counts as two factors");
    assert_eq!(verified["recoveryCodes"].as_array().unwrap().len(), 10);
    assert_eq!(rows(&app).await, [1, 1, 1, 1]);
    assert_eq!(registration::Entity::find().count(app.db()).await.unwrap(), 0);
    let client = app.anyone().with_token(verified["tokens"]["accessToken"].as_str().unwrap());
    let me = client.data(ME, json!({})).await;
    assert_eq!((&me["me"]["passkeys"][0]["name"], &me["me"]["recoveryCodesLeft"]), (&json!("Ada's phone"), &json!(10)));
    assert_eq!(me["sessions"][0]["methods"], json!(["EMAIL_LINK", "PASSKEY"]));
    let mails = app.mails().await;
    assert!(mails.len() == 1 && mails[0].subject.contains("A passkey was added"), "{mails:?}");
    assert_eq!(link.start(&app).await["errors"][0]["code"], "INVALID_TOKEN", "the link is spent");

    let signed_in = sign_in(&app, &phone.get(&request(&app).await)).await;
    assert_eq!((code(&signed_in), &signed_in["user"]["id"]), ("none", &user["id"]));
}

#[both_databases]
async fn joining_leaves_its_events(place: Place) {
    let app = TestApp::start(&place).await;
    let known = audit_event::Entity::find().count(app.db()).await.unwrap();
    let link = invited(&app, "ada@example.com").await;
    app.wait(Duration::from_secs(1));
    link.join(&app, &mut phone_of(&app)).await;
    let events = audit_event::Entity::find().order_by_asc(audit_event::Column::Id).all(app.db()).await.unwrap();
    let actions: Vec<_> = events[usize::try_from(known).unwrap()..].iter().map(|event| event.action).collect();
    assert_eq!(actions, [Action::Registered, Action::EmailVerified, Action::PasskeyAdded]);
    assert!(events[usize::try_from(known).unwrap()..].iter().all(|event| event.target_id.is_some()));
}

#[both_databases]
async fn a_free_a_pending_and_a_taken_address_get_the_same_answer_for_the_same_work(place: Place) {
    let counter = Arc::new(AtomicUsize::new(0));
    let app = TestApp::start_counting(&place, Arc::clone(&counter)).await;
    app.add_user("ada").await;
    let observe = async |email: &str| {
        let before = counter.load(Ordering::SeqCst);
        let answer = app.anyone().send(REGISTER, json!({ "input": { "email": email } })).await;
        let statements = counter.load(Ordering::SeqCst) - before;
        let mut body = answer.body;
        let secret = body.pointer_mut("/data/registerWithoutPassword/registrationSecret").unwrap();
        *secret = json!(secret.as_str().map(str::len));
        (body, answer.status, statements)
    };
    let free = observe("eve@example.com").await;
    assert_eq!(free.0["data"]["registerWithoutPassword"]["success"], true);
    assert_eq!(observe("eve@example.com").await, free, "pending");
    assert_eq!(observe("ada@example.com").await, free, "taken");
    let by_password = app.anyone().data(REGISTER_BY_PASSWORD, wanted("bob@example.com")).await;
    assert_eq!(by_password["register"]["message"], free.0["data"]["registerWithoutPassword"]["message"]);

    let mails = app.mails().await;
    let to_owner = mails.iter().find(|mail| mail.to == "ada@example.com").unwrap();
    assert!(to_owner.text.contains("already have an account") && !to_owner.text.contains("token="));
    assert_eq!(registration::Entity::find().count(app.db()).await.unwrap(), 2, "the one of the taken address is gone");
}

#[both_databases]
async fn input_is_checked_as_for_a_registration_with_a_password(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let input = json!({ "input": { "email": "nonsense", "username": "a b", "firstName": "x".repeat(200) } });
    let refusals = app.anyone().refusals(REGISTER, input).await;
    assert_eq!(refusals, ["INVALID email", "INVALID username", "TOO_LONG firstName"]);
    assert_eq!(app.anyone().refusals(REGISTER, named("eve@example.com")).await, ["ALREADY_EXISTS username"]);
    assert_eq!(registration::Entity::find().count(app.db()).await.unwrap(), 0);
    for _ in 0..3 {
        app.anyone().data(REGISTER, json!({ "input": { "email": "eve@example.com" } })).await;
    }
    let fourth = json!({ "input": { "email": "eve@example.com" } });
    assert_eq!(app.anyone().code(REGISTER, fourth).await, "RATE_LIMITED", "mails are limited as for a password");
}

#[both_databases]
async fn registration_stays_closed_and_needs_passkeys(place: Place) {
    let app = TestApp::start(&place).await;
    let link = invited(&app, "ada@example.com").await;
    let credential = phone_of(&app).create(&link.options(&app).await);
    let before = rows(&app).await;
    let closed = app.start_second_with(&place, |config| config.registration = Registration::Closed).await;
    assert_eq!(closed.anyone().code(REGISTER, named("eve@example.com")).await, "FORBIDDEN");
    assert_eq!(refusal(&link.start(&closed).await), ("INVALID_TOKEN", "token"));
    assert_eq!(refusal(&link.with_passkey(&closed, &credential).await), ("INVALID_TOKEN", "token"));

    let off = app.start_second_with(&place, |config| config.second_factor = SecondFactorPolicy::Off).await;
    let nowhere =
        app.start_second_with(&place, |config| config.public_url = Some("https://192.0.2.1".parse().unwrap())).await;
    for app in [&off, &nowhere] {
        assert_eq!(app.anyone().code(REGISTER, named("eve@example.com")).await, "FORBIDDEN");
        let input = json!({ "input": { "token": link.token } });
        assert_eq!(app.anyone().code(START, input).await, "FORBIDDEN");
        let input = json!({ "input": { "token": link.token, "passkey": credential } });
        assert_eq!(app.anyone().code(VERIFY, input).await, "FORBIDDEN");
    }
    assert_eq!(rows(&app).await, before);
    // The registration is not lost: a password does as well.
    let verified = link.verify(&off, json!({ "password": PASSWORD })).await;
    assert_eq!((&verified["user"]["username"], &verified["user"]["hasPassword"]), (&json!("ada"), &json!(true)));
}

#[both_databases]
async fn a_link_alone_makes_no_account_without_a_password(place: Place) {
    let app = TestApp::start(&place).await;
    let link = invited(&app, "ada@example.com").await;
    for reader in [link.clone(), link.elsewhere()] {
        let asked = reader.verify(&app, json!({})).await;
        assert_eq!(refusal(&asked), ("PASSWORD_REQUIRED", "password"));
        let message = "Create a passkey, or enter a password, to confirm ada@example.com.";
        assert_eq!(asked["errors"][0]["message"], message);
    }
    assert_eq!(rows(&app).await, [0; 4]);
    let both = json!({ "password": PASSWORD, "passkey": phone_of(&app).create(&link.options(&app).await) });
    assert_eq!(refusal(&link.verify(&app, both).await), ("INVALID", "passkey"));
    // An account without a credential could not sign in, so a second mail changes nothing either.
    app.anyone().data(RESEND, json!({ "email": "ada@example.com" })).await;
    let again = Reader { token: token(&app.mails().await[0]), ..link.clone() };
    assert_eq!(code(&link.verify(&app, json!({})).await), "INVALID_TOKEN");
    assert_eq!(code(&again.verify(&app, json!({})).await), "PASSWORD_REQUIRED");
    let verified = again.join(&app, &mut phone_of(&app)).await;
    assert_eq!((code(&verified), &verified["user"]["username"]), ("none", &json!("ada")));
}

#[both_databases]
async fn a_password_may_be_set_at_the_link_instead(place: Place) {
    let app = TestApp::start(&place).await;
    let link = invited(&app, "ada@example.com").await;
    assert_eq!(refusal(&link.verify(&app, json!({ "password": "" })).await), ("PASSWORD_REQUIRED", "password"));
    assert_eq!(refusal(&link.verify(&app, json!({ "password": "short" })).await), ("PASSWORD_TOO_SHORT", "password"));
    let similar = json!({ "password": "Ada Lovelace 2026" });
    assert_eq!(refusal(&link.verify(&app, similar).await), ("PASSWORD_TOO_SIMILAR", "password"));
    let verified = link.verify(&app, json!({ "password": PASSWORD })).await;
    assert_eq!((&verified["user"]["username"], &verified["recoveryCodes"]), (&json!("ada"), &Value::Null));
    app.anyone().sign_in("ada", PASSWORD).await;
    assert_eq!(rows(&app).await[1], 0);
}

#[both_databases]
async fn another_client_with_the_link_keeps_only_the_address(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    for by_passkey in [true, false] {
        let email = format!("ada-{by_passkey}@example.com");
        let reader = invited(&app, &email).await.elsewhere();
        let shown = reader.options(&app).await["user"].clone();
        assert_eq!((&shown["name"], &shown["displayName"]), (&json!(email), &json!(email)), "no names of a stranger");
        let verified = match by_passkey {
            true => reader.join(&app, &mut phone_of(&app)).await,
            false => reader.verify(&app, json!({ "password": PASSWORD })).await,
        };
        assert_eq!((code(&verified), &verified["user"]["email"]), ("none", &json!(email)));
        let username = verified["user"]["username"].as_str().unwrap();
        assert!(username.starts_with("user-") && verified["user"]["firstName"] == "", "{verified}");
        assert_eq!(verified["user"]["hasPassword"], !by_passkey);
        app.mails().await;
    }
}

/// The registrations of a stranger and of the owner of an address, in both orders. The owner reads the last mail, and never
/// gets a credential that they did not create.
#[both_databases]
async fn no_order_of_registrations_gives_a_stranger_a_way_in(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let register = async |email: &str, by_password: Option<&str>| {
        let answer = match by_password {
            Some(password) => {
                let input = json!({ "input": { "email": email, "password": password, "firstName": "Planted" } });
                app.anyone().data(REGISTER_BY_PASSWORD, input).await["register"].clone()
            }
            None => {
                let input = json!({ "input": { "email": email, "firstName": "Planted" } });
                app.anyone().data(REGISTER, input).await["registerWithoutPassword"].clone()
            }
        };
        Some(answer["registrationSecret"].as_str().unwrap().to_owned())
    };
    let mut cases = 0;
    for stranger in [Some(THEIRS), None] {
        for owner in [None, Some(None), Some(Some(PASSWORD))] {
            for stranger_is_last in [true, false] {
                for ends_with_passkey in [true, false] {
                    cases += 1;
                    let email = format!("ada{cases}@example.com");
                    let mut secret = None;
                    if stranger_is_last {
                        if let Some(owner) = owner {
                            secret = register(&email, owner).await;
                        }
                        register(&email, stranger).await;
                    } else {
                        register(&email, stranger).await;
                        if let Some(owner) = owner {
                            secret = register(&email, owner).await;
                        }
                    }
                    let mails = app.mails().await;
                    assert_eq!(mails.len(), 1, "only the last registration has a mail");
                    let link = Reader { token: token(&mails[0]), secret };
                    let mut phone = phone_of(&app);
                    let verified = match ends_with_passkey {
                        true => link.join(&app, &mut phone).await,
                        false => link.verify(&app, json!({ "password": PASSWORD })).await,
                    };
                    assert_eq!(code(&verified), "none", "case {cases}: {verified}");
                    let is_own = !stranger_is_last && owner.is_some();
                    assert_eq!(verified["user"]["firstName"] == "Planted", is_own, "case {cases}: {verified}");
                    let login = json!({ "name": email, "password": THEIRS });
                    assert_eq!(code(&app.anyone().data(LOGIN, login).await["login"]), "INVALID_CREDENTIALS");
                    let id: uuid::Uuid = verified["user"]["id"].as_str().unwrap().parse().unwrap();
                    let theirs = passkey::Entity::find().filter(passkey::Column::UserId.eq(id));
                    assert_eq!(theirs.count(app.db()).await.unwrap(), u64::from(ends_with_passkey), "case {cases}");
                    let own = json!({ "name": email, "password": PASSWORD });
                    let by_password = app.anyone().data(LOGIN, own).await["login"].clone();
                    assert_eq!(code(&by_password) == "none", !ends_with_passkey, "a passkey replaces every password");
                    let sessions = session::Entity::find().filter(session::Column::UserId.eq(id));
                    assert_eq!(sessions.count(app.db()).await.unwrap(), 1 + u64::from(!ends_with_passkey));
                    app.mails().await;
                }
            }
        }
    }
    assert_eq!(cases, 24);
}

#[both_databases]
async fn a_passkey_counts_for_its_own_registration_only_and_the_link_stays_good(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let other = invited(&app, "eve@example.com").await.options(&app).await;
    let input = json!({ "input": { "email": "ada@example.com" } });
    app.anyone().data(REGISTER, input).await;
    let link = Reader { token: token(&app.mails().await[0]), secret: None };
    let own = link.options(&app).await;
    let client = app.add_user("bob").await.sign_in(&app).await;
    let before = rows(&app).await;
    let bent = |change: &dyn Fn(&mut Authenticator, &mut Value)| {
        let (mut phone, mut options) = (phone_of(&app), own.clone());
        change(&mut phone, &mut options);
        phone.create(&options)
    };
    let challenge_of = |value: Value| bent(&move |_, options| options["challenge"] = value.clone());
    for (why, credential, refused) in [
        ("another registration", challenge_of(other["challenge"].clone()), "INVALID_TOKEN"),
        ("a sign-in", challenge_of(request(&app).await["challenge"].clone()), "INVALID_TOKEN"),
        ("made up", challenge_of(json!("eA")), "INVALID_TOKEN"),
        ("another origin", bent(&|phone, _| "https://evil.example".clone_into(&mut phone.origin)), "INVALID"),
        ("another domain", bent(&|_, options| options["rp"]["id"] = json!("evil.example")), "INVALID"),
        ("without a PIN", bent(&|phone, _| phone.verifies = false), "INVALID"),
    ] {
        assert_eq!(refusal(&link.with_passkey(&app, &credential).await), (refused, "passkey"), "{why}");
    }
    let mut broken = bent(&|_, _| {});
    broken["response"]["attestationObject"] = json!("not base64url!");
    assert_eq!(refusal(&link.with_passkey(&app, &broken).await), ("INVALID", "passkey"));
    let long = json!({ "passkey": bent(&|_, _| {}), "passkeyName": "x".repeat(101) });
    assert_eq!(refusal(&link.verify(&app, long).await), ("TOO_LONG", "passkeyName"));
    // Nor does the passkey of a registration become one of a signed-in user.
    let finish = "mutation($c: PasskeyRegistrationInput!) { finishPasskeyRegistration(input: { credential: $c }) {
        errors { code field }
    } }";
    assert_eq!(client.refusals(finish, json!({ "c": bent(&|_, _| {}) })).await, ["INVALID_TOKEN credential"]);
    assert_eq!(rows(&app).await, before);

    let late = bent(&|_, _| {});
    app.wait(Duration::from_secs(10 * 60));
    assert_eq!(refusal(&link.with_passkey(&app, &late).await), ("INVALID_TOKEN", "passkey"), "after ten minutes");
    let options = link.options(&app).await;
    assert_eq!(options["user"]["id"], own["user"]["id"], "an authenticator replaces the one of the first attempt");
    assert_eq!(code(&link.join(&app, &mut phone_of(&app)).await), "none");
}

#[both_databases]
async fn nothing_comes_of_a_passkey_without_a_good_link(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let link = invited(&app, "ada@example.com").await;
    let options = link.options(&app).await;
    let credential = phone_of(&app).create(&options);
    for wrong in ["", "nonsense", &"A".repeat(43)] {
        let reader = Reader { token: wrong.to_owned(), ..link.clone() };
        assert_eq!(refusal(&reader.start(&app).await), ("INVALID_TOKEN", "token"));
        assert_eq!(refusal(&reader.with_passkey(&app, &credential).await), ("INVALID_TOKEN", "token"));
    }
    // A link to a new address of an account leads to no passkey.
    let bob = app.add_user("bob").await.sign_in(&app).await;
    bob.data(CHANGE_EMAIL, json!({ "current": PASSWORD })).await;
    let moving = Reader { token: token(&app.mails().await[0]), secret: None };
    assert_eq!(refusal(&moving.start(&app).await), ("INVALID_TOKEN", "token"));
    assert_eq!(refusal(&moving.with_passkey(&app, &credential).await), ("PASSWORD_REQUIRED", "password"));
    app.wait(Duration::from_secs(24 * 60 * 60));
    assert_eq!(refusal(&link.start(&app).await), ("INVALID_TOKEN", "token"), "expired");
    assert_eq!(refusal(&link.with_passkey(&app, &credential).await), ("INVALID_TOKEN", "token"), "expired");
    assert_eq!(passkey::Entity::find().count(app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn wrong_links_are_limited(place: Place) {
    let app = TestApp::start(&place).await;
    let link = invited(&app, "ada@example.com").await;
    for _ in 0..40 {
        link.options(&app).await;
    }
    let wrong = Reader { token: "A".repeat(43), secret: None };
    for _ in 0..30 {
        assert_eq!(code(&wrong.start(&app).await), "INVALID_TOKEN");
    }
    let input = json!({ "input": { "token": link.token } });
    assert_eq!(app.anyone().code(START, input).await, "RATE_LIMITED");
}

#[both_databases]
async fn of_many_passkeys_for_one_link_at_once_one_gets_the_account(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let link = invited(&app, "ada@example.com").await;
    let mut attempts = Vec::new();
    for number in 0..10 {
        let credential = phone_of(&app).create(&link.options(&app).await);
        attempts.push((if number % 2 == 0 { &app } else { &second }, credential));
    }
    let uses = attempts.iter().map(|(app, credential)| link.with_passkey(app, credential));
    let outcomes = futures_util::future::join_all(uses).await;
    assert_eq!(outcomes.iter().filter(|outcome| code(outcome) == "none").count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| refusal(outcome) == ("INVALID_TOKEN", "token")).count(), 9);
    assert_eq!(rows(&app).await, [1, 1, 1, 1], "one account, one passkey, one session");
}

#[both_databases]
async fn an_address_or_a_passkey_taken_meanwhile_gives_no_account(place: Place) {
    let app = TestApp::start(&place).await;
    let link = invited(&app, "ada@example.com").await;
    let (bob, mut phone) = joined(&app, "bob@example.com").await;
    let mut options = link.options(&app).await;
    options["excludeCredentials"] = json!([]);
    let refused = link.with_passkey(&app, &phone.create(&options)).await;
    assert_eq!(refusal(&refused), ("ALREADY_EXISTS", "passkey"), "the passkey of another account");
    assert_eq!(registration::Entity::find().count(app.db()).await.unwrap(), 1, "the link stays good");
    bob.data("{ me { id } }", json!({})).await;

    let other = json!({ "email": "ada@example.com", "password": PASSWORD });
    app.add(other).await;
    let before = rows(&app).await;
    let refused = link.join(&app, &mut phone_of(&app)).await;
    assert_eq!(refusal(&refused), ("INVALID_TOKEN", "token"), "the address has an account now");
    assert_eq!(rows(&app).await, before);
}

#[both_databases]
async fn a_username_taken_meanwhile_gets_a_number(place: Place) {
    let app = TestApp::start(&place).await;
    let (first, second) = (invited(&app, "one@example.com").await, invited(&app, "two@example.com").await);
    let one = first.join(&app, &mut phone_of(&app)).await;
    let two = second.join(&app, &mut phone_of(&app)).await;
    assert_eq!(one["user"]["username"], "ada");
    let username = two["user"]["username"].as_str().unwrap();
    assert!(username.starts_with("ada") && username.len() > 3, "{username}");
}

#[both_databases]
async fn an_old_link_confirms_but_does_not_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let link = invited(&app, "ada@example.com").await;
    app.wait(Duration::from_secs(60 * 60) + Duration::from_millis(1));
    let mut phone = phone_of(&app);
    let verified = link.join(&app, &mut phone).await;
    assert_eq!((code(&verified), &verified["tokens"]), ("none", &Value::Null));
    assert_eq!(verified["recoveryCodes"].as_array().unwrap().len(), 10);
    assert_eq!(code(&sign_in(&app, &phone.get(&request(&app).await)).await), "none");
}

#[both_databases]
async fn a_session_of_another_account_outlives_the_link(place: Place) {
    let app = TestApp::start(&place).await;
    let eve = app.add_user("eve").await.sign_in(&app).await;
    let link = invited(&app, "ada@example.com").await;
    let credential = phone_of(&app).create(&link.options(&app).await);
    let browser = app.anyone().with_header("cookie", format!("refresh_token={}", eve.refresh));
    let input = json!({ "input": { "token": link.token, "passkey": credential } });
    let answer = browser.send(VERIFY, input).await;
    let verified = &answer.body["data"]["verifyEmail"];
    assert_eq!((code(verified), &verified["tokens"], answer.header("set-cookie")), ("none", &Value::Null, ""));
    eve.data("{ me { id } }", json!({})).await;
}

#[both_databases]
async fn nothing_secret_is_stored_before_the_link_is_followed(place: Place) {
    let app = TestApp::start(&place).await;
    let link = invited(&app, "ada@example.com").await;
    link.options(&app).await;
    let stored = registration::Entity::find().one(app.db()).await.unwrap().unwrap();
    assert_eq!((stored.password_hash.as_str(), stored.password()), ("", None));
    let mail = mail::Entity::find().one(app.db()).await.unwrap().unwrap();
    assert_eq!((mail.kind, mail.sealed_token), (mail::Kind::VerifyEmail, None));
    assert_ne!(
        link.options(&app).await["user"]["id"],
        json!(stored.id.to_string()),
        "ids of mails are no ids of users"
    );
}
