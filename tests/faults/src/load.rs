//! Clients that write and read during a fault, and record acknowledged changes in a ledger.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Answer, Client};
use crate::database::Place;
use crate::outcome::{Findings, Outcome, because, in_time};

const CREATE: &str = "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } errors { code } } }";
const SET: &str =
    "mutation($input: SetUserPasswordInput!) { setUserPassword(input: $input) { user { id } errors { code } } }";

/// First and second password of each account in the ledger.
const PASSWORDS: [&str; 2] = ["their first long phrase, 1", "their second long phrase, 2"];

/// Number of accounts whose passwords are checked at the end; the last ones, which are most at risk.
const SIGN_INS: usize = 60;

/// Acknowledged changes, and all responses.
#[derive(Default)]
pub(crate) struct Ledger {
    /// State of the second password by address: acknowledged, or possibly set.
    accounts: Mutex<Vec<(String, Second)>>,
    answers: Mutex<Vec<Seen>>,
    serial: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Second {
    No,
    Perhaps,
    Yes,
}

/// Response to a request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    /// Error code; `None` without a response, empty for success.
    pub(crate) code: Option<String>,
    what: String,
}

impl Ledger {
    /// Creates an account, and changes its password.
    async fn write(&self, client: &Client) {
        let email = format!("writer-{}@example.com", self.serial.fetch_add(1, Ordering::SeqCst));
        let input = json!({ "input": { "email": email, "password": PASSWORDS[0] } });
        let Some(answer) = self.note(client.ask(CREATE, &input).await) else { return };
        let Some(id) = answer.body["data"]["createUser"]["user"]["id"].as_str() else { return };
        let place = {
            let mut accounts = lock(&self.accounts);
            accounts.push((email, Second::No));
            accounts.len() - 1
        };
        let input = json!({ "input": { "id": id, "password": PASSWORDS[1] } });
        lock(&self.accounts)[place].1 = Second::Perhaps;
        if self.note(client.ask(SET, &input).await).is_some_and(|answer| answer.code().is_none()) {
            lock(&self.accounts)[place].1 = Second::Yes;
        }
    }

    fn note(&self, answer: Outcome<Answer>) -> Option<Answer> {
        let (took, code, what) = match &answer {
            Ok(answer) => {
                let code = answer.code().unwrap_or_default().to_owned();
                (answer.took, Some(code), format!("{} {}", answer.status, answer.body))
            }
            Err(error) => (Duration::ZERO, None, error.to_string()),
        };
        lock(&self.answers).push(Seen { at: Instant::now(), took, code, what });
        answer.ok()
    }

    /// Number of acknowledged accounts.
    pub(crate) fn acknowledged(&self) -> usize {
        lock(&self.accounts).len()
    }

    /// All responses.
    pub(crate) fn answers(&self) -> Vec<Seen> {
        lock(&self.answers).clone()
    }

    /// Fails if a response is neither a success nor one of these codes. A missing response is allowed only if the
    /// service itself was killed. A slower response is late.
    pub(crate) fn check_answers(&self, codes: &[&str], slowest: Duration, killed: bool) -> Outcome<()> {
        let answers = self.answers();
        if let Some(Seen { took, what, .. }) = answers.iter().max_by_key(|seen| seen.took) {
            in_time(*took, slowest, || format!("a response ({what})"));
        }
        for Seen { code, what, .. } in answers {
            match code {
                Some(code) => because(code.is_empty() || codes.contains(&code.as_str()), || what)?,
                None => because(killed, || format!("no response: {what}"))?,
            }
        }
        Ok(())
    }

    /// Time of the first success after this.
    pub(crate) fn success_after(&self, instant: Instant) -> Option<Instant> {
        let answers = self.answers();
        answers.iter().filter(|seen| seen.at > instant && seen.code.as_deref() == Some("")).map(|seen| seen.at).min()
    }

    /// Compares the ledger with the database: each account must exist once, with one welcome email, one event, and its
    /// password.
    pub(crate) async fn compare(&self, place: &Place, client: &Client) -> Outcome<Findings> {
        let accounts = lock(&self.accounts).clone();
        let counted = async |sql: &str| {
            let mut counts = HashMap::<String, usize>::new();
            for text in place.texts(sql).await? {
                *counts.entry(text).or_default() += 1;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(counts)
        };
        let users = counted("SELECT email FROM users WHERE email LIKE 'writer-%'").await?;
        let mails = counted("SELECT recipient FROM mails WHERE kind = 'WELCOME' AND recipient LIKE 'writer-%'").await?;
        let events =
            "SELECT u.email FROM audit_events e JOIN users u ON u.id = e.target_id WHERE e.action = 'USER_CREATED'";
        let events = counted(events).await?;
        let mut findings = Findings { acknowledged: accounts.len(), ..Findings::default() };
        for (email, _) in &accounts {
            findings.lost +=
                [&users, &mails, &events].iter().filter(|counts| !counts.contains_key(email)).count().min(1);
        }
        // Every account must be complete, acknowledged or not.
        for email in users.keys() {
            let each = [&users, &mails, &events].map(|counts| counts.get(email).copied().unwrap_or_default());
            findings.duplicates += usize::from(each.iter().any(|count| *count > 1));
            because(each.iter().all(|count| *count > 0), || format!("half of {email} is there: {each:?}"))?;
        }
        for (email, second) in accounts.iter().rev().take(SIGN_INS) {
            let first_holds = client.login(email, PASSWORDS[0]).await?.code().is_none();
            let second_holds = client.login(email, PASSWORDS[1]).await?.code().is_none();
            let lost = match second {
                Second::Yes => !second_holds,
                Second::No => !first_holds,
                Second::Perhaps => first_holds == second_holds,
            };
            findings.lost += usize::from(lost);
        }
        Ok(findings)
    }
}

/// Running clients, stopped on drop.
pub(crate) struct Load {
    work: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Starts writers, and readers that query `me`. Each pauses for this long between requests.
    pub(crate) fn start(
        ledger: &Arc<Ledger>,
        client: &Client,
        (writers, readers): (usize, usize),
        pause: Duration,
    ) -> Self {
        let (mut work, stop) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for number in 0..writers + readers {
            let (ledger, client, stop) = (Arc::clone(ledger), client.clone(), Arc::clone(&stop));
            work.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    if number < writers {
                        ledger.write(&client).await;
                    } else {
                        ledger.note(client.me().await);
                    }
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Self { work, stop }
    }

    /// Lets all clients finish.
    pub(crate) async fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        while self.work.join_next().await.is_some() {}
    }
}

/// Creates an account, and returns its id.
pub(crate) async fn create(admin: &Client, input: Value) -> Outcome<String> {
    let data = admin.data(CREATE, &json!({ "input": input })).await?;
    Ok(data["createUser"]["user"]["id"].as_str().ok_or("the account has an id")?.to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
