//! Activating or deactivating many users.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::account_change::AccountChange;
use super::not_found;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Manager;
use crate::domain::users::guard_rails::{self, Change};
use crate::entity::user::{self, Column};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// Maximum number of accounts of one call.
pub const MAX_ACCOUNTS: usize = 500;

/// The outcome for one user: the account afterwards, or the reason why it stays as it is.
pub type Outcome = Result<user::Model, Refusal>;

/// Sets the active flag of these users in one transaction, and returns the outcome for each id, in the given order. A
/// refused user does not keep the others from being changed. Deactivated users are signed out everywhere immediately.
/// Users with the wanted state stay unchanged.
///
/// # Errors
/// [`Code::Required`] and [`Code::TooLong`] of `ids` for none or too many; [`Code::ReauthenticationRequired`] to activate
/// staff; [`crate::error::Error::Forbidden`] for accounts beyond the reach of an API token. Outcomes have [`Code::NotFound`] and the
/// refusals of the guard rails.
pub async fn set_active(
    db: &Db,
    now: &Now,
    staff: Manager<'_>,
    ids: &[String],
    to: bool,
) -> Result<Vec<(String, Outcome)>> {
    if ids.is_empty() {
        return Err(Refusal::new(Code::Required, "users-required").of("ids").into());
    }
    if ids.len() > MAX_ACCOUNTS {
        return Err(Refusal::new(Code::TooLong, "users-too-many-to-change").with("max", MAX_ACCOUNTS).of("ids").into());
    }
    let wanted: Vec<Uuid> = ids.iter().filter_map(|id| Uuid::parse_str(id).ok()).collect();
    let authorized = match to {
        false => staff.begin_ending(db, now, Also::Users(&wanted)).await?,
        true => staff.begin(db, now, Also::Users(&wanted)).await?,
    };
    let (txn, now) = authorized.parts();
    let mut outcomes: BTreeMap<Uuid, Outcome> = BTreeMap::new();
    let mut changes = Vec::new();
    for id in wanted {
        if outcomes.contains_key(&id) {
            continue;
        }
        let Some(target) = authorized.locked(id) else { continue };
        let change = Change::Active(to);
        guard_rails::reach(&staff, target, change)?;
        let outcome = guard_rails::check(staff.actor(), target, change).map(|()| target.clone());
        if outcome.is_ok() && target.is_active != to {
            if change.is_sensitive(target) {
                authorized.check_recent_proof(now)?;
            }
            let after = user::Model { is_active: to, ..target.clone() };
            changes.push(AccountChange::by_staff(&staff, target, after));
        }
        outcomes.insert(id, outcome.map_err(|refusal| refusal.of("ids")));
    }
    if !changes.is_empty() {
        AccountChange::write_all(txn, now, &changes).await?;
        let changed = user::Entity::find().filter(Column::Id.is_in(changes.iter().map(|change| change.after().id)));
        for user in changed.all(txn).await? {
            outcomes.insert(user.id, Ok(user));
        }
        let events = changes.iter().flat_map(|change| {
            let event = |action| Event::by(&authorized, action, change.after().id);
            change.actions().map(move |action| event(action).changing(change.before(), change.after()))
        });
        audit::record_all(txn, now, events.collect()).await?;
        authorized.commit().await?;
    }
    let outcome = |id: &String| {
        let known = Uuid::parse_str(id).ok().and_then(|id| outcomes.get(&id).cloned());
        (id.clone(), known.unwrap_or_else(|| Err(not_found().of("ids"))))
    };
    Ok(ids.iter().map(outcome).collect())
}
