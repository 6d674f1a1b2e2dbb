//! Removal of a second factor by its owner.

use uuid::Uuid;

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

/// Removes a factor of the owner, with the last one also the recovery codes, and notifies the owner by mail. Returns its
/// id.
///
/// # Errors
/// [`Code::NotFound`] if the owner has no such factor; [`Code::ReauthenticationRequired`].
pub async fn delete(db: &Db, now: &Now, owner: SessionUser<'_>, id: &str) -> Result<Uuid> {
    let not_found = || Refusal::new(Code::NotFound, "factor-unknown").of("id");
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    authorized.check_recent_proof(now)?;
    let user = authorized.user();
    if !factors::remove(txn, user.id, id).await? {
        return Err(not_found().into());
    }
    audit::record(txn, now, Event::by(&authorized, Action::FactorRemoved, user.id)).await?;
    outbox::enqueue(txn, now, mail::Kind::FactorRemoved, &user.email, Some(user.id)).await?;
    authorized.commit().await?;
    Ok(id)
}
