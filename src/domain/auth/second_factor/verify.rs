//! Verification of TOTP and recovery codes. Each code is valid once: a conditional statement decides.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::{SecondFactorRules, SecondProof, factors, imported};
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::passkeys::assertion::{self, PasskeyAnswer};
use crate::domain::outbox;
use crate::domain::rate_limits;
use crate::entity::audit_event::{Action, Reason};
use crate::entity::factor::{self, Column, Kind};
use crate::entity::session::Method;
use crate::entity::{mail, recovery_code, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::recovery_code::RecoveryCode;
use crate::tools::totp::TimeStep;

/// Period in which one email reports that authenticator codes are stopped.
const NOTICE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Reason for which a code proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) enum Failure {
    /// The code is wrong, or was used before.
    Wrong,
    /// Too many wrong codes: authenticator codes are not compared.
    Stopped,
}

impl Failure {
    /// The refusal of this code.
    pub(in crate::domain) fn refusal(self, typed: SecondProof<'_>) -> Refusal {
        match self {
            Self::Wrong => Refusal::new(Code::SecondFactorIncorrect, typed.incorrect()),
            Self::Stopped => Refusal::new(Code::TotpStopped, "totp-stopped"),
        }
        .of(typed.field())
    }

    /// The reason in the audit trail.
    pub(in crate::domain) fn reason(self) -> Reason {
        match self {
            Self::Wrong => Reason::WrongSecondFactor,
            Self::Stopped => Reason::LimitSecondFactor,
        }
    }
}

/// Verifies and uses up a code of a user whose row is locked, at a sign-in or within this session. A wrong code counts for
/// the account or the session, so the transaction must be committed after a failure, too. The code that exhausts the limit is announced to the owner.
pub(in crate::domain) async fn verify(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    rules: SecondFactorRules<'_>,
    user: &user::Model,
    typed: SecondProof<'_>,
    session: Option<Uuid>,
) -> Result<Result<Method, Failure>> {
    if let SecondProof::Passkey(answer) = typed {
        return by_passkey(txn, now, client, rules, user, answer).await;
    }
    let attempt = match rate_limits::take_second_factor(txn, now, client, rules.limits, user.id, session).await {
        Ok(attempt) => Some(attempt),
        Err(Error::RateLimited(_)) => None,
        Err(error) => return Err(error),
    };
    let (app_code, recovery_code) = match typed {
        SecondProof::Totp(typed) => (Some(typed), None),
        SecondProof::Recovery(typed) => (None, Some(typed)),
        SecondProof::Either(typed) => (Some(typed), Some(typed)),
        SecondProof::Passkey(_) => (None, None),
    };
    let mut right = None;
    if let (Some(typed), Some(_)) = (app_code, &attempt) {
        right = use_totp(txn, now, rules, user.id, typed).await?.then_some(Method::Totp);
    }
    if let (Some(typed), None) = (recovery_code, right) {
        let used = use_recovery_code(txn, now, client, rules, user, typed, attempt.is_some()).await?;
        right = used.then_some(Method::RecoveryCode);
    }
    match (right, attempt) {
        (None, None) if is_stopped(txn, user.id, typed).await? => Ok(Err(Failure::Stopped)),
        (Some(method), attempt) => {
            rate_limits::give_back(txn, attempt.unwrap_or_default()).await?;
            Ok(Ok(method))
        }
        (None, attempt) => {
            let is_sign_in = session.is_none();
            if is_sign_in
                && attempt.is_some()
                && rate_limits::has_stopped_totp(txn, now, rules.limits, user.id, None).await?
            {
                announce_stop(txn, now, user).await?;
            }
            Ok(Err(Failure::Wrong))
        }
    }
}

/// True if a code of this form was not compared, because of too many wrong ones.
async fn is_stopped(txn: &DatabaseTransaction, user: Uuid, typed: SecondProof<'_>) -> Result<bool> {
    match typed {
        SecondProof::Totp(_) => Ok(true),
        SecondProof::Either(typed) => Ok(RecoveryCode::from_text(typed).is_none()),
        SecondProof::Recovery(typed) => {
            Ok(RecoveryCode::from_text(typed).is_none() && imported::has_codes(txn, user).await?)
        }
        SecondProof::Passkey(_) => Ok(false),
    }
}

/// Uses a passkey of the user. Nobody guesses a signature, so wrong ones are not counted.
async fn by_passkey(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    rules: SecondFactorRules<'_>,
    user: &user::Model,
    answer: &PasskeyAnswer,
) -> Result<Result<Method, Failure>> {
    let verified = match assertion::verify(txn, now, rules, answer).await {
        Ok(verified) => verified,
        Err(Error::Refused(_)) => return Ok(Err(Failure::Wrong)),
        Err(error) => return Err(error),
    };
    let spent = assertion::spend(txn, now, client, user, &verified).await?;
    Ok(spent.map(|()| Method::Passkey).map_err(|_| Failure::Wrong))
}

/// Uses up a code of the user's authenticator app. Returns false if it is wrong, or of the same or an earlier step than
/// the last one used.
async fn use_totp(
    txn: &DatabaseTransaction,
    now: &Now,
    rules: SecondFactorRules<'_>,
    user: Uuid,
    typed: &str,
) -> Result<bool> {
    let theirs = factor::Entity::find().filter(Column::UserId.eq(user)).filter(Column::Kind.eq(Kind::Totp));
    let Some(factor) = theirs.one(txn).await? else { return Ok(false) };
    let Some(secret) = factors::secret_of(rules.master_keys, &factor) else {
        tracing::error!(factor = %factor.id, "secret of a second factor cannot be unsealed");
        return Ok(false);
    };
    let Some(TimeStep(step)) = secret.step_of(typed, now.at) else { return Ok(false) };
    let used = factor::Entity::update_many()
        .col_expr(Column::LastStep, Expr::value(step))
        .col_expr(Column::LastUsedAt, Expr::value(now.at))
        .filter(Column::Id.eq(factor.id))
        .filter(Column::LastStep.lt(step))
        .exec(txn)
        .await?;
    Ok(used.rows_affected > 0)
}

/// Uses up a recovery code, and notifies the owner. Returns false if it is wrong. Nobody guesses 120 bits, so the owner
/// may always use one; imported codes are compared only if `may_guess`.
async fn use_recovery_code(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    rules: SecondFactorRules<'_>,
    user: &user::Model,
    typed: &str,
    may_guess: bool,
) -> Result<bool> {
    let mut digests: Vec<Vec<u8>> = RecoveryCode::from_text(typed).iter().map(RecoveryCode::digest).collect();
    if may_guess {
        digests.extend(imported::matching_code(txn, rules.master_keys, user.id, typed).await?);
    }
    let used = recovery_code::Entity::delete_many()
        .filter(recovery_code::Column::Digest.is_in(digests))
        .filter(recovery_code::Column::UserId.eq(user.id))
        .exec(txn)
        .await?;
    if used.rows_affected == 0 {
        return Ok(false);
    }
    audit::record(txn, now, Event::by_owner(client, Action::RecoveryCodeUsed, user.id)).await?;
    outbox::enqueue(txn, now, mail::Kind::RecoveryCodeUsed, &user.email, Some(user.id)).await?;
    Ok(true)
}

/// Tells the owner, once within [`NOTICE_INTERVAL`], that authenticator codes are stopped.
async fn announce_stop(txn: &DatabaseTransaction, now: &Now, user: &user::Model) -> Result<()> {
    let since = now.at.minus(NOTICE_INTERVAL);
    if !outbox::has_enqueued(txn, mail::Kind::TotpStopped, user.id, since).await? {
        outbox::enqueue(txn, now, mail::Kind::TotpStopped, &user.email, Some(user.id)).await?;
    }
    Ok(())
}
