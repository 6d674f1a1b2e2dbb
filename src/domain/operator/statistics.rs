//! Numbers of stored rows, for monitoring.

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};

use crate::config::SessionConfig;
use crate::database::Db;
use crate::domain::auth::sessions;
use crate::domain::outbox::{self, Backlog};
use crate::domain::presence::Presence;
use crate::entity::{registration, session, user};
use crate::error::Result;
use crate::tools::clock::Now;

/// Numbers of stored rows.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Active users.
    pub active: u64,
    /// Deactivated users.
    pub inactive: u64,
    /// Users who were seen recently.
    pub online: u64,
    /// Live sessions.
    pub sessions: u64,
    /// Pending registrations.
    pub registrations: u64,
    /// Mails that are not delivered yet.
    pub mails: Backlog,
}

/// Counts the rows. With a million users this takes some tenths of a second, so that callers should cache the result.
pub async fn count(db: &Db, now: &Now, presence: &Presence, lives: &SessionConfig) -> Result<Statistics> {
    let users = |active: bool| user::Entity::find().filter(user::Column::IsActive.eq(active)).count(db.reader());
    Ok(Statistics {
        active: users(true).await?,
        inactive: users(false).await?,
        online: presence.how_many(db, now).await?,
        sessions: session::Entity::find().filter(sessions::are_alive(now, lives)).count(db.reader()).await?,
        registrations: registration::Entity::find().count(db.reader()).await?,
        mails: outbox::backlog(db).await?,
    })
}
