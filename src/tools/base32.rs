//! Base32 without padding (RFC 4648, section 6): letters and digits that people can type without mistaking one for
//! another.

/// The alphabet. It has neither 0 and 1 nor 8 and 9.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Bits per letter.
const BITS: u32 = 5;

/// Encodes bytes in upper case.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity((bytes.len() * 8).div_ceil(5));
    let (mut pending, mut count) = (0_u32, 0);
    for byte in bytes {
        pending = (pending << 8) | u32::from(*byte);
        count += 8;
        while count >= BITS {
            count -= BITS;
            text.push(letter(pending >> count));
        }
        pending &= (1 << count) - 1;
    }
    if count > 0 {
        text.push(letter(pending << (BITS - count)));
    }
    text
}

fn letter(value: u32) -> char {
    char::from(ALPHABET[(value & 31) as usize])
}

/// Decodes letters in any case; `None` for other characters, for a length that no bytes have, and for bits beyond the
/// last byte that are not zero.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut pending, mut count) = (0_u32, 0);
    for letter in text.bytes() {
        let letter = letter.to_ascii_uppercase();
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        pending = (pending << BITS) | u32::try_from(value).ok()?;
        count += BITS;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(pending >> count).ok()?);
            pending &= (1 << count) - 1;
        }
    }
    (count < BITS && pending == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_those_of_the_rfc() {
        // RFC 4648, section 10, without padding.
        let vectors = [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ];
        for (plain, text) in vectors {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()));
            assert_eq!(decode(&text.to_lowercase()).as_deref(), Some(plain.as_bytes()));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["M", "MZX", "MZ", "M0", "M1", "M8", "MY======", "M Y", "ſ", "MZXW6YQMZXW6YQ"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn bytes_are_read_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }
}
