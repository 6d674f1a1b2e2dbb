//! What nobody may do to superusers and to themselves. All paths of change ask here, inside their transaction and of
//! the row that they have locked: GraphQL, pages, import and command line, one user or many.

use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QuerySelect as _};
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

/// Whether this user may leave: somebody must remain who has every right. The rows of all superusers stay locked until
/// the transaction ends, so that the last two cannot leave at the same moment.
///
/// # Errors
/// [`Code::LastSuperuser`].
pub async fn may_leave(txn: &DatabaseTransaction, user: &user::Model) -> Result<()> {
    if !user.is_superuser {
        return Ok(());
    }
    let active = user::Entity::find().filter(Column::IsSuperuser.eq(true)).filter(Column::IsActive.eq(true));
    let superusers = active.lock_exclusive().all(txn).await?;
    if superusers.iter().any(|other| other.id != user.id) {
        return Ok(());
    }
    let message = "You are the last superuser: make another one first.";
    Err(Refusal::new(Code::LastSuperuser, message).into())
}
