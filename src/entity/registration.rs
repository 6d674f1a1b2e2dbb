//! Who wants an account and has not confirmed the address yet.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A registration that waits for its address to be confirmed. It is no user: nobody can sign in with it, and nobody is
/// shown it. An address has one at the most.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "registrations")]
pub struct Model {
    /// Its id, which is also that of its first mail and of its audit event; another one once it is replaced.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The address as it was typed; the mail goes there.
    pub email: String,
    /// The address as it is compared: see `tools::identifier::fold`.
    #[sea_orm(unique)]
    pub email_key: String,
    /// The username that is wanted; none where it is to be made from the address.
    pub username: Option<String>,
    /// PHC string.
    pub password_hash: String,
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// Telephone number, or empty.
    pub phone: String,
    /// SHA-256 of the secret in the link that was mailed last; none before the first mail.
    #[sea_orm(unique)]
    pub digest: Option<Vec<u8>>,
    /// When that link was made.
    pub link_made_at: Option<Timestamp>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ends, and its link with it.
    pub expires_at: Timestamp,
}

impl Model {
    /// First and last name, or the username where both are empty; empty where there is neither.
    pub fn name(&self) -> String {
        let name = format!("{} {}", self.first_name, self.last_name);
        let name = name.trim();
        if name.is_empty() { self.username.clone().unwrap_or_default() } else { name.to_owned() }
    }
}

impl ActiveModelBehavior for ActiveModel {}
