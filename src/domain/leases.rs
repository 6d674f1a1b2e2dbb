//! Turns at work that one instance does at a time. A turn is a row with an end, which its holder moves as long as it lives;
//! that of a process that died ends by itself.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::database::Db;
use crate::entity::lease::{self, Column};
use crate::error::Result;
use crate::tools::clock::Clock;

/// The time after which a turn ends whose holder died.
pub const LEASE: Duration = Duration::from_secs(60);

/// Interval between two extensions of a turn.
const RENEWAL: Duration = Duration::from_secs(20);

/// A turn that is held. It ends when it is dropped, soon after that, or at [`Lease::end`].
#[derive(Debug)]
pub struct Lease {
    db: Db,
    holder: Uuid,
    renewal: JoinHandle<()>,
    is_over: bool,
}

/// Takes a turn at this work; none while another instance, or another task of this one, has it.
///
/// # Errors
/// [`crate::error::Error::Unavailable`] where the database does not answer.
pub async fn take(db: &Db, clock: Clock, name: &'static str) -> Result<Option<Lease>> {
    let now = clock.now();
    let holder = now.id();
    let row = lease::ActiveModel { name: Set(name.to_owned()), holder: Set(holder), ends_at: Set(now.at.plus(LEASE)) };
    let over = OnConflict::column(Column::Name)
        .update_columns([Column::Holder, Column::EndsAt])
        .action_and_where(Expr::col((lease::Entity, Column::EndsAt)).lte(now.at))
        .to_owned();
    if lease::Entity::insert(row).on_conflict(over).exec_without_returning(db.writer()).await? == 0 {
        return Ok(None);
    }
    let renewal = tokio::spawn(renew(db.clone(), clock, holder));
    Ok(Some(Lease { db: db.clone(), holder, renewal, is_over: false }))
}

async fn renew(db: Db, clock: Clock, holder: Uuid) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let end = Expr::value(clock.now().at.plus(LEASE));
        let renewed = lease::Entity::update_many().col_expr(Column::EndsAt, end).filter(Column::Holder.eq(holder));
        if let Err(error) = renewed.exec(db.writer()).await {
            tracing::warn!(?error, "turn not renewed; will retry");
        }
    }
}

async fn give_up(db: &Db, holder: Uuid) -> Result<()> {
    lease::Entity::delete_many().filter(Column::Holder.eq(holder)).exec(db.writer()).await?;
    Ok(())
}

impl Lease {
    /// Ends the turn, so that the next can be taken at once. Where the database does not answer, it ends with its lease.
    pub async fn end(mut self) {
        self.is_over = true;
        self.renewal.abort();
        if let Err(error) = give_up(&self.db, self.holder).await {
            tracing::warn!(?error, "turn not ended; it ends with its lease");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
        if let (false, Ok(runtime)) = (self.is_over, tokio::runtime::Handle::try_current()) {
            let (db, holder) = (self.db.clone(), self.holder);
            runtime.spawn(async move { give_up(&db, holder).await.ok() });
        }
    }
}
