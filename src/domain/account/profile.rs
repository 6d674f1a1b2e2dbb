//! Changing names and other details.

use super::{CurrentPassword, email_change, prove};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Viewer;
use crate::domain::auth::passwords::Passwords;
use crate::domain::rate_limits::{self, Purpose, Requester};
use crate::domain::users::account_change::{AccountChange, ChangedBy};
use crate::domain::users::details::Details;
use crate::domain::users::reserved;
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;

/// The changes; a field that is `None` stays unchanged.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Names and other details.
    pub details: Details,
    /// The new address; requires the current password, or a recent proof without one.
    pub email: Option<String>,
    /// The current password.
    pub current_password: Option<String>,
}

/// Changes the viewer's own details. A new email address is stored as pending and receives a link: the account changes
/// when its owner follows that link. The response does not reveal whether the address belongs to another account. A
/// different spelling of the same address (see [`identifier::same_address`]) takes effect immediately. An input that
/// changes nothing writes nothing.
///
/// # Errors
/// One refusal for each invalid field; [`Code::Required`], [`Code::PasswordIncorrect`] or [`Code::PasswordExpired`] of
/// `currentPassword`, [`Code::ReauthenticationRequired`] without a password;
/// [`Error::Forbidden`] for an email address by an API token; [`Error::RateLimited`] after too many mails with links or
/// too many usernames or renames.
pub async fn update(db: &Db, now: &Now, viewer: &Viewer, passwords: &Passwords, input: Profile) -> Result<user::Model> {
    let user = viewer.user();
    let mut refusals = Vec::new();
    let details = input.details.check(&mut refusals);
    let email = input
        .email
        .and_then(|email| identifier::email(&email).map_err(|refusal| refusals.push(refusal.of("email"))).ok());
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    if details.username.as_ref().is_some_and(|name| *name != user.username) {
        rate_limits::take_username(db, now, user.id, passwords.limits()).await?;
    }
    let moves = email.filter(|email| *email != user.email);
    let mut proof = None;
    if moves.is_some() {
        let owner = viewer.session_user()?;
        let typed = input.current_password.as_deref();
        if typed.is_none() && user.password_hash.is_some() {
            return Err(Refusal::new(Code::Required, "current-password-required").of("currentPassword").into());
        }
        let current = CurrentPassword { typed: typed.unwrap_or_default(), field: "currentPassword" };
        proof = Some(prove(db, now, owner, passwords, current).await?);
        if let Some(email) = moves.as_ref().filter(|email| !identifier::same_address(email, &user.email)) {
            let by = Requester::Viewer(viewer);
            rate_limits::take_mail(db, now, by, passwords.limits(), Purpose::NewAddress, email).await?;
        }
    }
    let mut wanted = user.clone();
    details.clone().apply(&mut wanted);
    if wanted == *user && moves.is_none() {
        return Ok(wanted);
    }

    let authorized = viewer.begin(db, now, Also::Nobody).await?;
    proof.map_or(Ok(()), |proof| proof.check(&authorized))?;
    let (txn, now) = authorized.parts();
    let before = authorized.user();
    let mut after = before.clone();
    details.apply(&mut after);
    reserved::may_rename(txn, now, before, &after.username).await?;
    if let Some(email) = moves {
        email_change::request(txn, now, &mut after, email).await?;
    }
    let change = AccountChange::new(ChangedBy::Owner, before, after);
    let user = change.write(txn, now).await?;
    for action in change.actions() {
        audit::record(txn, now, Event::by(&authorized, action, user.id).changing(before, &user)).await?;
    }
    authorized.commit().await?;
    Ok(user)
}
