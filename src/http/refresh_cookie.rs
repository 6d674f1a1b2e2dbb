//! Cookies of the API: the refresh token, and the secret of a registration. Their path covers the whole service,
//! because the pages use both.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};

use crate::config::{BaseUrl, Origin};
use crate::graphql::context::{CookieChange, Page};
use crate::http::header::{cookies, text};
use crate::tools::clock::Timestamp;
use crate::tools::secret::Secret;

/// Name of a cookie. On https, the prefix keeps plain connections from setting it, and `__Host-` other hosts too.
/// `__Host-` requires the path `/`, so a service below a path uses `__Secure-`.
pub(super) fn name_of(cookie: &str, public: &BaseUrl) -> String {
    match (public.is_https(), public.path()) {
        (false, _) => cookie.to_owned(),
        (true, "") => format!("__Host-{cookie}"),
        (true, _) => format!("__Secure-{cookie}"),
    }
}

/// Attributes that limit a cookie to the service.
pub(super) fn scope(public: &BaseUrl) -> String {
    let path = Some(public.path()).filter(|path| !path.is_empty()).unwrap_or("/");
    if public.is_https() { format!("Path={path}; Secure") } else { format!("Path={path}") }
}

fn name(public: &BaseUrl) -> String {
    name_of("refresh_token", public)
}

/// Page that sent the request, by the headers of browsers. Other programs send neither header.
pub(super) fn page(headers: &HeaderMap, public: &BaseUrl, allowed: &[Origin]) -> Page {
    let site = text(headers, "sec-fetch-site");
    let is_known = match text(headers, "origin") {
        None if matches!(site, None | Some("none")) => return Page::Absent,
        None => site == Some("same-origin"),
        Some(origin) => {
            site == Some("same-origin")
                || origin == public.origin().as_str()
                || allowed.iter().any(|known| known.as_str() == origin)
        }
    };
    if is_known { Page::Known } else { Page::Foreign }
}

/// The refresh token in the cookie, unless a foreign page sent the request. Programs other than browsers are not
/// exposed to pages.
pub(super) fn read<'a>(headers: &'a HeaderMap, public: &BaseUrl, page: Page) -> Option<&'a str> {
    if page == Page::Foreign {
        return None;
    }
    cookies(headers, &name(public)).next()
}

/// Name of the registration cookie.
fn registration_name(public: &BaseUrl) -> String {
    name_of("registration", public)
}

/// The secret in the registration cookie. It is SameSite=Lax, because the link in a mail comes from another site.
/// Without that link it is useless.
pub(super) fn read_registration(headers: &HeaderMap, public: &BaseUrl) -> Option<Secret> {
    cookies(headers, &registration_name(public)).find_map(Secret::from_text)
}

/// True if the client is a browser that keeps lax cookies: on a page of this service, or of an allowed origin on the same
/// site. On other sites browsers drop them.
pub(super) fn keeps_lax_cookies(headers: &HeaderMap, page: Page) -> bool {
    page == Page::Known && text(headers, "sec-fetch-site") != Some("cross-site")
}

/// The `Set-Cookie` header of a registration that expires after `life`.
pub(super) fn write_registration(secret: &Secret, public: &BaseUrl, life: Duration) -> HeaderValue {
    let (name, value, age) = (registration_name(public), secret.to_text(), life.as_secs());
    let scope = scope(public);
    let cookie = format!("{name}={value}; Max-Age={age}; {scope}; HttpOnly; SameSite=Lax");
    HeaderValue::from_str(&cookie).expect("a secret is base64url")
}

/// The `Set-Cookie` header of a change to the refresh cookie.
pub(super) fn write(change: &CookieChange, public: &BaseUrl, now: Timestamp) -> HeaderValue {
    let (value, age) = match change {
        CookieChange::Set(token, until) => (token.as_str(), (until.seconds() - now.seconds()).max(0)),
        CookieChange::Clear => ("", 0),
    };
    let scope = scope(public);
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
    fn only_own_and_allowed_pages_use_the_cookie() {
        let public: BaseUrl = "http://accounts.example".parse().unwrap();
        let allowed = ["https://app.example".parse().unwrap()];
        let token = |more: &[(&'static str, &str)]| {
            let headers = headers(&[&[("cookie", "a=b; refresh_token=tok; c=d")], more].concat());
            read(&headers, &public, page(&headers, &public, &allowed)).map(str::to_owned)
        };
        let used = Some("tok".to_owned());
        assert_eq!(token(&[]), used);
        assert_eq!(token(&[("origin", "http://accounts.example")]), used);
        assert_eq!(token(&[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")]), used);
        assert_eq!(token(&[("origin", "http://localhost:8000"), ("sec-fetch-site", "same-origin")]), used);
        assert_eq!(token(&[("origin", "https://evil.example")]), None);
        assert_eq!(token(&[("origin", "null")]), None);
        assert_eq!(token(&[("sec-fetch-site", "cross-site")]), None);
    }

    #[test]
    fn pages_are_classified_by_their_origin() {
        let public: BaseUrl = "http://accounts.example".parse().unwrap();
        let allowed = ["https://app.example".parse().unwrap()];
        let of = |pairs: &[(&'static str, &str)]| page(&headers(pairs), &public, &allowed);
        assert_eq!(of(&[]), Page::Absent);
        assert_eq!(of(&[("sec-fetch-site", "none")]), Page::Absent);
        assert_eq!(of(&[("sec-fetch-site", "same-origin")]), Page::Known);
        assert_eq!(of(&[("origin", "https://app.example")]), Page::Known);
        assert_eq!(of(&[("sec-fetch-site", "same-site")]), Page::Foreign);
        assert_eq!(of(&[("origin", "https://evil.example"), ("sec-fetch-site", "none")]), Page::Foreign);
    }

    #[test]
    fn on_https_cookies_are_secure_and_bound_to_the_host() {
        let at = Timestamp::from_millis(0);
        let set = CookieChange::Set("tok".to_owned(), Timestamp::from_millis(60_000));
        let write = |change: &CookieChange, public: &str| write(change, &public.parse().unwrap(), at);
        assert_eq!(
            write(&set, "https://accounts.example"),
            "__Host-refresh_token=tok; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            write(&CookieChange::Clear, "http://accounts.example"),
            "refresh_token=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
        );
        let public: BaseUrl = "https://accounts.example".parse().unwrap();
        assert_eq!(read(&headers(&[("cookie", "refresh_token=tok")]), &public, Page::Absent), None);

        let beside_others = "https://accounts.example/id";
        assert_eq!(
            write(&set, beside_others),
            "__Secure-refresh_token=tok; Max-Age=60; Path=/id; Secure; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            write(&CookieChange::Clear, "http://accounts.example/id/"),
            "refresh_token=; Max-Age=0; Path=/id; HttpOnly; SameSite=Strict"
        );
        let secret = Secret::new([7; 32]);
        let written = write_registration(&secret, &public, Duration::from_secs(60));
        let text = secret.to_text();
        assert_eq!(written, format!("__Host-registration={text}; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax"));
        let sent = |name: &str| read_registration(&headers(&[("cookie", &format!("{name}={text}"))]), &public);
        assert_eq!((sent("__Host-registration"), sent("registration")), (Some(secret), None));
    }

    #[test]
    fn only_browsers_on_the_same_site_keep_the_registration_cookie() {
        let public: BaseUrl = "https://accounts.example".parse().unwrap();
        let allowed = ["https://app.example".parse().unwrap()];
        let keeps = |pairs: &[(&'static str, &str)]| {
            let headers = headers(pairs);
            keeps_lax_cookies(&headers, page(&headers, &public, &allowed))
        };
        let app = ("origin", "https://app.example");
        assert!(keeps(&[("origin", "https://accounts.example")]) && keeps(&[app]));
        assert!(keeps(&[("sec-fetch-site", "same-origin")]) && keeps(&[app, ("sec-fetch-site", "same-site")]));
        assert!(!keeps(&[]) && !keeps(&[app, ("sec-fetch-site", "cross-site")]));
        assert!(!keeps(&[("origin", "https://evil.example"), ("sec-fetch-site", "same-site")]));
    }
}
