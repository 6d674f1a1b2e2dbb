//! Somebody reads, and somebody refreshes, while something else goes on.
//!
//! Requests go out at a fixed pace, and each is timed from when it was due, whatever became of those before: a driver that
//! waits for an answer before it asks again leaves out just those requests that would have waited ("coordinated
//! omission"). The driver's own timer adds a millisecond at most.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::join;
use tokio::time::{Instant, sleep, sleep_until};

use crate::service::Service;
use crate::wire::{self, Tokens, Waits, Wire};
use crate::{ME, PASSWORD, row};

/// `me` in a second, in all, and over how many connections.
const READS: u32 = 200;
const READERS: u32 = 40;

/// Refreshes in a second, in all, and of how many sessions.
const REFRESHES: u32 = 10;
const REFRESHERS: u32 = 10;

/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(50);

/// Those who read and refresh.
pub(crate) struct Beside<'a> {
    service: &'a Service,
    me: Vec<u8>,
    sessions: Vec<Tokens>,
}

/// What they noticed.
pub(crate) struct Noticed {
    me: Paced,
    refresh: Paced,
    /// The most memory that the service and what it started occupied, in MiB.
    pub(crate) memory: u64,
}

/// Requests that went out at a fixed pace.
#[derive(Default)]
struct Paced {
    waits: Vec<Duration>,
    refused: usize,
}

impl<'a> Beside<'a> {
    /// Signs them in.
    pub(crate) async fn of(service: &'a Service) -> Self {
        let reader = Wire::connect(service).await.sign_in(PASSWORD).await;
        let mut sessions = Vec::new();
        for _ in 0..REFRESHERS {
            sessions.push(Wire::connect(service).await.sign_in(PASSWORD).await);
        }
        Self { service, me: wire::post(Some(&reader.access), ME), sessions }
    }

    /// Lets them read and refresh until this has ended.
    pub(crate) async fn during<T>(&mut self, load: impl Future<Output = T>) -> (T, Noticed) {
        let Self { service, me, sessions } = self;
        let (began, over) = (Instant::now(), &Cell::new(false));
        let load = async {
            let outcome = load.await;
            over.set(true);
            outcome
        };
        let readers = join_all((0..READERS).map(async |lane| {
            let mut wire = Wire::connect(service).await;
            let due = Due { began, lane, lanes: READERS, per_second: READS };
            due.pace(over, async || wire.try_ask(me).await.is_some()).await
        }));
        let refreshers = join_all(sessions.iter_mut().zip(0..).map(async |(session, lane)| {
            let mut wire = Wire::connect(service).await;
            let due = Due { began, lane, lanes: REFRESHERS, per_second: REFRESHES };
            let refresh = async || {
                let answer = wire.try_ask(&wire::refresh(session)).await;
                answer.map(|answer| *session = Tokens::of(&answer, "refresh")).is_some()
            };
            due.pace(over, refresh).await
        }));
        let memory = async {
            let mut most = 0;
            while !over.get() {
                most = most.max(service.memory_in_all());
                sleep(LOOK).await;
            }
            most
        };
        let (outcome, me, refresh, memory) = join!(load, readers, refreshers, memory);
        (outcome, Noticed { me: Paced::sum(me), refresh: Paced::sum(refresh), memory })
    }
}

/// When the requests of one connection are due.
struct Due {
    began: Instant,
    lane: u32,
    lanes: u32,
    /// Of all connections.
    per_second: u32,
}

impl Due {
    /// Asks as often as is due until it is over; what this yields is whether it was answered.
    async fn pace(self, over: &Cell<bool>, mut ask: impl AsyncFnMut() -> bool) -> Paced {
        let mut paced = Paced::default();
        let mut next = self.lane;
        loop {
            let due = self.began + Duration::from_secs(1) * next / self.per_second;
            sleep_until(due).await;
            if over.get() {
                return paced;
            }
            if ask().await {
                paced.waits.push(due.elapsed());
            } else {
                paced.refused += 1;
            }
            next += self.lanes;
        }
    }
}

impl Paced {
    fn sum(lanes: Vec<Self>) -> Self {
        lanes.into_iter().fold(Self::default(), |mut sum, lane| {
            sum.waits.extend(lane.waits);
            sum.refused += lane.refused;
            sum
        })
    }

    #[expect(clippy::print_stdout, reason = "this is what it is for")]
    fn print(self, name: &str, when: &str) {
        let Self { waits, refused } = self;
        let count = waits.len();
        let refused = if refused == 0 { String::new() } else { format!("   refused: {refused}") };
        let row = if count == 0 { String::new() } else { row(&Waits::of(waits)) };
        println!("  {:<32}{count:>14}{:>16}{row}{refused}", format!("{name}, {when}"), "");
    }
}

impl Noticed {
    /// Prints it; `when` says what went on.
    pub(crate) fn print(self, when: &str) {
        self.me.print("me", when);
        self.refresh.print("refresh", when);
    }
}
