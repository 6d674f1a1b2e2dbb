//! Delivery of due mails, under a lease and with retries.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, Query};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, Order, QueryFilter as _};
use tracing::Instrument as _;

use crate::database::Db;
use crate::domain::outbox::Mailer;
use crate::domain::outbox::compose::{self, Composed};
use crate::domain::outbox::link::Issued;
use crate::entity::mail::{self, Column, Status};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::mail::SendError;
use crate::tools::secret::MasterKeys;

/// Maximum number of attempts per mail.
const ATTEMPTS: i32 = 20;

/// Wait after the first failed attempt. It doubles with each attempt, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// Duration of a worker's lease on a mail; longer than the timeout of any transport.
const LEASE: Duration = Duration::from_secs(60);

/// Leases at most this many due mails, so that no other worker sends them.
pub async fn take(db: &Db, now: &Now, most: usize) -> Result<Vec<mail::Model>> {
    let free = Condition::any().add(Column::LeasedUntil.is_null()).add(Column::LeasedUntil.lte(now.at));
    let due = Query::select()
        .column(Column::Id)
        .from(mail::Entity)
        .and_where(Column::Status.eq(Status::Queued))
        .and_where(Column::NextAttemptAt.lte(now.at))
        .cond_where(free)
        .order_by(Column::Urgency, Order::Asc)
        .order_by(Column::NextAttemptAt, Order::Asc)
        .limit(u64::try_from(most).unwrap_or(u64::MAX))
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .take();
    let leased = mail::Entity::update_many()
        .col_expr(Column::LeasedUntil, Expr::value(now.at.plus(LEASE)))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .filter(Column::Id.in_subquery(due))
        .exec_with_returning(db.writer())
        .await?;
    Ok(leased)
}

/// Sends a leased mail. If that fails, it waits for its next attempt; if its account is gone, it is dropped.
pub async fn deliver(db: &Db, now: &Now, master_keys: &MasterKeys, mailer: &Mailer, mail: mail::Model) {
    let id = mail.id;
    let span = tracing::debug_span!("mail", otel.kind = "consumer", mail.kind = ?mail.kind);
    if let Err(error) = attempt(db, now, master_keys, mailer, mail).instrument(span).await {
        tracing::error!(mail = %id, ?error, "processing mail failed; will retry after its lease expires");
    }
}

async fn attempt(db: &Db, now: &Now, master_keys: &MasterKeys, mailer: &Mailer, mail: mail::Model) -> Result<()> {
    let Some(Composed { message, link }) = compose::message(db, now, master_keys, mailer, &mail).await? else {
        mailer.delivery_metrics.count("dropped");
        return Ok(());
    };
    let sent = mailer.transport.send(&mailer.from, mail.created_at, &message).await;
    mailer.delivery_metrics.count(match &sent {
        Ok(()) => "sent",
        Err(error) if is_last(&mail, error) => "given_up",
        Err(_) => "put_off",
    });
    settle(db, now, &mail, link, sent).await
}

/// Records the result of an attempt, unless another worker has leased the mail since. After the last attempt, the
/// validity of the mail's link begins.
async fn settle(
    db: &Db,
    now: &Now,
    mail: &mail::Model,
    link: Option<Issued>,
    sent: Result<(), SendError>,
) -> Result<()> {
    let is_over = sent.as_ref().err().is_none_or(|error| is_last(mail, error));
    let none = Option::<Timestamp>::None;
    let mut update = mail::Entity::update_many().col_expr(Column::LeasedUntil, Expr::value(none));
    let no_token = Expr::value(Option::<Vec<u8>>::None);
    update = match sent {
        Ok(()) => update
            .col_expr(Column::Status, Expr::value(Status::Sent))
            .col_expr(Column::SentAt, Expr::value(now.at))
            .col_expr(Column::NextAttemptAt, Expr::value(none))
            .col_expr(Column::SealedToken, no_token),
        Err(error) => {
            tracing::warn!(mail = %mail.id, attempt = mail.attempts, error = error.summary, "delivery attempt failed");
            let is_last = is_last(mail, &error);
            let update = update.col_expr(Column::LastError, Expr::value(error.summary));
            if is_last {
                update
                    .col_expr(Column::Status, Expr::value(Status::Failed))
                    .col_expr(Column::NextAttemptAt, Expr::value(none))
                    .col_expr(Column::SealedToken, no_token)
            } else {
                update.col_expr(Column::NextAttemptAt, Expr::value(now.at.plus(retry_delay(mail))))
            }
        }
    };
    let update = update.filter(Column::Id.eq(mail.id)).filter(Column::LeasedUntil.eq(mail.leased_until));
    let Some(link) = link.filter(|_| is_over) else {
        update.exec(db.writer()).await?;
        return Ok(());
    };
    let (txn, ref now) = db.begin(now).await?;
    if update.exec(&txn).await?.rows_affected > 0 {
        link.begin(&txn, now).await?;
    }
    txn.commit().await?;
    Ok(())
}

/// True if the mail is given up after this error.
fn is_last(mail: &mail::Model, error: &SendError) -> bool {
    error.permanent || mail.attempts >= ATTEMPTS
}

/// Wait before the next attempt. The mail's id adds up to a quarter, so that mails that failed together are not retried
/// together.
fn retry_delay(mail: &mail::Model) -> Duration {
    let doublings = mail.attempts.clamp(1, 20).unsigned_abs() - 1;
    let wait = Duration::min(FIRST_WAIT * 2_u32.pow(doublings), LONGEST_WAIT);
    wait + wait / 4 * u32::from(mail.id.as_bytes()[15]) / 255
}
