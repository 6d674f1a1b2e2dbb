//! Versions of accounts. A form of staff sends the version that it showed, so that the second of two staff who edit one
//! user is told instead of undoing the work of the first.
//!
//! A version is a digest of the fields themselves. So it follows every path of change, has no resolution that two changes
//! could share, and stays the same when a user signs in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::ActiveEnum as _;

use crate::entity::user;
use crate::error::{Code, Refusal};
use crate::tools::secret;

/// The version of the fields that [`super::update::update`] changes, except the password.
pub fn of(user: &user::Model) -> String {
    let (role, permission) = (user.role.to_value(), user.permission.to_value());
    let flag = |is: bool| if is { "1" } else { "0" };
    let fields: [&str; 11] = [
        &user.username,
        &user.email,
        &user.first_name,
        &user.last_name,
        &user.phone,
        &user.address,
        &user.bio,
        &role,
        &permission,
        flag(user.is_active),
        flag(user.is_staff),
    ];
    URL_SAFE_NO_PAD.encode(secret::digest_parts(&fields.map(str::as_bytes)))
}

/// Checks that a user, whose row is locked, still has the version that a change is based on.
///
/// # Errors
/// [`Code::Conflict`] of `expectedVersion`.
pub(in crate::domain) fn check(user: &user::Model, expected: Option<&str>) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected != of(user) => {
            Err(Refusal::new(Code::Conflict, "user-changed-meanwhile").of("expectedVersion"))
        }
        _ => Ok(()),
    }
}
