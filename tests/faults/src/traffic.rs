//! Clients of all kinds behind a load balancer. Each records what was acknowledged and what is uncertain.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Answer, Client};
use crate::database::Place;
use crate::load::create;
use crate::outcome::{Outcome, because};
use crate::service::PASSWORD;

/// Number of clients of each kind.
const EACH: usize = 4;

const CREATE: &str = "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } errors { code } } }";
const UPDATE: &str = "mutation($input: UpdateMeInput!) { updateMe(input: $input) { user { id } errors { code } } }";
const LOGOUT: &str = "mutation { logout { success errors { code } } }";

/// Result of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Done,
    /// An unexpected response.
    Refused(String),
    /// Unknown: the load balancer returned no response of an instance, or was unreachable.
    Unanswered,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    pub(crate) fate: Fate,
}

/// Expected state afterwards: what must exist and what may exist.
#[derive(Default)]
struct Ledger {
    acknowledged: HashSet<String>,
    perhaps: HashSet<String>,
}

/// Knowledge of a client at the end.
enum Known {
    Nothing,
    /// A valid session.
    Session(Client),
    /// Accounts.
    Created(Ledger),
    /// Number of writes to a profile, its last acknowledged value, and values that may have been written since.
    Profile(Client, usize, Ledger),
    /// Number of acknowledged sign-ins to an account, and of uncertain ones.
    SignIns {
        email: String,
        acknowledged: usize,
        perhaps: usize,
    },
}

/// Running clients.
pub(crate) struct Traffic {
    notes: Arc<Notes>,
    work: JoinSet<Outcome<Known>>,
}

#[derive(Default)]
struct Notes {
    all: Mutex<Vec<Note>>,
    stop: AtomicBool,
}

/// Knowledge of all clients, compared with the database.
#[derive(Default)]
pub(crate) struct Compared {
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
}

impl Notes {
    fn go_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// Waits for a response and records it. Returns `None` unless it is a success.
    async fn take(&self, ask: impl Future<Output = Outcome<Answer>>) -> Option<Answer> {
        self.expect(ask, None).await
    }

    /// Waits for a response with this code and records it.
    async fn expect(&self, ask: impl Future<Output = Outcome<Answer>>, code: Option<&str>) -> Option<Answer> {
        let began = Instant::now();
        let answer = ask.await;
        let fate = match &answer {
            Err(_) => Fate::Unanswered,
            Ok(answer) if answer.code() == code => Fate::Done,
            Ok(answer) if is_nginxs(answer) => Fate::Unanswered,
            Ok(answer) => Fate::Refused(format!("{} {}", answer.status, answer.body)),
        };
        let is_done = matches!(fate, Fate::Done);
        let note = Note { began, took: began.elapsed(), fate };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        answer.ok().filter(|_| is_done)
    }
}

/// True if nginx itself responded because no instance did, with the message of its configuration.
fn is_nginxs(answer: &Answer) -> bool {
    let message = answer.body["errors"][0]["message"].as_str();
    message.is_some_and(|message| message.starts_with("The service is unavailable. Try again soon. A change"))
}

impl Traffic {
    /// Starts clients of the same service as this client, which is staff.
    pub(crate) async fn start(admin: &Client) -> Outcome<Self> {
        let mut traffic = Self { notes: Arc::default(), work: JoinSet::new() };
        for number in 0..EACH {
            let email = format!("client-{number}@example.com");
            create(admin, json!({ "email": email, "password": PASSWORD })).await?;
            let signed_in = async || admin.clone().sign_in(&email, PASSWORD).await;
            let notes = || Arc::clone(&traffic.notes);
            let (session, profile) = (signed_in().await?, signed_in().await?);
            traffic.work.spawn(read(notes(), admin.clone(), false));
            traffic.work.spawn(read(notes(), admin.clone(), true));
            traffic.work.spawn(refresh(notes(), session));
            traffic.work.spawn(change(notes(), profile));
            traffic.work.spawn(make(notes(), admin.clone(), number));
            let email = format!("visitor-{number}@example.com");
            create(admin, json!({ "email": email, "password": PASSWORD })).await?;
            traffic.work.spawn(come_and_go(notes(), admin.clone(), email));
        }
        Ok(traffic)
    }

    /// Lets all clients finish. Returns all requests, and the fate of acknowledged changes.
    pub(crate) async fn stop(mut self, place: &Place) -> Outcome<(Vec<Note>, Compared)> {
        self.notes.stop.store(true, Ordering::SeqCst);
        let mut compared = Compared::default();
        while let Some(known) = self.work.join_next().await {
            compared.look_at(known??, place).await?;
        }
        let notes = std::mem::take(&mut *self.notes.all.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((notes, compared))
    }
}

impl Compared {
    async fn look_at(&mut self, known: Known, place: &Place) -> Outcome<()> {
        match known {
            Known::Nothing => {}
            Known::Session(client) => {
                self.acknowledged += 1;
                self.lost += usize::from(client.refreshed().await.is_err());
            }
            Known::Profile(client, written, ledger) => {
                let data = client.data("{ me { bio } }", &Value::Null).await?;
                let bio = data["me"]["bio"].as_str().unwrap_or_default();
                self.acknowledged += written;
                self.lost += usize::from(!ledger.acknowledged.contains(bio) && !ledger.perhaps.contains(bio));
            }
            Known::Created(ledger) => {
                let prefix =
                    ledger.acknowledged.iter().next().and_then(|email| email.split_once('.')).map(|(prefix, _)| prefix);
                let prefix = prefix.ok_or("no user was created")?;
                let users = place.texts(&format!("SELECT email FROM users WHERE email LIKE '{prefix}.%'")).await?;
                let welcomed = "SELECT recipient FROM mails WHERE kind = 'WELCOME' AND recipient";
                let mails = place.texts(&format!("{welcomed} LIKE '{prefix}.%'")).await?;
                let there: HashSet<String> = users.iter().cloned().collect();
                because(there.iter().all(|user| mails.contains(user)), || {
                    "some welcome emails are missing".to_owned()
                })?;
                self.acknowledged += ledger.acknowledged.len();
                self.lost += ledger.acknowledged.difference(&there).count();
                self.doubled += users.len() - there.len() + mails.len().abs_diff(there.len());
                let strangers =
                    there.iter().filter(|user| !ledger.acknowledged.contains(*user) && !ledger.perhaps.contains(*user));
                because(strangers.count() == 0, || "there are accounts that no client created".to_owned())?;
            }
            Known::SignIns { email, acknowledged, perhaps } => {
                let events =
                    "SELECT u.email FROM audit_events e JOIN users u ON u.id = e.actor_id WHERE e.action = 'LOGIN'";
                let events = place.texts(&format!("{events} AND u.email = '{email}'")).await?.len();
                let open = "SELECT u.email FROM sessions s JOIN users u ON u.id = s.user_id";
                let open = place.texts(&format!("{open} WHERE u.email = '{email}'")).await?.len();
                self.acknowledged += acknowledged;
                self.lost += acknowledged.saturating_sub(events);
                // Each session was ended, except uncertain ones.
                self.doubled += events.saturating_sub(acknowledged + perhaps) + open.saturating_sub(perhaps);
            }
        }
        Ok(())
    }
}

/// Queries `me`, by POST or GET.
async fn read(notes: Arc<Notes>, client: Client, by_get: bool) -> Outcome<Known> {
    while notes.go_on() {
        match by_get {
            true => notes.take(client.get("/graphql?query=%7Bme%7Bid%7D%7D")).await,
            false => notes.take(client.me()).await,
        };
    }
    Ok(Known::Nothing)
}

/// Refreshes a session, and uses the new token. A refresh without a response is repeated with the same token.
async fn refresh(notes: Arc<Notes>, mut client: Client) -> Outcome<Known> {
    while notes.go_on() {
        if let Some(answer) = notes.take(client.refresh_with(&client.refresh)).await {
            client.take(&answer.body["data"]["refresh"]["tokens"], &answer)?;
            notes.take(client.me()).await;
        }
    }
    Ok(Known::Session(client))
}

/// Writes increasing numbers to a profile.
async fn change(notes: Arc<Notes>, client: Client) -> Outcome<Known> {
    let (mut written, mut ledger, mut number) = (0, Ledger::default(), 0_u64);
    while notes.go_on() {
        number += 1;
        let bio = number.to_string();
        if notes.take(client.ask(UPDATE, &json!({ "input": { "bio": bio } }))).await.is_some() {
            written += 1;
            ledger = Ledger { acknowledged: [bio].into(), ..Ledger::default() };
        } else {
            ledger.perhaps.insert(bio);
        }
    }
    Ok(Known::Profile(client, written, ledger))
}

/// Creates accounts.
async fn make(notes: Arc<Notes>, admin: Client, maker: usize) -> Outcome<Known> {
    let (mut ledger, mut number) = (Ledger::default(), 0_u64);
    while notes.go_on() {
        number += 1;
        let email = format!("made-by-{maker}.{number}@example.com");
        match notes.take(admin.ask(CREATE, &json!({ "input": { "email": email } }))).await {
            Some(_) => ledger.acknowledged.insert(email),
            None => ledger.perhaps.insert(email),
        };
    }
    Ok(Known::Created(ledger))
}

/// Signs in and out again; then no instance may accept the session.
async fn come_and_go(notes: Arc<Notes>, anyone: Client, email: String) -> Outcome<Known> {
    let (mut acknowledged, mut perhaps) = (0, 0);
    while notes.go_on() {
        let Some(answer) = notes.take(anyone.login(&email, PASSWORD)).await else {
            perhaps += 1;
            continue;
        };
        acknowledged += 1;
        let mut client = anyone.clone();
        client.take(&answer.body["data"]["login"]["tokens"], &answer)?;
        notes.take(client.me()).await;
        while notes.take(client.ask(LOGOUT, &Value::Null)).await.is_none() {
            because(notes.go_on(), || "a sign-out got no response".to_owned())?;
        }
        notes.expect(client.me(), Some("UNAUTHENTICATED")).await;
    }
    Ok(Known::SignIns { email, acknowledged, perhaps })
}
