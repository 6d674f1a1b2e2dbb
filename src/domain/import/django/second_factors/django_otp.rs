//! Rows of django-otp: TOTP devices, and static tokens.

use super::{App, Found, FoundCode};
use crate::domain::import::django::entries::yes_or_no;
use crate::domain::import::django::source::factors::FactorRow;
use crate::texts::Text;
use crate::tools::recovery_code::ImportedCode;
use crate::tools::totp::{CodeForm, DRIFT, TimeStep, TotpSecret};

/// Reads a TOTP device. One that was not confirmed does not count.
pub(super) fn device(row: &FactorRow, found: &mut Found) -> Result<(), Text> {
    if yes_or_no(row.get("confirmed").unwrap_or_default()) != Ok(true) {
        return Ok(());
    }
    if row.number("t0") != Some(0) {
        return Err(Text::new("django-factor-start"));
    }
    let (digits, step) = (row.number("digits").unwrap_or_default(), row.number("step").unwrap_or_default());
    let form = CodeForm::new(digits, step).ok_or_else(|| form_unsupported(digits, step))?;
    let key = bytes_of_hex(row.get("key").unwrap_or_default()).and_then(|key| TotpSecret::from_bytes(&key));
    let secret = key.ok_or_else(|| Text::new("django-factor-secret"))?.in_form(form);
    // django-otp follows the phone's clock wherever it goes.
    let drift = row.number("drift").unwrap_or_default();
    if drift.saturating_abs() > DRIFT {
        let seconds = drift.saturating_abs().saturating_mul(step);
        found.notes.push(Text::new("django-factor-drift").with("seconds", seconds.to_string()));
    }
    let last_step = TimeStep(row.number("last_t").unwrap_or(-1));
    found.apps.push(App { secret, last_step, is_estimated: false });
    Ok(())
}

/// Reads a static token.
pub(super) fn token(row: &FactorRow, found: &mut Found) -> Result<(), Text> {
    let code = ImportedCode::from_text(row.get("token").unwrap_or_default());
    found.codes.push(FoundCode { code: code.ok_or_else(|| Text::new("django-factor-token"))?, seed: None });
    Ok(())
}

/// The text about codes of a form that the service does not accept.
pub(super) fn form_unsupported(digits: i64, period: i64) -> Text {
    Text::new("django-factor-form").with("digits", digits.to_string()).with("period", period.to_string())
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|char| char.to_digit(16)).collect::<Option<Vec<_>>>()?;
    let byte = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::import::django::mapping::Mapping;
    use crate::domain::import::django::second_factors::{Factors, read};
    use crate::domain::import::django::source::factors::FactorTable;

    const KEY: &str = "3132333435363738393031323334353637383930";

    fn device(values: [&str; 7]) -> FactorRow {
        FactorRow::of(FactorTable::TotpDevices, &values)
    }

    fn token(text: &str) -> FactorRow {
        FactorRow::of(FactorTable::StaticTokens, &[text])
    }

    fn factors(rows: &[FactorRow]) -> Factors {
        read(rows, &Mapping::default(), "7", "7")
    }

    #[test]
    fn a_confirmed_device_and_its_static_tokens_are_read() {
        let rows = [device(["true", KEY, "30", "0", "6", "0", "1000"]), token("mfrggzdf"), token("mfrggzdf")];
        let found = factors(&rows);
        let app = found.app.unwrap();
        assert_eq!((app.secret.reveal(), app.last_step), (b"12345678901234567890".as_slice(), TimeStep(1000)));
        assert_eq!((found.codes.len(), found.notes.len()), (1, 0), "the same token twice is one code");
        assert_eq!(factors(&[device(["0", KEY, "30", "0", "6", "0", "-1"])]), Factors::default());
        let alone = factors(&[token("mfrggzdf"), token("mfrggzdg")]);
        assert!(alone.codes.is_empty() && alone.notes.len() == 1, "codes are of no use without an app");
    }

    #[test]
    fn other_digits_and_periods_are_kept_and_the_rest_is_reported() {
        let app = factors(&[device(["1", &KEY[..20], "60", "0", "8", "1", "5"])]).app.unwrap();
        assert_eq!((app.secret.form(), app.secret.reveal().len()), (CodeForm::new(8, 60).unwrap(), 10));
        for (values, expected) in [
            (["1", KEY, "30", "5", "6", "0", "-1"], "count from a time of their own"),
            (["1", KEY, "30", "0", "10", "0", "-1"], "10 digits, valid for 30 seconds"),
            (["1", KEY, "3600", "0", "6", "0", "-1"], "6 digits, valid for 3600 seconds"),
            (["1", "abc", "30", "0", "6", "0", "-1"], "cannot be read"),
            (["1", "zz", "30", "0", "6", "0", "-1"], "cannot be read"),
            (["1", "0011", "30", "0", "6", "0", "-1"], "cannot be read"),
        ] {
            let found = factors(&[device(values)]);
            assert!(found.app.is_none() && found.notes.len() == 1, "{values:?}");
            assert!(found.notes[0].english().contains(expected), "{}", found.notes[0].english());
        }
        let late = factors(&[device(["1", KEY, "30", "0", "6", "-4", "9"])]);
        assert!(late.app.is_some() && late.notes[0].english().contains("120 seconds"));
    }

    #[test]
    fn of_several_devices_the_one_that_was_used_last_is_kept() {
        let other = KEY.replace("31", "41");
        for (first, second, expected) in [("10", "9", KEY), ("9", "10", &other), ("-1", "-1", &other)] {
            let rows =
                [device(["1", KEY, "30", "0", "6", "0", first]), device(["1", &other, "30", "0", "6", "0", second])];
            let found = factors(&rows);
            assert_eq!(Some(found.app.unwrap().secret.reveal()), bytes_of_hex(expected).as_deref());
            assert!(found.notes[0].english().contains("2 apps"), "{}", found.notes[0].english());
        }
    }
}
