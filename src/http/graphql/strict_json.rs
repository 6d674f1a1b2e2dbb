//! Strict JSON: duplicate members are an error. Parsers differ in which one they keep (RFC 8259, section 4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use crate::tools::text::lone_surrogate;

/// Error of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Problem {
    ByteOrderMark,
    Utf16,
    NotUtf8,
    LoneSurrogate,
    DuplicateMember,
    NotJson,
}

impl Problem {
    /// Message about the text, which `what` names.
    pub(in crate::http) fn describe(self, what: &str) -> String {
        match self {
            Self::ByteOrderMark => format!("{what} begins with a byte order mark: remove it."),
            Self::Utf16 => format!("{what} is in UTF-16: send UTF-8."),
            Self::NotUtf8 => format!("{what} must be UTF-8."),
            Self::LoneSurrogate => {
                format!("{what} has half of a surrogate pair, such as \\ud83d: send both halves.")
            }
            Self::DuplicateMember => format!("{what} must be JSON without duplicate members."),
            Self::NotJson => format!("{what} must be JSON."),
        }
    }
}

/// Parses a value.
///
/// # Errors
/// The error of the text.
pub(in crate::http) fn read(bytes: &[u8]) -> Result<Value, Problem> {
    if bytes.starts_with("\u{feff}".as_bytes()) {
        return Err(Problem::ByteOrderMark);
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Problem::Utf16);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::NotUtf8)?;
    serde_json::from_str(text).map(|Strict(value)| value).map_err(|error| match error.classify() {
        // Errors of the visitor below.
        Category::Data => Problem::DuplicateMember,
        _ if lone_surrogate(bytes).is_some() => Problem::LoneSurrogate,
        _ => Problem::NotJson,
    })
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, _>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_members_are_rejected() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"a":{"b":1,"\u0062":2}}]"#, "{", "", "1 2", r#"{"a":1e999}"#] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let fine = r#"{"a":[null,true,-1,1.5,18446744073709551615,"x",{"a":{}}],"b":{"a":1}}"#;
        assert_eq!(read(fine.as_bytes()).ok(), serde_json::from_str(fine).ok());
    }

    #[test]
    fn errors_are_classified() {
        for (bytes, problem) in [
            (&b"\xef\xbb\xbf{}"[..], Problem::ByteOrderMark),
            (b"\xff\xfe{\0}\0", Problem::Utf16),
            (b"{\"a\":\"\xff\"}", Problem::NotUtf8),
            (br#"{"a":"\ud83d"}"#, Problem::LoneSurrogate),
            (br#"{"a":"\ud83d\ud83d"}"#, Problem::LoneSurrogate),
            (br#"{"a":"\ude00"}"#, Problem::LoneSurrogate),
            (br#"{"a":1,"a":"\ud83d\ude00"}"#, Problem::DuplicateMember),
            (br#"{"a":"\\ud83d"#, Problem::NotJson),
            (b"{", Problem::NotJson),
            (b"", Problem::NotJson),
        ] {
            assert_eq!(read(bytes), Err(problem), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(read(br#"{"a":"\ud83d\ude00"}"#).is_ok());
    }
}
