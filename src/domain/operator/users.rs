//! Finding, disabling and enabling users, removing their second factors, and sending them links.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ActiveValue::Unchanged, ColumnTrait as _, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::Operator;
use crate::database::Db;
use crate::domain::audit;
use crate::domain::outbox;
use crate::domain::paging::Page;
use crate::domain::users::account_change::{AccountChange, ChangedBy};
use crate::domain::users::guard_rails;
use crate::domain::users::list::{self, List};
use crate::domain::users::lookup;
use crate::domain::users::reset_factors;
use crate::entity::api_token;
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user::{self, Permission, Role};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::text;

/// The user with this id, username or email address.
///
/// # Errors
/// [`Code::NotFound`] if there is no such user.
pub async fn find(db: &Db, _operator: &Operator, who: &str) -> Result<user::Model> {
    let found = match Uuid::parse_str(who) {
        Ok(id) => user::Entity::find_by_id(id).one(db.reader()).await?,
        Err(_) => lookup::by_identifier(db.reader(), who).await?,
    };
    let missing = || Refusal::new(Code::NotFound, "operator-user-missing").with("user", &*text::without_url(who));
    Ok(found.ok_or_else(missing)?)
}

/// A page of users, including superusers, and the total number of users.
///
/// # Errors
/// [`Error::BadInput`] if the search or the page arguments are invalid.
pub async fn page(db: &Db, now: &Now, _operator: &Operator, list: &List) -> Result<(Page<user::Model>, u64)> {
    let page = list::page_of(db, now, true, list).await?;
    Ok((page, list::count_of(db, now, true, list).await?))
}

/// Number of live API tokens of this user.
pub async fn api_tokens(db: &Db, now: &Now, _operator: &Operator, user: Uuid) -> Result<u64> {
    let alive = api_token::Entity::find().filter(api_token::Column::UserId.eq(user));
    Ok(alive.filter(api_token::alive_at(now.at)).count(db.reader()).await?)
}

/// Deactivates or activates an account, also of a superuser. Deactivation signs the user out everywhere immediately.
/// Returns false if nothing changed.
///
/// # Errors
/// [`Code::LastSuperuser`] if no active superuser would remain; [`Code::NotFound`].
pub async fn set_active(db: &Db, now: &Now, operator: &Operator, id: Uuid, to: bool) -> Result<bool> {
    let (txn, _) = db.begin(now).await?;
    if !to {
        guard_rails::ensure_not_last_superuser(&txn, id).await.map_err(|error| match error {
            Error::Refused(_) => last_superuser().into(),
            error => error,
        })?;
    }
    let target = user::Entity::find_for_update(id).one(&txn).await?.ok_or_else(gone)?;
    let now = &now.anew();
    let after = user::Model { is_active: to, ..target.clone() };
    let change = AccountChange::new(ChangedBy::Staff, &target, after);
    let changed = change.write(&txn, now).await?;
    for action in change.actions() {
        audit::record(&txn, now, operator.did(action, id).changing(&target, &changed)).await?;
    }
    txn.commit().await?;
    Ok(target.is_active != to)
}

/// Makes an existing user a superuser, with all rights. State, password, sessions and API tokens do not change.
///
/// # Errors
/// [`Code::NotFound`] if nobody has this address; [`Code::Invalid`] if the user is already a superuser.
pub async fn promote(db: &Db, now: &Now, operator: &Operator, email: &str) -> Result<user::Model> {
    let id = find(db, operator, email).await?.id;
    let (txn, _) = db.begin(now).await?;
    let before = user::Entity::find_for_update(id).one(&txn).await?.ok_or_else(gone)?;
    let now = &now.anew();
    if before.is_superuser {
        return Err(Refusal::new(Code::Invalid, "operator-already-superuser").with("email", email).into());
    }
    let promoted = user::ActiveModel {
        id: Unchanged(id),
        role: Set(Role::Admin),
        permission: Set(Permission::FullAccess),
        is_staff: Set(true),
        is_superuser: Set(true),
        updated_at: Set(now.at),
        ..Default::default()
    };
    let after = promoted.update(&txn).await?;
    let mut events = vec![operator.did(Action::UserUpdated, id).changing(&before, &after)];
    if !before.is_staff {
        events.push(operator.did(Action::StaffGranted, id).changing(&before, &after));
    }
    audit::record_all(&txn, now, events).await?;
    txn.commit().await?;
    Ok(after)
}

/// Queues a mail with a link that resets the user's password, regardless of rate limits.
///
/// # Errors
/// [`Code::AccountInactive`] if the account is deactivated, because its links are invalid; [`Code::NotFound`].
pub async fn send_reset(db: &Db, now: &Now, operator: &Operator, id: Uuid) -> Result<()> {
    let (txn, _) = db.begin(now).await?;
    let user = user::Entity::find_for_update(id).one(&txn).await?.ok_or_else(gone)?;
    let now = &now.anew();
    if !user.is_active {
        return Err(Refusal::new(Code::AccountInactive, "operator-account-deactivated").into());
    }
    let mail = outbox::enqueue(&txn, now, Kind::ResetPassword, &user.email, Some(id)).await?;
    audit::record_with_mail(&txn, now, mail, operator.did(Action::ResetRequested, id)).await?;
    txn.commit().await?;
    Ok(())
}

/// Removes all second factors of a user, also of a superuser, and signs them out everywhere. Returns false if they had
/// none.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn reset_factors(db: &Db, now: &Now, operator: &Operator, id: Uuid) -> Result<bool> {
    let (txn, _) = db.begin(now).await?;
    let user = user::Entity::find_for_update(id).one(&txn).await?.ok_or_else(gone)?;
    let now = &now.anew();
    if !user.has_second_factor {
        return Ok(false);
    }
    reset_factors::remove_all(&txn, now, &user).await?;
    audit::record(&txn, now, operator.did(Action::FactorsReset, id)).await?;
    txn.commit().await?;
    Ok(true)
}

fn last_superuser() -> Refusal {
    Refusal::new(Code::LastSuperuser, "operator-last-superuser")
}

/// Refusal for an account that was deleted since it was looked up.
fn gone() -> Refusal {
    Refusal::new(Code::NotFound, "operator-user-gone")
}
