//! Actions that the viewer may take on a user, so that clients can disable the others. It needs no query: the viewer
//! and the user are loaded.

use crate::domain::auth::identity::Viewer;
use crate::domain::users::guard_rails::{self, Change};
use crate::entity::user;
use crate::error::Code;
use crate::tools::clock::Now;

/// An action of staff on a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAction {
    /// Change names and other details.
    Update,
    /// Toggle the staff flag.
    ToggleStaff,
    /// Toggle the active flag.
    ToggleActive,
    /// Set a password.
    SetPassword,
    /// Remove the second factors.
    ResetFactors,
    /// Delete the account.
    Delete,
    /// End sessions.
    EndSessions,
    /// Revoke API tokens.
    RevokeApiTokens,
    /// Send a link to set a password.
    SendLink,
}

/// Checks that the viewer may take this action on the user, by the rules of the operations themselves.
///
/// # Errors
/// The code of the operation's refusal. `None` if the operation would return an error instead, because the viewer is
/// not staff, or the API token lacks the reach.
pub fn check(viewer: &Viewer, now: &Now, user: &user::Model, deed: UserAction) -> Result<(), Option<Code>> {
    let change = match deed {
        UserAction::Update => Change::Details,
        UserAction::ToggleStaff => Change::Staff(!user.is_staff),
        UserAction::ToggleActive => Change::Active(!user.is_active),
        UserAction::SetPassword => Change::Credentials,
        UserAction::ResetFactors => Change::Factors,
        UserAction::Delete => Change::Removal,
        UserAction::EndSessions | UserAction::RevokeApiTokens => Change::Endings,
        UserAction::SendLink => Change::Links,
    };
    let staff = viewer.manager().map_err(|_| None)?;
    guard_rails::reach(&staff, user, change).map_err(|_| None)?;
    guard_rails::check(viewer.actor(), user, change).map_err(|refusal| Some(refusal.code))?;
    match change.is_sensitive(user) {
        true => viewer.check_recent_proof(now).map_err(|refusal| Some(refusal.code)),
        false => Ok(()),
    }
}
