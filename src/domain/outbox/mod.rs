//! The outbox: mails are queued with the change that they announce, and delivered by a worker.
//!
//! A row contains the kind and recipient of a mail. The text is rendered at delivery and never stored. The secret of a
//! link is stored sealed from the first attempt to the last, so that a second copy of a mail has the same link.

mod backlog;
// Holding, releasing and cancelling all mails of one kind.
pub mod by_kind;
mod compose;
mod deliver;
mod draft;
// Reasons of failed deliveries, in words.
pub mod failure;
// Reading the outbox, and retrying failed mails.
pub mod list;
mod order;
// Holding, releasing and cancelling selected mails, by staff.
pub mod selected;
mod registration;
mod email_change;
mod link;
// Removing the mails of a deleted account.
mod remove;
// Mails that wait for their account to be activated.
mod held_welcome;

use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::config::{BaseUrl, LinkConfig, Registration};
use crate::entity::api_token;
use crate::entity::mail::{self, Kind, Status};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::identifier;
use crate::tools::mail::{Sender, Site, Transport};
use crate::tools::metrics::{Counter, EncodeLabelSet, Family, Label, Registry, counters};

pub use self::backlog::{Backlog, backlog};
pub use self::deliver::{deliver, take};
pub use self::held_welcome::{hold, release};
pub use self::link::WAITS_FOR;
pub use self::remove::forget;
pub(in crate::domain) use self::remove::forget_reset_requests;

/// Dependencies of delivery.
#[derive(Debug)]
pub struct Mailer {
    /// Transport of the mails.
    pub transport: Transport,
    /// Sender of the mails.
    pub from: Sender,
    /// The site that sends the mails.
    pub site: Site,
    /// Base URL of their links; taken from the configuration only.
    pub frontend: BaseUrl,
    /// Validity of their links.
    pub links: LinkConfig,
    /// Registration mode: links to new accounts are not sent if it is closed.
    pub registration: Registration,
    /// Outcomes of delivery attempts.
    pub delivery_metrics: DeliveryMetrics,
}

/// Number of delivery attempts since the start of the process, by outcome.
#[derive(Clone, Debug)]
pub struct DeliveryMetrics(Family<DeliveryLabels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    outcome: Label,
}

/// Possible outcomes of an attempt.
const OUTCOMES: [Label; 4] = ["sent", "put_off", "given_up", "dropped"];

impl Default for DeliveryMetrics {
    fn default() -> Self {
        Self(counters(OUTCOMES.map(|outcome| DeliveryLabels { outcome })))
    }
}

impl DeliveryMetrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Delivery attempts of mails: sent, put_off (will retry), given_up, or dropped (no recipient)";
        registry.register("mail_attempts", help, self.0.clone());
    }

    fn count(&self, outcome: Label) {
        self.0.get_or_create(&DeliveryLabels { outcome }).inc();
    }
}

/// Queues a mail in the transaction of the change that it announces. Returns its id.
pub async fn enqueue(
    txn: &DatabaseTransaction,
    now: &Now,
    kind: Kind,
    recipient: &str,
    user: Option<Uuid>,
) -> Result<Uuid> {
    insert(txn, row(now, kind, recipient, user)).await
}

/// True if a mail of this kind to this user was queued after this time.
pub async fn has_enqueued(txn: &DatabaseTransaction, kind: Kind, user: Uuid, since: Timestamp) -> Result<bool> {
    let earlier = Condition::all()
        .add(mail::Column::UserId.eq(user))
        .add(mail::Column::Kind.eq(kind))
        .add(mail::Column::CreatedAt.gt(since));
    Ok(mail::Entity::find().filter(earlier).one(txn).await?.is_some())
}

/// Queues mails of one kind, one for each address and user; there may be thousands.
pub async fn enqueue_all(
    txn: &DatabaseTransaction,
    now: &Now,
    kind: Kind,
    recipients: Vec<(String, Uuid)>,
) -> Result<()> {
    if !recipients.is_empty() {
        let rows = recipients.into_iter().map(|(recipient, user)| mail::ActiveModel {
            urgency: Set(order::BULK),
            ..row(now, kind, &recipient, Some(user))
        });
        mail::Entity::insert_many(rows).exec_without_returning(txn).await?;
    }
    Ok(())
}

/// Queues the first mail of a registration. The registration is stored under the returned id.
pub async fn enqueue_for_registration(txn: &DatabaseTransaction, now: &Now, recipient: &str) -> Result<Uuid> {
    let mut row = row(now, Kind::VerifyEmail, recipient, None);
    row.registration_id = Set(row.id.clone().take());
    insert(txn, row).await
}

/// Queues a notice about an API token to its owner.
pub async fn enqueue_for_token(
    txn: &DatabaseTransaction,
    now: &Now,
    kind: Kind,
    recipient: &str,
    token: &api_token::Model,
) -> Result<Uuid> {
    let mut row = row(now, kind, recipient, Some(token.user_id));
    row.api_token_id = Set(Some(token.id));
    insert(txn, row).await
}

async fn insert(txn: &DatabaseTransaction, row: mail::ActiveModel) -> Result<Uuid> {
    let mail = mail::Entity::insert(row).exec_with_returning(txn).await?;
    Ok(mail.id)
}

fn row(now: &Now, kind: Kind, recipient: &str, user: Option<Uuid>) -> mail::ActiveModel {
    mail::ActiveModel {
        id: Set(now.id()),
        kind: Set(kind),
        recipient: Set(recipient.to_owned()),
        recipient_key: Set(identifier::fold(recipient)),
        user_id: Set(user),
        sealed_token: Set(None),
        status: Set(Status::Queued),
        attempts: Set(0),
        last_error: Set(None),
        urgency: Set(order::urgency(kind)),
        created_at: Set(now.at),
        queued_at: Set(now.at),
        next_attempt_at: Set(Some(now.at)),
        leased_until: Set(None),
        sent_at: Set(None),
        registration_id: Set(None),
        api_token_id: Set(None),
    }
}
