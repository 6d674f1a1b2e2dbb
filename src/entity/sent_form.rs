//! The forms of pages that did their work lately.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A form that did its work, so that the same form sent again shows what the first time showed.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sent_forms")]
pub struct Model {
    /// SHA-256 of the form, the browser's secret in it included.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    /// Time from which it is no longer known.
    pub expires_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
