//! Deleting an account, or anonymizing it if other records still refer to it.

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _,
};

use crate::domain::auth::revocation::{self, Cause};
use crate::domain::auth::second_factor::factors;
use crate::domain::avatars;
use crate::domain::outbox;
use crate::domain::users::{reserved, retry_on_conflict, search_terms};
use crate::entity::audit_event::Action;
use crate::entity::email_undo;
use crate::entity::sample;
use crate::entity::user::{self, Column, Permission, Role};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::{identifier, text};

/// Outcome of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The account is deleted.
    Deleted,
    /// The row stays without personal data, because other records refer to it.
    Anonymized,
}

impl Outcome {
    /// The audit action of this outcome.
    pub fn action(self) -> Action {
        match self {
            Self::Deleted => Action::Deleted,
            Self::Anonymized => Action::Anonymized,
        }
    }
}

/// A removed account.
#[derive(Clone, Debug)]
pub struct Removed {
    /// Result of the deletion.
    pub outcome: Outcome,
    /// Its avatar, whose files must be deleted after the commit.
    pub avatar: Option<String>,
}

/// Removes the account, its sessions, second factors, links, API tokens and mails, and its address everywhere, and reserves its
/// username for a while. The row must be locked, and the removal checked. [`Db::scrub`](crate::database::Db::scrub)
/// must be called after the commit.
pub async fn remove(txn: &DatabaseTransaction, now: &Now, user: &user::Model) -> Result<Removed> {
    revocation::revoke(txn, now, &[user.id], Cause::Deleted).await?;
    outbox::forget(txn, user).await?;
    factors::remove_all(txn, user.id).await?;
    email_undo::Entity::delete_many().filter(email_undo::Column::UserId.eq(user.id)).exec(txn).await?;
    reserved::release(txn, now, user).await?;
    avatars::leave_behind(txn, now, user.avatar.as_deref()).await?;
    let named = Query::select()
        .expr(Expr::val(1))
        .from(sample::Entity)
        .and_where(sample::Column::ModifiedBy.eq(user.id))
        .take();
    let unnamed = Expr::not_exists(named);
    let deleted = user::Entity::delete_many().filter(Column::Id.eq(user.id)).filter(unnamed).exec(txn).await?;
    if deleted.rows_affected > 0 {
        return Ok(Removed { outcome: Outcome::Deleted, avatar: user.avatar.clone() });
    }
    let mut anonymous = anonymous(now, user, free_name(txn, user).await?);
    anonymous.search_terms = search_terms::of(&anonymous);
    user::Entity::update(anonymous.into_active_model().reset_all()).exec(txn).await.map_err(retry_on_conflict)?;
    Ok(Removed { outcome: Outcome::Anonymized, avatar: user.avatar.clone() })
}

/// The username of an anonymized account. Anybody may have taken the usual one, or the address made of it; then it ends
/// in random characters, so that nobody can prevent a deletion.
async fn free_name(txn: &DatabaseTransaction, user: &user::Model) -> Result<String> {
    let name = format!("deleted_user_{}", user.id);
    let same = Condition::any()
        .add(Column::UsernameKey.eq(identifier::fold(&name)))
        .add(Column::EmailKey.eq(identifier::fold(&anonymous_address(&name))));
    let others = user::Entity::find().filter(same).filter(Column::Id.ne(user.id));
    match others.count(txn).await? {
        0 => Ok(name),
        _ => Ok(format!("{name}_{}", identifier::random_suffix())),
    }
}

/// An address that receives no email (RFC 2606, section 2).
fn anonymous_address(name: &str) -> String {
    format!("{name}@example.invalid")
}

/// The same account without personal data and without any credential.
fn anonymous(now: &Now, user: &user::Model, name: String) -> user::Model {
    let email = anonymous_address(&name);
    user::Model {
        id: user.id,
        username_key: identifier::fold(&name),
        username: name,
        email_key: identifier::fold(&email),
        email,
        email_proved: false,
        password_by_staff: false,
        pending_email: None,
        password_hash: None,
        temporary_password_at: None,
        has_second_factor: false,
        access_generation: user.access_generation,
        first_name: "[deleted]".to_owned(),
        last_name: String::new(),
        first_name_key: text::fold("[deleted]"),
        last_name_key: String::new(),
        search_terms: String::new(),
        phone: String::new(),
        address: String::new(),
        bio: String::new(),
        avatar: None,
        external_id: None,
        moved_at: None,
        role: Role::Member,
        permission: Permission::OnlyView,
        is_active: false,
        is_staff: false,
        is_superuser: false,
        is_verified: false,
        date_joined: user.date_joined,
        updated_at: now.at,
        last_login: None,
        last_activity: None,
    }
}
