//! QR codes as pictures.

use fast_qr::ECL;
use fast_qr::convert::Builder as _;
use fast_qr::convert::svg::SvgBuilder;
use fast_qr::qr::QRBuilder;

/// Light border that readers need, in modules (ISO/IEC 18004, section 9.1).
const QUIET_ZONE: usize = 4;

/// An SVG picture of the QR code of a text, dark on white. `None` if the text is too long for one: more than about 2300
/// bytes.
pub fn svg(text: &str) -> Option<String> {
    let code = QRBuilder::new(text).ecl(ECL::M).build().ok()?;
    Some(SvgBuilder::default().margin(QUIET_ZONE).to_str(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_one_inert_element() {
        let svg = svg("otpauth://totp/Vestibule:ada%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"), "{svg}");
        assert!(!["<script", "<image", "href", "url("].iter().any(|part| svg.contains(part)), "{svg}");
        assert!(!svg.contains("otpauth"), "the text is in the picture only");
    }

    #[test]
    fn a_text_that_is_too_long_has_no_code() {
        assert_eq!(svg(&"x".repeat(3000)), None);
    }
}
