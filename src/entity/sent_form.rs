//! Recently submitted forms of pages.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A processed form, so that submitting it again shows the same result.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sent_forms")]
pub struct Model {
    /// SHA-256 of the form, including the browser's secret in it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    /// Expiry.
    pub expires_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
