//! Revocation of everything that gives access to an account: sessions, mailed links, API tokens, young passkeys, a
//! pending address, mails with a link, and registrations of the same address. [`Cause::ends`] maps each event to the things it ends;
//! `docs/security.md` shows the table, and a test compares the two.

use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use uuid::Uuid;

use crate::domain::auth::second_factor::factors;
use crate::domain::{outbox, rate_limits};
use crate::entity::mail::{self, Kind, Status};
use crate::entity::{api_token, email_undo, known_device, known_network, one_time_token, registration, session, user};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::identifier;

/// Mails that carry a link into an account.
const WITH_LINK: [Kind; 3] = [Kind::ResetPassword, Kind::Welcome, Kind::ConfirmNewEmail];

/// An event that revokes access to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The owner set a new password by a mailed link.
    PasswordReset,
    /// The owner changed their password in this session, with the old password.
    PasswordChanged(Uuid),
    /// Staff set a password.
    PasswordSet,
    /// The account was deactivated.
    Deactivated,
    /// The address of the account changed.
    EmailChanged,
    /// The owner of the old address undid a change of address.
    EmailChangeUndone,
    /// An import gave the account another address.
    EmailImported,
    /// The account was deleted or anonymized.
    Deleted,
    /// The owner signed out everywhere.
    LoggedOutEverywhere,
    /// The owner signed out everywhere but in this session.
    OthersSignedOut(Uuid),
    /// Staff or the operator removed the second factors.
    FactorsReset,
    /// Staff ended all sessions.
    SessionsEnded,
}

/// The sessions that end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// None.
    None,
    /// All but this one.
    AllBut(Uuid),
    /// All.
    All,
}

/// Everything that a [`Cause`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Sessions, and unfinished sign-ins.
    pub sessions: Sessions,
    /// Mailed links, queued mails with a link, a pending address, and a registration of the account's address.
    pub links: bool,
    /// API tokens, young passkeys, and the networks and devices known as the owner's.
    pub api_tokens: bool,
}

impl Cause {
    /// Everything that this cause ends.
    pub fn ends(self) -> Ends {
        let (sessions, links, api_tokens) = match self {
            Self::PasswordReset | Self::PasswordSet | Self::Deactivated | Self::EmailChangeUndone | Self::Deleted => {
                (Sessions::All, true, true)
            }
            Self::PasswordChanged(present) => (Sessions::AllBut(present), true, false),
            Self::OthersSignedOut(present) => (Sessions::AllBut(present), false, false),
            Self::EmailChanged => (Sessions::None, true, false),
            Self::EmailImported => (Sessions::All, true, false),
            Self::LoggedOutEverywhere | Self::FactorsReset | Self::SessionsEnded => (Sessions::All, false, false),
        };
        Ends { sessions, links, api_tokens }
    }
}

/// Revokes the access of these users, whose rows are locked, according to the cause. Must be called before the
/// statement that makes the change, so that the row returned by that statement is final.
pub(in crate::domain) async fn revoke(
    txn: &DatabaseTransaction,
    now: &Now,
    users: &[Uuid],
    cause: Cause,
) -> Result<()> {
    let Ends { sessions, links, api_tokens } = cause.ends();
    let theirs = session::Column::UserId.is_in(users.iter().copied());
    let ended = match sessions {
        Sessions::None => None,
        Sessions::AllBut(present) => Some(theirs.and(session::Column::Id.ne(present))),
        Sessions::All => Some(theirs),
    };
    if let Some(ended) = ended {
        session::Entity::delete_many().filter(ended).exec(txn).await?;
        // Unfinished sign-ins end with the sessions.
        user::Entity::update_many()
            .col_expr(user::Column::AccessGeneration, Expr::col(user::Column::AccessGeneration).add(1))
            .filter(user::Column::Id.is_in(users.iter().copied()))
            .exec(txn)
            .await?;
    }
    if links {
        if cause == Cause::Deactivated {
            outbox::hold(txn, users).await?;
        }
        end_links(txn, users, cause).await?;
    }
    if cause == Cause::PasswordSet {
        // While a change of address can still be undone, the current address may belong to a thief.
        let in_question = Query::select()
            .column(email_undo::Column::UserId)
            .from(email_undo::Entity)
            .and_where(email_undo::Column::UserId.is_in(users.iter().copied()))
            .take();
        user::Entity::update_many()
            .col_expr(user::Column::EmailProved, Expr::value(false))
            .filter(user::Column::Id.in_subquery(in_question))
            .exec(txn)
            .await?;
        email_undo::Entity::delete_many()
            .filter(email_undo::Column::UserId.is_in(users.iter().copied()))
            .exec(txn)
            .await?;
    }
    if api_tokens {
        // An intruder's network and device must not count as the owner's.
        known_network::Entity::delete_many()
            .filter(known_network::Column::UserId.is_in(users.iter().copied()))
            .exec(txn)
            .await?;
        known_device::Entity::delete_many()
            .filter(known_device::Column::UserId.is_in(users.iter().copied()))
            .exec(txn)
            .await?;
        let theirs = api_token::Column::UserId.is_in(users.iter().copied());
        api_token::Entity::delete_many().filter(theirs).exec(txn).await?;
        factors::remove_young_passkeys(txn, now, users).await?;
    }
    if matches!(cause, Cause::PasswordSet | Cause::EmailChangeUndone) {
        // The owner has no known network now; earlier guesses by strangers must not lock them out.
        rate_limits::forget_guesses(txn, users).await?;
    }
    Ok(())
}

async fn end_links(txn: &DatabaseTransaction, users: &[Uuid], cause: Cause) -> Result<()> {
    let ids = || users.iter().copied();
    one_time_token::Entity::delete_many().filter(one_time_token::Column::UserId.is_in(ids())).exec(txn).await?;
    user::Entity::update_many()
        .col_expr(user::Column::PendingEmail, Expr::value(Option::<String>::None))
        .filter(user::Column::Id.is_in(ids()))
        .filter(user::Column::PendingEmail.is_not_null())
        .exec(txn)
        .await?;
    // An unsent welcome mail is due once the account is activated.
    let is_kept = |kind: &Kind| cause == Cause::Deactivated && *kind == Kind::Welcome;
    let kinds: Vec<Kind> = WITH_LINK.into_iter().filter(|kind| !is_kept(kind)).collect();
    cancel_mails(txn, users, &kinds).await?;
    let emails = user::Entity::find().filter(user::Column::Id.is_in(ids())).select_only().column(user::Column::Email);
    let emails: Vec<String> = emails.into_tuple().all(txn).await?;
    // A request that was not looked up yet has no user. It is deleted like one to an unknown address: its row would show
    // that the address has an account.
    outbox::forget_reset_requests(txn, &emails).await?;
    let addresses = emails.iter().map(|email| identifier::canonical_address(email));
    registration::Entity::delete_many().filter(registration::Column::EmailKey.is_in(addresses)).exec(txn).await?;
    Ok(())
}

/// Cancels the unsent mails of these kinds to these users; a worker that is sending one gives it up.
pub(in crate::domain) async fn cancel_mails(txn: &DatabaseTransaction, users: &[Uuid], kinds: &[Kind]) -> Result<()> {
    let none = || Expr::value(Option::<Timestamp>::None);
    mail::Entity::update_many()
        .col_expr(mail::Column::Status, Expr::value(Status::Cancelled))
        .col_expr(mail::Column::NextAttemptAt, none())
        .col_expr(mail::Column::LeasedUntil, none())
        .col_expr(mail::Column::SealedToken, Expr::value(Option::<Vec<u8>>::None))
        .filter(mail::Column::UserId.is_in(users.iter().copied()))
        .filter(mail::Column::Kind.is_in(kinds.iter().copied()))
        .filter(mail::Column::Status.is_in([Status::Queued, Status::Held, Status::Failed]))
        .exec(txn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_shows_the_table() {
        let manual = include_str!("../../../docs/security.md");
        let causes = [
            ("a reset by an emailed link", Cause::PasswordReset),
            ("`changePassword`", Cause::PasswordChanged(Uuid::nil())),
            ("a password that staff set", Cause::PasswordSet),
            ("deactivation", Cause::Deactivated),
            ("another address", Cause::EmailChanged),
            ("an undone change of address", Cause::EmailChangeUndone),
            ("another address by `import django`", Cause::EmailImported),
            ("deletion", Cause::Deleted),
            ("`logout(everywhere: true)`", Cause::LoggedOutEverywhere),
            ("`revokeOtherSessions`", Cause::OthersSignedOut(Uuid::nil())),
            ("`resetFactors`, or `users reset-factors`", Cause::FactorsReset),
            ("`endUserSessions` without a session", Cause::SessionsEnded),
        ];
        for (name, cause) in causes {
            let Ends { sessions, links, api_tokens } = cause.ends();
            let sessions = match sessions {
                Sessions::None => "–",
                Sessions::AllBut(_) => "all others",
                Sessions::All => "all",
            };
            let all = |ends| if ends { "all" } else { "–" };
            let row = format!("| {name} | {sessions} | {} | {} |", all(links), all(api_tokens));
            assert!(manual.contains(&row), "docs/security.md has no row {row}");
        }
    }
}
