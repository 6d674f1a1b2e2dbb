//! Processor time of the verification of an assertion, for each algorithm of passkeys.
//!
//! `cargo bench --bench passkeys -- [NUMBER]` verifies the assertions of the specification's test vectors this often, and
//! prints the processor time of each in microseconds: reading the stored key, checking the browser's data, and the
//! signature. Other work of the machine hardly affects it.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers may print and panic")]

use std::hint::black_box;

use serde_json::Value;
use vestibule::tools::system::Process;
use vestibule::tools::webauthn::{Assertion, Expected, PublicKey, RelyingParty, register, verify};

/// Test vectors, by the algorithm of their keys.
const VECTORS: [(&str, &str); 4] =
    [("EdDSA", "packed-eddsa"), ("ES256", "none-es256"), ("ES384", "packed-es384"), ("RS256", "packed-rs256")];

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn cpu_seconds() -> f64 {
    Process::own().expect("the system is Linux").cpu_seconds
}

fn main() {
    let number = std::env::args().find_map(|argument| argument.parse::<u32>().ok()).unwrap_or(20_000);
    let all: Value = serde_json::from_str(include_str!("../../src/tools/webauthn/vectors.json")).unwrap();
    let relying_party = RelyingParty { id: "example.org".into(), origins: vec!["https://example.org".into()] };
    for (algorithm, name) in VECTORS {
        let vector = all["vectors"].as_array().unwrap().iter().find(|vector| vector["name"] == name).unwrap();
        let (new, used) = (&vector["registration"], &vector["authentication"]);
        let [challenge, client_data, attestation] =
            ["challenge", "clientDataJSON", "attestationObject"].map(|part| bytes(&new[part]));
        let expected = |challenge| Expected {
            relying_party: &relying_party,
            challenge,
            user_verification: false,
            cross_origin: true,
        };
        let credential = register(expected(&challenge), &client_data, &attestation).unwrap();
        let stored = credential.public_key.as_bytes();
        let [challenge, client_data, authenticator_data, signature] =
            ["challenge", "clientDataJSON", "authenticatorData", "signature"].map(|part| bytes(&used[part]));
        let assertion =
            Assertion { client_data: &client_data, authenticator_data: &authenticator_data, signature: &signature };
        let before = cpu_seconds();
        for _ in 0..number {
            let key = PublicKey::read(black_box(stored)).unwrap();
            black_box(verify(expected(&challenge), &key, assertion).unwrap());
        }
        let each = (cpu_seconds() - before) / f64::from(number);
        println!("{algorithm}: {:.1} µs", each * 1_000_000.0);
    }
}
