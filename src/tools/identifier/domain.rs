//! Domains of addresses in their displayed form.

use unicode_security::RestrictionLevel;
use unicode_security::RestrictionLevelDetection as _;
use unicode_security::skeleton;

/// The domain in Unicode, if it has labels in the `xn--` form (RFC 5890, 2.3.2.1). `None` if it has no such label, or
/// would look like another domain: with mixed scripts, or only look-alikes of ASCII.
pub(super) fn in_unicode(domain: &str) -> Option<String> {
    let is_encoded = |label: &str| label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    if !domain.is_ascii() || !domain.split('.').any(is_encoded) {
        return None;
    }
    let (unicode, Ok(())) = idna::domain_to_unicode(domain) else { return None };
    unicode.split('.').all(|label| label.is_ascii() || is_distinct(label)).then_some(unicode)
}

/// True if people can distinguish a label from all ASCII ones.
fn is_distinct(label: &str) -> bool {
    let is_of_few_scripts = label.detect_restriction_level() <= RestrictionLevel::HighlyRestrictive;
    is_of_few_scripts && !skeleton(label).all(|c| c.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_shown_in_unicode_unless_they_look_like_others() {
        for (domain, expected) in [
            ("xn--mnchen-3ya.example", Some("m\u{fc}nchen.example")),
            ("Mail.XN--MNCHEN-3YA.example", Some("mail.m\u{fc}nchen.example")),
            ("xn--strae-oqa.example", Some("stra\u{df}e.example")),
            ("xn--fiq228c.example", Some("\u{4e2d}\u{6587}.example")),
            // One Cyrillic letter in a Latin word, and a word of Cyrillic letters that look like Latin ones.
            ("xn--exmple-4nf.com", None),
            ("xn--80ak6aa92e.com", None),
            ("quarry.example", None),
            ("m\u{fc}nchen.example", None),
            ("xn--.example", None),
            ("xn--a.example", None),
        ] {
            assert_eq!(in_unicode(domain).as_deref(), expected, "{domain}");
        }
    }
}
