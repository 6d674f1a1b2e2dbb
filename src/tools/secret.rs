//! Secrets, their digests, and the keys derived from the service's secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hkdf, hmac};
use uuid::Uuid;

/// `N` secret bytes, by default 32 (256 bits). It prints as `[secret]`, so that no log can contain it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<const N: usize = 32>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Random bytes from the operating system.
    pub fn random() -> Self {
        let mut bytes = [0; N];
        SystemRandom::new().fill(&mut bytes).expect("the operating system provides randomness");
        Self(bytes)
    }

    /// A secret that was stored elsewhere.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves, without protection from logs.
    pub fn reveal(&self) -> [u8; N] {
        self.0
    }

    /// The form for links and headers: base64url without padding (RFC 4648, section 5).
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Parses [`Self::to_text`]; otherwise `None`.
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The SHA-256 that is stored instead of the secret.
    pub fn digest(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.0).as_ref().to_vec()
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The SHA-256 of a text, in base64url: an identifier that reveals nothing.
pub fn digest_text(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// The SHA-256 of several parts, each with its length, so that different lists never produce the same input.
pub fn digest_parts(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// The configured secrets: the current one, and the previous one while both are in use.
#[derive(Clone)]
pub struct MasterSecrets {
    /// The current secret, of any length.
    pub current: Vec<u8>,
    /// The previous secret. It decrypts and verifies, and never encrypts or signs.
    pub previous: Option<Vec<u8>>,
}

impl fmt::Debug for MasterSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The installation for which keys are derived.
#[derive(Clone, Copy, Debug)]
pub struct InstanceName<'a> {
    /// The id in its database. A copy of the database has the same id.
    pub id: Uuid,
    /// The public address, which another running copy cannot share.
    pub public_url: &'a str,
}

/// The keys derived from the service's secret (HKDF-SHA-256, RFC 5869), each for one purpose and one installation. An
/// attacker with the database but without these keys can neither sign nor forge anything.
///
/// Encryption depends on the database id, so a copy of the database can be decrypted. Refresh tokens also depend on the
/// public URL. So a copy that serves elsewhere with the same secret neither accepts nor creates tokens of the original.
pub struct MasterKeys {
    current: Keys,
    previous: Option<Keys>,
}

/// The keys of one secret.
struct Keys {
    sealing: LessSafeKey,
    /// The sealing key of version 0.1.0, which did not depend on the installation. It only decrypts.
    unnamed: LessSafeKey,
    refresh: hmac::Key,
}

impl Keys {
    fn derive(secret: &[u8], instance: InstanceName<'_>) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule").extract(secret);
        let derive = |info: &[&[u8]]| {
            let mut key = [0; 32];
            root.expand(info, hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut key))
                .expect("32 bytes are a valid length");
            key
        };
        let cipher =
            |key: [u8; 32]| LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).expect("32 bytes are a key"));
        // No purpose contains a NUL, and an id has 16 bytes, so different lists never produce the same input.
        let id = instance.id.as_bytes().as_slice();
        let refresh = derive(&[b"refresh token\0", id, instance.public_url.as_bytes()]);
        Self {
            sealing: cipher(derive(&[b"seal\0", id])),
            unnamed: cipher(derive(&[b"seal"])),
            refresh: hmac::Key::new(hmac::HMAC_SHA256, &refresh),
        }
    }
}

impl MasterKeys {
    /// Derives the keys of this installation from its secrets.
    pub fn new(secrets: &MasterSecrets, instance: InstanceName<'_>) -> Self {
        Self {
            current: Keys::derive(&secrets.current, instance),
            previous: secrets.previous.as_deref().map(|secret| Keys::derive(secret, instance)),
        }
    }

    /// Encrypts for the database (ChaCha20-Poly1305, RFC 8439). `context` names the place of the data, and must be the
    /// same for [`Self::unseal`].
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = Secret::<NONCE_LEN>::random().reveal();
        let mut sealed = plain.to_vec();
        self.current
            .sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
            .expect("sealed data is far below the limit of the cipher");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Decrypts data sealed under the current or the previous secret; `None` if the secret or the context differs, or a
    /// bit was changed.
    pub fn unseal(&self, context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let keys = [Some(&self.current), self.previous.as_ref()];
        keys.into_iter()
            .flatten()
            .flat_map(|keys| [&keys.sealing, &keys.unnamed])
            .find_map(|key| open(key, context, sealed))
    }

    /// True if the data is sealed under the current secret and in the current format.
    pub fn is_sealed_anew(&self, context: &str, sealed: &[u8]) -> bool {
        open(&self.current.sealing, context, sealed).is_some()
    }

    /// The MAC (HMAC-SHA-256) of a refresh token.
    pub fn sign_refresh(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.current.refresh, message).as_ref().to_vec()
    }

    /// Verifies the MAC of a refresh token, under the current or the previous secret, in constant time.
    pub fn verify_refresh(&self, message: &[u8], mac: &[u8]) -> bool {
        let keys = [Some(&self.current), self.previous.as_ref()];
        keys.into_iter().flatten().any(|keys| hmac::verify(&keys.refresh, message, mac).is_ok())
    }
}

fn open(key: &LessSafeKey, context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut buffer = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let plain = key.open_in_place(nonce, Aad::from(context), &mut buffer).ok()?;
    Some(plain.to_vec())
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKeys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: InstanceName<'_> = InstanceName { id: Uuid::from_u128(7), public_url: "https://id.example.com" };

    fn secrets(current: &str, previous: Option<&str>) -> MasterSecrets {
        MasterSecrets { current: current.into(), previous: previous.map(Into::into) }
    }

    fn master_keys(current: &str, previous: Option<&str>) -> MasterKeys {
        MasterKeys::new(&secrets(current, previous), HERE)
    }

    #[test]
    fn what_is_sealed_opens_only_with_the_same_secret_and_context() {
        let one = master_keys("one", None);
        let sealed = one.seal("key 1", b"plain");
        assert_eq!(one.unseal("key 1", &sealed).as_deref(), Some(b"plain".as_slice()));
        assert_eq!(one.unseal("key 2", &sealed), None);
        assert_eq!(master_keys("two", None).unseal("key 1", &sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(one.unseal("key 1", &changed), None);
        }
        assert_eq!(one.unseal("key 1", &sealed[..5]), None);
    }

    #[test]
    fn the_previous_secret_opens_and_verifies_and_makes_nothing_new() {
        let (old, both, new) = (master_keys("one", None), master_keys("two", Some("one")), master_keys("two", None));
        let (sealed, mac) = (old.seal("key 1", b"plain"), old.sign_refresh(b"token"));
        assert_eq!(both.unseal("key 1", &sealed).as_deref(), Some(b"plain".as_slice()));
        assert!(!both.is_sealed_anew("key 1", &sealed) && both.verify_refresh(b"token", &mac));
        assert_eq!(new.unseal("key 1", &sealed), None);
        assert!(!new.verify_refresh(b"token", &mac));
        let (sealed, mac) = (both.seal("key 1", b"plain"), both.sign_refresh(b"token"));
        assert_eq!(new.unseal("key 1", &sealed).as_deref(), Some(b"plain".as_slice()));
        assert!(both.is_sealed_anew("key 1", &sealed) && new.verify_refresh(b"token", &mac));
        assert!(old.unseal("key 1", &sealed).is_none() && !old.verify_refresh(b"token", &mac));
    }

    #[test]
    fn keys_are_of_one_installation() {
        let one = master_keys("one", None);
        let at = |id, public_url| MasterKeys::new(&secrets("one", Some("one")), InstanceName { id, public_url });
        let (sealed, mac) = (one.seal("key 1", b"plain"), one.sign_refresh(b"token"));
        let copy = at(HERE.id, "https://staging.example.com");
        assert!(copy.unseal("key 1", &sealed).is_some(), "a copy opens what it holds");
        assert!(!copy.verify_refresh(b"token", &mac) && copy.sign_refresh(b"token") != mac);
        let other = at(Uuid::from_u128(8), HERE.public_url);
        assert!(other.unseal("key 1", &sealed).is_none() && !other.verify_refresh(b"token", &mac));
    }

    #[test]
    fn secrets_have_256_bits_and_none_comes_twice() {
        let texts: std::collections::HashSet<String> = (0..10_000).map(|_| Secret::<32>::random().to_text()).collect();
        assert_eq!(texts.len(), 10_000);
        assert!(texts.iter().all(|text| text.len() == 43));
        // Each bit is set in about half of the cases.
        for bit in 0..256 {
            let set = texts.iter().filter(|text| {
                let secret: Secret<32> = Secret::from_text(text).unwrap();
                secret.reveal()[bit / 8] >> (bit % 8) & 1 == 1
            });
            assert!((4_500..5_500).contains(&set.count()), "bit {bit}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::<32>::random()), "[secret]");
    }
}
