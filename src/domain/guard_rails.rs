//! What nobody may do to superusers and to themselves. All paths of change ask here, inside their transaction and of
//! the row that they have locked: GraphQL, pages, import and command line, one user or many.

use uuid::Uuid;

use crate::entity::user;
use crate::error::{Code, Refusal};

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
