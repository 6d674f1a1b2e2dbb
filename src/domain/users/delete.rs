//! Deleting one or many accounts: all or none.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::remove;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Staff;
use crate::domain::avatars;
use crate::domain::users::guard_rails::{self, Change};
use crate::domain::users::remove::Outcome;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::media::MediaStore;

/// Maximum number of accounts deleted by one call.
const MAX_ACCOUNTS: usize = 500;

/// Deletes accounts and all dependent rows, or anonymizes those that other records still refer to. Returns the outcome
/// for each id. Refusals name `field` as their input field, and the id they concern.
///
/// # Errors
/// [`Code::NotFound`], [`Code::CannotDeleteSelf`] and [`Code::CannotEditSuperuser`]; [`Code::Required`] and
/// [`Code::TooLong`] for no ids or too many; [`Code::ReauthenticationRequired`]; [`Error::Forbidden`] for API tokens.
pub async fn delete(
    db: &Db,
    now: &Now,
    staff: Staff<'_>,
    store: &MediaStore,
    field: &'static str,
    ids: &[String],
) -> Result<Vec<(Uuid, Outcome)>> {
    staff.session_user()?;
    if ids.is_empty() {
        return Err(Refusal::new(Code::Required, "users-required").of(field).into());
    }
    if ids.len() > MAX_ACCOUNTS {
        return Err(Refusal::new(Code::TooLong, "users-too-many").with("max", MAX_ACCOUNTS).of(field).into());
    }
    let mut refusals = Vec::new();
    let mut refuse = |code: Code, id: &str| refusals.push(refusal(code, id).of(field));
    let mut wanted = BTreeSet::new();
    for id in ids {
        match Uuid::parse_str(id) {
            Ok(id) => drop(wanted.insert(id)),
            Err(_) => refuse(Code::NotFound, &id.chars().take(36).collect::<String>()),
        }
    }

    let ids: Vec<Uuid> = wanted.iter().copied().collect();
    let authorized = staff.begin(db, now, Also::Users(&ids)).await?;
    let (txn, now) = authorized.parts();
    let users: Vec<_> = ids.iter().filter_map(|id| authorized.locked(*id)).collect();
    for user in &users {
        wanted.remove(&user.id);
        if let Err(refusal) = guard_rails::check(staff.actor(), user, Change::Removal) {
            refuse(refusal.code, &user.id.to_string());
        }
    }
    for id in wanted {
        refuse(Code::NotFound, &id.to_string());
    }
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    authorized.check_recent_proof(now)?;
    let mut removed = Vec::with_capacity(users.len());
    for user in &users {
        let gone = remove::remove(txn, now, user).await?;
        audit::record(txn, now, Event::by(&authorized, gone.outcome.action(), user.id)).await?;
        removed.push((user.id, gone));
    }
    authorized.commit().await?;
    db.scrub().await;
    for (_, gone) in &removed {
        avatars::delete(db, store, gone.avatar.as_deref()).await;
    }
    Ok(removed.into_iter().map(|(id, gone)| (id, gone.outcome)).collect())
}

/// The refusal to delete the user with this id.
fn refusal(code: Code, id: &str) -> Refusal {
    match code {
        Code::CannotDeleteSelf => Refusal::new(code, "delete-own-account").with("id", id),
        Code::CannotEditSuperuser => Refusal::new(code, "delete-superuser").with("id", id),
        _ => Refusal::new(code, "delete-unknown-user").with("id", id),
    }
}
