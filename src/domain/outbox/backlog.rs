//! Waiting and failed mails, for monitoring and `vestibule doctor`.

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::database::Db;
use crate::domain::outbox::order::URGENCIES;
use crate::entity::mail::{self, Column, Status};
use crate::error::Result;
use crate::tools::clock::Timestamp;

/// Undelivered mails.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// Number of waiting mails.
    pub waiting: u64,
    /// Due time of the mail that has waited longest.
    pub due_since: Option<Timestamp>,
    /// Error of its last attempt.
    pub last_error: Option<String>,
    /// Number of failed mails that are still stored.
    pub given_up: u64,
    /// Number of mails held by operators.
    pub held: u64,
}

/// Counts the undelivered mails.
pub async fn backlog(db: &Db) -> Result<Backlog> {
    let mails = |status| mail::Entity::find().filter(Column::Status.eq(status));
    // Mails without a time wait for their account to be activated and are not overdue.
    let waiting = || mails(Status::Queued).filter(Column::NextAttemptAt.is_not_null());
    let mut due: Option<mail::Model> = None;
    // Each query reads the first entry of its part of the index.
    for urgency in URGENCIES {
        let first = waiting().filter(Column::Urgency.eq(urgency)).order_by_asc(Column::NextAttemptAt);
        let first = first.limit(1).all(db.reader()).await?.into_iter().next();
        due = due.into_iter().chain(first).min_by_key(|mail| mail.next_attempt_at);
    }
    Ok(Backlog {
        waiting: waiting().count(db.reader()).await?,
        due_since: due.as_ref().and_then(|mail| mail.next_attempt_at),
        last_error: due.and_then(|mail| mail.last_error),
        given_up: mails(Status::Failed).count(db.reader()).await?,
        held: mails(Status::Held).count(db.reader()).await?,
    })
}
