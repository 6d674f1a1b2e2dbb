//! Granting and revoking staff rights, deactivating and activating.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::access::Staff;
use crate::domain::audit::{self, Event};
use crate::domain::guard_rails::{self, Change};
use crate::domain::sessions;
use crate::entity::audit_event::Action;
use crate::entity::one_time_token;
use crate::entity::user::{self, Column};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Moment;

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
/// [`Code::NotFound`] where there is no such user; the guard rails'; [`Error::Forbidden`] for staff rights by API token.
pub async fn toggle(db: &Db, now: &Moment, staff: Staff<'_>, input: Toggle) -> Result<user::Model> {
    if input.flag == Flag::Staff {
        // Whoever holds a leaked API token must not give an account of theirs the rights of staff.
        staff.present()?;
    }
    let id = Uuid::parse_str(&input.id).map_err(|_| not_found())?;
    let txn = db.begin().await?;
    let target = user::Entity::find_for_update(id).one(&txn).await?.ok_or_else(not_found)?;
    let (column, present) = match input.flag {
        Flag::Staff => (Column::IsStaff, target.is_staff),
        Flag::Active => (Column::IsActive, target.is_active),
    };
    let to = input.to.unwrap_or(!present);
    let (change, action) = match (input.flag, to) {
        (Flag::Staff, true) => (Change::Staff(to), Action::StaffGranted),
        (Flag::Staff, false) => (Change::Staff(to), Action::StaffRevoked),
        (Flag::Active, true) => (Change::Active(to), Action::Activated),
        (Flag::Active, false) => (Change::Active(to), Action::Deactivated),
    };
    guard_rails::check(staff.user().id, &target, change).map_err(|refusal| Error::from(refusal.of("id")))?;
    if to == present {
        return Ok(target);
    }
    let changed = match action {
        Action::Deactivated => deactivate(&txn, now, id).await?,
        _ => set(&txn, now, id, column, to).await?,
    };
    audit::record(&txn, now, Event::by(&staff, action, id)).await?;
    txn.commit().await?;
    Ok(changed)
}

/// Deactivates an account whose row is locked: its user is out at once, on every device, and no link that was mailed
/// leads back in.
pub(in crate::domain) async fn deactivate(txn: &DatabaseTransaction, now: &Moment, id: Uuid) -> Result<user::Model> {
    sessions::end_all(txn, id).await?;
    one_time_token::Entity::delete_many().filter(one_time_token::Column::UserId.eq(id)).exec(txn).await?;
    set(txn, now, id, Column::IsActive, false).await
}

async fn set(txn: &DatabaseTransaction, now: &Moment, id: Uuid, column: Column, to: bool) -> Result<user::Model> {
    let changed = user::Entity::update_many()
        .col_expr(column, Expr::value(to))
        .col_expr(Column::UpdatedAt, Expr::value(now.at))
        .filter(Column::Id.eq(id))
        .exec_with_returning(txn)
        .await?;
    changed.into_iter().next().ok_or_else(|| not_found().into())
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "There is no such user.").of("id")
}
