//! The matrix of faults, databases, and expected behavior.

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

/// Environment of a row.
#[derive(Default)]
pub(crate) struct Lab(OnceCell<Cluster>);

impl Lab {
    /// Our own PostgreSQL server, started on first use.
    pub(crate) async fn cluster(&self) -> Outcome<&Cluster> {
        self.0.get_or_try_init(async || Cluster::start()).await
    }

    /// A fresh database and directory.
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
    /// Name for selecting the fault.
    pub(crate) name: &'static str,
    pub(crate) databases: &'static [Kind],
    /// Expected behavior of the service.
    pub(crate) expected: &'static str,
    pub(crate) run: Run,
    /// True if it mostly waits, so that it runs on all databases in parallel.
    pub(crate) at_once: bool,
    /// Reason to skip it on this machine, if any.
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

/// All faults, in the order of execution.
#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(crate) fn all() -> Vec<Row> {
    let mut rows = vec![
        row!(
            "kill-writes",
            BOTH,
            kill::under_writes,
            "kill -9, three times: everything acknowledged is complete; restart < 15 s"
        ),
        row!(
            "kill-refresh",
            BOTH,
            kill::after_refresh,
            "killed between commit and response: the old refresh token works once more"
        ),
        row!(
            "power-loss",
            SQLITE,
            kill::power_loss,
            "at least one fsync per acknowledged write; files copied during writes are complete"
        ),
        row!(
            "restore",
            BOTH,
            restore::by_the_manual,
            "backups during writes, restored by the manual: everything acknowledged before is there, sessions stay valid"
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
            "frozen permanently, standby promoted: writes of both instances < 15 s, then all; SIGTERM ends < 10 s"
        ),
        row!("stop-frozen", POSTGRES, failover::stop_amid_freeze, "SIGTERM while the only server hangs: ends < 10 s"),
        row!(
            "postgres-standby",
            POSTGRES,
            failover::lead_to_standby,
            "connected to a standby: SERVICE_UNAVAILABLE, /readyz 503, doctor reports it; back: writes < 15 s, then all"
        ),
        row!(
            "pgbouncer",
            POSTGRES,
            failover::behind_pgbouncer,
            "transaction mode: refused in one line; session mode: serves, with PostgreSQL's timeout of 5 s",
            bouncer::left_out
        ),
        row!(
            "sqlite-locked",
            SQLITE,
            databases::lock,
            "writes SERVICE_UNAVAILABLE within 12 s, reads work; writes again < 10 s"
        ),
        row!(
            "disk-full",
            SQLITE,
            disk::full,
            "writes SERVICE_UNAVAILABLE, reads work, no partial avatar; recovers by itself",
            disk::left_out
        ),
        row!("smtp-down", BOTH, mails::down, "normal responses, and 100 emails once it is back, none twice"),
        row!("smtp-tarpit", BOTH, mails::tarpit, "no response for one address: 50 others get their emails < 25 s"),
        row!("smtp-slow", BOTH, mails::slow, "half a second per email: 50 of 50, none twice"),
        row!("smtp-refusing", BOTH, mails::refusing, "451: retried once later; 550: given up immediately"),
        row!(
            "kill-sending",
            BOTH,
            mails::kill,
            "killed during 200 emails: none missing, at most ten twice; the rest < 75 s after the restart"
        ),
        row!(
            "races",
            BOTH,
            instances::race,
            "two instances: one winner for each link, name and token; limits are shared"
        ),
        row!(
            "start-together",
            BOTH,
            instances::start_together,
            "four simultaneous starts on an empty database, three times: all serve, one first superuser"
        ),
        row!(
            "behind-nginx",
            POSTGRES,
            balanced::under_load,
            "two under load, one killed: only POSTs in flight at it fail; restarts and rotation: nothing fails",
            proxy::left_out
        ),
        row!(
            "shared-state",
            POSTGRES,
            shared::between_two,
            "two: sessions, revocations, limits and subscriptions are shared, also after a kill of one",
            proxy::left_out
        ),
        row!("older-binary", BOTH, instances::older_binary, "refuses a database of a newer version in one line"),
        row!(
            "clock-back",
            BOTH,
            clocks::step_back,
            "two hours back: nothing used works again, limits stay, emails are sent",
            clocks::left_out
        ),
        row!(
            "clock-skew",
            BOTH,
            clocks::skew,
            "instances 3 s and 60 s apart: each accepts the other's tokens",
            clocks::left_out
        ),
        row!(
            "slow-clients",
            SQLITE,
            clients::slow,
            "500 half headers, 500 half bodies, 200 silent: closed < 25 s; others are served meanwhile"
        ),
        row!("idle-sockets", BOTH, clients::idle_sockets, "1,000 connected: others are served, < 150 MiB more"),
        row!(
            "argon2-overload",
            SQLITE,
            clients::argon2,
            "200 simultaneous sign-ins: done or SERVICE_UNAVAILABLE < 20 s, `me` works meanwhile"
        ),
        row!(
            "sigterm",
            BOTH,
            process::terminate,
            "requests finish, sockets closed with 1001, ends < 15 s, even with stuck emails"
        ),
        row!("panic", BOTH, process::panic, "INTERNAL_SERVER_ERROR; keeps running, and the pool loses no connection"),
    ];
    for row in &mut rows {
        row.at_once = matches!(row.name, "smtp-down" | "smtp-refusing" | "kill-sending");
    }
    rows
}
