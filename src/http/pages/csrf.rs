//! CSRF protection: forms are accepted only from this service's own pages. A hidden field must match a cookie, which
//! other sites can neither read nor set, and the browser must not report another site as the sender.

use axum::http::{HeaderMap, HeaderValue};

use crate::config::BaseUrl;
use crate::http::header::{cookies, text};
use crate::http::refresh_cookie;
use crate::tools::secret::Secret;

/// Secret of a form: the one in the cookie of the request, or a new one.
pub(super) struct Csrf {
    /// Text of the hidden field.
    pub(super) text: String,
    is_new: bool,
}

impl Csrf {
    /// Secret for the pages of this browser.
    pub(super) fn of(headers: &HeaderMap, public: &BaseUrl) -> Self {
        match in_cookie(headers, public) {
            Some(secret) => Self { text: secret.to_text(), is_new: false },
            None => Self { text: Secret::<32>::random().to_text(), is_new: true },
        }
    }

    /// The `Set-Cookie` header, if the browser does not have the secret yet.
    pub(super) fn set_cookie(&self, public: &BaseUrl) -> Option<HeaderValue> {
        let scope = refresh_cookie::scope(public);
        let cookie = format!("{}={}; {scope}; HttpOnly; SameSite=Lax", name(public), self.text);
        self.is_new.then(|| HeaderValue::from_str(&cookie).expect("a secret is base64url"))
    }
}

/// True if a form with this hidden field was sent by a page of this service.
pub(super) fn is_ours(headers: &HeaderMap, public: &BaseUrl, field: &str) -> bool {
    let same_site = text(headers, "sec-fetch-site").is_none_or(|site| site == "same-origin");
    let same_origin = text(headers, "sec-fetch-site").is_some()
        || text(headers, "origin").is_none_or(|origin| origin == public.origin().as_str());
    let secret = in_cookie(headers, public);
    same_site && same_origin && secret.is_some() && secret == Secret::<32>::from_text(field)
}

fn name(public: &BaseUrl) -> String {
    refresh_cookie::name_of("csrf", public)
}

fn in_cookie(headers: &HeaderMap, public: &BaseUrl) -> Option<Secret> {
    cookies(headers, &name(public)).find_map(Secret::from_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_needs_the_secret_of_the_cookie_and_must_come_from_here() {
        let public: BaseUrl = "http://accounts.example".parse().unwrap();
        let csrf = Csrf::of(&HeaderMap::new(), &public);
        let cookie = format!("csrf={}", csrf.text);
        let sent = |pairs: &[(&'static str, &str)], field: &str| {
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            is_ours(&headers, &public, field)
        };
        let other = Secret::<32>::random().to_text();
        assert!(sent(&[("cookie", &cookie)], &csrf.text));
        assert!(sent(&[("cookie", &cookie), ("origin", "http://accounts.example")], &csrf.text));
        assert!(sent(
            &[("cookie", &cookie), ("sec-fetch-site", "same-origin"), ("origin", "http://localhost:1")],
            &csrf.text
        ));
        assert!(!sent(&[("cookie", &cookie)], &other));
        assert!(!sent(&[("cookie", &cookie)], ""));
        assert!(!sent(&[], &csrf.text));
        assert!(!sent(&[("cookie", "csrf=")], ""));
        assert!(!sent(&[("cookie", &cookie), ("origin", "https://evil.example")], &csrf.text));
        assert!(!sent(&[("cookie", &cookie), ("sec-fetch-site", "cross-site")], &csrf.text));
        assert!(!sent(&[("cookie", &cookie), ("sec-fetch-site", "same-site")], &csrf.text));
    }
}
