//! Challenges of sign-ins, and codes of authenticator apps that answer them.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, EntityTrait as _};
use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::entity::audit_event::{self, Action, Reason};
use vestibule::entity::{factor, sign_in_challenge, user};
use vestibule::worker;

use super::{
    LOGIN, STEP, challenge, complete, confirm, enroll, enrolled, events_of, login, refusals, secret_of, sessions_of,
    start,
};
use crate::socket::Socket;
use crate::test_app::{ADMIN, PASSWORD, Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const ENDED: [&str; 1] = ["INVALID_TOKEN challengeToken"];
const WRONG: [&str; 1] = ["SECOND_FACTOR_INCORRECT totpCode"];

#[both_databases]
async fn the_right_password_gives_a_challenge_and_nothing_else(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, client, _) = enrolled(&app, "ada").await;
    let last_login = async || client.data("{ me { lastLogin } }", json!({})).await["me"]["lastLogin"].clone();
    let before = (sessions_of(&app, &ada).await, events_of(&app, &ada, Action::Login).await, last_login().await);
    for page in [None, Some(app.url.clone())] {
        let anyone = page.into_iter().fold(app.anyone(), |client, url| client.with_header("origin", url));
        let answer = anyone.send(LOGIN, json!({ "i": ada.email, "p": PASSWORD })).await;
        let payload = &answer.body["data"]["login"];
        assert_eq!((&payload["tokens"], &payload["user"]), (&Value::Null, &Value::Null));
        assert_eq!(refusals(payload), ["SECOND_FACTOR_REQUIRED"]);
        assert_eq!(payload["challenge"]["methods"], json!(["TOTP", "RECOVERY_CODE"]));
        let end = app.clock_now().plus(Duration::from_secs(10 * 60)).to_string();
        assert_eq!(payload["challenge"]["expiresAt"], json!(end));
        assert_eq!(answer.header("set-cookie"), "");
    }
    let after = (sessions_of(&app, &ada).await, events_of(&app, &ada, Action::Login).await, last_login().await);
    assert_eq!(after, before);
    assert!(sign_in_challenge::Entity::find().one(app.db()).await.unwrap().is_none(), "a challenge has no row");
}

#[both_databases]
async fn a_wrong_password_answers_the_same_with_and_without_a_factor(place: Place) {
    let app = TestApp::start(&place).await;
    enrolled(&app, "ada").await;
    app.add_user("bob").await;
    let wrong = async |name: &str| {
        let answer = app.anyone().send(LOGIN, json!({ "i": name, "p": "something else entirely" })).await;
        (answer.status, answer.body)
    };
    let (ada, bob, nobody) = (wrong("ada").await, wrong("bob").await, wrong("nobody").await);
    assert_eq!(ada, bob);
    assert_eq!(ada, nobody);
    assert_eq!(ada.1["data"]["login"]["challenge"], Value::Null);
}

#[both_databases]
async fn a_code_completes_the_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let token = challenge(&app.anyone(), "ADA@example.com").await;
    app.wait(STEP);
    let payload = complete(&app.anyone(), &token, json!({ "totpCode": phone.code(&app) })).await;
    assert_eq!((&payload["errors"], &payload["user"]["id"]), (&json!([]), &json!(ada.id)));
    let mut client = app.anyone().with_token(payload["tokens"]["accessToken"].as_str().unwrap());
    payload["tokens"]["refreshToken"].as_str().unwrap().clone_into(&mut client.refresh);
    let me = client.data("{ me { lastLogin factors { lastUsedAt } } }", json!({})).await["me"].clone();
    let now = json!(app.clock_now().to_string());
    assert_eq!(me, json!({ "lastLogin": now, "factors": [{ "lastUsedAt": now }] }));
    client.refresh().await.unwrap();
    assert_eq!(events_of(&app, &ada, Action::Login).await, 2);
}

#[both_databases]
async fn a_browser_gets_the_refresh_token_as_a_cookie(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let page = app.anyone().with_header("origin", app.url.clone());
    let token = challenge(&page, &ada.email).await;
    let variables = json!({ "t": token, "p": { "totpCode": phone.code(&app) } });
    let answer = page.send(super::COMPLETE, variables).await;
    assert_eq!(answer.body["data"]["completeLogin"]["tokens"]["refreshToken"], Value::Null);
    assert!(answer.header("set-cookie").starts_with("refresh_token="), "{:?}", answer.headers);
}

#[both_databases]
async fn a_code_works_once_also_on_two_instances_at_once(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let second = app.start_second_with(&place, |config| config.limits.limits = false).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let tokens = join_all((0..50).map(|_| async { challenge(&app.anyone(), &ada.email).await })).await;
    let before = sessions_of(&app, &ada).await;
    let proof = json!({ "totpCode": phone.code(&app) });
    let answers = tokens.iter().enumerate().map(|(number, token)| {
        let client = if number % 2 == 0 { app.anyone() } else { second.anyone() };
        let proof = proof.clone();
        async move { refusals(&complete(&client, token, proof).await) }
    });
    let mut answers = join_all(answers).await;
    answers.sort();
    assert_eq!(answers[0], [""; 0]);
    assert!(answers[1..].iter().all(|refused| refused == &WRONG), "{answers:?}");
    assert_eq!(sessions_of(&app, &ada).await, before + 1);
    let token = challenge(&app.anyone(), &ada.email).await;
    assert_eq!(refusals(&complete(&app.anyone(), &token, proof).await), WRONG);
}

#[both_databases]
async fn the_code_that_confirmed_an_app_does_not_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let enrollment = start(&client).await;
    let code = secret_of(&enrollment).code(vestibule::tools::totp::TimeStep::at(app.clock_now()));
    assert_eq!(confirm(&client, &enrollment, &code).await["errors"], json!([]));
    let token = challenge(&app.anyone(), &ada.email).await;
    assert_eq!(refusals(&complete(&app.anyone(), &token, json!({ "totpCode": code })).await), WRONG);
}

#[both_databases]
async fn codes_of_one_step_to_each_side_are_accepted(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    app.wait(10 * STEP);
    let try_code = async |later: i64| {
        let token = challenge(&app.anyone(), &ada.email).await;
        refusals(&complete(&app.anyone(), &token, json!({ "totpCode": phone.code_of(&app, later) })).await)
    };
    assert_eq!(try_code(-2).await, WRONG);
    assert_eq!(try_code(2).await, WRONG);
    assert_eq!(try_code(-1).await, [""; 0]);
    assert_eq!(try_code(1).await, [""; 0]);
    assert_eq!(try_code(0).await, WRONG, "a code of an earlier step than the last one");
}

#[both_databases]
async fn a_challenge_signs_in_once_also_at_once(place: Place) {
    let app = TestApp::start(&place).await;
    let second = app.start_second(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let token = challenge(&app.anyone(), &ada.email).await;
    let proofs = [json!({ "totpCode": phone.code(&app) }), json!({ "recoveryCode": phone.recovery_codes[0] })];
    let answers = proofs.into_iter().zip([app.anyone(), second.anyone()]).map(|(proof, client)| {
        let token = token.clone();
        async move { refusals(&complete(&client, &token, proof).await) }
    });
    let mut answers = join_all(answers).await;
    answers.sort();
    assert_eq!(answers, [Vec::<String>::new(), ENDED.map(str::to_owned).to_vec()]);
    let left = json!({ "recoveryCode": phone.recovery_codes[1] });
    assert_eq!(refusals(&complete(&app.anyone(), &token, left).await), ENDED);
}

#[both_databases]
async fn five_wrong_codes_end_a_challenge(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let wrong = json!({ "totpCode": phone.wrong_code(&app) });
    let token = challenge(&app.anyone(), &ada.email).await;
    for _ in 0..4 {
        assert_eq!(refusals(&complete(&app.anyone(), &token, wrong.clone()).await), WRONG);
    }
    let right = json!({ "totpCode": phone.code(&app) });
    assert_eq!(refusals(&complete(&app.anyone(), &token, right).await), [""; 0], "the fifth may be right");

    app.wait(STEP);
    let token = challenge(&app.anyone(), &ada.email).await;
    let answers = join_all((0..5).map(|_| async { refusals(&complete(&app.anyone(), &token, wrong.clone()).await) }));
    assert!(answers.await.iter().all(|refused| refused == &WRONG));
    let right = json!({ "totpCode": phone.code(&app) });
    assert_eq!(refusals(&complete(&app.anyone(), &token, right.clone()).await), ENDED);
    let token = challenge(&app.anyone(), &ada.email).await;
    assert_eq!(refusals(&complete(&app.anyone(), &token, right).await), [""; 0]);
    let events = audit_event::Entity::find().all(app.db()).await.unwrap();
    let failed = events.iter().filter(|event| event.reason == Some(Reason::WrongSecondFactor));
    assert_eq!(failed.filter(|event| event.action == Action::LoginFailed).count(), 9);
}

#[both_databases]
async fn twenty_wrong_codes_stop_the_app_and_mail_the_owner_once(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let wrong = json!({ "totpCode": phone.wrong_code(&app) });
    for _ in 0..4 {
        let token = challenge(&app.anyone(), &ada.email).await;
        for _ in 0..5 {
            assert_eq!(refusals(&complete(&app.anyone(), &token, wrong.clone()).await), WRONG);
        }
    }
    let payload = login(&app.anyone(), &ada.email).await;
    assert_eq!(payload["challenge"]["methods"], json!(["RECOVERY_CODE"]));
    let token = payload["challenge"]["token"].as_str().unwrap().to_owned();
    let right = json!({ "totpCode": phone.code(&app) });
    for _ in 0..3 {
        assert_eq!(refusals(&complete(&app.anyone(), &token, right.clone()).await), ["TOTP_STOPPED totpCode"]);
    }
    let recovery = json!({ "recoveryCode": phone.recovery_codes[3] });
    assert_eq!(refusals(&complete(&app.anyone(), &token, recovery).await), [""; 0]);
    let mails = app.mails().await;
    let stopped = mails.iter().filter(|mail| mail.subject.starts_with("Too many wrong codes"));
    assert_eq!(stopped.map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [ada.email.as_str()]);
    worker_reports(&app).await;
    let events = audit_event::Entity::find().all(app.db()).await.unwrap();
    let reached = events.iter().filter(|event| event.action == Action::LimitReached);
    assert_eq!(reached.map(|event| event.reason).collect::<Vec<_>>(), [Some(Reason::LimitSecondFactor)]);

    app.wait(Duration::from_secs(24 * 60 * 60));
    let token = challenge(&app.anyone(), &ada.email).await;
    let right = json!({ "totpCode": phone.code(&app) });
    assert_eq!(refusals(&complete(&app.anyone(), &token, right).await), [""; 0]);
}

async fn worker_reports(app: &TestApp) {
    app.app.limits.report(&app.app.db, &app.app.clock.now()).await.unwrap();
}

#[both_databases]
async fn a_challenge_expires_and_its_row_is_deleted(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let token = challenge(&app.anyone(), &ada.email).await;
    let wrong = json!({ "totpCode": phone.wrong_code(&app) });
    assert_eq!(refusals(&complete(&app.anyone(), &token, wrong).await), WRONG);
    app.wait(Duration::from_secs(10 * 60 - 1));
    worker::run_maintenance(&app.app).await.unwrap();
    assert_eq!(sign_in_challenge::Entity::find().all(app.db()).await.unwrap().len(), 1);
    app.wait(Duration::from_secs(1));
    let right = json!({ "totpCode": phone.code(&app) });
    assert_eq!(refusals(&complete(&app.anyone(), &token, right).await), ENDED);
    worker::run_maintenance(&app.app).await.unwrap();
    assert!(sign_in_challenge::Entity::find().one(app.db()).await.unwrap().is_none());
}

#[both_databases]
async fn no_changed_bit_of_a_challenge_goes_unnoticed(place: Place) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let token = challenge(&app.anyone(), &ada.email).await;
    let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    let proof = json!({ "totpCode": phone.code(&app) });
    let anyone = app.anyone();
    for bit in (0..bytes.len() * 8).step_by(37) {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let payload = complete(&anyone, &URL_SAFE_NO_PAD.encode(changed), proof.clone()).await;
        assert_eq!(refusals(&payload), ENDED, "{bit}");
    }
    for text in ["", "x", "e30"] {
        assert_eq!(refusals(&complete(&anyone, text, proof.clone()).await), ENDED);
    }
}

/// Takes an account back from somebody who knows the password and has just got a challenge.
async fn take_back(place: Place, by: impl AsyncFnOnce(&TestApp, &Person, &Client)) {
    let app = TestApp::start(&place).await;
    let (ada, client, phone) = enrolled(&app, "ada").await;
    let token = challenge(&app.anyone(), &ada.email).await;
    by(&app, &ada, &client).await;
    let proof = json!({ "recoveryCode": phone.recovery_codes[0] });
    assert_eq!(refusals(&complete(&app.anyone(), &token, proof).await), ENDED);
    assert_eq!(events_of(&app, &ada, Action::RecoveryCodeUsed).await, 0);
}

#[both_databases]
async fn a_reset_ends_a_challenge_and_keeps_the_factor(place: Place) {
    take_back(place, async |app: &TestApp, ada: &Person, _: &Client| {
        let (_, link) = crate::parity::recovery::reset_link(app, &ada.email).await;
        let confirm = "mutation($u: ID!, $t: String!, $p: String!) {
            confirmReset(input: { uid: $u, token: $t, newPassword: $p }) { errors { code field } } }";
        let variables = json!({ "u": ada.id, "t": link, "p": PASSWORD });
        assert_eq!(app.anyone().refusals(confirm, variables).await, [""; 0]);
        assert_eq!(factor::Entity::find().all(app.db()).await.unwrap().len(), 1);
        challenge(&app.anyone(), &ada.email).await;
    })
    .await;
}

#[both_databases]
async fn a_changed_password_ends_a_challenge(place: Place) {
    take_back(place, async |_: &TestApp, _: &Person, client: &Client| {
        let change =
            "mutation($o: String!, $n: String!) { changePassword(input: { oldPassword: $o, newPassword: $n }) {
            errors { code field } } }";
        let variables = json!({ "o": PASSWORD, "n": "a phrase of the true owner" });
        assert_eq!(client.refusals(change, variables).await, [""; 0]);
    })
    .await;
}

#[both_databases]
async fn a_deactivation_ends_a_challenge_even_if_it_is_undone(place: Place) {
    take_back(place, async |app: &TestApp, ada: &Person, _: &Client| {
        let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code field } } }";
        let admin = app.admin().await;
        for _ in 0..2 {
            assert_eq!(admin.refusals(toggle, json!({ "id": ada.id })).await, [""; 0]);
        }
    })
    .await;
}

#[both_databases]
async fn signing_out_everywhere_ends_a_challenge(place: Place) {
    take_back(place, async |_: &TestApp, _: &Person, client: &Client| {
        let logout = "mutation { logout(input: { everywhere: true }) { success } }";
        assert_eq!(client.data(logout, json!({})).await["logout"]["success"], true);
    })
    .await;
}

#[both_databases]
async fn wrong_codes_within_a_session_stop_no_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, thief, phone) = enrolled(&app, "ada").await;
    app.mails().await;
    let prove =
        "mutation($c: String!) { reauthenticate(input: { proof: { totpCode: $c } }) { errors { code field } } }";
    let wrong = json!({ "c": phone.wrong_code(&app) });
    for _ in 0..20 {
        assert_eq!(thief.refusals(prove, wrong.clone()).await, WRONG);
    }
    assert_eq!(thief.refusals(prove, wrong).await, ["TOTP_STOPPED totpCode"]);
    assert!(app.mails().await.is_empty(), "nobody needed the password");
    let token = challenge(&app.anyone(), &ada.email).await;
    let right = json!({ "totpCode": phone.code(&app) });
    assert_eq!(refusals(&complete(&app.anyone(), &token, right).await), [""; 0]);
}

#[both_databases]
async fn other_staff_see_no_limit_of_a_superusers_codes(place: Place) {
    const TRAIL: &str = "{ auditEvents(first: 60, filter: { action: LIMIT_REACHED }) { nodes { reason } } }";
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let admin = app.admin().await;
    let phone = enroll(&app, &admin).await;
    let wrong = json!({ "totpCode": phone.wrong_code(&app) });
    for _ in 0..5 {
        let payload = app.anyone().data(LOGIN, json!({ "i": ADMIN.0, "p": ADMIN.1 })).await["login"].clone();
        let token = payload["challenge"]["token"].as_str().unwrap().to_owned();
        for _ in 0..5 {
            complete(&app.anyone(), &token, wrong.clone()).await;
        }
    }
    worker_reports(&app).await;
    let seen = json!({ "auditEvents": { "nodes": [{ "reason": "LIMIT_SECOND_FACTOR" }] } });
    assert_eq!(admin.data(TRAIL, json!({})).await, seen);
    assert_eq!(boss.data(TRAIL, json!({})).await, json!({ "auditEvents": { "nodes": [] } }));
}

#[both_databases]
async fn a_connection_ends_with_the_second_factor_of_its_user(place: Place) {
    let app = TestApp::start(&place).await;
    let (_, client, phone) = enrolled(&app, "ada").await;
    let mut socket = Socket::sign_in(&app.url, &client).await;
    let check = async || {
        app.app.live_connections.check(&app.app.db, &app.app.clock.now(), &app.app.ring()).await.unwrap();
        app.app.live_connections.count()
    };
    assert_eq!(check().await, 1);
    let delete = "mutation($id: ID!) { deleteFactor(input: { id: $id }) { errors { code field } } }";
    assert_eq!(client.refusals(delete, json!({ "id": phone.id })).await, [""; 0]);
    assert_eq!(check().await, 0, "the user may be one who must first enrol");
    assert_eq!(socket.closed().await, 4403);
}

#[both_databases]
async fn a_link_signs_in_nobody_who_became_staff(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, _, phone) = enrolled(&app, "ada").await;
    let link = crate::parity::recovery::reset_link(&app, &ada.email).await;
    let confirm =
        "mutation($i: ConfirmResetInput!) { confirmReset(input: $i) { challenge { token } errors { code } } }";
    let input = json!({ "i": { "uid": link.0, "token": link.1, "newPassword": "a new phrase of ada", "login": true } });
    let payload = app.anyone().data(confirm, input).await["confirmReset"].clone();
    let token = payload["challenge"]["token"].as_str().unwrap().to_owned();
    let row = user::Entity::find_by_id(ada.id.parse::<uuid::Uuid>().unwrap()).one(app.db()).await.unwrap().unwrap();
    user::ActiveModel { is_staff: Set(true), ..row.into() }.update(app.db()).await.unwrap();
    let right = json!({ "recoveryCode": phone.recovery_codes[0] });
    assert_eq!(refusals(&complete(&app.anyone(), &token, right).await), ENDED);
}
