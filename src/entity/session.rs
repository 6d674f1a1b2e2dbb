//! Sessions of users.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A session, live as long as it has a row. Refreshing rotates its token by incrementing `counter`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// Its id, `sid` in access tokens.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Id of its user.
    pub user_id: Uuid,
    /// Generation of the latest tokens.
    pub counter: i32,
    /// The last generation of which an access or refresh token was used; -1 at first.
    pub used: i32,
    /// Time at which `counter` was last incremented.
    pub rotated_at: Timestamp,
    /// Time of the sign-in.
    pub created_at: Timestamp,
    /// Time at which the user last proved who they are: by the sign-in, or by a later proof.
    pub authenticated_at: Timestamp,
    /// Time of the last refresh.
    pub last_used_at: Timestamp,
    /// Expiry, regardless of use.
    pub expires_at: Timestamp,
    /// Client address at the sign-in.
    pub ip: Option<String>,
    /// User agent at the sign-in.
    pub user_agent: Option<String>,
    /// Its user.
    #[sea_orm(belongs_to, from = "user_id", to = "id")]
    pub user: BelongsTo<super::user::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
