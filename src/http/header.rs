//! Headers that hold more than what the service put there: cookies of other programs, hops of other proxies, types of
//! other clients. They may hold any byte (RFC 9110, section 5.5), so each element is read by itself.

use axum::http::HeaderMap;

/// The elements of all headers of this name, in their order and without the spaces around them. One that is not UTF-8 is
/// empty: the elements beside it are what they were, and it still has its place.
pub(super) fn elements<'a>(
    headers: &'a HeaderMap,
    name: &'a str,
    separator: u8,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    let parts = values.flat_map(move |value| value.as_bytes().split(move |byte| *byte == separator));
    parts.map(|part| std::str::from_utf8(part.trim_ascii()).unwrap_or_default())
}

/// A header that holds one value; empty where that is not UTF-8, so that no unreadable value counts as a missing one.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| std::str::from_utf8(value.as_bytes()).unwrap_or_default())
}

/// The values of all cookies of this name, the most specific path first as browsers send them (RFC 6265, section 5.4).
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
    fn an_element_with_foreign_bytes_spoils_none_beside_it() {
        let sent = headers(&[("cookie", b"city=Z\xfcrich; a=1; b=2"), ("cookie", b"x=\xc3\xbc;a=3; ;=4")]);
        assert_eq!(cookies(&sent, "a").collect::<Vec<_>>(), ["1", "3"]);
        assert_eq!(cookies(&sent, "b").collect::<Vec<_>>(), ["2"]);
        assert_eq!(cookies(&sent, "city").count(), 0);
        let hops = headers(&[("x-forwarded-for", b"\xff, 192.0.2.1"), ("x-forwarded-for", b"192.0.2.2")]);
        assert_eq!(elements(&hops, "x-forwarded-for", b',').collect::<Vec<_>>(), ["", "192.0.2.1", "192.0.2.2"]);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_still_there() {
        let sent = headers(&[("origin", b"https://\xff.example")]);
        assert_eq!((text(&sent, "origin"), text(&sent, "sec-fetch-site")), (Some(""), None));
    }
}
