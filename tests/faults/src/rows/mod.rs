//! The matrix: what is broken, on which databases, and what is expected.

mod balanced;
mod clients;
mod clocks;
mod databases;
mod disk;
mod failover;
mod instances;
mod kill;
mod mails;
mod process;
mod restore;
mod shared;

use std::pin::Pin;

use tokio::sync::OnceCell;

use crate::bouncer;
use crate::database::{Cluster, Kind, Place};
use crate::outcome::{Findings, Outcome};
use crate::proxy;

/// What rows are run with.
#[derive(Default)]
pub(crate) struct Lab(OnceCell<Cluster>);

impl Lab {
    /// The PostgreSQL server of our own, started when it is first needed.
    pub(crate) async fn cluster(&self) -> Outcome<&Cluster> {
        self.0.get_or_try_init(async || Cluster::start()).await
    }

    /// A fresh database and folder.
    pub(crate) async fn place(&self, kind: Kind) -> Outcome<Place> {
        match kind {
            Kind::Sqlite => Place::sqlite(),
            Kind::Postgres => self.cluster().await?.place().await,
        }
    }
}

type Run = for<'a> fn(&'a Lab, Kind) -> Pin<Box<dyn Future<Output = Outcome<Findings>> + 'a>>;

/// A fault.
pub(crate) struct Row {
    /// What it is chosen by.
    pub(crate) name: &'static str,
    pub(crate) databases: &'static [Kind],
    /// What the service must do.
    pub(crate) expected: &'static str,
    pub(crate) run: Run,
    /// Whether it mostly waits, so that it is run on all databases at once.
    pub(crate) at_once: bool,
    /// Why it has to be left out on this machine, if it has to.
    pub(crate) left_out: fn() -> Option<&'static str>,
}

const BOTH: &[Kind] = &[Kind::Sqlite, Kind::Postgres];
const SQLITE: &[Kind] = &[Kind::Sqlite];
const POSTGRES: &[Kind] = &[Kind::Postgres];

macro_rules! row {
    ($name:literal, $databases:ident, $run:path, $expected:literal) => {
        row!($name, $databases, $run, $expected, || None)
    };
    ($name:literal, $databases:ident, $run:path, $expected:literal, $left_out:expr) => {
        Row {
            name: $name,
            databases: $databases,
            at_once: false,
            expected: $expected,
            run: |lab, kind| Box::pin($run(lab, kind)),
            left_out: $left_out,
        }
    };
}

/// All of them, in the order in which they are run.
#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(crate) fn all() -> Vec<Row> {
    let mut rows = vec![
        row!(
            "kill-writes",
            BOTH,
            kill::under_writes,
            "kill -9, three times: all that was acknowledged is there, whole; starts again < 15 s"
        ),
        row!(
            "kill-refresh",
            BOTH,
            kill::after_refresh,
            "killed between commit and answer: the old refresh token works once more"
        ),
        row!(
            "power-loss",
            SQLITE,
            kill::power_loss,
            "one fsync at least for each acknowledged write; files copied amid writes hold all"
        ),
        row!(
            "restore",
            BOTH,
            restore::by_the_manual,
            "backups amid writes, restored by the manual: all acknowledged before is there, sessions go on"
        ),
        row!(
            "postgres-restart",
            POSTGRES,
            databases::restart,
            "SERVICE_UNAVAILABLE meanwhile, no answer > 5 s; writes again < 10 s"
        ),
        row!(
            "postgres-frozen",
            POSTGRES,
            databases::freeze,
            "SERVICE_UNAVAILABLE within 12 s, /readyz 503, /healthz 200; writes again < 10 s"
        ),
        row!(
            "primary-frozen",
            POSTGRES,
            failover::freeze_primary,
            "frozen for good, its standby promoted: writes of both instances < 15 s, then all; SIGTERM ends < 10 s"
        ),
        row!("stop-frozen", POSTGRES, failover::stop_amid_freeze, "SIGTERM while the only server hangs: ends < 10 s"),
        row!(
            "postgres-standby",
            POSTGRES,
            failover::lead_to_standby,
            "led to a standby: SERVICE_UNAVAILABLE, /readyz 503, doctor says so; back: writes < 15 s, then all"
        ),
        row!(
            "pgbouncer",
            POSTGRES,
            failover::behind_pgbouncer,
            "by transaction: refused in one line; by session: serves, and PostgreSQL's limit of 5 s holds",
            bouncer::left_out
        ),
        row!(
            "sqlite-locked",
            SQLITE,
            databases::lock,
            "writes SERVICE_UNAVAILABLE within 12 s, reads go on; writes again < 10 s"
        ),
        row!(
            "disk-full",
            SQLITE,
            disk::full,
            "writes SERVICE_UNAVAILABLE, reads go on, no part of an avatar; recovers by itself",
            disk::left_out
        ),
        row!("smtp-down", BOTH, mails::down, "answers as always, and 100 mails once it is back, none twice"),
        row!("smtp-tarpit", BOTH, mails::tarpit, "one address never answered: 50 others get their mails < 25 s"),
        row!("smtp-slow", BOTH, mails::slow, "half a second for each mail: 50 of 50, none twice"),
        row!("smtp-refusing", BOTH, mails::refusing, "451: tried again later, and once; 550: given up at once"),
        row!(
            "kill-sending",
            BOTH,
            mails::kill,
            "killed amid 200 mails: none missing, ten at most twice; the rest < 75 s after the restart"
        ),
        row!(
            "races",
            BOTH,
            instances::race,
            "two instances: of each link, name and token one winner; limits hold across both"
        ),
        row!(
            "start-together",
            BOTH,
            instances::start_together,
            "four at once on an empty database, three times: all serve, one first superuser"
        ),
        row!(
            "behind-nginx",
            POSTGRES,
            balanced::under_load,
            "two under load, one killed: nothing fails but POSTs in flight at it; restarts and rotation: nothing",
            proxy::left_out
        ),
        row!(
            "shared-state",
            POSTGRES,
            shared::between_two,
            "two: sessions, ends, limits and subscriptions of one hold at the other, also once it was killed",
            proxy::left_out
        ),
        row!("older-binary", BOTH, instances::older_binary, "refused with one line on a database of a newer version"),
        row!(
            "clock-back",
            BOTH,
            clocks::step_back,
            "two hours back: nothing spent works again, limits hold, mails go out",
            clocks::left_out
        ),
        row!(
            "clock-skew",
            BOTH,
            clocks::skew,
            "instances 3 s and 60 s apart: tokens of one work at the other",
            clocks::left_out
        ),
        row!(
            "slow-clients",
            SQLITE,
            clients::slow,
            "500 half headers, 500 half bodies, 200 silent: gone < 25 s; others are served meanwhile"
        ),
        row!("idle-sockets", BOTH, clients::idle_sockets, "1,000 connected: others are served, < 150 MiB more"),
        row!(
            "argon2-overload",
            SQLITE,
            clients::argon2,
            "200 sign-ins at once: done or SERVICE_UNAVAILABLE < 20 s, `me` answered meanwhile"
        ),
        row!(
            "sigterm",
            BOTH,
            process::terminate,
            "under way is finished, sockets closed with 1001, ends < 15 s, stuck mails or not"
        ),
        row!("panic", BOTH, process::panic, "INTERNAL_SERVER_ERROR; lives on, and no connection is lost to the pool"),
    ];
    for row in &mut rows {
        row.at_once = matches!(row.name, "smtp-down" | "smtp-refusing" | "kill-sending");
    }
    rows
}
