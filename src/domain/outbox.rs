//! Mails: put in line with the change that they tell of, delivered by a worker.
//!
//! A row says which mail goes to whom. Its text is made when it is sent and never stored; the secret of a link is kept
//! sealed from the first attempt to the last, so that a second copy of a mail has the same link.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, Order, QueryFilter as _,
};
use uuid::Uuid;

use crate::config::{BaseUrl, LinkConfig};
use crate::database::Db;
use crate::domain::reset;
use crate::entity::mail::{self, Column, Kind, Status};
use crate::entity::one_time_token::Purpose;
use crate::entity::{audit_event, user};
use crate::error::{Error, Result};
use crate::tools::clock::{Moment, Timestamp};
use crate::tools::identifier;
use crate::tools::mail::{Content, Link, Message, Recipient, SendError, Sender, Site, Transport, render};
use crate::tools::secret::{Secret, Vault};

/// How often sending is tried before a mail is given up.
const ATTEMPTS: i32 = 20;

/// The wait after the first failed attempt; it doubles with each, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// For how long one worker alone may send a mail; longer than any transport tries.
const LEASE: Duration = Duration::from_secs(60);

/// How many mails a worker sends at once.
const BATCH: u64 = 10;

/// What delivering needs to know.
#[derive(Debug)]
pub struct Courier {
    /// The way mails go.
    pub transport: Transport,
    /// Their sender.
    pub from: Sender,
    /// Whose mails they are.
    pub site: Site,
    /// Where their links lead; taken from the configuration alone.
    pub frontend: BaseUrl,
    /// How long their links hold.
    pub links: LinkConfig,
}

/// Puts a mail in line, in the transaction of what it tells of. Returns its id.
pub async fn enqueue(
    txn: &DatabaseTransaction,
    now: &Moment,
    kind: Kind,
    recipient: &str,
    user: Option<Uuid>,
) -> Result<Uuid> {
    let id = now.id();
    let row = mail::ActiveModel {
        id: Set(id),
        kind: Set(kind),
        recipient: Set(recipient.to_owned()),
        user_id: Set(user),
        sealed_token: Set(None),
        status: Set(Status::Queued),
        attempts: Set(0),
        last_error: Set(None),
        created_at: Set(now.at),
        next_attempt_at: Set(Some(now.at)),
        leased_until: Set(None),
        sent_at: Set(None),
    };
    mail::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(id)
}

/// Sends what is due, several mails at once so that a slow one holds up none, and returns how many it took on. A mail
/// that cannot be sent waits for its next attempt; one whose account is gone is dropped.
pub async fn deliver_due(db: &Db, now: &Moment, vault: &Vault, courier: &Courier) -> Result<usize> {
    let leased = lease(db, now).await?;
    let count = leased.len();
    let deliveries = leased.into_iter().map(|mail| async move {
        let id = mail.id;
        if let Err(error) = deliver(db, now, vault, courier, mail).await {
            tracing::error!(mail = %id, ?error, "a mail could not be delivered; it is tried again when its lease ends");
        }
    });
    futures_util::future::join_all(deliveries).await;
    Ok(count)
}

/// Takes mails that are due, for a time, so that no other worker sends them too.
async fn lease(db: &Db, now: &Moment) -> Result<Vec<mail::Model>> {
    let free = Condition::any().add(Column::LeasedUntil.is_null()).add(Column::LeasedUntil.lte(now.at));
    let due = Query::select()
        .column(Column::Id)
        .from(mail::Entity)
        .and_where(Column::Status.eq(Status::Queued))
        .and_where(Column::NextAttemptAt.lte(now.at))
        .cond_where(free)
        .order_by(Column::NextAttemptAt, Order::Asc)
        .limit(BATCH)
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

async fn deliver(db: &Db, now: &Moment, vault: &Vault, courier: &Courier, mail: mail::Model) -> Result<()> {
    let Some(message) = prepare(db, now, vault, courier, &mail).await? else { return Ok(()) };
    let sent = courier.transport.send(&courier.from, mail.created_at, &message).await;
    settle(db, now, &mail, sent).await
}

/// The mail's text, with a link where it has one; none where there is nobody to send it to, and its row is gone.
async fn prepare(
    db: &Db,
    now: &Moment,
    vault: &Vault,
    courier: &Courier,
    mail: &mail::Model,
) -> Result<Option<Message>> {
    let txn = db.begin().await?;
    let Some(user) = addressee(&txn, mail).await? else {
        mail::Entity::delete_by_id(mail.id).exec(&txn).await?;
        txn.commit().await?;
        return Ok(None);
    };
    let LinkConfig { reset_ttl, invite_ttl, verify_ttl } = courier.links;
    let content = match mail.kind {
        Kind::ResetPassword => {
            let life = (Purpose::Reset, reset_ttl);
            Content::ResetPassword(link(&txn, now, vault, courier, (mail, &user), life).await?)
        }
        Kind::Welcome if user.password_hash.is_none() => {
            let life = (Purpose::Invite, invite_ttl);
            Content::Welcome(Some(link(&txn, now, vault, courier, (mail, &user), life).await?))
        }
        Kind::Welcome => Content::Welcome(None),
        Kind::ConfirmNewEmail => {
            let life = (Purpose::EmailMove, verify_ttl);
            Content::ConfirmNewEmail(link(&txn, now, vault, courier, (mail, &user), life).await?)
        }
        Kind::EmailChanged => Content::EmailChanged { new_address: user.email.clone() },
        Kind::PasswordChanged => Content::PasswordChanged { at: mail.created_at },
    };
    txn.commit().await?;
    let address = match mail.kind {
        Kind::ConfirmNewEmail | Kind::EmailChanged => &mail.recipient,
        _ => &user.email,
    };
    let recipient = Recipient { address: address.clone(), name: user.name() };
    Ok(Some(render(&courier.site, &recipient, &content, mail.id)))
}

/// The active user whom the mail is for. Who asked for a reset is looked up here, and the mail then goes to the address
/// that is stored, never to the one that was typed.
async fn addressee(txn: &DatabaseTransaction, mail: &mail::Model) -> Result<Option<user::Model>> {
    if let Some(id) = mail.user_id {
        let found = user::Entity::find_by_id(id).filter(user::Column::IsActive.eq(true)).one(txn).await?;
        // A link to an address that the user has given up meanwhile must not prove another.
        let given_up = |user: &user::Model| {
            mail.kind == Kind::ConfirmNewEmail && user.pending_email.as_deref() != Some(mail.recipient.as_str())
        };
        return Ok(found.filter(|user| !given_up(user)));
    }
    let found = user::Entity::find_by_identifier(&identifier::fold(&mail.recipient));
    let Some(user) = found.filter(user::Column::IsActive.eq(true)).one(txn).await? else { return Ok(None) };
    mail::Entity::update_many()
        .col_expr(Column::UserId, Expr::value(user.id))
        .col_expr(Column::Recipient, Expr::value(user.email.clone()))
        .filter(Column::Id.eq(mail.id))
        .exec(txn)
        .await?;
    audit_event::Entity::update_many()
        .col_expr(audit_event::Column::TargetId, Expr::value(user.id))
        .filter(audit_event::Column::Id.eq(mail.id))
        .exec(txn)
        .await?;
    Ok(Some(user))
}

/// The link to set a password: made at the first attempt, the same at each further one.
async fn link(
    txn: &DatabaseTransaction,
    now: &Moment,
    vault: &Vault,
    courier: &Courier,
    (mail, user): (&mail::Model, &user::Model),
    (purpose, life): (Purpose, Duration),
) -> Result<Link> {
    let context = mail.id.to_string();
    let secret = match &mail.sealed_token {
        Some(sealed) => {
            let bytes = vault.unseal(&context, sealed).and_then(|bytes| bytes.try_into().ok());
            bytes.map(Secret::new).ok_or_else(|| Error::internal("a mail's secret cannot be unsealed"))?
        }
        None => {
            let secret = reset::make_link(txn, now, user.id, purpose, now.at.plus(life)).await?;
            mail::Entity::update_many()
                .col_expr(Column::SealedToken, Expr::value(vault.seal(&context, &secret.reveal())))
                .filter(Column::Id.eq(mail.id))
                .exec(txn)
                .await?;
            secret
        }
    };
    let (base, token) = (courier.frontend.as_str(), secret.to_text());
    let url = match purpose {
        Purpose::Reset | Purpose::Invite => format!("{base}/account/reset?uid={}&token={token}", user.id),
        Purpose::EmailMove => format!("{base}/account/verify?token={token}"),
    };
    Ok(Link { url, valid_for: life })
}

/// Notes how an attempt ended, unless another worker has taken the mail over since.
async fn settle(db: &Db, now: &Moment, mail: &mail::Model, sent: Result<(), SendError>) -> Result<()> {
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
            tracing::warn!(mail = %mail.id, attempt = mail.attempts, error = error.summary, "a mail was not taken");
            let update = update.col_expr(Column::LastError, Expr::value(error.summary));
            if error.permanent || mail.attempts >= ATTEMPTS {
                update
                    .col_expr(Column::Status, Expr::value(Status::Failed))
                    .col_expr(Column::NextAttemptAt, Expr::value(none))
                    .col_expr(Column::SealedToken, no_token)
            } else {
                update.col_expr(Column::NextAttemptAt, Expr::value(now.at.plus(wait(mail))))
            }
        }
    };
    update.filter(Column::Id.eq(mail.id)).filter(Column::LeasedUntil.eq(mail.leased_until)).exec(db.writer()).await?;
    Ok(())
}

/// The wait before the next attempt, up to a quarter longer by the mail's id, so that mails that failed together do
/// not all come back together.
fn wait(mail: &mail::Model) -> Duration {
    let doublings = mail.attempts.clamp(1, 20).unsigned_abs() - 1;
    let wait = Duration::min(FIRST_WAIT * 2_u32.pow(doublings), LONGEST_WAIT);
    wait + wait / 4 * u32::from(mail.id.as_bytes()[15]) / 255
}
