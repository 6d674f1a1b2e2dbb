//! SIGKILL at many moments of every step that changes second factors: afterwards the account is as before the step, or as
//! after it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_macros::both_databases;
use vestibule::tools::clock::Clock;
use vestibule::tools::totp::{TimeStep, TotpSecret};

use super::{COMPLETE, CONFIRM, FACTORS, START, challenge, complete, confirm, login, secret_of, start};
use crate::authenticator::Authenticator;
use crate::passkeys;
use crate::process::{Serving, command};
use crate::test_app::{ADMIN, PASSWORD};
use crate::test_client::Client;
use crate::test_database::Place;

/// The same in every process, so that passkeys stay valid.
const ORIGIN: &str = "http://localhost:8000";

/// Milliseconds from sending the requests to the kill.
const MOMENTS: [u64; 10] = [0, 2, 4, 7, 11, 16, 24, 36, 55, 90];

const RENEW: &str = "mutation { regenerateRecoveryCodes { recoveryCodes errors { code field } } }";
const DELETE: &str = "mutation($id: ID!) { deleteFactor(input: { id: $id }) { errors { code field } } }";

/// A step that a kill interrupts.
#[derive(Clone, Copy, Debug)]
enum Step {
    StartApp,
    ConfirmApp,
    RenewCodes,
    RemoveApp,
    CompleteLogin,
    AddPasskey,
}

const STEPS: [Step; 6] =
    [Step::StartApp, Step::ConfirmApp, Step::RenewCodes, Step::RemoveApp, Step::CompleteLogin, Step::AddPasskey];

/// An account before its step.
struct Account {
    step: Step,
    email: String,
    /// The request of the step.
    document: &'static str,
    variables: Value,
    client: Client,
    /// The app, enrolled or about to be.
    app: Option<TotpSecret>,
    recovery_codes: Vec<String>,
    authenticator: Authenticator,
}

fn serve(place: &Place) -> Serving {
    let mut command = command(place);
    command.env("VESTIBULE_ADMIN_PASSWORD", ADMIN.1).env("VESTIBULE_LIMITS", "off").env("VESTIBULE_PUBLIC_URL", ORIGIN);
    Serving::start(command)
}

/// A code of the app; `later` counts steps from now.
fn code(app: &TotpSecret, later: i64) -> String {
    let TimeStep(now) = TimeStep::at(Clock::System.now().at);
    app.code(TimeStep(now + later))
}

/// Adds an app by the present code; that of the next step is left.
async fn add_app(client: &Client) -> (TotpSecret, Value) {
    let enrollment = start(client).await;
    let app = secret_of(&enrollment);
    let confirmed = confirm(client, &enrollment, &code(&app, 0)).await;
    assert_eq!(confirmed["errors"], json!([]));
    (app, confirmed)
}

fn texts(codes: &Value) -> Vec<String> {
    codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

/// Prepares an account for this step.
async fn prepare(url: &str, admin: &Client, step: Step, round: usize) -> Account {
    let email = format!("{step:?}-{round}@example.com").to_lowercase();
    let create = "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code field } } }";
    let input = json!({ "input": { "email": email, "password": PASSWORD } });
    assert_eq!(admin.refusals(create, input).await, [""; 0]);
    let client = Client::new(url).sign_in(&email, PASSWORD).await;
    let mut authenticator = Authenticator::new(ORIGIN);
    let mut app = None;
    let mut recovery_codes = Vec::new();
    let mut id = Value::Null;
    if matches!(step, Step::RenewCodes | Step::RemoveApp | Step::CompleteLogin) {
        let (secret, confirmed) = add_app(&client).await;
        app = Some(secret);
        recovery_codes = texts(&confirmed["recoveryCodes"]);
        id = confirmed["factor"]["id"].clone();
    }
    let (document, variables) = match step {
        Step::StartApp => (START, json!({})),
        Step::ConfirmApp => {
            let enrollment = start(&client).await;
            app = Some(secret_of(&enrollment));
            (CONFIRM, json!({ "t": enrollment["token"] }))
        }
        Step::RenewCodes => (RENEW, json!({})),
        Step::RemoveApp => (DELETE, json!({ "id": id })),
        Step::CompleteLogin => {
            let token = challenge(&Client::new(url), &email).await;
            (COMPLETE, json!({ "t": token, "p": { "recoveryCode": recovery_codes[0] } }))
        }
        Step::AddPasskey => {
            let credential = authenticator.create(&passkeys::creation(&client).await);
            (passkeys::FINISH, json!({ "input": { "credential": credential, "name": "" } }))
        }
    };
    Account { step, email, document, variables, client, app, recovery_codes, authenticator }
}

/// Sends the step. Returns its payload, unless the process died before the response was complete.
async fn send(account: &Account) -> Option<Value> {
    let mut variables = account.variables.clone();
    if let (Step::ConfirmApp, Some(app)) = (account.step, &account.app) {
        variables["c"] = json!(code(app, 0));
    }
    let body = json!({ "query": account.document, "variables": variables }).to_string();
    let request = account.client.request("POST", "/graphql").header("content-type", "application/json").body(body);
    let request = request.bearer_auth(account.client.access.as_ref().unwrap());
    let text = request.send().await.ok()?.text().await.ok()?;
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    let payload = body["data"].as_object().and_then(|data| data.values().next()).unwrap_or_else(|| panic!("{body}"));
    assert_eq!(payload["errors"], json!([]), "{:?}", account.step);
    Some(payload.clone())
}

/// Signs in with the password, and this proof if one is due. Returns the client, and true if a proof was due.
async fn sign_in(url: &str, account: &Account, proof: Option<Value>) -> (Client, bool) {
    let anyone = Client::new(url);
    let mut payload = login(&anyone, &account.email).await;
    let is_due = payload["challenge"].is_object();
    if is_due {
        let proof = proof.unwrap_or_else(|| panic!("{:?}: a proof that nobody has: {payload}", account.step));
        payload = complete(&anyone, payload["challenge"]["token"].as_str().unwrap(), proof).await;
    }
    let token = payload["tokens"]["accessToken"].as_str();
    let token = token.unwrap_or_else(|| panic!("{:?} of {}: {payload}", account.step, account.email));
    (anyone.with_token(token), is_due)
}

/// True if this recovery code signs in.
async fn accepts(url: &str, account: &Account, recovery_code: &str) -> bool {
    let anyone = Client::new(url);
    let token = challenge(&anyone, &account.email).await;
    let payload = complete(&anyone, &token, json!({ "recoveryCode": recovery_code })).await;
    payload["tokens"]["accessToken"].is_string()
}

/// Checks an account on a new process, after a step with this response.
async fn check(url: &str, mut account: Account, answer: Option<Value>) {
    let step = account.step;
    let totp = account.app.as_ref().map(|app| json!({ "totpCode": code(app, 1) }));
    let state = async |client: &Client| {
        let me = client.data(FACTORS, json!({})).await["me"].clone();
        (me["factors"].as_array().unwrap().len(), me["recoveryCodesLeft"].as_u64().unwrap())
    };
    let (before, after) = match step {
        Step::StartApp => ((0, 0), (0, 0)),
        Step::ConfirmApp => ((0, 0), (1, 10)),
        Step::RenewCodes => ((1, 10), (1, 10)),
        Step::RemoveApp => ((1, 10), (0, 0)),
        Step::CompleteLogin => ((1, 10), (1, 9)),
        Step::AddPasskey => ((0, 0), (0, 10)),
    };
    let is_done;
    if matches!(step, Step::AddPasskey) {
        let passkey = account.authenticator.get(&passkeys::request_at(url).await);
        let by_passkey = Client::new(url).data(passkeys::SIGN_IN, json!({ "passkey": passkey })).await;
        is_done = login(&Client::new(url), &account.email).await["challenge"].is_object();
        assert_eq!(by_passkey["loginWithPasskey"]["tokens"].is_object(), is_done, "one of both signs in");
        if is_done {
            let token = by_passkey["loginWithPasskey"]["tokens"]["accessToken"].as_str().unwrap();
            assert_eq!(state(&Client::new(url).with_token(token)).await, after);
        }
    } else {
        let (client, is_due) = sign_in(url, &account, totp).await;
        let seen = state(&client).await;
        assert!(seen == before || seen == after, "{step:?}: {seen:?}");
        assert_eq!(is_due, seen.0 > 0, "{step:?}");
        is_done = seen == after;
    }
    let shown = answer.as_ref().map_or(&Value::Null, |answer| &answer["recoveryCodes"]);
    let shown = if shown.is_array() { texts(shown) } else { Vec::new() };
    if answer.is_some() {
        assert!(is_done, "{step:?} was answered and not done");
        for recovery_code in shown.iter().step_by(9) {
            assert!(accepts(url, &account, recovery_code).await, "{step:?}: a code that was shown");
        }
    }
    match step {
        // Nothing tells the user which codes are valid now; codes of the app are.
        Step::RenewCodes if answer.is_some() => {
            assert!(!accepts(url, &account, &account.recovery_codes[0]).await, "an earlier code");
        }
        Step::CompleteLogin => {
            assert_eq!(accepts(url, &account, &account.recovery_codes[0]).await, !is_done, "a code works once");
            assert!(accepts(url, &account, &account.recovery_codes[1]).await);
        }
        Step::RemoveApp if !is_done => assert!(accepts(url, &account, &account.recovery_codes[0]).await),
        _ => {}
    }
}

#[both_databases]
async fn a_kill_amid_any_step_leaves_a_usable_account(place: Place) {
    let mut serving = serve(&place);
    let (mut answered, mut unanswered) = (0, 0);
    // The last kill comes after every response.
    for (round, moment) in MOMENTS.into_iter().map(Some).chain([None]).enumerate() {
        let admin = Client::new(&serving.url).sign_in(ADMIN.0, ADMIN.1).await;
        let mut accounts = Vec::new();
        for step in STEPS {
            // One by one: the strength of a password is estimated for two users at a time.
            accounts.push(prepare(&serving.url, &admin, step, round).await);
        }
        let accounts = Arc::new(accounts);
        let sent: Vec<_> = (0..accounts.len())
            .map(|number| {
                let accounts = Arc::clone(&accounts);
                tokio::spawn(async move { send(&accounts[number]).await })
            })
            .collect();
        let answers = match moment {
            Some(moment) => {
                tokio::time::sleep(Duration::from_millis(moment)).await;
                serving.kill();
                join_all(sent).await
            }
            None => {
                let answers = join_all(sent).await;
                serving.kill();
                answers
            }
        };
        serving = serve(&place);
        let accounts = Arc::into_inner(accounts).expect("all requests have ended");
        let url = &serving.url;
        let answers: Vec<Option<Value>> = answers.into_iter().map(Result::unwrap).collect();
        let complete = answers.iter().flatten().count();
        answered += complete;
        unanswered += answers.len() - complete;
        for (account, answer) in accounts.into_iter().zip(answers) {
            check(url, account, answer).await;
        }
    }
    assert!(answered >= STEPS.len() && unanswered > 0, "{answered} answered, {unanswered} not");
}
