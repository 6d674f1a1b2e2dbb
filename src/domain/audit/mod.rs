//! The audit trail. Events are written in the transaction of the change that they record.

mod changes;
// Reading the trail.
pub mod list;

use std::sync::LazyLock;

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::domain::auth::authorize::Authorized;
use crate::domain::auth::identity::{Actor, Client};
use crate::entity::audit_change::Changes;
use crate::entity::audit_event::{self, Action, Reason};
use crate::entity::user;
use crate::error::Result;
use crate::tools::clock::Now;

/// An event to record.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Kind of event.
    pub action: Action,
    /// The actor.
    pub actor: Actor,
    /// The user concerned; `None` if unknown.
    pub target: Option<Uuid>,
    /// Origin of the request.
    pub client: &'a Client,
    /// Reason for a failed sign-in, or the exhausted limit.
    pub reason: Option<Reason>,
    /// Fields that changed.
    pub changes: Changes,
}

/// The program in the operator's events.
const COMMAND_LINE: &str = "command line";

/// The client of the operator's events.
static OPERATOR: LazyLock<Client> =
    LazyLock::new(|| Client { user_agent: Some(COMMAND_LINE.to_owned()), ..Client::default() });

impl<'a> Event<'a> {
    /// An action without a signed-in user.
    pub fn by_anyone(client: &'a Client, action: Action, target: impl Into<Option<Uuid>>) -> Self {
        Self { action, actor: Actor::Anyone, target: target.into(), client, reason: None, changes: Changes::default() }
    }

    /// An action of a user on their own account, authorized in the same operation by a password, a token or a link.
    pub fn by_owner(client: &'a Client, action: Action, owner: Uuid) -> Self {
        Self { actor: Actor::User(owner), ..Self::by_anyone(client, action, owner) }
    }

    /// An action of the operator. It has no actor in the trail; the client tells it apart.
    pub(in crate::domain) fn by_operator(action: Action, target: impl Into<Option<Uuid>>) -> Self {
        Self { actor: Actor::Operator, ..Self::by_anyone(&OPERATOR, action, target) }
    }

    /// An action of a signed-in user, in the transaction that checked their rights.
    pub fn by(authorized: &'a Authorized, action: Action, target: impl Into<Option<Uuid>>) -> Self {
        Self { actor: authorized.actor(), ..Self::by_anyone(authorized.client(), action, target) }
    }

    /// Adds the fields that its action changed. Only rights and flags are recorded with values.
    #[must_use]
    pub fn changing(self, before: &user::Model, after: &user::Model) -> Self {
        Self { changes: changes::between(self.action, before, after), ..self }
    }

    /// Adds a reason.
    #[must_use]
    pub fn because(self, reason: Reason) -> Self {
        Self { reason: Some(reason), ..self }
    }
}

/// Records an event under a new id.
pub async fn record(db: &impl ConnectionTrait, now: &Now, event: Event<'_>) -> Result<()> {
    audit_event::Entity::insert(row(now, now.id(), event)).exec_without_returning(db).await?;
    Ok(())
}

/// Records an event with a mail that determines its target later, or describes the event.
pub async fn record_with_mail(db: &impl ConnectionTrait, now: &Now, mail: Uuid, event: Event<'_>) -> Result<()> {
    audit_event::Entity::insert(row(now, id_with_mail(mail), event)).exec_without_returning(db).await?;
    Ok(())
}

/// The event that was recorded with this mail; `None` if there is none.
pub async fn find_with_mail(db: &impl ConnectionTrait, mail: Uuid) -> Result<Option<audit_event::Model>> {
    Ok(audit_event::Entity::find_by_id(id_with_mail(mail)).one(db).await?)
}

/// The id of an event that was recorded with this mail. It follows from the mail's id, but differs from it, because
/// ids are unique among all types.
fn id_with_mail(mail: Uuid) -> Uuid {
    Uuid::from_u128(mail.as_u128() ^ 1)
}

/// Records events, each under a new id; there may be thousands.
pub async fn record_all(db: &impl ConnectionTrait, now: &Now, events: Vec<Event<'_>>) -> Result<()> {
    if !events.is_empty() {
        let rows = events.into_iter().map(|event| row(now, now.id(), event));
        audit_event::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(())
}

fn row(now: &Now, id: Uuid, event: Event<'_>) -> audit_event::ActiveModel {
    audit_event::ActiveModel {
        id: Set(id),
        action: Set(event.action),
        actor_id: Set(event.actor.user()),
        target_id: Set(event.target),
        ip: Set(event.client.ip.clone()),
        user_agent: Set(event.client.user_agent.clone()),
        created_at: Set(now.at),
        reason: Set(event.reason),
        changes: Set((!event.changes.is_empty()).then_some(event.changes)),
    }
}

/// Sets the target of the event that was recorded with this mail.
pub async fn name_target(db: &impl ConnectionTrait, mail: Uuid, target: Uuid) -> Result<()> {
    // Versions before 0.2 gave the event the id of the mail.
    audit_event::Entity::update_many()
        .col_expr(audit_event::Column::TargetId, Expr::value(target))
        .filter(audit_event::Column::Id.is_in([id_with_mail(mail), mail]))
        .exec(db)
        .await?;
    Ok(())
}
