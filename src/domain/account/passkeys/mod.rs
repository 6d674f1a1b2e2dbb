//! Passkeys of the signed-in user.

// Removal of a passkey.
pub mod delete;
// Registration of a passkey.
pub mod register;
// Another name for a passkey.
pub mod rename;

use sea_orm::{ColumnTrait as _, Condition};
use uuid::Uuid;

use crate::domain::auth::identity::SessionUser;
use crate::entity::passkey::Column;
use crate::error::{Code, Refusal};

/// Maximum length of a name, in characters.
pub const MAX_NAME: usize = 100;

/// The owner's passkey with this id.
///
/// # Errors
/// [`Code::NotFound`] of `id` for a text that is no id.
fn own(owner: &SessionUser<'_>, id: &str) -> Result<Condition, Refusal> {
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    Ok(Condition::all().add(Column::Id.eq(id)).add(Column::UserId.eq(owner.user().id)))
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "passkey-unknown").of("id")
}
