//! The outbox.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A mail, sent or not. Its text is rendered at delivery and never stored.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    /// Its id, also in its Message-ID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// Its address; until the recipient is looked up, as typed.
    pub recipient: String,
    /// The same address, folded (`tools::identifier::fold`), to find mails without a user.
    pub recipient_key: String,
    /// Id of the recipient; `None` until a reset is looked up.
    pub user_id: Option<Uuid>,
    /// The sealed secret of its link, from the first attempt to the last.
    pub sealed_token: Option<Vec<u8>>,
    /// Delivery status.
    pub status: Status,
    /// Number of delivery attempts.
    pub attempts: i32,
    /// Error of the last failed attempt.
    pub last_error: Option<String>,
    /// Priority: lower values first; among equal ones, the oldest first.
    pub urgency: i32,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time at which it was last queued: at creation or by a retry.
    pub queued_at: Timestamp,
    /// Time of the next attempt; `None` if it is sent or given up, or waits for its account to be activated.
    pub next_attempt_at: Option<Timestamp>,
    /// End of a worker's lease.
    pub leased_until: Option<Timestamp>,
    /// Time of delivery.
    pub sent_at: Option<Timestamp>,
    /// Id of the registration that its link completes; `None` until a request for another link is looked up.
    pub registration_id: Option<Uuid>,
    /// Id of the API token that it announces.
    pub api_token_id: Option<Uuid>,
}

/// Kinds of mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// The link that resets a forgotten password.
    ResetPassword,
    /// Notice that the password was changed.
    PasswordChanged,
    /// Welcome to an account that somebody else created.
    Welcome,
    /// The link that confirms the new address of an account.
    ConfirmNewEmail,
    /// Notice of a changed address, sent to the old one with an undo link.
    EmailChanged,
    /// Notice that a change of address was undone, sent to the address that the account lost.
    EmailChangeUndone,
    /// The link that confirms the address of a new account.
    VerifyEmail,
    /// Notice of an attempt to register an address that already has an account.
    AlreadyRegistered,
    /// Notice that a refresh token was reused and its session was ended.
    RefreshReused,
    /// Notice that an API token was created.
    ApiTokenCreated,
    /// Notice that an API token was rotated.
    ApiTokenRotated,
    /// Notice that staff revoked an API token.
    ApiTokenRevoked,
    /// Notice that a second factor was added.
    FactorAdded,
    /// Notice that second factors were removed.
    FactorRemoved,
    /// Notice that a recovery code was used.
    RecoveryCodeUsed,
    /// Notice that new recovery codes were created.
    RecoveryCodesRenewed,
    /// Notice that a second factor was used from a new device.
    NewDevice,
    /// Notice that codes of the authenticator app are not accepted after too many wrong ones.
    TotpStopped,
    /// Notice that a passkey was added.
    PasskeyAdded,
    /// Notice that a passkey was removed.
    PasskeyRemoved,
    /// Notice that the counter of a passkey went back.
    PasskeyCopied,
}

/// Delivery status of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Waiting for its next attempt.
    Queued,
    /// Sent.
    Sent,
    /// Given up.
    Failed,
    /// Not sent, because its link is no longer valid or an operator cancelled it.
    Cancelled,
    /// Held until an operator releases it.
    Held,
}

impl ActiveModelBehavior for ActiveModel {}
