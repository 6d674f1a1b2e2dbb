//! Verification and use of a passkey. Each challenge is answered once, and the counter of an authenticator never goes
//! back: conditional statements decide.

use std::time::Duration;

use ring::digest::{SHA256, digest};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _};

use super::ceremony::{Challenge, Purpose};
use super::list;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::second_factor::SecondFactorRules;
use crate::domain::outbox;
use crate::entity::audit_event::{Action, Reason};
use crate::entity::passkey::{self, Column};
use crate::entity::{mail, user};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::webauthn::{self, Assertion, AuthenticatorState, Expected, PublicKey};

/// Period in which one event and one email report that a passkey may have been copied.
const NOTICE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Options for a browser that asks its user for a passkey.
#[derive(Clone, Debug)]
pub struct RequestOptions {
    /// The challenge.
    pub challenge: Vec<u8>,
    /// The domain.
    pub domain: String,
    /// The passkeys that may answer; empty for any.
    pub allowed: Vec<passkey::Model>,
}

/// A browser's answer to a challenge.
#[derive(Clone, Debug)]
pub struct PasskeyAnswer {
    /// Id of the credential.
    pub credential_id: Vec<u8>,
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// `signature`.
    pub signature: Vec<u8>,
    /// The user as the authenticator remembers them.
    pub user_handle: Option<Vec<u8>>,
}

/// A verified answer; its passkey is not used yet.
#[derive(Debug)]
pub(in crate::domain) struct Verified {
    /// The passkey as it was before this use; its user is the one who answered.
    pub(in crate::domain) passkey: passkey::Model,
    challenge: Challenge,
    state: AuthenticatorState,
}

/// Options for any passkey of the site. Nothing is stored.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] without a domain.
pub fn request(now: &Now, rules: SecondFactorRules<'_>) -> Result<RequestOptions> {
    let domain = rules.relying_party()?.id.clone();
    Ok(RequestOptions { challenge: Challenge::make(now, rules, Purpose::Prove), domain, allowed: Vec::new() })
}

/// Options for the passkeys of a user; `None` if there are none, or the site has no domain. Nothing is stored.
pub async fn request_of(
    db: &impl ConnectionTrait,
    now: &Now,
    rules: SecondFactorRules<'_>,
    user: &user::Model,
) -> Result<Option<RequestOptions>> {
    if rules.relying_party.is_none() {
        return Ok(None);
    }
    let options = request(now, rules)?;
    let allowed = list::of_user(db, user.id, &options.domain).await?;
    Ok((!allowed.is_empty()).then_some(RequestOptions { allowed, ..options }))
}

/// The SHA-256 by which a credential is found.
pub(in crate::domain) fn digest_of(credential_id: &[u8]) -> Vec<u8> {
    digest(&SHA256, credential_id).as_ref().to_vec()
}

/// Verifies an answer, without using the passkey.
///
/// # Errors
/// The refusal of an unknown passkey, also for wrong answers of a known one; of a challenge that has expired.
pub(in crate::domain) async fn verify(
    db: &impl ConnectionTrait,
    now: &Now,
    rules: SecondFactorRules<'_>,
    answer: &PasskeyAnswer,
) -> Result<Verified> {
    let relying_party = rules.relying_party()?;
    let answered = Challenge::answered(now, rules, Purpose::Prove, &answer.client_data);
    let (challenge, bytes) = answered.ok_or_else(expired)?;
    let known = passkey::Entity::find().filter(Column::Digest.eq(digest_of(&answer.credential_id)));
    let passkey = known.one(db).await?.ok_or_else(refused)?;
    let own = passkey.user_handle.as_deref().unwrap_or(passkey.user_id.as_bytes());
    let names_another = |handle: &Vec<u8>| handle != own;
    if answer.user_handle.as_ref().is_some_and(names_another) {
        return Err(refused().into());
    }
    let key = PublicKey::read(&passkey.public_key).map_err(|_| refused())?;
    let expected = Expected { relying_party, challenge: &bytes, user_verification: true, cross_origin: false };
    let assertion = Assertion {
        client_data: &answer.client_data,
        authenticator_data: &answer.authenticator_data,
        signature: &answer.signature,
    };
    let state = webauthn::verify(expected, &key, assertion).map_err(|rejected| {
        tracing::debug!(%rejected, passkey = %passkey.id, "passkey refused");
        refused()
    })?;
    // A credential never becomes synced, or stops being so (section 7.2, step 17).
    if state.is_synced != passkey.is_synced {
        return Err(refused().into());
    }
    Ok(Verified { passkey, challenge, state })
}

/// Uses a verified passkey of a user whose row is locked. Returns the refusal of a used challenge, of a passkey that was
/// removed meanwhile, and of an authenticator whose counter went back: it was copied. The owner is then notified, so the
/// transaction must be committed.
pub(in crate::domain) async fn spend(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    user: &user::Model,
    verified: &Verified,
) -> Result<Result<(), Refusal>> {
    let Verified { passkey, challenge, state } = verified;
    if passkey.user_id != user.id {
        return Ok(Err(refused()));
    }
    if !challenge.spend(txn).await? {
        return Ok(Err(expired()));
    }
    let counter = i64::from(state.counter);
    let own = Column::Id.eq(passkey.id);
    let does_not_count = Condition::all().add(Column::Counter.eq(0)).add(Expr::value(counter == 0));
    let moves_on = Condition::any().add(Column::IsSynced.eq(true)).add(Column::Counter.lt(counter)).add(does_not_count);
    let used = passkey::Entity::update_many()
        .col_expr(Column::Counter, Expr::value(counter))
        .col_expr(Column::LastUsedAt, Expr::value(now.at))
        .filter(own.clone())
        .filter(moves_on)
        .exec(txn)
        .await?;
    if used.rows_affected > 0 {
        return Ok(Ok(()));
    }
    let since = now.at.minus(NOTICE_INTERVAL);
    let is_copied = passkey::Entity::find().filter(own).one(txn).await?.is_some();
    if is_copied && !outbox::has_enqueued(txn, mail::Kind::PasskeyCopied, user.id, since).await? {
        let event = Event::by_anyone(client, Action::LoginFailed, user.id).because(Reason::PasskeyCopied);
        audit::record(txn, now, event).await?;
        outbox::enqueue(txn, now, mail::Kind::PasskeyCopied, &user.email, Some(user.id)).await?;
    }
    Ok(Err(refused()))
}

/// The refusal of an unknown passkey, and of everything that must look like one.
pub(in crate::domain) fn refused() -> Refusal {
    Refusal::new(Code::InvalidCredentials, "passkey-refused").of("passkey")
}

fn expired() -> Refusal {
    Refusal::new(Code::InvalidToken, "passkey-challenge-expired").of("passkey")
}
