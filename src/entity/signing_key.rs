//! The keys that sign access tokens.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// An Ed25519 key pair. `domain::auth::signing_keys` selects the one that signs; all keys that have not expired verify.
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
    /// Time of creation.
    pub created_at: Timestamp,
    /// Expiry; `None` while no newer key exists.
    pub expires_at: Option<Timestamp>,
    /// Time from which it signs; until then it is only published. 0 if it signs immediately.
    pub signs_from: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
