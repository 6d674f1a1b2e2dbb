//! Where somebody is signed in, and ending that.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::Operator;
use crate::config::SessionConfig;
use crate::database::Db;
use crate::domain::audit;
use crate::domain::sessions;
use crate::entity::audit_event::Action;
use crate::entity::session::{self, Column};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Moment;

/// The sessions of a user that are alive, the one used last first.
pub async fn list(
    db: &Db,
    now: &Moment,
    _operator: &Operator,
    user: Uuid,
    lives: &SessionConfig,
) -> Result<Vec<session::Model>> {
    sessions::alive_of(db, now, user, lives).await
}

/// Which sessions to end.
#[derive(Clone, Debug)]
pub enum Which {
    /// The one with this id.
    One(String),
    /// All of this user.
    Of(Uuid),
}

/// Ends sessions, with an event for each, and returns how many there were.
///
/// # Errors
/// [`Code::NotFound`] where there is no session of this id.
pub async fn end(db: &Db, now: &Moment, operator: &Operator, which: Which) -> Result<usize> {
    let missing = || Refusal::new(Code::NotFound, "There is no such session: it has ended, or never was.");
    let (meant, must_be) = match which {
        Which::One(id) => (Column::Id.eq(Uuid::parse_str(&id).map_err(|_| missing())?), true),
        Which::Of(user) => (Column::UserId.eq(user), false),
    };
    let (txn, ref now) = db.begin(now).await?;
    let ended = session::Entity::delete_many().filter(meant).exec_with_returning(&txn).await?;
    if must_be && ended.is_empty() {
        return Err(missing().into());
    }
    let events = ended.iter().map(|session| operator.did(Action::SessionRevoked, session.user_id));
    audit::record_all(&txn, now, events.collect()).await?;
    txn.commit().await?;
    Ok(ended.len())
}
