//! Removal of a passkey by its user.

use sea_orm::{EntityTrait as _, QueryFilter as _};

use super::{not_found, own};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::second_factor::factors;
use crate::domain::outbox;
use crate::entity::audit_event::Action;
use crate::entity::{mail, passkey};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// Removes a passkey of the owner, with the last second factor also the recovery codes, and notifies the owner by mail.
///
/// # Errors
/// [`Code::NotFound`] if the owner has no such passkey; [`Code::Invalid`] if it is the last way to sign in;
/// [`Code::ReauthenticationRequired`].
pub async fn delete(db: &Db, now: &Now, owner: SessionUser<'_>, id: &str) -> Result<passkey::Model> {
    let own = own(&owner, id)?;
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    authorized.check_recent_proof(now)?;
    let user = authorized.user();
    let deleted = passkey::Entity::delete_many().filter(own).exec_with_returning(txn).await?;
    let passkey = deleted.into_iter().next().ok_or_else(not_found)?;
    if user.password_hash.is_none() && !factors::has_passkey(txn, user.id).await? {
        return Err(Refusal::new(Code::Invalid, "passkey-last").of("id").into());
    }
    factors::settle(txn, user.id).await?;
    audit::record(txn, now, Event::by(&authorized, Action::PasskeyRemoved, user.id)).await?;
    outbox::enqueue(txn, now, mail::Kind::PasskeyRemoved, &user.email, Some(user.id)).await?;
    authorized.commit().await?;
    Ok(passkey)
}
