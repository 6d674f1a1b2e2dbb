//! Media types of requests, and content negotiation for responses (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, header};

use crate::http::header::elements;

/// Media type of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Media {
    /// `application/graphql-response+json`: the status depends on whether the document was executed.
    GraphqlResponse,
    /// `application/json`: the status is 200 for every well-formed request.
    Json,
}

impl Media {
    /// The header `Content-Type`.
    pub(in crate::http) fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    fn subtype(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "graphql-response+json",
            Self::Json => "json",
        }
    }
}

/// Preference for a media type: its weight in thousandths, and the specificity of its range.
type Preference = (u16, u8);

/// The media type that the request's `Accept` prefers; none if it accepts neither. Clients without a preference get
/// `application/json`, which older ones expect.
pub(in crate::http) fn negotiate(headers: &HeaderMap) -> Option<Media> {
    let ranges: Vec<&str> = elements(headers, "accept", b',').filter(|range| !range.is_empty()).collect();
    if ranges.is_empty() {
        return Some(Media::Json);
    }
    let preference = |media: Media| {
        let all = ranges.iter().filter_map(|range| preference(range, media));
        all.max_by_key(|(_, specificity)| *specificity).unwrap_or((0, 0))
    };
    let ((modern, specificity), (plain, _)) = (preference(Media::GraphqlResponse), preference(Media::Json));
    match (modern, plain) {
        (0, 0) => None,
        (modern, plain) if modern > plain || (modern == plain && specificity == 3) => Some(Media::GraphqlResponse),
        _ => Some(Media::Json),
    }
}

/// Preference of a range such as `application/*;q=0.5` for a media type; none if it does not match.
fn preference(range: &str, media: Media) -> Option<Preference> {
    let mut parts = range.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let specificity = match essence.split_once('/')? {
        ("*", "*") => 1,
        ("application", "*") => 2,
        ("application", subtype) if subtype == media.subtype() => 3,
        _ => return None,
    };
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let weight = weight.map_or(Some(1.0), |text| text.trim().parse::<f32>().ok())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u16")]
    let weight = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
    Some((weight, specificity))
}

/// True if the request's `Content-Type` is JSON in UTF-8, the only encoding of JSON (RFC 8259, section 8.1).
pub(in crate::http) fn is_json(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|value| is_utf_8(value, &["application/json"]))
}

/// True if a part of a form may be JSON: parts need no type, and clients that build forms from strings send
/// `text/plain`.
pub(in crate::http) fn may_be_json(part: &HeaderMap) -> bool {
    !part.contains_key(header::CONTENT_TYPE)
        || content_type(part).is_some_and(|value| is_utf_8(value, &["application/json", "text/plain"]))
}

/// True if a type is one of these, in UTF-8. `utf8` is not registered, but many programs send it.
fn is_utf_8(value: &str, types: &[&str]) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    types.iter().any(|name| essence.eq_ignore_ascii_case(name))
        && parts.filter(|part| !part.is_empty()).all(|part| match part.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
                ["utf-8", "utf8", "us-ascii"].iter().any(|known| value.trim_matches('"').eq_ignore_ascii_case(known))
            }
            parameter => parameter.is_some(),
        })
}

/// The request's `Content-Type`; none if there are two, or a content encoding.
pub(in crate::http) fn content_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let is_plain = encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    value.to_str().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    fn accept(value: &str) -> Option<Media> {
        negotiate(&headers(header::ACCEPT, value))
    }

    #[test]
    fn the_client_chooses_the_media_type() {
        use Media::{GraphqlResponse, Json};
        assert_eq!(negotiate(&HeaderMap::new()), Some(Json));
        for (value, media) in [
            ("application/graphql-response+json", Some(GraphqlResponse)),
            (
                "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
                Some(GraphqlResponse),
            ),
            ("application/json, application/graphql-response+json", Some(GraphqlResponse)),
            ("application/graphql-response+json;q=0.5, application/json", Some(Json)),
            ("application/graphql-response+json;q=0, */*", Some(Json)),
            ("application/json;q=0.1, application/graphql-response+json;q=0.2", Some(GraphqlResponse)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("text/html, */*;q=0.1", Some(Json)),
            ("", Some(Json)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("image/*", None),
        ] {
            assert_eq!(accept(value), media, "{value}");
        }
    }

    #[test]
    fn only_utf_8_is_json() {
        for (value, is) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"", true),
            ("application/json; charset=utf8", true),
            ("application/json; charset=latin1", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("application/graphql", false),
            ("application/json garbage", false),
        ] {
            assert_eq!(is_json(&headers(header::CONTENT_TYPE, value)), is, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn a_part_of_a_form_may_have_no_type_or_that_of_text() {
        for (value, may) in [
            ("application/json", true),
            ("text/plain", true),
            ("Text/Plain; charset=utf-8", true),
            ("text/plain; charset=latin1", false),
            ("text/html", false),
        ] {
            assert_eq!(may_be_json(&headers(header::CONTENT_TYPE, value)), may, "{value}");
        }
        assert!(may_be_json(&HeaderMap::new()));
    }
}
