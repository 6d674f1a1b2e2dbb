//! Second factors of users.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A confirmed second factor. An unfinished enrolment has no row.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "factors")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Id of its user.
    pub user_id: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// The secret, sealed under the id of the factor.
    pub sealed_secret: Vec<u8>,
    /// Number of digits of its codes.
    pub digits: i64,
    /// Seconds for which a code is shown.
    pub period: i64,
    /// The last time step of which a code was used; codes of earlier steps are no longer valid.
    pub last_step: i64,
    /// Time of the confirmation.
    pub created_at: Timestamp,
    /// Time of the last use.
    pub last_used_at: Option<Timestamp>,
}

/// Kinds of second factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// Codes of an authenticator app.
    Totp,
}

impl ActiveModelBehavior for ActiveModel {}
