//! Registrations without a confirmed address.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;
use crate::tools::secret::Secret;

/// A pending registration. It is not a user: nobody can sign in with it or see it. An address has at most one.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "registrations")]
pub struct Model {
    /// Its id, which is also that of its first mail and audit event; replaced with the registration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The address as typed, to which the mail goes.
    pub email: String,
    /// The canonical address: see `tools::identifier::canonical_address`. A look-alike address has its own
    /// registration, which cannot be completed while the other has an account.
    #[sea_orm(unique)]
    pub email_key: String,
    /// The requested username; `None` if one will be generated.
    pub username: Option<String>,
    /// PHC string; empty for a registration without a password. Releases without those ones made the column NOT NULL.
    pub password_hash: String,
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// Telephone number, or empty.
    pub phone: String,
    /// SHA-256 of the secret in the latest mailed link; `None` before the first mail.
    #[sea_orm(unique)]
    pub digest: Option<Vec<u8>>,
    /// SHA-256 of the secret of the client that registered; `None` for registrations of earlier versions.
    pub secret_digest: Option<Vec<u8>>,
    /// Time at which that link was created.
    pub link_made_at: Option<Timestamp>,
    /// Time of the request.
    pub created_at: Timestamp,
    /// Expiry of the registration and its link.
    pub expires_at: Timestamp,
}

impl Model {
    /// The hash of the password; `None` for a registration without one.
    pub fn password(&self) -> Option<&str> {
        Some(self.password_hash.as_str()).filter(|hash| !hash.is_empty())
    }

    /// First and last name, or the username, or the address if all are empty.
    pub fn name(&self) -> String {
        let name = format!("{} {}", self.first_name, self.last_name);
        match (name.trim(), &self.username) {
            ("", Some(username)) => username.clone(),
            ("", None) => self.email.clone(),
            (name, _) => name.to_owned(),
        }
    }

    /// True if this is the secret of the client that registered.
    pub fn is_of(&self, secret: &Secret) -> bool {
        self.secret_digest.as_ref() == Some(&secret.digest())
    }
}

impl ActiveModelBehavior for ActiveModel {}
