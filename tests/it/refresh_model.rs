//! Comparison of a session with a model: for any order of tokens, clock changes and user actions, the service behaves
//! like the model. Failures are shrunk to the shortest sequence of steps.

use std::cell::Cell;
use std::time::Duration;
use test_macros::both_databases;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::json;
use uuid::Uuid;
use vestibule::entity::audit_event::{self, Action};

use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

/// Divisor of the number of cases, because each case runs many requests.
const SHARE: u32 = 4;

/// Allowed clock skew between instances, added to the lifetime of access tokens.
const LEEWAY: Duration = Duration::from_secs(5);

/// A step. Tokens are numbered from the latest, which is 0, back to the first.
#[derive(Clone, Debug)]
enum Step {
    /// Use of a refresh token.
    Refresh(usize),
    /// Use of an access token.
    Use(usize),
    /// Passage of time.
    Wait(Duration),
    /// Sign-out with any refresh token.
    Logout(usize),
    /// Password change with an access token of the session.
    ChangePassword(usize),
    /// Password change in another session.
    ChangePasswordElsewhere,
    /// Deactivation and reactivation by staff.
    Deactivate,
}

/// Prefers the latest tokens, for which most rules apply.
fn token() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..3_usize, 1 => 0..20_usize]
}

fn step() -> impl Strategy<Value = Step> {
    let hours = |hours| Duration::from_hours(hours);
    let spans = [
        Duration::from_secs(1),
        Duration::from_secs(9),
        Duration::from_secs(10),
        Duration::from_secs(11),
        Duration::from_mins(4),
        Duration::from_mins(5) + LEEWAY,
        hours(24 * 10),
        hours(24 * 29),
        hours(24 * 30),
    ];
    prop_oneof![
        8 => token().prop_map(Step::Refresh),
        4 => token().prop_map(Step::Use),
        6 => prop::sample::select(spans.to_vec()).prop_map(Step::Wait),
        1 => token().prop_map(Step::ChangePassword),
        1 => prop_oneof![
            token().prop_map(Step::Logout),
            Just(Step::ChangePasswordElsewhere),
            Just(Step::Deactivate),
        ],
    ]
}

/// Expected state of a session. Times are relative to its start.
struct Model {
    now: Duration,
    is_alive: bool,
    /// The latest generation.
    current: usize,
    /// The latest generation with a used token.
    used: Option<usize>,
    rotated_at: Duration,
    last_used_at: Duration,
    /// Refresh tokens by their generation.
    refresh: Vec<String>,
    /// Access tokens with their generation and expiry.
    access: Vec<(String, usize, Duration)>,
    reuses: u64,
}

/// Expected result of a refresh.
#[derive(Debug, PartialEq, Eq)]
enum Refreshed {
    /// Tokens of this generation.
    Generation(usize),
    Refused,
}

impl Model {
    const GRACE: Duration = Duration::from_secs(10);
    const ACCESS: Duration = Duration::from_mins(5);
    const IDLE: Duration = Duration::from_hours(24 * 30);
    const ABSOLUTE: Duration = Duration::from_hours(24 * 90);

    fn new(client: &Client) -> Self {
        let mut model = Self {
            now: Duration::ZERO,
            is_alive: true,
            current: 0,
            used: None,
            rotated_at: Duration::ZERO,
            last_used_at: Duration::ZERO,
            refresh: vec![client.refresh.clone()],
            access: Vec::new(),
            reuses: 0,
        };
        model.give(client, 0);
        model
    }

    fn give(&mut self, client: &Client, generation: usize) {
        let end = (self.now + Self::ACCESS).min(Self::ABSOLUTE);
        self.access.push((client.access.clone().unwrap(), generation, end));
    }

    fn lives_on(&self) -> bool {
        self.now < Self::ABSOLUTE && self.now < self.last_used_at + Self::IDLE
    }

    fn may_be_repeated(&self, given: usize) -> bool {
        let is_unused = self.used.is_none_or(|used| used < self.current);
        given + 1 == self.current && (is_unused || self.now <= self.rotated_at + Self::GRACE)
    }

    /// True if sign-out with this generation is accepted; otherwise it is reuse.
    fn logout(&mut self, given: usize) -> bool {
        if !self.is_alive {
            return true;
        }
        let is_reused = given < self.current && !self.may_be_repeated(given);
        if is_reused {
            self.reuses += 1;
        }
        if is_reused || self.lives_on() {
            self.is_alive = false;
        }
        !is_reused
    }

    fn refresh(&mut self, given: usize) -> Refreshed {
        if !self.is_alive {
            return Refreshed::Refused;
        }
        let (lives_on, may_be_repeated) = (self.lives_on(), self.may_be_repeated(given));
        if given == self.current && lives_on {
            self.used = Some(given);
            self.rotated_at = self.now;
            self.current = given + 1;
        } else if !(may_be_repeated && lives_on) {
            if given < self.current && !may_be_repeated {
                self.is_alive = false;
                self.reuses += 1;
            }
            return Refreshed::Refused;
        }
        self.last_used_at = self.now;
        Refreshed::Generation(self.current)
    }

    /// Reason for refusing an access token; `None` if it is accepted.
    fn use_access(&mut self, token: usize) -> Option<&'static str> {
        let (_, generation, end) = self.access[token];
        if self.now >= end + LEEWAY {
            return Some("UNAUTHENTICATED EXPIRED");
        }
        if !self.is_alive || self.now >= Self::ABSOLUTE {
            return Some("UNAUTHENTICATED REVOKED");
        }
        self.used = self.used.max(Some(generation));
        None
    }
}

/// Index of a token counted back from the latest; the first if there are fewer tokens.
fn back(token: usize, all: usize) -> usize {
    all.saturating_sub(token + 1)
}

/// The service, and a user with a session.
struct Talk<'a> {
    app: &'a TestApp,
    person: Person,
    client: Client,
    model: Model,
    password: String,
}

impl Talk<'_> {
    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Refresh(token) => self.refresh(back(*token, self.model.refresh.len())).await,
            Step::Use(token) => {
                let token = back(*token, self.model.access.len());
                let client = self.with_access(token);
                let answer = client.send("{ me { id } }", json!({})).await;
                let code = (!answer.body["errors"].is_null()).then(|| answer.code());
                prop_assert_eq!(code.as_deref(), self.model.use_access(token));
                Ok(())
            }
            Step::Wait(span) => {
                self.app.wait(*span);
                self.model.now += *span;
                Ok(())
            }
            Step::Logout(token) => {
                let logout = "mutation($t: String!) { logout(input: { refreshToken: $t }) { errors { code field } } }";
                let given = back(*token, self.model.refresh.len());
                let token = &self.model.refresh[given];
                let refusals = self.app.anyone().refusals(logout, json!({ "t": token })).await;
                let expected: &[&str] = if self.model.logout(given) { &[] } else { &["INVALID_TOKEN"] };
                prop_assert_eq!(refusals, expected);
                Ok(())
            }
            Step::ChangePassword(token) => {
                let token = back(*token, self.model.access.len());
                let expected = self.model.use_access(token);
                let code = self.change_password(&self.with_access(token)).await;
                prop_assert_eq!(code.as_deref(), expected);
                Ok(())
            }
            Step::ChangePasswordElsewhere => {
                let other = self.app.anyone().sign_in(&self.person.email, &self.password).await;
                prop_assert_eq!(self.change_password(&other).await, None);
                self.model.is_alive = false;
                Ok(())
            }
            Step::Deactivate => {
                let toggle = "mutation($id: ID!, $to: Boolean!) {
                    updateUser(input: { id: $id, isActive: $to }) { errors { code field } }
                }";
                let admin = self.app.admin().await;
                for to in [false, true] {
                    let input = json!({ "id": self.person.id, "to": to });
                    prop_assert_eq!(admin.refusals(toggle, input).await, [""; 0]);
                }
                self.model.is_alive = false;
                Ok(())
            }
        }
    }

    fn with_access(&self, token: usize) -> Client {
        self.app.anyone().with_token(self.model.access[token].0.clone())
    }

    async fn refresh(&mut self, given: usize) -> Result<(), TestCaseError> {
        // An access token in the request would count as used.
        self.client.access = None;
        self.client.refresh.clone_from(&self.model.refresh[given]);
        let outcome = self.client.refresh().await;
        match (self.model.refresh(given), outcome) {
            (Refreshed::Refused, Err(code)) => prop_assert_eq!(code, "INVALID_TOKEN"),
            (Refreshed::Generation(generation), Ok(())) => {
                match self.model.refresh.get(generation) {
                    Some(known) => prop_assert_eq!(known, &self.client.refresh, "one successor, the same each time"),
                    None => {
                        prop_assert!(!self.model.refresh.contains(&self.client.refresh));
                        self.model.refresh.push(self.client.refresh.clone());
                    }
                }
                self.model.give(&self.client, generation);
            }
            (expected, outcome) => {
                return Err(TestCaseError::fail(format!("{expected:?} was expected, and came {outcome:?}")));
            }
        }
        Ok(())
    }

    /// Changes the password, and returns the error code if the caller is not recognised.
    async fn change_password(&mut self, client: &Client) -> Option<String> {
        let change = "mutation($old: String!, $new: String!) {
            changePassword(input: { oldPassword: $old, newPassword: $new }) { errors { code field } }
        }";
        let new = if self.password == PASSWORD { "quite another phrase, hers" } else { PASSWORD };
        let answer = client.send(change, json!({ "old": self.password, "new": new })).await;
        if !answer.body["errors"].is_null() {
            return Some(answer.code());
        }
        assert_eq!(answer.body["data"]["changePassword"]["errors"], json!([]));
        new.clone_into(&mut self.password);
        None
    }

    async fn reuses(&self) -> u64 {
        let own = audit_event::Column::TargetId.eq(Uuid::parse_str(&self.person.id).unwrap());
        let events = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::RefreshReused));
        events.filter(own).count(self.app.db()).await.unwrap()
    }
}

#[both_databases]
async fn every_order_of_events_matches_the_model(place: Place) {
    let app = TestApp::start(&place).await;
    let people = Cell::new(0);
    let cases = (Config::default().cases / SHARE).max(1);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let steps = prop::collection::vec(step(), 1..24);
    let runtime = tokio::runtime::Handle::current();
    let outcome = runner.run(&steps, |steps| {
        people.set(people.get() + 1);
        let talk = async {
            let person = app.add_user(&format!("user{}", people.get())).await;
            let client = person.sign_in(&app).await;
            let model = Model::new(&client);
            let mut talk = Talk { app: &app, person, client, model, password: PASSWORD.to_owned() };
            for (number, step) in steps.iter().enumerate() {
                let context = |error| match error {
                    TestCaseError::Fail(reason) => TestCaseError::fail(format!("step {number}, {step:?}: {reason}")),
                    error @ TestCaseError::Reject(_) => error,
                };
                talk.take(step).await.map_err(context)?;
            }
            prop_assert_eq!(talk.reuses().await, talk.model.reuses, "each reuse is recorded once");
            Ok(())
        };
        tokio::task::block_in_place(|| runtime.block_on(talk))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
