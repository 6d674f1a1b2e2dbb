//! Second factors: enrolment, challenges of sign-ins, recovery codes, claims, policy and administration.

mod administration;
mod challenge;
mod claims;
mod devices;
mod enrolment;
mod kills;
mod methods;
mod pages;
mod policy;
mod recovery_codes;
mod trail;
mod ways_in;

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use uuid::Uuid;
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{factor, recovery_code, session, user};
use vestibule::tools::base32;
use vestibule::tools::recovery_code::RecoveryCode;
use vestibule::tools::totp::{TimeStep, TotpSecret};

use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_client::Client;

/// The period of a code.
pub(crate) const STEP: Duration = Duration::from_secs(30);

pub(crate) const LOGIN: &str = "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) {
    tokens { accessToken refreshToken } user { id } challenge { token expiresAt methods } errors { code field }
} }";

pub(crate) const COMPLETE: &str = "mutation($t: String!, $p: SecondFactorInput!) {
    completeLogin(input: { challengeToken: $t, proof: $p }) {
        tokens { accessToken refreshToken } user { id } challenge { token } errors { code field }
} }";

const START: &str = "mutation { startTotpEnrollment {
    enrollment { token secret uri qrCode expiresAt } errors { code field }
} }";

const CONFIRM: &str = "mutation($t: String!, $c: String!) {
    confirmTotpEnrollment(input: { enrollmentToken: $t, totpCode: $c }) {
        factor { id kind createdAt lastUsedAt } recoveryCodes errors { code field }
} }";

pub(crate) const FACTORS: &str = "{ me { factors { id kind lastUsedAt } recoveryCodesLeft } }";

/// An authenticator app and recovery codes of a user.
#[derive(Clone, Debug)]
pub(crate) struct Phone {
    pub(crate) id: String,
    pub(crate) secret: TotpSecret,
    pub(crate) recovery_codes: Vec<String>,
}

impl Phone {
    /// The code that the app shows now.
    pub(crate) fn code(&self, app: &TestApp) -> String {
        self.code_of(app, 0)
    }

    /// The code of a step after the present one.
    fn code_of(&self, app: &TestApp, later: i64) -> String {
        let TimeStep(now) = TimeStep::at(app.clock_now());
        self.secret.code(TimeStep(now + later))
    }

    /// A code that is wrong now.
    pub(crate) fn wrong_code(&self, app: &TestApp) -> String {
        let near: Vec<String> = (-1..=1).map(|later| self.code_of(app, later)).collect();
        (0..4).map(|digit| digit.to_string().repeat(6)).find(|code| !near.contains(code)).unwrap()
    }
}

/// The secret of a started enrolment.
fn secret_of(enrollment: &Value) -> TotpSecret {
    TotpSecret::from_bytes(&base32::decode(enrollment["secret"].as_str().unwrap()).unwrap()).unwrap()
}

async fn start(client: &Client) -> Value {
    let payload = client.data(START, json!({})).await["startTotpEnrollment"].clone();
    assert_eq!(payload["errors"], json!([]));
    payload["enrollment"].clone()
}

async fn confirm(client: &Client, enrollment: &Value, code: &str) -> Value {
    let variables = json!({ "t": enrollment["token"], "c": code });
    client.data(CONFIRM, variables).await["confirmTotpEnrollment"].clone()
}

/// Enrols an app. The code of this step is then used up, so the clock moves to the next.
pub(crate) async fn enroll(app: &TestApp, client: &Client) -> Phone {
    let enrollment = start(client).await;
    let secret = secret_of(&enrollment);
    let payload = confirm(client, &enrollment, &secret.code(TimeStep::at(app.clock_now()))).await;
    assert_eq!(payload["errors"], json!([]));
    let codes = payload["recoveryCodes"].as_array().unwrap().iter();
    let recovery_codes = codes.map(|code| code.as_str().unwrap().to_owned()).collect();
    app.wait(STEP);
    Phone { id: payload["factor"]["id"].as_str().unwrap().to_owned(), secret, recovery_codes }
}

/// A user with an app, and a client in the session that enrolled it.
pub(crate) async fn enrolled(app: &TestApp, name: &str) -> (Person, Client, Phone) {
    let person = app.add_user(name).await;
    let client = person.sign_in(app).await;
    let phone = enroll(app, &client).await;
    app.mails().await;
    (person, client, phone)
}

/// Stores an app and recovery codes for an account that cannot sign in yet.
pub(crate) async fn plant(app: &TestApp, person: &Person) -> Phone {
    let (id, user_id): (Uuid, Uuid) = (app.app.clock.now().id(), person.id.parse().unwrap());
    let secret = TotpSecret::random();
    let row = factor::ActiveModel {
        id: Set(id),
        user_id: Set(user_id),
        kind: Set(factor::Kind::Totp),
        sealed_secret: Set(app.app.second_factor_rules().master_keys.seal(&format!("factor {id}"), secret.reveal())),
        digits: Set(6),
        period: Set(30),
        last_step: Set(0),
        created_at: Set(app.clock_now()),
        last_used_at: Set(None),
    };
    factor::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let code = RecoveryCode::random();
    let row = recovery_code::ActiveModel {
        digest: Set(code.digest()),
        user_id: Set(user_id),
        created_at: Set(app.clock_now()),
        sealed_code: Set(None),
    };
    recovery_code::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let flag = user::Entity::update_many().col_expr(user::Column::HasSecondFactor, Expr::value(true));
    flag.filter(user::Column::Id.eq(user_id)).exec(app.db()).await.unwrap();
    Phone { id: id.to_string(), secret, recovery_codes: vec![code.to_text()] }
}

async fn login(client: &Client, identifier: &str) -> Value {
    client.data(LOGIN, json!({ "i": identifier, "p": PASSWORD })).await["login"].clone()
}

/// The token of a challenge after the right password.
async fn challenge(client: &Client, identifier: &str) -> String {
    let payload = login(client, identifier).await;
    assert_eq!(payload["errors"], json!([{ "code": "SECOND_FACTOR_REQUIRED", "field": null }]), "{payload}");
    payload["challenge"]["token"].as_str().unwrap().to_owned()
}

pub(crate) async fn complete(client: &Client, token: &str, proof: Value) -> Value {
    client.data(COMPLETE, json!({ "t": token, "p": proof })).await["completeLogin"].clone()
}

/// Codes of the errors of a payload, with their fields.
pub(crate) fn refusals(payload: &Value) -> Vec<String> {
    let one = |error: &Value| match error["field"].as_str() {
        Some(field) => format!("{} {field}", error["code"].as_str().unwrap()),
        None => error["code"].as_str().unwrap().to_owned(),
    };
    payload["errors"].as_array().unwrap().iter().map(one).collect()
}

/// A client with the session that the code of the app opened.
async fn sign_in(app: &TestApp, person: &Person, phone: &Phone) -> Client {
    sign_in_by(app, &person.email, json!({ "totpCode": phone.code(app) })).await
}

/// Signs in by this proof in a browser that was not used before.
pub(crate) async fn sign_in_on(app: &TestApp, identifier: &str, proof: Value) {
    let browser = app.anyone().with_header("origin", app.url.clone());
    let token = challenge(&browser, identifier).await;
    assert_eq!(complete(&browser, &token, proof).await["errors"], json!([]));
}

/// A client with the session that this proof opened.
pub(crate) async fn sign_in_by(app: &TestApp, identifier: &str, proof: Value) -> Client {
    let token = challenge(&app.anyone(), identifier).await;
    let payload = complete(&app.anyone(), &token, proof).await;
    assert_eq!(payload["errors"], json!([]));
    let mut client = app.anyone().with_token(payload["tokens"]["accessToken"].as_str().unwrap());
    payload["tokens"]["refreshToken"].as_str().unwrap().clone_into(&mut client.refresh);
    client
}

async fn sessions_of(app: &TestApp, person: &Person) -> u64 {
    let id: Uuid = person.id.parse().unwrap();
    session::Entity::find().filter(session::Column::UserId.eq(id)).count(app.db()).await.unwrap()
}

async fn events_of(app: &TestApp, person: &Person, action: Action) -> u64 {
    let id: Uuid = person.id.parse().unwrap();
    let events = audit_event::Entity::find().filter(audit_event::Column::TargetId.eq(id));
    events.filter(audit_event::Column::Action.eq(action)).count(app.db()).await.unwrap()
}
