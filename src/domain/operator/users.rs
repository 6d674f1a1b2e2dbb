//! Finding, disabling and enabling users, and mailing them a link.

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
use crate::domain::users::guard_rails;
use crate::domain::users::list::{self, List};
use crate::domain::users::lookup;
use crate::domain::users::update::Changes;
use crate::entity::api_token;
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user::{self, Permission, Role};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;

/// The user with this id, username or e-mail address.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn find(db: &Db, _operator: &Operator, who: &str) -> Result<user::Model> {
    let found = match Uuid::parse_str(who) {
        Ok(id) => user::Entity::find_by_id(id).one(db.reader()).await?,
        Err(_) => lookup::by_identifier(db.reader(), who).await?,
    };
    let missing = || Refusal::new(Code::NotFound, format!("There is no user {who}: give an id, a name or an address."));
    Ok(found.ok_or_else(missing)?)
}

/// A page of users, superusers among them, and how many there are in all.
///
/// # Errors
/// [`Error::BadInput`] where the search or the window makes no sense.
pub async fn page(db: &Db, now: &Now, _operator: &Operator, list: &List) -> Result<(Page<user::Model>, u64)> {
    let page = list::page_of(db, now, true, list).await?;
    Ok((page, list::count_of(db, now, true, list).await?))
}

/// How many API tokens of this user are alive.
pub async fn api_tokens(db: &Db, now: &Now, _operator: &Operator, user: Uuid) -> Result<u64> {
    let alive = api_token::Entity::find().filter(api_token::Column::UserId.eq(user));
    Ok(alive.filter(api_token::alive_at(now.at)).count(db.reader()).await?)
}

/// Deactivates an account, a superuser's too, or activates it. Who is deactivated is out at once, on every device. Returns
/// whether it was not so already.
///
/// # Errors
/// [`Code::LastSuperuser`] where nobody with every right would remain; [`Code::NotFound`].
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
    let changes = Changes { is_active: (target.is_active != to).then_some(to), ..Changes::default() };
    let changed = changes.write(&txn, now, &target).await?;
    for action in changes.actions() {
        audit::record(&txn, now, operator.did(action, id).changing(&target, &changed)).await?;
    }
    txn.commit().await?;
    Ok(target.is_active != to)
}

/// Makes an existing user a superuser, with every right. State, password, sessions and API tokens stay.
///
/// # Errors
/// [`Code::NotFound`] where nobody has this address; [`Code::Invalid`] where the user is a superuser already.
pub async fn promote(db: &Db, now: &Now, operator: &Operator, email: &str) -> Result<user::Model> {
    let id = find(db, operator, email).await?.id;
    let (txn, _) = db.begin(now).await?;
    let before = user::Entity::find_for_update(id).one(&txn).await?.ok_or_else(gone)?;
    let now = &now.anew();
    if before.is_superuser {
        return Err(Refusal::new(Code::Invalid, format!("{email} is a superuser already.")).into());
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

/// Puts a mail in line with a link that replaces the user's password, whatever the limits on such mails.
///
/// # Errors
/// [`Code::AccountInactive`] where the account is deactivated, whose links are dead; [`Code::NotFound`].
pub async fn send_reset(db: &Db, now: &Now, operator: &Operator, id: Uuid) -> Result<()> {
    let (txn, _) = db.begin(now).await?;
    let user = user::Entity::find_for_update(id).one(&txn).await?.ok_or_else(gone)?;
    let now = &now.anew();
    if !user.is_active {
        return Err(Refusal::new(Code::AccountInactive, "The account is disabled: enable it first.").into());
    }
    let mail = outbox::enqueue(&txn, now, Kind::ResetPassword, &user.email, Some(id)).await?;
    audit::record_as(&txn, now, mail, operator.did(Action::ResetRequested, id)).await?;
    txn.commit().await?;
    Ok(())
}

fn last_superuser() -> Refusal {
    let message = "This is the last superuser: make another one first, with `vestibule create-superuser`.";
    Refusal::new(Code::LastSuperuser, message)
}

/// The account was deleted since it was looked up.
fn gone() -> Refusal {
    Refusal::new(Code::NotFound, "There is no such user any more.")
}
