//! Names of enumerations.

use crate::entity::audit_change::{Field, FieldChange};
use crate::entity::audit_event::{Action, Reason};
use crate::entity::mail;
use crate::entity::user::{Permission, Role};
use crate::texts::Text;

/// Roles with their stored values.
pub(super) fn roles() -> Vec<(&'static str, Text)> {
    let value = |role| match role {
        Role::Admin => "ADMIN",
        Role::Manager => "MANAGER",
        Role::Agent => "AGENT",
        Role::Member => "MEMBER",
    };
    [Role::Member, Role::Agent, Role::Manager, Role::Admin].into_iter().map(|one| (value(one), role(one))).collect()
}

/// Name of a role.
pub(super) fn role(role: Role) -> Text {
    match role {
        Role::Admin => Text::new("console-role-admin"),
        Role::Manager => Text::new("console-role-manager"),
        Role::Agent => Text::new("console-role-agent"),
        Role::Member => Text::new("console-role-member"),
    }
}

/// Permissions with their stored values.
pub(super) fn permissions() -> Vec<(&'static str, Text)> {
    let of = |permission| match permission {
        Permission::OnlyView => ("ONLY_VIEW", Text::new("console-permission-view")),
        Permission::Download => ("DOWNLOAD", Text::new("console-permission-download")),
        Permission::FullAccess => ("FULL_ACCESS", Text::new("console-permission-full")),
    };
    [Permission::OnlyView, Permission::Download, Permission::FullAccess].into_iter().map(of).collect()
}

/// Kind of an email.
pub(super) fn mail_kind(kind: mail::Kind) -> Text {
    use mail::Kind;
    match kind {
        Kind::ResetPassword => Text::new("console-mail-reset-password"),
        Kind::PasswordChanged => Text::new("console-mail-password-changed"),
        Kind::Welcome => Text::new("console-mail-welcome"),
        Kind::ConfirmNewEmail => Text::new("console-mail-confirm-new-email"),
        Kind::EmailChanged => Text::new("console-mail-email-changed"),
        Kind::EmailChangeUndone => Text::new("console-mail-email-change-undone"),
        Kind::VerifyEmail => Text::new("console-mail-verify-email"),
        Kind::AlreadyRegistered => Text::new("console-mail-already-registered"),
        Kind::RefreshReused => Text::new("console-mail-refresh-reused"),
        Kind::ApiTokenCreated => Text::new("console-mail-api-token-created"),
        Kind::ApiTokenRotated => Text::new("console-mail-api-token-rotated"),
        Kind::ApiTokenRevoked => Text::new("console-mail-api-token-revoked"),
        Kind::FactorAdded => Text::new("console-mail-factor-added"),
        Kind::FactorRemoved => Text::new("console-mail-factor-removed"),
        Kind::RecoveryCodesRenewed => Text::new("console-mail-recovery-codes-renewed"),
        Kind::NewDevice => Text::new("console-mail-new-device"),
        Kind::RecoveryCodeUsed => Text::new("console-mail-recovery-code-used"),
        Kind::TotpStopped => Text::new("console-mail-totp-stopped"),
        Kind::PasskeyAdded => Text::new("console-mail-passkey-added"),
        Kind::PasskeyRemoved => Text::new("console-mail-passkey-removed"),
        Kind::PasskeyCopied => Text::new("console-mail-passkey-copied"),
    }
}

/// Status of an email.
pub(super) fn mail_status(status: mail::Status) -> Text {
    match status {
        mail::Status::Queued => Text::new("console-mail-queued"),
        mail::Status::Sent => Text::new("console-mail-sent"),
        mail::Status::Failed => Text::new("console-mail-failed"),
        mail::Status::Cancelled => Text::new("console-mail-cancelled"),
        mail::Status::Held => Text::new("console-mail-held"),
    }
}

/// Kind of a status for the stylesheet.
pub(super) fn mail_badge(status: mail::Status) -> &'static str {
    match status {
        mail::Status::Sent => "good",
        mail::Status::Queued | mail::Status::Held => "plain",
        mail::Status::Failed => "bad",
        mail::Status::Cancelled => "warn",
    }
}

/// Name of a recorded action.
pub(super) fn action(action: Action) -> Text {
    match action {
        Action::Login => Text::new("console-action-login"),
        Action::LoginFailed => Text::new("console-action-login-failed"),
        Action::Reauthenticated => Text::new("console-action-reauthenticated"),
        Action::FactorAdded => Text::new("console-action-factor-added"),
        Action::FactorRemoved => Text::new("console-action-factor-removed"),
        Action::FactorsReset => Text::new("console-action-factors-reset"),
        Action::RecoveryCodesRenewed => Text::new("console-action-recovery-codes-renewed"),
        Action::RecoveryCodeUsed => Text::new("console-action-recovery-code-used"),
        Action::PasskeyAdded => Text::new("console-action-passkey-added"),
        Action::PasskeyRemoved => Text::new("console-action-passkey-removed"),
        Action::NewDevice => Text::new("console-action-new-device"),
        Action::Logout => Text::new("console-action-logout"),
        Action::RefreshReused => Text::new("console-action-refresh-reused"),
        Action::Registered => Text::new("console-action-registered"),
        Action::EmailVerified => Text::new("console-action-email-verified"),
        Action::EmailChanged => Text::new("console-action-email-changed"),
        Action::EmailChangeUndone => Text::new("console-action-email-change-undone"),
        Action::ResetRequested => Text::new("console-action-reset-requested"),
        Action::InvitationSent => Text::new("console-action-invitation-sent"),
        Action::PasswordReset => Text::new("console-action-password-reset"),
        Action::PasswordChanged => Text::new("console-action-password-changed"),
        Action::PasswordSet => Text::new("console-action-password-set"),
        Action::UserCreated => Text::new("console-action-user-created"),
        Action::UserUpdated => Text::new("console-action-user-updated"),
        Action::StaffGranted => Text::new("console-action-staff-granted"),
        Action::StaffRevoked => Text::new("console-action-staff-revoked"),
        Action::Activated => Text::new("console-action-activated"),
        Action::Deactivated => Text::new("console-action-deactivated"),
        Action::Deleted => Text::new("console-action-deleted"),
        Action::Anonymized => Text::new("console-action-anonymized"),
        Action::UsersImported => Text::new("console-action-users-imported"),
        Action::ImportMappingDeleted => Text::new("console-action-import-mapping-deleted"),
        Action::ApiTokenCreated => Text::new("console-action-api-token-created"),
        Action::ApiTokenRotated => Text::new("console-action-api-token-rotated"),
        Action::ApiTokenDeleted => Text::new("console-action-api-token-deleted"),
        Action::SessionRevoked => Text::new("console-action-session-revoked"),
        Action::SessionsRevoked => Text::new("console-action-sessions-revoked"),
        Action::Exported => Text::new("console-action-exported"),
        Action::SigningKeyRotated => Text::new("console-action-signing-key-rotated"),
        Action::SigningKeyRevoked => Text::new("console-action-signing-key-revoked"),
        Action::SecretsResealed => Text::new("console-action-secrets-resealed"),
        Action::LimitReached => Text::new("console-action-limit-reached"),
        Action::MailHeld => Text::new("console-action-mail-held"),
        Action::MailReleased => Text::new("console-action-mail-released"),
        Action::MailCancelled => Text::new("console-action-mail-cancelled"),
        Action::LimitsLifted => Text::new("console-action-limits-lifted"),
    }
}

/// Reason of a failed sign-in, or the exhausted limit.
pub(super) fn reason(reason: Reason) -> Text {
    match reason {
        Reason::UnknownAccount => Text::new("console-reason-unknown-account"),
        Reason::WrongPassword => Text::new("console-reason-wrong-password"),
        Reason::NoPassword => Text::new("console-reason-no-password"),
        Reason::TooManyAttempts => Text::new("console-reason-too-many-attempts"),
        Reason::AccountInactive => Text::new("console-reason-account-inactive"),
        Reason::EmailNotVerified => Text::new("console-reason-email-not-verified"),
        Reason::PasswordExpired => Text::new("console-reason-password-expired"),
        Reason::NewPasswordRefused => Text::new("console-reason-new-password-refused"),
        Reason::ChangedMeanwhile => Text::new("console-reason-changed-meanwhile"),
        Reason::WrongSecondFactor => Text::new("console-reason-wrong-second-factor"),
        Reason::PasskeyCopied => Text::new("console-reason-passkey-copied"),
        Reason::LimitMailAddress | Reason::LimitMailClient => Text::new("console-reason-limit-mail"),
        Reason::LimitSignIn | Reason::LimitSignInClient | Reason::LimitSignInAccount => {
            Text::new("console-reason-limit-sign-in")
        }
        Reason::LimitLink => Text::new("console-reason-limit-link"),
        Reason::LimitRegister => Text::new("console-reason-limit-register"),
        Reason::LimitBulk => Text::new("console-reason-limit-bulk"),
        Reason::LimitWelcome => Text::new("console-reason-limit-welcome"),
        Reason::LimitApiToken => Text::new("console-reason-limit-api-token"),
        Reason::LimitWrites => Text::new("console-reason-limit-writes"),
        Reason::LimitSecondFactor => Text::new("console-reason-limit-second-factor"),
    }
}

/// A changed field, with its values if the trail has them.
pub(super) fn change(change: &FieldChange) -> String {
    let field = field(change.field).english();
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            let text = Text::new("console-change").with("field", field);
            text.with("before", value(before)).with("after", value(after)).english()
        }
        _ => field,
    }
}

fn field(field: Field) -> Text {
    match field {
        Field::Username => Text::new("console-label-username"),
        Field::Email => Text::new("console-label-email"),
        Field::PendingEmail => Text::new("console-label-pending-email"),
        Field::FirstName => Text::new("console-label-first-name"),
        Field::LastName => Text::new("console-label-last-name"),
        Field::Phone => Text::new("console-label-phone"),
        Field::Address => Text::new("console-label-address"),
        Field::Bio => Text::new("console-label-bio"),
        Field::ExternalId => Text::new("console-label-external-id"),
        Field::Avatar => Text::new("console-label-avatar"),
        Field::Role => Text::new("console-label-role"),
        Field::Permission => Text::new("console-label-permission"),
        Field::IsActive => Text::new("console-label-active"),
        Field::IsStaff => Text::new("console-label-staff"),
        Field::IsSuperuser => Text::new("console-label-superuser"),
        Field::IsVerified => Text::new("console-label-verified"),
    }
}

/// A stored value in words.
pub(super) fn value(stored: &str) -> String {
    let named = roles().into_iter().chain(permissions()).find(|(value, _)| *value == stored);
    match (named, stored) {
        (Some((_, name)), _) => name.english(),
        (None, "true") => Text::new("console-yes").english(),
        (None, "false") => Text::new("console-no").english(),
        (None, other) => other.to_owned(),
    }
}
