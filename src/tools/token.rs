//! The tokens that clients hold: access tokens, which are signed, and refresh tokens, which carry a MAC.

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

/// The media type of access tokens (RFC 9068, section 2.1), which keeps other JWTs from being taken for one.
const TYPE: &str = "at+jwt";

/// By how many seconds the clocks of instances may differ.
const LEEWAY: i64 = 5;

/// How many access tokens are remembered whose signature was found good, so that it need not be checked at each request:
/// about 20 MiB of them.
const MANY: usize = 32_768;

/// What an access token says (RFC 9068, section 2.2). Rights in it are for those who verify it elsewhere; the service
/// itself reads them from the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The service's public address.
    pub iss: String,
    /// The same: the tokens are for this service, and for whom it tells.
    pub aud: String,
    /// The user.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    /// This token.
    pub jti: Uuid,
    /// The session's generation that the token belongs to.
    pub generation: i32,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it runs out, in seconds since 1970.
    pub exp: i64,
    /// From when on it holds, in seconds since 1970; ours hold at once and do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The user's role.
    pub role: String,
    /// The user's permission.
    pub permission: String,
    /// Whether the user counts as staff.
    pub staff: bool,
    /// Whether the user is a superuser.
    pub superuser: bool,
    /// The id of the key that signed the token, from its header; empty before it is signed.
    #[serde(skip)]
    pub kid: String,
}

impl Claims {
    /// The moment from which the token is refused: its `exp` and the leeway for clocks that differ.
    pub fn accepted_until(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_add(LEEWAY).saturating_mul(1000))
    }
}

/// The keys that sign and verify access tokens: Ed25519 (RFC 8037), the youngest signs.
pub struct KeyRing {
    issuer: String,
    signing: Signer,
    verifying: Vec<Verifier>,
    validation: Validation,
    /// What tokens say whose signature was found good, by their digests; forgotten with the ring. Whether they still hold is
    /// asked each time.
    verified: Cache<[u8; 32], Claims>,
}

/// The key ring that is in use, which is replaced as a whole where keys change. Whoever holds on to it sees the next one.
#[derive(Clone)]
pub struct SharedRing(Arc<RwLock<Arc<KeyRing>>>);

impl SharedRing {
    /// Begins with this ring.
    pub fn new(ring: KeyRing) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(ring))))
    }

    /// The ring at present.
    pub fn present(&self) -> Arc<KeyRing> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another ring in its place.
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
    /// The header of all that it signs, as it stands in tokens.
    header: String,
    key: Ed25519KeyPair,
}

impl Signer {
    fn new(pair: &KeyPair) -> Self {
        let header = serde_json::json!({ "typ": TYPE, "alg": "EdDSA", "kid": pair.kid });
        Self {
            kid: pair.kid.clone(),
            header: URL_SAFE_NO_PAD.encode(header.to_string()),
            key: Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pair.private).expect("a key that was unsealed is valid"),
        }
    }
}

struct Verifier {
    kid: String,
    public: Vec<u8>,
    key: DecodingKey,
}

/// A key pair as the database keeps it, unsealed.
pub struct KeyPair {
    /// Its id.
    pub kid: String,
    /// The public key, 32 bytes.
    pub public: Vec<u8>,
    /// The private key in PKCS #8.
    pub private: Vec<u8>,
}

impl KeyPair {
    /// A new one, from the operating system's randomness.
    pub fn generate(kid: String) -> Self {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the operating system has randomness");
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key that was just made is valid");
        Self { kid, public: pair.public_key().as_ref().to_vec(), private: document.as_ref().to_vec() }
    }
}

impl KeyRing {
    /// A ring of these keys, of which `signing` signs, for tokens of this issuer.
    pub fn new(issuer: &str, signing: &KeyPair, verifying: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        ed25519::install();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The clock is ours, not the library's, so that tests can set it; `verify` looks at both times.
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
            verified: Cache::new(MANY),
        }
    }

    /// Who issues the tokens, and for whom: the service's public address.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs an access token (RFC 7515, section 7.1). The library would read the key anew each time, which takes longer than
    /// to sign.
    pub fn sign(&self, claims: &Claims) -> String {
        let claims = serde_json::to_vec(claims).expect("claims are texts, numbers and flags");
        let mut token = format!("{}.{}", self.signing.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.signing.key.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// Whether the ring has the key that the token names; where not, the ring may be out of date.
    pub fn knows_key_of(&self, token: &str) -> bool {
        let kid = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
        kid.is_none_or(|kid| self.verifier(&kid).is_some())
    }

    /// What the token says, if it is ours and holds now; otherwise [`Reason::Invalid`] or [`Reason::Expired`]. Keys are
    /// taken from the ring alone, whatever the header offers.
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

    /// What the token says, whenever that holds, if it is ours.
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

    /// Whether the ring has the key with this id.
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

/// A refresh token: a session and a generation of it, with a MAC that only the service can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session.
    pub session: Uuid,
    /// The generation.
    pub counter: i32,
}

/// The length of session and generation in a refresh token, in bytes.
const REFRESH_MESSAGE: usize = 16 + 4;

impl RefreshToken {
    /// The text that clients hold: base64url of session, generation and MAC.
    pub fn to_text(self, master_keys: &MasterKeys) -> String {
        let message = [self.session.as_bytes().as_slice(), &self.counter.to_be_bytes()].concat();
        let mac = master_keys.sign_refresh(&message);
        URL_SAFE_NO_PAD.encode([message, mac].concat())
    }

    /// Reads the text back; `None` where it is not ours to the last bit.
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
