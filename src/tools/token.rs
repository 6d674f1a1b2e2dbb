//! Access tokens, which are signed, and refresh tokens, which carry a MAC.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Reason;
use crate::tools::cache::Cache;
use crate::tools::clock::Timestamp;
use crate::tools::ed25519;
use crate::tools::secret::MasterKeys;

/// The media type of access tokens (RFC 9068, section 2.1), which distinguishes them from other JWTs.
const TYPE: &str = "at+jwt";

/// Permitted difference between the clocks of instances, in seconds.
const LEEWAY: i64 = 5;

/// Maximum number of cached access tokens with a verified signature, which is then not verified at each request: about
/// 20 MiB.
const MANY: usize = 32_768;

/// The claims of an access token (RFC 9068, section 2.2). Its rights are for other services that verify it; this
/// service reads rights from the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The service's public address.
    pub iss: String,
    /// The same: the tokens are for this service and for services that trust it.
    pub aud: String,
    /// The user.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    /// This token.
    pub jti: Uuid,
    /// The session's generation that the token belongs to.
    pub generation: i32,
    /// Time of issue, in seconds since 1970.
    pub iat: i64,
    /// Time of expiry, in seconds since 1970.
    pub exp: i64,
    /// Time at which the user last proved who they are, in seconds since 1970 (RFC 9068, section 2.2.1). A refresh
    /// leaves it unchanged. Missing in tokens of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// Methods of the proofs in the session (RFC 8176, section 2). Missing in tokens of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// Level of the proofs (RFC 9068, section 2.2.1). Missing in tokens of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// Start of validity, in seconds since 1970; missing in this service's tokens, which are valid immediately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The user's role.
    pub role: String,
    /// The user's permission.
    pub permission: String,
    /// True for users with staff rights.
    pub staff: bool,
    /// True for superusers.
    pub superuser: bool,
    /// The id of the key that signed the token, from its header; empty before signing.
    #[serde(skip)]
    pub kid: String,
}

impl Claims {
    /// Time from which the token is refused: its `exp` plus the leeway for clocks.
    pub fn accepted_until(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_add(LEEWAY).saturating_mul(1000))
    }
}

/// The keys that sign and verify access tokens: Ed25519 (RFC 8037); the newest one signs.
pub struct KeyRing {
    issuer: String,
    signing: Signer,
    verifying: Vec<Verifier>,
    validation: Validation,
    /// Claims of tokens with a verified signature, by their digests, dropped with the ring. Their times are checked at
    /// each request.
    verified: Cache<[u8; 32], Claims>,
}

/// The key ring in use. A change of keys replaces it as a whole, for all clones of this handle.
#[derive(Clone)]
pub struct SharedRing(Arc<RwLock<Arc<KeyRing>>>);

impl SharedRing {
    /// Creates a handle to this ring.
    pub fn new(ring: KeyRing) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(ring))))
    }

    /// The current ring.
    pub fn present(&self) -> Arc<KeyRing> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the ring.
    pub fn replace(&self, ring: KeyRing) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }
}

impl fmt::Debug for SharedRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRing")
    }
}

struct Signer {
    kid: String,
    /// The encoded header of all its tokens.
    header: String,
    key: Ed25519KeyPair,
}

impl Signer {
    fn new(pair: &KeyPair) -> Self {
        let header = serde_json::json!({ "typ": TYPE, "alg": "EdDSA", "kid": pair.kid });
        Self {
            kid: pair.kid.clone(),
            header: URL_SAFE_NO_PAD.encode(header.to_string()),
            key: Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pair.private).expect("an unsealed key is valid"),
        }
    }
}

struct Verifier {
    kid: String,
    public: Vec<u8>,
    key: DecodingKey,
}

/// An unsealed key pair from the database.
pub struct KeyPair {
    /// The key id.
    pub kid: String,
    /// The public key, 32 bytes.
    pub public: Vec<u8>,
    /// The private key in PKCS #8.
    pub private: Vec<u8>,
}

impl KeyPair {
    /// Generates a key pair from the operating system's randomness.
    pub fn generate(kid: String) -> Self {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the operating system provides randomness");
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a new key is valid");
        Self { kid, public: pair.public_key().as_ref().to_vec(), private: document.as_ref().to_vec() }
    }
}

impl KeyRing {
    /// A ring of these keys, with `signing` as the signing key, for tokens of this issuer.
    pub fn new(issuer: &str, signing: &KeyPair, verifying: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        ed25519::install();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Times are checked by `verify`, with this service's clock, which tests can set.
        validation.validate_exp = false;
        let verifier = |(kid, public): (String, Vec<u8>)| {
            let key = DecodingKey::from_ed_der(&public);
            Verifier { kid, public, key }
        };
        Self {
            issuer: issuer.to_owned(),
            signing: Signer::new(signing),
            verifying: verifying.into_iter().map(verifier).collect(),
            validation,
            verified: Cache::new(MANY, MANY),
        }
    }

    /// Issuer and audience of the tokens: the service's public address.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs an access token (RFC 7515, section 7.1). The library would parse the key each time, which takes longer
    /// than the signature.
    pub fn sign(&self, claims: &Claims) -> String {
        let claims = serde_json::to_vec(claims).expect("claims are texts, numbers and flags");
        let mut token = format!("{}.{}", self.signing.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.signing.key.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// True if the ring has the key named by the token; otherwise the ring may be out of date.
    pub fn knows_key_of(&self, token: &str) -> bool {
        let kid = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
        kid.is_none_or(|kid| self.verifier(&kid).is_some())
    }

    /// The claims of a token issued by this service and valid now; otherwise [`Reason::Invalid`] or
    /// [`Reason::Expired`]. Only keys of the ring are used, whatever the header contains.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, Reason> {
        let key = digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let claims = match self.verified.get(&key) {
            Some(claims) => claims,
            None => {
                let claims = Arc::new(self.check(token)?);
                self.verified.insert(key, Arc::clone(&claims), 1);
                claims
            }
        };
        if claims.nbf.is_some_and(|nbf| nbf > now.seconds().saturating_add(LEEWAY)) {
            return Err(Reason::Invalid);
        }
        if claims.accepted_until() <= now {
            return Err(Reason::Expired);
        }
        Ok(claims)
    }

    /// The claims of a token issued by this service, without a check of its times.
    fn check(&self, token: &str) -> Result<Claims, Reason> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Reason::Invalid)?;
        if header.typ.as_deref() != Some(TYPE) {
            return Err(Reason::Invalid);
        }
        let verifier = header.kid.as_deref().and_then(|kid| self.verifier(kid)).ok_or(Reason::Invalid)?;
        let data = jsonwebtoken::decode::<Claims>(token, &verifier.key, &self.validation).map_err(|error| {
            if *error.kind() == ErrorKind::ExpiredSignature { Reason::Expired } else { Reason::Invalid }
        })?;
        Ok(Claims { kid: verifier.kid.clone(), ..data.claims })
    }

    /// The public keys as a JSON Web Key Set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> serde_json::Value {
        let key = |verifier: &Verifier| {
            serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": verifier.kid, "x": URL_SAFE_NO_PAD.encode(&verifier.public),
            })
        };
        serde_json::json!({ "keys": self.verifying.iter().map(key).collect::<Vec<_>>() })
    }

    /// True if the ring has the key with this id.
    pub fn knows(&self, kid: &str) -> bool {
        self.verifier(kid).is_some()
    }

    fn verifier(&self, kid: &str) -> Option<&Verifier> {
        self.verifying.iter().find(|verifier| verifier.kid == kid)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({})", self.signing.kid)
    }
}

/// A refresh token: a session and its generation, with a MAC that only the service can create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session.
    pub session: Uuid,
    /// The generation.
    pub counter: i32,
}

/// Length of session and generation in a refresh token, in bytes.
const REFRESH_MESSAGE: usize = 16 + 4;

impl RefreshToken {
    /// The text form: base64url of session, generation and MAC.
    pub fn to_text(self, master_keys: &MasterKeys) -> String {
        let message = [self.session.as_bytes().as_slice(), &self.counter.to_be_bytes()].concat();
        let mac = master_keys.sign_refresh(&message);
        URL_SAFE_NO_PAD.encode([message, mac].concat())
    }

    /// Parses the text form; `None` if the MAC does not match.
    pub fn from_text(text: &str, master_keys: &MasterKeys) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (message, mac) = bytes.split_first_chunk::<REFRESH_MESSAGE>()?;
        if !master_keys.verify_refresh(message, mac) {
            return None;
        }
        let (session, counter) = message.split_first_chunk::<16>()?;
        Some(Self { session: Uuid::from_bytes(*session), counter: i32::from_be_bytes(counter.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::secret::{InstanceName, MasterSecrets};

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);
    const ISSUER: &str = "https://accounts.example.com";

    fn claims() -> Claims {
        let id = Uuid::from_u128(7);
        let (iat, exp) = (NOW.seconds(), NOW.seconds() + 300);
        let iss = ISSUER.to_owned();
        Claims {
            aud: iss.clone(),
            iss,
            sub: id,
            sid: id,
            jti: id,
            generation: 0,
            iat,
            exp,
            nbf: None,
            auth_time: None,
            amr: Vec::new(),
            acr: None,
            role: "MEMBER".into(),
            permission: "ONLY_VIEW".into(),
            staff: false,
            superuser: false,
            kid: "one".into(),
        }
    }

    fn ring() -> (KeyPair, KeyRing) {
        let pair = KeyPair::generate("one".into());
        let ring = KeyRing::new(ISSUER, &pair, [("one".to_owned(), pair.public.clone())]);
        (pair, ring)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis((NOW.seconds() + seconds) * 1000)
    }

    fn forged(pair: &KeyPair, header: &serde_json::Value, claims: &serde_json::Value) -> String {
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let key = Ed25519KeyPair::from_pkcs8(&pair.private).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())))
    }

    #[test]
    fn a_token_holds_until_it_runs_out() {
        let (_, ring) = ring();
        let token = ring.sign(&claims());
        assert_eq!(ring.verify(&token, at(0)), Ok(claims().into()));
        assert_eq!(ring.verify(&token, at(304)), Ok(claims().into()));
        assert_eq!(ring.verify(&token, at(305)), Err(Reason::Expired));
    }

    #[test]
    fn whatever_is_bent_about_a_token_makes_it_invalid() {
        let (pair, ring) = ring();
        let header = serde_json::json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "one" });
        let good = serde_json::to_value(claims()).unwrap();
        assert!(ring.verify(&forged(&pair, &header, &good), NOW).is_ok());

        let with = |base: &serde_json::Value, key: &str, value: serde_json::Value| {
            let mut bent = base.clone();
            bent[key] = value;
            bent
        };
        let bent_headers =
            [("typ", "JWT".into()), ("kid", "two".into()), ("alg", "none".into()), ("alg", "HS256".into())];
        for (key, value) in bent_headers {
            let token = forged(&pair, &with(&header, key, value), &good);
            assert_eq!(ring.verify(&token, NOW), Err(Reason::Invalid), "{key}");
        }
        let later = (NOW.seconds() + 3600).to_string();
        let bent_claims = [
            ("iss", "https://elsewhere.example".into()),
            ("aud", "https://elsewhere.example".into()),
            ("aud", serde_json::json!([ISSUER])),
            ("aud", 7.into()),
            ("exp", later.clone().into()),
            ("exp", serde_json::Value::Null),
            ("nbf", (NOW.seconds() + 3600).into()),
            ("nbf", later.into()),
            ("sub", "somebody".into()),
        ];
        for (key, value) in bent_claims {
            let token = forged(&pair, &header, &with(&good, key, value));
            assert_eq!(ring.verify(&token, NOW), Err(Reason::Invalid), "{key}");
        }
        let stranger = KeyPair::generate("one".into());
        assert_eq!(ring.verify(&forged(&stranger, &header, &good), NOW), Err(Reason::Invalid));
    }

    #[test]
    fn a_refresh_token_reads_back_and_no_changed_bit_goes_unnoticed() {
        let instance = InstanceName { id: Uuid::from_u128(1), public_url: ISSUER };
        let master_keys =
            |secret: &[u8]| MasterKeys::new(&MasterSecrets { current: secret.to_vec(), previous: None }, instance);
        let (master_keys, other) = (master_keys(b"secret"), master_keys(b"other"));
        let token = RefreshToken { session: Uuid::from_u128(7), counter: 3 };
        let text = token.to_text(&master_keys);
        assert_eq!(RefreshToken::from_text(&text, &master_keys), Some(token));
        assert_eq!(RefreshToken::from_text(&text, &other), None);
        assert_eq!(RefreshToken::from_text(&text[..text.len() - 1], &master_keys), None);
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RefreshToken::from_text(&URL_SAFE_NO_PAD.encode(changed), &master_keys), None);
        }
    }
}
