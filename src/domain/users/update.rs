//! Changing accounts by staff.

use sea_orm::EntityTrait as _;
use uuid::Uuid;

use super::account_change::AccountChange;
use super::details::Details;
use super::not_found;
use super::reserved;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Manager;
use crate::domain::auth::passwords::{NewPassword, Passwords};
use crate::domain::rate_limits;
use crate::domain::users::guard_rails::{self, Change};
use crate::domain::users::version;
use crate::entity::user::{self, Permission, Role};
use crate::error::{Error, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;

/// The changes to an account; a field that is `None` stays unchanged.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// The user's id.
    pub id: String,
    /// Names and other details.
    pub details: Details,
    /// The email address, which takes effect immediately: staff vouch for it.
    pub email: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The role.
    pub role: Option<Role>,
    /// The permission.
    pub permission: Option<Permission>,
    /// True for an active account.
    pub is_active: Option<bool>,
    /// True for staff.
    pub is_staff: Option<bool>,
    /// The version of the account that the changes are based on; without one, they apply to any.
    pub expected_version: Option<String>,
}

/// Changes an account. Deactivating a user or setting a password signs them out everywhere immediately; a new password
/// also deletes the API tokens. The owner gets a mail about a new password, and at the old address about a new address; a
/// user who was invited and has not signed in yet gets the invitation at the new address instead. An input that changes
/// nothing writes nothing.
///
/// # Errors
/// [`crate::error::Code::NotFound`] of `id`; one refusal for each invalid field: required, invalid, too long, or taken;
/// the refusal of the password; refusals of the guard rails; [`crate::error::Code::ReauthenticationRequired`] for an
/// address, a password or more rights; [`crate::error::Code::Conflict`] if the account no longer has the expected
/// version. [`Error::RateLimited`] after too many renames by API token, and too many invitations.
/// [`Error::Forbidden`] if an API token would change more than details and the active flag, or an account beyond its
/// reach.
pub async fn update(
    db: &Db,
    now: &Now,
    staff: Manager<'_>,
    passwords: &Passwords,
    input: Update,
) -> Result<user::Model> {
    let id = Uuid::parse_str(&input.id).map_err(|_| not_found())?;
    let mut refusals = Vec::new();
    let details = input.details.check(&mut refusals);
    let email = input
        .email
        .and_then(|email| identifier::email(&email).map_err(|refusal| refusals.push(refusal.of("email"))).ok());
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    let password_hash = match &input.password {
        Some(password) => {
            staff.session_user()?;
            let user = user::Entity::find_by_id(id).one(db.reader()).await?.ok_or_else(not_found)?;
            guard_rails::check(staff.actor(), &user, Change::Credentials).map_err(|r| r.of("password"))?;
            staff.check_recent_proof(now)?;
            staff.check_changes(db, now).await?;
            let about = |new: &Option<String>, old: String| new.clone().unwrap_or(old);
            let about = [
                about(&details.username, user.username),
                about(&email, user.email),
                about(&details.first_name, user.first_name),
                about(&details.last_name, user.last_name),
            ];
            let new = NewPassword { password, confirm: None, fields: ("password", "password") };
            Some(passwords.accept(new, &about.each_ref().map(String::as_str)).await?)
        }
        None => None,
    };

    let authorized = staff.begin(db, now, Also::Users(&[id])).await?;
    let (txn, now) = authorized.parts();
    let target = authorized.locked(id).ok_or_else(not_found)?;
    let mut after = target.clone();
    details.apply(&mut after);
    after.email = email.unwrap_or(after.email);
    after.password_hash = password_hash.or(after.password_hash);
    after.role = input.role.unwrap_or(after.role);
    after.permission = input.permission.unwrap_or(after.permission);
    after.is_active = input.is_active.unwrap_or(after.is_active);
    after.is_staff = input.is_staff.unwrap_or(after.is_staff);
    let change = AccountChange::by_staff(&staff, target, after);
    // Checked even if nothing changes: a token learns nothing about an account beyond its reach.
    guard_rails::reach(&staff, target, Change::Details)?;
    change.guarded().try_for_each(|(_, change)| guard_rails::reach(&staff, target, change))?;
    // The response contains the whole account, which only superusers may see of a superuser.
    guard_rails::check(staff.actor(), target, Change::Details).map_err(|refusal| refusal.of("id"))?;
    version::check(target, input.expected_version.as_deref())?;
    change.check(staff.actor())?;
    if change.guarded().any(|(_, change)| change.is_sensitive(target)) {
        authorized.check_recent_proof(now)?;
    }
    if staff.session_user().is_err() {
        // A leaked API token must not reserve any number of usernames.
        reserved::may_rename(txn, now, target, &change.after().username).await?;
    }
    if change.is_empty() {
        return Ok(target.clone());
    }
    if change.moves_invitation() {
        rate_limits::take_welcome(txn, now, &authorized, passwords.limits(), &change.after().email).await?;
    }
    let changed = change.write(txn, now).await?;
    for action in change.actions() {
        audit::record(txn, now, Event::by(&authorized, action, id).changing(target, &changed)).await?;
    }
    authorized.commit().await?;
    Ok(changed)
}
