//! Where users are signed in.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A session, alive as long as it has a row. Refreshing rotates its token by raising `counter`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// Its id, `sid` in access tokens.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// The generation of the tokens that were given out last.
    pub counter: i32,
    /// The last generation of which a part, access or refresh token, came back; -1 at first.
    pub used: i32,
    /// When `counter` was last raised.
    pub rotated_at: Timestamp,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When its refresh token was last used.
    pub last_used_at: Timestamp,
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
    /// The address that it was opened from.
    pub ip: Option<String>,
    /// The program that it was opened with, as that names itself.
    pub user_agent: Option<String>,
    /// Its user.
    #[sea_orm(belongs_to, from = "user_id", to = "id")]
    pub user: BelongsTo<super::user::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
