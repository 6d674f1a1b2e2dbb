//! Numbers in the format of their cell, if it adds digits or signs. A phone number or postal code typed as a number has
//! its leading zeros only in its format, such as `0000000000` or `"+"00 000`.

/// Limit below which a workbook stores every digit of a number.
const MAX_EXACT: f64 = 1e15;

/// The number in a format that consists of digit places and fixed text. None for all other formats, where the plain
/// number is better to import: decimals, groups of thousands, percentages, dates.
pub(super) fn show(number: f64, format: &str) -> Option<String> {
    if number.fract() != 0.0 || number.abs() >= MAX_EXACT {
        return None;
    }
    let sections = sections(format)?;
    let section = match sections.as_slice() {
        [only] => only,
        [first, rest @ ..] if first.condition.is_some() => {
            std::iter::once(first).chain(rest).find(|section| section.condition.is_none_or(|holds| holds.of(number)))?
        }
        // The sections are for positive numbers, negative numbers and zero.
        [positive, ..] if number > 0.0 => positive,
        [_, negative, ..] if number < 0.0 => negative,
        [_, _, zero, ..] => zero,
        [positive, _] => positive,
        [] => return None,
    };
    let places = section.parts.iter().filter(|part| matches!(part, Part::Digit { .. })).count();
    if places == 0 {
        return None;
    }
    let digits = format!("{:.0}", number.abs());
    let mut shown = String::new();
    if number < 0.0 && sections.len() == 1 {
        shown.push('-');
    }
    // Digits fill the places from the right; surplus digits go before the first place.
    let (overflow, digits) = digits.split_at(digits.len().saturating_sub(places));
    let mut ahead = (places - digits.len(), overflow);
    let mut digits = digits.chars();
    for part in &section.parts {
        match part {
            Part::Text(text) => shown.push_str(text),
            Part::Digit { is_filled } => {
                shown.push_str(std::mem::take(&mut ahead.1));
                if ahead.0 > 0 {
                    ahead.0 -= 1;
                    shown.extend(is_filled.then_some('0'));
                } else {
                    shown.extend(digits.next());
                }
            }
        }
    }
    Some(shown.trim().to_owned())
}

/// One of up to four formats for different numbers.
#[derive(Default)]
struct Section {
    condition: Option<Condition>,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    /// A place for a digit, filled with a zero if `is_filled`.
    Digit {
        is_filled: bool,
    },
}

/// The condition of a section, such as `[<=9999999]`.
#[derive(Clone, Copy)]
struct Condition {
    below: bool,
    equal: bool,
    above: bool,
    limit: f64,
}

impl Condition {
    fn of(self, number: f64) -> bool {
        match number.total_cmp(&self.limit) {
            std::cmp::Ordering::Less => self.below,
            std::cmp::Ordering::Equal => self.equal,
            std::cmp::Ordering::Greater => self.above,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let limit = text.trim_start_matches(['<', '>', '=']);
        let (below, equal, above) = match text.strip_suffix(limit)? {
            "<" => (true, false, false),
            "<=" => (true, true, false),
            "=" => (false, true, false),
            ">=" => (false, true, true),
            ">" => (false, false, true),
            "<>" => (true, false, true),
            _ => return None,
        };
        Some(Self { below, equal, above, limit: limit.parse().ok()? })
    }
}

/// The sections of a format; none if it has more than digit places and text.
fn sections(format: &str) -> Option<Vec<Section>> {
    let mut sections = vec![Section::default()];
    let mut signs = format.chars();
    while let Some(sign) = signs.next() {
        let section = sections.last_mut()?;
        match sign {
            ';' => sections.push(Section::default()),
            '0' => section.parts.push(Part::Digit { is_filled: true }),
            '#' | '?' => section.parts.push(Part::Digit { is_filled: false }),
            '"' => {
                let text: String = signs.by_ref().take_while(|sign| *sign != '"').collect();
                section.parts.push(Part::Text(text));
            }
            '\\' => section.parts.push(Part::Text(signs.next()?.to_string())),
            // A space as wide as the next character.
            '_' => {
                signs.next()?;
                section.parts.push(Part::Text(" ".to_owned()));
            }
            '[' => {
                let inner: String = signs.by_ref().take_while(|sign| *sign != ']').collect();
                let is_locale =
                    inner.strip_prefix("$-").is_some_and(|tag| tag.chars().all(|c| c.is_ascii_alphanumeric()));
                match Condition::parse(&inner) {
                    Some(condition) => section.condition = Some(condition),
                    None if is_locale || inner.chars().all(char::is_alphabetic) && inner.len() > 2 => {}
                    None => return None,
                }
            }
            '+' | '-' | '(' | ')' | ' ' | '/' | ':' | '\u{a0}' => section.parts.push(Part::Text(sign.to_string())),
            _ => return None,
        }
    }
    Some(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_signs_of_a_format_are_kept() {
        for (number, format, expected) in [
            (612_345_678.0, "0000000000", "0612345678"),
            (7.0, "000", "007"),
            (442_071_234_567.0, "\"+\"00 00 0000 0000", "+44 20 7123 4567"),
            (442_071_234_567.0, "+0", "+442071234567"),
            (5_551_234.0, "[<=9999999]###\\-####;\\(###\\)\\ ###\\-####", "555-1234"),
            (2_125_551_234.0, "[<=9999999]###\\-####;\\(###\\)\\ ###\\-####", "(212) 555-1234"),
            (12_345.0, "00000\\-0000", "00001-2345"),
            (5.0, "[Red]0;[Blue]-0", "5"),
            (-5.0, "0;-0", "-5"),
            (-5.0, "00", "-05"),
            (0.0, "0;-0;\"none\"00", "none00"),
            (5.0, "[$-407]00", "05"),
        ] {
            assert_eq!(show(number, format).as_deref(), Some(expected), "{number} {format}");
        }
    }

    #[test]
    fn all_other_formats_leave_the_number_as_it_is() {
        for format in [
            "General",
            "@",
            "0.00",
            "#,##0",
            "0%",
            "0.00E+00",
            "yyyy\\-mm\\-dd",
            "[$\u{20ac}-407]0",
            "[h]:mm",
            "\"Yes\"",
            "",
        ] {
            assert_eq!(show(1234.0, format), None, "{format}");
        }
        assert_eq!((show(1.5, "00"), show(1e15, "00"), show(f64::NAN, "00")), (None, None, None));
    }
}
