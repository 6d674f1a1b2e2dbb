//! The keys that sign access tokens.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// An Ed25519 key pair. `domain::keys` selects the one that signs; all that have not expired verify.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "signing_keys")]
pub struct Model {
    /// Its id, `kid` in the header of access tokens.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kid: String,
    /// The public key, 32 bytes.
    pub public_key: Vec<u8>,
    /// The private key (PKCS #8), sealed with the service's secret.
    pub sealed_private_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The end of its use; none while no younger one exists.
    pub expires_at: Option<Timestamp>,
    /// The time from which it signs; until then it is only published. 0 where it signs at once.
    pub signs_from: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
