//! Challenges of ceremonies.
//!
//! A challenge is its own record: it seals its purpose and expiry. So asking for one writes nothing, and a used one is
//! remembered only until it expires.

use std::time::Duration;

use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::auth::second_factor::{SecondFactorRules, challenge};
use crate::error::Result;
use crate::tools::clock::{Now, SKEW, Timestamp};
use crate::tools::webauthn;

/// Lifetime of a challenge. Browsers wait for their user no longer than that.
pub const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The context under which challenges are sealed.
const CONTEXT: &str = "passkey ceremony";

/// Purpose of a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::domain) enum Purpose {
    /// Registration of a passkey of this user.
    Register(Uuid),
    /// Proof of identity.
    Prove,
}

/// A challenge that was read.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::domain) struct Challenge {
    id: Uuid,
    purpose: Purpose,
    /// In milliseconds since 1970.
    expires_at: i64,
}

impl Challenge {
    /// Makes a challenge. Nothing is stored.
    pub(in crate::domain) fn make(now: &Now, rules: SecondFactorRules<'_>, purpose: Purpose) -> Vec<u8> {
        let challenge = Self { id: now.id(), purpose, expires_at: now.at.plus(LIFETIME).millis() };
        let plain = serde_json::to_vec(&challenge).expect("ids and numbers are JSON");
        rules.master_keys.seal(CONTEXT, &plain)
    }

    /// Reads the challenge that a response answers; `None` if it is not of this service, has another purpose, or has
    /// expired. Returns it with its bytes.
    pub(in crate::domain) fn answered(
        now: &Now,
        rules: SecondFactorRules<'_>,
        purpose: Purpose,
        client_data: &[u8],
    ) -> Option<(Self, Vec<u8>)> {
        let bytes = webauthn::challenge_of(client_data).ok()?;
        let challenge: Self = serde_json::from_slice(&rules.master_keys.unseal(CONTEXT, &bytes)?).ok()?;
        let end = Timestamp::from_millis(challenge.expires_at);
        // A clock that was set back must not extend the time.
        let is_alive = now.at < end && end <= now.at.plus(LIFETIME).plus(SKEW);
        (challenge.purpose == purpose && is_alive).then_some((challenge, bytes))
    }

    /// Records that the challenge was used. Returns false if it was before.
    pub(in crate::domain) async fn spend(&self, txn: &DatabaseTransaction) -> Result<bool> {
        challenge::spend_once(txn, self.id, Timestamp::from_millis(self.expires_at)).await
    }
}
