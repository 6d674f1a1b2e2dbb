//! Time-based one-time passwords (TOTP, RFC 6238) as all authenticator apps compute them: SHA-1, 6 digits, 30 seconds.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;

use crate::tools::base32;
use crate::tools::clock::Timestamp;
use crate::tools::secret::Secret;

/// Seconds per step.
pub const STEP: i64 = 30;

/// Permitted difference between the clocks of phone and service, in steps to each side (RFC 6238, section 5.2).
const DRIFT: i64 = 1;

/// Number of digits.
const DIGITS: usize = 6;

/// Length of a secret in bytes: that of the hash, as RFC 4226 recommends (section 4, requirement 6).
const SECRET: usize = 20;

/// Characters that stay as they are in an `otpauth` URI (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secret that an authenticator app shares with the service. It prints as `[secret]`.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Secret<SECRET>);

/// The number of a period of 30 seconds since 1970. Its code is valid at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeStep(pub i64);

impl TimeStep {
    /// The step of a point in time.
    pub fn at(time: Timestamp) -> Self {
        Self(time.seconds().div_euclid(STEP))
    }
}

impl TotpSecret {
    /// A new secret.
    pub fn random() -> Self {
        Self(Secret::random())
    }

    /// A secret that was stored elsewhere; `None` if it has another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Secret::new(bytes)))
    }

    /// The bytes, for sealing.
    pub fn reveal(&self) -> [u8; SECRET] {
        self.0.reveal()
    }

    /// The form for typing into an app.
    pub fn to_text(&self) -> String {
        base32::encode(&self.reveal())
    }

    /// The URI that an app reads from a QR code (the key URI format of Google Authenticator).
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        // A colon separates issuer and account, and no app expects a second one.
        let issuer = issuer.replace(':', " ");
        let [issuer, account] = [issuer.as_str(), account].map(|text| utf8_percent_encode(text, UNRESERVED));
        let secret = self.to_text();
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP}"
        )
    }

    /// The code of a step.
    pub fn code(&self, step: TimeStep) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.reveal());
        let mac = hmac::sign(&key, &step.0.to_be_bytes());
        let mac = mac.as_ref();
        // Dynamic truncation (RFC 4226, section 5.3).
        let start = usize::from(mac[mac.len() - 1] & 15);
        let part = [mac[start] & 127, mac[start + 1], mac[start + 2], mac[start + 3]];
        format!("{:06}", u32::from_be_bytes(part) % 1_000_000)
    }

    /// The step of a typed code, if it is valid at this time; spaces are ignored. All candidates are compared, so that
    /// the time reveals nothing.
    pub fn step_of(&self, typed: &str, now: Timestamp) -> Option<TimeStep> {
        let typed: String = typed.chars().filter(|char| !char.is_whitespace()).collect();
        let TimeStep(current) = TimeStep::at(now);
        let steps = (current - DRIFT..=current + DRIFT).map(TimeStep);
        steps.fold(None, |found, step| if is_equal(&self.code(step), &typed) { Some(step) } else { found })
    }
}

/// Compares without ending at the first difference.
fn is_equal(code: &str, typed: &str) -> bool {
    let differences = code.bytes().zip(typed.bytes()).fold(0, |found, (one, other)| found | (one ^ other));
    code.len() == typed.len() && differences == 0
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn rfc() -> TotpSecret {
        TotpSecret::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_the_rfcs() {
        // RFC 6238, appendix B: the last six of eight digits.
        let vectors = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (seconds, code) in vectors {
            assert_eq!(rfc().code(TimeStep::at(at(seconds))), code);
        }
        // RFC 4226, appendix D.
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (counter, code) in (0..).zip(codes) {
            assert_eq!(rfc().code(TimeStep(counter)), code);
        }
    }

    #[test]
    fn ten_thousand_codes_are_those_of_otplib() {
        // By otplib 13.5: `generateSync({ secret, epoch })` for these secrets and times, one after the other.
        let mut codes = Context::new(&SHA256);
        for number in 0..10_000_i64 {
            let secret = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("secret {number}").as_bytes());
            let secret = TotpSecret::from_bytes(secret.as_ref()).unwrap();
            codes.update(secret.code(TimeStep::at(at(number * 7919 * STEP + number % STEP))).as_bytes());
        }
        let codes = URL_SAFE_NO_PAD.encode(codes.finish());
        assert_eq!(codes, "MeP-MNoaIoHQKDZ_O75fQiaa5FlaRHQ8XLwGhVU8vHQ");
    }

    #[test]
    fn a_code_is_valid_for_one_step_to_each_side() {
        let code = rfc().code(TimeStep(1000));
        let valid: Vec<i64> = (29_900..30_130).filter(|seconds| rfc().step_of(&code, at(*seconds)).is_some()).collect();
        assert_eq!((valid.first(), valid.last(), valid.len()), (Some(&29_970), Some(&30_059), 90));
        assert_eq!(rfc().step_of(&code, at(29_970)), Some(TimeStep(1000)));
    }

    #[test]
    fn spaces_are_ignored_and_nothing_else() {
        let code = rfc().code(TimeStep(1000));
        let (first, second) = code.split_at(3);
        assert!(rfc().step_of(&format!(" {first} {second}\n"), at(30_000)).is_some());
        for typed in ["", "000000", &format!("{code}0"), &code[..5], &format!("{first}-{second}"), "²87082"] {
            assert_eq!(rfc().step_of(typed, at(30_000)), None, "{typed}");
        }
    }

    #[test]
    fn the_uri_is_that_of_authenticator_apps() {
        assert_eq!(
            rfc().uri("Müller: IDs & more", "ada+x@example.com"),
            "otpauth://totp/M%C3%BCller%20%20IDs%20%26%20more:ada%2Bx%40example.com\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=M%C3%BCller%20%20IDs%20%26%20more\
             &algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{:?}", rfc()), "[secret]");
    }
}
