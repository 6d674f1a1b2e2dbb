//! The outbox.

use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A mail to send, or sent. Its text is made when it is sent, so that none is ever stored.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    /// Its id, also in its Message-ID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What it is about.
    pub kind: Kind,
    /// The address that it goes to; where the reader is still to be looked up, the one that was typed.
    pub recipient: String,
    /// The same address, folded (`tools::identifier::fold`), to find mails that name no user.
    pub recipient_key: String,
    /// Whom it is for; none until a reset was looked up.
    pub user_id: Option<Uuid>,
    /// The secret of the link in it, sealed, from the first attempt to the last.
    pub sealed_token: Option<Vec<u8>>,
    /// How far it has come.
    pub status: Status,
    /// How often sending was tried.
    pub attempts: i32,
    /// What the last failed attempt said.
    pub last_error: Option<String>,
    /// Its place in line: the lower, the sooner; of the same, the older goes first.
    pub urgency: i32,
    /// When it was put here.
    pub created_at: Timestamp,
    /// Time at which it was last put in line: at first, or by a retry.
    pub queued_at: Timestamp,
    /// When it is due; none once it is sent or given up, and while it waits for its account to be activated.
    pub next_attempt_at: Option<Timestamp>,
    /// Until when one worker alone may send it.
    pub leased_until: Option<Timestamp>,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Which registration its link completes; none until a request for another link was looked up.
    pub registration_id: Option<Uuid>,
    /// Which API token it tells of.
    pub api_token_id: Option<Uuid>,
}

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// The link with which a forgotten password is replaced.
    ResetPassword,
    /// The password was changed.
    PasswordChanged,
    /// An account was made for the reader.
    Welcome,
    /// The link with which an account moves to the address it is sent to.
    ConfirmNewEmail,
    /// The account has moved to another address; it goes to the old one, with a link that undoes that.
    EmailChanged,
    /// A change of address was undone; it goes to the address that was taken away.
    EmailChangeUndone,
    /// The link that confirms the address of a new account.
    VerifyEmail,
    /// Somebody wanted an account for an address that has one.
    AlreadyRegistered,
    /// A refresh token came back that had been replaced, and its session was ended.
    RefreshReused,
    /// An API token was created.
    ApiTokenCreated,
    /// An API token was given another secret.
    ApiTokenRotated,
}

/// How far a mail has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It waits for its next attempt.
    Queued,
    /// It was handed over.
    Sent,
    /// It was given up.
    Failed,
    /// Not sent: the link in it would be worthless, or an operator cancelled it.
    Cancelled,
    /// Held back until an operator releases it.
    Held,
}

impl ActiveModelBehavior for ActiveModel {}
