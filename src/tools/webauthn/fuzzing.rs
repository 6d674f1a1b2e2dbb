//! Fuzzing targets of passkeys.

use crate::fuzzing::Target;
use crate::tools::webauthn::{Assertion, Expected, PublicKey, RelyingParty, register, verify};

const CLIENT_DATA: &[u8] = br#"{"type":"webauthn.create","challenge":"eA","origin":"https://example.org"}"#;

/// An attestation object is refused, or its key reads back. No signature of a stranger verifies.
pub(crate) const ATTESTATION: Target = Target {
    name: "attestation",
    run: |bytes| {
        let relying_party = RelyingParty { id: "example.org".into(), origins: vec!["https://example.org".into()] };
        let expected =
            Expected { relying_party: &relying_party, challenge: b"x", user_verification: false, cross_origin: false };
        let Ok(credential) = register(expected, CLIENT_DATA, bytes) else { return };
        assert_eq!(PublicKey::read(credential.public_key.as_bytes()).as_ref(), Ok(&credential.public_key));
        let client_data = br#"{"type":"webauthn.get","challenge":"eA","origin":"https://example.org"}"#;
        let assertion = Assertion { client_data, authenticator_data: bytes, signature: bytes };
        assert!(verify(expected, &credential.public_key, assertion).is_err());
    },
    seeds: || {
        let all: serde_json::Value = serde_json::from_str(include_str!("vectors.json")).unwrap_or_default();
        let objects = all["vectors"].as_array().into_iter().flatten();
        let objects = objects.filter_map(|vector| vector["registration"]["attestationObject"].as_str());
        let byte = |text: &str, at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap_or_default();
        objects.map(|text| (0..text.len()).step_by(2).map(|at| byte(text, at)).collect()).collect()
    },
};
