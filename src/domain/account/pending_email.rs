//! The address that a user requested and has not confirmed yet: withdrawing it, and sending its link again.

use super::email_change;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::SessionUser;
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits, Purpose, Requester};
use crate::domain::users::account_change::{AccountChange, ChangedBy};
use crate::entity::mail::Kind;
use crate::entity::user;
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// Withdraws the pending address: its link becomes invalid. Without a pending address, nothing is written.
pub async fn withdraw(db: &Db, now: &Now, owner: SessionUser<'_>) -> Result<user::Model> {
    let authorized = owner.begin_ending(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let before = authorized.user();
    if before.pending_email.is_none() {
        return Ok(before.clone());
    }
    email_change::cancel(txn, before.id).await?;
    let change = AccountChange::new(ChangedBy::Owner, before, user::Model { pending_email: None, ..before.clone() });
    let user = change.write(txn, now).await?;
    for action in change.actions() {
        audit::record(txn, now, Event::by(&authorized, action, user.id).changing(before, &user)).await?;
    }
    authorized.commit().await?;
    Ok(user)
}

/// Sends the link to the pending address again. The earlier link becomes invalid.
///
/// # Errors
/// [`Code::NotFound`] without a pending address; [`crate::error::Error::RateLimited`] after too many mails with links.
pub async fn resend(db: &Db, now: &Now, owner: SessionUser<'_>, limits: &Limits) -> Result<user::Model> {
    let nothing = || Refusal::new(Code::NotFound, "email-change-missing");
    let email = owner.user().pending_email.clone().ok_or_else(nothing)?;
    rate_limits::take_mail(db, now, Requester::Viewer(&owner), limits, Purpose::NewAddress, &email).await?;
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let user = authorized.user().clone();
    if user.pending_email.as_ref() != Some(&email) {
        return Err(nothing().into());
    }
    email_change::cancel(txn, user.id).await?;
    outbox::enqueue(txn, now, Kind::ConfirmNewEmail, &email, Some(user.id)).await?;
    authorized.commit().await?;
    Ok(user)
}
