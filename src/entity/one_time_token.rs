//! Digests of the secrets in mailed links.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A valid single-use link that was mailed. A user has at most one per purpose.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "one_time_tokens")]
pub struct Model {
    /// SHA-256 of the secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    /// Id of its user.
    pub user_id: Uuid,
    /// Its purpose.
    pub purpose: Purpose,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Expiry.
    pub expires_at: Timestamp,
}

/// Purposes of mailed links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    /// Resetting a forgotten password.
    Reset,
    /// Setting the first password of an account created by staff.
    Invite,
    /// Confirming the new address of an account.
    #[sea_orm(string_value = "EMAIL_MOVE")]
    EmailChange,
}

impl ActiveModelBehavior for ActiveModel {}
