//! The digests of the secrets in mailed links.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A link that was mailed and is still good for one use. A user has one per purpose at the most.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "one_time_tokens")]
pub struct Model {
    /// SHA-256 of the secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    /// Whose it is.
    pub user_id: Uuid,
    /// What it is good for.
    pub purpose: Purpose,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a mailed link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    /// Setting a new password in place of a forgotten one.
    Reset,
    /// Setting the first password of an account that staff made.
    Invite,
    /// Moving an account to another address.
    EmailMove,
}

impl ActiveModelBehavior for ActiveModel {}
