//! Who wants an account and has not confirmed the address yet.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;
use crate::tools::secret::Secret;

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
    /// The address in its canonical form: see `tools::identifier::canonical_address`. An address that looks like another
    /// one has a registration of its own, which it cannot complete while the other has an account.
    #[sea_orm(unique)]
    pub email_key: String,
    /// The username that is wanted; none where a neutral one is to be generated.
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
    /// SHA-256 of the secret that the client got that registered; none for registrations of earlier versions.
    pub secret_digest: Option<Vec<u8>>,
    /// When that link was made.
    pub link_made_at: Option<Timestamp>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ends, and its link with it.
    pub expires_at: Timestamp,
}

impl Model {
    /// Whether this is the secret of the client that registered.
    pub fn is_of(&self, secret: &Secret) -> bool {
        self.secret_digest.as_ref() == Some(&secret.digest())
    }
}

impl ActiveModelBehavior for ActiveModel {}
