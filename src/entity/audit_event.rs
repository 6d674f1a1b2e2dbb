//! Who did what to whom.

use sea_orm::entity::prelude::*;

use super::audit_change::Changes;
use crate::tools::clock::Timestamp;

/// One thing that happened; rows are only ever added.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What happened.
    pub action: Action,
    /// Who did it; none where nobody was signed in.
    pub actor_id: Option<Uuid>,
    /// To whom it was done.
    pub target_id: Option<Uuid>,
    /// The address that the request came from.
    pub ip: Option<String>,
    /// The program that sent the request, as it names itself.
    pub user_agent: Option<String>,
    /// When it happened.
    pub created_at: Timestamp,
    /// Reason for a failed sign-in, or the exhausted limit.
    pub reason: Option<Reason>,
    /// Fields that changed.
    pub changes: Option<Changes>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each says itself what happened")]
pub enum Action {
    Login,
    LoginFailed,
    Logout,
    RefreshReused,
    Registered,
    EmailVerified,
    EmailChanged,
    EmailChangeUndone,
    ResetRequested,
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
    /// No account has this name.
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
}

impl ActiveModelBehavior for ActiveModel {}
