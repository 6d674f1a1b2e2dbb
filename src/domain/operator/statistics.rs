//! How many there are of what is kept, for those who watch the service.

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};

use crate::config::SessionConfig;
use crate::database::Db;
use crate::domain::auth::sessions;
use crate::domain::outbox::{self, Backlog};
use crate::domain::presence::Presence;
use crate::entity::{registration, session, user};
use crate::error::Result;
use crate::tools::clock::Now;

/// How many there are.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Users who may sign in.
    pub active: u64,
    /// Users who are deactivated.
    pub inactive: u64,
    /// Users who were seen lately.
    pub online: u64,
    /// Sessions that are alive.
    pub sessions: u64,
    /// Registrations that wait for their link.
    pub registrations: u64,
    /// Mails that have not gone out.
    pub mails: Backlog,
}

/// Counts them; what a million users need for that is some tenths of a second, so that whoever asks should remember it.
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
