//! Listing and ending sessions.

use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::Operator;
use crate::config::SessionConfig;
use crate::database::Db;
use crate::database::batch_delete;
use crate::domain::audit;
use crate::domain::auth::sessions;
use crate::entity::audit_event::Action;
use crate::entity::session::{self, Column};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// Live sessions of a user, the most recently used first.
pub async fn list(
    db: &Db,
    now: &Now,
    _operator: &Operator,
    user: Uuid,
    lives: &SessionConfig,
) -> Result<Vec<session::Model>> {
    sessions::alive_of(db, now, user, lives).await
}

/// Selection of sessions to end.
#[derive(Clone, Debug)]
pub enum Which {
    /// The session with this id.
    One(String),
    /// All sessions of this user.
    Of(Uuid),
}

/// Ends sessions, with an event for each, and returns their number.
///
/// # Errors
/// [`Code::NotFound`] if no session has this id.
pub async fn end(db: &Db, now: &Now, operator: &Operator, which: Which) -> Result<usize> {
    let missing = || Refusal::new(Code::NotFound, "operator-session-missing");
    let (meant, must_be) = match which {
        Which::One(id) => (Column::Id.eq(Uuid::parse_str(&id).map_err(|_| missing())?), true),
        Which::Of(user) => (Column::UserId.eq(user), false),
    };
    let (txn, _) = db.begin(now).await?;
    let ended = session::Entity::delete_many().filter(meant).exec_with_returning(&txn).await?;
    if must_be && ended.is_empty() {
        return Err(missing().into());
    }
    // Earlier changes of these sessions come first in the trail.
    let now = &now.anew();
    let events = ended.iter().map(|session| operator.did(Action::SessionRevoked, session.user_id));
    audit::record_all(&txn, now, events.collect()).await?;
    txn.commit().await?;
    Ok(ended.len())
}

/// Ends the sessions of all users, with one event, and returns their number. Each statement ends at most a thousand, so
/// that others can write in between. The event is recorded with the first.
pub async fn end_everybodys(db: &Db, now: &Now, operator: &Operator) -> Result<u64> {
    let step = || {
        let some = batch_delete::step::<session::Entity>(session::PrimaryKey::Id, &Condition::all());
        session::Entity::delete_many().filter(some)
    };
    let (txn, ref now) = db.begin(now).await?;
    let mut last = step().exec(&txn).await?.rows_affected;
    audit::record(&txn, now, operator.did(Action::SessionsRevoked, None)).await?;
    txn.commit().await?;
    let mut ended = last;
    while last == batch_delete::STEP {
        last = step().exec(db.writer()).await?.rows_affected;
        ended += last;
    }
    Ok(ended)
}
