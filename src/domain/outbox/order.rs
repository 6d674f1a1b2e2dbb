//! The order of delivery: urgent mails go before others, however many of these are queued.

use crate::entity::mail::Kind;

/// All values of a mail's urgency, most urgent first.
pub(super) const URGENCIES: [i32; 3] = [0, 1, BULK];

/// Urgency of mails that are queued in bulk.
pub(super) const BULK: i32 = 2;

/// Urgency of a single mail.
pub(super) fn urgency(kind: Kind) -> i32 {
    match kind {
        // The reader is waiting for the mail. Both replies to a registration take the same time.
        Kind::ResetPassword | Kind::VerifyEmail | Kind::AlreadyRegistered | Kind::ConfirmNewEmail => 0,
        Kind::PasswordChanged
        | Kind::Welcome
        | Kind::EmailChanged
        | Kind::EmailChangeUndone
        | Kind::RefreshReused
        | Kind::ApiTokenCreated
        | Kind::ApiTokenRotated
        | Kind::ApiTokenRevoked
        | Kind::FactorAdded
        | Kind::FactorRemoved
        | Kind::PasskeyAdded
        | Kind::PasskeyRemoved
        | Kind::PasskeyCopied
        | Kind::RecoveryCodeUsed
        | Kind::RecoveryCodesRenewed
        | Kind::NewDevice
        | Kind::TotpStopped => 1,
    }
}
