//! Deactivating and deleting the caller's own account.

use super::{CurrentPassword, prove};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::passwords::Passwords;
use crate::domain::avatars;
use crate::domain::users::guard_rails;
use crate::domain::users::remove::{self, Outcome};
use crate::domain::users::toggle;
use crate::entity::audit_event::Action;
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::media::MediaStore;

/// Deactivates the owner's account and ends all sessions and links. Staff can activate it again.
///
/// # Errors
/// [`crate::error::Code::PasswordIncorrect`] and [`crate::error::Code::PasswordExpired`] of `currentPassword`,
/// [`crate::error::Code::ReauthenticationRequired`] without a password, [`crate::error::Code::LastSuperuser`].
pub async fn deactivate(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    passwords: &Passwords,
    current_password: &str,
) -> Result<()> {
    let current = CurrentPassword { typed: current_password, field: "currentPassword" };
    let proof = prove(db, now, owner, passwords, current).await?;
    let authorized = owner.begin_ending(db, now, Also::Superusers).await?;
    proof.check(&authorized)?;
    let (txn, now) = authorized.parts();
    let user = authorized.user();
    guard_rails::ensure_not_last_superuser(txn, user.id).await?;
    let after = toggle::deactivate(txn, now, user).await?;
    let event = Event::by(&authorized, Action::Deactivated, user.id).changing(user, &after);
    audit::record(txn, now, event).await?;
    authorized.commit().await?;
    Ok(())
}

/// Deletes the owner's account and all dependent rows, or anonymizes it if other records still refer to it.
///
/// # Errors
/// [`crate::error::Code::PasswordIncorrect`] and [`crate::error::Code::PasswordExpired`] of `currentPassword`,
/// [`crate::error::Code::ReauthenticationRequired`] without a password, [`crate::error::Code::LastSuperuser`].
pub async fn delete(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    passwords: &Passwords,
    store: &MediaStore,
    current_password: &str,
) -> Result<Outcome> {
    let current = CurrentPassword { typed: current_password, field: "currentPassword" };
    let proof = prove(db, now, owner, passwords, current).await?;
    let authorized = owner.begin_ending(db, now, Also::Superusers).await?;
    proof.check(&authorized)?;
    let (txn, now) = authorized.parts();
    let user = authorized.user();
    guard_rails::ensure_not_last_superuser(txn, user.id).await?;
    let removed = remove::remove(txn, now, user).await?;
    audit::record(txn, now, Event::by(&authorized, removed.outcome.action(), user.id)).await?;
    authorized.commit().await?;
    db.scrub().await;
    avatars::delete(db, store, removed.avatar.as_deref()).await;
    Ok(removed.outcome)
}
