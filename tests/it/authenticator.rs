//! An authenticator and its browser, for tests of passkeys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// Flags of authenticator data: present, verified, can be copied, is copied, new credential.
const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const MAY_BE_COPIED: u8 = 1 << 3;
const IS_COPIED: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;

/// An authenticator with one credential.
pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    credential_id: Vec<u8>,
    user_handle: Vec<u8>,
    /// Origin of the page.
    pub(crate) origin: String,
    /// True if it verifies its user.
    pub(crate) verifies: bool,
    /// True if its credential is copied to other devices.
    pub(crate) is_synced: bool,
    /// Number of signatures; stays 0 if it does not count.
    pub(crate) counter: u32,
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

impl Authenticator {
    /// A synced one that does not count, in a browser that shows a page of this origin.
    pub(crate) fn new(origin: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let credential_id = digest(&SHA256, key.public_key().as_ref()).as_ref().to_vec();
        let origin = origin.to_owned();
        Self { key, credential_id, user_handle: Vec::new(), origin, verifies: true, is_synced: true, counter: 0 }
    }

    /// One that is bound to its device and counts from here.
    pub(crate) fn counting(origin: &str, counter: u32) -> Self {
        Self { is_synced: false, counter, ..Self::new(origin) }
    }

    /// Creates the credential by these options, as `navigator.credentials.create` does.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        let excluded = options["excludeCredentials"].as_array().unwrap();
        assert!(!excluded.iter().any(|one| bytes(&one["id"]) == self.credential_id), "the browser would refuse");
        self.user_handle = bytes(&options["user"]["id"]);
        let mut data = self.data(options["rp"]["id"].as_str().unwrap(), HAS_CREDENTIAL);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
        data.extend(&self.credential_id);
        data.extend(self.cose_key());
        let mut attestation = minicbor::Encoder::new(Vec::new());
        attestation.map(3).unwrap().str("fmt").unwrap().str("none").unwrap();
        attestation.str("attStmt").unwrap().map(0).unwrap().str("authData").unwrap().bytes(&data).unwrap();
        let response = json!({
            "clientDataJSON": text(self.client_data("webauthn.create", options).as_bytes()),
            "attestationObject": text(&attestation.into_writer()),
            "authenticatorData": text(&data),
            "transports": ["hybrid", "internal"],
        });
        self.credential(&response)
    }

    /// Signs by these options, as `navigator.credentials.get` does.
    pub(crate) fn get(&mut self, options: &Value) -> Value {
        let allowed = options["allowCredentials"].as_array().unwrap();
        let is_allowed = allowed.is_empty() || allowed.iter().any(|one| bytes(&one["id"]) == self.credential_id);
        assert!(is_allowed, "the browser would not offer it");
        if self.counter > 0 {
            self.counter += 1;
        }
        let data = self.data(options["rpId"].as_str().unwrap(), 0);
        let client_data = self.client_data("webauthn.get", options);
        let signed = [&data[..], digest(&SHA256, client_data.as_bytes()).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        let response = json!({
            "clientDataJSON": text(client_data.as_bytes()),
            "authenticatorData": text(&data),
            "signature": text(signature.as_ref()),
            "userHandle": text(&self.user_handle),
        });
        self.credential(&response)
    }

    fn credential(&self, response: &Value) -> Value {
        let id = text(&self.credential_id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform",
            "clientExtensionResults": {}, "response": response,
        })
    }

    fn client_data(&self, ceremony: &str, options: &Value) -> String {
        let challenge = &options["challenge"];
        json!({ "type": ceremony, "challenge": challenge, "origin": self.origin, "crossOrigin": false }).to_string()
    }

    fn data(&self, domain: &str, more: u8) -> Vec<u8> {
        let verified = if self.verifies { VERIFIED } else { 0 };
        let copied = if self.is_synced { MAY_BE_COPIED | IS_COPIED } else { 0 };
        let mut data = digest(&SHA256, domain.as_bytes()).as_ref().to_vec();
        data.push(PRESENT | verified | copied | more);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// The public key in the format of COSE: EC2, ES256, P-256.
    fn cose_key(&self) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let mut key = minicbor::Encoder::new(Vec::new());
        key.map(5).unwrap().i8(1).unwrap().i8(2).unwrap().i8(3).unwrap().i8(-7).unwrap().i8(-1).unwrap().i8(1).unwrap();
        key.i8(-2).unwrap().bytes(&point[1..33]).unwrap().i8(-3).unwrap().bytes(&point[33..]).unwrap();
        key.into_writer()
    }
}
