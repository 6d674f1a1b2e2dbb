//! Who did what to whom.

use sea_orm::entity::prelude::*;

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
}

impl ActiveModelBehavior for ActiveModel {}
