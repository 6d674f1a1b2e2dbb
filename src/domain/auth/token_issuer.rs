//! Issuing access and refresh tokens.

use std::sync::Arc;

use sea_orm::ActiveEnum as _;

use crate::config::SessionConfig;
use crate::entity::session::{Method, Methods};
use crate::entity::{session, user};
use crate::tools::clock::{Now, Timestamp};
use crate::tools::secret::MasterKeys;
use crate::tools::token::{Claims, KeyRing, RefreshToken};

/// The claim `acr` of sessions with a first proof only.
const ONE_FACTOR: &str = "aal1";

/// The claim `acr` of sessions with a first proof and a second factor.
const TWO_FACTORS: &str = "aal2";

/// The claim `amr` (RFC 8176, section 2). Links in emails have no registered value.
fn amr(methods: &Methods, has_two_factors: bool) -> Vec<String> {
    let name = |method| match method {
        Method::Password => "pwd",
        Method::EmailLink => "email",
        Method::Totp | Method::RecoveryCode => "otp",
        // Proof of possession of a key that may be copied.
        Method::Passkey => "swk",
    };
    let mut names: Vec<&str> = methods.iter().map(name).chain(has_two_factors.then_some("mfa")).collect();
    names.dedup();
    names.into_iter().map(str::to_owned).collect()
}

/// The tokens of one generation of a session.
#[derive(Clone)]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access: String,
    /// For the next refresh.
    pub refresh: String,
    /// Expiry of the access token.
    pub access_expires_at: Timestamp,
    /// Expiry of the refresh token if it is not used.
    pub refresh_expires_at: Timestamp,
}

/// The keys and lifetimes of new tokens.
#[derive(Clone, Debug)]
pub struct TokenIssuer {
    /// The keys for access tokens.
    pub ring: Arc<KeyRing>,
    /// The key for refresh tokens.
    pub master_keys: Arc<MasterKeys>,
    /// Lifetimes of the tokens.
    pub lives: SessionConfig,
}

impl TokenIssuer {
    /// The tokens of the session's current generation; the refresh token is the same each time.
    pub fn tokens(&self, now: &Now, session: &session::Model, user: &user::Model) -> Tokens {
        // A removed factor counts for nothing from the next token on.
        let has_two_factors = user.has_second_factor && session.methods.are_two_factors();
        let access_expires_at = now.at.plus(self.lives.access_ttl).min(session.expires_at);
        let claims = Claims {
            iss: self.ring.issuer().to_owned(),
            aud: self.ring.issuer().to_owned(),
            sub: user.id,
            sid: session.id,
            jti: now.id(),
            generation: session.counter,
            iat: now.at.seconds(),
            exp: access_expires_at.seconds(),
            nbf: None,
            auth_time: Some(session.authenticated_at.seconds()),
            amr: amr(&session.methods, has_two_factors),
            acr: Some(if has_two_factors { TWO_FACTORS } else { ONE_FACTOR }.to_owned()),
            role: user.role.to_value(),
            permission: user.permission.to_value(),
            staff: user.is_staff_member(),
            superuser: user.is_superuser,
            kid: String::new(),
        };
        let refresh = RefreshToken { session: session.id, counter: session.counter };
        Tokens {
            access: self.ring.sign(&claims),
            refresh: refresh.to_text(&self.master_keys),
            access_expires_at,
            refresh_expires_at: session.last_used_at.plus(self.lives.refresh_ttl).min(session.expires_at),
        }
    }

    /// The session and generation of a refresh token; `None` if the service did not issue it.
    pub fn read_refresh(&self, text: &str) -> Option<RefreshToken> {
        RefreshToken::from_text(text, &self.master_keys)
    }
}
