//! Rows of `allauth.mfa`: an app, recovery codes or a passkey each.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;
use uuid::Uuid;

use super::{App, Found, FoundCode, Passkey, django_otp};
use crate::domain::account::passkeys::MAX_NAME;
use crate::domain::import::django::entries::time_of;
use crate::domain::import::django::mapping::{AllauthSettings, Mapping};
use crate::domain::import::django::source::factors::FactorRow;
use crate::texts::Text;
use crate::tools::base32;
use crate::tools::clock::Timestamp;
use crate::tools::recovery_code::ImportedCode;
use crate::tools::totp::{CodeForm, TimeStep, TotpSecret};

/// Length of a seed of recovery codes, in hexadecimal digits.
const SEED: usize = 80;

/// The column `data` of each type.
#[derive(Deserialize)]
struct TotpData {
    secret: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RecoveryData {
    /// Codes taken over from another package.
    Migrated { migrated_codes: Vec<String> },
    /// The seed, and a bit for each used code.
    Derived { seed: String, used_mask: u64 },
}

#[derive(Deserialize)]
struct PasskeyData {
    #[serde(default)]
    name: String,
    credential: WrittenCredential,
}

#[derive(Deserialize)]
struct WrittenCredential {
    response: WrittenResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenResponse {
    attestation_object: String,
    #[serde(default)]
    transports: Vec<String>,
}

/// Reads an authenticator.
pub(super) fn authenticator(row: &FactorRow, mapping: &Mapping, own: &str, found: &mut Found) -> Result<(), Text> {
    let data = row.get("data").unwrap_or_default();
    match row.get("type").unwrap_or_default() {
        "totp" => found.apps.push(app(data, row, mapping)?),
        "recovery_codes" => found.codes.extend(codes(data, mapping.allauth)?),
        "webauthn" => found.passkeys.push(passkey(data, row, mapping, own)?),
        other => return Err(Text::new("django-factor-type").with("type", other)),
    }
    Ok(())
}

fn app(data: &str, row: &FactorRow, mapping: &Mapping) -> Result<App, Text> {
    let unreadable = || Text::new("django-factor-secret");
    let data: TotpData = serde_json::from_str(data).map_err(|_| unreadable())?;
    let bytes = base32::decode(data.secret.trim_end_matches('=')).ok_or_else(unreadable)?;
    let (digits, period) = (mapping.allauth.totp_digits, mapping.allauth.totp_period);
    let form = CodeForm::new(digits, period).ok_or_else(|| django_otp::form_unsupported(digits, period))?;
    let secret = TotpSecret::from_bytes(&bytes).ok_or_else(unreadable)?.in_form(form);
    // Only the time of the last use is stored. With the tolerance of a step, its code may be that of the next one.
    let last_use = time(row, "last_used_at", mapping).max(time(row, "created_at", mapping));
    let last_step = last_use.map_or(TimeStep(-1), |at| TimeStep(form.step_at(at).0 + 1));
    Ok(App { secret, last_step, is_estimated: true })
}

/// The unused codes.
fn codes(data: &str, settings: AllauthSettings) -> Result<Vec<FoundCode>, Text> {
    let unreadable = || Text::new("django-factor-recovery");
    match serde_json::from_str(data).map_err(|_| unreadable())? {
        RecoveryData::Migrated { migrated_codes } => {
            let codes =
                migrated_codes.iter().map(|code| Some(FoundCode { code: ImportedCode::from_text(code)?, seed: None }));
            codes.collect::<Option<_>>().ok_or_else(unreadable)
        }
        RecoveryData::Derived { seed, used_mask } => {
            if seed.len() != SEED || !seed.chars().all(|char| char.is_ascii_hexdigit()) {
                return Err(unreadable());
            }
            let codes = derived(&seed, settings).into_iter().enumerate();
            let unused = codes.filter(|(at, _)| used_mask >> at & 1 == 0);
            let seeded =
                |code: &str| Some(FoundCode { code: ImportedCode::from_text(code)?, seed: Some(seed.clone().into()) });
            let unused = unused.filter_map(|(_, code)| seeded(&code));
            Ok(unused.collect())
        }
    }
}

/// All codes of a seed. Each is the start of an HMAC over the numbers up to its own.
fn derived(seed: &str, settings: AllauthSettings) -> Vec<String> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed.as_bytes()));
    let (digits, length) = (settings.recovery_code_digits, settings.recovery_code_digits / 2);
    let code = move |number: usize| {
        context.update(format!("{number:3},").as_bytes());
        let mac = context.clone().sign();
        let value = mac.as_ref().iter().take(length).fold(0_u128, |value, byte| (value << 8) | u128::from(*byte));
        format!("{:0digits$}", value % 10_u128.pow(u32::try_from(digits).unwrap_or_default()))
    };
    (0..settings.recovery_code_count).map(code).collect()
}

fn passkey(data: &str, row: &FactorRow, mapping: &Mapping, own: &str) -> Result<Passkey, Text> {
    let unreadable = || Text::new("django-factor-passkey").with("reason", "its data cannot be read");
    let data: PasskeyData = serde_json::from_str(data).map_err(|_| unreadable())?;
    let response = data.credential.response;
    let attestation = URL_SAFE_NO_PAD.decode(response.attestation_object.trim_end_matches('='));
    Ok(Passkey {
        name: data.name.chars().filter(|char| !char.is_control()).take(MAX_NAME).collect(),
        attestation: attestation.map_err(|_| unreadable())?,
        transports: response.transports,
        user_handle: user_handle(own).into_bytes(),
        created_at: time(row, "created_at", mapping),
        last_used_at: time(row, "last_used_at", mapping),
    })
}

/// The id of a user as allauth gives it to authenticators: a number in base 36, or a UUID without hyphens.
fn user_handle(own: &str) -> String {
    if let Ok(id) = Uuid::parse_str(own) {
        return id.simple().to_string();
    }
    let Ok(mut number) = own.parse::<u64>() else { return own.to_owned() };
    let mut digits = Vec::new();
    loop {
        digits.extend(u32::try_from(number % 36).ok().and_then(|digit| char::from_digit(digit, 36)));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

fn time(row: &FactorRow, column: &str, mapping: &Mapping) -> Option<Timestamp> {
    time_of(row.get(column)?, mapping.time_zone.as_ref()).ok().map(|(time, _)| time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::import::django::second_factors::{Factors, read};
    use crate::domain::import::django::source::factors::FactorTable;

    const TOTP: &str = r#"{"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}"#;

    fn factors(rows: &[(&str, &str)], mapping: &str) -> Factors {
        let times = ["2026-01-05 09:00:00+00", "2026-01-05 10:00:00+00"];
        let row =
            |(kind, data): &(&str, &str)| FactorRow::of(FactorTable::Authenticators, &[kind, data, times[0], times[1]]);
        read(&rows.iter().map(row).collect::<Vec<_>>(), &Mapping::parse(mapping).unwrap(), "7", "7")
    }

    fn texts(factors: &Factors) -> Vec<&str> {
        factors.codes.iter().map(|code| code.code.reveal()).collect()
    }

    #[test]
    fn recovery_codes_are_those_that_allauth_shows() {
        // By allauth 65.22: `RecoveryCodes(instance).generate_codes()` with this seed.
        let seed = "0123456789abcdef".repeat(5);
        let data = format!(r#"{{"seed": "{seed}", "used_mask": 5, "viewed_at": 1.5}}"#);
        let rows = [("totp", TOTP), ("recovery_codes", data.as_str())];
        let unused = ["03959085", "16418492", "08962862", "26762693", "03257366", "85808163", "85026242", "60612046"];
        assert_eq!(texts(&factors(&rows, "")), unused);
        let long = "[allauth]\nrecovery_code_count = 4\nrecovery_code_digits = 17";
        assert_eq!(texts(&factors(&rows, long)), ["18448546843728695", "14412237396412450"]);
    }

    #[test]
    fn an_app_is_read_and_codes_before_its_last_use_are_used_up() {
        let found = factors(&[("totp", TOTP)], "");
        let app = found.app.unwrap();
        let at = Timestamp::parse("2026-01-05T10:00:00Z").unwrap();
        assert_eq!(app.secret.reveal(), b"12345678901234567890");
        assert_eq!(app.last_step, TimeStep(TimeStep::at(at).0 + 1));
        let slow = factors(&[("totp", TOTP)], "[allauth]\ntotp_digits = 8\ntotp_period = 60").app.unwrap();
        assert_eq!(slow.secret.form(), CodeForm::new(8, 60).unwrap());
    }

    #[test]
    fn migrated_codes_are_read_and_encrypted_ones_reported() {
        let migrated = r#"{"migrated_codes": ["mfrggzdf", "ABCD-1234"]}"#;
        assert_eq!(texts(&factors(&[("totp", TOTP), ("recovery_codes", migrated)], "")), ["mfrggzdf", "abcd1234"]);
        let fernet = "gAAAAABl_kZ0c2VjcmV0IHRleHQgdGhhdCBpcyBlbmNyeXB0ZWQ=";
        for (kind, data, expected) in [
            ("totp", format!(r#"{{"secret": "{fernet}"}}"#), "The secret of the app cannot be read"),
            ("recovery_codes", format!(r#"{{"seed": "{fernet}", "used_mask": 0}}"#), "recovery codes cannot be read"),
            ("recovery_codes", format!(r#"{{"migrated_codes": ["{fernet}"]}}"#), "recovery codes cannot be read"),
            ("recovery_codes", "{}".to_owned(), "recovery codes cannot be read"),
            ("webauthn", "{}".to_owned(), "its data cannot be read"),
            ("sms", "{}".to_owned(), "sms"),
        ] {
            let found = factors(&[(kind, &data)], "");
            assert!(found.app.is_none() && found.codes.is_empty() && found.passkeys.is_empty());
            assert!(found.notes[0].english().contains(expected), "{}", found.notes[0].english());
        }
    }

    #[test]
    fn authenticators_know_users_by_their_key_in_django() {
        // By `django.utils.http.int_to_base36`.
        for (own, expected) in [("7", "7"), ("36", "10"), ("123456789", "21i3v9"), ("0", "0"), ("ann", "ann")] {
            assert_eq!(user_handle(own), expected);
        }
        assert_eq!(user_handle("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), "6ba7b8109dad11d180b400c04fd430c8");
    }
}
