//! Reads and refreshes at a fixed rate during other work.
//!
//! Each request is timed from its due time, regardless of earlier ones. A driver that waits for a response before it
//! sends the next request omits exactly the requests that would have waited ("coordinated omission"). The driver's own
//! timer adds at most a millisecond.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::join;
use tokio::time::{Instant, sleep, sleep_until};

use crate::service::Service;
use crate::wire::{self, Tokens, Waits, Wire};
use crate::{ME, PASSWORD, row};

/// Total reads of `me` per second, and number of connections.
const READS: u32 = 200;
const READERS: u32 = 40;

/// Total refreshes per second, and number of sessions.
const REFRESHES: u32 = 10;
const REFRESHERS: u32 = 10;

/// Interval between samples of the memory.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// Clients that read and refresh.
pub(crate) struct Beside<'a> {
    service: &'a Service,
    me: Vec<u8>,
    sessions: Vec<Tokens>,
}

/// Observations of the clients.
pub(crate) struct Noticed {
    me: Paced,
    refresh: Paced,
    /// Peak memory of the service and its child processes in MiB.
    pub(crate) memory: u64,
}

/// Requests sent at a fixed rate.
#[derive(Default)]
struct Paced {
    waits: Vec<Duration>,
    refused: usize,
}

impl<'a> Beside<'a> {
    /// Signs the clients in.
    pub(crate) async fn of(service: &'a Service) -> Self {
        let reader = Wire::connect(service).await.sign_in(PASSWORD).await;
        let mut sessions = Vec::new();
        for _ in 0..REFRESHERS {
            sessions.push(Wire::connect(service).await.sign_in(PASSWORD).await);
        }
        Self { service, me: wire::post(Some(&reader.access), ME), sessions }
    }

    /// Reads and refreshes until the work has ended.
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
                sleep(SAMPLE_INTERVAL).await;
            }
            most
        };
        let (outcome, me, refresh, memory) = join!(load, readers, refreshers, memory);
        (outcome, Noticed { me: Paced::sum(me), refresh: Paced::sum(refresh), memory })
    }
}

/// Due times of the requests of one connection.
struct Due {
    began: Instant,
    lane: u32,
    lanes: u32,
    /// Total over all connections.
    per_second: u32,
}

impl Due {
    /// Sends each request when it is due, until the work has ended. The request returns true if it succeeded.
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

    #[expect(clippy::print_stdout, reason = "it is a tool that prints")]
    fn print(self, name: &str, when: &str) {
        let Self { waits, refused } = self;
        let count = waits.len();
        let refused = if refused == 0 { String::new() } else { format!("   refused: {refused}") };
        let row = if count == 0 { String::new() } else { row(&Waits::of(waits)) };
        println!("  {:<32}{count:>14}{:>16}{row}{refused}", format!("{name}, {when}"), "");
    }
}

impl Noticed {
    /// Prints a row; `when` describes the work.
    pub(crate) fn print(self, when: &str) {
        self.me.print("me", when);
        self.refresh.print("refresh", when);
    }
}
