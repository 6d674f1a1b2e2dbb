//! What somebody may do to a user, told beforehand, so that a client can grey out what would be refused. It costs no
//! statement: the viewer and the user are known.

use crate::domain::auth::identity::Viewer;
use crate::domain::users::guard_rails::{self, Change};
use crate::entity::user;
use crate::error::Code;

/// Something that staff do to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAction {
    /// Changing names and the like.
    Update,
    /// Flipping the staff flag.
    ToggleStaff,
    /// Flipping the active flag.
    ToggleActive,
    /// Setting a password.
    SetPassword,
    /// Deleting the account.
    Delete,
}

/// Whether the viewer may do this to the user, by the rules that the operations themselves ask.
///
/// # Errors
/// The code that the operation would refuse it with; none where it would not be a refusal but an error, because the viewer
/// is not staff, or an API token that does not reach so far.
pub fn check(viewer: &Viewer, user: &user::Model, deed: UserAction) -> Result<(), Option<Code>> {
    let change = match deed {
        UserAction::Update => Change::Details,
        UserAction::ToggleStaff => Change::Staff(!user.is_staff),
        UserAction::ToggleActive => Change::Active(!user.is_active),
        UserAction::SetPassword => Change::Credentials,
        UserAction::Delete => Change::Removal,
    };
    let staff = viewer.manager().map_err(|_| None)?;
    guard_rails::reach(&staff, user, change).map_err(|_| None)?;
    guard_rails::check(Some(viewer.user().id), user, change).map_err(|refusal| Some(refusal.code))
}
