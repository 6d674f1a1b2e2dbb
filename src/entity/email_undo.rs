//! Changes of address that can be undone.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A change of a user's address that the owner of the old address can undo.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "email_undos")]
pub struct Model {
    /// The mail to the old address that carries the link.
    #[sea_orm(primary_key, auto_increment = false)]
    pub mail_id: Uuid,
    /// The user whose address changed.
    pub user_id: Uuid,
    /// Number of the change among those of the user, starting at 1.
    pub step: i32,
    /// True if staff or an import made the change.
    pub by_staff: bool,
    /// The old address, which an undo restores.
    pub email: String,
    /// Key of the old address: see `tools::identifier::fold`.
    pub email_key: String,
    /// SHA-256 of the link's secret; `None` until the mail is composed.
    #[sea_orm(unique)]
    pub digest: Option<Vec<u8>>,
    /// Expiry of the link; before the mail is composed, the latest time for composing it.
    pub expires_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
