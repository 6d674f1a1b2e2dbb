//! Granting and revoking staff rights, deactivating and activating.

use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use super::not_found;
use super::update::Changes;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Manager;
use crate::domain::users::guard_rails::{self, Change};
use crate::entity::user;
use crate::error::Result;
use crate::tools::clock::Now;

/// A flag that can be flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Whether the user is staff.
    Staff,
    /// Whether the account may be used.
    Active,
}

/// A flag of a user to flip.
#[derive(Clone, Debug)]
pub struct Toggle {
    /// The user's id.
    pub id: String,
    /// The flag.
    pub flag: Flag,
    /// What it becomes; without it, the opposite of what it is.
    pub to: Option<bool>,
}

/// Flips a flag, or sets it. A user who is deactivated is out at once: all sessions and links end.
///
/// # Errors
/// [`crate::error::Code::NotFound`] where there is no such user; the guard rails'; [`crate::error::Error::Forbidden`] for
/// staff rights by API token, and for accounts that a token does not reach.
pub async fn toggle(db: &Db, now: &Now, staff: Manager<'_>, input: Toggle) -> Result<user::Model> {
    if input.flag == Flag::Staff {
        // Whoever holds a leaked API token must not give an account of theirs the rights of staff.
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
    guard_rails::check(Some(staff.user().id), target, change(to)).map_err(|refusal| refusal.of("id"))?;
    let changed = (to != present).then_some(to);
    let changes = match input.flag {
        Flag::Staff => Changes { is_staff: changed, ..Changes::default() },
        Flag::Active => Changes { is_active: changed, ..Changes::default() },
    };
    let user = changes.write(txn, now, target).await?;
    for action in changes.actions() {
        audit::record(txn, now, Event::by(&authorized, action, id).changing(target, &user)).await?;
    }
    authorized.commit().await?;
    Ok(user)
}

/// Deactivates an account whose row is locked: its user is out at once, on every device, and no link that was mailed
/// leads back in.
pub(in crate::domain) async fn deactivate(
    txn: &DatabaseTransaction,
    now: &Now,
    user: &user::Model,
) -> Result<user::Model> {
    Changes { is_active: Some(false), ..Changes::default() }.write(txn, now, user).await
}
