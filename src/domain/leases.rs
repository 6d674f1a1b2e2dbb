//! Leases for work that only one instance does at a time. A lease is a row with an expiry, which its holder extends
//! while it runs. The lease of a process that died expires.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::database::Db;
use crate::entity::lease::{self, Column};
use crate::error::Result;
use crate::tools::clock::Clock;

/// Time after which the lease of a dead holder expires.
pub const LEASE: Duration = Duration::from_secs(60);

/// Interval between two renewals of a lease.
const RENEWAL: Duration = Duration::from_secs(20);

/// A held lease. It is released at [`Lease::end`], or soon after it is dropped.
#[derive(Debug)]
pub struct Lease {
    db: Db,
    holder: Uuid,
    renewal: JoinHandle<()>,
    is_over: bool,
}

/// Acquires the lease of this name; none while another instance or task holds it.
///
/// # Errors
/// [`crate::error::Error::Unavailable`] if the database does not respond.
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
            tracing::warn!(?error, "renewing lease failed; will retry");
        }
    }
}

async fn release(db: &Db, holder: Uuid) -> Result<()> {
    lease::Entity::delete_many().filter(Column::Holder.eq(holder)).exec(db.writer()).await?;
    Ok(())
}

impl Lease {
    /// Releases the lease, so that it can be acquired again immediately. If the database does not respond, it expires.
    pub async fn end(mut self) {
        self.is_over = true;
        self.renewal.abort();
        if let Err(error) = release(&self.db, self.holder).await {
            tracing::warn!(?error, "releasing lease failed; it will expire");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
        if let (false, Ok(runtime)) = (self.is_over, tokio::runtime::Handle::try_current()) {
            let (db, holder) = (self.db.clone(), self.holder);
            runtime.spawn(async move { release(&db, holder).await.ok() });
        }
    }
}
