//! Granting and revoking staff rights, deactivating and activating.

use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use super::account_change::{AccountChange, ChangedBy};
use super::not_found;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Manager;
use crate::domain::users::guard_rails::{self, Change};
use crate::entity::user;
use crate::error::Result;
use crate::tools::clock::Now;

/// A flag of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The staff flag.
    Staff,
    /// The active flag.
    Active,
}

/// A change of one flag of a user.
#[derive(Clone, Debug)]
pub struct Toggle {
    /// The user's id.
    pub id: String,
    /// The flag.
    pub flag: Flag,
    /// The new value; by default the opposite of the current one.
    pub to: Option<bool>,
}

/// Toggles or sets a flag. Deactivating a user ends all their sessions and links immediately. Setting
/// the present value writes nothing.
///
/// # Errors
/// [`crate::error::Code::NotFound`] if there is no such user; refusals of the guard rails;
/// [`crate::error::Code::ReauthenticationRequired`] for staff rights, and to activate staff;
/// [`crate::error::Error::Forbidden`] for staff rights by API token, and for accounts beyond the reach of a token.
pub async fn toggle(db: &Db, now: &Now, staff: Manager<'_>, input: Toggle) -> Result<user::Model> {
    if input.flag == Flag::Staff {
        // The holder of a leaked API token must not grant staff rights to an account of theirs.
        staff.session_user()?;
    }
    let id = Uuid::parse_str(&input.id).map_err(|_| not_found())?;
    let ids = [id];
    let also = Also::Users(&ids);
    let authorized = match input.to {
        Some(false) => staff.begin_ending(db, now, also).await?,
        Some(true) | None => staff.begin(db, now, also).await?,
    };
    let (txn, now) = authorized.parts();
    let target = authorized.locked(id).ok_or_else(not_found)?;
    let (present, change): (bool, fn(bool) -> Change) = match input.flag {
        Flag::Staff => (target.is_staff, Change::Staff),
        Flag::Active => (target.is_active, Change::Active),
    };
    let to = input.to.unwrap_or(!present);
    guard_rails::reach(&staff, target, change(to))?;
    guard_rails::check(staff.actor(), target, change(to)).map_err(|refusal| refusal.of("id"))?;
    if to == present {
        return Ok(target.clone());
    }
    if change(to).is_sensitive(target) {
        authorized.check_recent_proof(now)?;
    }
    let after = match input.flag {
        Flag::Staff => user::Model { is_staff: to, ..target.clone() },
        Flag::Active => user::Model { is_active: to, ..target.clone() },
    };
    let change = AccountChange::by_staff(&staff, target, after);
    let user = change.write(txn, now).await?;
    for action in change.actions() {
        audit::record(txn, now, Event::by(&authorized, action, id).changing(target, &user)).await?;
    }
    authorized.commit().await?;
    Ok(user)
}

/// Deactivates an account whose row is locked, and ends all its sessions and mailed links immediately.
pub(in crate::domain) async fn deactivate(
    txn: &DatabaseTransaction,
    now: &Now,
    user: &user::Model,
) -> Result<user::Model> {
    let after = user::Model { is_active: false, ..user.clone() };
    AccountChange::new(ChangedBy::Staff, user, after).write(txn, now).await
}
