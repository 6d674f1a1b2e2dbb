//! Passkeys: verification of what browsers send (Web Authentication Level 3, W3C).
//!
//! A registration yields a [`Credential`], whose public key later verifies assertions. Attestation statements are not
//! evaluated: the service asks for none (section 5.4.7), and any authenticator of the user may serve. Sections in
//! comments are those of the specification.

// Signed data of authenticators.
mod authenticator_data;
// The browser's part of a ceremony.
mod client_data;
// Public keys of credentials.
mod cose_key;
// Fuzzing targets.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::fmt;

use ring::digest::{SHA256, digest};

use self::authenticator_data::AuthenticatorData;
use self::client_data::ClientData;

pub use self::cose_key::{Algorithm, PublicKey};

/// Longest id of a credential, in bytes (section 6.5.1).
pub const MAX_CREDENTIAL_ID: usize = 1023;

/// Longest attestation object, in bytes. Those with a chain of certificates take a few KiB.
pub const MAX_ATTESTATION: usize = 64 * 1024;

/// The service as browsers and authenticators know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    /// Domain that passkeys belong to, such as `example.com`.
    pub id: String,
    /// Origins of the pages that may use them, such as `https://accounts.example.com`.
    pub origins: Vec<String>,
}

/// Requirements of a ceremony.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The service.
    pub relying_party: &'a RelyingParty,
    /// The challenge, as bytes.
    pub challenge: &'a [u8],
    /// True if the authenticator must have verified its user, by a PIN or biometrics.
    pub user_verification: bool,
    /// True if pages inside pages of other origins may take part.
    pub cross_origin: bool,
}

/// A new credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its id, chosen by the authenticator.
    pub id: Vec<u8>,
    /// Its public key.
    pub public_key: PublicKey,
    /// Model of the authenticator (AAGUID); zeros if it does not tell.
    pub model: [u8; 16],
    /// State of the authenticator.
    pub state: AuthenticatorState,
}

/// State of an authenticator in a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthenticatorState {
    /// True if it verified its user.
    pub user_verified: bool,
    /// True if the credential can be copied to other devices of its user.
    pub is_synced: bool,
    /// Number of signatures; 0 if it does not count.
    pub counter: u32,
}

/// The signed response of an authenticator.
#[derive(Clone, Copy, Debug)]
pub struct Assertion<'a> {
    /// `clientDataJSON`.
    pub client_data: &'a [u8],
    /// `authenticatorData`.
    pub authenticator_data: &'a [u8],
    /// `signature`.
    pub signature: &'a [u8],
}

/// Reason for which a response is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// This part cannot be read.
    Malformed(&'static str),
    /// It belongs to the other kind of ceremony.
    WrongCeremony,
    /// It answers another challenge.
    WrongChallenge,
    /// It comes from a page of another origin.
    WrongOrigin,
    /// It comes from a page inside a page of another origin.
    CrossOrigin,
    /// It is for another relying party.
    WrongRelyingParty,
    /// The user was not present.
    NotPresent,
    /// The authenticator did not verify its user.
    NotVerified,
    /// The algorithm with this number of the COSE registry is not supported.
    UnsupportedAlgorithm(i64),
    /// The signature is not that of the credential.
    BadSignature,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(part) => write!(f, "{part} cannot be read"),
            Self::WrongCeremony => f.write_str("the response is for another ceremony"),
            Self::WrongChallenge => f.write_str("the response is to another challenge"),
            Self::WrongOrigin => f.write_str("the page has another origin"),
            Self::CrossOrigin => f.write_str("the page is inside a page of another origin"),
            Self::WrongRelyingParty => f.write_str("the response is for another relying party"),
            Self::NotPresent => f.write_str("the user was not present"),
            Self::NotVerified => f.write_str("the user was not verified"),
            Self::UnsupportedAlgorithm(number) => match Algorithm::name_of(*number) {
                Some(name) => write!(f, "the algorithm {name} is not supported"),
                None => write!(f, "the algorithm {number} is not supported"),
            },
            Self::BadSignature => f.write_str("the signature is not valid"),
        }
    }
}

impl std::error::Error for Rejected {}

/// Reads the challenge that a response answers, before it is verified.
///
/// # Errors
/// [`Rejected::Malformed`].
pub fn challenge_of(client_data: &[u8]) -> Result<Vec<u8>, Rejected> {
    ClientData::read(client_data).map(|client_data| client_data.challenge)
}

/// Verifies a registration (section 7.1).
///
/// # Errors
/// The reason for which it is refused.
pub fn register(expected: Expected<'_>, client_data: &[u8], attestation: &[u8]) -> Result<Credential, Rejected> {
    ClientData::read(client_data)?.check("webauthn.create", expected)?;
    attested_credential(expected, attestation)
}

/// Reads the credential of a registration that another service verified for the same relying party. Its challenge and
/// the page are not compared.
///
/// # Errors
/// The reason for which it is refused.
pub fn registered_elsewhere(relying_party: &RelyingParty, attestation: &[u8]) -> Result<Credential, Rejected> {
    let expected = Expected { relying_party, challenge: &[], user_verification: true, cross_origin: false };
    attested_credential(expected, attestation)
}

fn attested_credential(expected: Expected<'_>, attestation: &[u8]) -> Result<Credential, Rejected> {
    let bytes = attested_data(attestation).ok_or(Rejected::Malformed("attestationObject"))?;
    let data = AuthenticatorData::read(bytes)?;
    let state = data.check(expected)?;
    let attested = data.attested.ok_or(Rejected::Malformed("attestedCredentialData"))?;
    Ok(Credential {
        id: attested.credential_id.to_owned(),
        public_key: PublicKey::read(attested.public_key)?,
        model: attested.model,
        state,
    })
}

/// Verifies an assertion (section 7.2). The caller checks that the credential belongs to the user, and its counter.
///
/// # Errors
/// The reason for which it is refused.
pub fn verify(
    expected: Expected<'_>,
    key: &PublicKey,
    assertion: Assertion<'_>,
) -> Result<AuthenticatorState, Rejected> {
    ClientData::read(assertion.client_data)?.check("webauthn.get", expected)?;
    let state = AuthenticatorData::read(assertion.authenticator_data)?.check(expected)?;
    let hash = digest(&SHA256, assertion.client_data);
    key.verify(&[assertion.authenticator_data, hash.as_ref()].concat(), assertion.signature)?;
    Ok(state)
}

/// The authenticator data in an attestation object (section 6.5.4): a map of `fmt`, `attStmt` and `authData`.
fn attested_data(object: &[u8]) -> Option<&[u8]> {
    if object.len() > MAX_ATTESTATION {
        return None;
    }
    let mut decoder = minicbor::Decoder::new(object);
    let (mut format, mut statement, mut data) = (None, None, None);
    for _ in 0..decoder.map().ok()?? {
        let is_new = match decoder.str().ok()? {
            "fmt" => format.replace(decoder.str().ok()?).is_none(),
            "attStmt" => statement.replace(decoder.skip().ok()?).is_none(),
            "authData" => data.replace(decoder.bytes().ok()?).is_none(),
            _ => decoder.skip().map(|()| true).ok()?,
        };
        if !is_new {
            return None;
        }
    }
    (decoder.position() == object.len()).then_some(())?;
    format.and(statement).and(data)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// A ceremony of the specification.
    struct Vector {
        name: String,
        registration: [Vec<u8>; 3],
        authentication: [Vec<u8>; 4],
        credential_id: Vec<u8>,
    }

    fn hex(value: &Value) -> Vec<u8> {
        let text = value.as_str().unwrap();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn vectors() -> Vec<Vector> {
        let all: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
        let read = |vector: &Value| {
            let (new, used) = (&vector["registration"], &vector["authentication"]);
            Vector {
                name: vector["name"].as_str().unwrap().to_owned(),
                registration: ["challenge", "clientDataJSON", "attestationObject"].map(|name| hex(&new[name])),
                authentication: ["challenge", "clientDataJSON", "authenticatorData", "signature"]
                    .map(|name| hex(&used[name])),
                credential_id: hex(&new["credential_id"]),
            }
        };
        all["vectors"].as_array().unwrap().iter().map(read).collect()
    }

    fn service() -> RelyingParty {
        RelyingParty { id: "example.org".to_owned(), origins: vec!["https://example.org".to_owned()] }
    }

    fn expected<'a>(relying_party: &'a RelyingParty, challenge: &'a [u8]) -> Expected<'a> {
        Expected { relying_party, challenge, user_verification: false, cross_origin: true }
    }

    impl Vector {
        fn register(&self) -> Result<Credential, Rejected> {
            let [challenge, client_data, attestation] = &self.registration;
            register(expected(&service(), challenge), client_data, attestation)
        }

        fn verify(&self, key: &PublicKey, parts: [&[u8]; 3]) -> Result<AuthenticatorState, Rejected> {
            let [client_data, authenticator_data, signature] = parts;
            let assertion = Assertion { client_data, authenticator_data, signature };
            verify(expected(&service(), &self.authentication[0]), key, assertion)
        }

        fn parts(&self) -> [&[u8]; 3] {
            let [_, client_data, authenticator_data, signature] = &self.authentication;
            [client_data, authenticator_data, signature]
        }
    }

    #[test]
    fn the_ceremonies_of_the_specification_are_judged_as_it_says() {
        let mut accepted = 0;
        for vector in vectors() {
            let unsupported = match vector.name.as_str() {
                "packed-es512" => Some("the algorithm ES512 is not supported"),
                "packed-ed448" => Some("the algorithm Ed448 is not supported"),
                _ => None,
            };
            match (vector.register(), unsupported) {
                (Ok(credential), None) => {
                    assert_eq!(credential.id, vector.credential_id, "{}", vector.name);
                    let state = vector.verify(&credential.public_key, vector.parts());
                    assert!(state.is_ok(), "{}: {state:?}", vector.name);
                    accepted += 1;
                }
                (Err(rejected), Some(message)) => assert_eq!(rejected.to_string(), message),
                (other, _) => panic!("{}: {other:?}", vector.name),
            }
        }
        assert_eq!(accepted, 13);
    }

    #[test]
    fn no_changed_bit_of_an_assertion_is_accepted() {
        for vector in vectors().iter().filter(|vector| vector.register().is_ok()) {
            let key = vector.register().unwrap().public_key;
            let parts = vector.parts();
            let total: usize = parts.iter().map(|part| part.len() * 8).sum();
            for step in 0..200 {
                let mut bit = step * total / 200;
                let mut changed = parts.map(<[u8]>::to_vec);
                for part in &mut changed {
                    if bit < part.len() * 8 {
                        part[bit / 8] ^= 1 << (bit % 8);
                        break;
                    }
                    bit -= part.len() * 8;
                }
                let verified = vector.verify(&key, [&changed[0], &changed[1], &changed[2]]);
                assert!(verified.is_err(), "{} step {step}", vector.name);
            }
        }
    }

    #[test]
    fn each_requirement_is_checked() {
        let all = vectors();
        let vector = &all[0];
        let [challenge, client_data, attestation] = &vector.registration;
        let service = service();
        let fine = expected(&service, challenge);
        let elsewhere = RelyingParty { origins: vec!["https://example.com".to_owned()], ..service.clone() };
        let other = RelyingParty { id: "example.com".to_owned(), ..service.clone() };
        for (expected, rejected) in [
            (Expected { challenge: b"another", ..fine }, Rejected::WrongChallenge),
            (Expected { relying_party: &elsewhere, ..fine }, Rejected::WrongOrigin),
            (Expected { relying_party: &other, ..fine }, Rejected::WrongRelyingParty),
            (Expected { user_verification: true, ..fine }, Rejected::NotVerified),
        ] {
            assert_eq!(register(expected, client_data, attestation).unwrap_err(), rejected);
        }
        assert_eq!(register(fine, &vector.authentication[1], attestation).unwrap_err(), Rejected::WrongCeremony);
        let framed = all.iter().find(|vector| vector.name == "none-es256-crossOrigin").unwrap();
        let [challenge, client_data, attestation] = &framed.registration;
        let strict = Expected { cross_origin: false, ..expected(&service, challenge) };
        assert_eq!(register(strict, client_data, attestation).unwrap_err(), Rejected::CrossOrigin);
        let mut absent = vector.authentication[2].clone();
        absent[32] &= !1;
        let key = vector.register().unwrap().public_key;
        assert_eq!(vector.verify(&key, [vector.parts()[0], &absent, vector.parts()[2]]), Err(Rejected::NotPresent));
        let mut unsynced = vector.authentication[2].clone();
        unsynced[32] = 0x11;
        let parts = [vector.parts()[0], &unsynced, vector.parts()[2]];
        assert_eq!(vector.verify(&key, parts), Err(Rejected::Malformed("flags")), "a copy of what cannot be copied");
    }

    #[test]
    fn the_key_of_one_credential_verifies_no_other() {
        let usable: Vec<_> = vectors().into_iter().filter(|vector| vector.register().is_ok()).collect();
        for (at, vector) in usable.iter().enumerate() {
            let key = usable[(at + 1) % usable.len()].register().unwrap().public_key;
            assert_eq!(vector.verify(&key, vector.parts()), Err(Rejected::BadSignature), "{}", vector.name);
        }
    }

    #[test]
    fn the_challenge_is_read_before_the_verification() {
        for vector in vectors() {
            assert_eq!(challenge_of(&vector.authentication[1]).as_ref(), Ok(&vector.authentication[0]));
        }
        let padded =
            format!(r#"{{"type":"webauthn.get","challenge":"{}=","origin":"x"}}"#, URL_SAFE_NO_PAD.encode("ab"));
        assert_eq!(challenge_of(padded.as_bytes()), Err(Rejected::Malformed("clientDataJSON")));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let service = service();
            let _ = register(expected(&service, b"x"), &vectors()[0].registration[1], &bytes);
            let _ = AuthenticatorData::read(&bytes);
            let _ = PublicKey::read(&bytes);
            let _ = challenge_of(&bytes);
        }

        #[test]
        fn a_registration_with_cut_bytes_is_refused(cut in 0_usize..194) {
            let vector = &vectors()[0];
            let [challenge, client_data, attestation] = &vector.registration;
            let cut = cut.min(attestation.len() - 1);
            prop_assert!(register(expected(&service(), challenge), client_data, &attestation[..cut]).is_err());
        }
    }
}
