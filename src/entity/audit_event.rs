//! The audit trail.

use sea_orm::entity::prelude::*;

use super::audit_change::Changes;
use crate::tools::clock::Timestamp;

/// An audit event; rows are never updated, except to name a target found later.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Kind of event.
    pub action: Action,
    /// The actor; `None` if nobody was signed in.
    pub actor_id: Option<Uuid>,
    /// The user concerned.
    pub target_id: Option<Uuid>,
    /// Client address of the request.
    pub ip: Option<String>,
    /// User agent of the request.
    pub user_agent: Option<String>,
    /// Time of the event.
    pub created_at: Timestamp,
    /// Reason for a failed sign-in, or the exhausted limit.
    pub reason: Option<Reason>,
    /// Fields that changed.
    pub changes: Option<Changes>,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each says itself what happened")]
pub enum Action {
    Login,
    LoginFailed,
    Reauthenticated,
    FactorAdded,
    FactorRemoved,
    FactorsReset,
    RecoveryCodesRenewed,
    RecoveryCodeUsed,
    NewDevice,
    PasskeyAdded,
    PasskeyRemoved,
    Logout,
    RefreshReused,
    Registered,
    EmailVerified,
    EmailChanged,
    EmailChangeUndone,
    ResetRequested,
    InvitationSent,
    MailHeld,
    MailReleased,
    MailCancelled,
    PasswordReset,
    PasswordChanged,
    PasswordSet,
    UserCreated,
    UserUpdated,
    StaffGranted,
    StaffRevoked,
    Activated,
    Deactivated,
    Deleted,
    Anonymized,
    UsersImported,
    ImportMappingDeleted,
    ApiTokenCreated,
    ApiTokenRotated,
    ApiTokenDeleted,
    SessionRevoked,
    SessionsRevoked,
    Exported,
    SigningKeyRotated,
    SigningKeyRevoked,
    SecretsResealed,
    LimitReached,
    LimitsLifted,
}

/// Reason for a failed sign-in ([`Action::LoginFailed`]), or the exhausted limit ([`Action::LimitReached`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// No account has this identifier.
    UnknownAccount,
    /// The password is wrong.
    WrongPassword,
    /// The account has no password yet.
    NoPassword,
    /// Too many wrong passwords under another name of the account: the password was not compared.
    TooManyAttempts,
    /// The account is deactivated.
    AccountInactive,
    /// The email address is not confirmed.
    EmailNotVerified,
    /// The temporary password has expired.
    PasswordExpired,
    /// The password is right, but the new password sent with it was refused.
    NewPasswordRefused,
    /// The password is right, but the account changed during the request.
    ChangedMeanwhile,
    /// The password or session is right, but the code of the second factor is wrong.
    WrongSecondFactor,
    /// The passkey is right, but its counter went back.
    PasskeyCopied,
    /// `VESTIBULE_LIMIT_MAIL_ADDRESS`
    LimitMailAddress,
    /// `VESTIBULE_LIMIT_MAIL_CLIENT`
    LimitMailClient,
    /// `VESTIBULE_LIMIT_SIGN_IN`
    LimitSignIn,
    /// `VESTIBULE_LIMIT_SIGN_IN_CLIENT`
    LimitSignInClient,
    /// `VESTIBULE_LIMIT_SIGN_IN_ACCOUNT`
    LimitSignInAccount,
    /// `VESTIBULE_LIMIT_LINK`
    LimitLink,
    /// `VESTIBULE_LIMIT_REGISTER`
    LimitRegister,
    /// `VESTIBULE_LIMIT_BULK`
    LimitBulk,
    /// `VESTIBULE_LIMIT_WELCOME`
    LimitWelcome,
    /// `VESTIBULE_LIMIT_API_TOKEN`
    LimitApiToken,
    /// `VESTIBULE_LIMIT_WRITES`
    LimitWrites,
    /// `VESTIBULE_LIMIT_SECOND_FACTOR`
    LimitSecondFactor,
}

impl ActiveModelBehavior for ActiveModel {}
