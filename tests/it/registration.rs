//! Registration: no disclosure to strangers, no advantage of registering first, one account per link.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _};
use serde_json::{Value, json};
use vestibule::config::Registration;
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{mail, registration, session, user};
use vestibule::tools::mail::SendError;
use vestibule::tools::secret::Secret;

use crate::parity::registration::{Link, REGISTER, VERIFY, register, sign_up, token, wanted};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const RESEND: &str = "mutation($email: String!) { resendVerification(input: { email: $email }) {
    success message errors { code field }
} }";

const LONG: &str = "some third phrase of the attacker";

/// Follows a link as the client that registered.
async fn verify(app: &TestApp, link: &Link) -> Value {
    app.anyone().data(VERIFY, link.variables()).await["verifyEmail"].clone()
}

async fn verify_refused(app: &TestApp, link: &Link) {
    let refused = json!({ "user": null, "tokens": null, "errors": [{ "code": "INVALID_TOKEN", "field": "token" }] });
    assert_eq!(verify(app, link).await, refused);
}

fn with_password(email: &str, password: &str) -> Value {
    json!({ "input": { "email": email, "password": password } })
}

fn with_username(email: &str, username: &str) -> Value {
    json!({ "input": { "email": email, "password": PASSWORD, "username": username } })
}

/// Numbers of mails, audit events and registrations.
async fn rows(app: &TestApp) -> [u64; 3] {
    [
        mail::Entity::find().count(app.db()).await.unwrap(),
        audit_event::Entity::find().count(app.db()).await.unwrap(),
        registration::Entity::find().count(app.db()).await.unwrap(),
    ]
}

/// Response to a registration, and the number of its statements.
async fn observe(
    app: &TestApp,
    counter: &AtomicUsize,
    document: &str,
    variables: Value,
) -> (Value, Vec<String>, usize) {
    let before = counter.load(Ordering::SeqCst);
    let answer = app.anyone().send(document, variables).await;
    let statements = counter.load(Ordering::SeqCst) - before;
    let headers = answer.headers.iter().filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
    let mut body = answer.body;
    if let Some(secret) = body.pointer_mut("/data/register/registrationSecret") {
        *secret = json!(secret.as_str().map(str::len));
    }
    (body, headers.map(|(name, value)| format!("{name}: {value:?}")).collect(), statements)
}

#[both_databases]
async fn a_free_a_pending_and_a_taken_address_get_the_same_answer_for_the_same_work(place: Place) {
    let counter = Arc::new(AtomicUsize::new(0));
    let app = TestApp::start_counting(&place, Arc::clone(&counter)).await;
    app.add_user("ada").await;
    let start = rows(&app).await;
    let free = observe(&app, &counter, REGISTER, wanted("eve@example.com")).await;
    let after_free = rows(&app).await;
    let pending = observe(&app, &counter, REGISTER, wanted("eve@example.com")).await;
    let after_pending = rows(&app).await;
    let taken = observe(&app, &counter, REGISTER, wanted("ada@example.com")).await;
    let after_taken = rows(&app).await;
    assert_eq!(free.0["data"]["register"]["success"], true);
    assert_eq!(free, pending);
    assert_eq!(free, taken);
    let written =
        |before: [u64; 3], after: [u64; 3]| [after[0] - before[0], after[1] - before[1], after[2] - before[2]];
    assert_eq!(written(start, after_free), [1, 1, 1]);
    assert_eq!(written(after_free, after_pending), [1, 1, 0], "the registration is replaced");
    assert_eq!(written(after_pending, after_taken), [1, 1, 1]);
}

#[both_databases]
async fn a_request_for_another_mail_reveals_nothing(place: Place) {
    let counter = Arc::new(AtomicUsize::new(0));
    let app = TestApp::start_counting(&place, Arc::clone(&counter)).await;
    app.add_user("ada").await;
    register(&app, wanted("eve@example.com")).await;
    let before = rows(&app).await;
    let mut seen = Vec::new();
    for email in ["nobody@example.com", "eve@example.com", "ada@example.com"] {
        seen.push(observe(&app, &counter, RESEND, json!({ "email": email })).await);
    }
    assert_eq!(seen[0].0["data"]["resendVerification"]["success"], true);
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    let after = rows(&app).await;
    assert_eq!((after[0] - before[0], after[1] - before[1], after[2] - before[2]), (3, 0, 0));
    let mails = app.mails().await;
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["eve@example.com"]);
    assert_eq!(rows(&app).await[0], before[0] + 1, "what nobody waits for leaves nothing behind");
    assert_eq!(app.anyone().refusals(RESEND, json!({ "email": "nonsense" })).await, ["INVALID email"]);
    assert_eq!(app.anyone().refusals(RESEND, json!({ "email": " " })).await, ["REQUIRED email"]);
}

#[both_databases]
async fn the_owner_of_a_taken_address_is_notified_by_mail(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = json!({ "email": "Ada@example.com", "firstName": "Ada", "lastName": "Lovelace", "password": PASSWORD });
    app.add(ada).await;
    let mut input = with_password("ADA@EXAMPLE.COM", LONG);
    input["input"]["firstName"] = json!("Mallory");
    app.anyone().data(REGISTER, input).await;
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "Ada@example.com"), "it goes to the address that is stored");
    assert!(mails[0].text.contains("Hello Ada Lovelace,") && mails[0].text.contains("already have an account"));
    assert!(!mails[0].text.contains("Mallory") && !mails[0].text.contains("token="), "{}", mails[0].text);
    assert_eq!(registration::Entity::find().count(app.db()).await.unwrap(), 0);
    app.anyone().data(RESEND, json!({ "email": "ada@example.com" })).await;
    assert_eq!(app.mails().await.len(), 0);
    app.anyone().sign_in("ada@example.com", PASSWORD).await;
}

#[both_databases]
async fn word_to_the_owner_is_tried_again(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    app.anyone().data(REGISTER, wanted("ada@example.com")).await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    assert_eq!(app.mails().await.len(), 0);
    app.wait(Duration::from_mins(1));
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "ada@example.com"));
    assert!(mails[0].text.contains("already have an account"));
}

#[both_databases]
async fn the_link_that_is_followed_decides_the_password(place: Place) {
    let app = TestApp::start(&place).await;
    let attacker = register(&app, with_password("ada@example.com", LONG)).await;
    let owner = register(&app, wanted("Ada@example.com")).await;
    verify_refused(&app, &attacker).await;
    assert_eq!(verify(&app, &owner).await["user"]["email"], "Ada@example.com");
    app.anyone().sign_in("ada@example.com", PASSWORD).await;
    let login = "mutation($p: String!) { login(input: { identifier: \"ada@example.com\", password: $p }) {
        errors { code field } } }";
    assert_eq!(app.anyone().refusals(login, json!({ "p": LONG })).await, ["INVALID_CREDENTIALS"]);
}

#[both_databases]
async fn only_the_last_of_two_registrations_gets_a_mail(place: Place) {
    let app = TestApp::start(&place).await;
    app.anyone().data(REGISTER, with_username("ada@example.com", "first")).await;
    let second = register(&app, with_username("ada@example.com", "second")).await;
    assert_eq!(verify(&app, &second).await["user"]["username"], "second");
    assert_eq!(rows(&app).await[2], 0);
}

/// Address with Cyrillic letters that look like Latin ones.
const LOOK_ALIKE: &str = "аdа@example.com";

#[both_databases]
async fn of_look_alike_addresses_only_one_gets_an_account(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let plain = register(&app, wanted("ada@example.com")).await;
    let look_alike = register(&app, wanted(LOOK_ALIKE)).await;
    // Each registration is pending for its own address, and neither replaces the other.
    app.anyone().data(RESEND, json!({ "email": "Ada@example.com" })).await;
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "ada@example.com"));
    let plain = Link { token: token(&mails[0]), ..plain };
    assert_eq!(verify(&app, &plain).await["errors"], json!([]));
    verify_refused(&app, &look_alike).await;

    // Ada is unrelated to the look-alike, whose owner learns nothing of her account.
    app.anyone().data(REGISTER, wanted(LOOK_ALIKE)).await;
    assert_eq!(app.mails().await.len(), 0);
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 2);
}

#[both_databases]
async fn look_alike_names_are_one(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    for name in ["ADA", "аdа", "ａｄａ"] {
        let refusals = app.anyone().refusals(REGISTER, with_username("eve@example.com", name)).await;
        assert!(refusals == ["ALREADY_EXISTS username"] || refusals == ["INVALID username"], "{name}: {refusals:?}");
    }
    let refusals = app.anyone().refusals(REGISTER, with_username("eve@example.com", "аdа")).await;
    assert_eq!(refusals, ["ALREADY_EXISTS username"]);
    assert_eq!(rows(&app).await[2], 0);
}

#[both_databases]
async fn a_name_taken_meanwhile_gets_a_number(place: Place) {
    let app = TestApp::start(&place).await;
    let long = "x".repeat(150);
    for name in ["ada", &long] {
        let one = register(&app, with_username("one@example.com", name)).await;
        let two = register(&app, with_username("two@example.com", name)).await;
        let made = register(&app, wanted(&format!("{}@three.example", &name[..name.len().min(64)]))).await;
        assert_eq!(verify(&app, &one).await["user"]["username"], name);
        for (other, is_chosen) in [(two, true), (made, false)] {
            let user = verify(&app, &other).await;
            let username = user["user"]["username"].as_str().unwrap();
            assert!(username != name && username.len() <= 150, "{username}");
            assert_eq!(username.starts_with(&name[..name.len().min(64)]), is_chosen, "{username}");
        }
        user::Entity::delete_many().filter(user::Column::IsSuperuser.eq(false)).exec(app.db()).await.unwrap();
    }
}

#[both_databases]
async fn an_address_taken_meanwhile_leaves_the_link_worthless(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, with_password("ada@example.com", LONG)).await;
    let ada = app.add_user("ada").await;
    verify_refused(&app, &link).await;
    ada.sign_in(&app).await;
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 2);
}

#[both_databases]
async fn closed_registration_closes_every_way_in(place: Place) {
    let open = TestApp::start(&place).await;
    let link = register(&open, wanted("ada@example.com")).await;
    open.anyone().data(REGISTER, wanted("eve@example.com")).await;
    open.anyone().data(RESEND, json!({ "email": "ada@example.com" })).await;
    let app = open.start_second_with(&place, |config| config.registration = Registration::Closed).await;
    assert_eq!(app.mails().await.len(), 0, "links that are worthless are not sent");
    let before = rows(&app).await;
    assert_eq!(app.anyone().code(REGISTER, wanted("bob@example.com")).await, "FORBIDDEN");
    assert_eq!(app.anyone().code(REGISTER, wanted("nonsense")).await, "FORBIDDEN");
    assert_eq!(app.anyone().code(RESEND, json!({ "email": "ada@example.com" })).await, "FORBIDDEN");
    verify_refused(&app, &link).await;
    assert_eq!(rows(&app).await, before);
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 1);
    app.add_user("grace").await;
}

#[both_databases]
async fn of_many_concurrent_uses_of_a_link_one_gets_the_account(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let link = register(&app, wanted("ada@example.com")).await;
    let attempts = (0..20).map(|number| {
        let app = if number % 2 == 0 { &app } else { &second };
        verify(app, &link)
    });
    let outcomes = futures_util::future::join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome["user"].is_object()).count(), 1);
    let refused = outcomes.iter().filter(|outcome| outcome["errors"][0]["code"] == "INVALID_TOKEN").count();
    assert_eq!(refused, 19);
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 2);
    assert_eq!(session::Entity::find().count(app.db()).await.unwrap(), 1);
}

#[both_databases]
async fn another_mail_has_another_link_and_the_first_is_dead(place: Place) {
    let app = TestApp::start(&place).await;
    let first = register(&app, wanted("ada@example.com")).await;
    app.wait(Duration::from_hours(23));
    app.anyone().data(RESEND, json!({ "email": "ADA@example.com" })).await;
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "ada@example.com"));
    verify_refused(&app, &first).await;
    app.wait(Duration::from_hours(23));
    let second = Link { token: token(&mails[0]), ..first };
    assert_eq!(verify(&app, &second).await["user"]["email"], "ada@example.com");
    app.anyone().data(RESEND, json!({ "email": "ada@example.com" })).await;
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn an_old_link_confirms_but_does_not_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let young = register(&app, wanted("ada@example.com")).await;
    let old = register(&app, wanted("eve@example.com")).await;
    app.wait(Duration::from_hours(1));
    assert!(verify(&app, &young).await["tokens"]["refreshToken"].is_string());
    app.wait(Duration::from_millis(1));
    let answer = app.anyone().send(VERIFY, old.variables()).await;
    let payload = &answer.body["data"]["verifyEmail"];
    assert_eq!((&payload["user"]["isVerified"], &payload["tokens"]), (&json!(true), &json!(null)));
    assert_eq!(answer.header("set-cookie"), "");
    app.anyone().sign_in("eve@example.com", PASSWORD).await;

    // The age of the link counts, not that of the registration.
    let first = register(&app, wanted("bob@example.com")).await;
    app.wait(Duration::from_hours(2));
    app.anyone().data(RESEND, json!({ "email": "bob@example.com" })).await;
    let fresh = Link { token: token(&app.mails().await[0]), ..first };
    assert!(verify(&app, &fresh).await["tokens"].is_object());
}

#[both_databases]
async fn the_worker_deletes_expired_registrations(place: Place) {
    let app = TestApp::start(&place).await;
    register(&app, wanted("ada@example.com")).await;
    app.wait(Duration::from_hours(23));
    register(&app, wanted("eve@example.com")).await;
    app.wait(Duration::from_hours(1));
    vestibule::worker::run_maintenance(&app.app).await.unwrap();
    let left = registration::Entity::find().one(app.db()).await.unwrap().unwrap();
    assert_eq!(left.email, "eve@example.com");
    app.anyone().data(RESEND, json!({ "email": "ada@example.com" })).await;
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn a_second_copy_of_the_mail_has_the_same_link(place: Place) {
    let app = TestApp::start(&place).await;
    let secret = sign_up(&app, wanted("ada@example.com")).await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    assert_eq!(app.mails().await.len(), 0);
    let made = registration::Entity::find().one(app.db()).await.unwrap().unwrap().digest;
    app.wait(Duration::from_mins(1));
    let link = Link { token: token(&app.mails().await[0]), secret };
    assert_eq!(made, Some(Secret::<32>::from_text(&link.token).unwrap().digest()));
    assert!(verify(&app, &link).await["user"].is_object());
}

#[both_databases]
async fn a_mail_that_was_overtaken_while_it_waited_is_not_sent(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    for overtake in [(REGISTER, wanted("ada@example.com")), (RESEND, json!({ "email": "ada@example.com" }))] {
        app.anyone().data(REGISTER, wanted("ada@example.com")).await;
        app.transport().fail_next(1, &SendError::temporary("451 later"));
        assert_eq!(app.mails().await.len(), 0);
        app.anyone().data(overtake.0, overtake.1).await;
        let newer = app.mails().await;
        assert_eq!(newer.len(), 1);
        app.wait(Duration::from_mins(1));
        assert_eq!(app.mails().await.len(), 0, "its link is dead");
        assert!(registration::Entity::find().one(app.db()).await.unwrap().unwrap().digest.is_some());
    }
}

#[both_databases]
async fn nothing_secret_is_stored(place: Place) {
    let app = TestApp::start(&place).await;
    let link = register(&app, wanted("ada@example.com")).await;
    let stored = registration::Entity::find().one(app.db()).await.unwrap().unwrap();
    assert!(stored.password_hash.starts_with("$argon2id$"));
    assert_eq!(stored.digest, Some(Secret::<32>::from_text(&link.token).unwrap().digest()));
    assert_eq!(stored.secret_digest, Some(Secret::<32>::from_text(&link.secret).unwrap().digest()));
    let mail = mail::Entity::find().one(app.db()).await.unwrap().unwrap();
    assert_eq!((mail.kind, mail.sealed_token), (mail::Kind::VerifyEmail, None));
}

#[both_databases]
async fn registering_leaves_its_events(place: Place) {
    let app = TestApp::start(&place).await;
    let known = audit_event::Entity::find().count(app.db()).await.unwrap();
    let link = register(&app, wanted("ada@example.com")).await;
    app.wait(Duration::from_secs(1));
    let id = verify(&app, &link).await["user"]["id"].as_str().unwrap().parse::<uuid::Uuid>().ok();
    verify_refused(&app, &link).await;
    app.anyone().refusals(REGISTER, wanted("nonsense")).await;
    let events = audit_event::Entity::find().order_by_asc(audit_event::Column::CreatedAt).all(app.db()).await.unwrap();
    let seen: Vec<_> = events[usize::try_from(known).unwrap()..]
        .iter()
        .map(|event| (event.action, event.actor_id, event.target_id, event.ip.as_deref()))
        .collect();
    let from = Some("127.0.0.1");
    assert_eq!(seen, [(Action::Registered, None, id, from), (Action::EmailVerified, id, id, from)]);
}

#[both_databases]
async fn no_header_can_be_smuggled_into_a_mail(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    for smuggled in [
        "\r\nBcc: spy@evil.example",
        "\nBcc: spy@evil.example",
        "\rBcc: spy@evil.example",
        "\u{2028}Bcc: x",
        "\u{0}",
        "%0d%0aBcc: spy@evil.example",
        ",spy@evil.example",
        " <spy@evil.example>",
        ";spy@evil.example",
    ] {
        let email = format!("eve@example.com{smuggled}");
        let answer = app.anyone().send(REGISTER, wanted(&email)).await;
        assert_ne!(answer.body["data"]["register"]["success"], true, "{email:?}");
        let mut named = wanted("eve@example.com");
        named["input"]["firstName"] = json!(format!("Eve{smuggled}"));
        named["input"]["lastName"] = json!(format!("\"<spy@evil.example>\", {smuggled}"));
        app.anyone().send(REGISTER, named).await;
        let reset = "mutation($e: String!) { requestReset(input: { email: $e }) { success } }";
        app.anyone().send(reset, json!({ "e": format!("admin@localhost{smuggled}") })).await;
        for mail in app.mails().await {
            assert_eq!(mail.to, "eve@example.com", "{smuggled:?}");
            for line in [&mail.to, &mail.to_name, &mail.subject] {
                assert!(!line.chars().any(char::is_control) && !line.contains("evil"), "{line:?}");
            }
        }
    }
}

#[both_databases]
async fn one_document_registers_once(place: Place) {
    let app = TestApp::start(&place).await;
    for field in [
        "register(input: { email: \"a@b.example\", password: \"x\" }) { success }",
        "resendVerification(input: { email: \"a@b.example\" }) { success }",
        "verifyEmail(input: { token: \"x\" }) { errors { code } }",
    ] {
        let twice = format!("mutation {{ a: {field} b: {field} }}");
        assert_eq!(app.anyone().code(&twice, json!({})).await, "QUERY_TOO_COMPLEX");
    }
}

#[both_databases]
async fn registering_again_kills_the_first_link_before_any_mail_goes_out(place: Place) {
    let app = TestApp::start(&place).await;
    let first = register(&app, wanted("ada@example.com")).await;
    let secret = sign_up(&app, wanted("ada@example.com")).await;
    verify_refused(&app, &first).await;
    let second = Link { token: token(&app.mails().await[0]), secret };
    assert!(verify(&app, &second).await["user"].is_object());
}
