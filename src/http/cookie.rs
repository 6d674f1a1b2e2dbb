//! The refresh cookie.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::config::{BaseUrl, Origin};
use crate::graphql::context::CookieChange;
use crate::tools::clock::Timestamp;

/// The cookie's name; on https the prefix keeps other hosts and plain connections from setting it.
fn name(public: &BaseUrl) -> &'static str {
    if public.is_https() { "__Host-refresh_token" } else { "refresh_token" }
}

/// The refresh token in the request's cookie, if a page may use it that the browser says is ours or one of the allowed
/// origins. Programs that are no browsers send neither header and are not in danger of being used by a page.
pub(super) fn read<'a>(headers: &'a HeaderMap, public: &BaseUrl, allowed: &[Origin]) -> Option<&'a str> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let from_here = text("sec-fetch-site").is_some_and(|site| site == "same-origin");
    let may_use = match text("origin") {
        None => text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none")),
        Some(origin) => {
            from_here || origin == public.origin().as_str() || allowed.iter().any(|known| known.as_str() == origin)
        }
    };
    if !may_use {
        return None;
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name(public)).map(|(_, value)| value)
}

/// The `Set-Cookie` header of a change. The prefix `__Host-` demands that the path is `/`.
pub(super) fn write(change: &CookieChange, public: &BaseUrl, now: Timestamp) -> HeaderValue {
    let (value, age) = match change {
        CookieChange::Set(token, until) => (token.as_str(), (until.seconds() - now.seconds()).max(0)),
        CookieChange::Clear => ("", 0),
    };
    let scope = if public.is_https() { "Path=/; Secure" } else { "Path=/graphql" };
    let cookie = format!("{}={value}; Max-Age={age}; {scope}; HttpOnly; SameSite=Strict", name(public));
    HeaderValue::from_str(&cookie).expect("a token is base64url")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn it_counts_from_our_own_pages_and_the_allowed_ones_only() {
        let public: BaseUrl = "http://accounts.example".parse().unwrap();
        let allowed = ["https://app.example".parse().unwrap()];
        let token = |more: &[(&'static str, &str)]| {
            let cookie = ("cookie", "a=b; refresh_token=tok; c=d");
            read(&headers(&[&[cookie], more].concat()), &public, &allowed).map(str::to_owned)
        };
        let taken = Some("tok".to_owned());
        assert_eq!(token(&[]), taken);
        assert_eq!(token(&[("origin", "http://accounts.example")]), taken);
        assert_eq!(token(&[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")]), taken);
        assert_eq!(token(&[("origin", "http://localhost:8000"), ("sec-fetch-site", "same-origin")]), taken);
        assert_eq!(token(&[("origin", "https://evil.example")]), None);
        assert_eq!(token(&[("origin", "null")]), None);
        assert_eq!(token(&[("sec-fetch-site", "cross-site")]), None);
    }

    #[test]
    fn on_https_it_is_bound_to_the_host_and_secure() {
        let at = Timestamp::from_millis(0);
        let set = CookieChange::Set("tok".to_owned(), Timestamp::from_millis(60_000));
        let write = |change: &CookieChange, public: &str| write(change, &public.parse().unwrap(), at);
        assert_eq!(
            write(&set, "https://accounts.example"),
            "__Host-refresh_token=tok; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            write(&CookieChange::Clear, "http://accounts.example"),
            "refresh_token=; Max-Age=0; Path=/graphql; HttpOnly; SameSite=Strict"
        );
        let public: BaseUrl = "https://accounts.example".parse().unwrap();
        assert_eq!(read(&headers(&[("cookie", "refresh_token=tok")]), &public, &[]), None);
    }
}
