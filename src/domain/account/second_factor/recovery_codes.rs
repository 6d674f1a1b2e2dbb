//! Renewal of recovery codes.

use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::second_factor::factors;
use crate::domain::outbox;
use crate::entity::audit_event::Action;
use crate::entity::mail;
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// Replaces all recovery codes of the owner, and notifies the owner by mail. Returns the new texts, which are not stored.
///
/// # Errors
/// [`Code::NotFound`] if the owner has no second factor; [`Code::ReauthenticationRequired`].
pub async fn renew(db: &Db, now: &Now, owner: SessionUser<'_>) -> Result<Vec<String>> {
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    authorized.check_recent_proof(now)?;
    let user = authorized.user();
    if !user.has_second_factor {
        return Err(Refusal::new(Code::NotFound, "factor-missing").into());
    }
    let codes = factors::renew_recovery_codes(txn, now, user.id).await?;
    audit::record(txn, now, Event::by(&authorized, Action::RecoveryCodesRenewed, user.id)).await?;
    outbox::enqueue(txn, now, mail::Kind::RecoveryCodesRenewed, &user.email, Some(user.id)).await?;
    authorized.commit().await?;
    Ok(codes)
}
