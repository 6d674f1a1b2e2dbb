//! Time-based one-time passwords (TOTP, RFC 6238) as all authenticator apps compute them: SHA-1, 6 digits, 30 seconds.
//! Imported apps may show other digits, or for another time.

use std::fmt;
use std::ops::RangeInclusive;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;

use crate::tools::base32;
use crate::tools::clock::Timestamp;
use crate::tools::secret::Secret;

/// Permitted difference between the clocks of phone and service, in steps to each side (RFC 6238, section 5.2).
pub const DRIFT: i64 = 1;

/// Length of a new secret in bytes: that of the hash, as RFC 4226 recommends (section 4, requirement 6).
const SECRET: usize = 20;

/// Lengths of secrets in bytes. Apps of the first years have 80 bits, which nobody guesses; longer ones than a block of
/// SHA-1 gain nothing.
const SECRETS: RangeInclusive<usize> = 10..=64;

/// Characters that stay as they are in an `otpauth` URI (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secret that an authenticator app shares with the service, and the form of its codes. It prints as `[secret]`.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret {
    bytes: Vec<u8>,
    form: CodeForm,
}

/// Form of an app's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeForm {
    digits: u32,
    period: i64,
}

/// The number of a period since 1970, by default of 30 seconds. Its code is valid at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeStep(pub i64);

impl CodeForm {
    /// The form of all common apps, and of new ones here.
    pub const COMMON: Self = Self { digits: 6, period: 30 };

    /// A form with 6 to 8 digits, as RFC 4226 allows, and a period of 15 to 120 seconds; otherwise `None`.
    pub fn new(digits: i64, period: i64) -> Option<Self> {
        let digits = u32::try_from(digits).ok().filter(|digits| (6..=8).contains(digits))?;
        (15..=120).contains(&period).then_some(Self { digits, period })
    }

    /// Number of digits.
    pub fn digits(self) -> i64 {
        self.digits.into()
    }

    /// Period in seconds.
    pub fn period(self) -> i64 {
        self.period
    }

    /// The step of a point in time.
    pub fn step_at(self, time: Timestamp) -> TimeStep {
        TimeStep(time.seconds().div_euclid(self.period))
    }
}

impl TimeStep {
    /// The step of a point in time, for codes of the common form.
    pub fn at(time: Timestamp) -> Self {
        CodeForm::COMMON.step_at(time)
    }
}

impl TotpSecret {
    /// A new secret.
    pub fn random() -> Self {
        Self { bytes: Secret::<SECRET>::random().reveal().to_vec(), form: CodeForm::COMMON }
    }

    /// A secret that was stored elsewhere, for codes of the common form; `None` if it is too short or too long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        SECRETS.contains(&bytes.len()).then(|| Self { bytes: bytes.to_vec(), form: CodeForm::COMMON })
    }

    /// The same secret for codes of this form.
    #[must_use]
    pub fn in_form(self, form: CodeForm) -> Self {
        Self { form, ..self }
    }

    /// The bytes, for sealing.
    pub fn reveal(&self) -> &[u8] {
        &self.bytes
    }

    /// The form of its codes.
    pub fn form(&self) -> CodeForm {
        self.form
    }

    /// The form for typing into an app.
    pub fn to_text(&self) -> String {
        base32::encode(self.reveal())
    }

    /// The URI that an app reads from a QR code (the key URI format of Google Authenticator).
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        // A colon separates issuer and account, and no app expects a second one.
        let issuer = issuer.replace(':', " ");
        let [issuer, account] = [issuer.as_str(), account].map(|text| utf8_percent_encode(text, UNRESERVED));
        let (secret, CodeForm { digits, period }) = (self.to_text(), self.form);
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={digits}&period={period}"
        )
    }

    /// The code of a step.
    pub fn code(&self, step: TimeStep) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.reveal());
        let mac = hmac::sign(&key, &step.0.to_be_bytes());
        let mac = mac.as_ref();
        // Dynamic truncation (RFC 4226, section 5.3).
        let start = usize::from(mac[mac.len() - 1] & 15);
        let part = [mac[start] & 127, mac[start + 1], mac[start + 2], mac[start + 3]];
        let digits = self.form.digits;
        format!("{:0width$}", u32::from_be_bytes(part) % 10_u32.pow(digits), width = digits as usize)
    }

    /// The step of a typed code, if it is valid at this time; spaces are ignored. All candidates are compared, so that
    /// the time reveals nothing.
    pub fn step_of(&self, typed: &str, now: Timestamp) -> Option<TimeStep> {
        let typed: String = typed.chars().filter(|char| !char.is_whitespace()).collect();
        let TimeStep(current) = self.form.step_at(now);
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
        // All eight digits.
        let eight = rfc().in_form(CodeForm::new(8, 30).unwrap());
        assert_eq!(eight.code(TimeStep::at(at(1_111_111_109))), "07081804");
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
            codes.update(secret.code(TimeStep::at(at(number * 7919 * 30 + number % 30))).as_bytes());
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
    fn an_imported_app_keeps_its_digits_and_period() {
        let slow = rfc().in_form(CodeForm::new(8, 60).unwrap());
        let code = slow.code(TimeStep(500));
        let valid: Vec<i64> = (29_900..30_130).filter(|seconds| slow.step_of(&code, at(*seconds)).is_some()).collect();
        assert_eq!((code.len(), valid.first(), valid.last()), (8, Some(&29_940), Some(&30_119)));
        assert_eq!(rfc().code(TimeStep(500)), code[2..]);
        for (digits, period) in [(5, 30), (9, 30), (-6, 30), (6, 14), (6, 121), (6, 0), (6, -30)] {
            assert_eq!(CodeForm::new(digits, period), None, "{digits} {period}");
        }
        for (length, is_fine) in [(9, false), (10, true), (40, true), (64, true), (65, false)] {
            assert_eq!(TotpSecret::from_bytes(&vec![7; length]).is_some(), is_fine, "{length}");
        }
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
