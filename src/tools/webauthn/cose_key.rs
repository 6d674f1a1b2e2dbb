//! Public keys of credentials, in the format of COSE (RFC 9052 and RFC 9053).

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use super::Rejected;

/// Longest key, in bytes. One of RSA with 4096 bits takes about 530.
const MAX_BYTES: usize = 2048;

/// A supported algorithm, in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// All supported algorithms.
    pub const ALL: [Self; 4] = [Self::EdDsa, Self::Es256, Self::Es384, Self::Rs256];

    /// Number in the COSE registry.
    pub fn number(self) -> i32 {
        match self {
            Self::EdDsa => -8,
            Self::Es256 => -7,
            Self::Es384 => -35,
            Self::Rs256 => -257,
        }
    }

    /// Name of an algorithm that authenticators offer and the service does not support.
    pub(super) fn name_of(number: i64) -> Option<&'static str> {
        match number {
            -36 => Some("ES512"),
            -37 => Some("PS256"),
            -53 => Some("Ed448"),
            _ => None,
        }
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// As the authenticator wrote it.
    bytes: Vec<u8>,
    algorithm: Algorithm,
    /// As the verification takes it: a point, or the two numbers of RSA.
    parts: Parts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Parts {
    Point(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// A parameter of a key.
enum Parameter<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

impl PublicKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`Rejected::Malformed`], [`Rejected::UnsupportedAlgorithm`].
    pub fn read(bytes: &[u8]) -> Result<Self, Rejected> {
        let malformed = Rejected::Malformed("credentialPublicKey");
        let parameters = parameters(bytes).ok_or(malformed)?;
        let find = |label: i64| parameters.iter().find(|(known, _)| *known == label).map(|(_, parameter)| parameter);
        let number = |label: i64| match find(label) {
            Some(Parameter::Number(number)) => Ok(*number),
            _ => Err(malformed),
        };
        let field = |label: i64| match find(label) {
            Some(Parameter::Bytes(bytes)) => Ok(*bytes),
            _ => Err(malformed),
        };
        let point = |curve: i64, length: usize| {
            let (x, y) = (field(-2)?, field(-3)?);
            let is_right = number(1)? == 2 && number(-1)? == curve && [x, y].iter().all(|half| half.len() == length);
            is_right.then(|| Parts::Point([&[4], x, y].concat())).ok_or(malformed)
        };
        let stated = number(3)?;
        let Some(algorithm) = Algorithm::ALL.into_iter().find(|known| i64::from(known.number()) == stated) else {
            return Err(Rejected::UnsupportedAlgorithm(stated));
        };
        let parts = match algorithm {
            Algorithm::Es256 => point(1, 32)?,
            Algorithm::Es384 => point(2, 48)?,
            Algorithm::EdDsa => {
                let is_right = number(1)? == 1 && number(-1)? == 6 && field(-2)?.len() == 32;
                is_right.then(|| field(-2).map(|x| Parts::Point(x.to_owned()))).ok_or(malformed)??
            }
            Algorithm::Rs256 if number(1)? == 3 => Parts::Rsa { n: field(-1)?.to_owned(), e: field(-2)?.to_owned() },
            Algorithm::Rs256 => return Err(malformed),
        };
        Ok(Self { bytes: bytes.to_owned(), algorithm, parts })
    }

    /// The bytes that [`PublicKey::read`] takes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Algorithm of its signatures.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Verifies a signature.
    ///
    /// # Errors
    /// [`Rejected::BadSignature`].
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Rejected> {
        let verified = match (self.algorithm, &self.parts) {
            (Algorithm::Rs256, Parts::Rsa { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Algorithm::Es384, Parts::Point(point)) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, point).verify(message, signature)
            }
            (Algorithm::EdDsa, Parts::Point(point)) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            (_, Parts::Point(point)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature)
            }
            (_, Parts::Rsa { .. }) => return Err(Rejected::BadSignature),
        };
        verified.map_err(|_| Rejected::BadSignature)
    }
}

/// The parameters of a key: a map from distinct numbers to numbers and bytes.
fn parameters(bytes: &[u8]) -> Option<Vec<(i64, Parameter<'_>)>> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    let mut decoder = minicbor::Decoder::new(bytes);
    let mut parameters: Vec<(i64, Parameter<'_>)> = Vec::new();
    for _ in 0..decoder.map().ok()?? {
        let label = decoder.i64().ok()?;
        let parameter = match decoder.probe().i64() {
            Ok(number) => decoder.i64().map(|_| Parameter::Number(number)).ok()?,
            Err(_) => Parameter::Bytes(decoder.bytes().ok()?),
        };
        if parameters.iter().any(|(known, _)| *known == label) {
            return None;
        }
        parameters.push((label, parameter));
    }
    (decoder.position() == bytes.len()).then_some(parameters)
}
