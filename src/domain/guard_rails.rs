//! What nobody may do to superusers and to themselves. All paths of change ask here, inside their transaction and of
//! the row that they have locked: GraphQL, pages, import and command line, one user or many.

use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::entity::user::{self, Column};
use crate::error::{Code, Refusal, Result};

/// A change that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The staff flag becomes this.
    Staff(bool),
    /// The active flag becomes this.
    Active(bool),
}

/// Whether this user may make this change to that one.
///
/// # Errors
/// The refusal that the person is told: `CANNOT_DEMOTE_SELF`, `CANNOT_DEACTIVATE_SELF`, `CANNOT_EDIT_SUPERUSER`.
pub fn check(actor: Uuid, target: &user::Model, change: Change) -> Result<(), Refusal> {
    if actor == target.id {
        return match change {
            Change::Staff(to) if to != target.is_staff => {
                Err(Refusal::new(Code::CannotDemoteSelf, "You cannot change your own staff rights: ask a colleague."))
            }
            Change::Active(false) => {
                Err(Refusal::new(Code::CannotDeactivateSelf, "You cannot deactivate yourself here: ask a colleague."))
            }
            Change::Staff(_) | Change::Active(true) => Ok(()),
        };
    }
    if target.is_superuser {
        return Err(Refusal::new(Code::CannotEditSuperuser, "Superusers cannot be changed here."));
    }
    Ok(())
}

/// Whether this user may leave: somebody must remain who has every right. To be asked before any user's row is locked:
/// the rows of all active superusers are, one after the other in the order of their ids, and stay so until the
/// transaction ends. So the last two can neither leave at the same moment nor wait for each other for ever.
///
/// # Errors
/// [`Code::LastSuperuser`].
pub async fn may_leave(txn: &DatabaseTransaction, user: Uuid) -> Result<()> {
    let active = user::Entity::find().filter(Column::IsSuperuser.eq(true)).filter(Column::IsActive.eq(true));
    let superusers = active.order_by_asc(Column::Id).lock_exclusive().all(txn).await?;
    match superusers.as_slice() {
        [last] if last.id == user => {
            Err(Refusal::new(Code::LastSuperuser, "You are the last superuser: make another one first.").into())
        }
        _ => Ok(()),
    }
}
