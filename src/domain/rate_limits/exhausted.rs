//! Audit events about exhausted limits. A refused request only notes its limit here, since its transaction is rolled
//! back; the worker records the event. Each limit of each account or client leaves one event per period, however many
//! requests are refused.

use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::{Actor, Client, Viewer};
use crate::domain::users::lookup;
use crate::entity::audit_event::{Action, Reason};
use crate::entity::limit::{self, Column};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};

/// Maximum number of notes that wait for the worker. Further ones are dropped.
const MAX_WAITING: usize = 1000;

/// Requester and account of a limit.
#[derive(Clone, Debug)]
pub(in crate::domain) struct LimitSubject {
    actor: Actor,
    target: Target,
    client: Client,
}

/// Account of a limit.
#[derive(Clone, Debug)]
pub(in crate::domain) enum Target {
    Nobody,
    User(Uuid),
    /// The owner of this address, if it has one.
    Address(String),
}

impl From<Option<Uuid>> for Target {
    fn from(user: Option<Uuid>) -> Self {
        user.map_or(Self::Nobody, Self::User)
    }
}

impl LimitSubject {
    /// A request by a stranger, for this account.
    pub(in crate::domain) fn stranger(client: &Client, target: impl Into<Target>) -> Arc<Self> {
        Arc::new(Self { actor: Actor::Anyone, target: target.into(), client: client.clone() })
    }

    /// A request by a signed-in user for themselves.
    pub(in crate::domain) fn viewer(viewer: &Viewer) -> Arc<Self> {
        Arc::new(Self { client: viewer.client().clone(), ..Self::of(viewer.user().id) })
    }

    /// A request by a signed-in user, for another account.
    pub(in crate::domain) fn viewer_for(viewer: &Viewer, target: Target) -> Arc<Self> {
        Arc::new(Self { actor: viewer.actor(), target, client: viewer.client().clone() })
    }

    /// A request by this user for themselves, from an unknown client.
    pub(in crate::domain) fn user(user: Uuid) -> Arc<Self> {
        Arc::new(Self::of(user))
    }

    fn of(user: Uuid) -> Self {
        Self { actor: Actor::User(user), target: Target::User(user), client: Client::default() }
    }
}

/// An exhausted limit to report.
#[derive(Clone, Debug)]
pub(in crate::domain) struct Exhausted {
    pub(in crate::domain) reason: Reason,
    /// Key of its row.
    pub(in crate::domain) key: String,
    /// Start of the period: an event since then suffices.
    pub(in crate::domain) since: Timestamp,
    pub(in crate::domain) concerned: Arc<LimitSubject>,
}

/// Exhausted limits that wait to be reported.
#[derive(Clone, Debug, Default)]
pub(in crate::domain) struct Waiting(Arc<Mutex<Vec<Exhausted>>>);

impl Waiting {
    pub(in crate::domain) fn add(&self, exhausted: Exhausted) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MAX_WAITING && waiting.iter().all(|other| other.key != exhausted.key) {
            waiting.push(exhausted);
        }
    }

    /// Records the events of all limits that were exhausted since the last call.
    ///
    /// # Errors
    /// Database errors; events not recorded by then are lost.
    pub(in crate::domain) async fn report(&self, db: &Db, now: &Now) -> Result<()> {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for exhausted in waiting {
            report(db, now, exhausted).await?;
        }
        Ok(())
    }
}

async fn report(db: &Db, now: &Now, exhausted: Exhausted) -> Result<()> {
    let Exhausted { reason, key, since, concerned } = exhausted;
    let target = match &concerned.target {
        Target::Nobody => None,
        Target::User(user) => Some(*user),
        Target::Address(email) => lookup::by_identifier(db.reader(), email).await?.map(|user| user.id),
    };
    let is_due = Condition::any().add(Column::ReportedAt.is_null()).add(Column::ReportedAt.lte(since));
    let (txn, ref now) = db.begin(now).await?;
    let noted = limit::Entity::update_many()
        .col_expr(Column::ReportedAt, Expr::value(now.at))
        .filter(Column::Key.eq(key))
        .filter(is_due)
        .exec(&txn)
        .await?;
    if noted.rows_affected == 1 {
        let event =
            Event { actor: concerned.actor, ..Event::by_anyone(&concerned.client, Action::LimitReached, target) };
        audit::record(&txn, now, event.because(reason)).await?;
    }
    txn.commit().await?;
    Ok(())
}
