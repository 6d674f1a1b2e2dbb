//! Signed data of authenticators (section 6.1).

use ring::digest::{SHA256, digest};

use super::{AuthenticatorState, Expected, MAX_CREDENTIAL_ID, Rejected};

/// Flag: the user was present.
const PRESENT: u8 = 1;

/// Flag: the authenticator verified its user.
const VERIFIED: u8 = 1 << 2;

/// Flag: the credential may be copied to other devices ("backup eligible").
const MAY_BE_COPIED: u8 = 1 << 3;

/// Flag: the credential is copied ("backup state").
const IS_COPIED: u8 = 1 << 4;

/// Flag: the data contain a new credential.
const HAS_CREDENTIAL: u8 = 1 << 6;

/// Flag: the data contain extensions.
const HAS_EXTENSIONS: u8 = 1 << 7;

/// Authenticator data.
#[derive(Debug)]
pub(super) struct AuthenticatorData<'a> {
    relying_party: &'a [u8; 32],
    flags: u8,
    counter: u32,
    /// The new credential of a registration.
    pub(super) attested: Option<Attested<'a>>,
}

/// A new credential.
#[derive(Debug)]
pub(super) struct Attested<'a> {
    /// Model of the authenticator.
    pub(super) model: [u8; 16],
    /// Its id.
    pub(super) credential_id: &'a [u8],
    /// Its public key (RFC 9052, section 7).
    pub(super) public_key: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    /// Reads all bytes.
    ///
    /// # Errors
    /// [`Rejected::Malformed`].
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Rejected> {
        let read = Self::parse(bytes).ok_or(Rejected::Malformed("authenticatorData"))?;
        if read.flags & IS_COPIED != 0 && read.flags & MAY_BE_COPIED == 0 {
            return Err(Rejected::Malformed("flags"));
        }
        Ok(read)
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (relying_party, rest) = bytes.split_first_chunk::<32>()?;
        let (&[flags], rest) = rest.split_first_chunk::<1>()?;
        let (counter, mut rest) = rest.split_first_chunk::<4>()?;
        let mut attested = None;
        if flags & HAS_CREDENTIAL != 0 {
            let (model, after) = rest.split_first_chunk::<16>()?;
            let (length, after) = after.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            if length == 0 || length > MAX_CREDENTIAL_ID {
                return None;
            }
            let (credential_id, after) = after.split_at_checked(length)?;
            let (public_key, after) = after.split_at_checked(map_length(after)?)?;
            attested = Some(Attested { model: *model, credential_id, public_key });
            rest = after;
        }
        if flags & HAS_EXTENSIONS != 0 {
            rest = rest.get(map_length(rest)?..)?;
        }
        let counter = u32::from_be_bytes(*counter);
        rest.is_empty().then_some(Self { relying_party, flags, counter, attested })
    }

    /// Compares them with what the service requires.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn check(&self, expected: Expected<'_>) -> Result<AuthenticatorState, Rejected> {
        if digest(&SHA256, expected.relying_party.id.as_bytes()).as_ref() != self.relying_party {
            return Err(Rejected::WrongRelyingParty);
        }
        if self.flags & PRESENT == 0 {
            return Err(Rejected::NotPresent);
        }
        let user_verified = self.flags & VERIFIED != 0;
        if expected.user_verification && !user_verified {
            return Err(Rejected::NotVerified);
        }
        let is_synced = self.flags & MAY_BE_COPIED != 0;
        Ok(AuthenticatorState { user_verified, is_synced, counter: self.counter })
    }
}

/// Length of the CBOR map at the start of these bytes.
fn map_length(bytes: &[u8]) -> Option<usize> {
    let mut decoder = minicbor::Decoder::new(bytes);
    decoder.probe().map().ok()??;
    decoder.skip().ok()?;
    Some(decoder.position())
}
