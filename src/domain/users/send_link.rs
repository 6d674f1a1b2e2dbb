//! Sending a user a link to set a password, by staff: the invitation again, or a reset.

use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::not_found;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Manager;
use crate::domain::auth::revocation;
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits};
use crate::domain::users::guard_rails::{self, Change};
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::one_time_token::{self, Column, Purpose};
use crate::entity::user;
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// A link to set a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// The invitation, for a user without a password.
    Invitation,
    /// The reset of a forgotten password, which also confirms the address.
    PasswordReset,
}

impl LinkKind {
    fn mail(self) -> Kind {
        match self {
            Self::Invitation => Kind::Welcome,
            Self::PasswordReset => Kind::ResetPassword,
        }
    }

    fn purpose(self) -> Purpose {
        match self {
            Self::Invitation => Purpose::Invite,
            Self::PasswordReset => Purpose::Reset,
        }
    }

    fn action(self) -> Action {
        match self {
            Self::Invitation => Action::InvitationSent,
            Self::PasswordReset => Action::ResetRequested,
        }
    }
}

/// Queues a mail with a link to the stored address of a user. The link has its full lifetime from delivery; former links
/// of its kind, and unsent mails with them, end.
///
/// # Errors
/// [`Code::NotFound`] if there is no such user; refusals of the guard rails; [`Code::AccountInactive`] for a deactivated
/// account; [`Code::Invalid`] for an invitation of a user with a password;
/// [`crate::error::Error::RateLimited`] if this user has sent too many welcome mails and links, or the address has
/// received too many; [`crate::error::Error::Forbidden`] for accounts beyond the reach of an API token.
pub async fn send(
    db: &Db,
    now: &Now,
    staff: Manager<'_>,
    limits: &Limits,
    id: &str,
    kind: LinkKind,
) -> Result<user::Model> {
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    let authorized = staff.begin(db, now, Also::Users(&[id])).await?;
    let (txn, now) = authorized.parts();
    let target = authorized.locked(id).ok_or_else(not_found)?.clone();
    guard_rails::reach(&staff, &target, Change::Links)?;
    guard_rails::check(staff.actor(), &target, Change::Links).map_err(|refusal| refusal.of("id"))?;
    if !target.is_active {
        return Err(Refusal::new(Code::AccountInactive, "link-account-deactivated").of("id").into());
    }
    if kind == LinkKind::Invitation && target.password_hash.is_some() {
        return Err(Refusal::new(Code::Invalid, "link-invitation-accepted").of("kind").into());
    }
    rate_limits::take_welcome(txn, now, &authorized, limits, &target.email).await?;
    end_former(txn, id, kind).await?;
    outbox::enqueue(txn, now, kind.mail(), &target.email, Some(id)).await?;
    audit::record(txn, now, Event::by(&authorized, kind.action(), id)).await?;
    authorized.commit().await?;
    Ok(target)
}

/// Ends the former link of this kind, and cancels the mails that would bring another.
async fn end_former(txn: &DatabaseTransaction, user: Uuid, kind: LinkKind) -> Result<()> {
    revocation::cancel_mails(txn, &[user], &[kind.mail()]).await?;
    let former = one_time_token::Entity::delete_many().filter(Column::UserId.eq(user));
    former.filter(Column::Purpose.eq(kind.purpose())).exec(txn).await?;
    Ok(())
}
