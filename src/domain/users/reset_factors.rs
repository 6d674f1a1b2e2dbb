//! Removal of all second factors of a user who lost them, by staff.

use sea_orm::{DatabaseTransaction, EntityTrait as _};
use uuid::Uuid;

use super::not_found;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Staff;
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::auth::second_factor::factors;
use crate::domain::users::guard_rails::{self, Change};
use crate::domain::{outbox, rate_limits};
use crate::entity::audit_event::Action;
use crate::entity::{mail, user};
use crate::error::Result;
use crate::tools::clock::Now;

/// Removes all factors and recovery codes of a user, and ends all their sessions. The user gets a mail. Changes nothing
/// for a user without a factor.
///
/// # Errors
/// [`crate::error::Code::NotFound`] if there is no such user; refusals of the guard rails;
/// [`crate::error::Code::ReauthenticationRequired`]; [`crate::error::Error::Forbidden`] for API tokens.
pub async fn reset_factors(db: &Db, now: &Now, staff: Staff<'_>, id: &str) -> Result<user::Model> {
    staff.session_user()?;
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    let authorized = staff.begin(db, now, Also::Users(&[id])).await?;
    let (txn, now) = authorized.parts();
    let target = authorized.locked(id).ok_or_else(not_found)?;
    guard_rails::check(staff.actor(), target, Change::Factors).map_err(|refusal| refusal.of("id"))?;
    authorized.check_recent_proof(now)?;
    if !target.has_second_factor {
        return Ok(target.clone());
    }
    remove_all(txn, now, target).await?;
    audit::record(txn, now, Event::by(&authorized, Action::FactorsReset, id)).await?;
    let user = user::Entity::find_by_id(id).one(txn).await?.ok_or_else(not_found)?;
    authorized.commit().await?;
    Ok(user)
}

/// Removes all second factors of a user whose row is locked, ends their sessions, and queues the mail.
pub(in crate::domain) async fn remove_all(txn: &DatabaseTransaction, now: &Now, user: &user::Model) -> Result<()> {
    revocation::revoke(txn, now, &[user.id], Cause::FactorsReset).await?;
    factors::remove_all(txn, user.id).await?;
    rate_limits::forget_wrong_codes(txn, user.id).await?;
    outbox::enqueue(txn, now, mail::Kind::FactorRemoved, &user.email, Some(user.id)).await?;
    Ok(())
}
