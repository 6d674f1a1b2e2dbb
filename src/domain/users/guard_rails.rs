//! What nobody may do to superusers and to themselves, and how far an API token reaches. All paths of change ask here, inside
//! their transaction and of the row that they have locked: GraphQL, pages, import and command line, one user or many.

use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::domain::auth::identity::Viewer;
use crate::entity::user::{self, Column, Permission, Role};
use crate::error::{Code, Refusal, Result};

/// A change that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Names and whatever else gives nobody a right.
    Details,
    /// The role becomes this.
    Role(Role),
    /// The permission becomes this.
    Permission(Permission),
    /// The staff flag becomes this.
    Staff(bool),
    /// The active flag becomes this.
    Active(bool),
    /// The address or the password becomes another.
    Credentials,
    /// The account is removed.
    Removal,
}

/// Whether this user, or the operator at the command line where it is none, may make this change to that one.
///
/// # Errors
/// The refusal that the person is told: `CANNOT_DEMOTE_SELF`, `CANNOT_DEACTIVATE_SELF`, `CANNOT_DELETE_SELF`,
/// `CANNOT_EDIT_SUPERUSER`; `INVALID` for one's own address and password, which only the own account's operations
/// change, because they ask for the present password.
pub fn check(actor: Option<Uuid>, target: &user::Model, change: Change) -> Result<(), Refusal> {
    if actor != Some(target.id) {
        return match target.is_superuser {
            true => Err(Refusal::new(Code::CannotEditSuperuser, "Superusers cannot be changed here.")),
            false => Ok(()),
        };
    }
    let (code, message) = match change {
        Change::Staff(to) if to != target.is_staff => {
            (Code::CannotDemoteSelf, "You cannot change your own staff rights: ask a colleague.")
        }
        Change::Role(to) if to != target.role => {
            (Code::CannotDemoteSelf, "You cannot change your own role: ask a colleague.")
        }
        Change::Permission(to) if to != target.permission => {
            (Code::CannotDemoteSelf, "You cannot change your own permission: ask a colleague.")
        }
        Change::Active(false) => (Code::CannotDeactivateSelf, "You cannot deactivate yourself here: ask a colleague."),
        Change::Credentials => {
            (Code::Invalid, "Change your own address and password with `updateMe` and `changePassword`.")
        }
        Change::Removal => (Code::CannotDeleteSelf, "You cannot delete yourself here: ask a colleague."),
        Change::Details | Change::Role(_) | Change::Permission(_) | Change::Staff(_) | Change::Active(true) => {
            return Ok(());
        }
    };
    Err(Refusal::new(code, message))
}

/// Whether the credential of this user reaches such a change of that account. A session reaches every change. An API token
/// reaches the details and the active flag of others who are not staff: a leaked one must neither gain rights, nor make or
/// take over an account that outlives it, nor lock out those who could revoke it.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] for API tokens.
pub fn reach(viewer: &Viewer, target: &user::Model, change: Change) -> Result<()> {
    let is_harmless = matches!(change, Change::Details | Change::Active(_));
    let is_in_reach = !target.is_staff_member() && target.id != viewer.user().id;
    if is_harmless && is_in_reach { Ok(()) } else { viewer.session_user().map(drop) }
}

/// Whether this user may leave: somebody must remain who has every right. To be asked before any user's row is locked:
/// the rows of all active superusers are, one after the other in the order of their ids, and stay so until the
/// transaction ends. So the last two can neither leave at the same moment nor wait for each other for ever.
///
/// # Errors
/// [`Code::LastSuperuser`].
pub async fn ensure_not_last_superuser(txn: &DatabaseTransaction, user: Uuid) -> Result<()> {
    let active = user::Entity::find().filter(user::superusers()).filter(Column::IsActive.eq(true));
    let superusers = active.order_by_asc(Column::Id).lock_exclusive().all(txn).await?;
    match superusers.as_slice() {
        [last] if last.id == user => {
            Err(Refusal::new(Code::LastSuperuser, "You are the last superuser: make another one first.").into())
        }
        _ => Ok(()),
    }
}
