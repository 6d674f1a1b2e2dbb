//! Parsing of headers that other programs write too, such as cookies, proxy hops and media types. They may contain any
//! byte (RFC 9110, section 5.5), so each element is decoded separately.

use axum::http::HeaderMap;

/// Elements of all headers of this name, in order and trimmed. One that is not UTF-8 is empty: it keeps its position,
/// and the other elements stay valid.
pub(super) fn elements<'a>(
    headers: &'a HeaderMap,
    name: &'a str,
    separator: u8,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    let parts = values.flat_map(move |value| value.as_bytes().split(move |byte| *byte == separator));
    parts.map(|part| std::str::from_utf8(part.trim_ascii()).unwrap_or_default())
}

/// A header with one value; empty if it is not UTF-8, so that it does not count as missing.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| std::str::from_utf8(value.as_bytes()).unwrap_or_default())
}

/// Values of all cookies of this name, in the order of browsers: the most specific path first (RFC 6265, section 5.4).
pub(super) fn cookies<'a, 'n>(headers: &'a HeaderMap, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
    let pairs = elements(headers, "cookie", b';').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, axum::http::HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn invalid_bytes_affect_one_element() {
        let sent = headers(&[("cookie", b"city=Z\xfcrich; a=1; b=2"), ("cookie", b"x=\xc3\xbc;a=3; ;=4")]);
        assert_eq!(cookies(&sent, "a").collect::<Vec<_>>(), ["1", "3"]);
        assert_eq!(cookies(&sent, "b").collect::<Vec<_>>(), ["2"]);
        assert_eq!(cookies(&sent, "city").count(), 0);
        let hops = headers(&[("x-forwarded-for", b"\xff, 192.0.2.1"), ("x-forwarded-for", b"192.0.2.2")]);
        assert_eq!(elements(&hops, "x-forwarded-for", b',').collect::<Vec<_>>(), ["", "192.0.2.1", "192.0.2.2"]);
    }

    #[test]
    fn an_undecodable_value_is_not_missing() {
        let sent = headers(&[("origin", b"https://\xff.example")]);
        assert_eq!((text(&sent, "origin"), text(&sent, "sec-fetch-site")), (Some(""), None));
    }
}
