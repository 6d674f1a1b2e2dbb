//! The cookie by which a browser is recognized as a device of its users. It only spares them an email about a sign-in
//! with a second factor; see `domain/auth/known_devices.rs`.

use axum::http::{HeaderMap, HeaderValue};

use crate::config::BaseUrl;
use crate::domain::auth::known_devices::KNOWN_FOR;
use crate::graphql::context::Page;
use crate::http::header::cookies;
use crate::http::refresh_cookie::{keeps_lax_cookies, name_of, scope};
use crate::tools::secret::Secret;

fn name(public: &BaseUrl) -> String {
    name_of("device", public)
}

/// The secret in the cookie, or a new one for the response. `None` for clients that keep no cookie.
pub(super) fn of(headers: &HeaderMap, public: &BaseUrl, page: Page) -> Option<Secret> {
    let kept = || cookies(headers, &name(public)).find_map(Secret::from_text);
    keeps_lax_cookies(headers, page).then(|| kept().unwrap_or_else(Secret::random))
}

/// The `Set-Cookie` header. It is SameSite=Lax, like the cookies of forms, because its user may come from another site.
pub(super) fn write(secret: &Secret, public: &BaseUrl) -> HeaderValue {
    let (name, value, age, scope) = (name(public), secret.to_text(), KNOWN_FOR.as_secs(), scope(public));
    let cookie = format!("{name}={value}; Max-Age={age}; {scope}; HttpOnly; SameSite=Lax");
    HeaderValue::from_str(&cookie).expect("a secret is base64url")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pairs: &[(&'static str, &str)], public: &BaseUrl, page: Page) -> Option<Secret> {
        of(&pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(), public, page)
    }

    #[test]
    fn a_browser_keeps_one_secret_for_the_service() {
        let public: BaseUrl = "https://accounts.example".parse().unwrap();
        let secret = Secret::new([7; 32]);
        let text = secret.to_text();
        let rest = "Max-Age=31536000; Path=/; Secure; HttpOnly; SameSite=Lax";
        assert_eq!(write(&secret, &public), format!("__Host-device={text}; {rest}"));
        let beside_others: BaseUrl = "https://accounts.example/id".parse().unwrap();
        assert!(write(&secret, &beside_others).to_str().unwrap().starts_with("__Secure-device="));
        let cookie = [("cookie", &*format!("__Host-device={text}"))];
        assert_eq!(sent(&cookie, &public, Page::Known), Some(secret.clone()));
        for other in ["device=x", "__Host-device=x", &format!("device={text}")] {
            let new = sent(&[("cookie", other)], &public, Page::Known);
            assert!(new.is_some_and(|new| new != secret), "{other}");
        }
    }

    #[test]
    fn clients_that_keep_no_cookie_have_no_secret() {
        let public: BaseUrl = "https://accounts.example".parse().unwrap();
        let cookie = format!("__Host-device={}", Secret::new([7; 32]).to_text());
        let site = |site| [("cookie", &*cookie), ("sec-fetch-site", site)];
        assert_eq!(sent(&[("cookie", &cookie)], &public, Page::Absent), None);
        assert_eq!(sent(&site("same-site"), &public, Page::Foreign), None);
        assert_eq!(sent(&site("cross-site"), &public, Page::Known), None, "browsers drop it there");
        assert!(sent(&site("same-site"), &public, Page::Known).is_some());
    }
}
