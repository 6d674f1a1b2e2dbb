//! Holding, releasing and cancelling selected mails, by staff.
//!
//! Only mails with a link can be stopped. A notice tells an owner what happened to the account; nobody among staff may
//! suppress it.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QuerySelect as _, UpdateMany,
};
use uuid::Uuid;

use super::list::visible_to;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Manager;
use crate::domain::users::guard_rails::{self, Change};
use crate::entity::audit_event::Action;
use crate::entity::mail::{self, Column, Kind, Status};
use crate::entity::one_time_token::{self, Purpose};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::{Now, Timestamp};

/// Maximum number of mails of one call.
pub const MAX_MAILS: usize = 500;

/// The kinds that can be stopped.
const KINDS: [Kind; 2] = [Kind::Welcome, Kind::ResetPassword];

/// A decision about mails that were not sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Waiting mails are held until they are released.
    Hold,
    /// Held mails are queued again.
    Release,
    /// Waiting, held and failed mails are never sent, and their links end.
    Cancel,
}

impl Decision {
    fn action(self) -> Action {
        match self {
            Self::Hold => Action::MailHeld,
            Self::Release => Action::MailReleased,
            Self::Cancel => Action::MailCancelled,
        }
    }

    /// The mails that it applies to. A mail that is being sent at this moment is none of them.
    fn applies(self, now: &Now) -> Condition {
        let from = match self {
            Self::Hold => &[Status::Queued][..],
            Self::Release => &[Status::Held],
            Self::Cancel => &[Status::Queued, Status::Held, Status::Failed],
        };
        let free = Condition::any().add(Column::LeasedUntil.is_null()).add(Column::LeasedUntil.lte(now.at));
        Condition::all().add(Column::Status.is_in(from.iter().copied())).add(free)
    }

    fn update(self, now: &Now) -> UpdateMany<mail::Entity> {
        let mails = mail::Entity::update_many();
        match self {
            Self::Hold => mails.col_expr(Column::Status, Expr::value(Status::Held)),
            Self::Release => mails
                .col_expr(Column::Status, Expr::value(Status::Queued))
                .col_expr(Column::QueuedAt, Expr::value(now.at))
                .col_expr(Column::NextAttemptAt, Expr::value(now.at)),
            Self::Cancel => mails
                .col_expr(Column::Status, Expr::value(Status::Cancelled))
                .col_expr(Column::NextAttemptAt, Expr::value(Option::<Timestamp>::None))
                .col_expr(Column::SealedToken, Expr::value(Option::<Vec<u8>>::None)),
        }
    }
}

/// Applies a decision to those of these mails that the staff see and that it can apply to, each with an audit event.
/// Returns these mails; all others stay as they are.
///
/// # Errors
/// [`Code::Required`] and [`Code::TooLong`] of `ids` for none or too many; [`crate::error::Error::Forbidden`] for mails to
/// accounts beyond the reach of an API token.
pub async fn decide(
    db: &Db,
    now: &Now,
    staff: Manager<'_>,
    ids: &[String],
    decision: Decision,
) -> Result<Vec<mail::Model>> {
    if ids.is_empty() {
        return Err(Refusal::new(Code::Required, "outbox-mails-required").of("ids").into());
    }
    if ids.len() > MAX_MAILS {
        return Err(Refusal::new(Code::TooLong, "outbox-mails-too-many").with("max", MAX_MAILS).of("ids").into());
    }
    let ids = ids.iter().filter_map(|id| Uuid::parse_str(id).ok());
    let selected = visible_to(*staff).add(Column::Id.is_in(ids)).add(Column::Kind.is_in(KINDS));
    let found = mail::Entity::find().filter(selected.clone()).all(db.reader()).await?;
    let users: Vec<Uuid> = found.iter().filter_map(|mail| mail.user_id).collect();
    // Accounts are locked before their links and mails.
    let authorized = staff.begin(db, now, Also::Users(&users)).await?;
    let (txn, now) = authorized.parts();
    for user in users.iter().filter_map(|user| authorized.locked(*user)) {
        guard_rails::reach(&staff, user, Change::Links)?;
    }
    // A request whose user was looked up meanwhile belongs to an account that is not locked.
    let theirs = Condition::any().add(Column::UserId.is_null()).add(Column::UserId.is_in(users));
    let open = selected.add(theirs).add(decision.applies(now));
    let open = mail::Entity::find().filter(open).lock_exclusive().all(txn).await?;
    if decision == Decision::Cancel {
        for mail in &open {
            end_link(txn, mail).await?;
        }
    }
    let changed = decision.update(now).filter(Column::Id.is_in(open.iter().map(|mail| mail.id)));
    let changed = changed.exec_with_returning(txn).await?;
    let events = changed.iter().map(|mail| Event::by(&authorized, decision.action(), mail.user_id));
    audit::record_all(txn, now, events.collect()).await?;
    authorized.commit().await?;
    Ok(changed)
}

/// Ends the link of this mail. A user has one valid link of a kind, that of the newest mail.
async fn end_link(txn: &DatabaseTransaction, mail: &mail::Model) -> Result<()> {
    let Some(user) = mail.user_id else { return Ok(()) };
    let newer =
        Condition::all().add(Column::UserId.eq(user)).add(Column::Kind.eq(mail.kind)).add(Column::Id.gt(mail.id));
    if mail::Entity::find().filter(newer).one(txn).await?.is_some() {
        return Ok(());
    }
    let purpose = if mail.kind == Kind::Welcome { Purpose::Invite } else { Purpose::Reset };
    let theirs = one_time_token::Entity::delete_many().filter(one_time_token::Column::UserId.eq(user));
    theirs.filter(one_time_token::Column::Purpose.eq(purpose)).exec(txn).await?;
    Ok(())
}
