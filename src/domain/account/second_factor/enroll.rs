//! Enrolment of an authenticator app.
//!
//! An unfinished enrolment is a sealed text that the client keeps; nothing is stored until a code confirms it. So it
//! never counts, and leaves an earlier app working. It ends when the second factors of the user change. So of several
//! confirmations, the first decides, and an enrolment from before a removal adds no app afterwards.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::add_method;
use crate::config::SecondFactorPolicy;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::known_devices;
use crate::domain::auth::second_factor::{SecondFactorRules, factors};
use crate::domain::outbox;
use crate::domain::rate_limits;
use crate::entity::audit_event::Action;
use crate::entity::session::Method;
use crate::entity::{factor, mail, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::{Now, SKEW, Timestamp};
use crate::tools::qr_code;
use crate::tools::secret::MasterKeys;
use crate::tools::totp::TotpSecret;

/// Lifetime of an unfinished enrolment: long enough to install an app.
pub const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Maximum length of the name of the site in the app, in characters, so that a QR code has room for the address, too.
const MAX_ISSUER: usize = 40;

/// The context under which enrolments are sealed.
const CONTEXT: &str = "totp enrolment";

/// An unfinished enrolment, for the client.
#[derive(Clone)]
pub struct Enrollment {
    /// The sealed text.
    pub token: String,
    /// The secret, for typing into the app.
    pub secret: String,
    /// The URI for the app.
    pub uri: String,
    /// The URI as a QR code, an SVG picture.
    pub qr_code: String,
    /// Expiry.
    pub expires_at: Timestamp,
}

/// A confirmed enrolment.
#[derive(Clone)]
pub struct Confirmed {
    /// The new factor.
    pub factor: factor::Model,
    /// The texts of new recovery codes.
    pub recovery_codes: Vec<String>,
}

/// Content of the sealed text.
#[derive(Serialize, Deserialize)]
struct Contents {
    user: Uuid,
    secret: Vec<u8>,
    /// The state of the account, which another change of its factors ends.
    generation: i32,
    /// In milliseconds since 1970.
    expires_at: i64,
}

impl Contents {
    fn seal(&self, master_keys: &MasterKeys) -> String {
        let plain = serde_json::to_vec(self).expect("ids and numbers are JSON");
        URL_SAFE_NO_PAD.encode(master_keys.seal(CONTEXT, &plain))
    }

    fn unseal(token: &str, master_keys: &MasterKeys) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        serde_json::from_slice(&master_keys.unseal(CONTEXT, &sealed)?).ok()
    }

    /// True if the account is this user's, and in the same state.
    fn is_of(&self, user: &user::Model) -> bool {
        self.user == user.id && self.generation == user.access_generation
    }

    fn is_alive(&self, now: &Now) -> bool {
        let end = Timestamp::from_millis(self.expires_at);
        // A clock that was set back must not extend the time.
        now.at < end && end <= now.at.plus(LIFETIME).plus(SKEW)
    }
}

/// Starts the enrolment of an app under the name of this site. Nothing is stored.
///
/// # Errors
/// [`Code::ReauthenticationRequired`]; [`Error::Forbidden`] if second factors are off.
pub fn start(now: &Now, owner: SessionUser<'_>, rules: SecondFactorRules<'_>, site: &str) -> Result<Enrollment> {
    check_policy(rules)?;
    owner.check_recent_proof(now)?;
    let user = owner.user();
    let secret = TotpSecret::random();
    let expires_at = now.at.plus(LIFETIME);
    let contents = Contents {
        user: user.id,
        secret: secret.reveal().to_vec(),
        generation: user.access_generation,
        expires_at: expires_at.millis(),
    };
    enrollment(contents.seal(rules.master_keys), &secret, site, &user.email, expires_at)
}

/// Reads an unfinished enrolment of the owner, to show it again after a wrong code.
///
/// # Errors
/// [`Code::InvalidToken`] if it has ended, or belongs to another user.
pub fn read(
    now: &Now,
    owner: SessionUser<'_>,
    rules: SecondFactorRules<'_>,
    site: &str,
    token: &str,
) -> Result<Enrollment> {
    let known = Contents::unseal(token, rules.master_keys).ok_or_else(invalid)?;
    if !known.is_of(owner.user()) || !known.is_alive(now) {
        return Err(invalid().into());
    }
    let secret = TotpSecret::from_bytes(&known.secret).ok_or_else(invalid)?;
    let expires_at = Timestamp::from_millis(known.expires_at);
    enrollment(token.to_owned(), &secret, site, &owner.user().email, expires_at)
}

fn enrollment(
    token: String,
    secret: &TotpSecret,
    site: &str,
    email: &str,
    expires_at: Timestamp,
) -> Result<Enrollment> {
    let uri = secret.uri(&site.chars().take(MAX_ISSUER).collect::<String>(), email);
    let qr_code = qr_code::svg(&uri).ok_or_else(|| Error::internal("the URI of an app is too long for a QR code"))?;
    Ok(Enrollment { token, secret: secret.to_text(), uri, qr_code, expires_at })
}

/// Confirms an enrolment with a code of the app. The app replaces an earlier one, and new recovery codes replace the
/// earlier ones. The owner gets a mail. Other enrolments of the same user end.
///
/// # Errors
/// [`Code::InvalidToken`] if the enrolment has expired, or the user's factors have changed since it was started;
/// [`Code::SecondFactorIncorrect`];
/// [`Code::ReauthenticationRequired`]; [`Error::Forbidden`] if second factors are off.
pub async fn confirm(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    rules: SecondFactorRules<'_>,
    token: &str,
    code: &str,
) -> Result<Confirmed> {
    check_policy(rules)?;
    let contents = Contents::unseal(token, rules.master_keys).ok_or_else(invalid)?;
    let secret = TotpSecret::from_bytes(&contents.secret).ok_or_else(invalid)?;
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    authorized.check_recent_proof(now)?;
    let user = authorized.user();
    if !contents.is_of(user) || !contents.is_alive(now) {
        return Err(invalid().into());
    }
    let incorrect = || Refusal::new(Code::SecondFactorIncorrect, "totp-code-incorrect").of("totpCode");
    let confirmed_by = secret.step_of(code, now.at).ok_or_else(incorrect)?;
    let factor = factors::put_totp(txn, now, rules, user.id, &secret, confirmed_by).await?;
    let recovery_codes = factors::renew_recovery_codes(txn, now, user.id).await?;
    // Earlier wrong codes were not for this app.
    rate_limits::forget_wrong_codes(txn, user.id).await?;
    add_method(txn, owner.session(), Method::Totp).await?;
    known_devices::note(txn, now, authorized.client(), user.id).await?;
    audit::record(txn, now, Event::by(&authorized, Action::FactorAdded, user.id)).await?;
    outbox::enqueue(txn, now, mail::Kind::FactorAdded, &user.email, Some(user.id)).await?;
    authorized.commit().await?;
    Ok(Confirmed { factor, recovery_codes })
}

fn check_policy(rules: SecondFactorRules<'_>) -> Result<()> {
    if rules.policy == SecondFactorPolicy::Off { Err(Error::Forbidden) } else { Ok(()) }
}

fn invalid() -> Refusal {
    Refusal::new(Code::InvalidToken, "enrollment-invalid").of("enrollmentToken")
}
