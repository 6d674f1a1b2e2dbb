//! The order of the outbox: mails that people wait for go before those that can wait, however many these are.

use crate::entity::mail::Kind;

/// All values of a mail's urgency, the most urgent first.
pub(super) const URGENCIES: [i32; 3] = [0, 1, BULK];

/// The urgency of mails that are put in line many at once.
pub(super) const BULK: i32 = 2;

/// The urgency of a single mail.
pub(super) fn urgency(kind: Kind) -> i32 {
    match kind {
        // Somebody looks into the mailbox meanwhile. Both answers to a registration take the same time.
        Kind::ResetPassword | Kind::VerifyEmail | Kind::AlreadyRegistered | Kind::ConfirmNewEmail => 0,
        Kind::PasswordChanged
        | Kind::Welcome
        | Kind::EmailChanged
        | Kind::EmailChangeUndone
        | Kind::RefreshReused
        | Kind::ApiTokenCreated
        | Kind::ApiTokenRotated => 1,
    }
}
