//! Limits on changes to superusers and to oneself, and the reach of API tokens. All paths of change call this inside
//! their transaction, for the row they have locked: GraphQL, pages, import and command line, one user or many.

use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::domain::auth::identity::{Actor, Viewer};
use crate::entity::user::{self, Column, Permission, Role};
use crate::error::{Code, Refusal, Result};

/// A requested change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Names and other details that grant no rights.
    Details,
    /// A new role.
    Role(Role),
    /// A new permission.
    Permission(Permission),
    /// A new staff flag.
    Staff(bool),
    /// A new active flag.
    Active(bool),
    /// A new address or password.
    Credentials,
    /// Removal of the second factors.
    Factors,
    /// The end of sessions or API tokens.
    Endings,
    /// A link to set a password, sent to the stored address.
    Links,
    /// Removal of the account.
    Removal,
}

impl Change {
    /// True if the change gives access to the account or rights to its user, or removes it: the actor must have proved
    /// recently who they are. So does the activation of staff, which gives their rights back.
    pub fn is_sensitive(self, target: &user::Model) -> bool {
        match self {
            Self::Credentials | Self::Factors | Self::Staff(true) | Self::Removal => true,
            Self::Role(to) => to != Role::Member,
            Self::Permission(to) => to != Permission::OnlyView,
            Self::Active(to) => to && target.is_staff_member(),
            Self::Details | Self::Staff(false) | Self::Endings | Self::Links => false,
        }
    }
}

/// Checks that this actor may make this change to the target.
///
/// # Errors
/// `CANNOT_DEMOTE_SELF`, `CANNOT_DEACTIVATE_SELF`, `CANNOT_DELETE_SELF`, `CANNOT_EDIT_SUPERUSER`; `INVALID` for the
/// actor's own address, password and second factors, which only the operations of the own account change.
pub fn check(actor: Actor, target: &user::Model, change: Change) -> Result<(), Refusal> {
    if actor != Actor::User(target.id) {
        return match target.is_superuser {
            true => Err(Refusal::new(Code::CannotEditSuperuser, "superuser-protected")),
            false => Ok(()),
        };
    }
    let refusal = match change {
        Change::Staff(to) if to != target.is_staff => Refusal::new(Code::CannotDemoteSelf, "own-staff-rights"),
        Change::Role(to) if to != target.role => Refusal::new(Code::CannotDemoteSelf, "own-role"),
        Change::Permission(to) if to != target.permission => Refusal::new(Code::CannotDemoteSelf, "own-permission"),
        Change::Active(false) => Refusal::new(Code::CannotDeactivateSelf, "own-deactivation"),
        Change::Credentials => Refusal::new(Code::Invalid, "own-credentials"),
        Change::Factors => Refusal::new(Code::Invalid, "own-factors"),
        Change::Removal => Refusal::new(Code::CannotDeleteSelf, "own-deletion"),
        Change::Details
        | Change::Role(_)
        | Change::Permission(_)
        | Change::Staff(_)
        | Change::Active(true)
        | Change::Endings
        | Change::Links => return Ok(()),
    };
    Err(refusal)
}

/// Checks that the credential of this user permits such a change of the target. A session permits every change. An API
/// token permits changes of the details and the active flag of other users who are not staff, and links to them. A leaked token must
/// neither gain rights, nor create or take over an account that outlives it, nor lock out the users who could revoke
/// it.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] for API tokens.
pub fn reach(viewer: &Viewer, target: &user::Model, change: Change) -> Result<()> {
    let is_harmless = matches!(change, Change::Details | Change::Active(_) | Change::Links);
    let is_in_reach = !target.is_staff_member() && target.id != viewer.user().id;
    if is_harmless && is_in_reach { Ok(()) } else { viewer.session_user().map(drop) }
}

/// Checks that a superuser remains without this user. Must be called before any user's row is locked: it locks the rows
/// of all active superusers in the order of their ids, until the transaction ends. So the last two can neither leave
/// concurrently nor deadlock.
///
/// # Errors
/// [`Code::LastSuperuser`].
pub async fn ensure_not_last_superuser(txn: &DatabaseTransaction, user: Uuid) -> Result<()> {
    let active = user::Entity::find().filter(user::superusers()).filter(Column::IsActive.eq(true));
    let superusers = active.order_by_asc(Column::Id).lock_exclusive().all(txn).await?;
    match superusers.as_slice() {
        [last] if last.id == user => Err(Refusal::new(Code::LastSuperuser, "last-superuser").into()),
        _ => Ok(()),
    }
}
