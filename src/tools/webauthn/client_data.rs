//! The browser's part of a ceremony: `clientDataJSON` (section 5.8.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::{Expected, Rejected};

/// Longest text, in bytes. Browsers write a few hundred.
const MAX_BYTES: usize = 16 * 1024;

/// The content of `clientDataJSON`. Browsers may add fields.
#[derive(Debug)]
pub(super) struct ClientData {
    ceremony: String,
    /// The challenge, decoded.
    pub(super) challenge: Vec<u8>,
    origin: String,
    /// True if the page is inside a page of another origin.
    is_framed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    top_origin: Option<String>,
}

impl ClientData {
    /// Reads the text.
    ///
    /// # Errors
    /// [`Rejected::Malformed`].
    pub(super) fn read(text: &[u8]) -> Result<Self, Rejected> {
        let malformed = || Rejected::Malformed("clientDataJSON");
        if text.len() > MAX_BYTES {
            return Err(malformed());
        }
        let written: Written = serde_json::from_slice(text).map_err(|_| malformed())?;
        let challenge = URL_SAFE_NO_PAD.decode(&written.challenge).map_err(|_| malformed())?;
        let is_framed = written.cross_origin || written.top_origin.is_some();
        Ok(Self { ceremony: written.r#type, challenge, origin: written.origin, is_framed })
    }

    /// Compares it with what the service requested.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn check(&self, ceremony: &str, expected: Expected<'_>) -> Result<(), Rejected> {
        if self.ceremony != ceremony {
            return Err(Rejected::WrongCeremony);
        }
        if self.challenge != expected.challenge {
            return Err(Rejected::WrongChallenge);
        }
        if !expected.relying_party.origins.contains(&self.origin) {
            return Err(Rejected::WrongOrigin);
        }
        if self.is_framed && !expected.cross_origin {
            return Err(Rejected::CrossOrigin);
        }
        Ok(())
    }
}
