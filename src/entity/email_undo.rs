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
    /// The order of a user's changes, counted from 1.
    pub step: i32,
    /// Whether staff made the change, or an import.
    pub by_staff: bool,
    /// The old address, to which the account returns.
    pub email: String,
    /// The key of the old address: see `tools::identifier::fold`.
    pub email_key: String,
    /// SHA-256 of the link's secret; none until the mail is composed.
    #[sea_orm(unique)]
    pub digest: Option<Vec<u8>>,
    /// The end of the link; before the mail is composed, the end of the time for that.
    pub expires_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
