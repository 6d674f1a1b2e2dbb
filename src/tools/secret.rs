//! Secrets, their digests, and the keys derived from the service's own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hkdf, hmac};

/// `N` secret bytes, 32 (256 bits) unless said otherwise. It prints as `[secret]`, so that no log can hold it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<const N: usize = 32>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Bytes from the operating system's generator.
    pub fn random() -> Self {
        let mut bytes = [0; N];
        SystemRandom::new().fill(&mut bytes).expect("the operating system has a source of randomness");
        Self(bytes)
    }

    /// A secret that was kept elsewhere.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves; what holds them is no longer guarded.
    pub fn reveal(&self) -> [u8; N] {
        self.0
    }

    /// The form for links and headers: base64url without padding (RFC 4648, section 5).
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads [`Self::to_text`] back; `None` where it is anything else.
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// What is stored in place of the secret: its SHA-256.
    pub fn digest(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.0).as_ref().to_vec()
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The SHA-256 of a text, in base64url: a name for it that tells nothing.
pub fn digest_text(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// The keys derived from the service's secret (HKDF-SHA-256, RFC 5869), each for one purpose. Whoever has the database
/// but not these can neither sign nor forge anything.
pub struct Vault {
    sealing: LessSafeKey,
    refresh: hmac::Key,
}

impl Vault {
    /// Derives the keys from the service's secret, whatever its length.
    pub fn new(secret: &[u8]) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule").extract(secret);
        let derive = |purpose: &[u8]| {
            let mut key = [0; 32];
            root.expand(&[purpose], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut key))
                .expect("32 bytes are a valid length");
            key
        };
        let sealing = UnboundKey::new(&CHACHA20_POLY1305, &derive(b"seal")).expect("32 bytes are a key");
        Self {
            sealing: LessSafeKey::new(sealing),
            refresh: hmac::Key::new(hmac::HMAC_SHA256, &derive(b"refresh token")),
        }
    }

    /// Encrypts for the database (ChaCha20-Poly1305, RFC 8439); `context` says where it belongs and must be the same
    /// for [`Self::unseal`].
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = Secret::<NONCE_LEN>::random().reveal();
        let mut sealed = plain.to_vec();
        self.sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
            .expect("what is sealed is far shorter than the cipher's limit");
        [nonce.as_slice(), &sealed].concat()
    }

    /// What was sealed; `None` where the secret or the context is another, or a bit was changed.
    pub fn unseal(&self, context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut buffer = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.sealing.open_in_place(nonce, Aad::from(context), &mut buffer).ok()?;
        Some(plain.to_vec())
    }

    /// The MAC (HMAC-SHA-256) that makes a refresh token ours.
    pub fn sign_refresh(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.refresh, message).as_ref().to_vec()
    }

    /// Whether the MAC of a refresh token is ours; takes the same time whatever differs.
    pub fn verify_refresh(&self, message: &[u8], mac: &[u8]) -> bool {
        hmac::verify(&self.refresh, message, mac).is_ok()
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_with_the_same_secret_and_context() {
        let vault = Vault::new(b"one");
        let sealed = vault.seal("key 1", b"plain");
        assert_eq!(vault.unseal("key 1", &sealed).as_deref(), Some(b"plain".as_slice()));
        assert_eq!(vault.unseal("key 2", &sealed), None);
        assert_eq!(Vault::new(b"two").unseal("key 1", &sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(vault.unseal("key 1", &changed), None);
        }
        assert_eq!(vault.unseal("key 1", &sealed[..5]), None);
    }

    #[test]
    fn secrets_have_256_bits_and_none_comes_twice() {
        let texts: std::collections::HashSet<String> = (0..10_000).map(|_| Secret::<32>::random().to_text()).collect();
        assert_eq!(texts.len(), 10_000);
        assert!(texts.iter().all(|text| text.len() == 43));
        // Each bit is set about every second time.
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
