//! Passkeys of users.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A passkey (W3C Web Authentication).
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passkeys")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Id of its user.
    pub user_id: Uuid,
    /// SHA-256 of the credential's id.
    #[sea_orm(unique)]
    pub digest: Vec<u8>,
    /// Id that the authenticator gave the credential.
    pub credential_id: Vec<u8>,
    /// Public key, in the format of COSE.
    pub public_key: Vec<u8>,
    /// Domain that it belongs to; it works for no other.
    pub domain: String,
    /// Name given by its user.
    pub name: String,
    /// Model of the authenticator (AAGUID).
    pub model: Vec<u8>,
    /// True if the credential can be copied to other devices of its user.
    pub is_synced: bool,
    /// Number of signatures at the last use; 0 if the authenticator does not count.
    pub counter: i64,
    /// Ways to reach the authenticator, as the browser reported them, separated by commas.
    pub transports: String,
    /// Id by which the authenticator knows its user, if the passkey was imported; otherwise that of the user.
    pub user_handle: Option<Vec<u8>>,
    /// Time of the registration.
    pub created_at: Timestamp,
    /// Time of the last use.
    pub last_used_at: Option<Timestamp>,
}

impl ActiveModelBehavior for ActiveModel {}
